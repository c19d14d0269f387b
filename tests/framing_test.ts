import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { EbsocketError, EventFormatError, FramingError } from "../errors.ts";
import { EbsocketEvent, type OpenEvents } from "../event.ts";
import { EventDecoderStream, EventEncoderStream, LineBlock, LineSplitter } from "../framing.ts";
import { bytewise, cutAt, cutFractions, cutInto, raw, textOf, utf8 } from "./support/bytes.ts";
import { event as anyEvent, fuzzRuns, show, stream } from "./support/lines.ts";
import { turn } from "./support/turns.ts";

/** What comes out of a splitter. */
interface Split {
  /** The lines as iterating gives them: without their ends, and without the empty ones. */
  lines: string[];
  /** The bytes of all blocks, in hexadecimal. */
  blocks: string;
  unfinished: number;
  fault: string | null;
}

/**
 * Feeds chunks to a splitter, up to its fault. Each chunk is overwritten as soon as it has been
 * pushed, and the blocks are not looked at before the end.
 */
function split(chunks: Uint8Array[], maxLineBytes?: number): Split {
  const splitter = new LineSplitter(maxLineBytes === undefined ? {} : { maxLineBytes });
  const blocks: LineBlock[] = [];
  for (const chunk of chunks) {
    blocks.push(splitter.push(chunk));
    chunk.fill(0x0a);
    if (splitter.fault) break;
  }
  return {
    lines: blocks.flatMap((block) => [...block].map((line) => line.toHex())),
    blocks: blocks.map(({ bytes }) => bytes.toHex()).join(""),
    unfinished: splitter.unfinishedBytes,
    fault: splitter.fault?.code ?? null,
  };
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

Deno.test("LineSplitter.push() gives the lines of a stream in one chunk", () => {
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const { blocks: _, ...rest } = split([raw(fixture.stream)], fixture.maxLineBytes);
    assertEquals(rest, expectedSplit(fixture), name);
  }
});

Deno.test("LineSplitter.push() gives the same lines of a stream that is cut in two, anywhere", () => {
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const bytes = raw(fixture.stream);
    const whole = split([bytes.slice()], fixture.maxLineBytes);
    for (let cut = 0; cut <= bytes.length; cut++) {
      assertEquals(split(cutAt(bytes, [cut]), fixture.maxLineBytes), whole, `${name}, at ${cut}`);
    }
  }
});

