/**
 * Blocks from the disk that stay in memory for a while, because clients that return together read
 * the same ones.
 *
 * @module
 */

import type { KeptBlock } from "./kept_block.ts";

/** A block that is being read, or has been. */
interface Entry {
  readonly block: Promise<KeptBlock>;
  /** Its memory, in bytes, once it has been read. */
  bytes: number;
}

/** Remembers blocks up to a limit, the latest ones. */
export class BlockCache {
  readonly #maxBytes: number;
  /** The blocks by the offset that was asked for, the latest last. */
  readonly #entries = new Map<number, Entry>();
  #bytes = 0;

  /** Creates a cache. It keeps the latest block even if this alone exceeds `maxBytes`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Returns the block that was read for an offset, or `undefined`. */
  get(offset: number): Promise<KeptBlock> | undefined {
    return this.#entries.get(offset)?.block;
  }

  /** Adds the block that is being read for an offset. It is forgotten if it does not contain that. */
  add(offset: number, block: Promise<KeptBlock>): void {
    const entry = { block, bytes: 0 };
    this.#entries.set(offset, entry);
    block.then(
      ({ first, memory }) => {
        if (first > offset) this.#drop(offset, entry);
        else this.#count(offset, entry, memory.length);
      },
      () => this.#drop(offset, entry),
    );
  }

  /** Forgets all blocks. */
  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  /** Counts the memory of a block that has been read, and forgets others if there is too much. */
  #count(offset: number, entry: Entry, bytes: number): void {
    if (this.#entries.get(offset) !== entry) return; // It was forgotten meanwhile.
    entry.bytes = bytes;
    this.#bytes += bytes;
    for (const [other, each] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) return;
      const isRead = each.bytes > 0; // Others take no memory yet.
      if (isRead && each !== entry) this.#drop(other, each);
    }
  }

  #drop(offset: number, entry: Entry): void {
    if (this.#entries.get(offset) !== entry) return;
    this.#entries.delete(offset);
    this.#bytes -= entry.bytes;
  }
}
