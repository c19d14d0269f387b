import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { format, formatShort, median, percentile, summarise } from "./stats.ts";

Deno.test("median() is the middle, or between the two middles", () => {
  assertEquals(median([10, 1, 2]), 2);
  assertEquals(median([4, 10, 1, 2]), 3);
  assertEquals(median([7]), 7);
});

Deno.test("median() and summarise() return null if at least half of the values are missing", () => {
  for (const values of [[], [null], [1, null], [1, null, null, 3]]) {
    assertStrictEquals(median(values), null);
    assertEquals(summarise(values), "n/a");
  }
});

Deno.test("summarise() counts the values if some are missing", () => {
  assertEquals(median([1, null, 3]), 2);
  assertEquals(summarise([1, null, 3]), "2 (1–3; 2 of 3)");
});

Deno.test("summarise() returns the median and the range", () => {
  assertEquals(summarise([3000, 1, 20]), "20 (1–3,000)");
  assertEquals(summarise([1, 2], 2), "1.50 (1.00–2.00)");
});

Deno.test("percentile() is the nearest rank", () => {
  const values = Float64Array.from({ length: 100 }, (_, i) => i + 1);
  assertEquals([0, 0.5, 0.99, 1].map((share) => percentile(values, share)), [1, 50, 99, 100]);
  assertEquals(percentile(new Float64Array([5]), 0.5), 5);
  assertStrictEquals(percentile(new Float64Array(), 0.5), null);
});

Deno.test("format() groups digits, and formatShort() has two or three of them", () => {
  assertEquals(format(1234567.891, 1), "1,234,567.9");
  assertEquals([0.031, 0.2, 8.76, 24.47, 281.6, 2900].map(formatShort), [
    "0.03",
    "0.20",
    "8.8",
    "24",
    "282",
    "2,900",
  ]);
});
