import { assertEquals } from "@std/assert/equals";
import { divide, Tally } from "../../cli/bench_events.ts";

function tallyOf(counts: number[], events: [sender: number, n: number][]): Tally {
  const tally = new Tally(counts);
  for (const [sender, n] of events) tally.add(sender, n);
  return tally;
}

Deno.test("Tally counts what comes in order, each sender by itself", () => {
  const tally = tallyOf([2, 1], [[0, 0], [1, 0], [0, 1]]);
  assertEquals([tally.received, tally.misplaced, tally.isComplete], [3, 0, true]);
});

Deno.test("Tally does not wait for what is missing once a later one has come", () => {
  const tally = tallyOf([5], [[0, 0], [0, 2], [0, 4]]);
  assertEquals([tally.received, tally.isComplete], [3, true]);
});

Deno.test("Tally waits for the last one", () => {
  assertEquals(tallyOf([2, 2], [[0, 0], [0, 1], [1, 0]]).isComplete, false);
});

Deno.test("Tally tells those that come twice, or too late, from those that count", () => {
  const tally = tallyOf([4], [[0, 0], [0, 0], [0, 2], [0, 1], [0, 3]]);
  assertEquals([tally.received, tally.misplaced], [3, 2]);
});

Deno.test("Tally.add() refuses what cannot be one of them", () => {
  const tally = new Tally([2]);
  for (const [sender, n] of [[1, 0], [-1, 0], [0, 2], [0, -1], [0, 0.5], [0, NaN]] as const) {
    assertEquals(tally.add(sender, n), false, `${sender}, ${n}`);
  }
  assertEquals([tally.received, tally.misplaced], [0, 0]);
});

Deno.test("divide() loses none, and is fair", () => {
  assertEquals(divide(10, 3), [4, 3, 3]);
  assertEquals(divide(2, 3), [1, 1, 0]);
});
