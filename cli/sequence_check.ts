/**
 * Owns the books of a benchmark: which of the numbered events have come, and which have not. Must not know
 * how they come.
 *
 * @module
 */

/** What one receiver has had of the events of all senders, which each count their own from 0. */
export class Tally {
  /** How many came when it was their turn, or later ones had not come yet. */
  received = 0;
  /** How many came after a later one of the same sender: out of order, or twice. */
  misplaced = 0;
  readonly #counts: readonly number[];
  readonly #next: number[];
  /** How many senders have not been heard out. */
  #open: number;

  /** Makes one for senders that send so many each. */
  constructor(counts: readonly number[]) {
    this.#counts = counts;
    this.#next = counts.map(() => 0);
    this.#open = counts.filter((count) => count > 0).length;
  }

  /** Notes the event `n` of a sender; `false` if that cannot be one. */
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

  /** Whether the last event of every sender has come: whatever is missing now does not come. */
  get isComplete(): boolean {
    return this.#open === 0;
  }
}

/** `total` divided into `parts` that differ by one at most, the larger ones first. */
export function divide(total: number, parts: number): number[] {
  return Array.from(
    { length: parts },
    (_, part) => Math.floor(total / parts) + (part < total % parts ? 1 : 0),
  );
}
