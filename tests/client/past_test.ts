import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import type { PastEvents, PastLoss, PastOptions } from "../../client/past.ts";
import type { Since } from "../../client/since.ts";
import {
  ConnectionClosedError,
  EbsocketError,
  EventRefusedError,
  RequestTimeoutError,
} from "../../errors.ts";
import type { EbsocketEvent } from "../../protocol/event.ts";
import { FakeRelay } from "../support/fake_relay.ts";
import { type Asked, keeping } from "../support/history_relay.ts";
import { soon } from "../support/waiting.ts";

const RECONNECT = { minDelay: 1, maxDelay: 1 };

/** The answer to a question, and its events. */
class Answer {
  constructor(readonly relay: FakeRelay, public line: Asked) {}

  static async of(relay: FakeRelay): Promise<Answer> {
    return new Answer(relay, await relay.said() as Asked);
  }

  ack(history: object): Promise<void> {
    const answer = { epoch: "e1", from: 0, to: 100, ...history };
    return this.relay.say({ control: "ack", id: this.line.id, history: answer });
  }

  async events(event: string, ...offsets: number[]): Promise<void> {
    for (const offset of offsets) await this.relay.say({ offset, past: this.line.id, event });
  }

  end(): Promise<void> {
    return this.relay.say({ control: "end", id: this.line.id, offset: 100 });
  }
}

function offsetsOf(events: AsyncIterable<EbsocketEvent>): Promise<(number | null)[]> {
  return Array.fromAsync(events, ({ offset }) => offset);
}

Deno.test("EbsocketClient.history() yields the past alone, without the option history", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const { client } = relay;
  assertStrictEquals(relay.session.hello.offsets, undefined);
  const offsets = offsetsOf(client.history(["a", "b.>"], { since: { age: 1000 }, partial: true }));
  const answer = await Answer.of(relay);
  const { id: _, ...line } = answer.line;
  assertEquals(line, {
    control: "subscribe",
    events: ["a", "b.>"],
    since: { age_ms: 1000 },
    partial: true,
    live: false,
  } as never);
  await answer.ack({});
  await answer.events("a", 3, 5);
  await relay.say({ event: "now" });
  await relay.say({ event: "lost", past: "other", offset: 1 });
  await answer.events("b.c", 9);
  await answer.end();
  assertEquals(await offsets, [3, 5, 9]);
  assertEquals((await client.recvEvent())?.event, "now");
  assertStrictEquals(client.position, null);
});

Deno.test("EbsocketClient.history() asks for everything by default, at the first next()", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const events = relay.client.history("a");
  relay.client.send("first");
  assertEquals((await relay.said()).event, "first");
  const next = events.next();
  const answer = await Answer.of(relay);
  assertEquals([answer.line.events, answer.line.since], [["a"], { first: true }]);
  await answer.ack({});
  await answer.end();
  assert((await next).done);
});

Deno.test("EbsocketClient.history() that is left cancels its question", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const left = (async () => {
    for await (const { offset } of relay.client.history("a")) return offset;
  })();
  const answer = await Answer.of(relay);
  await answer.ack({});
  await answer.events("a", 1, 2);
  assertEquals(await left, 1);
  assertEquals(await relay.said(), { control: "cancel", id: answer.line.id } as never);
  await answer.events("a", 3);
  await answer.end();
  await relay.say({ event: "now" });
  assertEquals((await relay.client.recvEvent())?.event, "now");
});

Deno.test("EbsocketClient.history() ends by its signal, and cancels its question", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const stop = new AbortController();
  const events = relay.client.history("a", { signal: stop.signal });
  const next = events.next();
  const answer = await Answer.of(relay);
  stop.abort(new Error("enough"));
  await assertRejects(() => next, Error, "enough");
  assertEquals((await relay.said()).control, "cancel");
  await answer.end();
});

for (const reason of ["epoch", "evicted", "ahead"] as const) {
  Deno.test(`EbsocketClient.history() fails if its position is not recovered: ${reason}`, async () => {
    await using relay = await FakeRelay.connect({}, keeping(100));
    const since = { epoch: "e1", offset: 7 };
    const offsets = offsetsOf(relay.client.history("a", { since }));
    const answer = await Answer.of(relay);
    assertEquals(answer.line.since, since);
    await answer.ack({ recovered: false, reason, from: 100 });
    const error = await assertRejects(() => offsets, EbsocketError, reason);
    assertEquals(error.code, "not-recovered");
  });
}

Deno.test("EbsocketClient.history() with partial yields what is left", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const since = { epoch: "e0", offset: 7 };
  const offsets = offsetsOf(relay.client.history("a", { since, partial: true }));
  const answer = await Answer.of(relay);
  await answer.ack({ recovered: false, reason: "epoch", from: 49 });
  await answer.events("a", 50);
  await relay.say({ control: "gap", id: answer.line.id, from: 51, to: 60, reason: "evicted" });
  await answer.events("a", 61);
  await answer.end();
  assertEquals(await offsets, [50, 61]);
});

