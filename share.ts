/**
 * Owns the part of a stream of lines that some clients get: pieces of the blocks that have come in,
 * joined once when they go out. Must not know lines, or who gets them.
 *
 * @module
 */

/** How many numbers there is room for at first, two for each piece. */
const MIN_BOUNDS = 16;

/** The most that stays for the next time: enough for a share of short lines that goes out in time. */
const MAX_KEPT_BOUNDS = 8192;

/** Pieces of blocks, in order. The blocks must not change. */
export class Share {
  /** How many bytes there are. */
  size = 0;

  readonly #blocks: Uint8Array[] = [];
  /** Where the bounds of the pieces of each block begin. */
  readonly #firsts: number[] = [];
  /** The block of the piece that was added last. */
  #block: Uint8Array | null = null;
  /** Where each piece begins and ends in its block. */
  #bounds = new Int32Array(MIN_BOUNDS);
  #count = 0;

  /** Adds the bytes of a block from `start` to `end`. */
  add(block: Uint8Array, start: number, end: number): void {
    this.size += end - start;
    if (block !== this.#block) {
      this.#block = block;
      this.#blocks.push(block);
      this.#firsts.push(this.#count);
    } else if (start === this.#bounds[this.#count - 1]) {
      this.#bounds[this.#count - 1] = end; // one piece with the one before
      return;
    }
    if (this.#count === this.#bounds.length) this.#grow();
    this.#bounds[this.#count++] = start;
    this.#bounds[this.#count++] = end;
  }

  #grow(): void {
    const bounds = new Int32Array(2 * this.#count);
    bounds.set(this.#bounds);
    this.#bounds = bounds;
  }

  /** All that was added, in one piece that never changes; nothing is left. */
  take(): Uint8Array {
    const bytes = this.#count === 2 ? this.#only() : this.#join();
    this.size = 0;
    this.#block = null;
    this.#blocks.length = 0;
    this.#firsts.length = 0;
    this.#count = 0;
    if (this.#bounds.length > MAX_KEPT_BOUNDS) this.#bounds = new Int32Array(MIN_BOUNDS);
    return bytes;
  }

  /** The one piece. A small part of a block is copied: as a view it would hold all of it in memory. */
  #only(): Uint8Array {
    const block = this.#block!;
    if (this.size === block.length) return block;
    const [start, end] = this.#bounds;
    const isSmall = 2 * this.size < block.buffer.byteLength;
    return isSmall ? block.slice(start, end) : block.subarray(start, end);
  }

  #join(): Uint8Array {
    const joined = new Uint8Array(this.size);
    const bounds = this.#bounds;
    let at = 0;
    let i = 0;
    for (let k = 0; k < this.#blocks.length; k++) {
      const block = this.#blocks[k]!;
      const last = this.#firsts[k + 1] ?? this.#count;
      for (; i < last; i += 2) {
        const start = bounds[i]!;
        const end = bounds[i + 1]!;
        joined.set(block.subarray(start, end), at);
        at += end - start;
      }
    }
    return joined;
  }
}
