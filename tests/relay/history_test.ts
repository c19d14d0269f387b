// The history of a relay, with sockets, as other programs see it.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { EventStreamReader } from "../support/event_stream.ts";
import { TempFolder } from "../support/folder.ts";
import { Peer } from "../support/peer.ts";
import { join, newRelay } from "../support/relay.ts";
import { size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { WebPeer } from "../support/web_peer.ts";

type Line = Record<string, unknown>;

let lastId = 0;

/** Returns a relay that keeps events, once it lets clients in. */
async function keeping(
  history: RelayOptions["history"] = {},
  options: RelayOptions = {},
): Promise<Relay> {
  const relay = newRelay({ ...options, history: history! });
  await relay.ready;
  return relay;
}

/** Sends a control line. */
function control(peer: Peer, line: object): Promise<void> {
  return peer.send(`${JSON.stringify(line)}\n`);
}

/** Connects a client that asks for offsets. Its other members are those of its `hello`. */
async function joinWithOffsets(relay: Relay, hello: object = {}): Promise<Peer> {
  const peer = await join(relay);
  await control(peer, { control: "hello", version: 1, offsets: true, ...hello });
  await peer.sees('"welcome"');
  return peer;
}

/** All lines that have come. */
function linesOf(peer: Peer): Line[] {
  return peer.text.split("\n").slice(0, -1).filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** Sends a control line with an `id`, and waits for the answer. */
async function ask(peer: Peer, line: object, id = `ask-${++lastId}`): Promise<Line> {
  const find = () => linesOf(peer).find((line) => line.id === id && line.control !== undefined);
  await control(peer, { ...line, id });
  await until(() => find() !== undefined);
  return find()!;
}

/** Subscribes since a place. Returns the answer about the history. */
async function since(peer: Peer, events: string[], since: object, others = {}): Promise<Line> {
  const answer = await ask(peer, { control: "subscribe", events, since, ...others });
  return { id: answer.id, ...answer.history as Line };
}

/** Asks about the past, and waits for the end. Returns the offsets of the answer. */
async function past(peer: Peer, events: string[], since: object, others = {}): Promise<unknown[]> {
  const id = `past-${++lastId}`;
  await control(peer, { control: "subscribe", events, id, since, live: false, ...others });
  await peer.sees(`{"control":"end","id":"${id}"`);
  return linesOf(peer).filter((line) => line.past === id).map(({ offset }) => offset);
}

/** Lets a silent client read until a line fits. Returns all lines, without attributes. */
async function readUntil(peer: Peer, isLast: (line: Line) => boolean): Promise<Line[]> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1_000_000);
  const lines: Line[] = [];
  for (let rest = "", isDone = false; !isDone;) {
    const length = await peer.conn.read(buffer);
    if (length === null) throw new Error("the end");
    const parts = `${rest}${decoder.decode(buffer.subarray(0, length), { stream: true })}`.split(
      "\n",
    );
    rest = parts.pop()!;
    for (const part of parts) {
      const { __dict__: _, ...line } = JSON.parse(part);
      lines.push(line);
      isDone ||= isLast(line);
    }
  }
  return lines;
}

const isLive = ({ control }: Line) => control === "live";

const offsetsOf = (peer: Peer) =>
  linesOf(peer).filter(({ event }) => event).map(({ offset }) => offset);

/** Sends events with these names, and waits until the relay has taken them. */
async function publish(peer: Peer, ...names: string[]): Promise<void> {
  const id = `sent-${++lastId}`;
  const lines = names.map((name) => `{"event":"${name}"}\n`).join("");
  await peer.send(`${lines}{"event":"sent","to":"nobody","ack":"${id}"}\n`);
  await peer.sees(`"id":"${id}"`);
}

Deno.test("Relay writes the offsets of kept events for clients that ask, and for no other", async () => {
  await using relay = await keeping();
  await using plain = await join(relay);
  await using one = await joinWithOffsets(relay);
  await using two = await joinWithOffsets(relay, { sequence: true });
  await using narrow = await joinWithOffsets(relay);
  await ask(narrow, { control: "subscribe", events: ["b.*", "last"] });
  const events = [
    '{"event":"a"}',
    ' {"event":"b.1","__dict__":{"x":"{"}}',
    '{"event":"a","id":"r1"}',
    '{"event":"a","reply_to":"r1"}',
    '{"event":"a","to":"c2"}',
    '{"event":"a","ack":"e"}',
    '{"event":"last"}',
  ];
  await plain.send(events.map((line) => `${line}\n`).join(""));
  for (const peer of [plain, one, two, narrow]) await peer.sees("last");
  assertEquals(plain.text.split("\n").filter((line) => line.includes('"event"')), [
    events[0],
    events[1],
    events[3],
    events[5],
    events[6],
  ]);
  assertEquals(one.text.split("\n").slice(1, -1), [
    '{"offset":1,"event":"a"}',
    ' {"offset":2,"event":"b.1","__dict__":{"x":"{"}}',
    '{"from":"c1","event":"a","id":"r1"}',
    '{"event":"a","reply_to":"r1"}',
    '{"from":"c1","event":"a","to":"c2"}',
    '{"offset":3,"event":"a","ack":"e"}',
    '{"offset":4,"event":"last"}',
  ]);
  assertEquals(two.text.split("\n").slice(1, 4), [
    '{"seq":1,"offset":1,"event":"a"}',
    ' {"seq":2,"offset":2,"event":"b.1","__dict__":{"x":"{"}}',
    '{"seq":3,"from":"c1","event":"a","id":"r1"}',
  ]);
  assertEquals(offsetsOf(narrow), [2, 4]);
});

