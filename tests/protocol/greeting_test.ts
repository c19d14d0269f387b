import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import {
  type ControlLine,
  decodeAck,
  decodeHello,
  decodeRead,
  decodeWelcome,
  encodeAck,
  encodeHello,
  encodeRead,
  encodeWelcome,
  type Hello,
  type Welcome,
} from "../../protocol/control.ts";
import { LineValidator } from "../../protocol/validator.ts";
import { textOf } from "../support/bytes.ts";

/** The control line in `bytes`, as a peer would decode it. */
function parse(bytes: Uint8Array): ControlLine {
  return JSON.parse(textOf(bytes));
}

const HELLO: Hello = {
  token: "s3cret\u2028",
  keepAliveMs: 25_000,
  ack: true,
  sequence: true,
  window: 1_048_576,
};

const WELCOME: Welcome = {
  id: "c7",
  keepAliveMs: 25_000,
  ack: true,
  features: ["subscribe", "stats"],
  limits: {
    maxLineBytes: 1,
    maxDepth: 2,
    maxPendingBytes: 3,
    maxEventsPerSecond: 4,
    maxBytesPerSecond: 5,
  },
};

/** What a peer might write where a positive integer is expected. */
const NO_COUNTS: unknown[] = [null, "1", 0, -1, 1.5, 1e300, [], {}, true];

Deno.test("decodeHello() reads the lines of encodeHello()", () => {
  assertEquals(decodeHello(parse(encodeHello(HELLO))), HELLO);
  assertEquals(decodeHello(parse(encodeHello({ ack: false }))), { ack: false });
  assertEquals(textOf(encodeHello({ ack: false })), '{"control":"hello","version":1}\n');
});

Deno.test("decodeWelcome() reads the lines of encodeWelcome()", () => {
  assertEquals(decodeWelcome(parse(encodeWelcome(WELCOME))), WELCOME);
  const least: Welcome = { id: "c1", ack: false, features: [], limits: {} };
  assertEquals(decodeWelcome(parse(encodeWelcome(least))), least);
});

Deno.test("decodeWelcome() returns known features, each once", () => {
  const features = ["later", "window", "subscribe-first", "stats", "ack", "stats", 7, null];
  const known = ["ack", "stats", "subscribe-first", "window"] as const;
  assertEquals(decodeWelcome({ control: "welcome", features })?.features, known);
  for (const none of ["stats", { 0: "stats" }, null]) {
    assertEquals(decodeWelcome({ control: "welcome", features: none })?.features, []);
  }
});

Deno.test("decodeAck() reads the lines of encodeAck()", () => {
  for (const events of [0, 1, Number.MAX_SAFE_INTEGER]) {
    assertEquals(decodeAck(parse(encodeAck(events))), events);
  }
});

Deno.test("decodeRead() reads the lines of encodeRead()", () => {
  for (const bytes of [1, 262_144, Number.MAX_SAFE_INTEGER]) {
    assertEquals(decodeRead(parse(encodeRead(bytes))), bytes);
  }
});

Deno.test("encodeHello() leaves out a window without a limit", () => {
  const line = encodeHello({ ack: false, window: Infinity });
  assertEquals(textOf(line), '{"control":"hello","version":1}\n');
});

Deno.test("encodeHello(), encodeWelcome(), encodeAck() and encodeRead() write one valid control line", () => {
  for (const line of [encodeHello(HELLO), encodeWelcome(WELCOME), encodeAck(1), encodeRead(1)]) {
    const validator = new LineValidator();
    assertEquals(validator.open(line).validate(0), "control");
    assertEquals(validator.end, line.length - 1);
  }
});

Deno.test("decodeHello() leaves out members of the wrong type", () => {
  for (const value of NO_COUNTS) {
    const line = { control: "hello", token: 1, keep_alive_ms: value, ack: 1, window: value };
    assertEquals(decodeHello(line), { ack: false });
  }
  assertEquals(decodeHello({ control: "hello", keep_alive_ms: 86_400_001 }), { ack: false });
});

Deno.test("decodeWelcome() leaves out members of the wrong type", () => {
  for (const value of NO_COUNTS) {
    const line = { control: "welcome", id: value, limits: { max_line_bytes: value } };
    const id = typeof value === "string" ? value : "";
    assertEquals(decodeWelcome(line), { id, ack: false, features: [], limits: {} });
    assertEquals(decodeWelcome({ control: "welcome", limits: value })?.limits, {});
  }
  assertEquals(decodeWelcome({ control: "welcome", id: "x".repeat(1000) })?.id.length, 64);
});

Deno.test("decodeAck() returns null for a value that is not a count", () => {
  for (const events of NO_COUNTS) {
    if (events !== 0) assertStrictEquals(decodeAck({ control: "ack", events }), null);
  }
});

Deno.test("decodeRead() returns null for a value that is not a positive integer", () => {
  for (const bytes of NO_COUNTS) assertStrictEquals(decodeRead({ control: "read", bytes }), null);
});

Deno.test("decodeHello(), decodeWelcome(), decodeAck() and decodeRead() return null for other control lines", () => {
  for (const control of ["close", "hello!", "Hello", ""]) {
    const line = { control, events: 1, bytes: 1 };
    assertStrictEquals(decodeHello(line), null);
    assertStrictEquals(decodeWelcome(line), null);
    assertStrictEquals(decodeAck(line), null);
    assertStrictEquals(decodeRead(line), null);
  }
});

Deno.test("encodeHello() and encodeWelcome() promise whole milliseconds that are not too few", () => {
  assertEquals(parse(encodeHello({ ...HELLO, keepAliveMs: 1000.25 })).keep_alive_ms, 1001);
  assertEquals(parse(encodeWelcome({ ...WELCOME, keepAliveMs: 2.5 })).keep_alive_ms, 3);
});
