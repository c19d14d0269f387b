import { assertEquals } from "@std/assert/equals";
import { EventChecker } from "../checker.ts";
import { defineEvents } from "../define.ts";
import { EbsocketEvent } from "../event.ts";
import { type Misfit, Misfits } from "../misfits.ts";
import { MESSAGE, schemaOf } from "./support/schemas.ts";

function newMisfits(): Misfits {
  const shout = schemaOf(() => ({ value: { content: "HI" } }));
  return new Misfits(new EventChecker(defineEvents({ message: MESSAGE, shout })));
}

/** Events that do not fit; their content is a number. */
function wrong(...contents: number[]): EbsocketEvent[] {
  return contents.map((content) => new EbsocketEvent("message", { content }));
}

/** Those of `events` that fit; their lines had `bytes` bytes. */
function sortOut(misfits: Misfits, events: EbsocketEvent[], bytes: number): EbsocketEvent[] {
  const fitting = events.filter((event) => misfits.take(event) === null);
  misfits.publish(bytes);
  return fitting;
}

/** The content of each misfit, and how many are missing before it. */
function show(misfits: Misfit[]): [content: unknown, missed: number][] {
  return misfits.map(({ event, missed }) => [event.getAttribute("content"), missed]);
}

Deno.test("Misfits.take() makes what validators do of what fits, and publish() tells every reader of the rest", async () => {
  const misfits = newMisfits();
  const [one, two] = [misfits.read(), misfits.read()];
  const right = new EbsocketEvent("message", { content: "hi" });
  const [misfit] = wrong(1);
  const fitting = sortOut(misfits, [misfit!, right, new EbsocketEvent("shout")], 100);
  assertEquals(fitting.map(({ __dict__ }) => __dict__), [{ content: "hi" }, { content: "HI" }]);
  assertEquals(misfits.count, 1);
  misfits.end();
  for (const reader of [one, two]) {
    assertEquals(await Array.fromAsync(reader), [
      { event: misfit!, issues: ["content: Expected a string"], missed: 0 },
    ]);
  }
});

Deno.test("Misfits.take() lets everything fit where there are no definitions", () => {
  const misfits = new Misfits(new EventChecker(undefined));
  assertEquals([misfits.isPossible, newMisfits().isPossible], [false, true]);
  assertEquals(sortOut(misfits, wrong(1, 2), 100).length, 2);
  assertEquals(misfits.count, 0);
});

Deno.test("Misfits.read() gives the first reader what has come before", async () => {
  const misfits = newMisfits();
  sortOut(misfits, wrong(1, 2), 100);
  misfits.end();
  misfits.reopen();
  sortOut(misfits, wrong(3), 100);
  const [first, second] = [misfits.read(), misfits.read()];
  sortOut(misfits, wrong(4), 100);
  misfits.end();
  assertEquals(show(await Array.fromAsync(first)), [[1, 0], [2, 0], [3, 0], [4, 0]]);
  assertEquals(show(await Array.fromAsync(second)), [[4, 0]]);
  const late = newMisfits();
  sortOut(late, wrong(1), 100);
  late.end();
  assertEquals(show(await Array.fromAsync(late.read())), [[1, 0]]);
});

Deno.test("Misfits.read() waits for what comes, from the call on and up to the end", async () => {
  const misfits = newMisfits();
  misfits.read();
  sortOut(misfits, wrong(1), 100);
  const reader = misfits.read();
  const next = reader.next();
  sortOut(misfits, wrong(2, 3), 100);
  assertEquals(show([(await next).value as Misfit]), [[2, 0]]);
  misfits.end();
  assertEquals(show(await Array.fromAsync(reader)), [[3, 0]]);
  assertEquals(await misfits.read().next(), { done: true, value: undefined });
  assertEquals(misfits.count, 3);
});

Deno.test("Misfits.reopen() lets readers wait again", async () => {
  const misfits = newMisfits();
  misfits.end();
  misfits.reopen();
  const reader = misfits.read();
  sortOut(misfits, wrong(1), 100);
  misfits.end();
  assertEquals(show(await Array.fromAsync(reader)), [[1, 0]]);
});

Deno.test("Misfits keeps the last 1,000 for a reader that does not read, and says what is missing", async () => {
  const misfits = newMisfits();
  const reader = misfits.read();
  sortOut(misfits, wrong(1), 100);
  assertEquals(show([(await reader.next()).value as Misfit]), [[1, 0]]);
  for (let i = 2; i <= 1501; i++) sortOut(misfits, wrong(i), 100);
  misfits.end();
  const rest = show(await Array.fromAsync(reader));
  assertEquals([rest.length, rest[0], rest[1], rest.at(-1)], [1000, [502, 500], [503, 0], [
    1501,
    0,
  ]]);
  assertEquals(misfits.count, 1501);
});

Deno.test("Misfits keeps fewer of those with long lines, but always the last", async () => {
  const misfits = newMisfits();
  const reader = misfits.read();
  const mebibyte = 1 << 20;
  for (let i = 1; i <= 100; i++) sortOut(misfits, wrong(i, -i), 2 * mebibyte);
  assertEquals(show([(await reader.next()).value as Misfit]), [[97, 192]]);
  sortOut(misfits, wrong(101), mebibyte); // In the place of the one that has been read.
  sortOut(misfits, wrong(102), 100 * mebibyte);
  misfits.end();
  assertEquals(show(await Array.fromAsync(reader)), [[102, 8]]);
});

Deno.test("Misfits forgets a reader that has left its loop", async () => {
  const misfits = newMisfits();
  misfits.read();
  const reader = misfits.read();
  sortOut(misfits, wrong(1), 100);
  for await (const { event } of reader) {
    assertEquals(event.__dict__, { content: 1 });
    break;
  }
  sortOut(misfits, wrong(2), 100);
  assertEquals(await reader.next(), { done: true, value: undefined });
});
