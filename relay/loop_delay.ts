/**
 * Owns one figure: by how much the event loop is late. Must not know what keeps it busy.
 *
 * @module
 */

import { unrefTimer } from "../net/platform.ts";

/**
 * How often the loop is looked at, in milliseconds. Whatever blocks it for longer is always seen,
 * and ten wake-ups a second cost an idle process next to nothing.
 */
const INTERVAL_MS = 100;

/** By how much timers were late, in milliseconds. */
export interface Delay {
  /** The longest delay. */
  readonly max: number;
  /** The mean of all delays. */
  readonly mean: number;
}

/**
 * Measures how late a timer fires. It does so from {@link start} on and not always, since a program
 * that never asks should not pay for it, nor be woken.
 */
export class LoopDelay {
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #last = 0;
  #max = 0;
  #sum = 0;
  #count = 0;

  /** Makes one that goes by the clock `now`, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Begins to measure, if it does not yet. The timer does not keep the process alive. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#last = this.#now();
    this.#timer = setInterval(() => this.tick(), INTERVAL_MS);
    unrefTimer(this.#timer);
  }

  /** Stops measuring. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Notes how late it is. The timer calls this. */
  tick(): void {
    const now = this.#now();
    const delay = Math.max(0, now - this.#last - INTERVAL_MS);
    this.#last = now;
    this.#max = Math.max(this.#max, delay);
    this.#sum += delay;
    this.#count++;
  }

  /** The delays since the last call, or since the start. One that has not ended yet counts too. */
  take(): Delay {
    if (this.#timer !== undefined && this.#now() - this.#last > INTERVAL_MS) this.tick();
    const delay = { max: this.#max, mean: this.#count === 0 ? 0 : this.#sum / this.#count };
    this.#max = 0;
    this.#sum = 0;
    this.#count = 0;
    return delay;
  }
}
