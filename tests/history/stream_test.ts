// The parts of a cluster's log: its messages, and the way into the stream and out of it.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { textOf } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { MemoryStream } from "../support/memory_stream.ts";
import { pause, until } from "../support/waiting.ts";
import { BlockCursor } from "../../history/block_cursor.ts";
import { checkHistoryOptions } from "../../history/options.ts";
import { MAX_HEAD_BYTES, type Unkept } from "../../history/outgoing_block.ts";
import type { ProducerNotes } from "../../history/producer_table.ts";
import { StreamFollower } from "../../history/stream_follower.ts";
import {
  decodeStreamMessage,
  encodeEpoch,
  encodeStreamBlock,
  encodeValues,
  endOf,
  offsetOf,
  seqOf,
  withCommon,
} from "../../history/stream_format.ts";
import { StreamLog } from "../../history/stream_log.ts";
import {
  StreamError,
  type StreamFailure,
  type StreamInfo,
  type StreamPort,
} from "../../history/stream_port.ts";
import { settingsOf, weaknessesOf } from "../../history/stream_settings.ts";
import { StreamWriter } from "../../history/stream_writer.ts";

const encoder = new TextEncoder();

function message(writer: string, data: Uint8Array) {
  return { writer, seq: 1, at: 0, stamp: "0", data: new Uint8Array(data) };
}

Deno.test("Offsets of a message end with the last one of its sequence number", () => {
  assertEquals([offsetOf(1, 1, 0), offsetOf(1, 4096, 0), offsetOf(1, 4096, 4095)], [
    8191,
    4096,
    8191,
  ]);
  assertEquals([endOf(0), endOf(7), seqOf(endOf(7)), seqOf(endOf(7) + 1)], [4095, 32767, 7, 8]);
});

Deno.test("Blocks and epochs survive their encoding", () => {
  const head = {
    number: 17,
    events: 2,
    mark: 3,
    queues: [[1, "q", "rA"]] as const,
    asks: [[0, 12]] as const,
  };
  const line = encoder.encode('{"event":"a"}\n');
  const block = decodeStreamMessage(message("rA", encodeStreamBlock(head, [line, line])));
  assertObjectMatch(block!, { kind: "block", head });
  assertEquals(block?.kind === "block" && textOf(block.lines), '{"event":"a"}\n{"event":"a"}\n');
  const before = [{ epoch: "e1", offset: 8191 }];
  const epoch = decodeStreamMessage(message("epoch", encodeEpoch("e2", before, "s")));
  assertEquals(epoch, { kind: "epoch", epoch: "e2", before, server: "s" });
});

Deno.test("Repeated last events survive their encoding, and nothing else counts as one", () => {
  const values = [7, 123_456].map((offset) => ({
    name: `a.${offset}`,
    offset,
    line: encoder.encode(`{"event":"a.${offset}","__dict__":{}}\n`),
    sender: 0,
  }));
  const data = encodeValues(values);
  assertEquals(decodeStreamMessage(message("values", data)), { kind: "values", values });
  const bad = ['{"event":"a"}', '{"event":"a","offset":1}', '{"offset":1.5,"event":"a"}'];
  for (const line of [...bad, '{"offset":1,"to":"c","event":"a"}', '{"control":"a"}']) {
    const text = `{"control":"values","events":1}\n${line}\n`;
    assertStrictEquals(decodeStreamMessage(message("values", encoder.encode(text))), null, line);
  }
});

