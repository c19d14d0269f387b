import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import fc from "fast-check";
import { inspect, MAX_QUOTE, printable, quote } from "../../protocol/printable.ts";
import { anyText, fuzzRuns } from "../support/lines.ts";

/**
 * What may not reach a terminal, by the properties of Unicode rather than by a list of its own:
 * controls, marks of direction, separators of lines, and the byte order mark.
 */
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\ufeff]/u;

Deno.test("printable() escapes exactly the characters that can disturb a terminal or a log", () => {
  const wrong: string[] = [];
  for (let code = 0; code <= 0xffff; code++) {
    const char = String.fromCharCode(code);
    const shown = printable(char);
    const isRight = UNSAFE.test(char) ? /^\\(?:[nrt]|u[0-9a-f]{4})$/.test(shown) : shown === char;
    if (!isRight) wrong.push(`${code.toString(16)}: ${shown}`);
  }
  assertEquals(wrong, []);
});

Deno.test("printable() writes escapes that identify the character", () => {
  assertEquals(printable("\0\t\n\r\x1b[2J\x7f\x9b"), "\\u0000\\t\\n\\r\\u001b[2J\\u007f\\u009b");
  assertEquals(
    printable("\u0085\u2028\u2029\u202e\u2066\ufeff"),
    "\\u0085\\u2028\\u2029\\u202e\\u2066\\ufeff",
  );
  const shown = new Set(
    Array.from({ length: 0x10000 }, (_, i) => printable(String.fromCharCode(i))),
  );
  assertEquals(shown.size, 0x10000);
});

Deno.test("printable() leaves all other text as it is", () => {
  for (const text of ["", "plain", "naïve €", "😀 שלום مرحبا", 'a "quoted" \\ word', "a\u00a0b"]) {
    assertEquals(printable(text), text);
  }
});

Deno.test("printable() treats each character by itself, wherever it stands", () => {
  fc.assert(
    fc.property(
      anyText(20),
      fc.constantFrom("\n", "\x1b", "\u202e", "é", "😀"),
      (text, char) => {
        assertEquals(printable(text + char), printable(text) + printable(char));
        assertFalse(UNSAFE.test(printable(char + text)));
      },
    ),
    { numRuns: fuzzRuns(300) },
  );
});

Deno.test("quote() puts printable text in double quotes", () => {
  assertEquals(quote("hi"), '"hi"');
  assertEquals(quote(""), '""');
  assertEquals(quote("a\nb\x1b"), '"a\\nb\\u001b"');
});

Deno.test("quote() cuts after MAX_QUOTE characters and marks the cut", () => {
  assertEquals(MAX_QUOTE, 80);
  assertEquals(quote("a".repeat(80)), `"${"a".repeat(80)}"`);
  assertEquals(quote("a".repeat(81)), `"${"a".repeat(80)}…"`);
  assertEquals(quote("\n".repeat(1_000_000)), `"${"\\n".repeat(80)}…"`);
});

Deno.test("quote() returns well-formed text, even if it cuts an emoji or the text has half of one", () => {
  for (const text of ["😀".repeat(40), `a${"😀".repeat(40)}`, "\ud800", "a\udc00b"]) {
    assert(quote(text).isWellFormed());
  }
  assertMatch(quote("\ud800"), /^"\ufffd"$/);
});

Deno.test("inspect() shows any value, cut and printable", () => {
  class Point {
    x = 1;
  }
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const shown: [value: unknown, text: string][] = [
    [undefined, "undefined"],
    [null, "null"],
    [true, "true"],
    [NaN, "NaN"],
    [-0, "-0"],
    [1n, "1n"],
    [Symbol("a"), "Symbol(a)"],
    ["a\x1b", '"a\\u001b"'],
    [[1, "a"], '[1,"a"]'],
    [{ "a\u2028": 1 }, '{"a\\u2028":1}'],
    [new Point(), 'Point {"x":1}'],
    [Object.create(null), "{}"],
    [circle, "[object Object]"],
    [{ a: 1n }, "[object Object]"],
    [function f() {}, "[Function: f]"],
    [() => {}, "[Function: anonymous]"],
    [{ toJSON: () => undefined }, "[object Object]"],
  ];
  for (const [value, text] of shown) assertEquals(inspect(value), text);
  assertEquals(inspect("x".repeat(100)), `"${"x".repeat(80)}…"`);
  assertEquals(inspect(["x".repeat(100)]).length, 81);
});
