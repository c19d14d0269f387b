import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { FramingError } from "../../errors.ts";
import { LineBlock, LineSplitter } from "../../protocol/line_splitter.ts";
import { bytewise, cutAt, raw, textOf, utf8 } from "../support/bytes.ts";
import { cutFractions, cutInto, fuzzRuns } from "../support/lines.ts";

/** What comes out of a splitter. */
interface Split {
  /** The lines as iterating gives them: without their ends, and without the empty ones. */
  lines: string[];
  /** The bytes of all blocks, in hexadecimal. */
  blocks: string;
  unfinished: number;
  fault: string | null;
}

/** Gives bytes to a splitter in one of two ways, and calls `onBlock` for each block. */
type Feed = (
  splitter: LineSplitter,
  bytes: Uint8Array,
  onBlock: (block: LineBlock) => void,
) => void;

/** Pushes the bytes, then overwrites them. */
const push: Feed = (splitter, bytes, onBlock) => {
  onBlock(splitter.push(bytes));
  bytes.fill(0x0a);
};

/** Puts the bytes where there is space for them, as a read does. */
const fill: Feed = (splitter, bytes, onBlock) => {
  for (let done = 0; done < bytes.length && !splitter.fault;) {
    const space = splitter.space();
    const part = bytes.subarray(done, done + space.length);
    space.set(part);
    done += part.length;
    onBlock(splitter.fill(part.length));
  }
};

/** Feeds chunks to a splitter, up to its fault. The blocks are not looked at before the end. */
function feedAll(feed: Feed, chunks: Uint8Array[], maxLineBytes?: number): Split {
  const splitter = new LineSplitter(maxLineBytes === undefined ? {} : { maxLineBytes });
  const blocks: LineBlock[] = [];
  for (const chunk of chunks) {
    feed(splitter, chunk, (block) => blocks.push(block));
    if (splitter.fault) break;
  }
  return {
    lines: blocks.flatMap((block) => [...block].map((line) => line.toHex())),
    blocks: blocks.map(({ bytes }) => bytes.toHex()).join(""),
    unfinished: splitter.unfinishedBytes,
    fault: splitter.fault?.code ?? null,
  };
}

/** What comes of the chunks, which must be the same when they are pushed and when they are read. */
function split(chunks: Uint8Array[], maxLineBytes?: number): Split {
  const filled = feedAll(fill, chunks, maxLineBytes);
  const pushed = feedAll(push, chunks, maxLineBytes);
  assertEquals(filled, pushed);
  return pushed;
}

/** A stream in the notation of `raw()`, and what is in it. */
interface Fixture {
  stream: string;
  maxLineBytes?: number;
  /** The lines that are not empty, in the notation of `raw()`. */
  lines: string[];
  unfinished?: number;
  fault?: string;
}

