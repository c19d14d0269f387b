import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import {
  copyNumberedFrames,
  countFrames,
  endOfFrame,
  numberedFramesLength,
} from "../../protocol/encoded_frames.ts";
import { encodeFrames, PING, pongFrame } from "../../protocol/frame_encoder.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { messagesOf } from "../support/frames.ts";
import { fuzzRuns } from "../support/lines.ts";

function framesOf(texts: readonly string[]): Uint8Array {
  return encodeFrames(utf8(texts.map((text) => `${text}\n`).join("")));
}

/** Events of these lengths, in bytes. */
function eventsOf(lengths: readonly number[]): string[] {
  return lengths.map((length) => `{"event":"${"x".repeat(length - '{"event":""}'.length)}"}`);
}

/** Lengths around those at which a head grows, also by a number. */
const anyLength = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 13, max: 140 }) },
  { weight: 2, arbitrary: fc.constantFrom(111, 115, 117, 118, 125, 126, 127, 146, 400) },
  { weight: 1, arbitrary: fc.integer({ min: 65_510, max: 65_540 }) },
);

Deno.test("countFrames() counts frames with heads of any length", () => {
  assertEquals(countFrames(new Uint8Array(0)), 0);
  assertEquals(countFrames(framesOf(eventsOf([13, 125, 126, 65_535, 65_536, 70_000, 20]))), 7);
});

Deno.test("countFrames() counts the frames that end at or before a position", () => {
  const bytes = framesOf(["a", "", "bcd"]); // 3, 2 and 5 bytes
  const counts = Array.from({ length: bytes.length + 1 }, (_, end) => countFrames(bytes, end));
  assertEquals(counts, [0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3]);
});

Deno.test("countFrames() does not count control frames, because they are not lines", () => {
  const bytes = concat([PING, framesOf(["a"]), pongFrame(utf8("xyz")), framesOf(["b"])]);
  assertEquals(countFrames(bytes), 2);
});

Deno.test("endOfFrame() returns the end of the frame that contains a byte", () => {
  const bytes = framesOf(["a", "", "bcd"]);
  const ends = Array.from(bytes, (_, at) => endOfFrame(bytes, at));
  assertEquals(ends, [3, 3, 3, 5, 5, 10, 10, 10, 10, 10]);
});

Deno.test("endOfFrame() steps over heads of any length", () => {
  const lengths = [13, 126, 65_536, 20];
  const bytes = framesOf(eventsOf(lengths));
  const sizes = [15, 130, 65_546, 22];
  let end = 0;
  for (const size of sizes) {
    assertEquals(endOfFrame(bytes, end), end + size);
    assertEquals(endOfFrame(bytes, end, end), end + size);
    assertEquals(endOfFrame(bytes, end + size - 1), end + size);
    end += size;
  }
  assertEquals(end, bytes.length);
});

Deno.test("endOfFrame() returns 0 for a frame that is incomplete", () => {
  for (const length of [13, 126, 65_536]) {
    const bytes = framesOf(eventsOf([20, length]));
    const sizes = [23, 24, 25, 26, 27, 29, 31, bytes.length - 1];
    const ends = sizes.map((size) => endOfFrame(bytes.subarray(0, size), 22));
    assertEquals(ends, sizes.map(() => 0), `${length} bytes`);
  }
});

Deno.test("numberedFramesLength() is the length of all frames with their numbers", () => {
  const first = fc.constantFrom(1, 7, 95, 99_998, 9_007_199_254_740_900);
  fc.assert(
    fc.property(fc.array(anyLength, { maxLength: 9 }), first, (lengths, first) => {
      const events = eventsOf(lengths);
      const numbered = events.map((event, i) => event.replace("{", `{"seq":${first + i},`));
      const length = numberedFramesLength(framesOf(events), first);
      assertEquals(length, framesOf(numbered).length);
    }),
    { numRuns: fuzzRuns(300) },
  );
});

Deno.test("copyNumberedFrames() inserts its number into each event, while frames fit", () => {
  const space = fc.constantFrom("", "", " ", "\t ".repeat(40));
  const event = fc.tuple(space, anyLength).map(([gap, length]) => gap + eventsOf([length])[0]!);
  const first = fc.oneof(fc.constantFrom(1, 9, 95, 99_998, 9_007_199_254_740_900), fc.nat(2000));
  fc.assert(
    fc.property(fc.array(event, { maxLength: 9 }), first, fc.nat(99), (events, first, room) => {
      const numbered = events.map((event, i) => event.replace("{", `{"seq":${first + i},`));
      const all = numberedFramesLength(framesOf(events), first);
      const target = new Uint8Array(7 + Math.round(all * room / 99));
      const { lines, read, written } = copyNumberedFrames(framesOf(events), first, target, 7);
      const copied = target.subarray(7, 7 + written);
      assertEquals(messagesOf(copied).map(textOf), numbered.slice(0, lines));
      assertEquals(read, framesOf(events.slice(0, lines)).length);
      const next = framesOf(numbered.slice(lines, lines + 1)).length;
      assert(lines === events.length || 7 + written + next > target.length, `${lines} frames`);
      assert(target.subarray(0, 7).every((byte) => byte === 0));
    }),
    { numRuns: fuzzRuns(500) },
  );
});

Deno.test("copyNumberedFrames() writes a longer head where a number makes it necessary", () => {
  for (const length of [125, 65_535]) {
    const frames = framesOf(eventsOf([length]));
    const target = new Uint8Array(66_000);
    const { written } = copyNumberedFrames(frames, 1, target, 0);
    assertGreater(written, frames.length + '"seq":1,'.length);
    assertEquals(messagesOf(target.subarray(0, written))[0]!.length, length + '"seq":1,'.length);
  }
});
