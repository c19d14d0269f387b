/**
 * Limits how many refusals are reported one by one. The others are only counted.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { CloseReason } from "../errors.ts";

/** The number of refusals reported one by one within {@link WINDOW_MS}. */
const MAX_TOLD = 10;

/** The period for which refusals are counted together, in milliseconds. */
const WINDOW_MS = 1000;

/** Receives the reports. */
export interface RefusalListener {
  /** One peer was refused. */
  one(address: Address, reason: CloseReason, detail: string): void;
  /** More peers were refused: how many, by reason. */
  more(counts: ReadonlyMap<CloseReason, number>): void;
}

/** A clock and a timer, in milliseconds; tests have their own. */
export interface RefusalClock {
  /** Returns the current time. */
  now(): number;
  /** Calls `callback` once, after `ms`. Returns a function that cancels that. */
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
 * Reports refusals, at most {@link MAX_TOLD} and one summary a second, so that a peer that connects
 * a hundred thousand times cannot fill the log. The timer runs only while a refusal is unreported.
 */
export class Refusals {
  readonly #listener: RefusalListener;
  readonly #clock: RefusalClock;
  #windowStart = -Infinity;
  #told = 0;
  /** The unreported refusals. There are at most as many entries as reasons. */
  #untold = new Map<CloseReason, number>();
  #cancelTimer = (): void => {};

  /** Creates a log that reports to `listener`. */
  constructor(listener: RefusalListener, clock: RefusalClock = realClock) {
    this.#listener = listener;
    this.#clock = clock;
  }

  /** Adds a refused peer. */
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

  /** Reports the unreported refusals now, if any. */
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
