/**
 * Waiting that can be aborted.
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
