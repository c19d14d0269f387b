import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { cut, pad, widthOf, wrap } from "../../cli/layout.ts";

Deno.test("widthOf() counts columns: two for East Asian letters, none for accents", () => {
  const cases: [text: string, width: number][] = [
    ["", 0],
    ["plain", 5],
    ["naïve", 5],
    ["nai\u0308ve", 5],
    ["日本", 4],
    ["한글", 4],
    ["😀", 2],
    ["€ …", 3],
  ];
  for (const [text, width] of cases) assertEquals(widthOf(text), width, text);
});

Deno.test("cut() leaves a text that fits, and marks one that it cuts", () => {
  assertEquals(cut("abc", 3), "abc");
  assertEquals(cut("abcd", 3), "ab…");
  assertEquals(cut("日本語", 5), "日本…");
  assertEquals(cut("日本語", 4), "日…");
  assertEquals(cut("abc", 1), "…");
  assertEquals(cut("abc", 0), "");
});

Deno.test("cut() never returns more than the given columns", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme" }),
      fc.nat(20),
      (text, width) => widthOf(cut(text, width)) <= width,
    ),
  );
});

Deno.test("pad() fills up to the width, on the side that is asked for", () => {
  assertEquals(pad("日", 4), "日  ");
  assertEquals(pad("12", 4, "right"), "  12");
  assertEquals(pad("12345", 4), "12345");
});

Deno.test("wrap() fills lines with parts, and breaks those that are too wide between words", () => {
  const parts = ["one two", "three", "four five six seven", "extraordinary"];
  assertEquals(wrap(parts, Infinity, " | "), [parts.join(" | ")]);
  assertEquals(wrap(parts, 15, " | "), [
    "one two | three",
    "four five six",
    "seven",
    "extraordinary",
  ]);
  assertEquals(wrap(parts, 9, " | "), ["one two", "three", "four five", "six seven", "extraord…"]);
  assertEquals(wrap([], 9), [""]);
});
