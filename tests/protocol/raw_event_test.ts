import { assertEquals } from "@std/assert/equals";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertThrows } from "@std/assert/throws";
import fc from "fast-check";
import { EventFormatError } from "../../errors.ts";
import { BlockDecoder } from "../../protocol/decoder.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { RawDecoder, RawEvent, sealLine } from "../../protocol/raw_event.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { cutFractions, cutInto, fuzzRuns, stream } from "../support/lines.ts";
import { LineSplitter } from "../../protocol/line_splitter.ts";

const LINE = '{"from":"c3", "event":"paid","__dict__":{"2":1.00,"1":12345678901234567890}}\n';

/** The members of an event that a line decides. */
function membersOf({ event, __dict__, id, from, to, replyTo, seq }: EbsocketEvent) {
  return { event, __dict__: { ...__dict__ }, id, from, to, replyTo, seq };
}

Deno.test("RawEvent.fromLine() keeps the line, with or without its end, in bytes of its own", () => {
  const bytes = utf8(LINE);
  const event = RawEvent.fromLine(bytes);
  assertInstanceOf(event, EbsocketEvent);
  bytes.fill(0);
  assertEquals(textOf(event.line), LINE);
  assertEquals(textOf(event.asBytes()), LINE.slice(0, -1));
  assertEquals(textOf(RawEvent.fromLine(event.asBytes()).line), LINE);
});

Deno.test("RawEvent has the name, the attributes and the envelope of its line", () => {
  const event = RawEvent.fromLine(utf8(LINE));
  assertEquals([event.event, event.from, event.compareType("paid")], ["paid", "c3", true]);
  assertEquals([event.getAttribute("2"), event.getAttribute("3")], [1, null]);
  assertEquals(
    JSON.stringify(event),
    '{"event":"paid","__dict__":{"1":12345678901234567000,"2":1}}',
  );
  assertEquals(`${event}`, "EbsocketEvent<paid>");
  assertEquals(RawEvent.fromLine(utf8('{"event":"a"}')).__dict__, {});
});

Deno.test("RawEvent refuses a change that would not be sent", () => {
  const event: EbsocketEvent = RawEvent.fromLine(utf8(LINE));
  assertThrows(() => event.event = "other", TypeError);
  assertThrows(() => event.__dict__ = {}, TypeError);
  assertThrows(() => event.__dict__.a = 1, TypeError);
});

Deno.test("RawEvent.fromLine() says what is wrong with a line that is no event", () => {
  const cases: [line: string, code: string, message: string][] = [
    ['{"event":', "bad-json", "expected a value at byte 9, found the end of the line"],
    ['{"control":"hello"}', "bad-event", "expected an event, got control"],
    ["\n", "bad-event", "expected an event, got empty"],
    ['{"event":"a"}\n{"event":"b"}\n', "bad-event", "expected an event, got more than one line"],
    [`{"event":"a","__dict__":${'{"a":'.repeat(64)}1${"}".repeat(65)}`, "too-deep", "maxDepth 64"],
  ];
  for (const [line, code, message] of cases) {
    const error = assertThrows(() => RawEvent.fromLine(utf8(line)), EventFormatError, message);
    assertEquals(error.code, code);
  }
});

Deno.test("RawDecoder.decode() gives the lines of events as they are, and control lines decoded", () => {
  const lines = [LINE, ' {"\\u0065vent":"b\\n","from":7,"seq":3}\r\n', '{"event":"c","to":"c1"}\n'];
  const decoder = new RawDecoder(1000);
  const [first, control, ...rest] = decoder.decode(
    utf8(`\n${lines[0]}{"control":"ack","events":2}\n\r\n${lines[1]}${lines[2]}{"event":1}\n`),
  );
  assertEquals(control, { control: "ack", events: 2 });
  const events = [first, ...rest] as RawEvent[];
  assertEquals(events.map(({ line }) => textOf(line)), lines);
  assertEquals(events.map(({ event }) => event), ["paid", "b\n", "c"]);
  assertEquals(events.map(({ from, to, seq }) => [from, to, seq]), [
    ["c3", null, null],
    [null, null, 3],
    [null, "c1", null],
  ]);
  assertEquals([decoder.lines, decoder.fault?.code], [7, "bad-event"]);
});

Deno.test("RawDecoder.decode() understands any stream as BlockDecoder does", () => {
  fc.assert(
    fc.property(stream, cutFractions, (bytes, cuts) => {
      const splitter = new LineSplitter();
      const [ours, theirs] = [new RawDecoder(), new BlockDecoder()];
      for (const chunk of cutInto(bytes, cuts)) {
        const block = splitter.push(chunk).bytes;
        const raw = ours.decode(block);
        const decoded = theirs.decode(block);
        const show = (line: unknown) => line instanceof EbsocketEvent ? membersOf(line) : line;
        assertEquals(raw.map(show), decoded.map(show));
        assertEquals([ours.lines, ours.fault?.message], [theirs.lines, theirs.fault?.message]);
        if (ours.fault) break;
      }
    }),
    { numRuns: fuzzRuns(300) },
  );
});

Deno.test("sealLine() puts members in the place of those that the line has, and changes no other byte", () => {
  const cases: [line: string, sealed: string][] = [
    ['{"event":"a"}', '{"to":"c\\"7","ack":"e1","event":"a"}'],
    [
      ' { "to":"x", "event" : "b\\n","ack":"y" ,"id":"z" , "n":1.00}\r',
      ' {"to":"c\\"7","ack":"e1", "event" : "b\\n","id":"z" , "n":1.00}\r',
    ],
    [
      '{"event":"c","__dict__":{"to":1},"to":"x"}',
      '{"to":"c\\"7","ack":"e1","event":"c","__dict__":{"to":1}}',
    ],
    ['{"event":"d","\\u0074o":"x"}', '{"to":"c\\"7","ack":"e1","event":"d"}'],
  ];
  for (const [line, sealed] of cases) {
    const event = RawEvent.fromLine(utf8(line));
    assertEquals(textOf(sealLine(event, { to: 'c"7', ack: "e1" })), `${sealed}\n`);
    assertEquals(textOf(event.line), `${line}\n`);
    assertNotStrictEquals(sealLine(event, {}), event.line);
  }
});
