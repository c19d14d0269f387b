/**
 * How lines stand on the wire: as they are, or wrapped for another protocol.
 *
 * @module
 */

import { LF } from "../protocol/ascii.ts";
import { type Copied, copyNumbered, numbersLength } from "../protocol/envelope.ts";
import { encoder, NOTHING } from "../protocol/utf8.ts";

/** An encoding of lines. Encoded lines follow one another without a gap. */
export interface Encoding {
  /**
   * Encodes whole lines.
   *
   * @param lines The lines, each with its `\n`.
   * @param areEvents Whether all of them are events. Otherwise they are control lines.
   */
  encode(lines: Uint8Array, areEvents: boolean): Uint8Array;
  /** Returns the number of encoded lines that end before `end`. `bytes` start with a line. */
  countLines(bytes: Uint8Array, end?: number): number;
  /**
   * Returns the end of the encoded line that contains the byte at `at`, or 0 if it is incomplete.
   * A line starts at `start`, by default 0, unless the encoding {@link isSelfDelimiting}.
   */
  endOfLine(bytes: Uint8Array, at: number, start?: number): number;
  /** Whether the next line can be found from anywhere in the bytes. */
  readonly isSelfDelimiting: boolean;
  /** Access to the events, or `null` if peers with this encoding cannot ask for it. */
  readonly events: EventAccess | null;
}

/** Access to encoded events, for peers that ask for numbers or announce how much they can take. */
export interface EventAccess {
  /** Returns the bytes that numbers from `first` on add to `count` encoded events in `bytes`. */
  addedLength(bytes: Uint8Array, first: number, count: number): number;
  /** Copies encoded events with numbers, as `copyNumbered()` does for plain lines. */
  copyNumbered(bytes: Uint8Array, first: number, target: Uint8Array, at: number): Copied;
  /**
   * Returns the length of the head of the encoded event that starts at `start`, and the head that it
   * has if its text is `added` bytes longer.
   */
  headOf(bytes: Uint8Array, start: number, added: number): { length: number; longer: Uint8Array };
  /** Returns the length of the encoded line from `start` to `end` as a plain line with its `\n`. */
  plainLength(bytes: Uint8Array, start: number, end: number): number;
  /** Returns whether the encoded line that starts at `start` is a control line. */
  isControl(bytes: Uint8Array, start: number): boolean;
}

/**
 * The start of each control line that we write. An event never starts with it, because it has no
 * member `control`.
 */
const CONTROL = encoder.encode('{"control":');

/** Returns whether the text that starts at `start` is a control line. */
export function isControlAt(bytes: Uint8Array, start: number): boolean {
  return CONTROL.every((byte, i) => bytes[start + i] === byte);
}

/** Lines as they are. */
export const LINES: Encoding = {
  encode: (lines) => lines,
  countLines,
  endOfLine: (bytes, at) => bytes.indexOf(LF, at) + 1,
  isSelfDelimiting: true,
  events: {
    addedLength: (_, first, count) => numbersLength(first, count),
    copyNumbered,
    headOf: () => ({ length: 0, longer: NOTHING }),
    plainLength: (_, start, end) => end - start,
    isControl: isControlAt,
  },
};

function countLines(bytes: Uint8Array, end = bytes.length): number {
  let lines = 0;
  for (let i = bytes.indexOf(LF); i >= 0 && i < end; i = bytes.indexOf(LF, i + 1)) lines++;
  return lines;
}
