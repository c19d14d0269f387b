/**
 * The lines sent on one connection and not acknowledged, in their order, with their end positions
 * in the byte stream.
 *
 * @module
 */

/** The number of settled entries to keep before the arrays are compacted. */
const MAX_SETTLED = 1024;

/** The fate of the lines of a connection that has ended. */
export interface Settlement {
  /** The lines that the peer may have received. */
  readonly unconfirmed: Uint8Array[];
  /** The lines that the peer cannot have received completely. */
  readonly unsent: Uint8Array[];
}

/** A first-in, first-out list of lines. */
export class InFlightLines {
  #lines: Uint8Array[] = [];
  /** The end position of each line, in bytes from the start of the stream. */
  #ends: number[] = [];
  /** The number of listed lines that are settled. */
  #first = 0;
  /** The number of settled lines in total. */
  #settled = 0;
  /**
   * The number of lines that the peer has acknowledged, and the number released without
   * acknowledgement.
   */
  #acknowledged = 0;
  #forgotten = 0;
  #bytes = 0;

  /** The number of open lines. */
  get length(): number {
    return this.#lines.length - this.#first;
  }

  /** The number of bytes of the open lines. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the peer has acknowledged all released lines, or none were released. */
  get isComplete(): boolean {
    return this.#acknowledged >= this.#forgotten;
  }

  /** Adds a line that ends at byte `end` of the stream. */
  add(line: Uint8Array, end: number): void {
    this.#lines.push(line);
    this.#ends.push(end);
    this.#bytes += line.length;
  }

  /**
   * Settles the first `count` of all lines, because the peer has acknowledged them. A larger count
   * settles all of them.
   */
  acknowledge(count: number): void {
    const due = Math.min(count - this.#settled, this.length);
    if (due > 0) this.#settle(due);
    this.#acknowledged = Math.max(this.#acknowledged, count);
  }

  /** Releases the lines that end at or before byte `position`. They will not be acknowledged. */
  forget(position: number): void {
    const due = this.#countUpTo(position);
    if (due === 0) return;
    this.#settle(due);
    this.#forgotten = this.#settled;
  }

  /**
   * Splits the open lines at byte `position` of the stream, and removes them.
   *
   * @returns The lines that end at or before `position` as `unconfirmed`, and the others as
   * `unsent`.
   */
  close(position: number): Settlement {
    const middle = this.#first + this.#countUpTo(position);
    const unconfirmed = this.#lines.slice(this.#first, middle);
    const unsent = this.#lines.slice(middle);
    this.#settle(this.length);
    return { unconfirmed, unsent };
  }

  #countUpTo(position: number): number {
    let at = this.#first;
    while (at < this.#ends.length && this.#ends[at]! <= position) at++;
    return at - this.#first;
  }

  #settle(count: number): void {
    const end = this.#first + count;
    for (let i = this.#first; i < end; i++) this.#bytes -= this.#lines[i]!.length;
    this.#first = end;
    this.#settled += count;
    // Releases the lines, at a cost of less than two copies of each entry.
    if (this.length === 0 || this.#first > Math.max(MAX_SETTLED, this.length)) {
      this.#lines = this.#lines.slice(this.#first);
      this.#ends = this.#ends.slice(this.#first);
      this.#first = 0;
    }
  }
}
