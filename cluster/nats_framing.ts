/**
 * Finds the messages in the bytes of a NATS server, so that nats.js gets each of them as a whole. It
 * collects one that comes in pieces in a buffer that it enlarges meanwhile, which costs two more
 * copies and most of the garbage of a busy relay. Does no I/O.
 *
 * @module
 */

import { LF, SPACE } from "../protocol/ascii.ts";
import { decoder } from "../protocol/utf8.ts";

/** The first bytes of `MSG` and `HMSG`. Nothing else that a server sends has a payload. */
const M = 0x4d;
const H = 0x48;

/** Length of the end of a payload, which its size does not include. */
const END_BYTES = 2;

/** Cuts the bytes of one server between two messages. */
export class NatsFraming {
  /** Bytes that are still to come of a message whose first ones have been passed on. */
  #rest = 0;

  /**
   * Returns how many of the first bytes are to be passed on now: those of whole messages. If there is
   * none, that is 0, or all of the bytes if no more would fit.
   */
  cut(bytes: Uint8Array, isFull: boolean): number {
    let end = Math.min(this.#rest, bytes.length);
    this.#rest -= end;
    for (;;) {
      const line = bytes.indexOf(LF, end);
      const next = line === -1 ? Infinity : line + 1 + payloadBytes(bytes, end, line);
      if (next > bytes.length && (end > 0 || !isFull)) return end;
      if (next > bytes.length) {
        this.#rest = line === -1 ? 0 : next - bytes.length;
        return bytes.length;
      }
      end = next;
    }
  }
}

/** Returns the length of the payload after the line from `start` to its `\n` at `end`. */
function payloadBytes(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] !== M && bytes[start] !== H) return 0;
  const size = bytes.subarray(bytes.lastIndexOf(SPACE, end) + 1, end);
  return Math.max(0, Number.parseInt(decoder.decode(size)) || 0) + END_BYTES;
}