const FIXTURES: Record<string, Fixture> = {
  "nothing": { stream: "<>", lines: [] },
  "one line": { stream: "one<0a>", lines: ["one"] },
  "lines": { stream: "one<0a>two<0a>three<0a>", lines: ["one", "two", "three"] },
  "an unfinished line": { stream: "one<0a>tw", lines: ["one"], unfinished: 2 },
  "only an unfinished line": { stream: "one", lines: [], unfinished: 3 },
  "CRLF": { stream: "one<0d><0a>two<0a>three<0d><0a>", lines: ["one", "two", "three"] },
  "a lone CR within a line": { stream: "o<0d>ne<0d>two<0a>", lines: ["o<0d>ne<0d>two"] },
  "two CR before the end": { stream: "one<0d><0d><0a>two<0a>", lines: ["one<0d>", "two"] },
  "LF before CR": { stream: "one<0a><0d>two<0a>", lines: ["one", "<0d>two"] },
  "a CR at the end of the stream": { stream: "one<0a>two<0d>", lines: ["one"], unfinished: 4 },
  "empty lines": { stream: "<0a>one<0a><0a><0a>two<0a><0a>", lines: ["one", "two"] },
  "empty lines with CR": { stream: "<0d><0a>one<0a><0d><0a><0d><0a>", lines: ["one"] },
  "only empty lines": { stream: "<0a><0d><0a><0a>", lines: [] },
  "a line of two CR": { stream: "<0d><0d><0a>", lines: ["<0d>"] },
  "characters of two to four bytes": {
    stream: "<c3><a9>-<e2><82><ac>-<f0><9f><98><80><0a><e2><82><ac><0a>",
    lines: ["<c3><a9>-<e2><82><ac>-<f0><9f><98><80>", "<e2><82><ac>"],
  },
  "separators that are no line end": {
    stream: "a<c2><85>b<e2><80><a8>c<e2><80><a9>d<0b>e<0c>f<1e>g<0a>",
    lines: ["a<c2><85>b<e2><80><a8>c<e2><80><a9>d<0b>e<0c>f<1e>g"],
  },
  "bytes that are not UTF-8": {
    stream: "<ff><c3><0a><80><00><0a>",
    lines: ["<ff><c3>", "<80><00>"],
  },
  "a byte order mark at the start": { stream: "<ef><bb><bf>one<0a>two<0a>", lines: ["one", "two"] },
  "a byte order mark before an empty line": {
    stream: "<ef><bb><bf><0a>one<0a>",
    lines: ["one"],
  },
  "a byte order mark before CRLF": { stream: "<ef><bb><bf><0d><0a>one<0a>", lines: ["one"] },
  "only a byte order mark": { stream: "<ef><bb><bf>", lines: [] },
  "a byte order mark and an unfinished line": {
    stream: "<ef><bb><bf>one",
    lines: [],
    unfinished: 3,
  },
  "half a byte order mark": { stream: "<ef><bb>", lines: [], unfinished: 2 },
  "half a byte order mark in a line": { stream: "<ef><bb><0a>", lines: ["<ef><bb>"] },
  "two byte order marks": { stream: "<ef><bb><bf><ef><bb><bf><0a>", lines: ["<ef><bb><bf>"] },
  "a byte order mark on the second line": {
    stream: "one<0a><ef><bb><bf>two<0a>",
    lines: ["one", "<ef><bb><bf>two"],
  },
  "a byte order mark after an empty line": {
    stream: "<0a><ef><bb><bf>one<0a>",
    lines: ["<ef><bb><bf>one"],
  },
  "a byte order mark within a line": {
    stream: "o<ef><bb><bf>ne<0a>",
    lines: ["o<ef><bb><bf>ne"],
  },
  "a byte order mark that is unfinished on the second line": {
    stream: "one<0a><ef><bb><bf>",
    lines: ["one"],
    unfinished: 3,
  },
  "lines at the limit": {
    stream: "12345<0a>abcde<0a>",
    maxLineBytes: 5,
    lines: ["12345", "abcde"],
  },
  "lines at the limit, with CRLF": {
    stream: "12345<0d><0a>abcde<0d><0a>",
    maxLineBytes: 5,
    lines: ["12345", "abcde"],
  },
  "a line at the limit behind a byte order mark": {
    stream: "<ef><bb><bf>12345<0d><0a>abcde<0a>",
    maxLineBytes: 5,
    lines: ["12345", "abcde"],
  },
  "an unfinished line at the limit": {
    stream: "12345<0a>abcde",
    maxLineBytes: 5,
    lines: ["12345"],
    unfinished: 5,
  },
  "an unfinished line at the limit, with CR": {
    stream: "abcde<0d>",
    maxLineBytes: 5,
    lines: [],
    unfinished: 6,
  },
  "a line one over the limit": {
    stream: "123456<0a>abc<0a>",
    maxLineBytes: 5,
    lines: [],
    fault: "line-too-long",
  },
  "a line one over the limit, with CRLF": {
    stream: "12345a<0d><0a>abc<0d><0a>",
    maxLineBytes: 5,
    lines: [],
    fault: "line-too-long",
  },
  "a line whose first of two CR is one over the limit": {
    stream: "12345<0d><0d><0a>",
    maxLineBytes: 5,
    lines: [],
    fault: "line-too-long",
  },
  "a line that a CR within takes over the limit": {
    stream: "12345<0d>6<0a>",
    maxLineBytes: 5,
    lines: [],
    fault: "line-too-long",
  },
  "a line one over the limit behind a byte order mark": {
    stream: "<ef><bb><bf>123456<0a>",
    maxLineBytes: 5,
    lines: [],
    fault: "line-too-long",
  },
  "an unfinished line one over the limit": {
    stream: "123<0a>abcdef",
    maxLineBytes: 5,
    lines: ["123"],
    fault: "line-too-long",
  },
  "good lines, then one over the limit": {
    stream: "1<0a><0d><0a>22<0d><0a>333333<0a>4<0a>",
    maxLineBytes: 5,
    lines: ["1", "22"],
    fault: "line-too-long",
  },
  "lines of one byte": { stream: "1<0a><0a>2<0d><0a>", maxLineBytes: 1, lines: ["1", "2"] },
};

