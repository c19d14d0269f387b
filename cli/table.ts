/**
 * Lays out a table of text, with its columns fitted to a width.
 *
 * @module
 */

import { cut, pad, widthOf } from "./width.ts";

/** The text between two columns. */
const GAP = "  ";

/** The minimum width of a column that shrinks. */
const LEAST_WIDTH = 6;

/** A column of a table. */
export interface Column {
  /** The title. */
  readonly title: string;
  /**
   * Whether it contains numbers, which are aligned right, or text.
   *
   * @default {"text"}
   */
  readonly kind?: "text" | "number";
  /** Whether it is shortened if there is too little room. */
  readonly shrinks?: boolean;
  /**
   * The order in which it is dropped if shortening is not enough: columns with 1 first. A column
   * without it stays.
   *
   * @default {undefined}
   */
  readonly leaves?: number;
}

/**
 * Returns the lines of a table, titles first; none is wider than `width`. If there is too little
 * room, columns with `leaves` are dropped, then those that shrink are shortened, the widest first.
 * At last, all lines are cut off on the right.
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

/** Returns which columns have room if those that shrink are shortened. */
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

/** Returns the widths, with those of columns that shrink reduced until all fit. */
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
