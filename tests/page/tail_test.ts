import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { Budget, EVENTS_PER_SECOND } from "../../page/budget.ts";
import { MAX_BATCH, TailBuffer } from "../../page/tail.ts";
import { utf8 } from "../support/bytes.ts";

/** Events with these numbers as their lines. */
function events(from: number, count: number) {
  return Array.from({ length: count }, (_, i) => ({ line: utf8(`{"event":"a${from + i}"}\n`) }));
}

Deno.test("TailBuffer.take() returns the events since the last call, without their line ends", () => {
  const buffer = new TailBuffer();
  buffer.push(events(0, 1), 5);
  buffer.push(events(1, 1), 6);
  assertEquals(buffer.take(), [
    { type: "event", at: 5, line: '{"event":"a0"}' },
    { type: "event", at: 6, line: '{"event":"a1"}' },
  ]);
  assertEquals(buffer.take(), []);
});

Deno.test("TailBuffer keeps the last few events of many, and counts the others", () => {
  const buffer = new TailBuffer();
  for (let i = 0; i < 100; i++) buffer.push(events(1000 * i, 1000), i);
  const [first, ...rows] = buffer.take();
  assertEquals(first, { type: "skipped", count: 100_000 - MAX_BATCH });
  assertEquals(rows.length, MAX_BATCH);
  assertEquals(rows.at(-1), { type: "event", at: 99, line: '{"event":"a99999"}' });
  assertEquals([buffer.received, buffer.skipped], [100_000, 100_000 - MAX_BATCH]);
  buffer.push(events(0, 1), 100);
  assertEquals(buffer.take().length, 1);
  buffer.clear();
  assertEquals([buffer.received, buffer.skipped], [0, 0]);
});

Deno.test("TailBuffer does not keep the memory of a block for the few events that it shows", () => {
  const buffer = new TailBuffer();
  const block = utf8('{"event":"a"}\n'.repeat(1000));
  const lines = Array.from(
    { length: 1000 },
    (_, i) => ({ line: block.subarray(14 * i, 14 * i + 14) }),
  );
  buffer.push(lines, 1);
  block.fill(0);
  assertEquals(buffer.take().at(-1), { type: "event", at: 1, line: '{"event":"a"}' });
});

Deno.test("TailBuffer shows only the events that contain the filter, and skips no others", () => {
  const buffer = new TailBuffer();
  buffer.push(events(0, 15), 1);
  buffer.filter = "A1";
  buffer.push(events(15, 15), 2);
  const rows = buffer.take();
  assertEquals(rows.length, 11); // a1, a10 to a19
  assertStrictEquals(buffer.skipped, 0);
  assertStrictEquals(buffer.received, 30);
});

Deno.test("Budget.spend() allows a burst, then so many events a second", () => {
  const budget = new Budget(0);
  assertFalse(budget.spend(EVENTS_PER_SECOND, 0));
  assert(budget.spend(1, 0));
  assertFalse(budget.spend(EVENTS_PER_SECOND / 2, 1000));
  assertFalse(budget.spend(EVENTS_PER_SECOND, 60_000));
  assert(budget.spend(EVENTS_PER_SECOND, 60_500));
});
