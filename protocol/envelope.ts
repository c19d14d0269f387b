/**
 * Reads, removes and inserts members of the envelope (`id`, `reply_to`, `from`, `to`, `seq`, `ack`)
 * in the bytes of a line. All other bytes stay as they were written.
 *
 * The functions trust their input. It must be lines that `LineValidator` has accepted.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import * as ascii from "./ascii.ts";
import { skipSpace } from "./json_bytes.ts";
import { decoder, encoder } from "./utf8.ts";

const { LF, SPACE, QUOTE, COMMA, MINUS, ZERO, NINE, BACKSLASH, MAX_ASCII } = ascii;
const { OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE } = ascii;

/** The longest text, in bytes, that is assembled here. Most IDs are that short. */
const SHORT_BYTES = 16;

/** Returns the text of the JSON string whose opening quote is at `i`. */
export function readString(bytes: Uint8Array, i: number): string {
  let short = "";
  for (let k = i + 1; k <= i + 1 + SHORT_BYTES; k++) {
    const byte = bytes[k]!;
    if (byte === QUOTE) return short;
    if (byte === BACKSLASH || byte > MAX_ASCII) break;
    short += String.fromCharCode(byte);
  }
  const end = skipString(bytes, i);
  const text = decoder.decode(bytes.subarray(i + 1, end - 1));
  return text.includes("\\") ? JSON.parse(`"${text}"`) : text;
}

/** Returns the JSON number that begins at `i`, or `null` if another value begins there. */
export function readNumber(bytes: Uint8Array, i: number): number | null {
  const isNumber = bytes[i] === MINUS || bytes[i]! >= ZERO && bytes[i]! <= NINE;
  return isNumber ? Number(decoder.decode(bytes.subarray(i, skipValue(bytes, i)))) : null;
}

/**
 * Returns a copy of `line` without one member. The line must have another one.
 *
 * @param line A valid line.
 * @param i The position of the opening quote of the member's key.
 */
export function cutMember(line: Uint8Array, i: number): Uint8Array {
  let start = i;
  const colon = skipSpace(line, skipString(line, i));
  let end = skipSpace(line, skipValue(line, skipSpace(line, colon + 1)));
  if (line[end] === COMMA) end = skipSpace(line, end + 1);
  else while (line[start] !== COMMA) start--; // the last member takes the preceding comma along
  return concat([line.subarray(0, start), line.subarray(end)]);
}

/** Returns a copy of `line` with `members` before all others. See {@link memberBytes}. */
export function spliceMembers(line: Uint8Array, members: Uint8Array): Uint8Array {
  const behind = line.indexOf(OPEN_BRACE) + 1;
  return concat([line.subarray(0, behind), members, line.subarray(behind)]);
}

/**
 * Returns a member with a trailing comma, such as `"from":"c3",`, to be inserted before all others.
 */
export function memberBytes(key: string, value: string | number): Uint8Array {
  return encoder.encode(`${JSON.stringify(key)}:${JSON.stringify(value)},`);
}

/**
 * Returns the total length of the members `"seq":1,` and so on for `count` lines, in bytes. The
 * first line has the number `first`. Another key than `seq` may be given.
 */
export function numbersLength(first: number, count: number, key = "seq"): number {
  let length = count * (key.length + '"":,'.length);
  for (let digits = String(first).length; count > 0; digits++) {
    const same = Math.min(count, 10 ** digits - first);
    length += same * digits;
    first += same;
    count -= same;
  }
  return length;
}

/** The result of {@link copyNumbered}. */
export interface Copied {
  /** The number of copied lines. */
  readonly lines: number;
  /** Their length without numbers, in bytes. */
  readonly read: number;
  /** Their length with numbers, in bytes. */
  readonly written: number;
}

/**
 * The rest of a line is searched and copied by loops up to this length, in bytes, because a call
 * takes longer.
 */
const NEAR_BYTES = 64;

/**
 * Copies events to `target` and inserts a number before all other members of each. Stops before the
 * first line that does not fit.
 *
 * @param bytes The events, as whole lines.
 * @param first The number of the first event.
 * @param target The destination of the copy.
 * @param at The position in `target` where the copy begins.
 */
