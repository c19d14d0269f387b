/**
 * Timers of any length.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../protocol/option_checks.ts";

/**
 * Starts a timer that calls `callback` after `ms` milliseconds.
 *
 * @returns The timer. `undefined` if `ms` is longer than a timer can run, nearly 25 days, which
 * counts as never.
 */
export function after(ms: number, callback: () => void): ReturnType<typeof setTimeout> | undefined {
  // Deno warns about a negative time on standard error.
  return ms > MAX_TIMER_MS ? undefined : setTimeout(callback, Math.max(0, ms));
}