Deno.test("LineSplitter.push() gives the same lines of a stream that is cut in three, anywhere", () => {
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

Deno.test("LineSplitter.push() gives the same lines of a stream that comes byte by byte", () => {
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const bytes = raw(fixture.stream);
    const whole = split([bytes.slice()], fixture.maxLineBytes);
    assertEquals(split(bytewise(bytes), fixture.maxLineBytes), whole, name);
  }
});

Deno.test("LineSplitter.push() takes a byte order mark in pieces, even where lines may have one byte", () => {
  const bytes = raw("<ef><bb><bf>1<0a>2<0a>");
  const whole = split([bytes.slice()], 1);
  assertEquals(whole.lines, ["31", "32"]);
  for (let cut = 0; cut <= bytes.length; cut++) assertEquals(split(cutAt(bytes, [cut]), 1), whole);
});

Deno.test("LineSplitter.push() gives what a plain model gives, for any bytes and any cuts", () => {
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
  assertEquals(fault instanceof FramingError, true);
  for (const chunk of ["a\n", "", "\n"]) {
    const error = assertThrows(() => splitter.push(utf8(chunk)), FramingError, "maxLineBytes 3");
    assertEquals(error === fault, true);
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
  assertEquals([splitter.fault, splitter.unfinishedBytes], [null, 10]);
  splitter.push(utf8("x"));
  assertEquals(splitter.fault?.code, "line-too-long");
});

Deno.test("LineSplitter accepts lines of 1 MiB and no longer ones, unless it is told otherwise", () => {
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

Deno.test("LineSplitter.push() gives blocks that later calls do not touch", () => {
  const splitter = new LineSplitter();
  splitter.push(utf8("on"));
  const first = splitter.push(utf8("e\ntw"));
  const second = splitter.push(utf8("o\n"));
  splitter.push(utf8("xxxxxxxx"));
  splitter.push(utf8("yyyyyyyy\n"));
  assertEquals([first, second].map(({ bytes }) => textOf(bytes)), ["one\n", "two\n"]);
});

/** How many bytes typed arrays copy while `work` runs. */
function countCopied(work: () => void): number {
  const prototype: Uint8Array = Object.getPrototypeOf(Uint8Array.prototype);
  const { set, slice } = prototype;
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
  try {
    work();
  } finally {
    prototype.set = set;
    prototype.slice = slice;
  }
  return copied;
}

Deno.test("LineSplitter.push() copies a line that comes byte by byte a few times, however long", () => {
  const byte = utf8("x");
  const newline = utf8("\n");
  for (const length of [2 ** 10, 2 ** 16, 2 ** 20]) {
    const splitter = new LineSplitter();
    let lines = 0;
    const copied = countCopied(() => {
      for (let i = 0; i < length; i++) splitter.push(byte);
      lines = [...splitter.push(newline)].length;
    });
    assertEquals(lines, 1);
    // Into the buffer, into a larger buffer (half of them, a quarter of them, ...), into the block.
    assertEquals(copied >= length && copied <= 4 * length, true, `${copied} of ${length}`);
  }
});

Deno.test("LineSplitter.push() copies short lines a few times, however many and however cut", () => {
  const lines = utf8("0123456789\n".repeat(10_000));
  for (const size of [1, 7, 64, 1000, lines.length]) {
    const splitter = new LineSplitter();
    let count = 0;
    const copied = countCopied(() => {
      for (let start = 0; start < lines.length; start += size) {
        for (const _ of splitter.push(lines.subarray(start, start + size))) count++;
      }
    });
    assertEquals(count, 10_000);
    assertEquals(copied <= 4 * lines.length, true, `${copied} of ${lines.length} by ${size}`);
  }
});

Deno.test("LineBlock gives each line as a view, without its end, and leaves out empty ones", () => {
  const bytes = raw("one<0a><0a>two<0d><0a><0d><0a>t<0d>hree<0d><0d><0a>");
  const lines = [...new LineBlock(bytes)];
  assertEquals(lines.map(textOf), ["one", "two", "t\rhree\r"]);
  assertEquals(lines.every(({ buffer }) => buffer === bytes.buffer), true);
  assertEquals([...new LineBlock(new Uint8Array(0))], []);
  const block = new LineBlock(bytes);
  assertEquals([...block], [...block]);
});

/** A stream of copies of `chunks`. */
function source(chunks: Uint8Array[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(chunks.map((chunk) => chunk.slice()));
}

/** What a decoder stream gives: events as `show()` shows them, then the error if there is one. */
async function decode(
  chunks: Uint8Array[],
  options?: ConstructorParameters<typeof EventDecoderStream>[0],
): Promise<{ events: string[]; error: unknown }> {
  const events: string[] = [];
  try {
    const decoder = new EventDecoderStream(options);
    for await (const event of source(chunks).pipeThrough(decoder)) events.push(show(event));
  } catch (error) {
    return { events, error };
  }
  return { events, error: null };
}

/** The code of an error of the library; any other error is thrown. */
function codeOf(error: unknown): string | null {
  if (error === null || error instanceof EbsocketError) return error?.code ?? null;
  throw error;
}

Deno.test("EventDecoderStream gives events, and leaves out control lines and empty lines", async () => {
  const bytes = utf8(
    '\ufeff\n{"event":"a"}\r\n\r\n{"control":"ping"}\n{"__dict__":{"b":1},"event":"é"}\n\n',
  );
  const expected = { events: ['["a",{}]', '["é",{"b":1}]'], error: null };
  assertEquals(await decode([bytes]), expected);
  assertEquals(await decode(bytewise(bytes)), expected);
  assertEquals(await decode([]), { events: [], error: null });
});

Deno.test("EventDecoderStream gives events with their methods, from no connection", async () => {
  const stream = source([utf8('{"event":"a","__dict__":{"b":1}}\n')])
    .pipeThrough(new EventDecoderStream());
  const [event] = await Array.fromAsync(stream);
  assertEquals(event instanceof EbsocketEvent, true);
  assertEquals([event?.getAttribute("b"), event?.fromConnection], [1, null]);
});

Deno.test("EventDecoderStream gives the events before an invalid line, then the fault", async () => {
  const faults: [line: string, code: string][] = [
    ["<ff>", "bad-utf8"],
    ["hello", "bad-json"],
    ["{}", "bad-event"],
    ["<5b*65>", "too-deep"],
  ];
  for (const [line, code] of faults) {
    const bytes = raw(`{"event":"a"}<0a>{"event":"b"}<0a>${line}<0a>{"event":"c"}<0a>`);
    for (const chunks of [[bytes], bytewise(bytes)]) {
      const { events, error } = await decode(chunks);
      assertEquals(events, ['["a",{}]', '["b",{}]']);
      assertEquals(error instanceof EventFormatError, true);
      assertEquals(codeOf(error), code);
    }
  }
});

Deno.test("EventDecoderStream gives the events before a line that is too long, then the fault", async () => {
  for (const end of ["<0a>", "<>"]) {
    const bytes = raw(`{"event":"a"}<0a><20*30>${end}`);
    for (const chunks of [[bytes], bytewise(bytes)]) {
      const { events, error } = await decode(chunks, { maxLineBytes: 20 });
      assertEquals(events, ['["a",{}]']);
      assertEquals(error instanceof FramingError, true);
      assertEquals(codeOf(error), "line-too-long");
    }
  }
});

Deno.test("EventDecoderStream reports the first of several faults", async () => {
  const bytes = raw(`{"event":"a"}<0a>{}<0a><20*30><0a><ff><0a>`);
  for (const chunks of [[bytes], bytewise(bytes)]) {
    const { events, error } = await decode(chunks, { maxLineBytes: 20 });
    assertEquals([events, codeOf(error)], [['["a",{}]'], "bad-event"]);
  }
});

Deno.test("EventDecoderStream gives the events before an unfinished line, then says truncated", async () => {
  for (const end of ['{"event":"b"}', "{", "\r", "\ufeff", " "]) {
    const bytes = utf8(`{"event":"a"}\n${end}`);
    for (const chunks of [[bytes], bytewise(bytes)]) {
      const { events, error } = await decode(chunks);
      assertEquals(events, ['["a",{}]']);
      assertEquals(error instanceof FramingError, true);
      assertEquals(codeOf(error), "truncated");
    }
  }
  assertEquals(await decode([utf8("\ufeff")]), { events: [], error: null });
});

Deno.test("EventDecoderStream keeps the events before an error for a reader that comes late", async () => {
  const lines = Array.from({ length: 50 }, (_, i) => `{"event":"${i}"}\n`).join("");
  const stream = source([utf8(lines), utf8("no\n")]).pipeThrough(new EventDecoderStream());
  await turn();
  const reader = stream.getReader();
  for (let i = 0; i < 50; i++) assertEquals((await reader.read()).value?.event, `${i}`);
  await assertRejects(() => reader.read(), EventFormatError);
  await assertRejects(() => reader.closed, EventFormatError);
});

Deno.test("EventDecoderStream stops its source after a fault", async () => {
  const cancelled = Promise.withResolvers<void>();
  const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.enqueue(utf8("no\n")),
    cancel: () => cancelled.resolve(),
  });
  const reader = endless.pipeThrough(new EventDecoderStream()).getReader();
  await assertRejects(() => reader.read(), EventFormatError);
  await cancelled.promise;
});

Deno.test("EventDecoderStream passes an error of its source on", async () => {
  const chunks = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(utf8('{"event":"a"}\n')),
    pull: (controller) => controller.error(new Deno.errors.ConnectionReset("gone")),
  });
  const reader = chunks.pipeThrough(new EventDecoderStream()).getReader();
  await assertRejects(async () => {
    for (;;) await reader.read();
  }, Deno.errors.ConnectionReset);
});

Deno.test("EventDecoderStream takes maxLineBytes and maxDepth", async () => {
  const line = utf8('{"event":"a","__dict__":{"b":[]}}\n');
  const codes: (string | null)[] = [];
  for (const options of [{}, { maxDepth: 3 }, { maxDepth: 2 }, { maxLineBytes: line.length - 2 }]) {
    codes.push(codeOf((await decode([line], options)).error));
  }
  assertEquals(codes, [null, null, "too-deep", "line-too-long"]);
  for (const options of [{ maxLineBytes: 0 }, { maxDepth: 1 }, { maxDepth: NaN }]) {
    assertThrows(() => new EventDecoderStream(options), RangeError);
  }
});

/** A source that gives one chunk and then nothing, and remembers whether it was cancelled. */
function silentSource(text: string) {
  const state = { cancelled: false };
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      if (text) controller.enqueue(utf8(text));
    },
    cancel: () => void (state.cancelled = true),
  });
  return { state, stream };
}

