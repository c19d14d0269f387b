/**
 * Owns a table of text on a terminal: its columns, fitted to a width. Must not know what is in it.
 *
 * @module
 */

import { cut, pad, widthOf } from "./width.ts";

/** What is between two columns. */
const GAP = "  ";

/** How narrow a column that shrinks can become. */
const LEAST_WIDTH = 6;

/** A column of a table. */
export interface Column {
  /** What stands above it. */
  readonly title: string;
  /**
   * Whether it holds numbers, which stand on the right of it, or text.
   *
   * @default {"text"}
   */
  readonly kind?: "text" | "number";
  /** Whether it is cut where there is no room for all of it. */
  readonly shrinks?: boolean;
}

/**
 * The lines of a table, its titles first; none is wider than `width`. Where there is no room, the columns
 * that shrink are cut, the widest first, and then all lines on the right.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = fit(columns, widthsOf(lines), width);
  return lines.map((cells) => {
    const line = columns.map(({ kind }, i) =>
      pad(cut(cells[i]!, widths[i]!), widths[i]!, kind === "number" ? "right" : "left")
    );
    return cut(line.join(GAP).trimEnd(), width);
  });
}

function widthsOf(lines: readonly (readonly string[])[]): number[] {
  return lines[0]!.map((_, i) => Math.max(...lines.map((cells) => widthOf(cells[i]!))));
}

/** The widths, of which those of columns that shrink are reduced until all fit. */
function fit(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  let surplus = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (widths.length - 1) -
    width;
  for (; surplus > 0; surplus--) {
    const widest = columns.reduce((best, { shrinks }, i) => {
      const canShrink = shrinks && widths[i]! > LEAST_WIDTH;
      return canShrink && (best < 0 || widths[i]! > widths[best]!) ? i : best;
    }, -1);
    if (widest < 0) break;
    widths[widest]!--;
  }
  return widths;
}