Deno.test("Relay writes what it keeps into a welcome, and keeps nothing else", async () => {
  await using relay = await keeping({ keep: ["chat.>"], keepLast: ["state.*"] });
  await using one = await joinWithOffsets(relay);
  await publish(one, "chat.a", "other", "state.x", "chat.b");
  await using two = await joinWithOffsets(relay);
  const [welcome] = linesOf(two);
  const epoch = relay.stats().history!.epoch;
  assert((welcome!.features as string[]).includes("history"));
  assertEquals(welcome!.history, { epoch, first: 1, offset: 3, kept: ["chat.>", "state.*"] });
  assertEquals(offsetsOf(one), [1, undefined, 2, 3]);
  assertEquals(await past(two, [">"], { first: true }), [1, 2, 3]);
  await using off = newRelay();
  await using three = await joinWithOffsets(off);
  await publish(three, "a");
  assertEquals(offsetsOf(three), [undefined]);
  assertEquals([linesOf(three)[0]!.history, off.stats().history], [undefined, undefined]);
});

Deno.test("Relay removes offsets and questions that clients have written", async () => {
  await using relay = await keeping();
  await using one = await joinWithOffsets(relay);
  await one.send('{"offset":7,"event":"a","past":"x"}\n{"event":"b","\\u006fffset":{"x":1}}\n');
  await one.sees('"b"');
  await using two = await joinWithOffsets(relay);
  await since(two, [">"], { first: true });
  await two.sees('"live"');
  for (const peer of [one, two]) {
    await peer.sees('{"offset":1,"event":"a"}\n{"offset":2,"event":"b"}\n');
  }
});

Deno.test("Relay sends a client what it has missed since a position, and then goes on", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  await publish(sender, "a", "b", "a", "c", "a");
  const { epoch } = relay.stats().history!;
  await using one = await joinWithOffsets(relay);
  const answer = await since(one, ["a", "c"], { epoch, offset: 2 });
  const { id } = answer;
  assertEquals(answer, { id, epoch, recovered: true, from: 2, to: 5 });
  await one.sees(`{"control":"live","id":"${id}","offset":5}\n`);
  await publish(sender, "b", "c");
  await one.sees('{"offset":7,"event":"c"}');
  assertEquals(offsetsOf(one), [3, 4, 5, 7]);
  const last = await since(one, ["b"], { epoch, offset: 7 });
  assertObjectMatch(last, { recovered: true, from: 7, to: 7 });
  await one.sees(`{"control":"live","id":"${last.id}","offset":7}\n`);
});

for (const echo of [true, false]) {
  Deno.test(`Relay sends the last events of names after it was started again, ${echo ? "with" : "without"} echo`, async () => {
    using temp = new TempFolder();
    const history = { folder: `${temp.path}/log`, keepLast: ["state.*"] };
    {
      await using relay = await keeping(history, { echo });
      await using sender = await join(relay);
      await publish(sender, "state.a", "other", "state.b", "state.a");
    }
    await using relay = await keeping(history, { echo });
    await using one = await joinWithOffsets(relay);
    await since(one, ["state.*"], { last: true });
    await one.sees('"live"');
    assertEquals(offsetsOf(one), [3, 4]);
  });
}

