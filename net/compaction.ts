/**
 * Owns what is kept of blocks of which little waits: copies of that, so that the rest need not stay in
 * memory. Must not know queues, or whether memory is short.
 *
 * @module
 */

import { Block, Piece } from "./send_queue.ts";

/** The parts of one block that wait. */
interface Parts {
  /** The copy of each part, by where it begins and ends; `null` until there is one. */
  readonly copies: Map<string, Block | null>;
  /** How long they are together, those that overlap counted several times. */
  size: number;
}

/** One look at all that waits: first all pieces are to be noted, then replaced. */
export class Compaction {
  readonly #blocks = new Map<Block, Parts>();

  /** Notes a piece that waits. The same one may be noted several times. */
  note({ block, start, end }: Piece): void {
    let parts = this.#blocks.get(block);
    if (!parts) this.#blocks.set(block, parts = { copies: new Map(), size: 0 });
    const key = `${start} ${end}`;
    if (parts.copies.has(key)) return;
    parts.copies.set(key, null);
    parts.size += end - start;
  }

  /** What is to wait in the place of a piece: a copy if less than half of its block does, or the piece itself. */
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
