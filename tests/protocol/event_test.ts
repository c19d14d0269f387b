import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import fc from "fast-check";
import { EventFormatError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { raw, textOf, utf8 } from "../support/bytes.ts";
import {
  attributes as anyAttributes,
  DANGEROUS_KEYS,
  event as anyEvent,
  fuzzRuns,
  show,
} from "../support/lines.ts";

/** What `console.log` is given, line by line, while `work` runs. */
function captureLog(work: () => void): string[] {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...parts: unknown[]) => void lines.push(parts.join(" "));
  try {
    work();
  } finally {
    console.log = log;
  }
  return lines;
}

/** An event whose attributes are called `keys`, the values being 0, 1, 2 and so on. */
function eventWith(keys: readonly string[]): EbsocketEvent {
  // `fromEntries` makes plain properties, even one called `__proto__`.
  return new EbsocketEvent("a", Object.fromEntries(keys.map((key, i) => [key, i])));
}

Deno.test("EbsocketEvent has a name and attributes, and no connection", () => {
  const event = new EbsocketEvent("message", { content: "hi" });
  assertEquals(event.event, "message");
  assertEquals(event.__dict__, { content: "hi" });
  assertStrictEquals(event.fromConnection, null);
  assertEquals(new EbsocketEvent("a").__dict__, {});
});

Deno.test("EbsocketEvent copies its attributes, one level deep", () => {
  const attributes = { count: 1, list: [1] };
  const event = new EbsocketEvent("a", attributes);
  attributes.count = 2;
  attributes.list.push(2);
  assertEquals(event.__dict__, { count: 1, list: [1, 2] });
  event.__dict__.count = 3;
  assertEquals(attributes.count, 2);
});

Deno.test("EbsocketEvent.__dict__ is live: changes are sent", () => {
  const event: EbsocketEvent = new EbsocketEvent("a", { b: 1, c: 2 });
  event.__dict__.b = "new";
  delete event.__dict__.c;
  event.__dict__.d = [3];
  event.event = "renamed";
  assertEquals(textOf(event.asBytes()), '{"event":"renamed","__dict__":{"b":"new","d":[3]}}');
  event.__dict__ = { other: true };
  assertStrictEquals(event.getAttribute("other"), true);
  assertEquals(textOf(event.asBytes()), '{"event":"renamed","__dict__":{"other":true}}');
});

Deno.test("EbsocketEvent refuses bad names with the value", () => {
  const none = undefined as unknown as string;
  assertThrows(() => new EbsocketEvent(none), TypeError, "undefined");
  assertThrows(() => new EbsocketEvent(7 as unknown as string), TypeError, "7");
  assertThrows(() => new EbsocketEvent(""), RangeError, '""');
  assertThrows(() => new EbsocketEvent("é".repeat(128)), RangeError, "256");
  assertEquals(new EbsocketEvent("é".repeat(127)).event.length, 127);
});

Deno.test("EbsocketEvent throws with the value if attributes are not an object", () => {
  assertThrows(() => new EbsocketEvent("a", [1] as object), TypeError, "[1]");
  assertThrows(() => new EbsocketEvent("a", "text" as unknown as object), TypeError, '"text"');
});

Deno.test("EbsocketEvent.fromConnection is never sent", () => {
  const event = new EbsocketEvent("a", { b: 1 });
  const before = textOf(event.asBytes());
  event.fromConnection = { secret: 1n };
  assertEquals(textOf(event.asBytes()), before);
  assertEquals(JSON.stringify(event), before);
  assertStrictEquals(EbsocketEvent.fromBytes(event.asBytes()).fromConnection, null);
});

