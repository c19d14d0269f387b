/**
 * Computes when each event of a steady load is due.
 *
 * The times are fixed before anything is sent (an "open loop"). If a relay stalls, the events that
 * were due meanwhile count as late. Waiting for the relay first would hide them, which is known as
 * coordinated omission.
 *
 * @module
 */

/**
 * How long before an event is due the pacer stops relying on a timer, in milliseconds. Timers in
 * Deno fire up to two milliseconds late. For the rest of the time, the event loop is kept turning.
 */
const TIMER_SLACK_MS = 4;

/** The position of one sender among those that share a rate. */
export interface PaceOptions {
  /** The number of events that all senders together send in a second. */
  readonly perSecond: number;
  /** The number of senders. */
  readonly senders?: number;
  /** The number of this sender, from 0. */
  readonly sender?: number;
  /** When the first event of the first sender is due, on the clock of `performance.now()`. */
  readonly start: number;
}

/**
 * Computes when the events of one sender are due. Those of all senders together are evenly spaced.
 */
export class Pace {
  readonly #start: number;
  readonly #interval: number;

  /** Creates the pace of one sender. */
  constructor({ perSecond, senders = 1, sender = 0, start }: PaceOptions) {
    this.#start = start + 1000 * sender / perSecond;
    this.#interval = 1000 * senders / perSecond;
  }

  /** Returns when event `n`, from 0, is due, on the clock of `performance.now()`. */
  due(n: number): number {
    return this.#start + n * this.#interval;
  }

  /** Returns a promise that resolves when event `n` is due, or `null` if it already is. */
  wait(n: number): Promise<void> | null {
    const due = this.due(n);
    return performance.now() >= due ? null : waitUntil(due);
  }
}

async function waitUntil(due: number): Promise<void> {
  const left = due - performance.now();
  if (left > TIMER_SLACK_MS) {
    await new Promise((resolve) => setTimeout(resolve, left - TIMER_SLACK_MS));
  }
  while (performance.now() < due) await new Promise((resolve) => setImmediate(resolve));
}
