/**
 * Measures the delay of the event loop.
 *
 * @module
 */

import { unrefTimer } from "../net/platform.ts";

/**
 * Interval between measurements, in milliseconds. Any longer blocking of the loop is always
 * noticed, and ten wake-ups a second cost an idle process next to nothing.
 */
const INTERVAL_MS = 100;

/** Delays of timers, in milliseconds. */
export interface Delay {
  /** The longest delay. */
  readonly max: number;
  /** The mean of all delays. */
  readonly mean: number;
}

/**
 * Measures how late a timer fires. Runs only after {@link start}, so that a program that never
 * reads the delay does not pay for it and is not woken up.
 */
export class LoopDelay {
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #last = 0;
  #max = 0;
  #sum = 0;
  #count = 0;

  /** Creates an instance that uses the clock `now`, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Starts measuring, unless it already runs. The timer does not keep the process alive. */
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

  /** Records the current delay. Called by the timer. */
  tick(): void {
    const now = this.#now();
    const delay = Math.max(0, now - this.#last - INTERVAL_MS);
    this.#last = now;
    this.#max = Math.max(this.#max, delay);
    this.#sum += delay;
    this.#count++;
  }

  /**
   * Returns the delays since the last call, or since the start. Includes a delay that has not ended
   * yet.
   */
  take(): Delay {
    if (this.#timer !== undefined && this.#now() - this.#last > INTERVAL_MS) this.tick();
    const delay = { max: this.#max, mean: this.#count === 0 ? 0 : this.#sum / this.#count };
    this.#max = 0;
    this.#sum = 0;
    this.#count = 0;
    return delay;
  }
}