export function copyNumbered(
  bytes: Uint8Array,
  first: number,
  target: Uint8Array,
  at: number,
): Copied {
  let member = memberBytes("seq", first);
  const begin = at;
  let lines = 0;
  let i = 0;
  while (i < bytes.length) {
    const near = i + NEAR_BYTES;
    let next = i;
    while (next < near && bytes[next] !== LF) next++;
    next = next < near ? next + 1 : bytes.indexOf(LF, near) + 1;
    if (at + next - i + member.length > target.length) break;
    for (let byte = 0; byte !== OPEN_BRACE;) target[at++] = byte = bytes[i++]!;
    for (let k = 0; k < member.length; k++) target[at++] = member[k]!;
    if (next - i <= NEAR_BYTES) { while (i < next) target[at++] = bytes[i++]!; }
    else {
      target.set(bytes.subarray(i, next), at);
      at += next - i;
      i = next;
    }
    lines++;
    if (!increment(member)) member = memberBytes("seq", first + lines);
  }
  return { lines, read: i, written: at - begin };
}

/**
 * Copies the line from `i` to `end` to `target`, from `at` on, with `member` before all others. Copies
 * 16 bytes in a step, because a call takes longer than most lines. Returns the position after it.
 */
export function insertMember(
  source: DataView,
  i: number,
  end: number,
  member: Uint8Array,
  target: DataView,
  at: number,
): number {
  for (let byte = 0; byte !== OPEN_BRACE; at++) target.setUint8(at, byte = source.getUint8(i++));
  for (let k = 0; k < member.length; k++) target.setUint8(at++, member[k]!);
  for (; i + 16 <= end; i = i + 16 | 0, at = at + 16 | 0) {
    target.setInt32(at, source.getInt32(i, true), true);
    target.setInt32(at + 4 | 0, source.getInt32(i + 4 | 0, true), true);
    target.setInt32(at + 8 | 0, source.getInt32(i + 8 | 0, true), true);
    target.setInt32(at + 12 | 0, source.getInt32(i + 12 | 0, true), true);
  }
  for (; i + 4 <= end; i = i + 4 | 0, at = at + 4 | 0) {
    target.setInt32(at, source.getInt32(i, true), true);
  }
  while (i < end) target.setUint8(at++, source.getUint8(i++));
  return at;
}

/** `\n` in each of four bytes, 1 in each, and bit 7 of each. */
const LFS = 0x0a0a0a0a;
const ONES = 0x01010101;
const HIGH_BITS = 0x80808080;

/**
 * Returns a copy of events with a number before all other members of each, under another key than
 * `seq`. Copies four bytes at a time, because there is room for all of them.
 *
 * @param bytes The events, as whole lines.
 * @param first The number of the first event.
 * @param count The number of events.
 * @param key The key of the numbers.
 */
export function withNumbers(
  bytes: Uint8Array,
  first: number,
  count: number,
  key: string,
): Uint8Array<ArrayBuffer> {
  const target = new Uint8Array(bytes.length + numbersLength(first, count, key));
  const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const view = new DataView(target.buffer);
  const last = bytes.length - 4;
  let member = memberBytes(key, first);
  let at = 0;
  let i = 0;
  for (let lines = 1; i < bytes.length; lines++) {
    for (let byte = 0; byte !== OPEN_BRACE;) target[at++] = byte = bytes[i++]!;
    for (let k = 0; k < member.length; k++) target[at++] = member[k]!;
    while (i <= last) {
      const word = source.getInt32(i, true);
      const difference = word ^ LFS;
      if (((difference - ONES) & ~difference & HIGH_BITS) !== 0) break; // one of them is `\n`
      view.setInt32(at, word, true);
      i = i + 4 | 0;
      at = at + 4 | 0;
    }
    for (let byte = 0; byte !== LF;) target[at++] = byte = bytes[i++]!;
    if (!increment(member)) member = memberBytes(key, first + lines);
  }
  return target;
}

/**
 * Adds one to the number in a member. Returns `false` if the result has one digit more and does not
 * fit.
 */
export function increment(member: Uint8Array): boolean {
  let k = member.length - 2;
  while (member[k] === NINE) member[k--] = ZERO;
  const isDigit = member[k]! >= ZERO && member[k]! < NINE;
  if (isDigit) member[k]!++;
  return isDigit;
}

/** Returns the end of the value that begins at `i`. Loops, so that no input overflows the stack. */
function skipValue(bytes: Uint8Array, i: number): number {
  for (let depth = 0;;) {
    const byte = bytes[i]!;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++;
      i++;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
      i++;
    } else if (byte === QUOTE) {
      i = skipString(bytes, i);
    } else {
      do i++; while (!isEndOfScalar(bytes[i]!)); // also a comma, a colon, or white space, in depth
    }
    if (depth === 0) return i;
  }
}

function isEndOfScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte === QUOTE ||
    byte === OPEN_BRACE || byte === OPEN_BRACKET || byte <= SPACE;
}

/** Returns the position after the closing quote of the string whose opening quote is at `i`. */
function skipString(bytes: Uint8Array, i: number): number {
  for (i++; bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
  return i + 1;
}
