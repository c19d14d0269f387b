import { assertEquals } from "@std/assert/equals";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import type { ControlLine } from "../../protocol/control.ts";
import { BlockDecoder } from "../../protocol/decoder.ts";
import { EventFormatError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { LineSplitter } from "../../framing.ts";
import { bytewise, raw, utf8 } from "../support/bytes.ts";
import {
  cutFractions,
  cutInto,
  event as anyEvent,
  fuzzRuns,
  show,
  stream,
} from "../support/lines.ts";
import { parseTree, valueOf } from "../support/reference.ts";

/** Events and control lines in a form that can be compared. */
function showAll(decoded: (EbsocketEvent | ControlLine)[]): string[] {
  return decoded.map((line) => line instanceof EbsocketEvent ? show(line) : JSON.stringify(line));
}

Deno.test("BlockDecoder.decode() returns events and control lines in order, without empty lines", () => {
  const decoder = new BlockDecoder();
  const block = raw(
    '<0a>{"event":"a"}<0a>{"control":"close","reason":"eof"}<0d><0a><0d><0a>' +
      '<20>{"id":"7","__dict__":{"b":[1]},"event":"c"}<0a>',
  );
  assertEquals(showAll(decoder.decode(block)), [
    '["a",{}]',
    '{"control":"close","reason":"eof"}',
    '["c",{"b":[1]}]',
  ]);
  assertStrictEquals(decoder.fault, null);
  assertEquals(decoder.decode(new Uint8Array(0)), []);
});

Deno.test("BlockDecoder.decode() returns events whose attributes are ordinary objects", () => {
  const block = utf8('{"event":"a"}\n{"event":"b","__dict__":{"__proto__":{"x":1}}}\n');
  for (const event of new BlockDecoder().decode(block)) {
    assertInstanceOf(event, EbsocketEvent);
    assertEquals(Object.getPrototypeOf(event.__dict__), Object.prototype);
  }
});

Deno.test("BlockDecoder.decode() stops at the first invalid line and reports its fault", () => {
  const faults: [line: string, code: string][] = [
    ["<ff>", "bad-utf8"],
    ["no", "bad-json"],
    ["[]", "bad-event"],
    ["<5b*65>", "too-deep"],
  ];
  const decoder = new BlockDecoder();
  for (const [line, code] of faults) {
    const block = raw(`{"event":"a"}<0a>{"event":"b"}<0a>${line}<0a><ff><0a>{"event":"c"}<0a>`);
    assertEquals(showAll(decoder.decode(block)), ['["a",{}]', '["b",{}]']);
    assertInstanceOf(decoder.fault, EventFormatError);
    assertEquals(decoder.fault?.code as string, code);
  }
});

Deno.test("BlockDecoder.decode() forgets the fault of the block before", () => {
  const decoder = new BlockDecoder();
  decoder.decode(utf8("no\n"));
  assertEquals(decoder.fault?.code, "bad-json");
  assertEquals(showAll(decoder.decode(utf8('{"event":"a"}\n'))), ['["a",{}]']);
  assertStrictEquals(decoder.fault, null);
});

Deno.test("BlockDecoder has the option maxDepth", () => {
  const block = utf8('{"event":"a","__dict__":{"b":[]}}\n');
  const decoder = new BlockDecoder(2);
  assertEquals(decoder.decode(block), []);
  assertEquals(decoder.fault?.code, "too-deep");
  assertEquals(new BlockDecoder(3).decode(block).length, 1);
  assertThrows(() => new BlockDecoder(1), RangeError);
});

Deno.test("BlockDecoder.decode() decodes lines that nest as deep as maxDepth can allow", () => {
  const block = utf8(`{"event":"a","__dict__":{"b":${"[".repeat(998)}${"]".repeat(998)}}}\n`);
  const decoder = new BlockDecoder(1000);
  assertEquals(decoder.decode(block).length, 1);
});

Deno.test("BlockDecoder.decode() does not change the block", () => {
  const block = utf8('{"event":"a","__dict__":{"b":"\\u00e9é"}}\r\n');
  const copy = block.slice();
  new BlockDecoder().decode(block);
  assertEquals(block, copy);
});

// Some releases of V8 look a key up by its raw text up to the length of a key that they have seen at
// the same place before. Once they know `{"x":[],"\\":0}`, they take the `\n` of `{"x":0,"\n":0}` for
// a backslash. A peer must not be able to change what the events of others say.
Deno.test("BlockDecoder.decode() reads keys as written, after any other line", () => {
  const escapes = ["\\n", '\\"', "\\/", "\\u0000", "\\ud83d"];
  for (const [i, escape] of escapes.entries()) {
    for (const prefix of ["", "ab"]) {
      const decoder = new BlockDecoder();
      const first = `first ${i} ${prefix}`;
      decoder.decode(utf8(`{"event":"a","__dict__":{"${first}":[],"${prefix}\\\\":0}}\n`));
      const members = `{"${first}":1,"${prefix}${escape}":2}`;
      const [event] = decoder.decode(utf8(`{"event":"a","__dict__":${members}}\n`));
      const key = JSON.parse(`"${prefix}${escape}"`) as string;
      const keys = event instanceof EbsocketEvent ? Object.keys(event.__dict__) : [];
      assertEquals(keys, [first, key]);
    }
  }
});

Deno.test("BlockDecoder.decode() finds the name of an event, after any other line", () => {
  const decoder = new BlockDecoder();
  for (const other of ["seq", "to", "other"]) {
    decoder.decode(utf8(`{"event":"a","__dict__":{"${other}":[],"even\\\\":0}}\n`));
    const decoded = decoder.decode(utf8(`{"${other}":"1","even\\u0074":"name"}\n`));
    assertEquals(showAll(decoded), ['["name",{}]']);
  }
});

Deno.test("BlockDecoder.decode() returns any encoded events, cut anywhere", () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 8 }), cutFractions, (events, cuts) => {
      const lines = concat(events.flatMap((event) => [event.asBytes(), utf8("\n")]));
      for (const chunks of [[lines], cutInto(lines, cuts), bytewise(lines)]) {
        const splitter = new LineSplitter();
        const decoder = new BlockDecoder();
        const decoded = chunks.flatMap((chunk) => decoder.decode(splitter.push(chunk).bytes));
        assertEquals(showAll(decoded), events.map(show));
        assertStrictEquals(decoder.fault, null);
        assertStrictEquals(splitter.fault, null);
        assertEquals(splitter.unfinishedBytes, 0);
      }
    }),
    { numRuns: fuzzRuns(500) },
  );
});

