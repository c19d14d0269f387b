/**
 * Memory for lines that a relay changes. The changed lines are adjacent, as the unchanged lines of
 * a block are, so that a client receives them in one piece.
 *
 * @module
 */

import { Block } from "../net/send_queue.ts";

const LF = 0x0a;
const OPEN_BRACE = 0x7b;

/** Maximum size of one allocation, in bytes, unless a single line needs more. */
const MAX_SHEET_BYTES = 65_536;

const NOTHING = new Block(new Uint8Array(0));

/** Holds the changed lines of one block. */
export class LineArena {
  /** Contains the last line, from `start` to `end`. Its bytes never change. */
  block: Block = NOTHING;
  start = 0;
  end = 0;

  /** Starts over with new memory. Earlier lines stay valid for their holders. */
  reset(): void {
    this.block = NOTHING;
    this.end = 0;
  }

  /**
   * Writes a line with a newline.
   *
   * @param text Contains the original line, without a newline, from `from` to `to`.
   * @param members Members to insert before all others, as `memberBytes()` returns them.
   * @param rest Number of bytes that will follow, as far as known.
   */
  write(text: Uint8Array, from: number, to: number, members: Uint8Array, rest: number): void {
    const length = to - from + members.length + 1;
    if (this.end + length > this.block.bytes.length) {
      const wanted = length + rest + (rest >> 2); // the rest will grow, too
      const size = Math.max(length, Math.min(wanted, MAX_SHEET_BYTES));
      this.block = new Block(new Uint8Array(size));
      this.end = 0;
    }
    const { bytes } = this.block;
    let at = this.start = this.end;
    let i = from;
    if (members.length > 0) {
      for (let byte = 0; byte !== OPEN_BRACE;) bytes[at++] = byte = text[i++]!;
      for (let k = 0; k < members.length; k++) bytes[at++] = members[k]!;
    }
    bytes.set(text.subarray(i, to), at);
    at += to - i;
    bytes[at++] = LF;
    this.end = at;
  }
}
