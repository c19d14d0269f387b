import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import fc from "fast-check";
import { formatHistogram, formatPercentiles, Histogram } from "../../cli/histogram.ts";
import { widthOf } from "../../cli/layout.ts";

function histogramOf(values: Iterable<number>): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

Deno.test("Histogram.percentile() is right to 0.8 %, for times of a microsecond to an hour", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (times, share) => {
        const sorted = times.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(share * times.length) - 1)]! / 1000;
        const found = histogramOf(times.map((us) => us / 1000)).percentile(share);
        return found >= exact && found <= exact * (1 + 1 / 128);
      },
    ),
  );
});

Deno.test("Histogram.summary() has percentiles, and exact extremes", () => {
  const summary = histogramOf([0.25, 1, 1, 1, 7200.125]).summary()!;
  assertEquals(summary.count, 5);
  assertEquals(summary.min, 0.25);
  assertEquals(summary.max, 7200.125);
  assertEquals(summary.mean, (0.25 + 3 + 7200.125) / 5);
  assertEquals(summary.p999, summary.max);
  assertStrictEquals(histogramOf([]).summary(), null);
});

Deno.test("Histogram.add() accepts times without a bucket of their own", () => {
  const summary = histogramOf([-5, 1e9]).summary()!;
  assertEquals(summary.count, 2);
  assertEquals(summary.min, 0);
  assertEquals(summary.max, 1e9);
  assertEquals(summary.p999, 1e9);
});

Deno.test("Histogram.counts() counts each once, the longest in the last part", () => {
  assertEquals(histogramOf([0.1, 1, 1.5, 2, 30]).counts([1, 2, 5]), [2, 2, 1]);
});

Deno.test("formatPercentiles() names them", () => {
  const summary = { count: 1, min: 0, mean: 1, p50: 0.1, p90: 0.2, p99: 1, p999: 20, max: 3000 };
  assertEquals(
    formatPercentiles(summary),
    "p50 100 µs  p90 200 µs  p99 1 ms  p99.9 20 ms  max 3 s",
  );
});

Deno.test("formatHistogram() draws a bar for each part, and one that can be seen for a single time", () => {
  const times = [...new Array(1000).fill(0.15), ...new Array(500).fill(0.4), 3];
  assertEquals(formatHistogram(histogramOf(times), 32), [
    "up to 200 µs  1,000  ███████████",
    "up to 500 µs    500  █████▌",
    "  up to 1 ms      0",
    "  up to 2 ms      0",
    "  up to 5 ms      1  ▏",
  ]);
});

Deno.test("formatHistogram() of nothing is nothing", () => {
  assertEquals(formatHistogram(histogramOf([]), 80), []);
});

Deno.test("formatHistogram() shows each time once, and fits", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e7, noNaN: true }), { minLength: 1 }),
      fc.integer({ min: 40, max: 120 }),
      (times, width) => {
        const lines = formatHistogram(histogramOf(times), width);
        const sum = lines.reduce((sum, line) => sum + Number(/ s? +(\d+)/.exec(line)?.[1] ?? 0), 0);
        return sum === times.length && lines.every((line) => widthOf(line) <= width);
      },
    ),
  );
});
