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
  /**
   * Whether it is left out where there is no room even if others are cut: those with 1 first.
   *
   * @default {undefined}
   */
  readonly leaves?: number;
}

/**
 * The lines of a table, its titles first; none is wider than `width`. Where there is no room, columns
 * that may leave are left out, those that shrink are cut, the widest first, and then all lines on the right.
 */
export function formatTable(
  allColumns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const all = [allColumns.map(({ title }) => title), ...rows];
  const stays = whichStay(allColumns, widthsOf(all), width);
  const columns = allColumns.filter((_, i) => stays[i]);
  const lines = all.map((cells) => cells.filter((_, i) => stays[i]));
  const widths = fit(columns, widthsOf(lines), width);
  return lines.map((cells) => {
    const line = columns.map(({ kind }, i) =>
      pad(cut(cells[i]!, widths[i]!), widths[i]!, kind === "number" ? "right" : "left")
    );
    return cut(line.join(GAP).trimEnd(), width);
  });
}

/** Which columns there is room for, if those that shrink are cut. */
function whichStay(
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): boolean[] {
  const least = natural.map((each, i) => columns[i]!.shrinks ? Math.min(each, LEAST_WIDTH) : each);
  const last = Math.max(0, ...columns.map(({ leaves = 0 }) => leaves));
  for (let left = 0;; left++) {
    const stays = columns.map(({ leaves = Infinity }) => leaves > left);
    const widths = least.filter((_, i) => stays[i]);
    const sum = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (widths.length - 1);
    if (sum <= width || left >= last) return stays;
  }
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
