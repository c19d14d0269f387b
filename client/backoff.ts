/**
 * Owns how long a client stays away before it tries again. Must not know clocks, timers, or why it
 * tries.
 *
 * @module
 */

/** Between which delays a client backs off, in milliseconds. */
export interface BackoffBounds {
  /** The longest delay before the first retry. */
  readonly minDelay: number;
  /** The longest delay before any. */
  readonly maxDelay: number;
}

/**
 * How long to wait before a retry, in milliseconds, when `before` others came before it: full-jitter
 * exponential back-off, as in "Exponential Backoff And Jitter" of the AWS Architecture Blog. Every
 * delay from 0 to a bound that doubles is as likely, so that the clients of a restarted server come
 * back one after the other and not in waves.
 */
export function backoffDelay(
  before: number,
  { minDelay, maxDelay }: BackoffBounds,
  random: () => number = Math.random,
): number {
  return Math.round(random() * Math.min(maxDelay, minDelay * 2 ** before));
}
