import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { EventChecker } from "../../schema/checker.ts";
import { defineEvents } from "../../schema/definitions.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { type InvalidEvent, InvalidEvents } from "../../client/invalid_events.ts";
import { MESSAGE, schemaOf } from "../support/schemas.ts";

function newInvalidEvents(): InvalidEvents {
  const shout = schemaOf(() => ({ value: { content: "HI" } }));
  return new InvalidEvents(new EventChecker(defineEvents({ message: MESSAGE, shout })));
}

/** Events that do not fit; their content is a number. */
function wrong(...contents: number[]): EbsocketEvent[] {
  return contents.map((content) => new EbsocketEvent("message", { content }));
}

/** Those of `events` that fit; their lines had `bytes` bytes. */
function sortOut(
  invalidEvents: InvalidEvents,
  events: EbsocketEvent[],
  bytes: number,
): EbsocketEvent[] {
  const fitting = events.filter((event) => invalidEvents.take(event) === null);
  invalidEvents.publish(bytes);
  return fitting;
}

/** The content of each invalid event, and how many are missing before it. */
function show(invalidEvents: InvalidEvent[]): [content: unknown, missed: number][] {
  return invalidEvents.map(({ event, missed }) => [event.getAttribute("content"), missed]);
}

Deno.test("InvalidEvents.take() returns the output of validators, and publish() passes the rest to every reader", async () => {
  const invalidEvents = newInvalidEvents();
  const [one, two] = [invalidEvents.read(), invalidEvents.read()];
  const right = new EbsocketEvent("message", { content: "hi" });
  const [invalidEvent] = wrong(1);
  const fitting = sortOut(invalidEvents, [invalidEvent!, right, new EbsocketEvent("shout")], 100);
  assertEquals(fitting.map(({ __dict__ }) => __dict__), [{ content: "hi" }, { content: "HI" }]);
  assertEquals(invalidEvents.count, 1);
  invalidEvents.end();
  for (const reader of [one, two]) {
    assertEquals(await Array.fromAsync(reader), [
      { event: invalidEvent!, issues: ["content: Expected a string"], missed: 0 },
    ]);
  }
});

Deno.test("InvalidEvents.take() accepts every event without definitions", () => {
  const invalidEvents = new InvalidEvents(new EventChecker(undefined));
  assertFalse(invalidEvents.isPossible);
  assert(newInvalidEvents().isPossible);
  assertEquals(sortOut(invalidEvents, wrong(1, 2), 100).length, 2);
  assertEquals(invalidEvents.count, 0);
});

Deno.test("InvalidEvents.read() gives earlier events to the first reader", async () => {
  const invalidEvents = newInvalidEvents();
  sortOut(invalidEvents, wrong(1, 2), 100);
  invalidEvents.end();
  invalidEvents.reopen();
  sortOut(invalidEvents, wrong(3), 100);
  const [first, second] = [invalidEvents.read(), invalidEvents.read()];
  sortOut(invalidEvents, wrong(4), 100);
  invalidEvents.end();
  assertEquals(show(await Array.fromAsync(first)), [[1, 0], [2, 0], [3, 0], [4, 0]]);
  assertEquals(show(await Array.fromAsync(second)), [[4, 0]]);
  const late = newInvalidEvents();
  sortOut(late, wrong(1), 100);
  late.end();
  assertEquals(show(await Array.fromAsync(late.read())), [[1, 0]]);
});

Deno.test("InvalidEvents.read() waits for later events, from the call on and up to the end", async () => {
  const invalidEvents = newInvalidEvents();
  invalidEvents.read();
  sortOut(invalidEvents, wrong(1), 100);
  const reader = invalidEvents.read();
  const next = reader.next();
  sortOut(invalidEvents, wrong(2, 3), 100);
  assertEquals(show([(await next).value as InvalidEvent]), [[2, 0]]);
  invalidEvents.end();
  assertEquals(show(await Array.fromAsync(reader)), [[3, 0]]);
  assertEquals(await invalidEvents.read().next(), { done: true, value: undefined });
  assertEquals(invalidEvents.count, 3);
});

Deno.test("InvalidEvents.reopen() makes readers wait again", async () => {
  const invalidEvents = newInvalidEvents();
  invalidEvents.end();
  invalidEvents.reopen();
  const reader = invalidEvents.read();
  sortOut(invalidEvents, wrong(1), 100);
  invalidEvents.end();
  assertEquals(show(await Array.fromAsync(reader)), [[1, 0]]);
});

Deno.test("InvalidEvents keeps the last 1,000 for a reader that does not read, and counts the missing ones", async () => {
  const invalidEvents = newInvalidEvents();
  const reader = invalidEvents.read();
  sortOut(invalidEvents, wrong(1), 100);
  assertEquals(show([(await reader.next()).value as InvalidEvent]), [[1, 0]]);
  for (let i = 2; i <= 1501; i++) sortOut(invalidEvents, wrong(i), 100);
  invalidEvents.end();
  const rest = show(await Array.fromAsync(reader));
  assertEquals(rest.length, 1000);
  assertEquals(rest[0], [502, 500]);
  assertEquals(rest[1], [503, 0]);
  assertEquals(rest.at(-1), [
    1501,
    0,
  ]);
  assertEquals(invalidEvents.count, 1501);
});

Deno.test("InvalidEvents keeps fewer of those with long lines, but always the last", async () => {
  const invalidEvents = newInvalidEvents();
  const reader = invalidEvents.read();
  const mebibyte = 1 << 20;
  for (let i = 1; i <= 100; i++) sortOut(invalidEvents, wrong(i, -i), 2 * mebibyte);
  assertEquals(show([(await reader.next()).value as InvalidEvent]), [[97, 192]]);
  sortOut(invalidEvents, wrong(101), mebibyte); // In the place of the one that has been read.
  sortOut(invalidEvents, wrong(102), 100 * mebibyte);
  invalidEvents.end();
  assertEquals(show(await Array.fromAsync(reader)), [[102, 8]]);
});

Deno.test("InvalidEvents forgets a reader that has left its loop", async () => {
  const invalidEvents = newInvalidEvents();
  invalidEvents.read();
  const reader = invalidEvents.read();
  sortOut(invalidEvents, wrong(1), 100);
  for await (const { event } of reader) {
    assertEquals(event.__dict__, { content: 1 });
    break;
  }
  sortOut(invalidEvents, wrong(2), 100);
  assertEquals(await reader.next(), { done: true, value: undefined });
});
