/**
 * The page that a client may run in: whether anybody sees it, and when it wakes up.
 *
 * A browser slows the timers of a hidden page down to one a minute, and may freeze it altogether. A
 * client that waits for a timer therefore also listens for the page to wake up. Outside of browsers
 * a page is always awake.
 *
 * @module
 */

import { after } from "../net/timers.ts";
import { MAX_TIMER_MS } from "../protocol/option_checks.ts";

/** The parts of a page's document that are used here. They are missing outside of browsers. */
interface Page extends EventTarget {
  readonly visibilityState: string;
}

function pageOf(): Page | undefined {
  return (globalThis as { document?: Page }).document;
}

/** Returns whether the program runs in a page that is hidden. */
export function isHidden(): boolean {
  return pageOf()?.visibilityState === "hidden";
}

/**
 * Calls `callback` whenever the page becomes visible, is resumed after it was frozen, or is shown
 * again from the history, and whenever the network comes back.
 *
 * @returns A function that ends the calls.
 */
export function onWake(callback: () => void): () => void {
  const listener = () => {
    if (!isHidden()) callback();
  };
  const page = pageOf();
  const sources: [EventTarget | undefined, string][] = [
    [globalThis, "online"],
    [globalThis, "pageshow"],
    [page, "visibilitychange"],
    [page, "resume"],
  ];
  for (const [target, type] of sources) target?.addEventListener?.(type, listener);
  return () => {
    for (const [target, type] of sources) target?.removeEventListener?.(type, listener);
  };
}

/** Resolves when the page is visible, which may be at once. */
export async function whenVisible(): Promise<void> {
  if (!isHidden()) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = onWake(resolve);
  await promise;
  stop();
}

/**
 * Waits for `ms` milliseconds, or until the page wakes up after at least `min` milliseconds.
 *
 * @returns Resolves after the wait. Rejects with the reason of `signal` when that is aborted.
 */
export async function sleep(ms: number, min: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const earliest = performance.now() + min;
  const timer = after(Math.min(ms, MAX_TIMER_MS), resolve);
  const stop = onWake(() => {
    if (performance.now() >= earliest) resolve();
  });
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    stop();
    signal.removeEventListener("abort", onAbort);
  }
}
