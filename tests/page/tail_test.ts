import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { Budget, EVENTS_PER_SECOND } from "../../page/budget.ts";
import { MAX_BATCH, TailBuffer, type TailRow } from "../../page/tail.ts";
import { EbsocketEvent } from "../../protocol/event.ts";

/** Events with these numbers in their names. */
function events(from: number, count: number): EbsocketEvent[] {
  return Array.from({ length: count }, (_, i) => new EbsocketEvent(`a${from + i}`, { n: "B" }));
}

/** The names of the events in rows. */
function namesOf(rows: readonly TailRow[]): string[] {
  return rows.map((row) => row.type === "event" ? row.event.event : `${row.count} skipped`);
}

Deno.test("TailBuffer.take() returns the events since the last call", () => {
  const buffer = new TailBuffer();
  const [one, two] = events(0, 2);
  buffer.push([one!], 5);
  buffer.push([two!], 6);
  assertEquals(buffer.take(), [
    { type: "event", at: 5, event: one!, json: '{"n":"B"}' },
    { type: "event", at: 6, event: two!, json: '{"n":"B"}' },
  ]);
  assertEquals(buffer.take(), []);
});

Deno.test("TailBuffer keeps the last few events of many, and counts the others", () => {
  const buffer = new TailBuffer();
  for (let i = 0; i < 100; i++) buffer.push(events(1000 * i, 1000), i);
  const names = namesOf(buffer.take());
  assertEquals(names.length, 1 + MAX_BATCH);
  assertEquals(names[0], `${100_000 - MAX_BATCH} skipped`);
  assertEquals(names.at(-1), "a99999");
  assertEquals([buffer.received, buffer.skipped], [100_000, 100_000 - MAX_BATCH]);
  buffer.push(events(0, 1), 100);
  assertEquals(namesOf(buffer.take()), ["a0"]);
  buffer.clear();
  assertEquals([buffer.received, buffer.skipped], [0, 0]);
});

Deno.test("TailBuffer shows only the events that contain the filter, and skips no others", () => {
  const buffer = new TailBuffer();
  buffer.push(events(0, 15), 1);
  buffer.filter = "A1";
  buffer.push(events(15, 5), 2);
  assertEquals(namesOf(buffer.take()).toSorted(), [
    "a1",
    ...Array.from({ length: 10 }, (_, i) => `a1${i}`),
  ]);
  assertEquals([buffer.received, buffer.skipped], [20, 0]);
  buffer.filter = '"b"';
  buffer.push(events(0, 1), 3);
  assertEquals(namesOf(buffer.take()), ["a0"]);
  buffer.filter = "c";
  buffer.push(events(0, 1), 4);
  assertEquals(buffer.take(), []);
});

Deno.test("Budget.spend() allows a burst, then so many events a second", () => {
  const budget = new Budget(0);
  assertFalse(budget.spend(EVENTS_PER_SECOND, 0));
  assert(budget.spend(1, 0));
  assertFalse(budget.spend(EVENTS_PER_SECOND / 2, 1000));
  assertFalse(budget.spend(EVENTS_PER_SECOND, 60_000));
  assert(budget.spend(EVENTS_PER_SECOND, 60_500));
});
