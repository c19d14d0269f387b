/**
 * Texts with colliding hashes in V8, which hashes a text that looks like an integer by its number,
 * and a comparison of their cost with that of other texts of their length.
 *
 * @module
 */

import { assertLess } from "@std/assert/less";

/** How far they are apart: a power of two, and as many fit below 2^32 as a test needs. */
const STEP = 131_072;

/** How often each work is timed, and how often where it seems to be slow. */
const MIN_TIMES = 3;
const MAX_TIMES = 20;

/** Texts that are hashed as numbers, from number `first` on. */
export function colliding(count: number, first = 1): string[] {
  return Array.from({ length: count }, (_, i) => `${(first + i) * STEP}`);
}

/** As many of the same lengths that are not. */
export function ordinary(count: number, first = 1): string[] {
  return colliding(count, first).map((text) => `k${text.slice(1)}`);
}

/**
 * Makes sure that `work` takes about as long with colliding texts as with others. Where each look-up walks
 * through all that collide, it takes fifty times as long. Whatever else `work` does hides that.
 */
export function assertNoDearer(count: number, work: (texts: readonly string[]) => void): void {
  let usual = Infinity;
  let attacked = Infinity;
  // The shortest of several times, as others run beside it.
  for (let i = 0; i < MIN_TIMES || i < MAX_TIMES && attacked >= 5 * usual + 50; i++) {
    usual = Math.min(usual, timeOf(() => work(ordinary(count))));
    attacked = Math.min(attacked, timeOf(() => work(colliding(count))));
  }
  assertLess(attacked, 5 * usual + 50);
}

/** How long `work` takes, in milliseconds. */
function timeOf(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}
