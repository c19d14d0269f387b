/** What a client asks, of a relay that does what a test says. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import {
  ConnectionClosedError,
  EbsocketError,
  NoRespondersError,
  RequestTimeoutError,
} from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import type { OverflowPolicy } from "../../client/retry.ts";
import { FakeRelay, FEATURES, said } from "../support/fake_relay.ts";
import { FakeServer } from "../support/fake_server.ts";
import { relayReport } from "../support/report.ts";
import { turn } from "../support/turns.ts";
import { soon, until } from "../support/waiting.ts";

const ASK = new EbsocketEvent("ask", { n: 1 });
const QUICK = { minDelay: 1, maxDelay: 10 };

/** A signal that is aborted when the event loop has turned once. */
function abortedSoon(): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")), 0);
  return controller.signal;
}

/** The code of the error with which a promise rejects. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof EbsocketError) return error.code;
    throw error;
  }
  throw new Error("It did not reject");
}

Deno.test("EbsocketClient.request() resolves to the answer, which is not among the events", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const asking = client.request(ASK, { to: "c9" });
  const { event, id, to, __dict__ } = await relay.said();
  assertEquals(event, "ask");
  assertEquals(to, "c9");
  assertEquals(__dict__, { n: 1 });
  await relay.say({ event: "other" });
  await relay.say({ event: "answer", __dict__: { m: 2 }, reply_to: id, from: "c9" });
  const answer = await soon(asking, "the answer");
  assertEquals(answer.event, "answer");
  assertEquals(answer.__dict__, { m: 2 });
  assertEquals(answer.from, "c9");
  await relay.say({ event: "late", reply_to: id });
  await relay.say({ event: "strange", reply_to: "r1" });
  assertEquals((await client.recvEvent())?.event, "other");
  const strange = await client.recvEvent();
  assertEquals(strange?.event, "strange");
  assertEquals(strange?.replyTo, "r1");
});

Deno.test("EbsocketClient.send(), request(), requestMany() and reply() make the events that they send", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const next = async () => {
    const { id: _id, ack: _ack, ...line } = await relay.said();
    return line;
  };
  client.send("ping");
  assertEquals(await next(), { event: "ping", __dict__: {} });
  client.send("message", { content: "hi" });
  assertEquals(await next(), { event: "message", __dict__: { content: "hi" } });
  client.send("message", { content: "hi" }, { to: "c7" });
  assertEquals(await next(), { event: "message", __dict__: { content: "hi" }, to: "c7" });
  const confirmed = client.send("message", {}, { confirm: true });
  const { ack } = await relay.said();
  await relay.say({ control: "ack", id: ack, clients: 3 });
  assertEquals(await soon(confirmed, "the receipt"), 3);

  const answer = client.request("ask", { n: 1 }, { to: "c9" });
  const { id, ...asked } = await relay.said();
  assertEquals(asked as object, { event: "ask", __dict__: { n: 1 }, to: "c9" });
  await relay.say({ event: "answer", reply_to: id });
  assertEquals((await soon(answer, "the answer")).event, "answer");
  const bare = client.request("ask");
  bare.catch(() => {});
  assertEquals(await next(), { event: "ask", __dict__: {} });
  const many = client.requestMany("ask", { n: 2 }, { count: 1 }).next();
  const poll = await relay.said();
  assertEquals(poll.__dict__, { n: 2 });
  await relay.say({ event: "one", reply_to: poll.id });
  assertEquals((await soon(many, "the answer")).value?.event, "one");

  assert(await client.reply({ id: "r1", from: "c2" }, "yes", { sure: true }));
  assertEquals(await next(), {
    event: "yes",
    __dict__: { sure: true },
    to: "c2",
    reply_to: "r1",
  });
  await client.reply({ id: "r2", from: "c2" }, "no");
  assertEquals((await next()).event, "no");
  assertFalse(await client.reply({ id: null, from: null }, "no"));
});

Deno.test("EbsocketClient.send() throws with the name of a wrong argument", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  assertThrows(() => client.send(""), RangeError, "1 to 255 bytes");
  assertThrows(() => client.send(ASK as unknown as string), TypeError, "expected a string");
  assertThrows(() => client.send("a", [1]), TypeError, "expected an object");
  assertThrows(() => client.send("a", { big: 1n }), TypeError, '"big"');
  assertThrows(() => client.request("", {}), RangeError, "1 to 255 bytes");
  assertThrows(() => client.reply({ id: "1", from: null }, ""), RangeError, "1 to 255 bytes");
  assertThrows(() => new EbsocketClient().send("a"), ConnectionClosedError, "never been connected");
});

Deno.test("EbsocketClient.request() keeps several requests apart, in any order of replies", async () => {
  await using relay = await FakeRelay.connect();
  const asking = [1, 2, 3].map((n) => relay.client.request(new EbsocketEvent("ask", { n })));
  const asked = [await relay.said(), await relay.said(), await relay.said()];
  for (const { id, __dict__: { n } } of asked.reverse()) {
    await relay.say({ event: `${n}`, reply_to: id });
  }
  const answers = await soon(Promise.all(asking), "the answers");
  assertEquals(answers.map(({ event }) => event), ["1", "2", "3"]);
});

Deno.test("EbsocketClient.request() rejects at once when no client is there to answer", async () => {
  await using relay = await FakeRelay.connect();
  const asking = assertRejects(
    () => relay.client.request(ASK),
    NoRespondersError,
    "Cannot request EbsocketEvent<ask>: no other client is there to answer; a client never answers itself",
  );
  const { id } = await relay.said();
  await relay.say({ control: "ack", id, clients: 2 }); // says nothing about an answer
  await relay.say({ control: "ack", id });
  await relay.say({ control: "ack", id, clients: 0 });
  await soon(asking, "the error");
});

Deno.test("EbsocketClient.request() rejects when time is up, when it is aborted, and when it is refused", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  await assertRejects(
    () => client.request(ASK, { timeout: 5 }),
    RequestTimeoutError,
    "Cannot request EbsocketEvent<ask>: no answer within 5 ms, its timeout",
  );
  await assertRejects(() => client.request(ASK, { signal: abortedSoon() }), Error, "enough");
  await relay.said();
  await relay.said();
  const signal = AbortSignal.abort(new Error("never"));
  await assertRejects(() => client.request(ASK, { signal }), Error, "never");
  const refused = codeOf(client.request(ASK));
  const { id } = await relay.said(); // the one before has not been sent
  const detail = "n: expected a string";
  await relay.say({ control: "error", id, name: "ask", reason: "bad-attributes", detail });
  assertEquals(await soon(refused, "the error"), "bad-attributes");
});

Deno.test("EbsocketClient.request() accepts any time until a deadline as its timeout", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const deadline = performance.now() + 20.25;
  const left = () => deadline - performance.now(); // hardly ever a whole number
  await assertRejects(() => client.request(ASK, { timeout: left() }), RequestTimeoutError);
  assertEquals((await relay.said()).event, "ask");

  for (const timeout of [0, -0.5, left(), -Infinity]) {
    const over = [
      () => client.request(ASK, { timeout }),
      () => client.sendEvent(ASK, { confirm: true, timeout }),
      () => client.inspect({ timeout }),
    ];
    for (const call of over) {
      await assertRejects(call, RequestTimeoutError, `its time-out of ${timeout} ms was over`);
    }
    assertEquals(await Array.fromAsync(client.requestMany(ASK, { timeout })), []);
  }
  client.sendEvent(new EbsocketEvent("next"));
  assertEquals((await relay.said()).event, "next"); // nothing of all that was sent
});

Deno.test("EbsocketClient.request() throws with the name of a wrong argument", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  await assertRejects(() => client.request(ASK, { timeout: NaN }), RangeError, "got NaN");
  await assertRejects(() => client.request(ASK, { to: "" }), RangeError, 'Invalid to ""');
  const long = { to: "é".repeat(128) };
  await assertRejects(() => client.request(ASK, long), RangeError, "got 256");
  const bad = new EbsocketEvent("ask", { f: () => {} });
  await assertRejects(() => client.request(bad), TypeError, '"f"');
  assertThrows(() => client.requestMany(ASK, { count: 0 }), RangeError, "count");
  assertThrows(() => client.requestMany(ASK, { timeout: NaN }), RangeError, "timeout");
  assertThrows(() => client.requestMany(ASK, { to: "" }), RangeError, "to");
  assertThrows(() => client.sendEvent(ASK, { to: "" }), RangeError, "to");
  const text = { confirm: true, timeout: "1" as unknown as number } as const;
  assertThrows(() => client.sendEvent(ASK, text), TypeError, "Invalid timeout: expected a number");
  await assertRejects(() => client.inspect({ timeout: NaN }), RangeError, "timeout");
  const unused = new EbsocketClient();
  await assertRejects(() => unused.request(ASK), ConnectionClosedError, "never been connected");
  await assertRejects(() => unused.inspect(), ConnectionClosedError, "never been connected");
  assertThrows(() => unused.sendEvent(ASK, { confirm: true }), ConnectionClosedError);
});

Deno.test("EbsocketClient sends nothing to all that is meant for one client which is not named", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  for (const value of [undefined, null]) {
    const to = value as unknown as string;
    assertThrows(() => client.sendEvent(ASK, { to }), TypeError, "Invalid to");
    assertThrows(() => client.sendEvent(ASK, { to, confirm: true }), TypeError, "Invalid to");
    assertThrows(() => client.requestMany(ASK, { to }), TypeError, "Invalid to");
    await assertRejects(() => client.request(ASK, { to }), TypeError, "Invalid to");
  }
  client.sendEvent(new EbsocketEvent("last"));
  assertEquals((await relay.said()).event, "last");
});

Deno.test("EbsocketClient.sendEvent() with confirm resolves to the number of clients", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const confirming = client.sendEvent(ASK, { confirm: true, to: "c4" });
  const { ack, to, event } = await relay.said();
  assertEquals(event, "ask");
  assertEquals(to, "c4");
  await relay.say({ control: "ack", id: ack }); // says nothing
  await relay.say({ control: "ack", events: 1 });
  await relay.say({ control: "ack", id: ack, clients: -1 });
  await relay.say({ event: "strange", reply_to: ack });
  await relay.say({ control: "ack", id: ack, clients: 3 });
  assertEquals(await soon(confirming, "the receipt"), 3);
  await assertRejects(
    () => client.sendEvent(ASK, { confirm: true, timeout: 5 }),
    RequestTimeoutError,
    "Cannot confirm EbsocketEvent<ask>: no answer within 5 ms, its timeout",
  );
});

Deno.test("EbsocketClient.sendEvent() never becomes an unhandled rejection, with confirm or without", async () => {
  const relay = await FakeRelay.connect();
  const unhandled: unknown[] = [];
  const onUnhandled = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  addEventListener("unhandledrejection", onUnhandled);
  relay.client.sendEvent(ASK, { confirm: true, timeout: 1 });
  relay.client.sendEvent(ASK, { confirm: true });
  await relay[Symbol.asyncDispose]();
  relay.client.sendEvent(ASK, { confirm: true });
  relay.client.sendEvent(ASK, { to: "c1" });
  relay.client.sendEvent(ASK);
  await turn();
  await turn();
  removeEventListener("unhandledrejection", onUnhandled);
  assertEquals(unhandled, []);
});

Deno.test("EbsocketClient.requestMany() iterates over replies up to a count or a time", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  for (
    const [options, sent, expected] of [[{ count: 2 }, "abc", "ab"], [
      { timeout: 20 },
      "ab",
      "ab",
    ]] as const
  ) {
    const asking = Array.fromAsync(client.requestMany(ASK, options));
    const { id } = await relay.said();
    const lines = [...sent].map((event) => JSON.stringify({ event, reply_to: id }));
    await relay.session.write(`${lines.join("\n")}\n`);
    const answers = await soon(asking, "the answers");
    assertEquals(answers.map(({ event }) => event).join(""), expected);
  }
  await relay.say({ event: "other" });
  assertEquals((await client.recvEvent())?.event, "other");
});

Deno.test("EbsocketClient calls onReceipt with the number of clients that received a request", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const heard: number[] = [];
  const onReceipt = (clients: number) => heard.push(clients);
  const answer = client.request(ASK, { onReceipt });
  const polled = client.requestMany(ASK, { count: 1, onReceipt }).next();
  const [one, other] = [await relay.said(), await relay.said()];
  assertEquals([one.ack, other.ack], [one.id, other.id]);
  await relay.say({ control: "ack", id: one.id, clients: 2 });
  await relay.say({ control: "ack", id: other.id, clients: 3 });
  await relay.say({ event: "one", reply_to: one.id });
  await relay.say({ event: "other", reply_to: other.id });
  assertEquals([(await answer).event, (await polled).value?.event], ["one", "other"]);
  assertEquals(heard, [2, 3]);
  const vain = client.request(ASK, { onReceipt });
  const { id } = await relay.said();
  await relay.say({ control: "ack", id, clients: 0 });
  await assertRejects(() => vain, NoRespondersError);
  assertEquals(heard, [2, 3]);
});

Deno.test("EbsocketClient.requestMany() throws the error that ends it, after the replies before", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const nobody = client.requestMany(ASK).next();
  const { id } = await relay.said();
  const failing = assertRejects(() => nobody, NoRespondersError);
  await relay.say({ control: "ack", id, clients: 0 });
  await soon(failing, "the error");

  const controller = new AbortController();
  const answers = client.requestMany(ASK, { signal: controller.signal });
  const first = answers.next();
  const asked = await relay.said();
  await relay.say({ event: "a", reply_to: asked.id });
  await relay.say({ event: "b", reply_to: asked.id });
  await relay.say({ event: "c" });
  assertEquals((await first).value?.event, "a");
  await client.recvEvent(); // b has come, too
  controller.abort(new Error("enough"));
  assertEquals((await answers.next()).value?.event, "b");
  await assertRejects(() => answers.next(), Error, "enough");
  assert((await answers.next()).done);
});

Deno.test("EbsocketClient.requestMany() can be left, and drops later replies", async () => {
  await using relay = await FakeRelay.connect({ maxUnreadEvents: 2 });
  const { client } = relay;
  const answers = client.requestMany(ASK, { timeout: Infinity });
  const first = answers.next();
  const { id } = await relay.said();
  for (const event of "abcdef") await relay.say({ event, reply_to: id });
  assertEquals((await first).value?.event, "a");
  await until(() => client.connected);
  await answers.return();
  await relay.say({ event: "g", reply_to: id });
  await relay.say({ event: "other" });
  assertEquals((await soon(client.recvEvent(), "what is no answer"))?.event, "other");
});

Deno.test("EbsocketClient.reply() answers requests, and no other events", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  await relay.say({ event: "ask", id: "r7", from: "c3" });
  await relay.say({ event: "ask", id: "r8" });
  await relay.say({ event: "told", from: "c3" });
  await relay.say({ event: "ask", id: "r9", from: "" });
  await relay.say({ event: "ask", id: "r9", from: "x".repeat(300) });
  const answer = new EbsocketEvent("answer");
  const sent: boolean[] = [];
  for (let i = 0; i < 5; i++) sent.push(await client.reply((await client.recvEvent())!, answer));
  assertEquals(sent, [true, true, false, false, false]);
  const { event, to, reply_to } = await relay.said();
  assertEquals(event, "answer");
  assertEquals(to, "c3");
  assertEquals(reply_to, "r7");
  const unaddressed = await relay.said(); // of a server that is no relay
  assertStrictEquals(unaddressed.to, undefined);
  assertEquals(unaddressed.reply_to, "r8");
  assertThrows(() => client.reply({ id: "r1", from: null }, new EbsocketEvent("x", { n: NaN })));
  await client.abort();
  for (const from of [null, "c3"]) {
    assertFalse(await client.reply({ id: "r1", from }, answer));
  }
});

Deno.test("EbsocketClient throws at once for a feature that the server does not have", async () => {
  await using relay = await FakeRelay.connect({}, {});
  const { client } = relay;
  const codes: string[] = [];
  for (
    const attempt of [
      () => client.sendEvent(ASK, { confirm: true }),
      () => client.sendEvent(ASK, { to: "c1" }),
      () => client.request(ASK, { to: "c1" }),
      () => client.requestMany(ASK, { to: "c1" }).next(),
      () => client.subscribe(["a"]),
      () => client.inspect(),
    ]
  ) {
    codes.push(await codeOf(attempt()));
  }
  assertEquals(codes, Array(6).fill("not-supported"));
  // An answer is what any server can give.
  const asking = client.request(ASK);
  const { id } = await relay.said();
  await relay.say({ event: "answer", reply_to: id });
  assertEquals((await soon(asking, "the answer")).event, "answer");
});

Deno.test("EbsocketClient rejects requests with inbox-full while it reads nothing", async () => {
  await using relay = await FakeRelay.connect({ maxUnreadEvents: 2 });
  const { client } = relay;
  const before = client.request(ASK, { timeout: 50 });
  const late = assertRejects(
    () => before,
    RequestTimeoutError,
    "within 50 ms, its timeout; the inbox is full",
  );
  await relay.say({ event: "a" });
  await relay.say({ event: "b" });
  await until(() => client.connected);
  await soon(late, "the time-out");
  const codes: string[] = [];
  for (
    const attempt of [
      () => client.sendEvent(ASK, { confirm: true }),
      () => client.request(ASK),
      () => client.requestMany(ASK).next(),
      () => client.subscribe(["a"]),
      () => client.inspect(),
    ]
  ) {
    codes.push(await codeOf(attempt()));
  }
  assertEquals(codes, Array(5).fill("inbox-full"));
  await client.pump();
  await relay.said();
  const asking = client.request(ASK);
  const { id } = await relay.said(); // nothing else was sent
  await relay.say({ event: "answer", reply_to: id });
  assertEquals((await soon(asking, "the answer")).event, "answer");
});

Deno.test("EbsocketClient keeps pending requests while the inbox is full and read again", async () => {
  await using relay = await FakeRelay.connect({ maxUnreadEvents: 2 });
  const { client } = relay;
  const asking = client.request(ASK);
  const { id } = await relay.said();
  for (const event of "abcde") await relay.say({ event });
  await relay.say({ event: "answer", reply_to: id });
  await until(() => client.connected);
  let read = 0;
  while (read < 5) read += (await client.pump())[0].length;
  assertEquals((await soon(asking, "the answer")).event, "answer");
});

Deno.test("EbsocketClient rejects pending requests when the connection ends, from either side", async () => {
  for (const end of ["server", "close", "abort"] as const) {
    await using relay = await FakeRelay.connect();
    const { client, session } = relay;
    const doubt = "it may or may not have been done";
    const failing = [
      client.request(ASK),
      client.sendEvent(ASK, { confirm: true }),
      client.subscribe(["a"]),
      client.inspect(),
      client.requestMany(ASK).next(),
    ].map((each) => assertRejects(() => each as Promise<unknown>, ConnectionClosedError, doubt));
    for (let i = 0; i < 5; i++) await relay.said();
    if (end === "server") await session.close();
    else client[end]();
    await soon(Promise.all(failing), `the errors after ${end}`);
    await session.close();
    await client.closed;
  }
});

Deno.test("EbsocketClient with reconnect sends unsent requests, and rejects sent ones", async () => {
  const server = new FakeServer(FEATURES);
  const client = new EbsocketClient({ reconnect: QUICK });
  await client.connectTo(server.address);
  const session = await server.session();
  const sent = client.request(ASK);
  const settled = client.request(new EbsocketEvent("settled"));
  await said(session);
  await said(session);
  await session.ack(2); // has been taken, and may or may not be answered
  const failing = [sent, settled].map((each) => assertRejects(() => each, ConnectionClosedError));
  const port = server.address[1];
  await server.stop();
  await soon(Promise.all(failing), "the errors");
  const waiting = client.request(new EbsocketEvent("waiting"));
  const confirming = client.sendEvent(new EbsocketEvent("sent"), { confirm: true });
  const dropped = assertRejects(
    () => client.request(new EbsocketEvent("impatient"), { timeout: 5 }),
    RequestTimeoutError,
  );
  await dropped;
  await using again = new FakeServer(FEATURES, port);
  const second = await again.session();
  const first = await said(second);
  const { ack } = await said(second);
  assertEquals(first.event, "waiting"); // what has been given up is not sent any more
  assertEquals(client.pendingBytes, 0);
  await second.send({ event: "answer", reply_to: first.id });
  await second.send({ control: "ack", id: ack, clients: 1 });
  assertEquals((await soon(waiting, "the answer")).event, "answer");
  assertEquals(await soon(confirming, "the receipt"), 1);
  await client.abort();
});

Deno.test("EbsocketClient rejects a request whose event is dropped for others", async () => {
  const policies: [OverflowPolicy, string][] = [
    ["refuse", "b"],
    ["drop-newest", "b"],
    ["drop-oldest", "a"],
  ];
  for (const [overflow, lost] of policies) {
    const server = new FakeServer(FEATURES);
    const client = new EbsocketClient({ reconnect: { ...QUICK, maxQueuedEvents: 1, overflow } });
    await client.connectTo(server.address);
    await (await server.session()).close();
    await server.stop();
    await until(() => !client.connected);
    const outcomes = ["a", "b"].map((name) =>
      client.request(new EbsocketEvent(name)).then(() => "", (error) => `${name} ${error.code}`)
    );
    assertEquals(await soon(Promise.race(outcomes), "an outcome"), `${lost} queue-full`);
    await client.close();
    const codes = await Promise.all(outcomes);
    assertEquals(codes.filter((code) => code.endsWith("connection-closed")).length, 1);
  }
});

Deno.test("EbsocketClient.inspect() resolves to the report of the relay, or rejects with its reason", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const inspecting = client.inspect();
  const { control, id } = await relay.said();
  assertEquals(control, "stats");
  await relay.say({ control: "stats", id, relay: 7 });
  await relay.say({ control: "stats", id, relay: null, clients: [], names: [], watchedMs: 1 });
  await relay.say({ control: "stats", id, ...relayReport({ clients: 3 }) });
  assertEquals((await soon(inspecting, "the report")).relay.clients, 3);
  const refused = codeOf(client.inspect());
  const asked = await relay.said();
  await relay.say({ control: "error", id: asked.id, reason: "not-allowed", detail: "" });
  assertEquals(await soon(refused, "the error"), "not-allowed");
});

Deno.test("EbsocketClient.status() reports errors that belong to no request", async () => {
  await using relay = await FakeRelay.connect();
  const statuses = relay.client.status();
  await statuses.next();
  const detail = "content: expected a string";
  await relay.say({ control: "error", name: "message", reason: "bad-attributes", detail });
  await relay.say({ control: "error", id: "nobody's", reason: 7 });
  const refused = { type: "refused", event: "message", reason: "bad-attributes", detail } as const;
  assertEquals((await soon(statuses.next(), "the status")).value, refused);
  const unknown = { type: "refused", event: null, reason: "unknown", detail: "" } as const;
  assertEquals((await soon(statuses.next(), "the status")).value, unknown);
  // It is no state: who listens from now on hears first how the connection is.
  assertEquals((await relay.client.status().next()).value?.type, "connected");
});

Deno.test("EbsocketClient with sequence reports missing events", async () => {
  await using relay = await FakeRelay.connect({ sequence: true });
  const { client, session } = relay;
  assertStrictEquals(session.hello.sequence, true);
  const statuses = client.status();
  await statuses.next();
  // A relay counts those, too, that it sent before it was asked for numbers.
  await relay.session.write('{"event":"early"}\n{"event":"early"}\n');
  for (const seq of [3, 4, 7, 6, 8, 1e300, "9", 2.5, undefined, 11]) {
    await relay.say({ event: "n", seq });
  }
  const gap = (missed: number) => ({ done: false, value: { type: "gap", missed } }) as const;
  assertEquals(await soon(statuses.next(), "a gap"), gap(2));
  assertEquals(await soon(statuses.next(), "a gap"), gap(2));
  assertStrictEquals((await client.recvEvent())?.seq, null);
  assertEquals((await client.pump())[0].slice(0, 2).map(({ seq }) => seq), [null, 3]);
});

Deno.test("EbsocketClient ignores unrequested lines of a hostile relay", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const asking = client.request(ASK);
  const { id } = await relay.said();
  const names = [id, "", "x", `${id}0`, id.slice(1), 1, null, [id], {}, "__proto__"];
  for (const name of names) {
    if (name === id) continue;
    await relay.say({ control: "ack", id: name, clients: 0 });
    await relay.say({ control: "ack", id: name });
    await relay.say({ control: "error", id: name, reason: "bad-pattern" });
    await relay.say({ control: "error", id: name, reason: {}, detail: 5, name: [] });
    await relay.say({ control: "stats", id: name, relay: {}, clients: [], names: [] });
  }
  await relay.say({
    control: "stats",
    id,
    relay: { clients: 1 },
    clients: [],
    names: [],
    watchedMs: 0,
  });
  await relay.say({ event: "strange", reply_to: "__proto__" });
  await relay.say({ event: "answer", reply_to: id });
  await relay.say({ event: "again", reply_to: id });
  await relay.say({ control: "ack", id, clients: 0 });
  await relay.say({ control: "error", id, reason: "late" });
  await relay.say({ event: "last" });
  assertEquals((await soon(asking, "the answer")).event, "answer");
  assertEquals((await client.recvEvent())?.event, "strange");
  assertEquals((await client.recvEvent())?.event, "last");
  assert(client.connected);
});
