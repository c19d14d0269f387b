/**
 * The width of text in columns of a terminal, and ways to fit it.
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

/** Returns the number of columns of `text`, which must not contain control characters. */
export function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += widthOfCharacter(char);
  return width;
}

/** Returns `text` if it fits into `width` columns; otherwise its beginning and `…`. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  let left = width - widthOf(ELLIPSIS);
  for (const char of text) {
    left -= widthOfCharacter(char);
    if (left < 0) break;
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

function widthOfCharacter(char: string): number {
  if (ZERO.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}
