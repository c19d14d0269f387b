/**
 * Limits how many refusals are reported one by one. The others are only counted.
 *
 * @module
 */

import type { Address } from "../relay.ts";
import type { CloseReason } from "../errors.ts";

/** The number of refusals reported one by one within {@link WINDOW_MS}. */
const MAX_REPORTED = 10;

/** The period for which refusals are counted together, in milliseconds. */
const WINDOW_MS = 1000;

/** Receives the reports. */
export interface RefusalListener {
  /** One peer was refused. */
  one(address: Address, reason: CloseReason, detail: string): void;
  /** More peers were refused: how many, by reason. */
  more(counts: ReadonlyMap<CloseReason, number>): void;
}

/**
 * Reports refusals, at most {@link MAX_REPORTED} and one summary a second, so that a peer that
 * connects a hundred thousand times cannot fill the log.
 */
export class Refusals {
  readonly #listener: RefusalListener;
  readonly #windowMs: number;
  /** Ends the current window, which its first refusal has begun. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reported = 0;
  /** The unreported refusals. There are at most as many entries as reasons. */
  #unreported = new Map<CloseReason, number>();

  /** Creates a log that reports to `listener`. */
  constructor(listener: RefusalListener, windowMs: number = WINDOW_MS) {
    this.#listener = listener;
    this.#windowMs = windowMs;
  }

  /** Adds a refused peer. */
  add(address: Address, reason: CloseReason, detail: string): void {
    this.#timer ??= setTimeout(() => this.reportAll(), this.#windowMs);
    if (this.#reported < MAX_REPORTED) {
      this.#reported++;
      return this.#listener.one(address, reason, detail);
    }
    this.#unreported.set(reason, (this.#unreported.get(reason) ?? 0) + 1);
  }

  /** Ends the current window: reports the unreported refusals, if any. */
  reportAll(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reported = 0;
    if (this.#unreported.size === 0) return;
    const counts = this.#unreported;
    this.#unreported = new Map();
    this.#listener.more(counts);
  }
}
