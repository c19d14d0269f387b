/**
 * The encoding of lines as server-sent events (WHATWG HTML, section 9.2), for clients that only
 * read: `curl -N` and the `EventSource` of browsers.
 *
 * @module
 */

import * as ascii from "./ascii.ts";
import { encoder } from "./utf8.ts";

const { LF, CR, SPACE } = ascii;

/** The media type of a stream (section 9.2.5). */
export const EVENT_STREAM = "text/event-stream";

/** A message that readers ignore: an empty comment. It takes the place of an empty line. */
export const KEEP_ALIVE: Uint8Array = encoder.encode(":\n\n");

/**
 * The bytes before each kind of line. An event has no `event:` field, because `message`, the
 * default, is the type that an `EventSource` delivers to `onmessage`. A name that a client has
 * chosen must not be able to look like a control line.
 */
const EVENT_HEAD = encoder.encode("data: ");
const CLOSE_HEAD = encoder.encode("event: close\ndata: ");
const CONTROL_HEAD = encoder.encode("event: control\ndata: ");
const EMPTY_HEAD = encoder.encode(":");

/** The beginnings of control lines, as `control.ts` writes them. */
const CLOSE_START = encoder.encode('{"control":"close"');
const CONTROL_START = encoder.encode('{"control":');

/**
 * Returns one message for each line.
 *
 * | line | message |
 * | --- | --- |
 * | event | `data: LINE` |
 * | control line `close` | `event: close`, `data: LINE` |
 * | any other control line | `event: control`, `data: LINE` |
 * | empty line | `:` |
 *
 * A carriage return ends a line of a stream, and is white space in JSON. So it becomes a space.
 *
 * @param lines Whole lines: valid events, and control lines of our own.
 * @param areEvents Whether all of them are events. Otherwise, each line is looked at.
 */
export function encodeEventStream(lines: Uint8Array, areEvents: boolean): Uint8Array {
  const { ends, hasReturns } = findEnds(lines);
  const heads = areEvents ? null : headsOf(lines, ends);
  const headBytes = heads
    ? heads.reduce((sum, { length }) => sum + length, 0)
    : EVENT_HEAD.length * ends.length;
  const messages = new Uint8Array(lines.length + headBytes + ends.length);
  let at = 0;
  let start = 0;
  for (let i = 0; i < ends.length; i++) {
    const end = ends[i]!;
    const head = heads ? heads[i]! : EVENT_HEAD;
    for (let k = 0; k < head.length; k++) messages[at++] = head[k]!;
    messages.set(lines.subarray(start, end), at);
    at += end - start;
    messages[at++] = LF;
    start = end;
  }
  if (hasReturns) replaceReturns(messages);
  return messages;
}

/** Four bytes of 0x20, and the top bit of each. */
const SPACES = 0x20202020;
const TOP_BITS = 0x80808080;

/**
 * Returns the end of each line, behind its line end, and whether there is any carriage return.
 *
 * Only white space is below 0x20 in a line, so a word without such a byte has neither. Two words at
 * a time take half as long as a search for each of the two.
 */
function findEnds(lines: Uint8Array): { ends: number[]; hasReturns: boolean } {
  const ends: number[] = [];
  let hasReturns = false;
  const view = new DataView(lines.buffer, lines.byteOffset, lines.length);
  const lastWords = lines.length - 8;
  for (let i = 0; i < lines.length;) {
    while (i <= lastWords) {
      const one = view.getInt32(i);
      const two = view.getInt32(i + 4);
      if (((one - SPACES & ~one) | (two - SPACES & ~two)) & TOP_BITS) break;
      i += 8;
    }
    for (const end = Math.min(i + 8, lines.length); i < end; i++) {
      const byte = lines[i];
      if (byte === LF) ends.push(i + 1);
      else if (byte === CR) hasReturns = true;
    }
  }
  return { ends, hasReturns };
}

/** Returns the bytes that stand before each line. */
function headsOf(lines: Uint8Array, ends: readonly number[]): Uint8Array[] {
  let start = 0;
  return ends.map((end) => {
    const line = lines.subarray(start, end);
    start = end;
    if (line.length === 1) return EMPTY_HEAD;
    if (startsWith(line, CLOSE_START)) return CLOSE_HEAD;
    return startsWith(line, CONTROL_START) ? CONTROL_HEAD : EVENT_HEAD;
  });
}

function startsWith(line: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, i) => line[i] === byte);
}

function replaceReturns(messages: Uint8Array): void {
  for (let i = messages.indexOf(CR); i >= 0; i = messages.indexOf(CR, i + 1)) messages[i] = SPACE;
}

/** Returns the number of messages that end before `end`. The bytes must begin with a message. */
export function countMessages(bytes: Uint8Array, end: number = bytes.length): number {
  let messages = 0;
  for (let i = endOfMessage(bytes, 0); i > 0 && i <= end; i = endOfMessage(bytes, i)) messages++;
  return messages;
}

/**
 * Returns the end of the message that contains the byte at `at`, behind its empty line. Returns 0
 * if it does not end in `bytes`, which must begin with a message.
 */
export function endOfMessage(bytes: Uint8Array, at: number): number {
  // `at` may be the second of the two line ends.
  for (let i = bytes.indexOf(LF, Math.max(0, at - 1)); i >= 0; i = bytes.indexOf(LF, i + 1)) {
    if (bytes[i + 1] === LF) return i + 2;
  }
  return 0;
}
