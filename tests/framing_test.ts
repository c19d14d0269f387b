import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { concat } from "@std/bytes/concat";
import fc from "fast-check";
import { EbsocketError, EventFormatError, FramingError } from "../errors.ts";
import { EbsocketEvent, type OpenEvents } from "../protocol/event.ts";
import { EventDecoderStream, EventEncoderStream } from "../framing.ts";
import { bytewise, raw, textOf, utf8 } from "./support/bytes.ts";
import {
  cutFractions,
  cutInto,
  event as anyEvent,
  fuzzRuns,
  show,
  stream,
} from "./support/lines.ts";
import { turn } from "./support/turns.ts";

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

Deno.test("EventDecoderStream emits events, without control lines and empty lines", async () => {
  const bytes = utf8(
    '\ufeff\n{"event":"a"}\r\n\r\n{"control":"ping"}\n{"__dict__":{"b":1},"event":"é"}\n\n',
  );
  const expected = { events: ['["a",{}]', '["é",{"b":1}]'], error: null };
  assertEquals(await decode([bytes]), expected);
  assertEquals(await decode(bytewise(bytes)), expected);
  assertEquals(await decode([]), { events: [], error: null });
});

Deno.test("EventDecoderStream emits EbsocketEvents without a connection", async () => {
  const stream = source([utf8('{"event":"a","__dict__":{"b":1}}\n')])
    .pipeThrough(new EventDecoderStream());
  const [event] = await Array.fromAsync(stream);
  assertInstanceOf(event, EbsocketEvent);
  assertEquals(event?.getAttribute("b"), 1);
  assertStrictEquals(event?.fromConnection, null);
});

Deno.test("EventDecoderStream emits the events before an invalid line, then fails", async () => {
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
      assertInstanceOf(error, EventFormatError);
      assertEquals(codeOf(error), code);
    }
  }
});

Deno.test("EventDecoderStream emits the events before a line that is too long, then fails", async () => {
  for (const end of ["<0a>", "<>"]) {
    const bytes = raw(`{"event":"a"}<0a><20*30>${end}`);
    for (const chunks of [[bytes], bytewise(bytes)]) {
      const { events, error } = await decode(chunks, { maxLineBytes: 20 });
      assertEquals(events, ['["a",{}]']);
      assertInstanceOf(error, FramingError);
      assertEquals(codeOf(error), "line-too-long");
    }
  }
});

Deno.test("EventDecoderStream reports the first of several faults", async () => {
  const bytes = raw(`{"event":"a"}<0a>{}<0a><20*30><0a><ff><0a>`);
  for (const chunks of [[bytes], bytewise(bytes)]) {
    const { events, error } = await decode(chunks, { maxLineBytes: 20 });
    assertEquals(events, ['["a",{}]']);
    assertEquals(codeOf(error), "bad-event");
  }
});

Deno.test("EventDecoderStream emits the events before an unfinished line, then fails with truncated", async () => {
  for (const end of ['{"event":"b"}', "{", "\r", "\ufeff", " "]) {
    const bytes = utf8(`{"event":"a"}\n${end}`);
    for (const chunks of [[bytes], bytewise(bytes)]) {
      const { events, error } = await decode(chunks);
      assertEquals(events, ['["a",{}]']);
      assertInstanceOf(error, FramingError);
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

Deno.test("EventDecoderStream has the options maxLineBytes and maxDepth", async () => {
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

Deno.test("EventDecoderStream cancels its source when its reader cancels before the first read", async () => {
  const { state, stream } = silentSource("");
  await stream.pipeThrough(new EventDecoderStream()).cancel();
  await turn();
  assert(state.cancelled);
});

Deno.test("EventDecoderStream cancels its source when its reader cancels", async () => {
  const { state, stream } = silentSource('{"event":"a"}\n{"event":"b"}\n');
  for await (const event of stream.pipeThrough(new EventDecoderStream())) {
    assertEquals(event.event, "a");
    break;
  }
  await turn();
  assert(state.cancelled);
});

Deno.test("EventDecoderStream cancels its source while its reader waits for an event", async () => {
  const { state, stream } = silentSource('{"event":"a"}\n');
  const reader = stream.pipeThrough(new EventDecoderStream()).getReader();
  assertEquals((await reader.read()).value?.event, "a");
  const waiting = reader.read();
  await turn();
  // Not awaited: the test is about a cancel that would never be done.
  reader.cancel();
  assert((await waiting).done);
  await turn();
  assert(state.cancelled);
});

Deno.test("EventDecoderStream pulls from a fast source no more than a slow reader uses", async () => {
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
    assertLessOrEqual(pulls, read + 5, `${pulls} chunks for ${read + 1} events`);
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

Deno.test("EventDecoderStream reads the bytes of EventEncoderStream, cut anywhere", async () => {
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
      assert(code === null || codes.includes(code));
      const whole = await decode([bytes], options);
      assertEquals(events, whole.events);
      assertEquals(code, codeOf(whole.error));
    }),
    { numRuns: fuzzRuns(300) },
  );
});
