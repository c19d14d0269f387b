/**
 * Copies those lines of a block that a reader asks for, and finds the last ones.
 *
 * @module
 */

import { LF, OPEN_BRACE } from "../protocol/ascii.ts";
import { encoder, NOTHING } from "../protocol/utf8.ts";
import type { KeptBlock } from "./kept_block.ts";
import { chooser, type LineChoice } from "./name_filter.ts";

/** How events of the history look to a reader. */
export interface LineForm {
  /** Whether each event gets its `offset`. */
  readonly hasOffset: boolean;
  /** A member that follows the offset, such as `"past":"h1",`. May be empty. */
  readonly member: Uint8Array;
}

/** Events as their senders wrote them, for a client that did not ask for offsets. */
export const PLAIN: LineForm = { hasOffset: false, member: NOTHING };

/** Events with their offsets. */
export const STAMPED: LineForm = { hasOffset: true, member: NOTHING };

/** Lines for a reader. */
export interface Extract {
  /** The lines, each with its `\n`. */
  readonly bytes: Uint8Array;
  /** Their number. */
  readonly events: number;
  /** The offset up to which lines have been looked at. */
  readonly to: number;
}

/** Number of lines to look at in one step. It takes about half a millisecond to index as many. */
export const MAX_LINES = 1024;

const OFFSET = encoder.encode('"offset":,');
const COMMA_AT = OFFSET.length - 1;

/**
 * Returns the events of a block from offset `from` to `to` that are chosen. Stops early once the
 * lines have `maxBytes`, after the line that exceeds this, or after {@link MAX_LINES} lines.
 */
export function extract(
  block: KeptBlock,
  from: number,
  to: number,
  choice: LineChoice,
  form: LineForm,
  maxBytes: number,
): Extract {
  const isChosen = chooser(block, choice);
  let line = block.lineFrom(from);
  const stop = block.lineFrom(to + 1);
  const end = Math.min(stop, line + MAX_LINES);
  const lines: number[] = [];
  let size = 0;
  for (; line < end && size < maxBytes; line++) {
    if (!isChosen(line)) continue;
    lines.push(line);
    const added = addedLength(block.offsetOf(line), form);
    size += block.startOf(line + 1) - block.startOf(line) + added;
  }
  const bytes = size > 0 ? new Uint8Array(size) : NOTHING;
  let at = 0;
  for (let i = 0; i < lines.length;) {
    const line = lines[i++]!;
    const start = block.startOf(line);
    let end = block.startOf(line + 1);
    // Unchanged lines that are adjacent are copied in one go.
    while (!form.hasOffset && lines[i] === lines[i - 1]! + 1) end = block.startOf(lines[i++]! + 1);
    at = writeLine(bytes, at, block.memory, start, end, block.offsetOf(line), form);
  }
  const lookedTo = line < stop ? block.offsetOf(line) - 1 : Math.min(to, block.last);
  return { bytes, events: lines.length, to: lookedTo };
}

/** Returns by how many bytes an event gets longer. */
export function addedLength(offset: number, { hasOffset, member }: LineForm): number {
  return hasOffset ? OFFSET.length + digitsOf(offset) + member.length : 0;
}

/**
 * Writes the line from `start` to `end` of `source` in a form, to `target` from `at` on. Returns the
 * position after it.
 */
export function writeLine(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
  offset: number,
  { hasOffset, member }: LineForm,
): number {
  if (hasOffset) {
    for (let byte = 0; byte !== OPEN_BRACE;) target[at++] = byte = source[start++]!;
    for (let i = 0; i < COMMA_AT; i++) target[at++] = OFFSET[i]!;
    at += digitsOf(offset);
    for (let k = at - 1, rest = offset;;) {
      target[k--] = 0x30 + rest % 10;
      rest = Math.floor(rest / 10);
      if (rest === 0) break;
    }
    target[at++] = OFFSET[COMMA_AT]!;
    for (let i = 0; i < member.length; i++) target[at++] = member[i]!;
  }
  target.set(source.subarray(start, end), at);
  return at + end - start;
}

function digitsOf(number: number): number {
  let digits = 1;
  for (let limit = 10; number >= limit; limit *= 10) digits++;
  return digits;
}

/** The place of the last events that are chosen. */
export interface Found {
  /** How many there are, at most as many as asked for. */
  readonly count: number;
  /** The offset of the first of them. Unset if there is none. */
  readonly offset?: number;
}

/** Returns the last `count` events of a block up to the offset `to` that are chosen. */
export function findLast(block: KeptBlock, to: number, choice: LineChoice, count: number): Found {
  const isChosen = chooser(block, choice);
  let found: Found = { count: 0 };
  for (let line = block.lineFrom(to + 1) - 1; line >= 0 && found.count < count; line--) {
    if (isChosen(line)) found = { count: found.count + 1, offset: block.offsetOf(line) };
  }
  return found;
}

/** Returns the number of lines between two positions. Each ends in `\n`. */
export function countLines(bytes: Uint8Array, start: number, end: number): number {
  let lines = 0;
  for (let at = start; at < end; lines++) at = bytes.indexOf(LF, at) + 1;
  return lines;
}
