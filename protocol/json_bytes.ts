/**
 * Steps over the bytes of JSON: white space, plain strings, numbers, literals, UTF-8 sequences. Also
 * describes bytes in messages.
 *
 * @module
 */

import * as ascii from "./ascii.ts";
import { quote } from "./printable.ts";
import { decoder, encoder } from "./utf8.ts";

const { TAB, LF, CR, SPACE, PLUS, MINUS, DOT, ZERO, NINE, BACKSLASH, LOWER_U } = ascii;

const LITERALS = ["true", "false", "null"].map((word) => encoder.encode(word));

/** Bit 7 of each of four bytes. */
export const HIGH_BITS = 0x80808080;

/**
 * Returns the position of the first byte from `i` on that is not JSON white space. `\n` does not
 * count as white space, because it ends the line.
 */
export function skipSpace(bytes: Uint8Array, i: number): number {
  while (bytes[i]! <= SPACE && (bytes[i] === SPACE || bytes[i] === TAB || bytes[i] === CR)) i++;
  return i;
}

/**
 * Returns a number in which one of {@link HIGH_BITS} is set if, and only if, one of the four bytes
 * of `word` is not {@link PLAIN}. For each byte, the first difference is negative for a control
 * character or `"`, which the exclusive or turns into 0x20. The second is negative for `\`. If the
 * byte has bit 7, so has one of the differences. A borrow from the next byte changes nothing,
 * because a byte that borrows is not plain itself.
 */
export function special(word: number): number {
  return ((word ^ 0x02020202) - 0x21212121) | ((word ^ 0x5c5c5c5c) - 0x01010101);
}

/** Skips plain bytes in a long string, 16 at a time. */
export function skipPlain(words: DataView, i: number): number {
  const last = words.byteLength - 16;
  while (
    i <= last &&
    ((special(words.getInt32(i, true)) | special(words.getInt32(i + 4 | 0, true)) |
        special(words.getInt32(i + 8 | 0, true)) | special(words.getInt32(i + 12 | 0, true))) &
        HIGH_BITS) === 0
  ) i = i + 16 | 0;
  return i;
}

/**
 * Returns the position after the number at `i`. If it is not valid, returns the bitwise complement
 * of the position where a digit is missing, which is negative.
 */
export function skipNumber(bytes: Uint8Array, i: number): number {
  if (bytes[i] === MINUS) i++;
  if (bytes[i] === ZERO) i++;
  else if ((i = skipDigits(bytes, i)) < 0) return i;
  if (bytes[i] === DOT && (i = skipDigits(bytes, i + 1)) < 0) return i;
  if ((bytes[i]! | 0x20) === 0x65) { // "e" or "E"
    i++;
    if (bytes[i] === PLUS || bytes[i] === MINUS) i++;
    i = skipDigits(bytes, i);
  }
  return i;
}

/** Does the same for one or more decimal digits. */
function skipDigits(bytes: Uint8Array, i: number): number {
  const start = i;
  while (bytes[i]! >= ZERO && bytes[i]! <= NINE) i++;
  return i > start ? i : ~i;
}

/** Returns the position after the literal at `i`, or -1 if there is none. */
export function skipLiteral(bytes: Uint8Array, i: number): number {
  for (const word of LITERALS) {
    if (isEqual(bytes, i, i + word.length, word)) return i + word.length;
  }
  return -1;
}

/** Returns whether the bytes from `start` to `end` are those of `word`. */
export function isEqual(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
  return true;
}

/**
 * Returns whether a valid string with escapes spells `word`. The letters and `_` of `word` have
 * only one escape: `\u00xx`.
 */
export function spells(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  let i = start;
  for (const expected of word) {
    let byte = bytes[i++]!;
    if (byte === BACKSLASH) {
      if (bytes[i] !== LOWER_U || bytes[i + 1] !== ZERO || bytes[i + 2] !== ZERO) return false;
      byte = 16 * hexValue(bytes[i + 3]!) + hexValue(bytes[i + 4]!);
      i += 5;
    }
    if (byte !== expected) return false;
  }
  return i === end;
}

function hexValue(digit: number): number {
  return digit <= NINE ? digit - ZERO : (digit | 0x20) - 0x57; // "a" is ten
}

/**
 * Returns the length of the UTF-8 sequence at `i`, whose first byte is not ASCII. 0 if it is
 * invalid.
 */
export function sequenceLength(bytes: Uint8Array, i: number): number {
  const first = bytes[i]!;
  if (first < 0xc2) return 0; // a continuation byte, or an overlong form
  if (first < 0xe0) return isContinuation(bytes[i + 1]!) ? 2 : 0;
  const second = bytes[i + 1]!;
  if (!isContinuation(second) || !isContinuation(bytes[i + 2]!)) return 0;
  if (first < 0xf0) {
    if (first === 0xe0 && second < 0xa0) return 0; // an overlong form
    return first === 0xed && second > 0x9f ? 0 : 3; // a surrogate
  }
  if (first > 0xf4 || !isContinuation(bytes[i + 3]!)) return 0;
  if (first === 0xf0 && second < 0x90) return 0; // an overlong form
  return first === 0xf4 && second > 0x8f ? 0 : 4; // beyond U+10FFFF
}

function isContinuation(byte: number): boolean {
  return byte >= 0x80 && byte < 0xc0;
}

/** Returns the text at `i` for an error message. */
export function found(bytes: Uint8Array, i: number): string {
  const byte = bytes[i]!;
  if (byte === LF) return "the end of the line";
  const length = byte < 0x80 ? 1 : sequenceLength(bytes, i);
  if (length === 0) return `byte 0x${byte.toString(16)}`;
  return quote(decoder.decode(bytes.subarray(i, i + length)));
}

/** Returns the kind of the JSON value at `i` for an error message. */
export function kindAt(bytes: Uint8Array, i: number): string {
  const first = String.fromCharCode(bytes[i]!);
  if (first === "{") return "an object";
  if (first === "[") return "an array";
  if (first === '"') return "a string";
  if (first === "n") return "null";
  return first === "t" || first === "f" ? "a boolean" : "a number";
}
