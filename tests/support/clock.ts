/**
 * The clock of `performance.now()` in tests that would take too long by the real one: it can be
 * put forward, and made to run faster. Timers are those of the system, as ever.
 *
 * @module
 */

/** A clock in the place of `performance.now()`, until it is disposed of. */
export class Clock implements Disposable {
  readonly #now = performance.now.bind(performance);
  readonly #start = this.#now();
  #ahead = 0;

  /** Makes one that runs `speed` times as fast as the real one. */
  constructor(speed = 1) {
    performance.now = () => this.#start + speed * (this.#now() - this.#start) + this.#ahead;
  }

  /** Puts it forward, as if nothing had run meanwhile. */
  advance(ms: number): void {
    this.#ahead += ms;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
}
