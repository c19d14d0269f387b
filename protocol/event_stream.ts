/**
 * The encoding of lines as server-sent events (WHATWG HTML, section 9.2), for clients that only
 * read: `curl -N` and the `EventSource` of browsers.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import * as ascii from "./ascii.ts";
import { encoder } from "./utf8.ts";

const { LF, CR, SPACE, LOWER_E, LOWER_I } = ascii;

/** The media type of a stream (section 9.2.5). */
export const EVENT_STREAM = "text/event-stream";

/** A message that readers ignore: an empty comment. It takes the place of an empty line. */
export const KEEP_ALIVE: Uint8Array = encoder.encode(":\n\n");

/**
 * The bytes around each line. An event has no `event:` field, because `message`, the default, is
 * the type that an `EventSource` delivers to `onmessage`. A name that a client has chosen must not
 * be able to look like a control line.
 *
 * The fields `event:` and `id:` come last, so that only the first line of a message can begin with
 * `d` or `:`.
 */
export const DATA: Uint8Array = encoder.encode("data: ");
const COMMENT = encoder.encode(":");
const EVENT_END = encoder.encode("\n");
const CLOSE_END = encoder.encode("event: close\n\n");
const CONTROL_END = encoder.encode("event: control\n\n");

/** The beginnings of control lines, as `control.ts` writes them. */
const CLOSE_START = encoder.encode('{"control":"close"');
const CONTROL_START = encoder.encode('{"control":');

/**
 * Returns one message for each line.
 *
 * | line | message |
 * | --- | --- |
 * | event | `data: LINE` |
 * | control line `close` | `data: LINE`, `event: close` |
 * | any other control line | `data: LINE`, `event: control` |
 * | empty line | `:` |
 *
 * A carriage return ends a line of a stream, and is white space in JSON. So it becomes a space.
 *
 * @param lines Whole lines: valid events, and control lines of our own.
 * @param areEvents Whether all of them are events. Otherwise, each line is looked at.
 */
export function encodeEventStream(lines: Uint8Array, areEvents: boolean): Uint8Array {
  const { ends, hasReturns } = findEnds(lines);
  const messages = areEvents ? encodeEvents(lines, ends) : encodeAny(lines, ends);
  if (hasReturns) replaceReturns(messages);
  return messages;
}

function encodeEvents(lines: Uint8Array, ends: readonly number[]): Uint8Array {
  const added = DATA.length + EVENT_END.length;
  const messages = new Uint8Array(lines.length + added * ends.length);
  let at = 0;
  let start = 0;
  for (let i = 0; i < ends.length; i++) {
    const end = ends[i]!;
    for (let k = 0; k < DATA.length; k++) messages[at++] = DATA[k]!;
    messages.set(lines.subarray(start, end), at);
    at += end - start;
    messages[at++] = LF;
    start = end;
  }
  return messages;
}

function encodeAny(lines: Uint8Array, ends: readonly number[]): Uint8Array {
  return concat(ends.map((end, i) => messageOf(lines.subarray(ends[i - 1] ?? 0, end))));
}

/** Returns the message of one line, in which carriage returns stay. */
export function messageOf(line: Uint8Array): Uint8Array {
  return concat([line.length === 1 ? COMMENT : DATA, line, endOf(line)]);
}

/** Returns whether a line is a control line. */
export function isControl(line: Uint8Array): boolean {
  return startsWith(line, CONTROL_START);
}

/** Returns the rest of the message of a line. */
function endOf(line: Uint8Array): Uint8Array {
  if (startsWith(line, CLOSE_START)) return CLOSE_END;
  return isControl(line) ? CONTROL_END : EVENT_END;
}

/** Four bytes of 0x20, and the top bit of each. */
const SPACES = 0x20202020;
const TOP_BITS = 0x80808080;

/**
 * Returns the end of each line, after its line end, and whether there is any carriage return.
 *
 * Only white space is below 0x20 in a line, so a word without such a byte has neither. Two words at
 * a time take half as long as a search for each of the two.
 */
export function findEnds(lines: Uint8Array): { ends: number[]; hasReturns: boolean } {
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

function startsWith(line: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, i) => line[i] === byte);
}

/** Replaces each carriage return with a space. */
export function replaceReturns(messages: Uint8Array): void {
  for (let i = messages.indexOf(CR); i >= 0; i = messages.indexOf(CR, i + 1)) messages[i] = SPACE;
}

/** Returns the number of messages that end before `end`. The bytes may begin within a message. */
export function countMessages(bytes: Uint8Array, end: number = bytes.length): number {
  let messages = 0;
  for (let i = endOfMessage(bytes, 0); i > 0 && i <= end; i = endOfMessage(bytes, i)) messages++;
  return messages;
}

/**
 * Returns the end of the message that contains the byte at `at`, after its empty line. Returns 0
 * if it does not end in `bytes`. These may begin within a message, and must not end in the middle
 * of the two line ends that end one.
 */
export function endOfMessage(bytes: Uint8Array, at: number): number {
  for (let i = bytes.indexOf(LF, at); i >= 0; i = bytes.indexOf(LF, i + 1)) {
    const isLast = i > 0 ? bytes[i - 1] === LF : !isWithin(bytes[1]);
    if (isLast) return i + 1;
  }
  return 0;
}

/** Returns whether a line of a message that is not its first one begins with this byte. */
function isWithin(byte: number | undefined): boolean {
  return byte === LF || byte === LOWER_E || byte === LOWER_I;
}
