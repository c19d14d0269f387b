import { assertEquals } from "@std/assert/equals";
import { judge, MAX_GROWTH, type Sample } from "./memory.ts";

/** Samples of the given sizes, one a second. */
function samplesOf(...sizes: number[]): Sample[] {
  return sizes.map((bytes, at) => ({ at, bytes }));
}

Deno.test("judge() lets memory grow in the first third, and breathe", () => {
  const { before, after, isFlat } = judge(
    samplesOf(1e6, 50e6, 90e6, 99e6, 99e6, 95e6, 97e6, 99e6, 99e6),
  );
  assertEquals([before, after, isFlat], [99e6, 99e6, true]);
});

Deno.test("judge() objects to memory that grows on", () => {
  const step = MAX_GROWTH / 2;
  const sizes = Array.from({ length: 9 }, (_, i) => i * step);
  assertEquals(judge(samplesOf(...sizes)).isFlat, false);
});

Deno.test("judge() does not say that memory is flat when it has seen too little", () => {
  assertEquals(judge(samplesOf(1, 1)).isFlat, false);
});
