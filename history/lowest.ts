/**
 * A binary search.
 *
 * @module
 */

/**
 * Returns the least number below `count` for which a condition holds, or `count`. It must hold for
 * all greater ones, too.
 */
export function lowest(count: number, condition: (i: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = low + high >> 1;
    if (condition(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
