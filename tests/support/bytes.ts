/**
 * Short ways to write bytes in tests, and to cut them.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { Block } from "../../net/piece.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of `text` in UTF-8. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** A block of the bytes of `text` in UTF-8. */
export function blockOf(text: string): Block {
  return new Block(utf8(text));
}

/** The text of bytes that must be UTF-8. A byte order mark is kept. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/**
 * The bytes that `notation` stands for, as in the tables of `PROTOCOL.md`: printable ASCII stands
 * for itself, `<c3>` for the byte 0xc3, `<61*255>` for 255 times the byte 0x61, and `<>` for nothing.
 */
export function raw(notation: string): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const part of notation.matchAll(/<([^<>]*)>|[^<]+|</g)) {
    const [text, inside] = part;
    if (inside === undefined) {
      if (!/^[\x20-\x3b\x3d\x3f-\x7e]*$/.test(text)) {
        throw new TypeError(`Cannot read ${JSON.stringify(text)} in ${JSON.stringify(notation)}`);
      }
      parts.push(utf8(text));
    } else if (inside !== "") {
      const match = /^([0-9a-f]{2})(?:\*([1-9][0-9]*))?$/.exec(inside);
      if (!match) throw new TypeError(`Cannot read ${text} in ${JSON.stringify(notation)}`);
      parts.push(new Uint8Array(Number(match[2] ?? 1)).fill(Number.parseInt(match[1]!, 16)));
    }
  }
  return new Uint8Array(concat(parts));
}

/** `bytes` with a `\n` behind them. */
export function withNewline(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(concat([bytes, utf8("\n")]));
}

/** Copies of the pieces of `bytes` that begin at 0 and at each of the ascending `cuts`. */
export function cutAt(bytes: Uint8Array, cuts: number[]): Uint8Array<ArrayBuffer>[] {
  return [0, ...cuts].map((start, i) => new Uint8Array(bytes.subarray(start, cuts[i])));
}

/** One-byte copies of all of `bytes`. */
export function bytewise(bytes: Uint8Array): Uint8Array<ArrayBuffer>[] {
  return Array.from(bytes, (byte) => new Uint8Array([byte]));
}