Deno.test("EventDecoderStream cancels its source when its reader cancels before it has read", async () => {
  const { state, stream } = silentSource("");
  await stream.pipeThrough(new EventDecoderStream()).cancel();
  await turn();
  assertEquals(state.cancelled, true);
});

Deno.test("EventDecoderStream cancels its source when its reader has had enough", async () => {
  const { state, stream } = silentSource('{"event":"a"}\n{"event":"b"}\n');
  for await (const event of stream.pipeThrough(new EventDecoderStream())) {
    assertEquals(event.event, "a");
    break;
  }
  await turn();
  assertEquals(state.cancelled, true);
});

Deno.test("EventDecoderStream cancels its source while its reader waits for an event", async () => {
  const { state, stream } = silentSource('{"event":"a"}\n');
  const reader = stream.pipeThrough(new EventDecoderStream()).getReader();
  assertEquals((await reader.read()).value?.event, "a");
  const waiting = reader.read();
  await turn();
  // Not awaited: the test is about a cancel that would never be done.
  reader.cancel();
  assertEquals((await waiting).done, true);
  await turn();
  assertEquals(state.cancelled, true);
});

Deno.test("EventDecoderStream asks a fast source for no more than a slow reader can use", async () => {
  let pulls = 0;
  const fast = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      controller.enqueue(utf8(`{"event":"${pulls++}"}\n`));
    },
  });
  const reader = fast.pipeThrough(new EventDecoderStream()).getReader();
  for (let read = 0; read < 50; read++) {
    assertEquals((await reader.read()).value?.event, `${read}`);
    await turn();
    // One chunk each in the queues of the source and of the decoder, and one or two on their way.
    assertEquals(pulls <= read + 5, true, `${pulls} chunks for ${read + 1} events`);
  }
  await reader.cancel();
});

