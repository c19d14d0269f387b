import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { decodeRequest } from "../../protocol/control.ts";
import type { EventStream } from "../../web/answer.ts";
import { eventStreamOf } from "../../web/events.ts";
import { textOf } from "../support/bytes.ts";

function open(query: string) {
  return eventStreamOf(query);
}

/** The requests that a stream makes in the name of its client. */
function requestsOf(query: string) {
  const stream = open(query);
  if (stream.kind === "fault") throw new Error(stream.message);
  const lines = textOf(stream.lines).trimEnd().split("\n");
  return lines.map((line) => decodeRequest(JSON.parse(line)));
}

function faultOf(query: string) {
  const fault = open(query);
  if (fault.kind === "events") throw new Error(`Expected a fault of ${query}`);
  return fault;
}

const NOTHING = { control: "subscribe", events: [] };

Deno.test("eventStreamOf() subscribes to the patterns, in order", () => {
  const events = ["chat.*", "news", "größe.>"];
  const query = "name=chat.*&name=news&name=gr%C3%B6%C3%9Fe.%3E";
  assertEquals(requestsOf(query), [NOTHING, { control: "subscribe", events }]);
});

Deno.test("eventStreamOf() subscribes to every event without a pattern", () => {
  assertEquals(requestsOf(""), [NOTHING, { control: "subscribe", events: [">"] }]);
});

Deno.test("eventStreamOf() lets no name break out of its line", () => {
  const events = ['a"]}\n{"event":"b"}\r'];
  const query = `name=${encodeURIComponent(events[0]!)}`;
  assertEquals(requestsOf(query), [NOTHING, { control: "subscribe", events }]);
});

Deno.test("eventStreamOf() answers with a stream that is neither stored nor held back", () => {
  const { headers } = eventStreamOf("") as EventStream;
  assertEquals(headers["Content-Type"], "text/event-stream");
  assertEquals(headers["Cache-Control"], "no-store");
  assertEquals(headers["X-Accel-Buffering"], "no");
});

Deno.test("eventStreamOf() names the parameter that it does not know", () => {
  const { status, message } = faultOf("name=a&event=b&x=1");
  assertStrictEquals(status, 400);
  assert(message.startsWith('Unknown parameter "event": expected patterns'), message);
});

Deno.test("eventStreamOf() names the pattern that is invalid, and why", () => {
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

Deno.test("eventStreamOf() shows no control characters of a query", () => {
  assert(!/\p{Cc}/u.test(faultOf("%1B%5B2J=a").message));
});
