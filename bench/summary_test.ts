import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import type { Results } from "./results.ts";
import { putSummary, writeSummary } from "./summary.ts";

const results: Results = {
  machine: "",
  commit: "",
  command: "",
  repeat: 1,
  pinned: true,
  skipped: [],
  cells: new Map([
    ["1/redis", [{ cpuMicros: 0.6 }]],
    ["1/ws", [{ cpuMicros: 5.91 }]],
    ["500/redis", [{ cpuMicros: 62.4 }]],
  ]),
};

Deno.test("writeSummary() has figures only for measured scenarios", () => {
  const rows = writeSummary(results, ["redis", "ws"]).split("\n");
  assertEquals(rows, [
    "| CPU µs per event | 1 → 1 | 1 → 500 |",
    "| ---------------- | ----- | ------- |",
    "| redis            | 0.60  | 62      |",
    "| ws               | 5.9   |         |",
  ]);
});

Deno.test("writeSummary() has the latency of rooms, median and p99, in ms", () => {
  const cells = new Map([
    ["room-500/redis", [{ cpuMicros: 400, p50Micros: 310, p99Micros: 1840 }]],
    ["room-500/ws", [{ cpuMicros: 900, p50Micros: null, p99Micros: null }]],
    ["room-1000/redis", [{ cpuMicros: 800, p50Micros: 12_000, p99Micros: 1_234_567 }]],
  ]);
  const rows = writeSummary({ ...results, cells }, ["redis", "ws"]).split("\n");
  assertEquals(rows, [
    "| CPU µs per event | 1,000 ↔ 1,000 | 500 ↔ 500, ms | 1,000 ↔ 1,000, ms |",
    "| ---------------- | ------------- | ------------- | ----------------- |",
    "| redis            | 800           | 0.31 / 1.8    | 12 / 1,235        |",
    "| ws               |               | n/a           | n/a               |",
  ]);
});

Deno.test("putSummary() replaces what is between the marks, and nothing else", async () => {
  const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  const once = putSummary(readme, "first");
  const twice = putSummary(once, "second");
  assertEquals(twice, once.replace("\nfirst\n", "\nsecond\n"));
  assertEquals(putSummary(twice, "first"), once);
  assertEquals(once.split("\nfirst\n").length, 2);
  assertThrows(() => putSummary("no marks", "x"), Error, "The README has no");
});