Deno.test("Relay sends a client without a hello what it has missed, without offsets", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  await publish(sender, "a", "b");
  await using one = await join(relay);
  await since(one, ["b", "c"], { first: true });
  await publish(sender, "c");
  await one.sees('{"event":"c"}\n');
  assertEquals(one.text.match(/^\{"event.*$/gm), ['{"event":"b"}', '{"event":"c"}']);
});

Deno.test("Relay tells why it cannot send all since a position, and sends what is left if that suffices", async () => {
  await using relay = await keeping({ keepCount: 3 });
  await using sender = await join(relay);
  await publish(sender, "a", "a", "a", "a", "a");
  const { epoch } = relay.stats().history!;
  const places: [place: object, reason: string | undefined, from: number][] = [
    [{ epoch: "other", offset: 4 }, "epoch", 5],
    [{ epoch, offset: 6 }, "ahead", 5],
    [{ epoch, offset: 1 }, "evicted", 5],
    [{ epoch, offset: 2 }, undefined, 2],
  ];
  for (const [place, reason, from] of places) {
    await using one = await joinWithOffsets(relay);
    const answer = await since(one, ["a"], place);
    assertEquals([answer.recovered, answer.reason, answer.from], [!reason, reason, from]);
    await one.sees('"live"');
    assertEquals(offsetsOf(one), reason ? [] : [3, 4, 5]);
    await using two = await joinWithOffsets(relay);
    const partial = await since(two, ["a"], place, { partial: true });
    assertEquals([partial.recovered, partial.reason, partial.from], [!reason, reason, 2]);
    await two.sees('"live"');
    assertEquals(offsetsOf(two), [3, 4, 5]);
    await using three = await joinWithOffsets(relay);
    assertEquals(await past(three, ["a"], place), reason ? [] : [3, 4, 5]);
  }
});

Deno.test("Relay sends the last events that match, all events, or those of the last minutes", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  for (let i = 0; i < 40; i++) {
    await publish(sender, ...Array.from({ length: 50 }, (_, k) => `n.${k % 10}`));
  }
  await using one = await joinWithOffsets(relay);
  assertEquals(await past(one, ["n.3", "n.9"], { count: 3 }), [1990, 1994, 2000]);
  assertEquals(await past(one, ["n.3"], { count: 2 }), [1984, 1994]);
  assertEquals(await past(one, ["n.*"], { count: 0 }), []);
  assertEquals((await past(one, ["n.0"], { count: 1000 })).length, 200);
  assertEquals(await past(one, ["none"], { count: 1 }), []);
  assertEquals((await past(one, [">"], { first: true })).length, 2000);
  assertEquals((await past(one, [">"], { age_ms: 600_000 })).length, 2000);
  const before = performance.now();
  await pause(50);
  await publish(sender, "young");
  const young = await past(one, [">"], { age_ms: performance.now() - before - 30 });
  assertEquals(young, [2001]);
  await using two = await joinWithOffsets(relay);
  const { from, to } = await since(two, ["n.3"], { count: 2 });
  assertEquals([from, to], [1983, 2001]);
  await two.sees('"live"');
  await publish(sender, "n.3", "n.4", "n.3");
  await two.sees('"offset":2004');
  assertEquals(offsetsOf(two), [1984, 1994, 2002, 2004]);
});

Deno.test("Relay sends the last event of each name, also of those that the log has dropped", async () => {
  await using relay = await keeping({ keepLast: ["state.>"], keepCount: 2 });
  await using sender = await join(relay);
  await publish(sender, "state.a", "state.b", "state.a", "other", "state.c", "other");
  await using one = await joinWithOffsets(relay);
  assertEquals(await past(one, ["state.*"], { last: true }), [2, 3, 5]);
  const { from, to } = await since(one, ["state.b", "state.c", "other"], { last: true });
  assertEquals([from, to], [6, 6]);
  await one.sees('"live"');
  await publish(sender, "state.a", "state.b", "other");
  await one.sees('"offset":9');
  assertEquals(offsetsOf(one), [2, 3, 5, 2, 5, 8, 9]);
  assertObjectMatch(relay.stats().history!, {
    first: 8,
    offset: 9,
    events: 2,
    evicted: 7,
    names: 3,
  });
});

Deno.test("Relay sends last events in their places among the events that a client has missed", async () => {
  await using relay = await keeping({ keepLast: ["s.*"] });
  await using sender = await join(relay);
  await publish(sender, "s.1", "a", "s.2", "a", "s.2", "a", "s.3");
  await using one = await joinWithOffsets(relay);
  await one.send(
    '{"control":"subscribe","events":["a","s.3"],"id":"x","since":{"first":true}}\n' +
      '{"control":"subscribe","events":["s.*"],"id":"y","since":{"last":true}}\n',
  );
  await one.sees('"live","id":"y"');
  // The first request has its answer at once, so only the second one is left.
  assertEquals(offsetsOf(one), [2, 4, 6, 7, 1, 5, 7]);
});

Deno.test("Relay refuses what it cannot do about its history", async () => {
  await using off = newRelay();
  await using stranger = await join(off);
  for (const live of [undefined, false]) {
    const line = { control: "subscribe", events: ["a"], since: { first: true }, live };
    assertObjectMatch(await ask(stranger, line), { control: "error", reason: "no-history" });
  }
  await using relay = await keeping();
  await using one = await join(relay);
  const long = { id: "x".repeat(65) };
  const wrong: [line: object, reason: string][] = [
    [{ events: ["a"], since: {} }, "bad-request"],
    [{ events: ["a"], since: { epoch: "e" } }, "bad-request"],
    [{ events: ["a"], since: { count: -1 } }, "bad-request"],
    [{ events: ["a"], since: { first: true }, queue: "q" }, "bad-request"],
    [{ events: "a", since: { first: true } }, "bad-request"],
    [{ events: [">.a"], since: { first: true } }, "bad-pattern"],
    [{ events: [">.a"], since: { first: true }, live: false }, "bad-pattern"],
    [{
      events: Array.from({ length: 1001 }, (_, i) => `${i}`),
      since: { first: true },
      live: false,
    }, "too-many-subscriptions"],
  ];
  for (const [line, reason] of wrong) {
    const answer = await ask(one, { control: "subscribe", ...line });
    assertObjectMatch(answer, { control: "error", reason }, JSON.stringify(line));
  }
  const past = { control: "subscribe", events: ["a"], since: { first: true }, live: false };
  assertObjectMatch(await ask(one, past, long.id), { control: "error", reason: "bad-request" });
  await control(one, { control: "subscribe", events: ["a"], since: { first: true } });
  await one.sees('"bad-request","detail":"\\"since\\" needs an \\"id\\""');
  await control(one, { control: "cancel", id: "unknown" });
  await one.send('{"event":"b","ack":"end"}\n');
  await one.sees('{"control":"ack","id":"end"');
});

Deno.test("Relay limits the answers and requests of one client, and ends an answer early", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  for (let i = 0; i < 10; i++) await sender.send(line.repeat(100));
  await until(() => relay.stats().history!.offset === 1000);
  const one = await join(relay, { silent: true });
  const question = (id: string) =>
    `{"control":"subscribe","events":["a"],"id":"${id}","since":{"first":true},"live":false}\n`;
  const request = (i: number) =>
    `{"control":"subscribe","events":["a"],"id":"s${i}","since":{"first":true}}\n`;
  await one.send(
    ["h1", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9"].map(question).join(""),
  );
  await one.send(Array.from({ length: 66 }, (_, i) => request(i)).join(""));
  await one.send('{"control":"cancel","id":"h3"}\n{"control":"cancel","id":"h3"}\n');
  await one.send('{"event":"done","ack":"done"}\n');
  await until(() => relay.stats().history!.offset === 1001);
  assertStrictEquals(relay.stats().history!.catchingUp, 1);
  assertLess(relay.clients[1]!.pendingBytes, 1_000_000);
  const missing = new Set<unknown>(["s63", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8"]);
  const lines = await readUntil(one, ({ control, id }) => {
    if (control === "live" || control === "end") missing.delete(id);
    return missing.size === 0;
  });
  const refused = lines.filter(({ control }) => control === "error").map(({ id }) => id);
  assertEquals(refused, ["h1", "h9", "s64", "s65"]);
  const ends = lines.filter(({ control }) => control === "end");
  assertEquals(ends.map(({ id }) => id).sort(), ["h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8"]);
  for (const { id, offset } of ends) {
    const found = lines.filter(({ past }) => past === id).map(({ offset }) => offset);
    assertEquals(found, Array.from(found, (_, i) => i + 1));
    if (id === "h3") assertLess(found.length, 1000);
    else assertEquals([found.length, offset], [1000, 1000]);
    assertStrictEquals(offset, found.length);
  }
  const { catchingUp } = relay.stats().history!;
  assertStrictEquals(catchingUp, 0);
  one.close();
});

Deno.test("Relay tells a slow client which events were dropped before it has received them", async () => {
  await using relay = await keeping({ keepBytes: 16_000_000 });
  await using sender = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  // More than the system buffers for a client that does not read.
  for (let i = 0; i < 15; i++) await sender.send(line.repeat(100));
  await until(() => relay.stats().history!.offset === 1500);
  const slow = await join(relay, { silent: true });
  await slow.send(
    '{"control":"hello","offsets":true}\n' +
      '{"control":"subscribe","events":["a"],"id":"s","since":{"first":true}}\n' +
      '{"control":"subscribe","events":["a"],"id":"h","since":{"first":true},"live":false}\n',
  );
  await until(() => relay.stats().history!.catchingUp === 1);
  for (let i = 0; i < 40; i++) await sender.send(line.repeat(100));
  await until(() => relay.stats().history!.offset === 5500);
  assertStrictEquals(relay.stats().history!.catchingUp, 1);
  assertLess(relay.clients[1]!.pendingBytes, 500_000);
  let isHalf = false;
  const isEnd = ({ control }: Line) => {
    if (control !== "live" && control !== "end") return false;
    return isHalf || !(isHalf = true);
  };
  const lines = await readUntil(slow, isEnd);
  slow.close();
  for (const id of [undefined, "h"]) {
    const ack = lines.find((line) => line.control === "ack" && line.id === (id ?? "s"))!;
    const { from: start, to: end } = ack.history as { from: number; to: number };
    let at = start;
    let gaps = 0;
    for (const { control, id: of, event, past, offset, from, to, reason } of lines) {
      if (control === "gap" && of === id) {
        assertEquals([from, reason], [at + 1, "evicted"]);
        at = to as number;
        gaps++;
      }
      if (event === undefined || past !== id) continue;
      assertStrictEquals(offset, ++at);
    }
    assertStrictEquals(at, id === undefined ? 5500 : end);
    if (id === undefined) assertGreater(gaps, 0);
  }
});

const COMING_BACK = size(200, 1000);

Deno.test(`Relay serves ${COMING_BACK} clients that come back at once`, async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  const { epoch } = relay.stats().history!;
  const block = (i: number) =>
    Array.from({ length: 1000 }, (_, k) => `{"event":"n.${(1000 * i + k) % 7}"}\n`).join("");
  for (let i = 0; i < 20; i++) await sender.send(block(i));
  await until(() => relay.stats().history!.offset === 20_000);
  const clients = await Promise.all(
    Array.from({ length: COMING_BACK }, () => Peer.connect(relay.server.address)),
  );
  const place = (i: number) => Math.floor(i / COMING_BACK * 10_000);
  await Promise.all(clients.map((client, i) =>
    client.send(
      `{"control":"hello","offsets":true}\n{"control":"subscribe","events":["n.${
        i % 3
      }"],"id":"s","since":{"epoch":"${epoch}","offset":${place(i)}}}\n`,
    )
  ));
  for (let i = 20; i < 25; i++) await sender.send(block(i));
  await sender.send(`{"event":"n.0"}\n{"event":"n.1"}\n{"event":"n.2"}\n`);
  for (const [i, client] of clients.entries()) {
    await until(() => client.text.includes(`"offset":${25_001 + i % 3},`), { everyMs: 5 });
    const expected = Array.from({ length: 25_000 }, (_, k) => k + 1)
      .filter((offset) => (offset - 1) % 7 === i % 3 && offset > place(i));
    const found = offsetsOf(client);
    const live = found.findIndex((offset) => offset as number > place(i) && offset !== undefined);
    assertEquals(found.slice(live), [...expected, 25_001 + i % 3]);
  }
  for (const client of clients) await client[Symbol.asyncDispose]();
});

Deno.test("Relay does not slow senders down for a client that catches up slowly", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  for (let i = 0; i < 20; i++) await sender.send(line.repeat(100));
  await until(() => relay.stats().history!.offset === 2000);
  const slow = await join(relay, { silent: true });
  await slow.send('{"control":"subscribe","events":["a"],"id":"s","since":{"first":true}}\n');
  await until(() => relay.stats().history!.catchingUp === 1);
  for (let i = 0; i < 100; i++) await sender.send(line.repeat(100));
  await until(() => relay.stats().history!.offset === 12_000);
  assertLess(relay.clients[1]!.pendingBytes, 500_000);
  assertStrictEquals(relay.stats().history!.catchingUp, 1);
  slow.close();
  await until(() => relay.stats().history!.catchingUp === 0);
});

Deno.test("Relay sends a client that catches up all other events as they happen", async () => {
  await using relay = await keeping({ keep: ["a"] });
  await using sender = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  for (let i = 0; i < 20; i++) await sender.send(line.repeat(100));
  await until(() => relay.stats().history!.offset === 2000);
  const slow = await join(relay, { silent: true });
  await slow.send(
    '{"control":"hello","offsets":true}\n' +
      '{"control":"subscribe","events":["job"],"queue":"q"}\n{"control":"subscribe","events":["a"],"queue":"q"}\n' +
      '{"control":"subscribe","events":["a","b"],"id":"s","since":{"first":true}}\n',
  );
  await until(() => relay.stats().history!.catchingUp === 1);
  await publish(sender, "b", "job", "a");
  await sender.send('{"event":"r","to":"c2","id":"r1"}\n{"event":"a","ack":"count"}\n');
  await sender.sees('{"control":"ack","id":"count","clients":1}');
  const lines = await readUntil(slow, isLive);
  slow.close();
  const events = lines.filter(({ event }) => event);
  const kept = events.filter(({ offset }) => offset !== undefined).map(({ offset }) => offset);
  assertEquals(kept, Array.from({ length: 2002 }, (_, i) => i + 1));
  const others = events.filter(({ offset }) => offset === undefined).map(({ event }) => event);
  assertEquals(others, ["b", "job", "r"]);
  const live = events.findIndex(({ event }) => event === "b");
  assertLess(live, 2000);
});

Deno.test("Relay gives a client that catches up the event of a queue of which it is the only member", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  for (let i = 0; i < 20; i++) await sender.send(line.repeat(100));
  await until(() => relay.stats().history!.offset === 2000);
  const slow = await join(relay, { silent: true });
  await slow.send(
    '{"control":"hello","offsets":true}\n{"control":"subscribe","events":["job"],"queue":"q"}\n' +
      '{"control":"subscribe","events":["a"],"id":"s","since":{"first":true}}\n',
  );
  await until(() => relay.stats().history!.catchingUp === 1);
  await sender.send('{"event":"job","ack":"j"}\n');
  await sender.sees('{"control":"ack","id":"j","clients":2}');
  const lines = await readUntil(slow, isLive);
  await sender.send('{"event":"job"}\n');
  lines.push(...await readUntil(slow, ({ event }) => event === "job"));
  slow.close();
  assertEquals(lines.filter(({ event }) => event === "job"), [
    { event: "job", ack: "j" },
    { offset: 2002, event: "job" },
  ]);
});