function expectedSplit({ lines, unfinished = 0, fault }: Fixture): Omit<Split, "blocks"> {
  return { lines: lines.map((line) => raw(line).toHex()), unfinished, fault: fault ?? null };
}

Deno.test("LineSplitter returns the lines of a stream in one chunk", () => {
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const { blocks: _, ...rest } = split([raw(fixture.stream)], fixture.maxLineBytes);
    assertEquals(rest, expectedSplit(fixture), name);
  }
});

Deno.test("LineSplitter returns the same lines of a stream that is cut in two, anywhere", () => {
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const bytes = raw(fixture.stream);
    const whole = split([bytes.slice()], fixture.maxLineBytes);
    for (let cut = 0; cut <= bytes.length; cut++) {
      assertEquals(split(cutAt(bytes, [cut]), fixture.maxLineBytes), whole, `${name}, at ${cut}`);
    }
  }
});

Deno.test("LineSplitter returns the same lines of a stream that is cut in three, anywhere", () => {
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const bytes = raw(fixture.stream);
    const whole = split([bytes.slice()], fixture.maxLineBytes);
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const parts = cutAt(bytes, [first, second]);
        const where = `${name}, at ${first} and ${second}`;
        assertEquals(split(parts, fixture.maxLineBytes), whole, where);
      }
    }
  }
});

Deno.test("LineSplitter returns the same lines of a stream that comes byte by byte", () => {
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const bytes = raw(fixture.stream);
    const whole = split([bytes.slice()], fixture.maxLineBytes);
    assertEquals(split(bytewise(bytes), fixture.maxLineBytes), whole, name);
  }
});

Deno.test("LineSplitter accepts a byte order mark in pieces, even if lines are limited to one byte", () => {
  const bytes = raw("<ef><bb><bf>1<0a>2<0a>");
  const whole = split([bytes.slice()], 1);
  assertEquals(whole.lines, ["31", "32"]);
  for (let cut = 0; cut <= bytes.length; cut++) assertEquals(split(cutAt(bytes, [cut]), 1), whole);
});

Deno.test("LineSplitter behaves as a plain model, for any bytes and any cuts", () => {
  const bytes = fc.array(fc.constantFrom(0x0a, 0x0a, 0x0d, 0x61, 0x62, 0xef, 0xbb, 0xbf), {
    maxLength: 40,
  }).map((bytes) => Uint8Array.from(bytes));
  const withMark = fc.tuple(fc.constantFrom("", "\ufeff"), bytes)
    .map(([mark, bytes]) => concat([utf8(mark), bytes]));
  fc.assert(
    fc.property(withMark, cutFractions, fc.integer({ min: 3, max: 12 }), (bytes, cuts, limit) => {
      assertEquals(split(cutInto(bytes, cuts), limit), model(bytes, limit));
    }),
    { numRuns: fuzzRuns(4000) },
  );
});

