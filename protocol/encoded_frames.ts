/**
 * Counts encoded text messages, finds their ends, and inserts numbers into them.
 *
 * The functions trust their input, which must begin with a frame.
 *
 * @module
 */

import * as ascii from "./ascii.ts";
import { type Copied, increment, memberBytes } from "./envelope.ts";
import { headLength, WHOLE_TEXT, writeHead } from "./frame_encoder.ts";

const { OPEN_BRACE } = ascii;

/** The rest of a line is copied by a loop up to this length, in bytes, because a call takes longer. */
const NEAR_BYTES = 256;

/** Returns the number of text messages that end at or before `end`. */
export function countFrames(bytes: Uint8Array, end = bytes.length): number {
  let frames = 0;
  for (let i = 0; i < end;) {
    const next = endAt(bytes, i);
    if (next <= end && isText(bytes, i)) frames++;
    i = next;
  }
  return frames;
}

/**
 * Returns the end of the frame that contains the byte at `at`, or 0 if it is incomplete. A frame
 * begins at `start`.
 */
export function endOfFrame(bytes: Uint8Array, at: number, start = 0): number {
  let end = start;
  while (end <= at) end = endAt(bytes, end);
  return end <= bytes.length ? end : 0;
}

/**
 * Returns the total length of event frames after a number was inserted into each, in bytes. The
 * first event has the number `first`.
 */
export function numberedFramesLength(bytes: Uint8Array, first: number): number {
  let total = 0;
  let digits = String(first).length;
  let tooLong = 10 ** digits;
  for (let i = 0; i < bytes.length; i = endAt(bytes, i), first++) {
    if (first === tooLong) tooLong = 10 ** ++digits;
    const length = payloadLengthAt(bytes, i) + '"seq":,'.length + digits;
    total += headLength(length) + length;
  }
  return total;
}

/**
 * Copies event frames to `target` and inserts a number before all other members of each event, as
 * `copyNumbered()` does with lines. Stops before the first frame that does not fit.
 *
 * @param bytes The frames.
 * @param first The number of the first event.
 * @param target The destination of the copy.
 * @param at The position in `target` where the copy begins.
 */
export function copyNumberedFrames(
  bytes: Uint8Array,
  first: number,
  target: Uint8Array,
  at: number,
): Copied {
  const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const view = new DataView(target.buffer, target.byteOffset, target.length);
  let member = memberBytes("seq", first);
  const begin = at;
  let lines = 0;
  let i = 0;
  while (i < bytes.length) {
    const length = payloadLengthAt(bytes, i);
    const start = i + headLength(length);
    const numbered = length + member.length;
    if (at + headLength(numbered) + numbered > target.length) break;
    at = writeHead(target, at, numbered);
    i = start;
    for (let byte = 0; byte !== OPEN_BRACE;) target[at++] = byte = bytes[i++]!;
    for (let k = 0; k < member.length; k++) target[at++] = member[k]!;
    const end = start + length;
    if (end - i <= NEAR_BYTES) {
      for (; i + 4 <= end; i = i + 4 | 0, at = at + 4 | 0) {
        view.setInt32(at, source.getInt32(i, true), true);
      }
      while (i < end) target[at++] = bytes[i++]!;
    } else {
      target.set(bytes.subarray(i, end), at);
      at += end - i;
      i = end;
    }
    lines++;
    if (!increment(member)) member = memberBytes("seq", first + lines);
  }
  return { lines, read: i, written: at - begin };
}

/** Returns the end of the frame that begins at `i`. */
function endAt(bytes: Uint8Array, i: number): number {
  const length = payloadLengthAt(bytes, i);
  return i + headLength(length) + length;
}

/** Returns the length of the payload of the frame that begins at `i`, or `NaN` without its head. */
export function payloadLengthAt(bytes: Uint8Array, i: number): number {
  const length = bytes[i + 1]!;
  if (length < 126) return length;
  if (length === 126) return bytes[i + 2]! * 2 ** 8 + bytes[i + 3]!;
  return bytes[i + 6]! * 2 ** 24 + bytes[i + 7]! * 2 ** 16 + bytes[i + 8]! * 2 ** 8 + bytes[i + 9]!;
}

/** Returns whether the frame that begins at `i` is a text message. */
export function isText(bytes: Uint8Array, i: number): boolean {
  return bytes[i] === WHOLE_TEXT;
}
