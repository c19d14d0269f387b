import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import fc from "fast-check";
import { bar, widthOf } from "../../cli/layout.ts";
import { formatProgress, Progress } from "../../cli/progress.ts";
import { until } from "../support/waiting.ts";

const half = { noun: "event", done: 5500, total: 10_000, elapsedMs: 1000 };

Deno.test("formatProgress() shows the part done, the rate and the remaining time", () => {
  assertEquals(
    formatProgress(half, 70),
    "[███████████▌         ]  55 %  5,500 of 10,000 events  5.5K/s  1s left",
  );
});

Deno.test("formatProgress() leaves the bar out where it would be too short, and cuts the rest", () => {
  assertEquals(formatProgress(half, 50), "55 %  5,500 of 10,000 events  5.5K/s  1s left");
  assertEquals(formatProgress(half, 20), "55 %  5,500 of 10,0…");
});

Deno.test("formatProgress() without a total counts, and promises nothing", () => {
  assertEquals(formatProgress({ ...half, total: null }, 70), "5,500 events  5.5K/s");
  assertEquals(formatProgress({ ...half, done: 1, total: null }, 70), "1 event  1/s");
});

Deno.test("formatProgress() is right before the first and after the last", () => {
  assertMatch(formatProgress({ ...half, done: 0, elapsedMs: 0 }, 70), /\[ +\] +0 % .* 0\/s$/);
  assertMatch(formatProgress({ ...half, done: 10_000 }, 70), /\[█+\] 100 % .* 10K\/s$/);
  assertMatch(formatProgress({ ...half, done: 0, total: 0 }, 70), /\[█+\] 100 % /);
});

Deno.test("formatProgress() never shows 100 % before the end", () => {
  assertMatch(formatProgress({ ...half, done: 9999 }, 100), / 99 % /);
});

Deno.test("formatProgress() fits into any terminal", () => {
  fc.assert(
    fc.property(fc.nat(200), fc.nat(), fc.nat(), fc.nat(), (columns, done, total, elapsedMs) => {
      return widthOf(formatProgress({ noun: "event", done, total, elapsedMs }, columns)) <=
        columns;
    }),
  );
});

Deno.test("bar() is exact to an eighth of a column", () => {
  assertEquals(bar(0, 3), "   ");
  assertEquals(bar(0.5, 3), "█▌ ");
  assertEquals(bar(1, 3), "███");
  assertEquals(bar(2, 3), "███");
  assertEquals(bar(1 / 8, 1), "▏");
});

Deno.test("Progress draws a line, and leaves nothing behind", async () => {
  let written = "";
  {
    using progress = new Progress("event", {
      total: 4,
      isShown: true,
      write: (text) => written += text,
    });
    progress.done = 3;
    await until(() => written.includes("3 of 4 events"));
  }
  assert(written.endsWith("\r\x1b[K"));
});

Deno.test("Progress without a terminal writes nothing", () => {
  let written = "";
  {
    using progress = new Progress("event", {
      isShown: false,
      write: (text) => written += text,
    });
    progress.done = 3;
  }
  assertEquals(written, "");
});