/** What a splitter should make of a stream, in the plainest way, on text of one byte a character. */
function model(bytes: Uint8Array, limit: number): Split {
  const hex = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0)).toHex();
  let text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  if (text.startsWith("\xef\xbb\xbf")) text = text.slice(3);
  const result: Split = { lines: [], blocks: "", unfinished: 0, fault: null };
  const parts = text.split("\n");
  const rest = parts.pop()!;
  for (const part of parts) {
    const line = part.replace(/\r$/, "");
    if (line.length > limit) return { ...result, fault: "line-too-long" };
    if (line !== "") result.lines.push(hex(line));
    result.blocks += hex(`${part}\n`);
  }
  if (rest.replace(/\r$/, "").length > limit) return { ...result, fault: "line-too-long" };
  return { ...result, unfinished: rest.length };
}

Deno.test("LineSplitter.push() throws the fault again when it is called after it", () => {
  const splitter = new LineSplitter({ maxLineBytes: 3 });
  const block = splitter.push(utf8("ok\n1234\n"));
  assertEquals([...block].map(textOf), ["ok"]);
  const { fault } = splitter;
  assertInstanceOf(fault, FramingError);
  for (const chunk of ["a\n", "", "\n"]) {
    const error = assertThrows(() => splitter.push(utf8(chunk)), FramingError, "maxLineBytes 3");
    assertStrictEquals(error, fault);
  }
  assertEquals(splitter.unfinishedBytes, 0);
});

Deno.test("LineSplitter.fault names the length and the limit", () => {
  const splitter = new LineSplitter({ maxLineBytes: 1000 });
  splitter.push(new Uint8Array(2500));
  assertEquals(splitter.fault?.code, "line-too-long");
  assertEquals(
    splitter.fault?.message,
    "Cannot decode line: length 2500 exceeds maxLineBytes 1000",
  );
});

Deno.test("LineSplitter.fault is set while the line is still coming, not at its end", () => {
  const splitter = new LineSplitter({ maxLineBytes: 10 });
  for (let i = 0; i < 10; i++) splitter.push(utf8("x"));
  assertEquals(splitter.fault, null);
  assertEquals(splitter.unfinishedBytes, 10);
  splitter.push(utf8("x"));
  assertEquals(splitter.fault?.code, "line-too-long");
});

Deno.test("LineSplitter accepts lines of up to 1 MiB by default", () => {
  const line = new Uint8Array(2 ** 20 + 1).fill(0x78);
  line[2 ** 20] = 0x0a;
  const splitter = new LineSplitter();
  assertEquals(splitter.maxLineBytes, 2 ** 20);
  assertEquals([...splitter.push(line)].map((line) => line.length), [2 ** 20]);
  splitter.push(line.subarray(0, 2 ** 20));
  assertEquals(splitter.fault, null);
  splitter.push(utf8("x"));
  assertEquals(splitter.fault?.code, "line-too-long");
});

Deno.test("LineSplitter refuses a maxLineBytes out of its range", () => {
  for (const maxLineBytes of [0, -1, 1.5, NaN, Infinity, 2 ** 30 + 1]) {
    assertThrows(() => new LineSplitter({ maxLineBytes }), RangeError, `${maxLineBytes}`);
  }
  assertEquals(new LineSplitter({ maxLineBytes: 2 ** 30 }).maxLineBytes, 2 ** 30);
});

Deno.test("LineSplitter.push() neither changes nor keeps the chunk", () => {
  const splitter = new LineSplitter();
  const chunk = utf8("\ufeffone\ntwo\nthr");
  const copy = chunk.slice();
  const block = splitter.push(chunk);
  assertEquals(chunk, copy);
  chunk.fill(0x21);
  assertEquals([...block].map(textOf), ["one", "two"]);
  const rest = splitter.push(utf8("ee\n"));
  assertEquals([...rest].map(textOf), ["three"]);
});

