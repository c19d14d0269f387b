/**
 * The shared limit on the read buffers of all connections of a server.
 *
 * A buffer is large for one of two reasons. It may hold much of an unfinished line. It then grows
 * as needed, and the receiver of `onExcess` has to give up lines. Or its peer is busy, and large
 * reads are efficient. Such buffers may take half of the limit in total.
 *
 * @module
 */

/** The limit on the read buffers of one server. */
export class ReadBuffers {
  /** Total size of the buffers, in bytes, apart from a few hundred bytes for each. */
  bytes = 0;
  readonly maxBytes: number;
  readonly #onExcess: () => void;
  #count = 0;
  #isTold = false;

  /** Creates a limit that calls `onExcess` after a turn in which `maxBytes` was exceeded. */
  constructor(maxBytes: number, onExcess: () => void) {
    this.maxBytes = maxBytes;
    this.#onExcess = onExcess;
  }

  /**
   * Largest useful size of a single buffer, in bytes. While more than a quarter of the limit is in
   * use, it is an equal share of another quarter.
   */
  get maxBufferBytes(): number {
    const quarter = this.maxBytes / 4;
    return this.bytes <= quarter ? Infinity : Math.floor(quarter / this.#count);
  }

  /** Counts a new buffer. */
  join(): void {
    this.#count++;
  }

  /** Stops counting a buffer, which is empty by now. */
  leave(): void {
    this.#count--;
  }

  /** Counts bytes by which a buffer has grown, or shrunk if negative. */
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