/** Feeds chunks to a splitter and a decoder, up to the first fault. */
function receive(chunks: Uint8Array[]): { lines: string[]; end: string } {
  const splitter = new LineSplitter({ maxLineBytes: 200 });
  const decoder = new BlockDecoder(4);
  const lines: string[] = [];
  for (const chunk of chunks) {
    lines.push(...showAll(decoder.decode(splitter.push(chunk).bytes)));
    const fault = decoder.fault ?? splitter.fault;
    if (fault) return { lines, end: fault.code };
  }
  return { lines, end: splitter.unfinishedBytes > 0 ? "truncated" : "whole" };
}

Deno.test("BlockDecoder.decode() turns any stream into lines and at most one fault, cut anywhere", () => {
  const ends = new Map<string, number>();
  const runs = fuzzRuns(3000);
  fc.assert(
    fc.property(stream, cutFractions, (bytes, cuts) => {
      const whole = receive([bytes]);
      assertEquals(receive(cutInto(bytes, cuts)), whole);
      assertEquals(receive(bytewise(bytes)), whole);
      ends.set(whole.end, (ends.get(whole.end) ?? 0) + 1);
    }),
    { numRuns: runs },
  );
  const codes = [
    "bad-event",
    "bad-json",
    "bad-utf8",
    "line-too-long",
    "too-deep",
    "truncated",
    "whole",
  ];
  assertEquals([...ends.keys()].sort(), runs < 1000 ? [...ends.keys()].sort() : codes);
});

Deno.test("BlockDecoder.decode() reads lines as the reference does", () => {
  fc.assert(
    fc.property(stream, (bytes) => {
      const decoder = new BlockDecoder();
      const { bytes: block } = new LineSplitter().push(concat([bytes, utf8("\n")]));
      const expected: string[] = [];
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(block);
      const decoded = decoder.decode(block);
      for (const line of text.split("\n").filter((line) => line !== "" && line !== "\r")) {
        if (decoder.fault && expected.length === decoded.length) break;
        const value = valueOf(parseTree(line)) as Record<string, unknown>;
        const isEvent = Object.hasOwn(value, "event");
        expected.push(JSON.stringify(isEvent ? [value.event, value.__dict__ ?? {}] : value));
      }
      assertEquals(showAll(decoded), expected);
    }),
    { numRuns: fuzzRuns(1000) },
  );
});
