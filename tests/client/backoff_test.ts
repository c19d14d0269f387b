import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { backoffDelay } from "../../client/retry.ts";

const BOUNDS = { minDelay: 500, maxDelay: 5000 };

/** Numbers from 0 to 1 that are the same in every run: the generator mulberry32. */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

Deno.test("backoffDelay() doubles its bound up to the greatest, and never passes it", () => {
  const most = Array.from({ length: 8 }, (_, before) => backoffDelay(before, BOUNDS, () => 1));
  assertEquals(most, [500, 1000, 2000, 4000, 5000, 5000, 5000, 5000]);
  assertEquals(backoffDelay(0, BOUNDS, () => 0), 0);
  assertEquals(backoffDelay(1_000_000, BOUNDS, () => 1), 5000);
  assertEquals(backoffDelay(3, { minDelay: 5, maxDelay: 5 }, () => 1), 5);
});

Deno.test("backoffDelay() spreads 1,000 clients of a restarted server evenly, from the first retry on", () => {
  const random = seeded(7982);
  for (const [before, bound] of [[0, 500], [1, 1000], [9, 5000]] as const) {
    const tenths = Array<number>(10).fill(0);
    for (let client = 0; client < 1000; client++) {
      const delay = backoffDelay(before, BOUNDS, random);
      assert(Number.isInteger(delay));
      assertGreaterOrEqual(delay, 0);
      assertLessOrEqual(delay, bound);
      tenths[Math.min(9, Math.floor(delay / bound * 10))]! += 1;
    }
    // A hundred each, and more than four standard deviations of leeway.
    assert(tenths.every((count) => count > 60 && count < 140), `${tenths}`);
  }
});

Deno.test("backoffDelay() never makes many clients come back in the same instant", () => {
  const delays = Array.from({ length: 1000 }, () => backoffDelay(0, BOUNDS));
  const perInstant = Map.groupBy(delays, (delay) => delay);
  const most = Math.max(...[...perInstant.values()].map(({ length }) => length));
  assertLess(most, 20);
});
