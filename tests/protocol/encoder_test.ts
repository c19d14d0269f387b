import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { assertNotMatch } from "@std/assert/not-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import fc from "fast-check";
import { checkAttributes, encodeLine, encodeText, LineEncoder } from "../../protocol/encoder.ts";
import { checkName } from "../../protocol/names.ts";
import { LineValidator } from "../../protocol/validator.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { attributes as anyAttributes, event as anyEvent, fuzzRuns } from "../support/lines.ts";

Deno.test("checkName() returns names of 1 to 255 bytes", () => {
  for (
    const name of ["a", "é", " ", "\n", "\ud800", "a".repeat(255), "é".repeat(127), "😀".repeat(63)]
  ) {
    assertEquals(checkName(name), name);
  }
});

Deno.test("checkName() throws a RangeError with the name for other lengths", () => {
  const names: [name: string, length: number][] = [
    ["", 0],
    ["a".repeat(256), 256],
    ["é".repeat(128), 256],
    ["😀".repeat(64), 256],
    ["\ud800".repeat(86), 258],
    ["a".repeat(1_000_000), 1_000_000],
  ];
  for (const [name, length] of names) {
    const { message } = assertThrows(
      () => checkName(name),
      RangeError,
      name.slice(0, 40).toWellFormed(),
    );
    assertMatch(message, new RegExp(`\\b${length}$`));
    assertLess(message.length, 300);
  }
});

Deno.test("checkName() throws a TypeError with the value if it is not a string", () => {
  const names: [name: unknown, shown: string][] = [
    [undefined, "undefined"],
    [null, "null"],
    [7, "7"],
    [["a"], '["a"]'],
    [{ event: "a" }, '{"event":"a"}'],
    [new String("a"), 'String "a"'],
  ];
  for (const [name, shown] of names) {
    assertThrows(() => checkName(name as string), TypeError, shown);
  }
});

Deno.test("checkAttributes() returns objects", () => {
  class Point {
    x = 1;
  }
  for (const attributes of [{}, { a: 1 }, Object.create(null), new Point()]) {
    assertStrictEquals(checkAttributes(attributes), attributes);
  }
});

Deno.test("checkAttributes() throws a TypeError with the value if it is not an object", () => {
  const values: [value: unknown, shown: string][] = [
    [null, "null"],
    [undefined, "undefined"],
    ["text", '"text"'],
    [7, "7"],
    [true, "true"],
    [[1, 2], "[1,2]"],
    [() => {}, "[Function"],
  ];
  for (const [value, shown] of values) {
    assertThrows(() => checkAttributes(value as object), TypeError, shown);
  }
});

Deno.test("checkAttributes() refuses a Map and a Set, which JSON would empty", () => {
  for (const value of [new Map([["a", 1]]), new Set(["a"])]) {
    assertThrows(() => checkAttributes(value), TypeError);
  }
});

Deno.test("encodeText() writes the name, then the attributes", () => {
  assertEquals(encodeText("a", {}), '{"event":"a","__dict__":{}}');
  assertEquals(
    encodeText('q"', { z: 1, a: [true, null, "é", { "": -1.5e300 }] }),
    '{"event":"q\\"","__dict__":{"z":1,"a":[true,null,"é",{"":-1.5e+300}]}}',
  );
});

/** Whatever Python's `splitlines()`, say, takes for the end of a line. */
const SEPARATORS = [..."\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029"];

function separatorsIn(text: string): string[] {
  return SEPARATORS.filter((separator) => text.includes(separator));
}