/** Returns the offsets of the events, and between them what is missing. */
async function read(
  { client }: FakeRelay,
  patterns: string | string[],
  options: PastOptions,
): Promise<(number | null | PastLoss)[]> {
  const read: (number | null | PastLoss)[] = [];
  const onLoss = (loss: PastLoss) => read.push(loss);
  for await (const { offset } of client.history(patterns, { partial: true, onLoss, ...options })) {
    read.push(offset);
  }
  return read;
}

const evicted = (from: number, to: number): PastLoss => ({ reason: "evicted", from, to });
const OTHER: PastLoss = { reason: "epoch", from: null, to: null };

Deno.test("EbsocketClient.history() calls onLoss with what is missing, in its place", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const result = read(relay, "a", { since: { epoch: "e1", offset: 7 } });
  const answer = await Answer.of(relay);
  assertStrictEquals(answer.line.partial, true);
  const gap = (from: number, to: number) =>
    relay.say({ control: "gap", id: answer.line.id, from, to, reason: "evicted" });
  await answer.ack({ recovered: false, reason: "evicted", from: 40 });
  await gap(41, 49);
  await answer.events("a", 50);
  await gap(51, 60);
  await answer.events("a", 61, 62);
  await gap(63, 70);
  await answer.end();
  assertEquals(await result, [evicted(8, 49), 50, evicted(51, 60), 61, 62, evicted(63, 70)]);
});

Deno.test("EbsocketClient.history() calls onLoss for another history, whose offsets say nothing", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const result = read(relay, "a", { since: { epoch: "e0", offset: 7 } });
  const answer = await Answer.of(relay);
  await answer.ack({ recovered: false, reason: "epoch", from: 40 });
  await relay.say({ control: "gap", id: answer.line.id, from: 41, to: 49, reason: "evicted" });
  await answer.events("a", 50);
  await answer.end();
  assertEquals(await result, [OTHER, 50]);
});

Deno.test("EbsocketClient.history() rejects with an error of onLoss, and cancels its question", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const result = read(relay, "a", {
    onLoss() {
      throw new Error("enough");
    },
  });
  const answer = await Answer.of(relay);
  await answer.ack({});
  await relay.say({ control: "gap", id: answer.line.id, from: 1, to: 9, reason: "evicted" });
  await answer.events("a", 10);
  await assertRejects(() => result, Error, "enough");
  assertEquals((await relay.said()).control, "cancel");
});

Deno.test("EbsocketClient.history() does not ask again for what is missing", async () => {
  await using relay = await FakeRelay.connect({ reconnect: RECONNECT }, keeping(100));
  const result = read(relay, "a", {});
  const answer = await Answer.of(relay);
  await answer.ack({});
  await relay.say({ control: "gap", id: answer.line.id, from: 1, to: 9, reason: "evicted" });
  const [second, next] = await cut(relay);
  assertEquals(next.line.since, { epoch: "e1", offset: 9 });
  await next.ack({ recovered: false, reason: "evicted", from: 20 });
  const [, last] = await cut(second);
  assertEquals(last.line.since, { epoch: "e1", offset: 20 });
  await last.ack({ recovered: true, from: 20 });
  await last.events("a", 21);
  await last.end();
  assertEquals(await result, [evicted(1, 20), 21]);
});

Deno.test("EbsocketClient.history() has the position up to which its events were taken", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const events = relay.client.history("a", { since: { count: 2 }, partial: true });
  const first = events.next();
  const answer = await Answer.of(relay);
  assertStrictEquals(events.position, null);
  await answer.ack({ from: 4 });
  await answer.events("a", 5, 7);
  await relay.say({ control: "gap", id: answer.line.id, from: 8, to: 9, reason: "evicted" });
  await answer.end();
  await first;
  assertEquals(events.position, { epoch: "e1", offset: 5 });
  await events.next();
  assertEquals(events.position, { epoch: "e1", offset: 7 });
  assert((await events.next()).done);
  assertEquals(events.position, { epoch: "e1", offset: 100 });
});

Deno.test("EbsocketClient.history() has the position before the gap at which it fails", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const events = relay.client.history("a");
  const first = events.next();
  const answer = await Answer.of(relay);
  await answer.ack({});
  await answer.events("a", 1);
  await relay.say({ control: "gap", id: answer.line.id, from: 2, to: 60, reason: "evicted" });
  await first;
  await assertRejects(() => events.next(), EbsocketError);
  assertEquals(events.position, { epoch: "e1", offset: 1 });
});

