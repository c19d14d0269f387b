import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import fc from "fast-check";
import { largest } from "../../relay/largest.ts";

Deno.test("largest() returns the first items of sort(), also among equal ones", () => {
  const item = fc.tuple(fc.nat(9), fc.nat());
  fc.assert(
    fc.property(fc.array(item, { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (all, n) => {
      const compare = ([one]: [number, number], [two]: [number, number]) => two - one;
      assertEquals(largest(all, n, compare), [...all].sort(compare).slice(0, n));
    }),
  );
});

Deno.test("largest() looks at each of many once, or little more often", () => {
  const all = Array.from({ length: 100_000 }, (_, i) => i * 7919 % 100_003);
  let count = 0;
  const most = largest(all, 100, (one, two) => {
    count++;
    return two - one;
  });
  assertEquals(most, all.toSorted((one, two) => two - one).slice(0, 100));
  assertLess(count, 400_000);
});
