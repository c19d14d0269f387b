/**
 * Owns when each event of a steady load is due. Must not know what is sent.
 *
 * The times are fixed before anything is sent (an "open loop"), so that a relay that stands still has the
 * events that were due meanwhile counted as late, too: waiting for it first would hide them, which is
 * known as coordinated omission.
 *
 * @module
 */

/**
 * How long before an event is due a timer is trusted, in milliseconds. Those of Deno fire up to two
 * milliseconds late; the rest of the time the event loop is kept turning.
 */
const TIMER_SLACK_MS = 4;

/** Where one sender stands among those that share a rate. */
export interface PaceOptions {
  /** How many events all senders together send in a second. */
  readonly perSecond: number;
  /** How many senders there are. */
  readonly senders?: number;
  /** Which of them this is, from 0. */
  readonly sender?: number;
  /** When the first event of the first sender is due, by the clock of `performance.now()`. */
  readonly start: number;
}

/** Says when the events of one sender are due: those of all senders together are evenly spread. */
export class Pace {
  readonly #start: number;
  readonly #interval: number;

  /** Makes the pace of one sender. */
  constructor({ perSecond, senders = 1, sender = 0, start }: PaceOptions) {
    this.#start = start + 1000 * sender / perSecond;
    this.#interval = 1000 * senders / perSecond;
  }

  /** When the event `n`, from 0, is due, by the clock of `performance.now()`. */
  due(n: number): number {
    return this.#start + n * this.#interval;
  }

  /** Waits until the event `n` is due; `null`, at once, if it is. */
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
