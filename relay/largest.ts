/**
 * Owns the choice of a few largest of many items. Must not know what they are.
 *
 * @module
 */

/** How many times as many as are wanted are looked at together. */
const BATCH = 4;

/**
 * The first `count` of the items by the order of `compare`, as `sort()` would have them. Takes little more
 * than one look at each, however many there are.
 */
export function largest<T>(
  items: Iterable<T>,
  count: number,
  compare: (one: T, two: T) => number,
): T[] {
  let best: T[] = [];
  /** What has no place among them: whatever is not before it. */
  let bound: T | undefined;
  for (const item of items) {
    if (bound !== undefined && compare(item, bound) >= 0) continue;
    if (best.push(item) < BATCH * count) continue;
    best = best.sort(compare).slice(0, count);
    bound = best.at(-1);
  }
  return best.sort(compare).slice(0, count);
}
