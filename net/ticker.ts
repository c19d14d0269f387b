/**
 * One shared timer for all deadlines that need no precision.
 *
 * A separate timer for each of ten thousand connections would cost more than the connections do.
 * The shared timer runs only while there is something to tick.
 *
 * @module
 */

/** Interval of the timer, in milliseconds. A deadline may be noticed that much late. */
export const TICK_MS = 250;

/** An object that needs to know about elapsed time. */
export interface Ticking {
  /**
   * Called after `elapsed` milliseconds since the last call, approximately. `elapsed` is an
   * integer.
   */
  tick(elapsed: number): void;
}

const watched = new Set<Ticking>();
let timer: ReturnType<typeof setInterval> | undefined;
let last = 0;

/** Starts to call `it.tick()`. */
export function addTicking(it: Ticking): void {
  watched.add(it);
  // Deno loads its timers on first access and runs microtasks meanwhile, which may call this
  // function.
  const { setInterval } = globalThis;
  if (timer !== undefined) return;
  last = Math.round(performance.now());
  timer = setInterval(tickAll, TICK_MS);
}

/** Stops calling `it.tick()`. */
export function removeTicking(it: Ticking): void {
  watched.delete(it);
  if (watched.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

/**
 * Calls `callback` once this process has run for `ms` milliseconds, or up to half a second later. A
 * standstill (a stopped process, a busy event loop) does not count. Whatever the peer did during
 * that time to meet the deadline has not been seen yet.
 *
 * @returns A function that cancels the call.
 */
export function afterRunning(ms: number, callback: () => void): () => void {
  let remaining = ms;
  const it = {
    tick(elapsed: number): void {
      // Not on the very tick that ends a standstill either.
      if (remaining > 0) return void (remaining -= Math.min(elapsed, TICK_MS));
      removeTicking(it);
      callback();
    },
  };
  addTicking(it);
  return () => removeTicking(it);
}

function tickAll(): void {
  // Avoids allocations for each of ten thousand connections, or an idle process would keep
  // collecting garbage. So it uses integers, because fractions are heap objects, and no iterator,
  // which allocates a result per item.
  const now = Math.round(performance.now());
  const elapsed = now - last;
  last = now;
  watched.forEach((it) => it.tick(elapsed));
}