Deno.test("encodeText() escapes every character that a reader may treat as a line end", () => {
  const text = SEPARATORS.join("");
  const encoded = encodeText(`name${text}`, { [`key${text}`]: [`value${text}`] });
  assertEquals(separatorsIn(encoded), []);
  // A string by itself: some releases of V8 read a key with an escape as another key.
  const strings = encoded.match(/"(?:[^"\\]|\\.)*"/g)!.map((string): string => JSON.parse(string));
  assertEquals(strings, ["event", `name${text}`, "__dict__", `key${text}`, `value${text}`]);
  assertStringIncludes(encodeText("\u0085", { a: "\u2028\u2029" }), "\\u0085");
  assertStringIncludes(encodeText("\u0085", { a: "\u2028\u2029" }), "\\u2028\\u2029");
});

Deno.test("encodeText() escapes lone surrogates, which UTF-8 cannot carry, and leaves pairs", () => {
  assertEquals(
    encodeText("a", { b: "\ud800-\udc00-😀" }),
    '{"event":"a","__dict__":{"b":"\\ud800-\\udc00-😀"}}',
  );
});

class Circle {
  self: unknown = null;
}

function cycle(): object {
  const circle = new Circle();
  circle.self = { list: [circle] };
  return circle;
}

function sparse(): unknown[] {
  const list: unknown[] = [1];
  list[2] = 3;
  return list;
}

/** `n` arrays inside one another. */
function nested(n: number): unknown {
  let value: unknown = 0;
  for (let i = 0; i < n; i++) value = i % 2 ? [value] : { a: value };
  return value;
}

/** Checks that a value is refused with a `TypeError` that names the attribute that has it. */
function assertRefused(value: unknown): void {
  const what = Deno.inspect(value, { depth: 1 });
  for (const attribute of [value, [value], { deeper: [0, { still: value }] }]) {
    const attributes = { good: [1, "x"], 'the "bad"\none': attribute };
    const error = assertThrows(() => encodeText("a", attributes), TypeError);
    assertStringIncludes(error.message, 'the "bad"\\none', `${what}: ${error.message}`);
    assertNotMatch(error.message, /good/);
  }
}

Deno.test("encodeText() refuses values outside JSON, and names the attribute", () => {
  const values: unknown[] = [
    1n,
    NaN,
    Infinity,
    -Infinity,
    () => 1,
    Symbol("s"),
    new Map([["a", 1]]),
    new Set([1]),
    new Uint8Array(3),
    new DataView(new ArrayBuffer(3)),
    cycle(),
    sparse(),
    new Array(3),
    { toJSON: () => undefined },
    { toJSON: () => 1n },
  ];
  for (const value of values) assertRefused(value);
});

Deno.test("encodeText() leaves out undefined members at any depth, as JSON.stringify() does", () => {
  const attributes = {
    color: undefined,
    content: "hi",
    author: { name: "Ada", mail: undefined, tags: [{ text: undefined }] },
    shown: { toJSON: () => ({ x: 1, y: undefined }) },
    ["__proto__"]: undefined,
  };
  const { event, __dict__ } = JSON.parse(encodeText("a", attributes));
  assertEquals(event, "a");
  const shown = { x: 1 };
  assertEquals(__dict__, { content: "hi", author: { name: "Ada", tags: [{}] }, shown });
  assertEquals(__dict__, JSON.parse(JSON.stringify(attributes)));
  assertEquals(encodeText("a", { only: undefined }), '{"event":"a","__dict__":{}}');
});

Deno.test("encodeText() refuses undefined in an array, which JSON would make null", () => {
  for (const list of [[undefined], [1, undefined], [[undefined]]]) {
    const { message } = assertThrows(() => encodeText("a", { deep: { list } }), TypeError);
    assertStringIncludes(message, '"deep": JSON has no undefined');
  }
});

Deno.test("encodeText() refuses objects that JSON would turn into {} or null", () => {
  const values: unknown[] = [
    new ArrayBuffer(3),
    new WeakMap(),
    Promise.resolve(1),
    /x/,
    new Error("x"),
    new Date(NaN),
    Object(NaN),
    Object(Symbol("s")),
  ];
  const accepted = values.filter((value) => {
    try {
      encodeText("a", { value });
      return true;
    } catch (error) {
      assertInstanceOf(error, TypeError);
      return false;
    }
  });
  assertEquals(accepted, []);
});

