import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { FrameRing } from "./frame_ring.ts";
import { bytesOf } from "./wire.ts";

const ring = FrameRing.from(["aaaa", "bbbb", "cccc"].map(bytesOf));

Deno.test("FrameRing.slice() goes on in the next round, and stops at its end", () => {
  assertEquals(ring.slice(4, 8), bytesOf("bbbb"));
  assertEquals(ring.slice(10, 14), bytesOf("cc"));
  assertEquals(ring.slice(26, 30), bytesOf("aabb"));
});

Deno.test("FrameRing.mismatch() finds none in the expected bytes, over many rounds", () => {
  assertEquals(ring.mismatch(0, bytesOf("aaaabbbbcccc")), -1);
  assertEquals(ring.mismatch(10, bytesOf("ccaaaabbbbccccaaaabb")), -1);
  assertEquals(ring.mismatch(12_000_000_006, bytesOf("bbcccc")), -1);
  assertEquals(ring.mismatch(5, new Uint8Array(0)), -1);
});

Deno.test("FrameRing.mismatch() returns the place of a difference, before and after the wrap", () => {
  assertEquals(ring.mismatch(0, bytesOf("aXaa")), 1);
  assertEquals(ring.mismatch(10, bytesOf("cXaaaa")), 1);
  assertEquals(ring.mismatch(10, bytesOf("ccXaaa")), 2);
  assertEquals(ring.mismatch(10, bytesOf("ccaaaabbbbccccaXaa")), 15);
});

Deno.test("FrameRing.mismatch() notices a frame that is left out at the wrap", () => {
  assertEquals(ring.mismatch(8, bytesOf("ccccbbbb")), 4);
});

Deno.test("FrameRing accepts only frames of one size", () => {
  assertThrows(() => FrameRing.from([bytesOf("aa"), bytesOf("b")]), RangeError);
  assertThrows(() => FrameRing.from([]), RangeError);
  assertThrows(() => new FrameRing(bytesOf("aaa"), 2), RangeError);
});
