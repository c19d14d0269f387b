/**
 * Texts with colliding hashes in V8, which hashes a text that looks like an integer by its number,
 * and a comparison of their cost with that of other texts of their length.
 *
 * @module
 */

import { assertLess } from "@std/assert/less";

/** How far they are apart: a power of two, and as many fit below 2^32 as a test needs. */
const STEP = 131_072;

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
  const usual = fastest(() => work(ordinary(count)));
  const attacked = fastest(() => work(colliding(count)));
  assertLess(attacked, 5 * usual + 50);
}

/** How long `work` takes, in milliseconds: the shortest of three times, as others run beside it. */
function fastest(work: () => void): number {
  const times = Array.from({ length: 3 }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Math.min(...times);
}