Deno.test("Relay does not send a client its own events again if it has no echo", async () => {
  await using relay = await keeping({ keepLast: ["s.*"] }, { echo: false });
  await using one = await joinWithOffsets(relay);
  await using two = await joinWithOffsets(relay);
  for (let i = 0; i < 3; i++) {
    await publish(one, "a", "s.1");
    await publish(two, "a", "b", "s.2");
  }
  assertEquals(offsetsOf(one), [3, 4, 5, 8, 9, 10, 13, 14, 15]);
  for (const first of [{ first: true }, { count: 100 }]) {
    assertEquals(await past(one, [">"], first), [3, 4, 5, 8, 9, 10, 13, 14, 15]);
    assertEquals(await past(two, ["a"], first), [1, 6, 11]);
  }
  assertEquals(await past(one, ["a"], { count: 2 }), [8, 13]);
  assertEquals(await past(one, ["s.*"], { last: true }), [15]);
  await using three = await joinWithOffsets(relay);
  assertEquals(await past(three, ["s.*"], { last: true }), [12, 15]);
  assertStrictEquals((await past(three, [">"], { first: true })).length, 15);
});

Deno.test("Relay keeps and sends lines of the greatest length", async () => {
  await using relay = await keeping({ keepBytes: 10_000_000 });
  await using sender = await join(relay);
  await using live = await joinWithOffsets(relay, { sequence: true });
  const head = '{"event":"a","__dict__":{"x":"';
  const long = (char: string) => `${head}${char.repeat(1_048_576 - head.length - 3)}"}}`;
  await sender.send(`${long("x")}\n{"event":"b"}\n${long("y")}\n`);
  await until(() => relay.stats().history!.offset === 3);
  await using one = await joinWithOffsets(relay, { sequence: true });
  const id = "i".repeat(64);
  await control(one, {
    control: "subscribe",
    events: ["a"],
    id,
    since: { first: true },
    live: false,
  });
  await one.sees('"end"');
  await since(one, ["a", "b"], { first: true });
  await one.sees('"live"');
  await live.sees('"seq":3');
  const stamped = (seq: number, offset: number, char: string) =>
    long(char).replace("{", `{"seq":${seq},"offset":${offset},`);
  await live.sees(`${stamped(1, 1, "x")}\n{"seq":2,"offset":2,"event":"b"}\n`);
  await live.sees(`${stamped(3, 3, "y")}\n`);
  await one.sees(long("y").replace("{", `{"seq":2,"offset":3,"past":"${id}",`));
  await one.sees(`${stamped(3, 1, "x")}\n{"seq":4,"offset":2,"event":"b"}\n`);
  await one.sees(`${stamped(5, 3, "y")}\n`);
});

