import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { medianOf, peersIn, type Results, valuesOf } from "./results.ts";

const results: Results = {
  machine: "",
  commit: "",
  command: "",
  repeat: 2,
  pinned: false,
  skipped: [],
  cells: new Map([
    ["1/redis", [{ cpuMicros: 3 }, { cpuMicros: 5 }]],
    ["1/ws", [{ cpuMicros: null }, { cpuMicros: 5 }]],
  ]),
};

Deno.test("medianOf() and valuesOf() look up the runs of a scenario with a peer", () => {
  assertEquals(valuesOf(results, "1", "redis", "cpuMicros"), [3, 5]);
  assertEquals(medianOf(results, "1", "redis", "cpuMicros"), 4);
});

Deno.test("medianOf() returns null, and valuesOf() no values, where nothing was measured", () => {
  assertEquals(valuesOf(results, "1", "redis", "p50Micros"), [null, null]);
  assertEquals(valuesOf(results, "4", "redis", "cpuMicros"), []);
  assertStrictEquals(medianOf(results, "1", "redis", "p50Micros"), null);
  assertStrictEquals(medianOf(results, "1", "ws", "cpuMicros"), null);
  assertStrictEquals(medianOf(results, "4", "redis", "cpuMicros"), null);
});

Deno.test("peersIn() keeps the order of those that took part", () => {
  assertEquals(peersIn(results, "1", ["ws", "copier", "redis"]), ["ws", "redis"]);
  assertEquals(peersIn(results, "4", ["ws", "redis"]), []);
});
