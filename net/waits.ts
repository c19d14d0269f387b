/**
 * Abortable waits, and timers for any duration.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../protocol/option_checks.ts";

/**
 * Resolves to the result of `promise`. Rejects with the reason of `signal` if that is aborted
 * first.
 */
export async function abortable<T>(promise: T | Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    if (signal.aborted) onAbort();
    return await Promise.race([aborted, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Waits for `ms` milliseconds. Rejects with the reason of `signal` if that is aborted first. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.min(ms, MAX_TIMER_MS));
  try {
    await abortable(promise, signal);
  } finally {
    clearTimeout(timer);
  }
}

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