Deno.test("EbsocketEvent.getAttribute() returns an attribute, or null if there is none", () => {
  const event: EbsocketEvent = new EbsocketEvent("a", { zero: 0, empty: "", nothing: null });
  const keys = ["zero", "empty", "nothing", "absent", "toString", "constructor", "__proto__", ""];
  const found = keys.map((key) => event.getAttribute(key));
  assertEquals(found, [0, "", null, null, null, null, null, null]);
  const dangerous = eventWith(keys);
  assertEquals(keys.map((key) => dangerous.getAttribute(key)), [0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("EbsocketEvent.compareType() compares the name", () => {
  const event: EbsocketEvent = new EbsocketEvent("message");
  const names = ["message", "Message", "mess", "message ", ""];
  assertEquals(names.map((name) => event.compareType(name)), [true, false, false, false, false]);
});

Deno.test("EbsocketEvent.printAttributes() prints one aligned line for each attribute", () => {
  const event = new EbsocketEvent("a", {
    content: "hi there",
    n: 1.5,
    list: [1, { x: null }],
    "": false,
  });
  assertEquals(captureLog(() => event.printAttributes()), [
    "* content : hi there",
    "* n       : 1.5",
    '* list    : [1,{"x":null}]',
    "*         : false",
  ]);
  assertEquals(captureLog(() => new EbsocketEvent("a").printAttributes()), []);
});

Deno.test("EbsocketEvent.printAttributes() escapes characters that could disturb a terminal", () => {
  const event = new EbsocketEvent("a", {
    "\x1b[2J": "two\nlines\u202e",
    "k": ["\x9b\u2028", { "\x07": "\r" }],
  });
  const lines = captureLog(() => event.printAttributes());
  assertEquals(lines, [
    "* \\u001b[2J : two\\nlines\\u202e",
    '* k         : ["\\u009b\\u2028",{"\\u0007":"\\r"}]',
  ]);
});

Deno.test("EbsocketEvent.printAttributes() prints values outside JSON, too", () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  const event: EbsocketEvent = new EbsocketEvent("a");
  event.__dict__.nothing = undefined;
  assertEquals(captureLog(() => event.printAttributes()), ["* nothing : undefined"]);
  event.__dict__.big = 10n;
  event.__dict__.cycle = cycle;
  event.__dict__.last = 1;
  const lines = captureLog(() => event.printAttributes());
  assertEquals(lines.length, 4);
  assertMatch(lines[1]!, /^\* big {5}: 10/);
  assertEquals(lines[3], "* last    : 1");
});

/** The 26 letters from `first` on. */
function letters(first: string): string[] {
  return Array.from({ length: 26 }, (_, i) => String.fromCharCode(first.charCodeAt(0) + i));
}

Deno.test("EbsocketEvent.printAttributes() prints as many attributes as fit into a line", () => {
  // The shortest names there are, so that as many as can be fit into 1 MiB.
  const chars = [
    ...`!#$%&'()*+,-./0123456789:;<=>?@`,
    ...letters("A"),
    ...letters("a"),
    ..."[]^_{|}~",
  ];
  const name = (i: number): string =>
    (i >= chars.length ? name(Math.floor(i / chars.length) - 1) : "") + chars[i % chars.length];
  const members = Array.from({ length: 131_500 }, (_, i) => `"${name(i)}":0`);
  const line = utf8(`{"event":"a","__dict__":{${members.join(",")}}}`);
  assertGreater(line.length, 2 ** 20 * 0.98);
  assertLessOrEqual(line.length, 2 ** 20);
  const event = EbsocketEvent.fromBytes(line);
  assertEquals(captureLog(() => event.printAttributes()).length, members.length);
});

Deno.test("EbsocketEvent.printAttributes() escapes the formats of console.log", () => {
  const event = new EbsocketEvent("a", { "%s": "%d %c", x: "%o" });
  const calls: unknown[][] = [];
  const { log } = console;
  console.log = (...parts: unknown[]) => void calls.push(parts);
  try {
    event.printAttributes();
  } finally {
    console.log = log;
  }
  assertEquals(calls, [["* %s : %d %c"], ["* x  : %o"]]);
});

Deno.test("EbsocketEvent.toString() shows the name, and so does Deno.inspect", () => {
  const event = new EbsocketEvent("message", { content: "hi" });
  assertEquals(`${event}`, "EbsocketEvent<message>");
  assertEquals(Deno.inspect(event), "EbsocketEvent<message>");
  assertEquals(Deno.inspect([event]), "[ EbsocketEvent<message> ]");
  const nasty = new EbsocketEvent("a\n\x1b[2J\u202e");
  assertEquals(`${nasty}`, "EbsocketEvent<a\\n\\u001b[2J\\u202e>");
  assertEquals(Deno.inspect(nasty), `${nasty}`);
});

Deno.test("EbsocketEvent.toJSON() returns the name and the attributes", () => {
  const event = new EbsocketEvent("a", { b: [1] });
  assertEquals(event.toJSON(), { event: "a", __dict__: { b: [1] } });
  assertEquals(JSON.stringify([event]), '[{"event":"a","__dict__":{"b":[1]}}]');
});

Deno.test("EbsocketEvent.asBytes() returns one line without a newline", () => {
  const bytes = new EbsocketEvent("é", { "a\nb": "c\r\n" }).asBytes();
  assertEquals(textOf(bytes), '{"event":"é","__dict__":{"a\\nb":"c\\r\\n"}}');
  assertFalse(bytes.includes(0x0a));
});

Deno.test("EbsocketEvent.asBytes() refuses values that JSON would lose, and names the attribute", () => {
  const cycle: Record<string, unknown> = {};
  cycle.cycle = cycle;
  let deep: unknown = 0;
  for (let i = 0; i < 63; i++) deep = [deep];
  for (const value of [1n, NaN, [undefined], () => {}, new Map(), cycle, deep]) {
    assertThrows(
      () => new EbsocketEvent("a", { fine: 1, bad: value }).asBytes(),
      TypeError,
      '"bad"',
    );
  }
});

Deno.test("EbsocketEvent.asBytes() refuses a name that has been changed to a bad one", () => {
  const event: EbsocketEvent = new EbsocketEvent("a");
  event.event = "";
  assertThrows(() => event.asBytes(), RangeError);
  event.event = "x".repeat(256);
  assertThrows(() => event.asBytes(), RangeError);
});

Deno.test("EbsocketEvent.asBytes() leaves no line separator raw, and loses no character", () => {
  const texts = [
    "\u2028",
    "\u2029",
    "\u0085",
    "\n\r",
    "\ud800",
    "a\udc00b",
    "😀",
    "\u0000",
    "\ufeff",
  ];
  const event = new EbsocketEvent(
    "\u2028",
    Object.fromEntries(texts.map((text): [string, unknown] => [text, text])),
  );
  const bytes = event.asBytes();
  assertNotMatch(textOf(bytes), /[\n\r\u0085\u2028\u2029]/);
  const back = EbsocketEvent.fromBytes(bytes);
  assertEquals(back.event, "\u2028");
  assertEquals(Object.entries(back.__dict__), texts.map((text): [string, unknown] => [text, text]));
});

Deno.test("EbsocketEvent keeps attributes with dangerous names as plain attributes of its own", () => {
  const event = eventWith(DANGEROUS_KEYS);
  const back = EbsocketEvent.fromBytes(event.asBytes());
  const { __dict__ } = back;
  for (
    const copy of [
      __dict__,
      { ...__dict__ },
      Object.assign({}, __dict__),
      structuredClone(__dict__),
    ]
  ) {
    assertEquals(Object.getPrototypeOf(copy), Object.prototype);
    assertEquals(new Set(Object.keys(copy)), new Set(DANGEROUS_KEYS));
    const values = DANGEROUS_KEYS.map((key) => Object.getOwnPropertyDescriptor(copy, key)?.value);
    assertEquals(values, DANGEROUS_KEYS.map((_, i) => i));
  }
  assertEquals(
    new Set(Object.keys(new EbsocketEvent("b", __dict__).__dict__)),
    new Set(DANGEROUS_KEYS),
  );
  // The event itself is as it was: no attribute has got in the way of a member.
  assertEquals(back.event, "a");
  assertEquals(`${back}`, "EbsocketEvent<a>");
  assert(back.compareType("a"));
});

Deno.test("EbsocketEvent.fromBytes() changes the prototype of nothing", () => {
  const line = '{"event":"a","__dict__":{"__proto__":{"evil":1},"x":{"__proto__":{"evil":2}}}}';
  const { __dict__ } = EbsocketEvent.fromBytes(utf8(line));
  assertFalse("evil" in __dict__);
  assertFalse("evil" in (__dict__.x as object));
  assertFalse("evil" in {});
  assertEquals(JSON.stringify(__dict__), '{"__proto__":{"evil":1},"x":{"__proto__":{"evil":2}}}');
});

Deno.test("EbsocketEvent.fromBytes() decodes a line by the rules of the protocol", () => {
  const lines: [line: string, name: string, attributes: Record<string, unknown>][] = [
    ['{"event":"a"}', "a", {}],
    ['{"event":"a"}<0d>', "a", {}],
    ['<20>{ "__dict__" : { "b" : [ 1e2 ] } , "event" : "a" }<09>', "a", { b: [100] }],
    ['{"event":"caf<c3><a9>","id":"7","unknown":null}', "café", {}],
    ['{"\\u0065vent":"\\u0061","__dict__":{"b":"\\ud83d\\ude00"}}', "a", { b: "😀" }],
    ['{"event":"a","__dict__":{"b":1,"b":2}}', "a", { b: 2 }],
  ];
  for (const [line, name, attributes] of lines) {
    const event = EbsocketEvent.fromBytes(raw(line));
    assertInstanceOf(event, EbsocketEvent);
    assertEquals(event.event, name, line);
    assertEquals(event.__dict__, attributes, line);
  }
});

Deno.test("EbsocketEvent.fromBytes() reads the envelope, and asBytes() never writes it", () => {
  const line = '{"seq":3,"from":"c3","event":"a","id":"r1","reply_to":"r0","to":"c7","ack":"e1"}';
  const event = EbsocketEvent.fromBytes(raw(line));
  assertEquals(event.id, "r1");
  assertEquals(event.from, "c3");
  assertEquals(event.to, "c7");
  assertEquals(event.replyTo, "r0");
  assertEquals(event.seq, 3);
  assertEquals(textOf(event.asBytes()), '{"event":"a","__dict__":{}}');
  assertEquals(JSON.stringify(event), '{"event":"a","__dict__":{}}');

  const odd = EbsocketEvent.fromBytes(raw('{"event":"a","from":7,"seq":"1"}'));
  assertStrictEquals(odd.id, null);
  assertStrictEquals(odd.from, null);
  assertStrictEquals(odd.replyTo, null);
  assertStrictEquals(odd.seq, null);
});

Deno.test("EbsocketEvent.fromBytes() refuses anything but one event", () => {
  const lines: [line: string, code: string][] = [
    ["<>", "bad-event"],
    ["<0d>", "bad-event"],
    ['{"control":"close"}', "bad-event"],
    ["{}", "bad-event"],
    ['{"event":""}', "bad-event"],
    ['{"event":"a"}<0a>', "bad-json"],
    ['{"event":"a"}<0a>{"event":"b"}', "bad-json"],
    ["<0a>", "bad-json"],
    ['{"event":<0a>"a"}', "bad-json"],
    ['<ef><bb><bf>{"event":"a"}', "bad-json"],
    ['{"event":"a"', "bad-json"],
    ["GET / HTTP/1.1", "bad-json"],
    ['{"event":"<ff>"}', "bad-utf8"],
    ["<5b*65>", "too-deep"],
  ];
  for (const [line, code] of lines) {
    const error = assertThrows(() => EbsocketEvent.fromBytes(raw(line)), EventFormatError);
    assertEquals(error.code as string, code, line);
  }
});

Deno.test("EbsocketEvent.fromBytes() reads a view and changes nothing around it", () => {
  const buffer = utf8('xx{"event":"a"}}}');
  const copy = buffer.slice();
  assertEquals(EbsocketEvent.fromBytes(buffer.subarray(2, 15)).event, "a");
  assertEquals(buffer, copy);
});

Deno.test("EbsocketEvent.fromBytes() reads the bytes of asBytes(), for any event", () => {
  fc.assert(
    fc.property(anyEvent, (event) => {
      const back = EbsocketEvent.fromBytes(event.asBytes());
      assertEquals(show(back), show(event));
      assertEquals(Object.getPrototypeOf(back.__dict__), Object.prototype);
    }),
    { numRuns: fuzzRuns(1000) },
  );
});

Deno.test("EbsocketEvent.getAttribute() and printAttributes() work with any attributes", () => {
  fc.assert(
    fc.property(anyAttributes, (attributes) => {
      const event = new EbsocketEvent("a", attributes);
      const keys = Object.keys(attributes);
      assertEquals(
        JSON.stringify(keys.map((key) => event.getAttribute(key))),
        JSON.stringify(Object.values(attributes)),
      );
      const lines = captureLog(() => event.printAttributes());
      assertEquals(lines.length, keys.length);
      const columns = new Set(lines.map((line) => line.indexOf(" : ")));
      assert(lines.every((line) => /^\* [^\p{Cc}\u2028\u2029]*$/u.test(line)));
      if (keys.every((key) => /^\w*$/.test(key))) assertLessOrEqual(columns.size, 1);
    }),
    { numRuns: fuzzRuns(500) },
  );
});
