import { assertEquals } from "@std/assert/equals";
import {
  countOf,
  formatByteRate,
  formatBytes,
  formatCount,
  formatDuration,
  formatExact,
  formatLatency,
  formatRate,
} from "../../cli/units.ts";

Deno.test("formatCount() keeps two digits at least, and changes its unit before a fourth", () => {
  const cases: [count: number, text: string][] = [
    [0, "0"],
    [0.04, "0.0"],
    [0.4, "0.4"],
    [7, "7"],
    [999, "999"],
    [999.6, "1.0 k"],
    [1000, "1.0 k"],
    [1249, "1.2 k"],
    [9960, "10 k"],
    [999_400, "999 k"],
    [999_500, "1.0 M"],
    [1e15, "1000 T"],
  ];
  for (const [count, text] of cases) assertEquals(formatCount(count), text);
});

Deno.test("formatBytes() counts in steps of 1,024", () => {
  const cases: [bytes: number, text: string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [3.4 * 2 ** 20, "3.4 MiB"],
    [2 ** 30, "1.0 GiB"],
  ];
  for (const [bytes, text] of cases) assertEquals(formatBytes(bytes), text);
});

Deno.test("formatRate() and formatByteRate() say what there is in a second", () => {
  assertEquals(formatRate(1234), "1.2 k/s");
  assertEquals(formatRate(0), "0/s");
  assertEquals(formatByteRate(3_565_158), "3.4 MiB/s");
});

Deno.test("formatExact() loses no digit", () => {
  assertEquals(formatExact(1_234_567), "1,234,567");
});

Deno.test("formatLatency() chooses a unit with three digits", () => {
  const cases: [ms: number, text: string][] = [
    [0, "0.00 µs"],
    [0.0854, "85.4 µs"],
    [0.9999, "1.00 ms"],
    [1.236, "1.24 ms"],
    [99.96, "100 ms"],
    [999.6, "1.00 s"],
    [31_000, "31.0 s"],
  ];
  for (const [ms, text] of cases) assertEquals(formatLatency(ms), text);
});

Deno.test("formatDuration() says the two largest units", () => {
  const cases: [ms: number, text: string][] = [
    [0, "0s"],
    [-5, "0s"],
    [45_400, "45s"],
    [59_600, "1m00s"],
    [185_000, "3m05s"],
    [7_380_000, "2h03m"],
    [4 * 86_400_000 + 7 * 3_600_000, "4d07h"],
  ];
  for (const [ms, text] of cases) assertEquals(formatDuration(ms), text);
});

Deno.test("countOf() counts one, and several", () => {
  assertEquals([countOf(0, "event"), countOf(1, "event"), countOf(1234, "event")], [
    "0 events",
    "1 event",
    "1,234 events",
  ]);
});
