import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertStrictEquals } from "@std/assert/strict-equals";
import fc from "fast-check";
import { parseLine, parseLines } from "../../protocol/json_parser.ts";
import { assertNoDearer } from "../support/collisions.ts";

Deno.test("parseLine() reads keys with escapes as spelled, after any other line", () => {
  JSON.parse('{"a":[],"\\\\":0}');
  assertEquals(parseLine('{"a":1,"\\n":0}', true), { a: 1, "\n": 0 });
});

Deno.test("parseLines() reads each line as parseLine() does, and those with escaped keys apart", () => {
  const lines = ['{"event":"a"}', '{"\\u0065vent":"b"}', ' {"event":"c"}\r', '{"\\u0078":["d"]}'];
  for (const order of [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3], [0, 2], []]) {
    const some = order.map((i) => lines[i]!);
    const escaped = order.flatMap((i, place) => i % 2 === 1 ? [place] : []);
    assertEquals(parseLines(some, escaped), order.map((i) => parseLine(lines[i]!, i % 2 === 1)));
  }
});

Deno.test("parseLine() reads the output of JSON.stringify(), on both of its paths", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()),
      fc.constantFrom(0, 1),
      (value, indent) => {
        // Without a line break, which no line has.
        const text = JSON.stringify(value, null, indent).replaceAll("\n", " ");
        assertEquals(JSON.stringify(parseLine(text, true)), JSON.stringify(value));
      },
    ),
    { numRuns: 2000 },
  );
  const text = '{"a":[1,-0.5e3,true,false,null,"x",[],{}],"b":{"c":{"d":"\\u00e9\\\\"}}}';
  assertEquals(parseLine(text, true), parseLine(text, false));
});

Deno.test("parseLine() finds the end of a string after any number of backslashes", () => {
  for (let count = 0; count < 6; count++) {
    const value = { ["\\".repeat(count)]: '"'.repeat(count) + "\\".repeat(count), z: 1 };
    assertEquals(parseLine(JSON.stringify(value), true), value);
  }
});

Deno.test("parseLine() makes a plain member of every key", () => {
  const parsed = parseLine('{"__proto__":1,"constructor":2,"\\u0061":3,"":4}', true);
  assertEquals(Object.keys(parsed), ["__proto__", "constructor", "a", ""]);
  assertStrictEquals(Object.getPrototypeOf(parsed), Object.prototype);
});

Deno.test("parseLine() reads long strings and deep nesting", () => {
  const long = { "\n": "\\".repeat(500_000) };
  assertEquals(parseLine(JSON.stringify(long), true), long);
  const deep = `{"\\n":${"[".repeat(999)}${"]".repeat(999)}}`;
  assertEquals(JSON.stringify(parseLine(deep, true)), deep);
});

Deno.test("parseLine() needs no more memory for keys that look like indexes", () => {
  const object = '{"499":0}';
  const line = `{"\\n":[${object}${`,${object}`.repeat(100_000)}]}`;
  const before = Deno.memoryUsage().heapUsed;
  const parsed = parseLine(line, true);
  const grown = Deno.memoryUsage().heapUsed - before;
  assertEquals((parsed["\n"] as unknown[]).length, 100_001);
  // An array for each object would make it 600 MB.
  assertLess(grown, 200e6);
});

Deno.test("parseLine() reads strings that look like integers as they are, wherever they stand", () => {
  const digits = fc.constantFrom(
    "0",
    "12",
    "123",
    "012",
    "1234567890",
    "12345678901",
    "-123",
    "1e3",
  );
  const odd = fc.constantFrom('"123"', '"123",', '\\"123"', "\\", '","123', "[123]", ' "456" ]');
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      digits,
      odd,
      fc.integer(),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.oneof(digits, odd, fc.constant("__proto__")), tie("value"), { maxKeys: 4 }),
    ),
  }));
  fc.assert(fc.property(value, fc.constantFrom(0, 1), fc.boolean(), (value, indent, hasEscaped) => {
    const text = JSON.stringify({ a: value }, null, indent).replaceAll("\n", "\r ");
    const expected = JSON.stringify(JSON.parse(text));
    assertEquals(JSON.stringify(parseLine(text, hasEscaped)), expected);
    const lines = parseLines([text, '{"b":"123"}', text], hasEscaped ? [2] : []);
    assertEquals(JSON.stringify(lines), `[${expected},{"b":"123"},${expected}]`);
  }));
});

Deno.test("parseLine() is as fast with strings that look like integers", () => {
  for (const key of ["a", "\\u0061"]) {
    assertNoDearer(30_000, (texts) => {
      parseLine(`{"${key}":${JSON.stringify(texts)}}`, key !== "a");
    });
    assertNoDearer(30_000, (texts) => {
      parseLine(
        `{"${key}":{${texts.map((text, i) => `"k${i}":"${text}"`).join(",")}}}`,
        key !== "a",
      );
    });
  }
});
