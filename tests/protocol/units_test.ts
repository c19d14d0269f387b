import { assertEquals } from "@std/assert/equals";
import {
  countOf,
  formatByteRate,
  formatBytes,
  formatDuration,
  formatExact,
  formatRate,
  formatTime,
} from "../../protocol/units.ts";

Deno.test("formatRate() keeps two digits at least, and changes its unit before a fourth", () => {
  const cases: [count: number, text: string][] = [
    [0, "0/s"],
    [0.04, "0.04/s"],
    [0.4, "0.4/s"],
    [7, "7/s"],
    [999, "999/s"],
    [999.6, "1K/s"],
    [1000, "1K/s"],
    [1249, "1.2K/s"],
    [9960, "10K/s"],
    [999_400, "999K/s"],
    [999_500, "1M/s"],
    [1e15, "1000T/s"],
  ];
  for (const [count, text] of cases) assertEquals(formatRate(count), text);
});

Deno.test("formatBytes() counts in steps of 1,024", () => {
  const cases: [bytes: number, text: string][] = [
    [0, "0 B"],
    [1023, "1020 B"],
    [1024, "1 KiB"],
    [3.4 * 2 ** 20, "3.4 MiB"],
    [2 ** 30, "1 GiB"],
  ];
  for (const [bytes, text] of cases) assertEquals(formatBytes(bytes), text);
  assertEquals(formatByteRate(3_565_158), "3.4 MiB/s");
});

Deno.test("formatExact() loses no digit", () => {
  assertEquals(formatExact(1_234_567), "1,234,567");
});

Deno.test("formatTime() chooses a unit, and has three digits at most", () => {
  const cases: [ms: number, text: string][] = [
    [0, "0 µs"],
    [0.0854, "85.4 µs"],
    [0.9999, "1 ms"],
    [1.236, "1.24 ms"],
    [99.96, "100 ms"],
    [999.6, "1 s"],
    [31_000, "31 s"],
  ];
  for (const [ms, text] of cases) assertEquals(formatTime(ms), text);
});

Deno.test("formatDuration() shows the two largest units", () => {
  const cases: [ms: number, text: string][] = [
    [0, "0s"],
    [-5, "0s"],
    [45_400, "45s"],
    [59_600, "1m"],
    [185_000, "3m 5s"],
    [7_380_000, "2h 3m"],
    [4 * 86_400_000 + 7 * 3_600_000, "4d 7h"],
  ];
  for (const [ms, text] of cases) assertEquals(formatDuration(ms), text);
});

Deno.test("The formats of rates and counts show that a figure is unknown", () => {
  assertEquals([formatRate(null), formatByteRate(null), formatExact(null)], ["-", "-", "-"]);
});

Deno.test("countOf() counts one, and several", () => {
  assertEquals([countOf(0, "event"), countOf(1, "event"), countOf(1234, "event")], [
    "0 events",
    "1 event",
    "1,234 events",
  ]);
});