Deno.test("encodeText() names the attribute also for a fault of JSON.stringify()", () => {
  assertRefused(Object(1n));
});

Deno.test("encodeText() names an attribute with a dangerous name, too", () => {
  for (const name of ["__proto__", "constructor", "toString", ""]) {
    const attributes = Object.fromEntries([[name, 1n]]);
    assertThrows(() => encodeText("a", attributes), TypeError, `"${name}"`);
  }
});

Deno.test("encodeText() accepts an object that is there twice but not within itself", () => {
  const shared = { x: 1 };
  assertEquals(
    encodeText("a", { b: shared, c: [shared, shared] }),
    '{"event":"a","__dict__":{"b":{"x":1},"c":[{"x":1},{"x":1}]}}',
  );
});

Deno.test("encodeText() encodes the result of toJSON()", () => {
  const date = new Date(0);
  assertEquals(
    encodeText("a", { date, url: new URL("http://x/"), text: { toJSON: () => "t" } }),
    '{"event":"a","__dict__":{"date":"1970-01-01T00:00:00.000Z","url":"http://x/","text":"t"}}',
  );
});

Deno.test("encodeText() checks the result of toJSON() without a second call", () => {
  class Point {
    x = 1;
    toJSON(): this {
      return this;
    }
  }
  assertEquals(encodeText("a", { b: [new Point()] }), '{"event":"a","__dict__":{"b":[{"x":1}]}}');
  // JSON.stringify would write {} for this date, since its toJSON() is not called any more.
  assertThrows(() => encodeText("a", { b: { toJSON: () => new Date(0) } }), TypeError, '"b"');
});

Deno.test("encodeText() encodes an attribute called toJSON like any other", () => {
  assertEquals(
    encodeText("a", { toJSON: "x", b: { toJSON: 1 } }),
    '{"event":"a","__dict__":{"toJSON":"x","b":{"toJSON":1}}}',
  );
});

Deno.test("encodeText() never writes a line that its own validator refuses", () => {
  class Money {
    constructor(readonly cents: number) {}
    toJSON(): string {
      return `${this.cents} ct`;
    }
  }
  for (const attributes of [new Money(5), new Date(0)]) {
    let line: string;
    try {
      line = encodeText("a", attributes);
    } catch (error) {
      assertInstanceOf(error, TypeError);
      continue;
    }
    assertEquals(new LineValidator().open(utf8(`${line}\n`)).validate(0), "event", line);
  }
});

Deno.test("encodeText() accepts exactly the nesting of a valid line", () => {
  const line = encodeLine("a", { b: nested(62) });
  assertEquals(new LineValidator().open(line).validate(0), "event");
  assertEquals(new LineValidator(63).open(line).validate(0), "invalid");
  assertThrows(() => encodeText("a", { b: nested(63) }), TypeError, '"b"');
  assertThrows(() => encodeText("a", { b: nested(100_000) }), TypeError, '"b"');
});

Deno.test("encodeText() checks the name and the attributes that it is given", () => {
  assertThrows(() => encodeText("", {}), RangeError);
  assertThrows(() => encodeText(7 as unknown as string, {}), TypeError);
  assertThrows(() => encodeText("a", [] as object), TypeError);
  assertThrows(() => encodeText("a", null as unknown as object), TypeError);
});

Deno.test("encodeText() does not change the attributes", () => {
  const inner = Object.freeze({ list: Object.freeze([1, "\u2028"]) });
  const attributes = Object.freeze({ inner });
  encodeText("a", attributes);
  assertEquals(attributes, { inner: { list: [1, "\u2028"] } });
});

Deno.test("encodeLine() writes exactly one newline, at the end", () => {
  const line = encodeLine("a\n", { "b\n": "c\r\n" });
  assertEquals(line.indexOf(0x0a), line.length - 1);
  assertEquals(textOf(line.subarray(0, -1)), encodeText("a\n", { "b\n": "c\r\n" }));
});

