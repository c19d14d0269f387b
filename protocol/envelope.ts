/**
 * Owns what is done to the envelope of a line (`id`, `reply_to`, `from`, `to`, `seq`, `ack`) by its
 * bytes: reading a member, cutting one out, putting one in. Whatever it does not have to touch stays
 * as it was written. Must not know what the members are for.
 *
 * Works on lines that `LineValidator` has accepted, and trusts them.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const MAX_ASCII = 0x7f;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Up to how many bytes a text is put together here: the ids that a program uses are short. */
const SHORT_BYTES = 16;

/** The text of the JSON string that begins, with its quote, at `i`. */
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

/**
 * A copy of `line` without the member whose key begins, with its quote, at `i`. It must not be the
 * only one.
 */
export function cutMember(line: Uint8Array, i: number): Uint8Array {
  let start = i;
  const colon = skipSpace(line, skipString(line, i));
  let end = skipSpace(line, skipValue(line, skipSpace(line, colon + 1)));
  if (line[end] === COMMA) end = skipSpace(line, end + 1);
  else while (line[start] !== COMMA) start--; // the last member takes the comma before it along
  return concat([line.subarray(0, start), line.subarray(end)]);
}

/** A copy of `line` with `members`, which {@link memberBytes} gives, in front of all others. */
export function spliceMembers(line: Uint8Array, members: Uint8Array): Uint8Array {
  const behind = line.indexOf(OPEN_BRACE) + 1;
  return concat([line.subarray(0, behind), members, line.subarray(behind)]);
}

/** `"from":"c3",`: a member to be put in front of all others, with the comma behind it. */
export function memberBytes(key: string, value: string | number): Uint8Array {
  return encoder.encode(`${JSON.stringify(key)}:${JSON.stringify(value)},`);
}

/** How many bytes the members `"seq":1,` and so on have for `count` lines, the first of which has number `first`. */
export function numbersLength(first: number, count: number): number {
  let length = count * '"seq":,'.length;
  for (let digits = String(first).length; count > 0; digits++) {
    const same = Math.min(count, 10 ** digits - first);
    length += same * digits;
    first += same;
    count -= same;
  }
  return length;
}

/** What {@link copyNumbered} has copied. */
export interface Copied {
  /** How many lines. */
  readonly lines: number;
  /** How many bytes of them there were. */
  readonly read: number;
  /** How many bytes they have with their numbers. */
  readonly written: number;
}

/** Up to which length the rest of a line is looked at, and copied, here, in bytes: a call takes longer. */
const NEAR_BYTES = 64;

/**
 * Copies events to `target`, from `at` on, each with its number in front of all other members. The first
 * has number `first`. Stops before the first line that does not fit.
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

/** Adds one to the number in a member; `false` if it then has one digit more, and has no place. */
function increment(member: Uint8Array): boolean {
  let k = member.length - 2;
  while (member[k] === NINE) member[k--] = ZERO;
  const isDigit = member[k]! >= ZERO && member[k]! < NINE;
  if (isDigit) member[k]!++;
  return isDigit;
}

/** Where the value that begins at `i` has its end. Loops, so that no input overflows a stack. */
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
    byte === OPEN_BRACE || byte === OPEN_BRACKET || isSpace(byte);
}

/** Where the string that begins, with its quote, at `i` has its end, behind the other quote. */
function skipString(bytes: Uint8Array, i: number): number {
  for (i++; bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
  return i + 1;
}

function skipSpace(bytes: Uint8Array, i: number): number {
  while (isSpace(bytes[i]!)) i++;
  return i;
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === CR;
}
