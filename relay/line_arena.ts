/**
 * Owns the memory of lines that a relay changes on their way. They lie one behind the other, as those do
 * that stay as they came, so that what one client gets of them is one piece. Must not know what is
 * changed, or why.
 *
 * @module
 */

import { Block } from "../net/send_queue.ts";

const LF = 0x0a;
const OPEN_BRACE = 0x7b;

/** How much memory is taken at once at most, unless a line needs more, in bytes. */
const MAX_SHEET_BYTES = 65_536;

const NOTHING = new Block(new Uint8Array(0));

/** Where lines are written that come of the lines of one block. */
export class LineArena {
  /** What the last line is in, from `start` to `end`; its bytes never change. */
  block: Block = NOTHING;
  start = 0;
  end = 0;

  /** Begins anew: what has been written is left to whoever has it. */
  reset(): void {
    this.block = NOTHING;
    this.end = 0;
  }

  /**
   * Writes the text of a line, which lies from `from` to `to`, with `members` in front of all others,
   * as `memberBytes()` gives them, and with a newline. `rest` says how many bytes more will follow, as
   * far as is known.
   */
  write(text: Uint8Array, from: number, to: number, members: Uint8Array, rest: number): void {
    const length = to - from + members.length + 1;
    if (this.end + length > this.block.bytes.length) {
      const wanted = length + rest + (rest >> 2); // the rest is going to grow, too
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
