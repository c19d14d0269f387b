/**
 * Owns how many refusals are told one by one: the first few of a second, and of the others only how
 * many there were. Must not know how they are told.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { CloseReason } from "../errors.ts";

/** How many refusals are told one by one within {@link WINDOW_MS}. */
const MAX_TOLD = 10;

/** For how long refusals are counted together, in milliseconds. */
const WINDOW_MS = 1000;

/** Who is told. */
export interface RefusalListener {
  /** One peer has been refused. */
  one(address: Address, reason: CloseReason, detail: string): void;
  /** Beside those, more have been refused: how many, by reason. */
  more(counts: ReadonlyMap<CloseReason, number>): void;
}

/** What is needed of a clock and a timer, in milliseconds; a test has its own. */
export interface RefusalClock {
  /** The time now. */
  now(): number;
  /** Calls `callback` once, after `ms`. Returns how to prevent that. */
  after(ms: number, callback: () => void): () => void;
}

const realClock: RefusalClock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * Tells of refusals, at most {@link MAX_TOLD} and one summary a second: who connects a hundred
 * thousand times must not be able to fill the log. There is a timer only while something is untold.
 */
export class Refusals {
  readonly #listener: RefusalListener;
  readonly #clock: RefusalClock;
  #windowStart = -Infinity;
  #told = 0;
  /** Those that have not been told. There are no more entries than reasons. */
  #untold = new Map<CloseReason, number>();
  #cancelTimer = (): void => {};

  /** Makes one that tells `listener`. */
  constructor(listener: RefusalListener, clock: RefusalClock = realClock) {
    this.#listener = listener;
    this.#clock = clock;
  }

  /** A peer has been refused. */
  add(address: Address, reason: CloseReason, detail: string): void {
    const now = this.#clock.now();
    if (now - this.#windowStart >= WINDOW_MS && this.#untold.size === 0) {
      this.#windowStart = now;
      this.#told = 0;
    }
    if (this.#told < MAX_TOLD) {
      this.#told++;
      return this.#listener.one(address, reason, detail);
    }
    if (this.#untold.size === 0) {
      const rest = this.#windowStart + WINDOW_MS - now;
      this.#cancelTimer = this.#clock.after(rest, () => this.tellAll());
    }
    this.#untold.set(reason, (this.#untold.get(reason) ?? 0) + 1);
  }

  /** Tells now how many more there were, if there were. */
  tellAll(): void {
    this.#cancelTimer();
    if (this.#untold.size === 0) return;
    const counts = this.#untold;
    this.#untold = new Map();
    this.#windowStart = this.#clock.now();
    this.#told = 0;
    this.#listener.more(counts);
  }
}
