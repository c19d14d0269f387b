/**
 * Owns what numeric options have in common: their check, and the limits that several modules share.
 *
 * @module
 */

/** The longest time that a timer can run, in milliseconds; a longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The longest line by default, in bytes without its end: 1 MiB, the `max_payload` of nats-server.
 */
const DEFAULT_MAX_LINE_BYTES = 1_048_576;

/** `value` if it can limit a line: an integer from 1 to 1 GiB. Otherwise a `RangeError`. */
export function checkMaxLineBytes(value: number = DEFAULT_MAX_LINE_BYTES): number {
  return checkLimit("maxLineBytes", value, 1, 2 ** 30);
}

/**
 * `value` if it is an integer from `least` to `most`, otherwise a `RangeError` that names it.
 * Without `most`, `Infinity` is allowed too: no limit.
 */
export function checkLimit(name: string, value: number, least: number, most = Infinity): number {
  const isInRange = Number.isInteger(value) && value >= least && value <= most;
  if (isInRange || value === most) return value;
  const range = most === Infinity
    ? `of at least ${least}, or Infinity`
    : `from ${least} to ${most}`;
  throw new RangeError(
    `Invalid ${name}: expected an integer ${range}, got ${Deno.inspect(value)}`,
  );
}

/**
 * A timer that calls `callback` after `ms` milliseconds; none if that is longer than a timer can
 * run, nearly 25 days, which is as good as never.
 */
export function after(ms: number, callback: () => void): ReturnType<typeof setTimeout> | undefined {
  return ms > MAX_TIMER_MS ? undefined : setTimeout(callback, ms);
}
