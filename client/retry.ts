/**
 * Reconnecting: its options, the delays, and the loop of attempts.
 *
 * @module
 */

import { inspect } from "../protocol/printable.ts";
import { CLOSE_REASONS, type CloseReason, ConnectError } from "../errors.ts";
import { checkDuration, checkLimit, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { after } from "../net/timers.ts";
import { sleep } from "./page.ts";

/**
 * The fate of an event that does not fit into the queue:
 *
 * | policy | meaning |
 * | --- | --- |
 * | `refuse` | it is not queued, and the promise of `sendEvent()` rejects |
 * | `drop-oldest` | the events that have been queued longest are dropped |
 * | `drop-newest` | it is dropped |
 *
 * {@link ClientStatus} has the number of dropped events.
 */
export type OverflowPolicy = "refuse" | "drop-oldest" | "drop-newest";

const OVERFLOW_POLICIES: readonly OverflowPolicy[] = ["refuse", "drop-oldest", "drop-newest"];

/** How a client reconnects after its connection has ended. */
export interface ReconnectOptions {
  /**
   * The upper bound of the first delay, in milliseconds, from 1. Each delay is random. Its bound
   * doubles with every retry, until a connection has lasted for a second.
   *
   * @default {500}
   */
  readonly minDelay?: number;
  /**
   * The upper bound of every delay, in milliseconds, from `minDelay`.
   *
   * @default {5_000}
   */
  readonly maxDelay?: number;
  /**
   * The number of consecutive failed attempts after which the client gives up, from 1, or
   * `Infinity`.
   *
   * @default {Infinity}
   */
  readonly attempts?: number;
  /**
   * The maximum number of events queued for a connection, from 0, or `Infinity`.
   *
   * @default {10_000}
   */
  readonly maxQueuedEvents?: number;
  /**
   * The maximum number of bytes of the lines of queued events, from 1, or `Infinity`.
   *
   * @default {8_388_608}
   */
  readonly maxQueuedBytes?: number;
  /**
   * The policy when the queue is full: refuse the event, drop the oldest one, or drop the event.
   * The status has the number of dropped events.
   *
   * @default {"refuse"}
   */
  readonly overflow?: OverflowPolicy;
}

/** The checked reconnect options. */
export type ReconnectSettings = Required<ReconnectOptions>;

/** The limits of the queue. */
export type QueueBounds = Pick<
  ReconnectSettings,
  "maxQueuedEvents" | "maxQueuedBytes" | "overflow"
>;

/**
 * Checks the options and adds the defaults.
 *
 * @throws {RangeError} If an option is out of its range.
 */
export function checkReconnectOptions(options: ReconnectOptions): ReconnectSettings {
  const minDelay = checkDuration("minDelay", options.minDelay ?? 500, 1, MAX_TIMER_MS);
  const { maxDelay = Math.max(5000, minDelay), overflow = "refuse" } = options;
  if (!OVERFLOW_POLICIES.includes(overflow)) {
    throw new RangeError(
      `Invalid overflow: expected one of ${OVERFLOW_POLICIES.join(", ")}, got ${inspect(overflow)}`,
    );
  }
  return {
    minDelay,
    maxDelay: checkDuration("maxDelay", maxDelay, minDelay, MAX_TIMER_MS),
    attempts: checkLimit("attempts", options.attempts ?? Infinity, 1),
    maxQueuedEvents: checkLimit("maxQueuedEvents", options.maxQueuedEvents ?? 10_000, 0),
    maxQueuedBytes: checkLimit("maxQueuedBytes", options.maxQueuedBytes ?? 8_388_608, 1),
    overflow,
  };
}

/** Returns whether reconnecting is pointless after an end for this reason. */
export function isFinal(reason: CloseReason | undefined): boolean {
  return reason !== undefined && CLOSE_REASONS[reason].isFinal;
}

/**
 * Returns the delay before a retry, in milliseconds, after `before` earlier retries: full-jitter
 * exponential back-off, as in "Exponential Backoff And Jitter" of the AWS Architecture Blog. Every
 * delay from 0 to an upper bound is equally likely, and the bound doubles with each retry. The
 * clients of a restarted server therefore reconnect one by one and not in waves.
 */
export function backoffDelay(
  before: number,
  { minDelay, maxDelay }: Pick<ReconnectSettings, "minDelay" | "maxDelay">,
  random: () => number = Math.random,
): number {
  return Math.round(random() * Math.min(maxDelay, minDelay * 2 ** before));
}

/**
 * The minimum duration of a stable connection, in milliseconds. A shorter one may have been closed
 * by the server right after accepting it.
 */
const STABLE_MS = 1000;

/**
 * The time limit of one of several attempts, in milliseconds: the initial and the maximum value. It
 * doubles if the server was reached but did not answer in time. The server may be overloaded, and
 * starting again would add to its load.
 */
const MIN_ATTEMPT_MS = 4000;
const MAX_ATTEMPT_MS = 32_000;

/** Repeats attempts until one succeeds or fails for good. */
export class Retries {
  /** Whether the current attempt has reached the server. */
  isReached = false;
  readonly #settings: ReconnectSettings;
  /** The number of delays since the last stable connection. */
  #delays = 0;
  /** The time limit of the next attempt. */
  #attemptMs = MIN_ATTEMPT_MS;

  /** Starts with the shortest delays. */
  constructor(settings: ReconnectSettings) {
    this.#settings = settings;
  }

  /** Returns the delay before the next attempt, in milliseconds. */
  nextDelay(): number {
    return backoffDelay(this.#delays++, this.#settings);
  }

  /**
   * Records that a connection ended after `ms` milliseconds. After a stable one, the delays start
   * anew.
   */
  onEnd(ms: number): void {
    if (ms >= STABLE_MS) this.#delays = 0;
  }

  /**
   * Runs attempts until one succeeds.
   *
   * @param attempt Called with the attempt's number, the error of the previous one, and a signal
   * that cancels it.
   * @param signal Cancels the attempts.
   * @param wait The delay before the first attempt, in milliseconds. It ends early when the page
   * wakes up.
   * @param min The part of it that does not end early.
   * @returns Resolves to the result of the successful attempt. Rejects when `signal` is aborted, or
   * with the error of the last attempt.
   */
  async run<T>(
    attempt: (number: number, before: ConnectError | null, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
    wait = 0,
    min = 0,
  ): Promise<T> {
    let before: ConnectError | null = null;
    for (let number = 1;; number++) {
      try {
        if (wait > 0) await sleep(wait, min, signal);
        min = 0;
        return await this.#limit((each) => attempt(number, before, each), signal);
      } catch (error) {
        if (signal.aborted) throw cancelReason(signal, number, before);
        if (!(error instanceof ConnectError) || isFinal(error.reason)) throw error;
        if (number >= this.#settings.attempts) throw error;
        before = error;
        wait = this.nextDelay();
      }
    }
  }

  async #limit<T>(attempt: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    const timedOut = new AbortController();
    const ms = this.#attemptMs;
    this.isReached = false;
    const timer = after(ms, () => {
      this.#attemptMs = this.isReached ? Math.min(2 * ms, MAX_ATTEMPT_MS) : MIN_ATTEMPT_MS;
      timedOut.abort(new Error(`no answer within ${ms} ms`));
    });
    try {
      const result = await attempt(AbortSignal.any([signal, timedOut.signal]));
      this.#attemptMs = MIN_ATTEMPT_MS;
      return result;
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * Returns why the attempts were cancelled: the signal's reason, and the last error if there is one.
 */
function cancelReason(signal: AbortSignal, number: number, before: ConnectError | null): unknown {
  const { reason } = signal;
  if (!before || !(reason instanceof Error)) return reason;
  const message = `${reason.message} (attempt ${number - 1} has failed: ${before.message})`;
  return new Error(message, { cause: before });
}