Deno.test("A message that is not as it should be is none", () => {
  const bad = [
    ["rA", ""],
    ["rA", '{"control":"block","number":1,"events":1}'],
    ["rA", '{"control":"block","number":-1,"events":0}\n'],
    ["rA", '{"control":"block","number":1,"events":4097}\n' + '{"event":"a"}\n'.repeat(4097)],
    ["rA", '{"control":"block","number":1,"events":1}\n{"event":"a"}'],
    ["rA", '{"control":"block","number":1,"events":1}\n\n'],
    ["rA", '{"control":"block","number":1,"events":1}\n{"control":"a"}\n'],
    ["rA", '{"control":"block","number":1,"events":1}\n{"event":"a","id":"x"}\n'],
    ["rA", '{"control":"block","number":1,"events":1}\n{"event":"a","offset":1}\n'],
    ["rA", '{"control":"block","number":1,"events":1,"asks":[[1,1]]}\n{"event":"a"}\n'],
    ["rA", '{"control":"block","number":1,"events":1,"queues":[[0,"q"]]}\n{"event":"a"}\n'],
    ["rA", '{"control":"epoch","epoch":"a","before":[]}\n'],
    ["epoch", '{"control":"block","number":1,"events":0}\n'],
    ["epoch", '{"control":"epoch","epoch":"","before":[]}\n'],
    ["epoch", '{"control":"epoch","epoch":"a","before":[{"epoch":"b"}]}\n'],
  ];
  for (const [writer, text] of bad) {
    assertStrictEquals(decodeStreamMessage(message(writer!, encoder.encode(text))), null, text);
  }
});

Deno.test("withCommon() keeps what earlier epochs have in common with all after them", () => {
  const before = [{ epoch: "a", offset: 10 }, { epoch: "b", offset: 30 }];
  assertEquals(withCommon(before, { epoch: "c", offset: 20 }), [
    { epoch: "a", offset: 10 },
    { epoch: "b", offset: 20 },
    { epoch: "c", offset: 20 },
  ]);
});

Deno.test("settingsOf() leaves room for events until the relays have read them", () => {
  const few = checkHistoryOptions({ keepAge: 1, keepBytes: 65_536, keepCount: 1 }, true);
  assertEquals(settingsOf(few), { maxAge: 1000, maxBytes: 8_388_608, maxMessages: 256 });
  const more = checkHistoryOptions({ keepAge: 1001, keepBytes: 8_388_609, keepCount: 257 }, true);
  assertEquals(settingsOf(more), { maxAge: 1001, maxBytes: 8_388_609, maxMessages: 257 });
});

Deno.test("weaknessesOf() names each way in which a stream keeps less", () => {
  const rules = checkHistoryOptions({ keepAge: 1000 }, true);
  const info: StreamInfo = {
    ...settingsOf(rules),
    created: "",
    first: 1,
    last: 0,
    messages: 0,
    bytes: 0,
    replicas: 1,
    isClustered: false,
    isInMemory: false,
    fault: null,
  };
  assertEquals(weaknessesOf(info, rules), []);
  assertEquals(weaknessesOf({ ...info, maxAge: 2000, isClustered: true, replicas: 3 }, rules), []);
  assertEquals(weaknessesOf({ ...info, isClustered: true, isInMemory: true }, rules).length, 2);
  assertEquals(weaknessesOf({ ...info, maxAge: 10, maxBytes: 10, maxMessages: 1 }, rules), [
    "it keeps events for 10 ms, this relay asks for events for 1000 ms",
    "it keeps 10 bytes, this relay asks for 1073741824 bytes",
    "it keeps 1 messages, this relay asks for no such limit",
  ]);
});

