/**
 * Owns what numeric options have in common: their check, and the limits that several modules share.
 *
 * @module
 */

import { inspect } from "./printable.ts";

/** The longest time that a timer can run, in milliseconds; a longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The longest line by default, in bytes without its end: 1 MiB, the `max_payload` of nats-server.
 */
export const DEFAULT_MAX_LINE_BYTES = 1_048_576;

/**
 * The longest line that a client takes by default, in bytes without its end: as much as may wait
 * unread, so that one line does not take more memory than many.
 */
export const DEFAULT_CLIENT_LINE_BYTES = 8_388_608;

/** The most that a line can be allowed to have, in bytes without its end. */
export const MAX_MAX_LINE_BYTES = 2 ** 30;

/**
 * By how much a relay may lengthen a line on its way, in bytes: `"seq":9007199254740991,` and
 * `"from":"c9007199254740991",` have 50 together.
 */
const MAX_ADDED_BYTES = 64;

/** The longest line that is no event of which a relay takes note, in bytes without its end. */
export const MAX_CONTROL_BYTES = 65_536;

/** For how long events may be gathered before they are written, in milliseconds: by default, and at most. */
const DEFAULT_MAX_BATCH_DELAY = 20;
export const MAX_BATCH_DELAY = 1000;

/** `value` if events may be gathered for so long: from 0 to 1,000 ms. Otherwise a `RangeError`. */
export function checkMaxBatchDelay(value: number = DEFAULT_MAX_BATCH_DELAY): number {
  return checkDuration("maxBatchDelay", value, 0, MAX_BATCH_DELAY);
}

/** `value` if it can limit a line: an integer from 1 to 1 GiB. Otherwise a `RangeError`. */
export function checkMaxLineBytes(value: number = DEFAULT_MAX_LINE_BYTES): number {
  return checkLimit("maxLineBytes", value, 1, MAX_MAX_LINE_BYTES);
}

/** How long a line may be when it comes from a relay that has taken it with `maxLineBytes`. */
export function relayedLineBytes(maxLineBytes: number): number {
  return Math.min(maxLineBytes + MAX_ADDED_BYTES, MAX_MAX_LINE_BYTES);
}

/**
 * `value` if it is an integer from `least` to `most`, otherwise a `RangeError` that names it, or a
 * `TypeError` if it is no number. Without `most`, `Infinity` is allowed too: no limit.
 */
export function checkLimit(name: string, value: number, least: number, most = Infinity): number {
  const isInRange = Number.isInteger(value) && value >= least && value <= most;
  if (isInRange || value === most) return value;
  throw invalid(name, `an integer ${rangeOf(least, most)}`, value);
}

/**
 * `value` if it is a number of milliseconds from `least` to `most`, whole or not, otherwise an error as
 * {@link checkLimit} throws it. Without `most`, `Infinity` is allowed too.
 */
export function checkDuration(name: string, value: number, least: number, most = Infinity): number {
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw invalid(name, `milliseconds ${rangeOf(least, most)}`, value);
}

/**
 * `value` if it can say how long a call may wait, in milliseconds: any number, as what is left until a
 * deadline may be anything. What is not above 0 is over already.
 */
export function checkTimeout(value: number): number {
  if (typeof value === "number" && !Number.isNaN(value)) return value;
  throw invalid("timeout", "a number of milliseconds, or Infinity", value);
}

function rangeOf(least: number, most: number): string {
  return most === Infinity ? `of at least ${least}, or Infinity` : `from ${least} to ${most}`;
}

function invalid(name: string, expected: string, value: unknown): RangeError | TypeError {
  const message = `Invalid ${name}: expected ${expected}, got ${inspect(value)}`;
  return typeof value === "number" ? new RangeError(message) : new TypeError(message);
}

/**
 * Makes sure that none of these options is there without a value, as an unset environment variable
 * is: that would do what was not asked for, such as to listen for everyone, or without a token.
 * Otherwise a `TypeError` that names it.
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

/**
 * A timer that calls `callback` after `ms` milliseconds; none if that is longer than a timer can
 * run, nearly 25 days, which is as good as never.
 */
export function after(ms: number, callback: () => void): ReturnType<typeof setTimeout> | undefined {
  // Deno warns of a negative time on standard error.
  return ms > MAX_TIMER_MS ? undefined : setTimeout(callback, Math.max(0, ms));
}