Deno.test("encodeLine() accepts a line of maxLineBytes, its newline not counted", () => {
  const attributes = { text: "é".repeat(100) };
  const { length } = encodeLine("a", attributes);
  assertEquals(encodeLine("a", attributes, length - 1).length, length);
  const error = assertThrows(() => encodeLine("a", attributes, length - 2), RangeError);
  assertMatch(error.message, new RegExp(`"a".*\\b${length - 1} bytes.*maxLineBytes ${length - 2}`));
});

Deno.test("encodeLine() writes lines that the validator accepts, without a raw separator", () => {
  const validator = new LineValidator();
  fc.assert(
    fc.property(anyAttributes, (attributes) => {
      const line = encodeLine("name", attributes);
      assertEquals(validator.open(line).validate(0), "event");
      assertEquals(validator.end, line.length - 1);
      assertEquals(separatorsIn(textOf(line)), ["\n"]);
    }),
    { numRuns: fuzzRuns(1000) },
  );
});

Deno.test("encodeText() reads a getter once, and encodes the checked value", () => {
  let calls = 0;
  const attributes = {
    get a() {
      return calls++ === 0 ? 1 : NaN;
    },
  };
  assertEquals(encodeText("x", attributes), '{"event":"x","__dict__":{"a":1}}');
  assertEquals(calls, 1);
});

Deno.test("LineEncoder.encode() returns the line of encodeLine(), which never changes", () => {
  const events = fc.array(fc.tuple(anyEvent, fc.boolean()), { maxLength: 40 });
  fc.assert(
    fc.property(events, (events) => {
      const encoder = new LineEncoder();
      const kept: Uint8Array[] = [];
      const expected: Uint8Array[] = [];
      for (const [{ event, __dict__ }, isKept] of events) {
        const line = encoder.encode(event, __dict__, Infinity);
        const alone = encodeLine(event, __dict__);
        assertEquals(line, alone);
        if (!isKept) continue;
        encoder.keep(line);
        kept.push(line);
        expected.push(alone);
      }
      assertEquals(kept, expected);
    }),
    { numRuns: fuzzRuns(500) },
  );
});

Deno.test("LineEncoder puts short lines into blocks of at most 16 KiB, and long ones into their own", () => {
  const encoder = new LineEncoder();
  const blocks = new Map<ArrayBufferLike, number>();
  for (let i = 0; i < 10_000; i++) {
    const line = encoder.encode("x", { i, text: "é".repeat(i % 300) }, Infinity);
    encoder.keep(line);
    blocks.set(line.buffer, (blocks.get(line.buffer) ?? 0) + line.length);
  }
  const sizes = [...blocks.keys()].map((block) => block.byteLength);
  assertEquals(Math.max(...sizes), 16_384);
  const used = [...blocks.values()].reduce((sum, bytes) => sum + bytes, 0);
  assertGreater(used, 0.7 * sizes.reduce((sum, bytes) => sum + bytes, 0));
  const long = encoder.encode("x", { text: "x".repeat(2000) }, Infinity);
  assertEquals(long.buffer.byteLength, long.length);
});

Deno.test("LineEncoder refuses a line of more than maxLineBytes, and goes on", () => {
  const encoder = new LineEncoder();
  const text = '{"event":"abc","__dict__":{"é":1}}';
  const bytes = utf8(text).length;
  assertEquals(encoder.encode("abc", { "é": 1 }, bytes), utf8(`${text}\n`));
  assertThrows(
    () => encoder.encode("abc", { "é": 1 }, bytes - 1),
    RangeError,
    `"abc": its ${bytes} bytes exceed maxLineBytes ${bytes - 1}`,
  );
  assertEquals(encoder.encode("d", {}, bytes), utf8('{"event":"d","__dict__":{}}\n'));
});