Deno.test("LineSplitter returns blocks that later calls do not change", () => {
  const splitter = new LineSplitter();
  splitter.push(utf8("on"));
  const first = splitter.push(utf8("e\ntw"));
  const second = splitter.push(utf8("o\n"));
  splitter.push(utf8("xxxxxxxx"));
  splitter.push(utf8("yyyyyyyy\n"));
  assertEquals([first, second].map(({ bytes }) => textOf(bytes)), ["one\n", "two\n"]);
});

/** How many bytes typed arrays copy while `work` runs, but for copies of a whole one. */
function countCopied(work: () => void): number {
  const prototype: Uint8Array = Object.getPrototypeOf(Uint8Array.prototype);
  const { set, slice, copyWithin } = prototype;
  let copied = 0;
  prototype.set = function (this: Uint8Array, source: ArrayLike<number>, offset?: number) {
    copied += source.length;
    set.call(this, source, offset);
  };
  prototype.slice = function (this: Uint8Array, start?: number, end?: number) {
    const result = slice.call(this, start, end);
    copied += result.length;
    return result as Uint8Array<ArrayBuffer>;
  };
  prototype.copyWithin = function (this: Uint8Array, target, start, end = this.length) {
    copied += end - start;
    return copyWithin.call(this, target, start, end);
  };
  try {
    work();
  } finally {
    prototype.set = set;
    prototype.slice = slice;
    prototype.copyWithin = copyWithin;
  }
  return copied;
}

Deno.test("LineSplitter copies a line that comes byte by byte at most a few times, however long", () => {
  const byte = utf8("x");
  const newline = utf8("\n");
  for (const feed of [push, fill]) {
    for (const length of [2 ** 10, 2 ** 16, 2 ** 20]) {
      const splitter = new LineSplitter();
      const lines: Uint8Array[] = [];
      const onBlock = (block: LineBlock) => lines.push(...block);
      const copied = countCopied(() => {
        for (let i = 0; i < length; i++) feed(splitter, byte, onBlock), byte.fill(0x78);
        feed(splitter, newline.slice(), onBlock);
      });
      assertEquals(lines.length, 1);
      // Into the buffer, and into a larger buffer (half of them, a quarter of them, ...).
      assertGreaterOrEqual(copied, length, `${copied} of ${length}`);
      assertLessOrEqual(copied, 4 * length, `${copied} of ${length}`);
    }
  }
});

Deno.test("LineSplitter copies short lines at most a few times, however many and however cut", () => {
  for (const feed of [push, fill]) {
    for (const size of [1, 7, 64, 1000, 110_000]) {
      const lines = utf8("0123456789\n".repeat(10_000));
      const splitter = new LineSplitter();
      let count = 0;
      const copied = countCopied(() => {
        for (let start = 0; start < lines.length; start += size) {
          feed(splitter, lines.subarray(start, start + size), (block) => {
            for (const _ of block) count++;
          });
        }
      });
      assertEquals(count, 10_000);
      assertLessOrEqual(copied, 4 * lines.length, `${copied} of ${lines.length} by ${size}`);
    }
  }
});

/** How much space a splitter offers after each of some reads that fill it by `share`, or a bit. */
function spaces(reads: number, share: (space: number) => number, text = "x\n"): number[] {
  const splitter = new LineSplitter();
  return Array.from({ length: reads }, () => {
    const space = splitter.space();
    const length = share(space.length);
    space.set(utf8(text.repeat(Math.ceil(length / text.length)).slice(-length)));
    splitter.fill(length);
    return splitter.space().length;
  });
}