Deno.test("Relay with a small send queue sends long lines of its history one by one", async () => {
  await using relay = await keeping({}, { maxPendingBytes: 100_000, maxLineBytes: 300_000 });
  await using sender = await join(relay);
  const line = (n: number) => `{"event":"a","__dict__":{"x":"${"x".repeat(n)}"}}\n`;
  const sizes = [10, 50_000, 200_000, 10, 10, 90_000, 250_000, 250_000, 10];
  for (const size of sizes) await sender.send(line(size));
  await until(() => relay.stats().history!.offset === sizes.length);
  await using one = await joinWithOffsets(relay);
  await since(one, ["a"], { first: true });
  await one.sees('"live"');
  assertEquals(offsetsOf(one).slice(-sizes.length), sizes.map((_, i) => i + 1));
  assertEquals(relay.clients.length, 2);
});

Deno.test("Relay lets a client unsubscribe, subscribe and leave while it catches up", async () => {
  await using relay = await keeping();
  await using sender = await join(relay);
  const pad = `"__dict__":{"x":"${"x".repeat(10_000)}"}`;
  const lines = Array.from({ length: 300 }, (_, i) => `{"event":"${"abc"[i % 3]}",${pad}}\n`);
  for (let i = 0; i < 10; i++) await sender.send(lines.join(""));
  await until(() => relay.stats().history!.offset === 3000);
  const slow = await join(relay, { silent: true });
  await slow.send(
    '{"control":"hello","offsets":true}\n' +
      '{"control":"subscribe","events":["a","b"],"id":"s","since":{"first":true}}\n',
  );
  await until(() => relay.stats().history!.catchingUp === 1);
  await pause(50);
  await slow.send(
    '{"control":"unsubscribe","events":["b"],"id":"u"}\n{"control":"subscribe","events":["c"],"id":"t"}\n',
  );
  await until(() => relay.clients[1]!.bytesIn > 200);
  await publish(sender, "a", "b", "c");
  const found = await readUntil(slow, isLive);
  slow.close();
  const change = found.findIndex(({ control, id }) => control === "ack" && id === "u");
  const names = (part: Line[]) =>
    new Set(part.filter(({ event, offset }) => event && offset).map(({ event }) => event));
  assertEquals(names(found.slice(0, change)), new Set(["a", "b"]));
  assertEquals(names(found.slice(change)), new Set(["a", "c"]));
  const last = found.filter(({ event }) => event === "c").map(({ offset }) => offset);
  assertEquals(last, [3003]);
  const all = found.filter(({ event }) => event === "a").map(({ offset }) => offset);
  assertEquals(all, [...Array.from({ length: 1000 }, (_, i) => 3 * i + 1), 3001]);
  // Others leave in the middle.
  for (const leave of ["close", "bad"]) {
    const peer = await join(relay, { silent: true });
    await peer.send('{"control":"subscribe","events":["a"],"id":"s","since":{"first":true}}\n');
    await until(() => relay.stats().history!.catchingUp === 1);
    if (leave === "bad") await peer.send("bad\n");
    else peer.close();
    await until(() => relay.clients.length === 1 || relay.stats().closes["bad-json"] === 1);
    peer.close();
    await until(() => relay.stats().history!.catchingUp === 0);
  }
});

