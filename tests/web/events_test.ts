import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { decodeRequest } from "../../protocol/control.ts";
import type { HistoryPosition } from "../../protocol/history.ts";
import type { EventStream } from "../../web/answer.ts";
import { EventStreams } from "../../web/events.ts";
import { textOf } from "../support/bytes.ts";

interface Options {
  /** The header `Last-Event-ID`. */
  readonly id?: string;
  readonly position?: HistoryPosition | null;
}

function open(query: string, { id, position = null }: Options = {}) {
  const headers = new Map(id === undefined ? [] : [["last-event-id", id]]);
  return new EventStreams().answer({ query, headers }, { position, keepsLast: true });
}

/** The lines that a stream sends in the name of its client. */
function linesOf(query: string, options?: Options) {
  const stream = open(query, options);
  if (stream.kind === "fault") throw new Error(stream.message);
  return textOf(stream.lines).trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** The requests among them. */
function requestsOf(query: string, options?: Options) {
  return linesOf(query, options).map(decodeRequest).filter((request) => request !== null);
}

function faultOf(query: string, options?: Options) {
  const fault = open(query, options);
  if (fault.kind === "events") throw new Error(`Expected a fault of ${query}`);
  return fault;
}

/** From where on a stream of a relay with a history asks for events. */
function sinceOf(query: string, id?: string) {
  const request = requestsOf(query, { position: END, ...(id !== undefined && { id }) }).at(-1)!;
  return "replay" in request ? request.replay!.since : null;
}

const NOTHING = { control: "subscribe", events: [] };

/** The end of a history. */
const END: HistoryPosition = { epoch: "k3J9x2aQ", offset: 1041 };

Deno.test("EventStreams.answer() subscribes to the patterns, in order", () => {
  const events = ["chat.*", "news", "größe.>"];
  const query = "name=chat.*&name=news&name=gr%C3%B6%C3%9Fe.%3E";
  assertEquals(requestsOf(query), [NOTHING, { control: "subscribe", events }]);
});

Deno.test("EventStreams.answer() subscribes to every event without a pattern", () => {
  assertEquals(requestsOf(""), [NOTHING, { control: "subscribe", events: [">"] }]);
});

Deno.test("EventStreams.answer() lets no name break out of its line", () => {
  const events = ['a"]}\n{"event":"b"}\r'];
  const query = `name=${encodeURIComponent(events[0]!)}`;
  assertEquals(requestsOf(query), [NOTHING, { control: "subscribe", events }]);
});

Deno.test("EventStreams.answer() answers with a stream that is neither stored nor held back", () => {
  const { headers } = open("") as EventStream;
  assertEquals(headers["Content-Type"], "text/event-stream");
  assertEquals(headers["Cache-Control"], "no-store");
  assertEquals(headers["X-Accel-Buffering"], "no");
});

Deno.test("EventStreams.answer() names the parameter that it does not know", () => {
  const { status, message } = faultOf("name=a&event=b&x=1");
  assertStrictEquals(status, 400);
  assert(message.startsWith('Unknown parameter "event": expected patterns'), message);
});

Deno.test("EventStreams.answer() names the pattern that is invalid, and why", () => {
  const table = [
    ["name=a&name=", 'Invalid pattern "": expected 1 to 255 bytes, got 0'],
    ["name=%3E.a", 'Invalid pattern ">.a": ">" stands for all the rest, and so must be the last'],
    [`name=${"%C3%A9".repeat(128)}`, "expected 1 to 255 bytes, got 256"],
  ] as const;
  for (const [query, expected] of table) {
    const { status, message } = faultOf(query);
    assertStrictEquals(status, 400);
    assert(message.includes(expected), message);
  }
});

Deno.test("EventStreams.answer() shows no control characters of a query", () => {
  assert(!/\p{Cc}/u.test(faultOf("%1B%5B2J=a").message));
});

Deno.test("EventStreams.answer() asks for offsets, and for all since now, where there is a history", () => {
  const lines = linesOf("name=a", { position: END });
  assertEquals(lines[1], { control: "hello", version: 1, offsets: true });
  assertEquals(requestsOf("name=a", { position: END }), [NOTHING, {
    control: "subscribe",
    events: ["a"],
    id: "k3J9x2aQ:1041",
    replay: { since: END, partial: true, isPast: false },
  }]);
});

Deno.test("EventStreams.answer() goes on after the last event that its client has received", () => {
  assertEquals(sinceOf("", "old:17"), { epoch: "old", offset: 17 });
});

Deno.test("EventStreams.answer() goes on where the parameter says", () => {
  assertStrictEquals(sinceOf("since=first"), "first");
  assertStrictEquals(sinceOf("since=last"), "last");
  assertEquals(sinceOf("since=old:17"), { epoch: "old", offset: 17 });
});

Deno.test("EventStreams.answer() prefers the last event to the parameter, as an EventSource needs", () => {
  assertEquals(sinceOf("since=first", "old:17"), { epoch: "old", offset: 17 });
  assertStrictEquals(sinceOf("since=first", ""), "first");
});

Deno.test("EventStreams.answer() takes an id that is not a position for one of no epoch", () => {
  for (const id of ["junk", "first", "a:b", ":1", `${"e".repeat(65)}:1`, "é:1.5"]) {
    assertEquals(sinceOf("", id), { epoch: "?", offset: 0 }, id);
  }
});

Deno.test("EventStreams.answer() ignores an id where there is no history", () => {
  assertEquals(linesOf("", { id: "old:17" }), linesOf(""));
});

Deno.test("EventStreams.answer() names a parameter since that is wrong, or that asks too much", () => {
  const { status, message } = faultOf("since=10m", { position: END });
  assertStrictEquals(status, 400);
  assert(message.startsWith('Invalid since "10m": expected first, last, or a position'), message);
  const none = faultOf("since=first");
  assertStrictEquals(none.status, 400);
  assertStrictEquals(none.message, 'Invalid since "first": the relay keeps no events');
});

Deno.test("EventStreams.answer() encodes events once for all streams, as long as the epoch lasts", () => {
  const streams = new EventStreams();
  const codecIn = (position: HistoryPosition | null) => {
    const answer = streams.answer({ query: "", headers: new Map() }, {
      position,
      keepsLast: false,
    });
    return (answer as EventStream).codec;
  };
  const codec = codecIn(END);
  assertStrictEquals(codecIn({ ...END, offset: 1042 }), codec);
  assertNotStrictEquals(codecIn({ epoch: "next", offset: 0 }), codec);
});
