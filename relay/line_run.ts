/**
 * Gathers events that arrived one right after the other, so that they are kept in one go.
 *
 * @module
 */

import { Block, type Lines } from "../net/piece.ts";
import { NOTHING } from "../protocol/utf8.ts";

const NO_BLOCK = new Block(NOTHING);

/** Adjacent lines of one block. */
export class LineRun implements Lines {
  block: Block = NO_BLOCK;
  start = 0;
  end = 0;
  /** Number of its events. */
  count = 0;

  readonly #maxBytes: number;
  readonly #maxEvents: number;

  /** Creates an empty run. More than this is gathered only where it comes in one go. */
  constructor(maxBytes = Infinity, maxEvents = Infinity) {
    this.#maxBytes = maxBytes;
    this.#maxEvents = maxEvents;
  }

  /** Whether the run is empty, or ends where the lines of `count` events begin, and has room for them. */
  isNext({ block, start, end }: Lines, count: number): boolean {
    if (this.count === 0) return true;
    return block === this.block && start === this.end &&
      end - this.start <= this.#maxBytes && this.count + count <= this.#maxEvents;
  }

  /** Adds the lines of `count` events, which must be the next. */
  add({ block, start, end }: Lines, count: number): void {
    if (this.count === 0) {
      this.block = block;
      this.start = start;
    }
    this.end = end;
    this.count += count;
  }

  /** Makes the run empty. */
  clear(): void {
    this.block = NO_BLOCK;
    this.count = 0;
  }
}
