/**
 * Tracks which numbered events of a benchmark have arrived.
 *
 * @module
 */

/** The events that one receiver got from all senders, each of which numbers its own from 0. */
export class Tally {
  /** The number of events that arrived before any later one of the same sender. */
  received = 0;
  /** The number of events that arrived after a later one of the same sender, or twice. */
  misplaced = 0;
  readonly #counts: readonly number[];
  readonly #next: number[];
  /** The number of senders whose last event is outstanding. */
  #open: number;

  /** Creates a tally for senders that send `counts` events each. */
  constructor(counts: readonly number[]) {
    this.#counts = counts;
    this.#next = counts.map(() => 0);
    this.#open = counts.filter((count) => count > 0).length;
  }

  /** Counts event `n` of a sender. Returns `false` if the number is invalid. */
  add(sender: number, n: number): boolean {
    const count = this.#counts[sender] ?? 0;
    if (!(Number.isInteger(n) && n >= 0 && n < count)) return false;
    if (n >= this.#next[sender]!) {
      this.received++;
      this.#next[sender] = n + 1;
      if (n + 1 === count) this.#open--;
    } else {
      this.misplaced++;
    }
    return true;
  }

  /** Whether the last event of every sender has arrived. Events still missing then are lost. */
  get isComplete(): boolean {
    return this.#open === 0;
  }
}

/** Returns `total` divided into `parts` that differ by at most one, the larger ones first. */
export function divide(total: number, parts: number): number[] {
  return Array.from(
    { length: parts },
    (_, part) => Math.floor(total / parts) + (part < total % parts ? 1 : 0),
  );
}
