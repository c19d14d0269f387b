/**
 * Owns how many columns of a terminal a text takes, and how it is made to take fewer. Must not know
 * where it is shown.
 *
 * @module
 */

/** What takes no column of its own: accents that stand on the character before, and joiners. */
const ZERO = /^[\p{Mn}\p{Me}\u200b-\u200d\ufe0e\ufe0f]$/u;

/**
 * What takes two columns: East Asian letters and forms (Unicode Standard Annex 11, "W" and "F"), and
 * signs that are shown as pictures.
 */
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]$/u;

/** What stands for the part that has been cut off. */
const ELLIPSIS = "…";

/** How many columns `text` takes; it must have no control characters. */
export function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += widthOfCharacter(char);
  return width;
}

/** `text` if it takes no more than `width` columns, otherwise its beginning and `…`. */
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
 * The parts in lines of at most `width` columns, `gap` between two of them. A part that is wider than a
 * line is broken between words, and a word that is, is cut.
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

/** `text` with so many spaces that it takes `width` columns: behind it, or before it. */
export function pad(text: string, width: number, side: "left" | "right" = "left"): string {
  const spaces = " ".repeat(Math.max(0, width - widthOf(text)));
  return side === "left" ? text + spaces : spaces + text;
}

function widthOfCharacter(char: string): number {
  if (ZERO.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}
