/**
 * How long to wait for the handlers of a program, so that all that they send goes out together.
 *
 * @module
 */

/**
 * Number of consecutive microtasks without newly queued bytes after which the program's handlers
 * count as finished. A `for await` loop that answers each event takes two or three microtasks per
 * event. It takes some more if it awaits other promises that are already resolved.
 */
const QUIET_MICROTASKS = 8;

/**
 * Longest time handlers may continue, in milliseconds. Handlers that take longer should not delay
 * each other's replies.
 */
const MAX_HANDLERS_MS = 1;

/** Returns the deadline of handlers that begin now, by the clock of `Date.now()`. */
export function handlersEnd(): number {
  return Date.now() + MAX_HANDLERS_MS;
}

/**
 * Waits until the program's handlers have finished with the input of this turn, as far as can be
 * observed.
 *
 * @param end The latest time to wait for, by the clock of `Date.now()`.
 * @param queued Returns a value that changes whenever the handlers queue something.
 * @param isEnough Returns whether enough is queued to stop waiting.
 */
export async function afterHandlers(
  end: number,
  queued: () => number,
  isEnough: () => boolean = () => false,
): Promise<void> {
  let seen = queued();
  for (let quiet = 0; quiet < QUIET_MICROTASKS; quiet++) {
    if (isEnough() || Date.now() > end) return;
    await null;
    if (queued() !== seen) quiet = 0;
    seen = queued();
  }
}
