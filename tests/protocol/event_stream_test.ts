import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertStrictEquals } from "@std/assert/strict-equals";
import fc from "fast-check";
import { encodeClose, encodeRefusal } from "../../protocol/control.ts";
import {
  countMessages,
  encodeEventStream,
  endOfMessage,
  KEEP_ALIVE,
} from "../../protocol/event_stream.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { EventStreamReader, type Message } from "../support/event_stream.ts";

function encoded(lines: string, areEvents: boolean): string {
  return textOf(encodeEventStream(utf8(lines), areEvents));
}

function read(stream: string): Message[] {
  return new EventStreamReader().push(stream).messages;
}

Deno.test("encodeEventStream() makes one message of each event", () => {
  assertEquals(
    encoded('{"event":"a"}\n{"event":"b","__dict__":{"text":"Grüße"}}\n', true),
    'data: {"event":"a"}\n\ndata: {"event":"b","__dict__":{"text":"Grüße"}}\n\n',
  );
});

Deno.test("encodeEventStream() makes nothing of nothing", () => {
  assertStrictEquals(encoded("", true), "");
  assertStrictEquals(encoded("", false), "");
});

Deno.test("encodeEventStream() gives control lines a type of their own, and `close` its own", () => {
  const error = { id: "s1", reason: "bad-pattern", detail: "close" };
  const close = { reason: "shutdown", detail: "" } as const;
  const lines = textOf(encodeRefusal(error)) + textOf(encodeClose(close)!);
  assertEquals(read(encoded(lines, false)), [
    {
      type: "control",
      data: '{"control":"error","id":"s1","reason":"bad-pattern","detail":"close"}',
    },
    { type: "close", data: '{"control":"close","reason":"shutdown"}' },
  ]);
});

Deno.test("encodeEventStream() tells the types of mixed lines apart", () => {
  const lines = '{"event":"a"}\n{"control":"closed"}\n\n{"control":"close"}\n{"event":"close"}\n';
  const reader = new EventStreamReader().push(encoded(lines, false));
  const types = reader.messages.map(({ type }) => type);
  assertEquals(types, ["message", "control", "close", "message"]);
  assertEquals(reader.comments, [""]);
});

Deno.test("encodeEventStream() never writes the name of an event into a field", () => {
  const name = "close\\nevent: close\\ndata: x";
  const line = `{"event":"${name}"}`;
  assertEquals(read(encoded(`${line}\n`, true)), [{ type: "message", data: line }]);
});

Deno.test("encodeEventStream() replaces each carriage return with a space", () => {
  const line = '{\r"event":\r\r"a"\r}\r';
  const stream = encoded(`${line}\n{"event":"b"}\n`, true);
  assertEquals(stream, 'data: { "event":  "a" } \n\ndata: {"event":"b"}\n\n');
});

Deno.test("encodeEventStream() leaves its input alone", () => {
  const lines = utf8('{"event":"a"}\r\n');
  encodeEventStream(lines, true);
  assertEquals(textOf(lines), '{"event":"a"}\r\n');
});

Deno.test("An encoded empty line is a keep-alive, which no reader delivers", () => {
  assertEquals(encodeEventStream(utf8("\n"), false), KEEP_ALIVE);
  const reader = new EventStreamReader().push(textOf(KEEP_ALIVE));
  assertEquals(reader.messages, []);
  assertEquals(reader.comments, [""]);
});

/** Any JSON, with carriage returns as white space, without line feeds. */
const json = fc.json({ maxDepth: 3 }).chain((text) =>
  fc.constantFrom("", "\r", " \r\r").map((space) => `${space}${text}${space}`)
);
const event = fc.tuple(fc.string({ unit: "binary", minLength: 1 }), json).map(([name, value]) =>
  `{"event":${JSON.stringify(name.toWellFormed())},"__dict__":{"x":${value}}}`
);
const control = fc.constantFrom(
  '{"control":"close","reason":"shutdown"}',
  '{"control":"ack","id":"s1"}',
  '{"control":"closer"}',
);

Deno.test("An EventSource reads what was encoded: every line once, in order, with its type", () => {
  const lines = fc.array(fc.oneof(event, control, fc.constant("")), { maxLength: 8 });
  fc.assert(fc.property(lines, fc.integer({ min: 1, max: 9 }), (lines, size) => {
    const stream = encoded(lines.map((line) => `${line}\n`).join(""), false);
    const reader = new EventStreamReader();
    for (let i = 0; i < stream.length; i += size) reader.push(stream.slice(i, i + size));
    const expected = lines.filter((line) => line !== "").map((line) => ({
      type: typeOf(JSON.parse(line)),
      data: line.replaceAll("\r", " "),
    }));
    assertEquals(reader.messages, expected);
    assertStrictEquals(reader.comments.length, lines.length - expected.length);
  }));
});

function typeOf(line: { control?: string }): string {
  if (line.control === undefined) return "message";
  return line.control === "close" ? "close" : "control";
}

Deno.test("encodeEventStream() returns the same for events, whether or not it looks at them", () => {
  fc.assert(fc.property(fc.array(event), (events) => {
    const lines = events.map((line) => `${line}\n`).join("");
    assertStrictEquals(encoded(lines, true), encoded(lines, false));
  }));
});

Deno.test("countMessages() and endOfMessage() find the messages from any byte on", () => {
  const lines = fc.array(fc.oneof(event, control, fc.constant("")), { minLength: 1, maxLength: 6 });
  fc.assert(fc.property(lines, (lines) => {
    const messages = lines.map((line) => encodeEventStream(utf8(`${line}\n`), false));
    const stream = encodeEventStream(utf8(lines.map((line) => `${line}\n`).join("")), false);
    let start = 0;
    for (const [i, { length }] of messages.entries()) {
      const end = start + length;
      for (let at = start; at < end; at++) {
        assertStrictEquals(endOfMessage(stream, at), end);
        assertStrictEquals(countMessages(stream, at), i);
        const rest = stream.subarray(at);
        assertStrictEquals(endOfMessage(rest, 0), end - at);
        assertStrictEquals(countMessages(rest), lines.length - i);
      }
      start = end;
    }
    assertStrictEquals(countMessages(stream), lines.length);
  }));
});

Deno.test("countMessages() does not count the beginning of a message", () => {
  const stream = encodeEventStream(utf8('{"control":"close"}\n{"event":"a"}\n'), false);
  assertStrictEquals(countMessages(stream.subarray(0, -1)), 1);
  assertStrictEquals(countMessages(stream.subarray(0, 30)), 0);
});

Deno.test("endOfMessage() returns 0 for a message that does not end", () => {
  assertStrictEquals(endOfMessage(utf8("data: {}\nevent: close\n"), 0), 0);
  assertStrictEquals(endOfMessage(utf8('data: {"event":"a"}'), 3), 0);
});

Deno.test("encodeEventStream() never writes a message that ends early", () => {
  const stream = encoded('{"event":"a"}\r\n{"event":"b"}\r\n', true);
  assertFalse(stream.includes("\r"));
  assertStrictEquals(countMessages(utf8(stream)), 2);
});
