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
export interface Watched {
  /** `elapsed` milliseconds have passed since the last call, more or less. */
  tick(elapsed: number): void;
}

const watched = new Set<Watched>();
let timer: ReturnType<typeof setInterval> | undefined;
let last = 0;

/** Tells `it` from now on that time passes. */
export function watch(it: Watched): void {
  watched.add(it);
  if (timer !== undefined) return;
  last = performance.now();
  timer = setInterval(goRound, TICK_MS);
}

/** Tells `it` nothing more. */
export function unwatch(it: Watched): void {
  watched.delete(it);
  if (watched.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

function goRound(): void {
  const now = performance.now();
  const elapsed = now - last;
  last = now;
  for (const it of watched) it.tick(elapsed);
}
