import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import fc from "fast-check";
import { encodeClose, encodeRefusal, encodeWelcome } from "../../protocol/control.ts";
import { memberBytes, spliceMembers } from "../../protocol/envelope.ts";
import { encodeWithIds } from "../../protocol/event_ids.ts";
import {
  countMessages,
  encodeEventStream,
  endOfMessage,
  KEEP_ALIVE,
} from "../../protocol/event_stream.ts";
import {
  encodeHistoryNews,
  encodeReplayAnswer,
  type HistoryNews,
  type ReplayAnswer,
} from "../../protocol/history.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { EventStreamReader } from "../support/event_stream.ts";

function encoded(lines: string, areEvents: boolean): string {
  return textOf(encodeWithIds(utf8(lines), areEvents, "e1"));
}

/** Reads control lines of a relay. */
function read(...lines: Uint8Array[]): EventStreamReader {
  return new EventStreamReader().push(encoded(lines.map(textOf).join(""), false));
}

Deno.test("encodeWithIds() makes the offset of an event its id, and leaves the rest as it was sent", () => {
  assertStrictEquals(
    encoded(
      '{"offset":9,"event":"a"}\n{"offset":10,"event":"b","__dict__":{"text":"Grüße"}}\n',
      true,
    ),
    'data: {"event":"a"}\nid: e1:9\n\n' +
      'data: {"event":"b","__dict__":{"text":"Grüße"}}\nid: e1:10\n\n',
  );
  assertStrictEquals(
    encoded(' \t{"offset":7, "event" : "a" }\n', true),
    'data:  \t{ "event" : "a" }\nid: e1:7\n\n',
  );
});

Deno.test("encodeWithIds() writes no id for events without an offset of the relay", () => {
  const lines = [
    '{"event":"a"}',
    '{"event":"a","__dict__":{"offset":7,"x":1}}',
    '{"from":"c1","event":"offset","id":"r"}',
  ];
  for (const line of lines) assertStrictEquals(encoded(`${line}\n`, true), `data: ${line}\n\n`);
});

Deno.test("encodeWithIds() makes ids alone of the positions in control lines", () => {
  const news: HistoryNews[] = [
    { control: "live", id: "e1:0", offset: 12 },
    { control: "at", offset: 12 },
  ];
  for (const each of news) {
    const reader = read(encodeHistoryNews(each));
    assertEquals(reader.messages, []);
    assertStrictEquals(reader.lastEventId, "e1:12");
  }
});

Deno.test("encodeWithIds() makes a gap of events that were dropped meanwhile", () => {
  const reader = read(
    encodeHistoryNews({ control: "at", offset: 800 }),
    encodeHistoryNews({ control: "gap", from: 1002, to: 1010 }),
  );
  assertEquals(reader.messages, [
    { type: "gap", data: '{"reason":"evicted","from":1002,"to":1010}' },
  ]);
  assertStrictEquals(reader.lastEventId, "e1:800");
});

Deno.test("encodeWithIds() makes a gap of a position that is not recovered, with what is known", () => {
  const answer: ReplayAnswer = { id: "e1:800", epoch: "e1", recovered: false, from: 870, to: 900 };
  const gaps = (["evicted", "epoch", "ahead"] as const).map((reason) => {
    const [message] = read(encodeReplayAnswer({ ...answer, reason })).messages;
    assertStrictEquals(message!.type, "gap");
    return JSON.parse(message!.data);
  });
  assertEquals(gaps, [
    { reason: "evicted", from: 801, to: 870 },
    { reason: "epoch" },
    { reason: "ahead" },
  ]);
});

Deno.test("encodeWithIds() makes comments of answers that say nothing to a page", () => {
  const answer: ReplayAnswer = { id: "e1:7", epoch: "e1", from: 7, to: 8 };
  const lines = [
    encodeWelcome({ id: "c7", ack: false, features: ["history"], limits: {} }),
    encodeReplayAnswer(answer),
    encodeReplayAnswer({ ...answer, recovered: true }),
  ];
  for (const line of lines) assertEquals(encodeWithIds(line, false, "e1"), KEEP_ALIVE);
});

Deno.test("encodeWithIds() encodes all other lines as encodeEventStream() does", () => {
  const lines = [
    encodeRefusal({ id: "e1:7", reason: "bad-pattern", detail: "" }),
    encodeClose({ reason: "shutdown", detail: "" })!,
    utf8("\n"),
    utf8('{"control":"closed"}\n'),
    utf8('{"control":"gap","relay":"r1"}\n'),
    utf8('{\r"event":"a"\r}\r\n'),
  ];
  for (const line of lines) {
    assertEquals(encodeWithIds(line, false, "e1"), encodeEventStream(line, false));
  }
});

/** Any JSON, with carriage returns as white space, without line feeds. */
const json = fc.json({ maxDepth: 3 }).chain((text) =>
  fc.constantFrom("", "\r", " \r\r").map((space) => `${space}${text}${space}`)
);
const event = fc.tuple(
  fc.constantFrom("", " ", "\r"),
  fc.string({ unit: "binary", minLength: 1 }),
  json,
  fc.option(fc.nat({ max: 1_000_000 })),
).map(([space, name, value, offset]) => ({
  line: `${space}{"event":${JSON.stringify(name.toWellFormed())},"__dict__":{"x":${value}}}`,
  offset,
}));

/** The line of an event as a relay sends it to a client that asks for offsets. */
function stamped({ line, offset }: { line: string; offset: number | null }): string {
  if (offset === null) return `${line}\n`;
  return textOf(spliceMembers(utf8(`${line}\n`), memberBytes("offset", offset)));
}

Deno.test("An EventSource reads every event as it was sent, and its position", () => {
  fc.assert(fc.property(fc.array(event), fc.boolean(), (events, areEvents) => {
    const reader = new EventStreamReader();
    reader.push(encoded(events.map(stamped).join(""), areEvents));
    const data = events.map(({ line }) => line.replaceAll("\r", " "));
    assertEquals(reader.messages.map((message) => message.data), data);
    let last = "";
    const ids = events.map(({ offset }) => last = offset === null ? last : `e1:${offset}`);
    assertEquals(reader.ids, ids);
  }));
});

Deno.test("countMessages() and endOfMessage() find messages with ids from any byte on", () => {
  const control = fc.constantFrom(
    '{"control":"at","offset":12}\n',
    '{"control":"gap","from":1,"to":2,"reason":"evicted"}\n',
    "\n",
  );
  const lines = fc.array(fc.oneof(event.map(stamped), control), { minLength: 1, maxLength: 6 });
  fc.assert(fc.property(lines, (lines) => {
    const messages = lines.map((line) => encodeWithIds(utf8(line), false, "e1"));
    const stream = encodeWithIds(utf8(lines.join("")), false, "e1");
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
