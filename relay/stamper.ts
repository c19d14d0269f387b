/**
 * Writes the offsets of kept events into the lines that clients receive.
 *
 * @module
 */

import { Block, type Lines } from "../net/piece.ts";
import { increment, insertMember, memberBytes, withNumbers } from "../protocol/envelope.ts";
import { NOTHING } from "../protocol/utf8.ts";

const NO_BLOCK = new Block(NOTHING);

/** Smallest and largest memory for stamped lines, in bytes. It doubles while a block goes on. */
const MIN_MEMORY_BYTES = 1024;
const MAX_MEMORY_BYTES = 65_536;

/** Writes the offsets into kept events, once for all groups that receive them. */
export class Stamper {
  /** The events to be stamped: the offset of the first one, and their number. */
  #offset = 0;
  #count = 0;
  #isMade = false;
  /** The stamped events. */
  readonly #made: { -readonly [K in keyof Lines]: Lines[K] } = {
    block: NO_BLOCK,
    start: 0,
    end: 0,
  };
  /** The member with the offset of the last single event, and this offset. */
  #member = memberBytes("offset", 0);
  #memberOffset = 0;
  /** The block of the last single event. */
  #source = NO_BLOCK;
  #sourceView = viewOf(NO_BLOCK);
  /** Memory for single events, which are adjacent, and how much of it is in use. */
  #target = NO_BLOCK;
  #targetView = viewOf(NO_BLOCK);
  #used = 0;

  /** Returns the stamp of one event. It is valid until the next call. */
  prepare(offset: number): (line: Lines) => Lines {
    this.#offset = offset;
    this.#isMade = false;
    return this.#one;
  }

  /** Returns the stamp of `count` events. It is valid until the next call. */
  prepareRun(offset: number, count: number): (lines: Lines) => Lines {
    this.#count = count;
    this.prepare(offset);
    return this.#run;
  }

  /** Starts over with new memory. Earlier lines stay valid for their holders. */
  reset(): void {
    if (this.#used === 0) return;
    this.#source = this.#target = NO_BLOCK;
    this.#used = 0;
  }

  readonly #one = (line: Lines): Lines => this.#isMade ? this.#made : this.#stamp(line);

  #stamp({ block, start, end }: Lines): Lines {
    const member = this.#memberOf(this.#offset);
    this.#reserve(end - start + member.length);
    if (block !== this.#source) {
      this.#source = block;
      this.#sourceView = viewOf(block);
    }
    const at = this.#used;
    this.#used = insertMember(this.#sourceView, start, end, member, this.#targetView, at);
    return this.#keep(this.#target, at, this.#used);
  }

  #reserve(length: number): void {
    const { length: size } = this.#target.bytes;
    if (this.#used + length <= size) return;
    const larger = Math.min(Math.max(MIN_MEMORY_BYTES, 2 * size), MAX_MEMORY_BYTES);
    this.#target = new Block(new Uint8Array(Math.max(length, larger)));
    this.#targetView = viewOf(this.#target);
    this.#used = 0;
  }

  readonly #run = ({ block, start, end }: Lines): Lines => {
    if (this.#isMade) return this.#made;
    const lines = block.bytes.subarray(start, end);
    const bytes = withNumbers(lines, this.#offset, this.#count, "offset");
    return this.#keep(new Block(bytes), 0, bytes.length);
  };

  #keep(block: Block, start: number, end: number): Lines {
    this.#isMade = true;
    this.#made.block = block;
    this.#made.start = start;
    this.#made.end = end;
    return this.#made;
  }

  /** Returns the member of an offset, mostly by adding one to the last. */
  #memberOf(offset: number): Uint8Array {
    const isNext = offset === this.#memberOffset + 1 && increment(this.#member);
    if (!isNext) this.#member = memberBytes("offset", offset);
    this.#memberOffset = offset;
    return this.#member;
  }
}

function viewOf({ bytes: { buffer, byteOffset, length } }: Block): DataView {
  return new DataView(buffer, byteOffset, length);
}