Deno.test("EbsocketClient.history() has a position in the epoch of the event that was taken", async () => {
  await using relay = await FakeRelay.connect({ reconnect: RECONNECT }, keeping(100));
  const lost: PastLoss[] = [];
  const onLoss = (loss: PastLoss) => lost.push(loss);
  const [events, answer] = await crossed(relay, { partial: true, onLoss });
  await answer.ack({ epoch: "e2", recovered: false, reason: "epoch", from: 0 });
  await answer.events("a", 2);
  await answer.end();
  assertEquals([events.position, lost], [{ epoch: "e1", offset: 5 }, []]);
  await events.next();
  assertEquals([events.position, lost], [{ epoch: "e2", offset: 2 }, [OTHER]]);
});

Deno.test("EbsocketClient.history() knows no position among the last events of names", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const events = relay.client.history("a", { since: "last" });
  const first = events.next();
  const answer = await Answer.of(relay);
  await answer.ack({ from: 100 });
  await answer.events("a", 5);
  await answer.end();
  await first;
  assertStrictEquals(events.position, null);
  await events.next();
  assertEquals(events.position, { epoch: "e1", offset: 100 });
});

Deno.test("EbsocketClient.history() fails after a gap, after the events before it", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const events = relay.client.history("a");
  const first = events.next();
  const answer = await Answer.of(relay);
  await answer.ack({});
  await answer.events("a", 1);
  await relay.say({ control: "gap", id: answer.line.id, from: 2, to: 60, reason: "evicted" });
  assertEquals((await first).value?.offset, 1);
  const why = "the events 2 to 60 are missing; after them is e1:60";
  const error = await assertRejects(() => events.next(), EbsocketError, why);
  assertEquals(error.code, "not-recovered");
  assertEquals((await relay.said()).control, "cancel");
});

/** Breaks the connection of a client, and takes its next question. */
async function cut(relay: FakeRelay, welcome = keeping(100)): Promise<[FakeRelay, Answer]> {
  relay.server.welcome = welcome;
  await relay.session.close();
  const session = await relay.server.session();
  const next = Object.assign(Object.create(FakeRelay.prototype), { ...relay, session });
  return [next, await Answer.of(next)];
}

for (
  const [since, again] of [
    ["first", { epoch: "e1", offset: 5 }],
    [{ count: 9 }, { epoch: "e1", offset: 5 }],
    [{ epoch: "e1", offset: 1 }, { epoch: "e1", offset: 5 }],
    ["last", { last: true }],
  ] as [Since, object][]
) {
  Deno.test(`EbsocketClient.history() goes on after a reconnect: ${JSON.stringify(since)}`, async () => {
    await using relay = await FakeRelay.connect({ reconnect: RECONNECT }, keeping(100));
    const events = relay.client.history("a", { since });
    const first = events.next();
    const [unanswered, { line }] = [relay, await Answer.of(relay)];
    const [second, repeated] = await cut(unanswered);
    assertEquals(repeated.line.since, line.since);
    await repeated.ack({});
    await repeated.events("a", 5);
    assertEquals((await first).value?.offset, 5);
    const [, last] = await cut(second);
    assertEquals(last.line.since, again);
    await last.ack({ recovered: true, from: 5 });
    await last.events("a", 5, 6);
    await last.end();
    assertEquals(await offsetsOf(events), [6]);
  });
}

/** Reads the event 5 of the epoch e1, and goes on over a connection to a relay in the epoch e2. */
async function crossed(
  relay: FakeRelay,
  options: PastOptions,
): Promise<[PastEvents, Answer]> {
  const events = relay.client.history("a", options);
  const first = events.next();
  const answer = await Answer.of(relay);
  await answer.ack({});
  await answer.events("a", 5);
  await first;
  return [events, (await cut(relay, keeping(100, "e2")))[1]];
}

for (const reason of ["epoch", "ahead"] as const) {
  Deno.test(`EbsocketClient.history() fails if a new epoch does not go on with the old one: ${reason}`, async () => {
    await using relay = await FakeRelay.connect({ reconnect: RECONNECT }, keeping(100));
    const [events, answer] = await crossed(relay, {});
    await answer.ack({ epoch: "e2", recovered: false, reason, from: 100 });
    const error = await assertRejects(() => events.next(), EbsocketError, reason);
    assertEquals(error.code, "not-recovered");
  });
}

