import { assertEquals } from "@std/assert/equals";
import { assertAlmostEquals } from "@std/assert/almost-equals";
import { assertGreater } from "@std/assert/greater";
import { gatherTime, noteDemand } from "../../net/write_demand.ts";
import { pretendWritesTake } from "../support/turns.ts";

/** A clock that begins long after all that was noted before. */
let now = 1e6;

/** Notes that an event comes for so many readers every `interval` ms, for a second; a write takes 10 µs. */
function demand(readers: number, interval: number): void {
  now += 1000;
  pretendWritesTake(0.01);
  for (let i = 0; i < 1000; i += interval) noteDemand(readers, now += interval);
}

Deno.test("gatherTime() is nothing while each event can be written by itself", () => {
  demand(50, 1);
  assertEquals(gatherTime(50, 20), 0);
  demand(300, 3.5);
  assertEquals(gatherTime(300, 20), 0);
  demand(1, 0.05);
  assertEquals(gatherTime(1, 20), 0);
});

Deno.test("gatherTime() makes writing take about half of the time, within the longest wait of an event", () => {
  demand(500, 1);
  assertAlmostEquals(gatherTime(500, 20), 11, 1);
  demand(1000, 0.25);
  assertEquals(gatherTime(1000, 20), 20);
  assertEquals(gatherTime(1000, 5), 5);
  assertEquals(gatherTime(1000, 0), 0);
});

Deno.test("gatherTime() is zero for a few readers, however busy the process is", () => {
  demand(1000, 0.25);
  assertEquals(gatherTime(10, 20), 0);
});

Deno.test("gatherTime() does not depend on how much is gathered", () => {
  demand(500, 1);
  const one = gatherTime(500, 20);
  demand(500, 0.1);
  assertEquals(gatherTime(500, 20), one);
});

Deno.test("gatherTime() is back at nothing within 100 ms of silence", () => {
  demand(1000, 0.25);
  assertGreater(gatherTime(1000, 20), 0);
  noteDemand(0, now += 100);
  assertEquals(gatherTime(1000, 20), 0);
});
