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
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
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
