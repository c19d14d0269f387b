/**
 * The delays between reconnect attempts. Uses no clock and no timer.
 *
 * @module
 */

/** The limits of the delays, in milliseconds. */
export interface BackoffBounds {
  /** The upper bound of the first delay. */
  readonly minDelay: number;
  /** The upper bound of every delay. */
  readonly maxDelay: number;
}

/**
 * Returns the delay before a retry, in milliseconds, after `before` earlier retries: full-jitter
 * exponential back-off, as in "Exponential Backoff And Jitter" of the AWS Architecture Blog. Every
 * delay from 0 to an upper bound is equally likely, and the bound doubles with each retry. The
 * clients of a restarted server therefore reconnect one by one and not in waves.
 */
export function backoffDelay(
  before: number,
  { minDelay, maxDelay }: BackoffBounds,
  random: () => number = Math.random,
): number {
  return Math.round(random() * Math.min(maxDelay, minDelay * 2 ** before));
}
