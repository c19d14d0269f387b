/**
 * Owns the lines that went out on one connection and have not been acknowledged, in their order, and
 * where in the stream of bytes each of them ends. Must not know sockets, or who acknowledges.
 *
 * @module
 */

/** How many settled entries may stay before the lists are cut. */
const MAX_SETTLED = 1024;

/** What became of the lines of a connection that has ended. */
export interface Settlement {
  /** Those that the peer may have got. */
  readonly unconfirmed: Uint8Array[];
  /** Those that it cannot have got whole. */
  readonly unsent: Uint8Array[];
}

/** A first-in, first-out list of lines. */
export class InFlightLines {
  #lines: Uint8Array[] = [];
  /** Where each of them ends, in bytes from the start of the stream. */
  #ends: number[] = [];
  /** How many of the listed lines have been settled. */
  #first = 0;
  /** How many lines have been settled in all. */
  #settled = 0;
  /** How many of all lines the peer has taken, as it says, and of how many nobody waits for its word. */
  #acknowledged = 0;
  #forgotten = 0;
  #bytes = 0;

  /** How many lines are open. */
  get length(): number {
    return this.#lines.length - this.#first;
  }

  /** How many bytes the open lines have. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the peer has taken all lines that were given up, or none were. */
  get isComplete(): boolean {
    return this.#acknowledged >= this.#forgotten;
  }

  /** Notes a line that ends at byte `end` of the stream. */
  add(line: Uint8Array, end: number): void {
    this.#lines.push(line);
    this.#ends.push(end);
    this.#bytes += line.length;
  }

  /** The peer has taken the first `count` of all lines. One that claims more has taken them all. */
  acknowledge(count: number): void {
    const due = Math.min(count - this.#settled, this.length);
    if (due > 0) this.#settle(due);
    this.#acknowledged = Math.max(this.#acknowledged, count);
  }

  /** Gives up the lines that end at or before byte `position`: nobody will say what became of them. */
  forget(position: number): void {
    const due = this.#countUpTo(position);
    if (due === 0) return;
    this.#settle(due);
    this.#forgotten = this.#settled;
  }

  /** Divides the open lines by whether they end at or before byte `position`, and forgets them. */
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
    // Lets go of the lines, at a cost of less than two copies of each entry.
    if (this.length === 0 || this.#first > Math.max(MAX_SETTLED, this.length)) {
      this.#lines = this.#lines.slice(this.#first);
      this.#ends = this.#ends.slice(this.#first);
      this.#first = 0;
    }
  }
}
