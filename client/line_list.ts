/**
 * The outgoing lines of a client in their order: first those in flight, then those that wait.
 *
 * @module
 */

/** The number of settled lines to keep in the array before it is compacted. */
const MAX_SETTLED = 1024;

/** Takes the place of a settled line in the array. */
const SETTLED = new Uint8Array();

/** A first-in, first-out list of lines. */
export class LineList {
  /** The number of bytes in flight, and of waiting bytes. */
  bytesInFlight = 0;
  waitingBytes = 0;
  #lines: Uint8Array[] = [];
  /** The end of each line before `#next`, in bytes from the start of the connection's stream. */
  #ends: number[] = [];
  /** The index of the first line in flight, and of the first one that waits. */
  #first = 0;
  #next = 0;

  /** The number of lines. */
  get length(): number {
    return this.#lines.length - this.#first;
  }

  /** The number of lines in flight. */
  get inFlight(): number {
    return this.#next - this.#first;
  }

  /** The number of waiting lines. */
  get waiting(): number {
    return this.#lines.length - this.#next;
  }

  /** Returns the waiting lines. */
  waitingLines(): Uint8Array[] {
    return this.#lines.slice(this.#next);
  }

  /** Returns the first waiting line. There must be one. */
  peek(): Uint8Array {
    return this.#lines[this.#next]!;
  }

  /** Appends a line that waits. */
  push(line: Uint8Array): void {
    this.#lines.push(line);
    this.waitingBytes += line.length;
  }

  /** Records that the first waiting line is in flight, and ends at byte `end` of the stream. */
  send(end: number): void {
    const { length } = this.#lines[this.#next++]!;
    this.#ends.push(end);
    this.waitingBytes -= length;
    this.bytesInFlight += length;
  }

  /** Removes the first waiting line. There must be one. */
  shift(): Uint8Array {
    const line = this.peek();
    if (this.inFlight > 0) this.#remove(this.#next);
    else {
      this.send(0);
      this.settle(1);
    }
    return line;
  }

  /** Removes a waiting line. Returns its position in the list, or -1 if it does not wait. */
  remove(line: Uint8Array): number {
    const at = this.#lines.indexOf(line, this.#next);
    if (at < 0) return -1;
    this.#remove(at);
    return at - this.#first;
  }

  #remove(at: number): void {
    const [line] = this.#lines.splice(at, 1);
    this.waitingBytes -= line!.length;
  }

  /** Returns the number of lines in flight that end at or before byte `position` of the stream. */
  countUpTo(position: number): number {
    let at = this.#first;
    while (at < this.#next && this.#ends[at]! <= position) at++;
    return at - this.#first;
  }

  /** Removes the first `count` lines, which must be in flight. */
  settle(count: number): void {
    const end = this.#first + count;
    for (; this.#first < end; this.#first++) {
      this.bytesInFlight -= this.#lines[this.#first]!.length;
      this.#lines[this.#first] = SETTLED;
    }
    // Frees the entries, at a cost of less than two copies of each.
    if (this.length > 0 && this.#first <= Math.max(MAX_SETTLED, this.length)) return;
    this.#lines = this.#lines.slice(this.#first);
    this.#ends = this.#ends.slice(this.#first);
    this.#next -= this.#first;
    this.#first = 0;
  }

  /** Puts lines before all that wait. None may be in flight. */
  putBack(lines: readonly Uint8Array[]): void {
    this.#lines = [...lines, ...this.takeWaiting()];
    this.#ends = [];
    this.#first = this.#next = 0;
    for (const { length } of this.#lines) this.waitingBytes += length;
  }

  /** Removes and returns all waiting lines. */
  takeWaiting(): Uint8Array[] {
    this.waitingBytes = 0;
    return this.#lines.splice(this.#next);
  }

  /**
   * Ends a connection at byte `position` of its stream. The lines in flight after that wait again.
   *
   * @returns The lines in flight that end at or before `position`, which are removed.
   */
  endConnection(position: number): Uint8Array[] {
    const unsent = this.#first + this.countUpTo(position);
    const unconfirmed = this.#lines.slice(this.#first, unsent);
    this.#lines = this.#lines.slice(unsent);
    this.#ends = [];
    this.#first = this.#next = 0;
    for (const { length } of unconfirmed) this.bytesInFlight -= length;
    this.waitingBytes += this.bytesInFlight;
    this.bytesInFlight = 0;
    return unconfirmed;
  }
}
