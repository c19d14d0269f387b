import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { Tally } from "../../cli/benchmarks.ts";

function tallyOf(counts: number[], events: [sender: number, n: number][]): Tally {
  const tally = new Tally(counts);
  for (const [sender, n] of events) tally.add(sender, n);
  return tally;
}

Deno.test("Tally counts events in order, each sender on its own", () => {
  const tally = tallyOf([2, 1], [[0, 0], [1, 0], [0, 1]]);
  assertEquals(tally.received, 3);
  assertEquals(tally.misplaced, 0);
  assert(tally.isComplete);
});

Deno.test("Tally does not wait for missing events after a later one", () => {
  const tally = tallyOf([5], [[0, 0], [0, 2], [0, 4]]);
  assertEquals(tally.received, 3);
  assert(tally.isComplete);
});

Deno.test("Tally waits for the last one", () => {
  assertFalse(tallyOf([2, 2], [[0, 0], [0, 1], [1, 0]]).isComplete);
});

Deno.test("Tally separates repeated and late events", () => {
  const tally = tallyOf([4], [[0, 0], [0, 0], [0, 2], [0, 1], [0, 3]]);
  assertEquals(tally.received, 3);
  assertEquals(tally.misplaced, 2);
});

Deno.test("Tally.add() refuses impossible numbers", () => {
  const tally = new Tally([2]);
  for (const [sender, n] of [[1, 0], [-1, 0], [0, 2], [0, -1], [0, 0.5], [0, NaN]] as const) {
    assertFalse(tally.add(sender, n), `${sender}, ${n}`);
  }
  assertEquals(tally.received, 0);
  assertEquals(tally.misplaced, 0);
});