/** A relay's way into a stream that notes what becomes of it. */
function writerTo(stream: MemoryStream) {
  const port = stream.port();
  const stored = () =>
    stream.messages.map(({ data }) => [...textOf(data).matchAll(/e(\d+)"/g)].map(([, i]) => i));
  return { port, stored, ...writerOver(port) };
}

function writerOver(port: Pick<StreamPort, "publish" | "maxMessageBytes">) {
  const events: string[] = [];
  const writer = new StreamWriter<Unkept>(port, "rA", {
    mark: () => undefined,
    onDoubt: () => void events.push("doubt"),
    onRefused: (fault) => void events.push(`refused: ${fault}`),
    onAccepted: () => void events.push("accepted"),
  });
  const add = (i: number) =>
    writer.add({ lines: encoder.encode(`{"event":"e${i}"}\n`), events: 1 });
  return { writer, events, add };
}

Deno.test("StreamWriter puts events that come meanwhile into the next block", async () => {
  const stream = new MemoryStream();
  await stream.port().create(stream.settings);
  const { writer, add, stored } = writerTo(stream);
  add(1);
  writer.start(0, 0, true);
  add(2);
  await until(() => stream.messages.length === 1);
  add(3);
  add(4);
  await until(() => stream.messages.length === 2);
  assertEquals(stored(), [["1", "2"], ["3", "4"]]);
  assertEquals(writer.returned(2), null);
  assertEquals(writer.returned(1)?.length, 2);
  assertEquals(writer.isDone, false);
  assertEquals(writer.returned(2)?.length, 2);
  assertEquals(writer.isDone, true);
  await pause(5); // until the last answer has arrived
  writer.close();
  await pause(5); // until the last answer has arrived
});

Deno.test("StreamWriter does not store twice what it has to ask about", async () => {
  const stream = new MemoryStream();
  await stream.port().create(stream.settings);
  const { port, writer, events, add, stored } = writerTo(stream);
  writer.start(0, 0, true);
  port.losesAnswers = true;
  add(1);
  await until(() => events.length === 1);
  port.losesAnswers = false;
  assertEquals(writer.start(1, 1, true).entries, []);
  add(2);
  await until(() => stream.messages.length === 2);
  assertEquals(stored(), [["1"], ["2"]]);
  assertEquals(events, ["doubt"]);
  await pause(5); // until the last answer has arrived
  writer.close();
  await pause(5); // until the last answer has arrived
});

Deno.test("StreamWriter stores again what the stream has lost, and gives up what nobody knows", async () => {
  const stream = new MemoryStream();
  await stream.port().create(stream.settings);
  const { port, writer, events, add, stored } = writerTo(stream);
  writer.start(0, 0, true);
  add(1);
  await until(() => stream.messages.length === 1);
  writer.pause();
  stream.lose(0);
  port.mend();
  assertEquals(writer.start(0, 0, true).entries, []);
  await until(() => stream.messages.length === 1);
  assertEquals(stored(), [["1"]]);
  port.losesAnswers = true;
  add(2);
  await until(() => events.length === 1);
  port.losesAnswers = false;
  stream.messages = [];
  assertEquals(writer.start(0, 0, false).entries.length, 2); // Neither has come back.
  add(3);
  await until(() => stream.messages.length === 1);
  assertEquals(stored(), [["3"]]);
  await pause(5); // until the last answer has arrived
  writer.close();
  await pause(5); // until the last answer has arrived
});

Deno.test("StreamWriter stores what never was in the stream, though its last block was dropped", async () => {
  const stream = new MemoryStream();
  await stream.port().create(stream.settings);
  const { writer, events, add, stored } = writerTo(stream);
  writer.start(0, 0, true);
  add(1);
  await until(() => stream.messages.length === 1);
  writer.returned(1);
  stream.drop(2);
  add(2); // The stream expects the first block of this writer.
  await until(() => events.length === 1);
  assertEquals(writer.start(0, 0, false).entries, []);
  await until(() => stream.messages.length === 1);
  assertEquals([stored(), events], [[["2"]], ["doubt"]]);
  await pause(5); // until the last answer has arrived
  writer.close();
});

Deno.test("StreamWriter gives up what an earlier attempt may have stored too late", async () => {
  const failures: StreamFailure[] = ["lost", "conflict"];
  const port = {
    maxMessageBytes: 1_000_000,
    publish: () => Promise.reject(new StreamError(failures.shift()!, "no")),
  };
  const { writer, events, add } = writerOver(port);
  writer.start(0, 0, true);
  add(1);
  await until(() => events.length === 1);
  assertEquals(writer.start(0, 0, true).entries, []); // It is not there yet.
  await until(() => events.length === 2);
  assertEquals(writer.start(0, 0, false).entries.length, 1); // Something was dropped, perhaps this one.
  assertEquals([writer.isDone, failures], [true, []]);
  writer.close();
});

/** Opens the log of a stream that has only messages from before, each with one event. */
async function openLog(sizes: readonly number[]) {
  const stream = new MemoryStream();
  stream.exists = true;
  for (const [i, size] of sizes.entries()) {
    const line = encoder.encode(`{"event":"n","i":"${"x".repeat(size)}"}\n`);
    stream.add("rA", encodeStreamBlock({ number: i + 1, events: 1 }, [line]));
  }
  const port = stream.port();
  const gets = { all: 0, present: 0, most: 0 };
  const log = new StreamLog({
    info: () => port.info(),
    next: (seq) => port.next(seq),
    async get(seq) {
      gets.all++;
      gets.most = Math.max(gets.most, ++gets.present);
      const message = await port.get(seq);
      gets.present--;
      return message;
    },
  });
  log.reset(stream.last + 1);
  log.note((await port.info())!);
  return { log, gets, stream };
}

Deno.test("StreamLog gets few messages at a time, however many readers it has", async () => {
  const { log, gets } = await openLog(Array(640).fill(10));
  const places = Array.from({ length: 40 }, (_, i) => endOf(16 * i + 1));
  const blocks = await Promise.all(places.map((offset) => log.read(offset)));
  for (const [i, { first, last }] of blocks.entries()) {
    assertEquals(first <= places[i]! && places[i]! <= last, true);
  }
  assertEquals(gets.most, 16);
});

Deno.test("StreamLog reads parts of 512 KiB at most, and each message once in both directions", async () => {
  const sizes = [...Array(50).fill(10), 900_000, ...Array(40).fill(100_000), 300_000, 300_000];
  for (const isForward of [true, false]) {
    const { log, gets } = await openLog(sizes);
    const { first, head } = log;
    let events = 0;
    for (let at = isForward ? first : head; first <= at && at <= head;) {
      const block = await log.read(at);
      assertEquals(block.size < 524_288 || block.count === 1, true, `${block.size} bytes`);
      assertEquals(isForward ? block.first : block.last, at);
      events += block.count;
      at = isForward ? block.last + 1 : block.first - 1;
    }
    assertEquals([events, gets.all <= 1.5 * sizes.length], [sizes.length, true]);
  }
});

Deno.test("StreamLog reads a part once for all who need one of its messages", async () => {
  const { log, gets } = await openLog(Array(100).fill(10));
  const [one, ...others] = await Promise.all([40, 33, 63, 50].map((seq) => log.read(endOf(seq))));
  assertEquals([one!.count, others.map((each) => each === one), gets.all], [
    32,
    [true, true, true],
    32,
  ]);
});

Deno.test("StreamLog leaves out the messages alone that were deleted in the middle", async () => {
  const { log, stream } = await openLog(Array(200).fill(10));
  stream.drop(3);
  const deleted = [40, 41, 70, ...Array.from({ length: 50 }, (_, i) => 100 + i)];
  for (const seq of deleted) stream.remove(seq);
  const cursor = new BlockCursor(log);
  const seen: number[] = [];
  const gaps: number[][] = [];
  for (let at = log.first; at <= log.head;) {
    const found = cursor.at(at);
    if (found instanceof Promise) await found;
    else if (typeof found === "number") {
      gaps.push([seqOf(at), seqOf(found)]);
      at = found + 1;
    } else {
      for (let i = found.lineFrom(at); i < found.count; i++) seen.push(seqOf(found.offsetOf(i)));
      at = found.last + 1;
    }
  }
  assertEquals(gaps, [[1, 2], [40, 41], [70, 70], [100, 149]]);
  assertEquals(log.first, 3 * 4096);
  assertEquals(
    seen,
    Array.from({ length: 200 }, (_, i) => i + 1).slice(2).filter((seq) => !deleted.includes(seq)),
  );
});

Deno.test("StreamLog finds a time among messages of which some were deleted", async () => {
  const { log, stream } = await openLog(Array(200).fill(10));
  const now = Date.now();
  stream.messages = stream.messages.map((each) => ({
    ...each,
    at: now + 60_000 * (each.seq - 1000),
  }));
  stream.drop(3);
  for (let seq = 60; seq < 140; seq++) stream.remove(seq);
  const find = async (seq: number) => {
    const age = 60_000 * (1000 - seq) + 30_000; // between the one before and this one
    return seqOf(await log.since(performance.now() - age));
  };
  const found: number[] = [];
  for (const seq of [1, 10, 59, 60, 100, 140, 141, 200]) found.push(await find(seq));
  assertEquals(found, [3, 10, 59, 60, 60, 60, 141, 200]);
});

Deno.test("StreamLog asks about the stream once for all who come meanwhile, and after they have come", async () => {
  const { stream } = await openLog(Array(100).fill(10));
  const port = stream.port();
  const requests: PromiseWithResolvers<StreamInfo | null>[] = [];
  const log = new StreamLog({
    get: (seq) => port.get(seq),
    next: (seq) => port.next(seq),
    info() {
      requests.push(Promise.withResolvers());
      return requests.at(-1)!.promise;
    },
  });
  const info = (await port.info())!;
  log.setEpoch("e", []);
  log.reset(101);
  log.note(info);
  const many = (position: { epoch?: string; offset: number }) => {
    return Promise.all(Array.from({ length: 1000 }, () => log.look(position)));
  };
  const early = many({ offset: 5000 });
  await pause(0);
  const late = many({ offset: 5000 });
  await pause(0);
  assertEquals(requests.length, 1);
  requests[0]!.resolve({ ...info, first: 2 });
  await early;
  assertEquals(log.first, 2 * 4096);
  await until(() => requests.length === 2);
  requests[1]!.resolve({ ...info, first: 3 });
  await late;
  assertEquals(log.first, 3 * 4096);
  const failing = assertRejects(() => many({ offset: 5000 }), StreamError);
  await until(() => requests.length === 3);
  requests[2]!.reject(new StreamError("lost", "no answer"));
  await failing;
  const others = many({ epoch: "unknown", offset: 5000 });
  for (const i of [3, 4]) { // It asks again once the log has what the stream had.
    await until(() => requests.length === i + 1);
    requests[i]!.resolve({ ...info, first: i + 1 });
  }
  await others;
  assertEquals([log.first, requests.length], [5 * 4096, 5]);
});

Deno.test("StreamLog that is closed gets no messages that wait for their turn", async () => {
  const { log, gets } = await openLog(Array(640).fill(10));
  const reads = Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => log.read(endOf(32 * i + 1))),
  );
  await log.close();
  await reads;
  assertEquals(gets.all, 16);
});

const fromEnd = ({ last }: StreamInfo) => Promise.resolve(last);

Deno.test("StreamFollower that comes to others takes their epoch, and alone begins one that goes on", async () => {
  const stream = new MemoryStream();
  const open = async (id: string, isFirst: boolean) => {
    const log = new StreamLog(stream.port());
    const follower = new StreamFollower(stream.port(), log, id, stream.settings, {
      onMessage: () => follower.taken(1),
      onRewind() {},
      onAgreed() {},
      onPause() {},
      isWaiting: () => false,
      onEpoch() {},
      onRefused() {},
      onAway() {},
    });
    await follower.open(isFirst, fromEnd);
    await follower.close();
    await pause(5); // until the last messages have arrived
    return log;
  };
  const one = await open("rA", true);
  const two = await open("rB", false);
  assertEquals([two.epoch, stream.last], [one.epoch, 1]);
  const three = await open("rC", true);
  assertEquals(three.epoch === one.epoch, false);
  assertEquals(three.throughOf(one.epoch), endOf(1));
  assertEquals(three.throughOf("unknown"), undefined);
});

Deno.test("StreamWriter lets senders go on when it gives up what they have sent", async () => {
  const port = { maxMessageBytes: 1_000_000, publish: () => new Promise<number>(() => {}) };
  const sink = { mark: () => undefined, onDoubt() {}, onRefused() {}, onAccepted() {} };
  const writer = new StreamWriter<Unkept>(port, "r", sink);
  writer.start(0, 0, true);
  writer.add({ lines: new Uint8Array(9_000_000), events: 1 });
  await pause(0); // until it is asked for
  assert(writer.isFull);
  const room = writer.whenRoom();
  assertEquals(writer.start(0, 0, false).entries.length, 1);
  await room;
  writer.close();
});

for (const [failure, patience] of [["refused", 5000], ["absent", 30_000]] as const) {
  Deno.test(`StreamWriter gives up what was "${failure}" for ${patience} ms, and not before`, async () => {
    using clock = new Clock(0);
    let attempts = 0;
    let stored = 0;
    let isRefused = true;
    const port = {
      maxMessageBytes: 1_000_000,
      publish(): Promise<number> {
        attempts++;
        return isRefused
          ? Promise.reject(new StreamError(failure, "not now"))
          : Promise.resolve(++stored);
      },
    };
    const { writer, events, add } = writerOver(port);
    const isTried = (before = attempts) => until(() => attempts >= before + 2); // And one is over.
    writer.start(0, 0, true);
    add(1);
    await isTried();
    clock.advance(patience - 1);
    await isTried();
    isRefused = false;
    await until(() => stored === 1);
    writer.returned(1);
    isRefused = true;
    add(2);
    await isTried();
    clock.advance(patience - 1);
    await isTried();
    assertEquals([events, writer.isBroken], [[], false]); // Some were taken in between.
    clock.advance(2);
    await until(() => writer.isBroken);
    assertEquals(events, ["refused: not now"]);
    assertEquals(writer.takeBack().length, 1);
    isRefused = false;
    await until(() => !writer.isBroken);
    assertEquals(events, ["refused: not now", "accepted"]);
    writer.close();
  });
}

Deno.test("StreamWriter that is refused often leaves no timer behind", async () => {
  let attempts = 0;
  const port = {
    maxMessageBytes: 1_000_000,
    publish: () => Promise.reject(new StreamError("refused", `${++attempts}`)),
  };
  const { writer, add } = writerOver(port);
  writer.start(0, 0, true);
  for (let i = 1; i <= 5; i++) {
    add(i);
    await until(() => attempts >= i);
  }
  writer.close();
});

Deno.test("StreamWriter has patience anew with a stream that could not be reached meanwhile", () => {
  using clock = new Clock(0);
  const { writer, events } = writerTo(new MemoryStream());
  for (let i = 0; i < 3; i++) {
    writer.noteRefusal("not now", true);
    clock.advance(29_999);
    writer.noteRefusal("not now", true);
    writer.noteAway();
  }
  assertEquals(events, []);
  writer.close();
});

Deno.test("StreamWriter has patience with a refusal after servers were absent for a while", () => {
  using clock = new Clock(0);
  const { writer, events } = writerTo(new MemoryStream());
  writer.noteRefusal("absent", true);
  clock.advance(10_000);
  writer.noteRefusal("refused", false);
  clock.advance(4999);
  writer.noteRefusal("refused", false);
  assertEquals(events, []);
  clock.advance(2);
  writer.noteRefusal("refused", false);
  assertEquals(events, ["refused: refused"]);
  writer.close();
});

Deno.test("StreamWriter gives up nothing that the stream may have", async () => {
  using clock = new Clock(0);
  const stream = new MemoryStream();
  await stream.port().create(stream.settings);
  const { port, writer, events, add } = writerTo(stream);
  writer.start(0, 0, true);
  port.losesAnswers = true;
  add(1);
  await until(() => events.length === 1);
  writer.noteRefusal("not now", true);
  clock.advance(60_000);
  writer.noteRefusal("not now", true);
  assertEquals([events, writer.isBroken], [["doubt"], false]);
  writer.close();
});

Deno.test("StreamWriter makes blocks that NATS takes", async () => {
  const sizes: number[] = [];
  const port = {
    maxMessageBytes: 50_000,
    publish: (_: string, { length }: Uint8Array) => Promise.resolve(sizes.push(length)),
  };
  const sink = { mark: () => undefined, onDoubt() {}, onRefused() {}, onAccepted() {} };
  const writer = new StreamWriter<Unkept>(port, "r", sink);
  for (let i = 0; i < 100; i++) writer.add({ lines: new Uint8Array(10_000), events: 1 });
  writer.start(0, 0, true);
  await until(() => sizes.length === 25);
  assert(sizes.every((size) => size <= 50_000));
  writer.close();
});

/** What the messages of a stream say of producers, in their order. */
function notesIn({ messages }: MemoryStream): ProducerNotes[] {
  return messages.map(({ data }) => {
    const { disowns, claims, counts, releases } = JSON.parse(textOf(data).split("\n")[0]!);
    return { disowns, claims, counts, releases };
  });
}

Deno.test("StreamWriter spreads what it says of many producers over blocks that NATS takes", async () => {
  const stream = new MemoryStream();
  stream.exists = true;
  const { writer } = writerTo(stream);
  const producers = Array.from({ length: 500 }, (_, i) => ({
    id: `"${i}"`.padEnd(32, '"'),
    faulted: 0,
  }));
  for (const producer of producers) {
    writer.claim(producer.id, 1);
    writer.release(producer.id, 1, 2, 0, 1);
    writer.add({ lines: encoder.encode('{"event":"e"}\n'), events: 1, producer, taken: 2 });
    writer.add({ lines: encoder.encode('{"event":"e"}\n'), events: 1, producer, taken: 3 });
  }
  writer.start(0, 0, true);
  const countOf = (key: "claims" | "counts" | "releases") =>
    notesIn(stream).reduce((sum, notes) => sum + (notes[key]?.length ?? 0), 0);
  await until(() => countOf("claims") + countOf("releases") === 1000 && countOf("counts") >= 500);
  await until(() => stream.messages.every((message) => decodeStreamMessage(message)));
  for (const { data } of stream.messages) assert(data.indexOf(0x0a) <= MAX_HEAD_BYTES);
  const last = new Map(
    notesIn(stream).flatMap(({ counts }) => counts ?? []).map(([id, n]) => [id, n]),
  );
  assertEquals([last.size, new Set(last.values())], [500, new Set([3])]);
  writer.close();
  await pause(10);
});

Deno.test("StreamWriter says nothing more of producers that are lost, and keeps the other events", async () => {
  const stream = new MemoryStream();
  stream.exists = true;
  const { writer, stored, add } = writerTo(stream);
  const producer = { id: "p", faulted: 0 };
  const lines = encoder.encode('{"event":"e9"}\n');
  writer.claim("p", 1);
  writer.add({ lines, events: 1, producer, taken: 1 });
  add(1);
  const dropped = writer.disown();
  assertEquals(dropped.map(({ taken }) => taken), [1]);
  writer.claim("q", 1);
  writer.start(0, 0, true);
  await until(() => stream.messages.length === 1);
  assertEquals(stored(), [["1"]]);
  assertEquals(JSON.stringify(notesIn(stream)), '[{"disowns":true,"claims":[["q",1]]}]');
  writer.close();
  await pause(10);
});

Deno.test("StreamWriter that takes events back still releases producers, and claims none", async () => {
  const stream = new MemoryStream();
  stream.exists = true;
  stream.refusal = "it is full";
  const { writer, add } = writerTo(stream);
  writer.claim("p", 1);
  writer.release("q", 1, 4, 0, 1);
  writer.start(0, 0, true);
  await pause(10);
  add(1);
  assertEquals(writer.takeBack().length, 1);
  assert(!writer.isDone);
  stream.refusal = "";
  await until(() => stream.messages.length === 1);
  assertEquals(JSON.stringify(notesIn(stream)), '[{"releases":[["q",1,4,0,1]]}]');
  writer.close();
  await pause(10);
});

Deno.test("StreamFollower has few messages that are not dealt with, however many readers it needs", async () => {
  const stream = new MemoryStream();
  const port = stream.port();
  let messages = 0;
  let agreements = 0;
  const log = new StreamLog(port);
  const follower = new StreamFollower(port, log, "rA", stream.settings, {
    onMessage: () => void messages++,
    onRewind() {},
    onAgreed: () => void agreements++,
    onPause() {},
    isWaiting: () => false,
    onEpoch() {},
    onRefused() {},
    onAway() {},
  });
  await follower.open(true, fromEnd);
  for (let i = 0; i < 200; i++) stream.add("rB", encodeStreamBlock({ number: i, events: 0 }, []));
  await until(() => messages === 64);
  port.cut();
  port.mend();
  await until(() => agreements === 2); // Events of this relay go on.
  follower.doubt();
  await until(() => agreements === 3);
  follower.taken(63);
  await pause(20);
  assertStrictEquals(messages, 64);
  follower.taken(1);
  await until(() => messages === 128);
  follower.taken(64);
  await until(() => messages === 192);
  await follower.close();
});