Deno.test("Relay that closes says so to clients that catch up, and finishes no replay", async () => {
  const relay = await keeping();
  await using sender = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  for (let i = 0; i < 60; i++) await sender.send(line.repeat(100));
  await until(() => relay.stats().history!.offset === 6000);
  await using one = await join(relay);
  await one.send('{"control":"subscribe","events":["a"],"id":"s","since":{"first":true}}\n');
  await one.sees('"history"');
  const closed = relay.close();
  const lines = await one.lines();
  assertEquals(JSON.parse(lines.at(-1)!).reason, "shutdown");
  assertLessOrEqual(lines.length, 6003);
  sender.close();
  one.close();
  await closed;
});

Deno.test("Relay sends its history over WebSockets, within their windows", async () => {
  await using relay = await keeping({}, { web: {} });
  await using sender = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(1000)}"}}\n`;
  await sender.send(line.repeat(500));
  await until(() => relay.stats().history!.offset === 500);
  await using web = await WebPeer.connect(relay.server.address);
  await web.say('{"control":"hello","offsets":true,"sequence":true,"window":20000}');
  await web.say('{"control":"subscribe","events":["a"],"id":"s","since":{"first":true}}');
  const events = () => web.messages.map((each) => JSON.parse(each)).filter(({ event }) => event);
  await until(() => events().length >= 19);
  await pause(100);
  assertLess(events().length, 25);
  while (!web.messages.at(-1)!.includes('"live"')) {
    await web.say('{"control":"read","bytes":10000}');
    await pause(1);
  }
  assertEquals(events().map(({ offset }) => offset), Array.from({ length: 500 }, (_, i) => i + 1));
  assertEquals(events().map(({ seq }) => seq), Array.from({ length: 500 }, (_, i) => i + 1));
});

