/**
 * Selects the few largest of many items.
 *
 * @module
 */

/** Number of candidates that are sorted together, as a multiple of `count`. */
const BATCH = 4;

/**
 * Returns the first `count` items in the order of `compare`, as `sort()` would. Takes little more
 * than one comparison per item, regardless of the number of items.
 */
export function largest<T>(
  items: Iterable<T>,
  count: number,
  compare: (a: T, b: T) => number,
): T[] {
  let best: T[] = [];
  /** Items that do not sort before this one are not among the best. */
  let bound: T | undefined;
  for (const item of items) {
    if (bound !== undefined && compare(item, bound) >= 0) continue;
    if (best.push(item) < BATCH * count) continue;
    best = best.sort(compare).slice(0, count);
    bound = best.at(-1);
  }
  return best.sort(compare).slice(0, count);
}
