/**
 * Fits text into the columns of a terminal: widths, wrapping, bars and tables.
 *
 * `unicodeWidth()` of `@std/cli` needs a data file, which `vendor/` cannot provide where JSR is out
 * of reach.
 *
 * @module
 */

/** Characters without a column of their own: accents on the character before, and joiners. */
const ZERO = /^[\p{Mn}\p{Me}\u200b-\u200d\ufe0e\ufe0f]$/u;

/**
 * Characters of two columns: East Asian letters and forms (Unicode Standard Annex 11, "W" and "F"),
 * and signs shown as pictures.
 */
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]$/u;

/** Stands for the part that was cut off. */
const ELLIPSIS = "…";

/** The text between two columns of a table. */
const GAP = "  ";

/** The minimum width of a column that shrinks. */
const MIN_WIDTH = 6;

/** Returns the number of columns of `text`, which must not contain control characters. */
export function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += widthOfCharacter(char);
  return width;
}

function widthOfCharacter(char: string): number {
  if (ZERO.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}

/** Returns `text` if it fits into `width` columns; otherwise its beginning and `…`. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  let room = width - widthOf(ELLIPSIS);
  for (const char of text) {
    room -= widthOfCharacter(char);
    if (room < 0) break;
    kept += char;
  }
  return width > 0 ? kept + ELLIPSIS : "";
}

/**
 * Returns the parts in lines of at most `width` columns, with `gap` between two parts. A part that
 * is wider than a line is broken between words, and a word that is wider is cut.
 */
export function wrap(parts: readonly string[], width: number, gap = " "): string[] {
  const lines: string[] = [];
  let line = "";
  for (const part of parts) {
    const longer = line === "" ? part : line + gap + part;
    if (widthOf(longer) <= width) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    const words = part.split(" ");
    const broken = words.length > 1 && widthOf(part) > width ? wrap(words, width) : [part];
    lines.push(...broken.slice(0, -1));
    line = broken.at(-1)!;
  }
  return [...lines, line].map((each) => cut(each, width));
}

/**
 * Returns `text` padded with spaces to `width` columns: after it for `left`, before it for `right`.
 */
export function pad(text: string, width: number, side: "left" | "right" = "left"): string {
  const spaces = " ".repeat(Math.max(0, width - widthOf(text)));
  return side === "left" ? text + spaces : spaces + text;
}

/** Returns a bar over `share` of `width` columns, exact to an eighth of a column. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(8 * width * Math.min(1, Math.max(0, share)));
  const rest = " ▏▎▍▌▋▊▉"[eighths % 8]!;
  return ("█".repeat(eighths / 8) + (eighths % 8 > 0 ? rest : "")).padEnd(width);
}

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
  readonly dropOrder?: number;
}

/**
 * Returns the lines of a table, titles first; none is wider than `width`. If there is too little
 * room, columns with a `dropOrder` are dropped, then those that shrink are shortened, the widest
 * first. At last, all lines are cut off on the right.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const lines = [columns.map(({ title }) => title), ...rows];
  const natural = columns.map((_, i) => Math.max(...lines.map((cells) => widthOf(cells[i]!))));
  const kept = keptColumns(columns, natural, width);
  const widths = shrink(columns, natural, kept, width);
  return lines.map((cells) => {
    const line = kept.map((i) => {
      const side = columns[i]!.kind === "number" ? "right" : "left";
      return pad(cut(cells[i]!, widths[i]!), widths[i]!, side);
    });
    return cut(line.join(GAP).trimEnd(), width);
  });
}

/** Returns the indexes of the columns that have room if those that shrink are shortened. */
function keptColumns(
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): number[] {
  const min = natural.map((each, i) => columns[i]!.shrinks ? Math.min(each, MIN_WIDTH) : each);
  const last = Math.max(0, ...columns.map(({ dropOrder = 0 }) => dropOrder));
  for (let dropped = 0;; dropped++) {
    const kept = [...columns.keys()].filter((i) => (columns[i]!.dropOrder ?? Infinity) > dropped);
    if (dropped >= last || totalWidth(min, kept) <= width) return kept;
  }
}

/** Returns the widths, with those of columns that shrink reduced until all `kept` ones fit. */
function shrink(
  columns: readonly Column[],
  natural: readonly number[],
  kept: readonly number[],
  width: number,
): number[] {
  const widths = [...natural];
  for (let surplus = totalWidth(widths, kept) - width; surplus > 0; surplus--) {
    const candidates = kept.filter((i) => columns[i]!.shrinks && widths[i]! > MIN_WIDTH);
    if (candidates.length === 0) break;
    widths[candidates.reduce((best, i) => widths[i]! > widths[best]! ? i : best)]!--;
  }
  return widths;
}

function totalWidth(widths: readonly number[], kept: readonly number[]): number {
  return kept.reduce((sum, i) => sum + widths[i]! + GAP.length, -GAP.length);
}
