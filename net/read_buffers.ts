/**
 * Owns how much memory the buffers of all connections of a server take together that are read into,
 * and its bound. Must not know what is in them.
 *
 * A buffer is large for one of two reasons. It holds much of a line whose end has not come: then it
 * grows as it needs, and who is told of an excess has to see to it that lines are given up. Or its
 * peer is busy, and each read is to bring much: that is worth a half of the bound at most.
 *
 * @module
 */

/** The bound of the read buffers of one server. */
export class ReadBuffers {
  /** How many bytes they have, beside a few hundred for each. */
  bytes = 0;
  readonly maxBytes: number;
  readonly #onExcess: () => void;
  #count = 0;
  #isTold = false;

  /** Makes a bound that calls `onExcess` after a turn in which it was exceeded. */
  constructor(maxBytes: number, onExcess: () => void) {
    this.maxBytes = maxBytes;
    this.#onExcess = onExcess;
  }

  /**
   * How large a buffer may be so that reads bring much, in bytes. While a quarter of the bound is in
   * use, no more than an equal share of another quarter.
   */
  get most(): number {
    const quarter = this.maxBytes / 4;
    return this.bytes <= quarter ? Infinity : Math.floor(quarter / this.#count);
  }

  /** There is one buffer more. */
  join(): void {
    this.#count++;
  }

  /** There is one buffer fewer; it has no bytes any more. */
  leave(): void {
    this.#count--;
  }

  /** A buffer has got `bytes` bytes more, or fewer. */
  add(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes <= this.maxBytes || this.#isTold) return;
    this.#isTold = true;
    queueMicrotask(() => {
      this.#isTold = false;
      this.#onExcess();
    });
  }
}
