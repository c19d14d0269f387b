/**
 * The checks of numeric options, and the limits that several modules share.
 *
 * @module
 */

import { inspect } from "./printable.ts";

/** The longest duration of a timer, in milliseconds. A longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The default for the longest line, in bytes without its end: 1 MiB, as `max_payload` of
 * nats-server.
 */
export const DEFAULT_MAX_LINE_BYTES = 1_048_576;

/**
 * A client's default for the longest received line, in bytes without its end. It equals the limit
 * of unread bytes, so that one line takes no more memory than many.
 */
export const DEFAULT_CLIENT_LINE_BYTES = 8_388_608;

/** The highest value of `maxLineBytes`, in bytes without the end of the line. */
export const MAX_MAX_LINE_BYTES = 2 ** 30;

/**
 * By how many bytes a relay may lengthen a line. `"seq":9007199254740991,`,
 * `"offset":9007199254740991,` and `"past":"…",` with an ID of 64 bytes have 124 together.
 */
const MAX_ADDED_BYTES = 128;

/** The longest line other than an event that a relay considers, in bytes without its end. */
export const MAX_CONTROL_BYTES = 65_536;

/**
 * How long events may be gathered before they are written, in milliseconds: the default and the
 * limit.
 */
const DEFAULT_MAX_BATCH_DELAY = 20;
export const MAX_BATCH_DELAY = 1000;

/**
 * Returns `value` if it is a valid `maxBatchDelay`, from 0 to 1,000 ms. Otherwise throws a
 * `RangeError`.
 */
export function checkMaxBatchDelay(value: number = DEFAULT_MAX_BATCH_DELAY): number {
  return checkDuration("maxBatchDelay", value, 0, MAX_BATCH_DELAY);
}

/**
 * Returns `value` if it is a valid `maxLineBytes`, an integer from 1 to 1 GiB. Otherwise throws a
 * `RangeError`.
 */
export function checkMaxLineBytes(value: number = DEFAULT_MAX_LINE_BYTES): number {
  return checkLimit("maxLineBytes", value, 1, MAX_MAX_LINE_BYTES);
}

/** Returns the longest line that arrives from a relay that accepts lines of `maxLineBytes`. */
export function relayedLineBytes(maxLineBytes: number): number {
  return Math.min(maxLineBytes + MAX_ADDED_BYTES, MAX_MAX_LINE_BYTES);
}

/**
 * Returns `value` if it is an integer from `min` to `max`.
 *
 * @param name The name of the option, for the error.
 * @param value The value to check.
 * @param min The lowest valid value.
 * @param max The highest valid value. If omitted, `Infinity` is valid too and means no limit.
 * @throws {RangeError} If the value is a number, but not such an integer.
 * @throws {TypeError} If the value is not a number.
 */
export function checkLimit(name: string, value: number, min: number, max = Infinity): number {
  const isInRange = Number.isInteger(value) && value >= min && value <= max;
  if (isInRange || value === max) return value;
  throw invalid(name, `an integer ${rangeOf(min, max)}`, value);
}

/**
 * Returns `value` if it is a number of milliseconds from `min` to `max`, whole or not. Without
 * `max`, `Infinity` is valid too. Otherwise throws the errors of {@link checkLimit}.
 */
export function checkDuration(name: string, value: number, min: number, max = Infinity): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw invalid(name, `milliseconds ${rangeOf(min, max)}`, value);
}

/**
 * Returns `value` if it is a valid time-out of a call, in milliseconds. Any number is valid,
 * because the time left until a deadline may be any number. A value of 0 or less has already
 * expired.
 */
export function checkTimeout(value: number): number {
  if (typeof value === "number" && !Number.isNaN(value)) return value;
  throw invalid("timeout", "a number of milliseconds, or Infinity", value);
}

function rangeOf(min: number, max: number): string {
  return max === Infinity ? `of at least ${min}, or Infinity` : `from ${min} to ${max}`;
}

function invalid(name: string, expected: string, value: unknown): RangeError | TypeError {
  const message = `Invalid ${name}: expected ${expected}, got ${inspect(value)}`;
  return typeof value === "number" ? new RangeError(message) : new TypeError(message);
}

/**
 * Checks that none of these options is present without a value, such as an unset environment
 * variable. Without the check, a missing value would have a silent effect: a server that listens on
 * all addresses, or that requires no token.
 *
 * @param options The options to check.
 * @param names The names of the options that need a value.
 * @param prefix Precedes the name of the option in the error.
 * @throws {TypeError} If an option is `undefined` or `null`.
 */
export function checkGiven<O extends object>(
  options: O,
  names: readonly (keyof O & string)[],
  prefix = "",
): void {
  for (const name of names) {
    if (!(name in options) || (options[name] ?? null) !== null) continue;
    throw new TypeError(
      `Invalid ${prefix}${name}: expected a value, got ${options[name]}; ` +
        "leave the option out for its default",
    );
  }
}
