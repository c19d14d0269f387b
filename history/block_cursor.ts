/**
 * The place of one reader in a log: the block with the events that come next, or how far these are
 * damaged.
 *
 * A block that came from the disk is kept while it contains what is asked for. One that is in memory
 * is asked for each time, because its memory is used again once the log has dropped it.
 *
 * @module
 */

import type { KeptBlock } from "./kept_block.ts";
import type { KeptLog } from "./log.ts";

/** What is known of the events from one offset to another. */
interface Known {
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  /** The block that contains them, or `null` if they are damaged. */
  readonly block: KeptBlock | null;
}

/** Reads the blocks of a log for one reader. */
export class BlockCursor {
  readonly #log: KeptLog;
  #known: Known | null = null;

  /** Creates a cursor without a place. */
  constructor(log: KeptLog) {
    this.#log = log;
  }

  /**
   * Returns the block that contains an event, or the offset up to which this one and those after it
   * are damaged, or a promise after which to ask again.
   *
   * @param offset The offset of the event, from `first` to `head` of the log.
   */
  at(offset: number): KeptBlock | number | Promise<void> {
    const known = this.#known;
    const isKnown = known?.epoch === this.#log.epoch && known.from <= offset && offset <= known.to;
    if (isKnown) return known.block ?? known.to;
    this.#known = null;
    const read = this.#log.read(offset);
    if (read instanceof Promise || read.last < offset) return this.#look(offset, read);
    return read.first > offset ? read.first - 1 : read;
  }

  async #look(offset: number, read: KeptBlock | Promise<KeptBlock>): Promise<void> {
    const { epoch } = this.#log;
    const block = await read;
    const { first, last } = block;
    if (first <= offset && offset <= last) {
      this.#known = { epoch, from: first, to: last, block };
      return;
    }
    // The block after a damaged part may be in memory, so it is not kept.
    const to = first > offset ? first - 1 : await this.#damagedTo(offset);
    this.#known = { epoch, from: offset, to, block: null };
  }

  /**
   * Returns the offset up to which events are damaged, if the block with the first of them ends too
   * early. All of them lead to this block, and the next event to a later one. Tries as many offsets
   * as the length of their number, because each takes a look at the disk.
   */
  async #damagedTo(offset: number): Promise<number> {
    let low = offset;
    let high = Infinity;
    let next = Infinity;
    for (let distance = 1; low + 1 < high; distance *= 2) {
      const { head } = this.#log;
      if (low >= head) return low;
      const middle = high < Infinity ? Math.floor((low + high) / 2) : low + distance;
      const tried = Math.min(middle, head);
      const { first, last } = await this.#log.read(tried);
      if (last < offset) {
        low = tried;
      } else {
        high = Math.min(tried, Math.max(first, low + 1));
        next = Math.max(first, high);
      }
    }
    return next - 1;
  }
}
