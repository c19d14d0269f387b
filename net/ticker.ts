/**
 * Owns the one timer behind all deadlines that need no precision. Must not know what is watched.
 *
 * A timer for each of ten thousand connections would cost more than the connections do, so one for
 * all goes round. It runs only while something is watched.
 *
 * @module
 */

/** How often it goes round, in milliseconds: how late a deadline may be noticed. */
export const TICK_MS = 250;

/** What wants to be told that time passes. */
export interface Ticking {
  /** `elapsed` milliseconds, a whole number, have passed since the last call, more or less. */
  tick(elapsed: number): void;
}

const watched = new Set<Ticking>();
let timer: ReturnType<typeof setInterval> | undefined;
let last = 0;

/** Tells `it` from now on that time passes. */
export function addTicking(it: Ticking): void {
  watched.add(it);
  // Deno loads its timers at the first look at them, and runs microtasks meanwhile, which may come here.
  const { setInterval } = globalThis;
  if (timer !== undefined) return;
  last = Math.round(performance.now());
  timer = setInterval(tickAll, TICK_MS);
}

/** Tells `it` nothing more. */
export function removeTicking(it: Ticking): void {
  watched.delete(it);
  if (watched.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

/**
 * Calls `callback` once we have run for `ms` milliseconds, or up to half a second later. Gives what calls
 * that off. Time in which we stood still (a stopped process, a busy event loop) does not count: what
 * others have done meanwhile, to keep the deadline, has not been seen yet.
 */
export function afterRunning(ms: number, callback: () => void): () => void {
  let left = ms;
  const it = {
    tick(elapsed: number): void {
      // Not at the very tick that ends a standstill, either.
      if (left > 0) return void (left -= Math.min(elapsed, TICK_MS));
      removeTicking(it);
      callback();
    },
  };
  addTicking(it);
  return () => removeTicking(it);
}

function tickAll(): void {
  // No allocation for each of ten thousand connections, or memory is collected where nothing goes
  // on: whole numbers only, since fractions are objects, and no iterator with a result for each.
  const now = Math.round(performance.now());
  const elapsed = now - last;
  last = now;
  watched.forEach((it) => it.tick(elapsed));
}
