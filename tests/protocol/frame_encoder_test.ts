import { assertEquals } from "@std/assert/equals";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { closeFrame, encodeFrames, PING, pongFrame } from "../../protocol/frame_encoder.ts";
import { raw, textOf, utf8 } from "../support/bytes.ts";
import { messagesOf } from "../support/frames.ts";
import { fuzzRuns } from "../support/lines.ts";

/** Whole lines of these texts. */
function linesOf(texts: readonly string[]): Uint8Array<ArrayBuffer> {
  return utf8(texts.map((text) => `${text}\n`).join(""));
}

Deno.test("encodeFrames() returns a text message for each line, without its end", () => {
  assertEquals(encodeFrames(utf8("a\nbcd\n")), raw("<81><01>a<81><03>bcd"));
});

Deno.test("encodeFrames() returns no frame for no line, and an empty one for an empty line", () => {
  assertEquals(encodeFrames(new Uint8Array(0)), new Uint8Array(0));
  assertEquals(encodeFrames(utf8("\n\na\n")), raw("<81><00><81><00><81><01>a"));
});

Deno.test("encodeFrames() keeps a carriage return, which is white space in JSON", () => {
  assertEquals(encodeFrames(utf8("{}\r\n")), raw("<81><03>{}<0d>"));
});

Deno.test("encodeFrames() writes the length in 7, 16 or 64 bits", () => {
  const heads: [length: number, head: string][] = [
    [125, "817d"],
    [126, "817e007e"],
    [127, "817e007f"],
    [255, "817e00ff"],
    [256, "817e0100"],
    [65_535, "817effff"],
    [65_536, "817f0000000000010000"],
    [16_909_060, "817f0000000001020304"],
  ];
  for (const [length, head] of heads) {
    const line = new Uint8Array(length + 1).fill(0x78);
    line[length] = 0x0a;
    const frame = encodeFrames(line);
    assertEquals(frame.length, head.length / 2 + length);
    assertEquals(frame.subarray(0, head.length / 2).toHex(), head);
    assertEquals(frame.at(-1), 0x78);
  }
});

Deno.test("encodeFrames() encodes lines of all lengths one after another", () => {
  const texts = Array.from({ length: 300 }, (_, i) => "x".repeat(i * 37 % 300));
  assertEquals(messagesOf(encodeFrames(linesOf(texts))).map(textOf), texts);
});

Deno.test("encodeFrames() encodes the lines of a part of a longer buffer", () => {
  const buffer = concat([utf8("abcdefg"), linesOf(["one", "two"]), utf8("rest\nrest")]);
  for (let before = 0; before < 7; before++) {
    const frames = encodeFrames(buffer.subarray(before, 15));
    assertEquals(messagesOf(frames).map(textOf), [`${"abcdefg".slice(before)}one`, "two"]);
  }
});

Deno.test("encodeFrames() encodes more than the memory that it keeps", () => {
  const texts = Array.from({ length: 5000 }, (_, i) => "x".repeat(i % 211));
  assertEquals(messagesOf(encodeFrames(linesOf(texts))).map(textOf), texts);
  const empty = Array.from({ length: 300_000 }, () => "");
  assertEquals(encodeFrames(linesOf(empty)).length, 600_000);
});

Deno.test("encodeFrames() returns bytes of their own each time", () => {
  const first = encodeFrames(utf8("a\n"));
  const second = encodeFrames(utf8("b\n"));
  assertEquals(textOf(messagesOf(first)[0]!), "a");
  assertNotStrictEquals(first.buffer, second.buffer);
  assertEquals(first.buffer.byteLength, first.length);
});

Deno.test("encodeFrames() agrees with a slow decoder on any lines", () => {
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(0x09, 0x0b, 0x8a, 0x8b, 0x0d, 0x00, 0x01));
  const line = fc.oneof(
    fc.array(byte, { maxLength: 30 }),
    fc.tuple(fc.constantFrom(117, 118, 124, 125, 126, 127, 300), byte).map(([length, byte]) =>
      Array<number>(length).fill(byte)
    ),
  ).map((bytes) => Uint8Array.from(bytes.filter((byte) => byte !== 0x0a)));
  const lines = fc.array(line, { maxLength: 12 });
  fc.assert(
    fc.property(lines, (lines) => {
      const frames = encodeFrames(concat(lines.flatMap((line) => [line, utf8("\n")])));
      const messages = messagesOf(frames);
      assertEquals(messages.map((each) => each.toHex()), lines.map((each) => each.toHex()));
    }),
    { numRuns: fuzzRuns(2000) },
  );
});

Deno.test("PING is a Ping without a payload", () => {
  assertEquals(PING, raw("<89><00>"));
});

Deno.test("pongFrame() repeats the payload of a Ping", () => {
  assertEquals(pongFrame(new Uint8Array(0)), raw("<8a><00>"));
  assertEquals(pongFrame(utf8("Hello")), raw("<8a><05>Hello"));
  assertEquals(pongFrame(new Uint8Array(125).fill(7)), raw("<8a><7d><07*125>"));
});

Deno.test("closeFrame() has the code and the reason", () => {
  assertEquals(closeFrame(1000, ""), raw("<88><02><03><e8>"));
  assertEquals(closeFrame(1013, "slow-consumer"), raw("<88><0f><03><f5>slow-consumer"));
});