Deno.test("LineSplitter.space() is small at first, and grows while reads fill it", () => {
  assertEquals(new LineSplitter().space().length, 256);
  assertEquals(spaces(6, (space) => space), [1024, 4096, 16_384, 65_536, 130_560, 130_560]);
});

Deno.test("LineSplitter.space() becomes small again after a read that brought little", () => {
  let read = 0;
  assertEquals(spaces(5, (space) => ++read < 4 ? space : 2), [1024, 4096, 16_384, 256, 256]);
});

Deno.test("LineSplitter.space() stays large while reads bring much, and grows for a long line", () => {
  let read = 0;
  assertEquals(spaces(5, (space) => ++read < 4 ? space : 8000), [
    1024,
    4096,
    16_384,
    16_384,
    16_384,
  ]);
  const long = spaces(8, (space) => space, "x");
  assert(long.every((space) => space >= 256));
  assertGreaterOrEqual(long.at(-1)!, 65_536);
});

/** How many reads each of some messages takes that come one at a time. */
function readsPerMessage(size: number, messages: number): number[] {
  const splitter = new LineSplitter();
  const message = utf8("x".repeat(size - 1) + "\n");
  return Array.from({ length: messages }, () => {
    let reads = 0;
    fill(splitter, message, () => reads++);
    return reads;
  });
}

Deno.test("LineSplitter.space() settles at one read per message", () => {
  for (
    const size of [10, 255, 256, 257, 300, 383, 1025, 1100, 4097, 4200, 17_000, 24_500, 65_000]
  ) {
    const reads = readsPerMessage(size, 5);
    assertEquals(reads.slice(-2), [1, 1], `${size} bytes: ${reads}`);
  }
});

Deno.test("LineSplitter releases the memory of a long line", () => {
  for (const feed of [push, fill]) {
    for (const size of [100_000, 999_999, 2 ** 20]) {
      const splitter = new LineSplitter();
      feed(splitter, utf8("x".repeat(size) + "\n"), () => {});
      assertLessOrEqual(splitter.space().buffer.byteLength, 65_536, `${size} bytes`);
    }
  }
  const splitter = new LineSplitter();
  splitter.push(new Uint8Array(10_000_000).fill(0x0a));
  assertLessOrEqual(splitter.space().buffer.byteLength, 65_536);
});

Deno.test("LineSplitter.space() has room for several long lines while they come fast", () => {
  const long = utf8(`${"x".repeat(16_383)}\n`.repeat(100));
  const short = utf8(`${"x".repeat(127)}\n`.repeat(10_000));
  for (const [bytes, most] of [[long, 261_120], [short, 130_560]] as const) {
    const splitter = new LineSplitter();
    const sizes: number[] = [];
    fill(splitter, bytes, () => sizes.push(splitter.space().buffer.byteLength));
    assertEquals(Math.max(...sizes), most);
  }
});

Deno.test("LineSplitter.fill() refuses more than there is space for, and anything after a fault", () => {
  const splitter = new LineSplitter({ maxLineBytes: 3 });
  for (const length of [-1, 0.5, NaN, 257, Infinity]) {
    assertThrows(() => splitter.fill(length), RangeError, "length");
  }
  splitter.space().set(utf8("1234"));
  splitter.fill(4);
  assertThrows(() => splitter.fill(1), FramingError, "maxLineBytes 3");
  assertThrows(() => splitter.space(), FramingError, "maxLineBytes 3");
});

Deno.test("LineBlock iterates over its lines as views, without line ends and empty lines", () => {
  const bytes = raw("one<0a><0a>two<0d><0a><0d><0a>t<0d>hree<0d><0d><0a>");
  const lines = [...new LineBlock(bytes)];
  assertEquals(lines.map(textOf), ["one", "two", "t\rhree\r"]);
  assert(lines.every(({ buffer }) => buffer === bytes.buffer));
  assertEquals([...new LineBlock(new Uint8Array(0))], []);
  const block = new LineBlock(bytes);
  assertEquals([...block], [...block]);
});
