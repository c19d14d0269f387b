/** Random numbers for tests that must be able to run again in the same way. */

/** Random integers from 0 to below a bound, the same each time for a seed (mulberry32). */
export function randomsFrom(seed: number): (below: number) => number {
  return (below) => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, seed | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) % below;
  };
}
