/**
 * Limits how many events a tail receives. A browser cannot slow down the relay, so a page that
 * receives more than it can handle would first stop to react and then lose its connection.
 *
 * @module
 */

/** Events a second that a tail may receive on average. A person cannot read more. */
export const EVENTS_PER_SECOND = 500;

/** Events that may come at once after a quiet time. */
const BURST = EVENTS_PER_SECOND;

/** The events that may still be received. They grow with time. */
export class Budget {
  #events = BURST;
  #at: number;

  /** Makes a full budget. `now` is the time in milliseconds. */
  constructor(now: number) {
    this.#at = now;
  }

  /**
   * Spends events that have arrived, however many. Returns whether the budget is overdrawn.
   */
  spend(count: number, now: number): boolean {
    const earned = EVENTS_PER_SECOND * (now - this.#at) / 1000;
    this.#events = Math.min(BURST, this.#events + earned) - count;
    this.#at = now;
    return this.#events < 0;
  }
}