Deno.test("EventEncoderStream writes one line for each event", async () => {
  const events = [
    new EbsocketEvent("a"),
    new EbsocketEvent("b", { text: "x\ny\u2028z", list: [1, null] }),
  ];
  const chunks = await Array.fromAsync(
    ReadableStream.from(events).pipeThrough(new EventEncoderStream()),
  );
  assertEquals(chunks.map(textOf), [
    '{"event":"a","__dict__":{}}\n',
    '{"event":"b","__dict__":{"text":"x\\ny\\u2028z","list":[1,null]}}\n',
  ]);
});

Deno.test("EventEncoderStream fails with the error of the event that cannot be encoded", async () => {
  const events: EbsocketEvent[] = [new EbsocketEvent("a"), new EbsocketEvent("b", { big: 1n })];
  const reader = ReadableStream.from(events).pipeThrough(new EventEncoderStream()).getReader();
  const first = await reader.read();
  assertEquals(first.value && textOf(first.value), '{"event":"a","__dict__":{}}\n');
  await assertRejects(() => reader.read(), TypeError, '"big"');
});

Deno.test("EventEncoderStream encodes an event as it is when it is written", async () => {
  const encoder = new EventEncoderStream<OpenEvents>();
  const writer = encoder.writable.getWriter();
  const reader = encoder.readable.getReader();
  const event: EbsocketEvent = new EbsocketEvent("a", { count: 1 });
  const read = reader.read();
  await writer.write(event);
  event.__dict__.count = 2;
  const { value } = await read;
  assertEquals(value && textOf(value), '{"event":"a","__dict__":{"count":1}}\n');
  await writer.close();
  await reader.cancel();
});

Deno.test("EventDecoderStream gives back what EventEncoderStream wrote, however it is cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyEvent, { maxLength: 6 }), cutFractions, async (events, cuts) => {
      const lines = await Array.fromAsync(
        ReadableStream.from(events).pipeThrough(new EventEncoderStream()),
      );
      const decoded = await decode(cutInto(concat(lines), cuts));
      assertEquals(decoded, { events: events.map(show), error: null });
    }),
    { numRuns: fuzzRuns(300) },
  );
});

Deno.test("EventDecoderStream ends any stream in events or in one error of its own", async () => {
  const codes = ["bad-utf8", "bad-json", "too-deep", "bad-event", "line-too-long", "truncated"];
  await fc.assert(
    fc.asyncProperty(stream, cutFractions, async (bytes, cuts) => {
      const options = { maxLineBytes: 200, maxDepth: 8 };
      const { events, error } = await decode(cutInto(bytes, cuts), options);
      const code = codeOf(error);
      assertEquals(code === null || codes.includes(code), true);
      const whole = await decode([bytes], options);
      assertEquals([events, code], [whole.events, codeOf(whole.error)]);
    }),
    { numRuns: fuzzRuns(300) },
  );
});
