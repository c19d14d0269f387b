/**
 * Owns whether, and how persistently, a client connects again: the options for it, the reasons that
 * no retry can mend, and the loop of attempts. Must not know what an attempt does.
 *
 * @module
 */

import { inspect } from "../protocol/printable.ts";
import { type BackoffBounds, backoffDelay } from "./backoff.ts";
import { type CloseReason, ConnectError } from "../errors.ts";
import { checkDuration, checkLimit, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { OVERFLOW_POLICIES, type OverflowPolicy, type WaitingBounds } from "./offline_queue.ts";
import { sleep } from "../net/waits.ts";

export type { OverflowPolicy };

/** How a client connects again after its connection has ended. */
export interface ReconnectOptions {
  /**
   * The longest delay before the first retry, in milliseconds, from 1. Each delay is a random part
   * of a bound that doubles from retry to retry, until a connection has lasted for a second.
   *
   * @default {500}
   */
  readonly minDelay?: number;
  /**
   * The longest delay before any retry, in milliseconds, from `minDelay`.
   *
   * @default {5_000}
   */
  readonly maxDelay?: number;
  /**
   * How many attempts in a row may fail before the client gives up, from 1, or `Infinity`.
   *
   * @default {Infinity}
   */
  readonly attempts?: number;
  /**
   * How many events may wait for a connection, from 0, or `Infinity`.
   *
   * @default {10_000}
   */
  readonly maxQueuedEvents?: number;
  /**
   * How many bytes the lines of those events may have, from 1, or `Infinity`.
   *
   * @default {8_388_608}
   */
  readonly maxQueuedBytes?: number;
  /**
   * What happens to an event when no more may wait: it is refused, or the one that has waited
   * longest is dropped, or it is dropped itself. What is dropped is counted in the status.
   *
   * @default {"refuse"}
   */
  readonly overflow?: OverflowPolicy;
}

/** How persistently a client tries. */
export interface Persistence extends BackoffBounds, WaitingBounds {
  /** How many attempts in a row may fail. */
  readonly attempts: number;
}

/**
 * The options with their defaults.
 *
 * @throws {RangeError} If one is out of its range.
 */
export function checkReconnectOptions(options: ReconnectOptions): Persistence {
  const minDelay = checkDuration("minDelay", options.minDelay ?? 500, 1, MAX_TIMER_MS);
  const { overflow = "refuse" } = options;
  if (!OVERFLOW_POLICIES.includes(overflow)) {
    throw new RangeError(
      `Invalid overflow: expected one of ${OVERFLOW_POLICIES.join(", ")}, got ${inspect(overflow)}`,
    );
  }
  return {
    minDelay,
    maxDelay: checkDuration(
      "maxDelay",
      options.maxDelay ?? Math.max(5000, minDelay),
      minDelay,
      MAX_TIMER_MS,
    ),
    attempts: checkLimit("attempts", options.attempts ?? Infinity, 1),
    maxQueuedEvents: checkLimit("maxQueuedEvents", options.maxQueuedEvents ?? 10_000, 0),
    maxQueuedBytes: checkLimit("maxQueuedBytes", options.maxQueuedBytes ?? 8_388_608, 1),
    overflow,
  };
}

/** The reasons that another attempt cannot mend: it would be answered in the same way. */
const FINAL: readonly CloseReason[] = [
  "local",
  "aborted",
  "line-too-long",
  "too-deep",
  "bad-utf8",
  "bad-json",
  "bad-event",
  "unauthorized",
];

/** Whether there is no point in connecting again after an end for this reason. */
export function isFinal(reason: CloseReason | undefined): boolean {
  return reason !== undefined && FINAL.includes(reason);
}

/** A connection that lasted so long, in milliseconds, has not been closed by who had accepted it. */
const LASTED_MS = 1000;

/** Tries until it succeeds, or there is no point in going on. */
export class Retries {
  readonly #persistence: Persistence;
  /** How many delays there have been since a connection has lasted. */
  #delays = 0;

  /** Starts from the shortest delays. */
  constructor(persistence: Persistence) {
    this.#persistence = persistence;
  }

  /** How long to wait before the next attempt, in milliseconds. */
  nextDelay(): number {
    return backoffDelay(this.#delays++, this.#persistence);
  }

  /** A connection has ended after `ms`: starts from the shortest delays again if that was long. */
  onEnd(ms: number): void {
    if (ms >= LASTED_MS) this.#delays = 0;
  }

  /**
   * The outcome of the first attempt that succeeds, the first one after `delay` milliseconds. Each
   * is told its number and why the one before has failed. Rejects when `signal` is aborted, and with
   * the error of an attempt that is the last.
   */
  async run<T>(
    attempt: (number: number, before: ConnectError | null) => Promise<T>,
    signal: AbortSignal,
    delay = 0,
  ): Promise<T> {
    let before: ConnectError | null = null;
    for (let number = 1;; number++) {
      try {
        if (delay > 0) await sleep(delay, signal);
        return await attempt(number, before);
      } catch (error) {
        if (signal.aborted) throw giveUp(signal, number, before);
        if (!(error instanceof ConnectError) || isFinal(error.reason)) throw error;
        if (number >= this.#persistence.attempts) throw error;
        before = error;
        delay = this.nextDelay();
      }
    }
  }
}

/** Why trying has ended before it was done: the reason of the signal, and what was tried so far. */
function giveUp(signal: AbortSignal, number: number, before: ConnectError | null): unknown {
  const { reason } = signal;
  if (!before || !(reason instanceof Error)) return reason;
  const message = `${reason.message} (attempt ${number - 1} has failed: ${before.message})`;
  return new Error(message, { cause: before });
}
