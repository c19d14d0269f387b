/**
 * Owns the part of a stream of lines that some clients get: pieces of the blocks that have come in,
 * joined once when they go out. Must not know lines, or who gets them.
 *
 * @module
 */

/** Pieces of blocks, in order. The blocks must not change. */
export class Share {
  /** How many bytes there are. */
  size = 0;

  /** The piece that was added last, which grows while what follows it is added. */
  #block: Uint8Array | null = null;
  #start = 0;
  #end = 0;
  /** The pieces before it, and where each begins and ends in its block. */
  readonly #blocks: Uint8Array[] = [];
  readonly #bounds: number[] = [];

  /** Adds the bytes of a block from `start` to `end`. */
  add(block: Uint8Array, start: number, end: number): void {
    this.size += end - start;
    if (start === this.#end && block === this.#block) {
      this.#end = end;
      return;
    }
    if (this.#block) {
      this.#blocks.push(this.#block);
      this.#bounds.push(this.#start, this.#end);
    }
    this.#block = block;
    this.#start = start;
    this.#end = end;
  }

  /** All that was added, in one piece that never changes; nothing is left. */
  take(): Uint8Array {
    const bytes = this.#blocks.length === 0 ? this.#only() : this.#join();
    this.size = 0;
    this.#block = null;
    this.#end = 0;
    this.#blocks.length = 0;
    this.#bounds.length = 0;
    return bytes;
  }

  /** The one piece. A small part of a block is copied: as a view it would hold all of it in memory. */
  #only(): Uint8Array {
    const block = this.#block!;
    if (this.size === block.length) return block;
    const isSmall = 2 * this.size < block.buffer.byteLength;
    return isSmall ? block.slice(this.#start, this.#end) : block.subarray(this.#start, this.#end);
  }

  #join(): Uint8Array {
    const joined = new Uint8Array(this.size);
    const bounds = this.#bounds;
    let at = 0;
    for (let i = 0; i < this.#blocks.length; i++) {
      const start = bounds[2 * i]!;
      const end = bounds[2 * i + 1]!;
      joined.set(this.#blocks[i]!.subarray(start, end), at);
      at += end - start;
    }
    joined.set(this.#block!.subarray(this.#start, this.#end), at);
    return joined;
  }
}