for (const partial of [false, true]) {
  Deno.test(`EbsocketClient.history() goes on in a new epoch that has recovered: partial ${partial}`, async () => {
    await using relay = await FakeRelay.connect({ reconnect: RECONNECT }, keeping(100));
    const [events, answer] = await crossed(relay, { partial });
    const { line } = answer;
    assertEquals([line.since, line.partial], [{ epoch: "e1", offset: 5 }, partial || undefined]);
    await answer.ack({ epoch: "e2", recovered: true, from: 5 });
    await answer.events("a", 6);
    assertEquals((await events.next()).value?.offset, 6);
    const [, last] = await cut(answer.relay, keeping(100, "e2"));
    assertEquals(last.line.since, { epoch: "e2", offset: 6 });
    await last.ack({ epoch: "e2", recovered: true, from: 6 });
    await last.events("a", 7);
    await last.end();
    assertEquals(await offsetsOf(events), [7]);
  });
}

for (
  const [since, recovered] of [
    ["first", false],
    ["last", undefined],
    [{ epoch: "e1", offset: 4, behind: { b: 2 } }, false],
  ] as [Since, boolean | undefined][]
) {
  Deno.test(`EbsocketClient.history() with partial begins again in another history: ${JSON.stringify(since)}`, async () => {
    await using relay = await FakeRelay.connect({ reconnect: RECONNECT }, keeping(100));
    const [events, answer] = await crossed(relay, { since, partial: true });
    const loss = recovered === false ? { recovered, reason: "epoch" } : {};
    await answer.ack({ epoch: "e2", ...loss, from: since === "last" ? 100 : 0 });
    await answer.events("a", 1, 2);
    await answer.end();
    assertEquals(await offsetsOf(events), [1, 2]);
  });
}

Deno.test("EbsocketClient.history() takes a position with patterns that are behind", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const since = { epoch: "e1", offset: 50, behind: { "a": 10 } };
  const events = relay.client.history(["a", "b"], { since });
  const first = events.next();
  const answer = await Answer.of(relay);
  assertEquals(answer.line.since, { epoch: "e1", offset: 10 });
  await answer.ack({ recovered: true, from: 10 });
  await answer.events("a", 11);
  await answer.events("b", 49);
  await answer.events("b", 51);
  await answer.end();
  assertEquals((await first).value?.offset, 11);
  assertEquals(events.position, { epoch: "e1", offset: 50, behind: { a: 11 } });
  assertEquals((await events.next()).value?.offset, 51);
  assertEquals(events.position, { epoch: "e1", offset: 51 });
});

Deno.test("EbsocketClient.history() has an inbox of its own, which pauses reading", async () => {
  await using relay = await FakeRelay.connect({ maxUnreadEvents: 4 }, keeping(100));
  const events = relay.client.history("a");
  const first = events.next();
  const answer = await Answer.of(relay);
  await answer.ack({});
  await answer.events("a", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
  await answer.end();
  assertEquals((await first).value?.offset, 1);
  assertEquals(await offsetsOf(events), [2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

Deno.test("EbsocketClient.history() fails without an answer, a connection, or a history", async () => {
  const client = new EbsocketClient();
  await assertRejects(() => client.history("a").next(), ConnectionClosedError);

  await using relay = await FakeRelay.connect({}, keeping(100));
  await assertRejects(() => relay.client.history("a", { timeout: 1 }).next(), RequestTimeoutError);
  await relay.said();
  assertEquals((await relay.said()).control, "cancel");
  const refused = relay.client.history("a").next();
  const { id } = await relay.said();
  await relay.say({ control: "error", id, reason: "bad-request", detail: "too many" });
  await assertRejects(() => refused, EventRefusedError, "too many");
  const ended = relay.client.history("a").next();
  await relay.said();
  await relay.session.close();
  await assertRejects(() => soon(ended, "its end"), ConnectionClosedError);

  await using plain = await FakeRelay.connect();
  const error = await assertRejects(() => plain.client.history("a").next(), EbsocketError);
  assertEquals(error.code, "not-supported");
});

Deno.test("EbsocketClient.history() checks its arguments at the call", () => {
  const { history } = EbsocketClient.prototype;
  const ask = (patterns: unknown, options: object = {}) => () =>
    history.call(new EbsocketClient(), patterns as string, options);
  assertThrows(ask("x.>.y"), RangeError, "Invalid pattern");
  assertThrows(ask(7), TypeError, "Invalid patterns");
  assertThrows(ask([]), RangeError, "at least one");
  assertThrows(ask("a", { since: "now" }), TypeError, "Invalid since");
  assertThrows(ask("a", { timeout: NaN }), RangeError, "timeout");
  assertThrows(ask("a", { onLoss: "tell" }), TypeError, "Invalid onLoss");
});

Deno.test("EbsocketClient.history() fails if its patterns need several lines", async () => {
  await using relay = await FakeRelay.connect({}, keeping(100));
  const patterns = Array.from({ length: 1000 }, (_, i) => `${"x".repeat(200)}${i}`);
  await assertRejects(() => relay.client.history(patterns).next(), RangeError, "one line");
});