Deno.test("Relay sends kept events to server-sent events as any others", async () => {
  await using relay = await keeping({}, { web: {} });
  await using sender = await join(relay);
  const [host, port] = relay.server.address;
  const response = await fetch(`http://${host}:${port}/events?name=a`);
  await until(() => relay.clients.length === 2);
  await publish(sender, "a", "b", "a");
  const reader = new EventStreamReader();
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    reader.push(text);
    if (reader.messages.filter(({ type }) => type === "message").length === 2) break;
  }
  const data = reader.messages.filter(({ type }) => type === "message").map(({ data }) => data);
  assertEquals(data, ['{"event":"a"}', '{"event":"a"}']);
});

Deno.test("Relay reports its history in its statistics", async () => {
  await using relay = await keeping({ keepCount: 2, keepLast: ["b"] });
  await using one = await join(relay);
  await publish(one, "a", "b", "a");
  const { epoch } = relay.stats().history!;
  const expected = {
    epoch,
    first: 2,
    offset: 3,
    events: 2,
    bytes: 42,
    synced: 3,
    isBroken: false,
    evicted: 1,
    names: 1,
    namesRefused: 0,
    catchingUp: 0,
    producers: 0,
  };
  assertEquals(relay.stats().history, expected);
  const answer = await ask(one, { control: "stats" });
  assertEquals((answer.relay as Line).history, expected);
});

Deno.test("Relay refuses a history with invalid options, or with a folder in a cluster", () => {
  const server = new EbsocketServer(["127.0.0.1", 0]);
  const open = (options: RelayOptions) => () => new Relay(server, options);
  assertThrows(open({ history: { keepCount: 0 } }), RangeError, "history.keepCount");
  assertThrows(open({ history: { keep: [""] } }), TypeError, "history.keep");
  const cluster = { servers: ["nats://127.0.0.1"] };
  const message = "Invalid history.folder: the relays of a cluster keep their events in JetStream";
  assertThrows(open({ history: { folder: "x" }, cluster }), TypeError, message);
  server.close();
});

