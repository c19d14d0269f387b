/**
 * Replaces blocks that are mostly written by copies of their queued parts, so that the blocks can
 * be freed.
 *
 * @module
 */

import { Block, Piece } from "./piece.ts";

/** The queued parts of one block. */
interface Parts {
  /** The copy of each part by its start and end, or `null` if there is none yet. */
  readonly copies: Map<string, Block | null>;
  /** Total size of the parts, in bytes. Overlaps count several times. */
  size: number;
}

/** One pass over all queues. First note all pieces, then replace them. */
export class Compaction {
  readonly #blocks = new Map<Block, Parts>();

  /** Notes a queued piece. The same piece may be noted several times. */
  note({ block, start, end }: Piece): void {
    let parts = this.#blocks.get(block);
    if (!parts) this.#blocks.set(block, parts = { copies: new Map(), size: 0 });
    const key = `${start} ${end}`;
    if (parts.copies.has(key)) return;
    parts.copies.set(key, null);
    parts.size += end - start;
  }

  /**
   * Returns the replacement of a piece: a copy if less than half of its block is queued, otherwise
   * the piece itself.
   */
  replace(piece: Piece): Piece {
    const { block, start, end, events, number } = piece;
    const parts = this.#blocks.get(block);
    if (!parts || 2 * parts.size > block.bytes.length) return piece;
    const key = `${start} ${end}`;
    let copy = parts.copies.get(key);
    if (!copy) parts.copies.set(key, copy = new Block(block.bytes.slice(start, end)));
    return new Piece(copy, 0, end - start, events, number);
  }
}
