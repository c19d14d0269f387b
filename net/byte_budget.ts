/**
 * Limits on the memory of all connections of one server.
 *
 * @module
 */

/** A number of bytes, and its limit. */
export class ByteBudget {
  /** Number of bytes in use. */
  bytes = 0;
  readonly maxBytes: number;
  readonly #onExcess: () => void;
  #isTold = false;

  /** Creates a budget that calls `onExcess` after a turn in which `maxBytes` was exceeded. */
  constructor(maxBytes = Infinity, onExcess = (): void => {}) {
    this.maxBytes = maxBytes;
    this.#onExcess = onExcess;
  }

  /** Adds `bytes` to the number, or subtracts them if negative. */
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

/**
 * The total size of the read buffers, apart from a few hundred bytes for each.
 *
 * A buffer is large for one of two reasons. It may hold much of an unfinished line. It then grows
 * as needed, and the receiver of `onExcess` has to give up lines. Or its peer is busy, and large
 * reads are efficient. Such buffers may take half of the limit in total.
 */
export class ReadBuffers extends ByteBudget {
  /** Number of buffers. */
  buffers = 0;

  /**
   * Largest useful size of a single buffer, in bytes. While more than a quarter of the limit is in
   * use, it is an equal share of another quarter.
   */
  get maxBufferBytes(): number {
    const quarter = this.maxBytes / 4;
    return this.bytes <= quarter ? Infinity : Math.floor(quarter / this.buffers);
  }
}