Deno.test("Relay with sync always lets the lines of a client wait that follow events on their way to the disk", async () => {
  using folder = new TempFolder();
  await using relay = await keeping({ folder: `${folder.path}/log`, sync: "always" });
  await using other = await joinWithOffsets(relay);
  await using peer = await joinWithOffsets(relay);
  await ask(peer, { control: "subscribe", events: ["none"] });
  for (let i = 1; i <= 20; i++) {
    const subscribe = { control: "subscribe", events: ["a", "b"], id: `in-${i}` };
    const unsubscribe = { control: "unsubscribe", events: ["a", "b"], id: `out-${i}` };
    const lines = [
      { event: "a", __dict__: { i }, ack: `a-${i}` },
      { event: "a", to: "nobody" },
      subscribe,
      { event: "b", __dict__: { i }, ack: `b-${i}` },
      unsubscribe,
      { event: "a", __dict__: { i: -i } },
    ];
    await peer.send(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    await peer.sees(`"out-${i}"`);
  }
  await ask(peer, { control: "stats" });
  const heard = linesOf(peer).filter(({ event }) => event);
  const numberOf = ({ __dict__ }: Line) => (__dict__ as Line).i;
  assertEquals(
    heard.map(({ event, offset }) => [event, offset]),
    Array.from({ length: 20 }, (_, i) => ["b", 3 * i + 2]),
  );
  await until(() => offsetsOf(other).length === 60);
  assertEquals(offsetsOf(other), Array.from({ length: 60 }, (_, i) => i + 1));
  assertEquals(linesOf(other).filter(({ event }) => event).map(numberOf).slice(0, 6), [
    1,
    1,
    -1,
    2,
    2,
    -2,
  ]);
  const receipts = new Map(linesOf(peer).map(({ id, clients }) => [id, clients]));
  assertEquals([receipts.get("a-1"), receipts.get("b-1"), receipts.get("b-20")], [1, 2, 2]);
});

Deno.test("Relay with sync always answers the events before an invalid line before it closes", async () => {
  using folder = new TempFolder();
  await using relay = await keeping({ folder: `${folder.path}/log`, sync: "always" });
  await using peer = await joinWithOffsets(relay);
  await peer.send('{"event":"a","ack":"x"}\n{"event":"b"}\nno event\n{"event":"c"}\n');
  const lines = (await peer.lines()).filter((line) => line !== "").map((line) => JSON.parse(line));
  const seen = lines.map(({ event, control, id }) => event ?? id ?? control).slice(1);
  assertEquals(seen, ["a", "b", "x", "close"]);
  assertStrictEquals(lines.at(-1).reason, "bad-json");
});

Deno.test("Relay with sync always that closes passes on first what is on its way to the disk", async () => {
  using folder = new TempFolder();
  let closing: Promise<void> | undefined;
  const relay = await keeping({ folder: `${folder.path}/log`, sync: "always" }, {
    observer: { onFirstLine: () => queueMicrotask(() => closing = relay.close()) },
  });
  await using other = await join(relay);
  await using peer = await join(relay);
  await peer.send('{"event":"a"}\n');
  await other.lines();
  await closing;
  assertEquals(linesOf(other).map(({ event, control }) => event ?? control), ["a", "close"]);
});

Deno.test("Relay with a token sends its history to those that have it", async () => {
  await using relay = await keeping({}, { token: "s3cret", subscribeFirst: true });
  const hello = '{"control":"hello","token":"s3cret","offsets":true}\n';
  await using one = await Peer.connect(relay.server.address);
  await one.send(`${hello}{"event":"a"}\n{"event":"b","ack":"x"}\n`);
  await one.sees('"ack"');
  await using two = await Peer.connect(relay.server.address);
  await two.send(
    `${hello}{"control":"subscribe","events":["a"],"id":"s","since":{"first":true}}\n`,
  );
  await two.sees('"live"');
  await one.send('{"event":"a"}\n');
  await two.sees('"offset":3');
  assertEquals(offsetsOf(two), [1, 3]);
  assertEquals(offsetsOf(one), []);
});

Deno.test("A client that wanted the last events receives them again where it cannot go on", async () => {
  await using relay = await keeping({ keepLast: ["state.*"], keep: [], keepCount: 3 });
  await using sender = await join(relay);
  const position = relay.stats().history!;
  await sender.send(
    '{"event":"state.a"}\n{"event":"state.b"}\n{"event":"state.a","__dict__":{"n":2}}\n',
  );
  await sender.send('{"event":"state.c"}\n{"event":"state.d"}\n');
  await until(() => relay.stats().history!.offset === 5);
  const cases: [since: object, answer: object, names: string[]][] = [
    // As long as all is there, what was missed follows.
    [{ epoch: position.epoch, offset: 4 }, { recovered: true, from: 4 }, ["d"]],
    [{ epoch: position.epoch, offset: 0 }, { reason: "evicted", from: 5 }, ["b", "a", "c", "d"]],
    [{ epoch: "other", offset: 4 }, { reason: "epoch", from: 5 }, ["b", "a", "c", "d"]],
    [{ epoch: position.epoch, offset: 9 }, { reason: "ahead", from: 5 }, ["b", "a", "c", "d"]],
  ];
  for (const [since, expected, names] of cases) {
    await using peer = await joinWithOffsets(relay);
    const id = `s${++lastId}`;
    const events = ["state.*"];
    const answer = await ask(peer, { control: "subscribe", events, since, partial: "last" }, id);
    assertObjectMatch(answer.history as Line, { ...expected, to: 5 });
    await until(() => linesOf(peer).some(({ control }) => control === "live"));
    const seen = linesOf(peer).flatMap(({ event }) => event ? [String(event).slice(6)] : []);
    assertEquals(seen, names);
  }
});

Deno.test("A relay without last events says so to those that ask for them", async () => {
  await using relay = await keeping();
  await using peer = await joinWithOffsets(relay);
  for (const live of [true, false]) {
    const line = { control: "subscribe", events: ["a"], since: { last: true }, live };
    const { control, reason, detail } = await ask(peer, line, `l${live}`);
    assertEquals([control, reason], ["error", "no-history"]);
    assertEquals(detail, "the relay keeps no last events (--keep-last)");
  }
});
