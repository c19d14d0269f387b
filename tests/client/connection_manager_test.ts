/** The client that finds its way back, against a server that does what a test says. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import type { ClientOptions } from "../../client/options.ts";
import { ConnectError, ConnectionClosedError, EbsocketError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { isFinal } from "../../client/retry.ts";
import type { ClientStatus } from "../../client/status.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { makeCertificates } from "../support/certificates.ts";
import { FEATURES, said } from "../support/fake_relay.ts";
import { FakeServer, type FakeSession } from "../support/fake_server.ts";
import { TempFolder } from "../support/folder.ts";
import { freePort } from "../support/free_port.ts";
import { turn } from "../support/turns.ts";
import { pause, soon, until, untilStill } from "../support/waiting.ts";

const certificates = await makeCertificates();

const QUICK = { minDelay: 1, maxDelay: 10 };
const ACKS = { ack: true };

/** A server with acknowledgements, a client that reconnects at once, and their first session. */
async function start(options: ClientOptions = {}, welcome: object | null = ACKS) {
  const server = new FakeServer(welcome && { ...welcome }, freePort());
  const client = new EbsocketClient({ reconnect: QUICK, ...options });
  const statuses = collect(client);
  await client.connectTo(server.address);
  const session = await server.session();
  return { server, client, session, statuses };
}

/** All statuses of a client, as they come. */
function collect(client: EbsocketClient): ClientStatus[] {
  const statuses: ClientStatus[] = [];
  const iterator = client.status();
  (async () => {
    for await (const status of iterator) statuses.push(status);
  })();
  return statuses;
}

/** Waits for a status of a type, and takes it and those before it off the list. */
async function next<T extends ClientStatus["type"]>(
  statuses: ClientStatus[],
  type: T,
): Promise<ClientStatus & { type: T }> {
  await until(() => statuses.some((status) => status.type === type));
  const at = statuses.findIndex((status) => status.type === type);
  return statuses.splice(0, at + 1)[at] as ClientStatus & { type: T };
}

function send(client: EbsocketClient, ...names: string[]): void {
  for (const name of names) client.sendEvent(new EbsocketEvent(name));
}

function namesOf(events: readonly EbsocketEvent[]): string[] {
  return events.map(({ event }) => event);
}

/** Timers that can also be fired by hand, by how long they take, until it is disposed of. */
class Timers implements Disposable {
  readonly #setTimeout = globalThis.setTimeout;
  readonly #callbacks = new Map<number, () => void>();

  constructor() {
    globalThis.setTimeout = ((callback: () => void, ms = 0) => {
      this.#callbacks.set(ms, callback);
      return this.#setTimeout.call(globalThis, callback, ms);
    }) as typeof setTimeout;
  }

  /** Fires the timer that was set last for `ms` milliseconds. */
  fire(ms: number): void {
    const callback = this.#callbacks.get(ms);
    if (!callback) throw new Error(`No timer was set for ${ms} ms`);
    this.#callbacks.delete(ms);
    callback();
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
  }
}

/** Waits until the client has lost its connection, and a new one has been made. */
async function comesBack(server: FakeServer, session: FakeSession): Promise<FakeSession> {
  await session.close();
  return await server.session();
}

Deno.test("EbsocketClient with reconnect comes back, and its loop never ends meanwhile", async () => {
  const { server, client, session } = await start();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const event of client) seen.push(event.event);
  })();
  await session.send({ event: "a" });
  await until(() => seen.length === 1);
  const second = await comesBack(server, session);
  await second.send({ event: "b" });
  await until(() => seen.length === 2);
  assert(client.connected);
  assertEquals(client.id, "c2");
  assertEquals(seen, ["a", "b"]);
  const third = await comesBack(server, second);
  await third.send({ event: "c" });
  await until(() => seen.length === 3);
  await client.close();
  await soon(reading, "the end of the loop");
  assertEquals((await client.closed).reason, "local");
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient with reconnect keeps recvEvent() and pump() going", async () => {
  const { server, client, session } = await start();
  const waiting = client.recvEvent();
  await session.close("shutdown");
  const second = await server.session();
  await second.send({ event: "a" });
  assertEquals((await soon(waiting, "the event"))?.event, "a");
  await server.stop();
  await until(() => !client.connected);
  assertEquals(await client.pump(), [[], true]);
  await client.close();
  assertEquals(await client.pump(), [[], false]);
  assertStrictEquals(await client.recvEvent(), null);
});

Deno.test("EbsocketClient.sendEvent() queues events until there is a connection, in order", async () => {
  const { server, client, session, statuses } = await start();
  const port = server.address[1];
  await server.stop();
  await session.close();
  await next(statuses, "disconnected");
  send(client, "a", "b", "c");
  assertGreater(client.pendingBytes, 0);
  await using again = new FakeServer(ACKS, port);
  const reconnecting = next(statuses, "reconnected");
  await until(() => client.connected);
  send(client, "d");
  const second = await again.session();
  assertEquals(await second.events(4), ["a", "b", "c", "d"]);
  const { waiting, dropped, id, afterMs } = await reconnecting;
  assertEquals(waiting, 3);
  assertEquals(dropped, 0);
  assertEquals(id, "c1");
  assertGreaterOrEqual(afterMs, 0);
  await client.abort();
});

Deno.test("EbsocketClient.status() reports unconfirmed events", async () => {
  const { server, client, session, statuses } = await start();
  send(client, "a", "b", "c");
  assertEquals(await session.events(3), ["a", "b", "c"]);
  await session.ack(1);
  await session.close("shutdown");
  const { info, unconfirmed, acknowledged, waiting } = await next(statuses, "disconnected");
  assertEquals(info.reason, "shutdown");
  assert(acknowledged);
  assertEquals(waiting, 0);
  assertEquals(namesOf(unconfirmed), ["b", "c"]);
  const second = await server.session();
  send(client, "d");
  assertEquals(await second.events(1), ["d"]); // b and c are not sent again
  await second.ack(1);
  await client.close();
  const closed = await next(statuses, "closed");
  assertEquals(closed.unconfirmed, []);
  assertEquals(closed.unsent, []);
  assertEquals(closed.info.reason, "local");
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient resends events that a dead socket has not taken", async () => {
  const { server, client, session, statuses } = await start({ maxPendingBytes: 32_000_000 });
  // Nobody reads, so that most of it stays with the client.
  const text = "x".repeat(100_000);
  for (let i = 0; i < 300; i++) client.sendEvent(new EbsocketEvent(`${i}`, { text }));
  await untilStill(() => client.pendingBytes, 30);
  assertGreater(client.pendingBytes, 1_000_000);
  await session.close();
  const { unconfirmed, waiting } = await next(statuses, "disconnected");
  assertEquals(unconfirmed.length + waiting, 300);
  assertEquals(namesOf(unconfirmed), Array.from(unconfirmed, (_, i) => `${i}`));
  assertGreater(unconfirmed.length, 0, `${unconfirmed.length}, ${waiting}`);
  assertGreater(waiting, 0, `${unconfirmed.length}, ${waiting}`);
  const second = await server.session();
  const rest = Array.from({ length: waiting }, (_, i) => `${unconfirmed.length + i}`);
  assertEquals(await second.events(waiting), rest);
  await second.ack(waiting);
  await client.close();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.flush() waits for acknowledgements, across connections", async () => {
  const { server, client, session } = await start();
  await client.flush();
  send(client, "a", "b");
  let isFlushed = false;
  const flushing = client.flush().then(() => isFlushed = true);
  await session.events(2);
  await session.ack(1);
  await session.send({ event: "x" });
  await client.recvEvent();
  assertFalse(isFlushed);
  await session.ack(2);
  await soon(flushing, "the flush");
  send(client, "c");
  const failing = assertRejects(() => client.flush(), ConnectionClosedError, "in flight");
  await session.events(1);
  const port = server.address[1];
  await server.stop();
  await session.close();
  await failing;
  send(client, "d");
  const waiting = client.flush();
  await using again = new FakeServer(ACKS, port);
  const second = await again.session();
  await second.events(1);
  await second.ack(1);
  await soon(waiting, "the flush over the next connection");
  await client.close();
});

Deno.test("EbsocketClient.flush() of queued events rejects when the client is closed", async () => {
  const { server, client, session, statuses } = await start();
  await server.stop();
  await session.close();
  await next(statuses, "disconnected");
  send(client, "a");
  const failing = assertRejects(() => client.flush(), ConnectionClosedError, "unsent");
  await client.close();
  await failing;
  const { unsent, info } = await next(statuses, "closed");
  assertEquals(namesOf(unsent), ["a"]);
  assertObjectMatch(info, { unsentLines: 1, reason: "local" });
});

Deno.test("EbsocketClient.close() waits for acknowledgements", async () => {
  const { server, client, session, statuses } = await start({ maxUnreadEvents: 1 });
  // The inbox is full, so that nothing is read until close() asks for it.
  await session.send({ event: "x" });
  await session.send({ event: "y" });
  await until(() => client.connected);
  send(client, "a", "b");
  assertEquals(await session.events(2), ["a", "b"]);
  const closing = client.close();
  assertFalse(client.connected);
  await assertRejects(() => client.sendEvent(new EbsocketEvent("c")), ConnectionClosedError);
  await session.ack(2);
  assertStrictEquals(await session.line(), null);
  await session.close();
  await soon(closing, "the end");
  const { unconfirmed, info } = await next(statuses, "closed");
  assertEquals(unconfirmed, []);
  assertObjectMatch(info, { reason: "local", unsentLines: 0 });
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.close() does not wait for acknowledgements for ever", async () => {
  const { server, client, session, statuses } = await start({ drainTimeout: 20 });
  send(client, "a", "b");
  assertEquals(await session.events(2), ["a", "b"]);
  await session.ack(1);
  const closing = client.close();
  assertStrictEquals(await session.line(), null);
  await session.close();
  await soon(closing, "the end");
  const { unconfirmed } = await next(statuses, "closed");
  assertEquals(namesOf(unconfirmed), ["b"]);
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.close() and abort() work at any moment, and leave nothing behind", async () => {
  for (const end of ["close", "abort"] as const) {
    for (let turns = 0; turns < 12; turns++) {
      const { server, client, session, statuses } = await start();
      if (turns % 2) await server.stop();
      await session.close();
      for (let i = 0; i < turns; i++) await turn();
      await soon(client[end](), "the end");
      assertFalse(client.connected);
      await client.closed;
      assertEquals((await next(statuses, "closed")).type, "closed");
      await server[Symbol.asyncDispose]();
    }
  }
});

Deno.test("EbsocketClient.close() does not wait for a delay or a token", async () => {
  const server = new FakeServer(ACKS);
  let asked = 0;
  const never = Promise.withResolvers<string>();
  const client = new EbsocketClient({
    reconnect: { minDelay: 1, maxDelay: 60_000 },
    token: () => ++asked === 1 ? "first" : never.promise,
  });
  await client.connectTo(server.address);
  const session = await server.session();
  assertEquals(session.hello.token, "first");
  await session.close("shutdown");
  await until(() => asked === 2);
  await soon(client.close(), "the end");

  const patient = new EbsocketClient({ reconnect: { minDelay: 1_000_000_000, maxDelay: 1e9 } });
  const statuses = collect(patient);
  await patient.connectTo(server.address);
  await (await server.session()).close();
  await next(statuses, "disconnected");
  await soon(patient.close(), "the end");
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient with reconnect throws when too many events wait", async () => {
  const reconnect = { ...QUICK, maxQueuedEvents: 2 };
  const { server, client, session, statuses } = await start({ reconnect });
  await server.stop();
  await session.close();
  await next(statuses, "disconnected");
  await client.sendEvent(new EbsocketEvent("a"));
  await client.sendEvent(new EbsocketEvent("b"));
  const error = await assertRejects(() => client.sendEvent(new EbsocketEvent("c")), EbsocketError);
  assertEquals(error.code, "queue-full");
  assertMatch(
    error.message,
    /: there is no connection, 2 events of \d+ bytes wait, and reconnect\./,
  );
  send(client, "d"); // is refused as well, and must not end the program
  await client.close();
  const { unsent, dropped, info } = await next(statuses, "closed");
  assertEquals(namesOf(unsent), ["a", "b"]);
  assertEquals(dropped, 0);
  assertEquals(info.unsentLines, 4);
});

Deno.test("EbsocketClient with reconnect drops events by its policy, and counts them", async () => {
  for (const [overflow, kept] of [["drop-oldest", "bc"], ["drop-newest", "ab"]] as const) {
    const reconnect = { ...QUICK, maxQueuedEvents: 2, overflow };
    const { server, client, session, statuses } = await start({ reconnect });
    const port = server.address[1];
    await server.stop();
    await session.close();
    await next(statuses, "disconnected");
    for (const name of "abc") await client.sendEvent(new EbsocketEvent(name));
    await using again = new FakeServer(ACKS, port);
    const second = await again.session();
    assertEquals((await second.events(2)).join(""), kept);
    assertEquals((await next(statuses, "reconnected")).dropped, 1);
    await second.ack(2);
    await client.close();
    assertEquals((await next(statuses, "closed")).dropped, 1);
  }
});

Deno.test("EbsocketClient with reconnect ends for reasons that no retry can mend", async () => {
  const reasons = [
    "unauthorized",
    "bad-event",
    "bad-json",
    "bad-utf8",
    "too-deep",
    "line-too-long",
  ];
  for (const reason of reasons) {
    const { server, client, session, statuses } = await start();
    send(client, "a");
    await session.events(1);
    await session.close(reason, { detail: "no" });
    assertStrictEquals(await soon(client.recvEvent(), "the end"), null);
    const { info, unconfirmed } = await next(statuses, "closed");
    assertObjectMatch(info, { reason, detail: "no" });
    assertEquals(namesOf(unconfirmed), ["a"]);
    assertEquals(await client.closed, info);
    assertEquals(server.accepted, 1);
    await server[Symbol.asyncDispose]();
  }
});

Deno.test("EbsocketClient with reconnect ignores a close reason that only a client can have", async () => {
  const { server, client, session, statuses } = await start();
  const reasons = ["local", "aborted"];
  let current = session;
  for (const reason of reasons) {
    await current.close(reason, { detail: "you did" });
    const { info } = await next(statuses, "disconnected");
    const words = `the server gave the reason "${reason}", which no server can give`;
    assertObjectMatch(info, { reason: "eof", detail: words });
    current = await server.session();
  }
  await next(statuses, "reconnected");
  await client.close();
  assertEquals((await client.closed).detail, "");
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient with reconnect ends when its attempts are used up", async () => {
  const { server, client, session, statuses } = await start({
    reconnect: { ...QUICK, attempts: 3 },
  });
  await server.stop();
  await session.close();
  const { info } = await next(statuses, "closed");
  assertStringIncludes(info.detail, "connection refused");
  assertEquals(info.reason, "eof");
  assertStrictEquals(await client.recvEvent(), null);
  await assertRejects(() => client.sendEvent(new EbsocketEvent("a")), ConnectionClosedError);
});

Deno.test("EbsocketClient.status() reports all changes in order", async () => {
  const server = new FakeServer(ACKS);
  const client = new EbsocketClient({ reconnect: QUICK });
  const statuses = collect(client);
  await client.connectTo(server.address);
  const session = await server.session();
  const port = server.address[1];
  await server.stop();
  await session.close();
  await until(() => statuses.some(({ type }, i) => type === "connecting" && i > 3));
  await using again = new FakeServer(ACKS, port);
  await again.session();
  await until(() => statuses.at(-1)?.type === "reconnected");
  await client.abort();
  await until(() => statuses.at(-1)?.type === "closed");
  const types = statuses.map(({ type }) => type);
  assertEquals(types.slice(0, 4), ["connecting", "connected", "disconnected", "connecting"]);
  assertEquals(types.slice(-2), ["reconnected", "closed"]);
  const attempts = statuses.slice(3, -2);
  for (const [i, status] of attempts.entries()) {
    if (status.type !== "connecting") throw new Error(status.type);
    assertEquals(status.attempt, i + 1);
    assertEquals(status.address[1], port);
    assertEquals(status.error?.message.includes("refused") ?? false, i > 0);
  }
});

Deno.test("EbsocketClient waits longer when the server asks for it", async () => {
  const { server, client, session, statuses } = await start();
  await session.close("shutdown", { retry_after_ms: 600_000 });
  const { retryInMs, info } = await next(statuses, "disconnected");
  assertGreaterOrEqual(retryInMs, 600_000);
  assertLessOrEqual(retryInMs, 600_001);
  assertEquals(info.retryAfterMs, 600_000);
  await soon(client.close(), "the end");
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.connectTo() with reconnect keeps trying", async () => {
  const first = new FakeServer();
  const port = first.address[1];
  await first.stop();
  const client = new EbsocketClient({ reconnect: QUICK });
  const statuses = collect(client);
  const connecting = client.connectTo(["127.0.0.1", port]);
  await until(() => statuses.length > 3);
  await using server = new FakeServer(ACKS, port);
  await soon(connecting, "the connection");
  await server.session();
  assert(client.connected);
  await client.abort();
});

Deno.test("EbsocketClient.connectTo() with reconnect rejects after its last attempt, with the reason", async () => {
  const address = ["127.0.0.1", freePort()] as const;
  const client = new EbsocketClient({ reconnect: { ...QUICK, attempts: 3 } });
  const statuses = collect(client);
  const error = await assertRejects(() => client.connectTo(address), ConnectError);
  assertStringIncludes(error.message, "connection refused");
  assertEquals(statuses.map(({ type }) => type), Array(3).fill("connecting"));
  const late = await assertRejects(
    () => new EbsocketClient({ reconnect: QUICK }).connectTo(address, { timeout: 1000 }),
    ConnectError,
  );
  assert(/no answer within 1000 ms .*refused/.test(late.message), late.message);
  const signal = AbortSignal.timeout(20);
  await assertRejects(
    () => new EbsocketClient({ reconnect: QUICK }).connectTo(address, { signal }),
    DOMException,
  );
});

Deno.test("EbsocketClient.connectTo() with reconnect does not insist where it may not connect", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient({ reconnect: QUICK, token: "wrong" });
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await session.close("unauthorized");
  const error = await assertRejects(() => connecting, ConnectError, "unauthorized");
  assertEquals(error.reason, "unauthorized");
  assertEquals(server.accepted, 1);
});

Deno.test("EbsocketClient can be connected again after its end for good", async () => {
  const { server, client, session } = await start();
  await session.close("bad-event");
  assertStrictEquals(await client.recvEvent(), null);
  await client.connectTo(server.address);
  const second = await server.session();
  await second.send({ event: "a" });
  assertEquals((await client.recvEvent())?.event, "a");
  send(client, "b");
  assertEquals(await second.events(1), ["b"]);
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient without acknowledgements keeps only unsent events", async () => {
  const { server, client, session, statuses } = await start({ maxPendingBytes: 1_000_000 }, {});
  const event = new EbsocketEvent("n", { text: "x".repeat(1000) });
  const sending = (async () => {
    for (let i = 0; i < 5000; i++) await client.sendEvent(event);
    await client.flush();
  })();
  await session.events(5000);
  await soon(sending, "the flush");
  await session.close();
  const { unconfirmed, acknowledged, waiting } = await next(statuses, "disconnected");
  assertEquals(unconfirmed, []);
  assertFalse(acknowledged);
  assertEquals(waiting, 0);
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient makes a sender wait while too much is not acknowledged", async () => {
  const { server, client, session } = await start({ maxPendingBytes: 10_000 });
  const event = new EbsocketEvent("n", { text: "x".repeat(1000) });
  let sent = 0;
  const sending = (async () => {
    for (; sent < 100; sent++) await client.sendEvent(event);
  })();
  let got = 0;
  while (got < 100) {
    await session.events(1);
    got++;
    assertLess(sent - got, 10, `${sent} sent, ${got} acknowledged`);
    await session.ack(got);
  }
  await soon(sending, "the sender");
  await client.flush();
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient does not make a sender wait for acknowledgements that a full inbox holds back", async () => {
  const limits = { maxPendingBytes: 500, maxUnreadEvents: 4 };
  const reconnect = { ...QUICK, maxQueuedEvents: 4 };
  const { server, client, session } = await start({ ...limits, reconnect });
  const big = new EbsocketEvent("big", { text: "x".repeat(400) });
  const waiting = client.sendEvent(big);
  await session.write('{"event":"a"}\n'.repeat(4));
  await soon(waiting, "room while the inbox is full");
  for (let i = 0; i < 2; i++) await soon(client.sendEvent(big), "room before the inbox is read");
  let hasRoom = false;
  const last = client.sendEvent(big).then(() => hasRoom = true); // The queue is half full.
  await turn();
  assertFalse(hasRoom);
  for (let i = 0; i < 4; i++) await client.recvEvent();
  assertEquals((await session.events(1)).length, 1);
  for (let i = 1; i < 4; i++) {
    await session.ack(i);
    await session.events(1);
  }
  await session.ack(4);
  await soon(last, "room after the acknowledgements");
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient accepts a late welcome", async () => {
  const { server, client, session, statuses } = await start({}, null);
  send(client, "a", "b");
  await session.events(2);
  assertStrictEquals(client.id, null);
  await session.send({
    control: "welcome",
    id: "late",
    ack: true,
    limits: { max_line_bytes: 100 },
  });
  await session.ack(1);
  await until(() => client.id === "late");
  send(client, "c");
  await session.events(1);
  await session.ack(2);
  await session.send({ event: "x" });
  await client.recvEvent();
  await session.close();
  const { unconfirmed, acknowledged } = await next(statuses, "disconnected");
  assertEquals(namesOf(unconfirmed), ["c"]);
  assert(acknowledged);
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient reports events before a late welcome as unconfirmed if they were not acknowledged", async () => {
  for (const acked of [1, 2]) {
    const { server, client, session, statuses } = await start({}, null);
    send(client, "a", "b");
    await session.events(2);
    await client.flush(); // which can only wait for the operating system
    await session.send({ control: "welcome", id: "late", ack: true });
    await session.ack(acked);
    await session.send({ event: "x" });
    await client.recvEvent();
    await session.close();
    const { unconfirmed, acknowledged } = await next(statuses, "disconnected");
    assertEquals(unconfirmed, []);
    assertEquals(acknowledged, acked === 2);
    await client.abort();
    await server[Symbol.asyncDispose]();
  }
});

Deno.test("EbsocketClient sends nothing before a welcome after a connection with acknowledgements", async () => {
  const { server, client, session, statuses } = await start();
  send(client, "a");
  await session.events(1);
  await session.ack(1);
  await client.flush();
  server.welcome = null;
  const silent = await comesBack(server, session);
  await next(statuses, "disconnected");
  send(client, "b");
  let isFlushed = false;
  const flushing = client.flush().then(() => isFlushed = true);
  // Longer than it waits for a server of which it knows nothing.
  await pause(700);
  assertFalse(client.connected);
  assertFalse(isFlushed);
  assertGreater(client.pendingBytes, 0);
  await silent.send({ control: "welcome", version: 1, id: "c2", ...ACKS });
  assertEquals(await silent.events(1), ["b"]);
  assertEquals((await next(statuses, "reconnected")).id, "c2");
  await silent.ack(1);
  await soon(flushing, "the flush");
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.connectTo() with reconnect tries again where no welcome comes in time", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient({ reconnect: QUICK, sequence: true });
  const statuses = collect(client);
  await client.subscribe(["a"]);
  const connecting = client.connectTo(server.address, { timeout: 60_000 });
  await server.session();
  await until(() => statuses.length > 1);
  const { attempt, error } = await next(statuses.splice(1), "connecting");
  assertEquals(attempt, 2);
  assertEquals(error?.code, "connect-failed");
  assertStrictEquals(error?.reason, undefined);
  const session = await server.session();
  await session.send({ control: "welcome", version: 1, id: "c2", features: FEATURES.features });
  const { id } = await said(session);
  await session.send({ control: "ack", id });
  await soon(connecting, "the connection");
  await client.abort();
});

Deno.test("EbsocketClient.connectTo() with reconnect waits longer each time that a server greets too late", async () => {
  using timers = new Timers();
  await using server = new FakeServer(null);
  const client = new EbsocketClient({ reconnect: QUICK });
  const statuses = collect(client);
  await client.subscribe(["a"]);
  const connecting = client.connectTo(server.address, { timeout: Infinity });
  await next(statuses, "connecting");
  let silent = await server.session();
  for (const ms of [4000, 8000, 16_000, 32_000, 32_000]) {
    timers.fire(ms);
    const { error } = await next(statuses, "connecting");
    assert(error?.message.includes(`no answer within ${ms} ms`), error?.message);
    silent = await server.session();
  }
  await silent.send({ control: "welcome", version: 1, id: "c6", ...FEATURES });
  await silent.send({ control: "ack", id: (await said(silent)).id });
  await soon(connecting, "the connection");
  await silent.close();
  await next(statuses, "connecting");
  await server.session();
  timers.fire(4000); // and again as at first
  const { error } = await next(statuses, "connecting");
  assert(error?.message.includes("no answer within 4000 ms"), error?.message);
  await client.abort();
});

Deno.test("EbsocketClient drops the events of a failed attempt", async () => {
  const server = new FakeServer(null);
  const client = new EbsocketClient({ reconnect: QUICK, token: "x", sequence: true });
  const statuses = collect(client);
  const connecting = client.connectTo(server.address);
  for (let attempt = 1; attempt < 3; attempt++) {
    const session = await server.session();
    for (const seq of [1, 5]) await session.send({ seq, event: `stale${attempt}` });
    await session.close("shutdown");
  }
  const session = await server.session();
  await session.send({ seq: 1, event: "early" });
  await session.send({ control: "welcome", version: 1, id: "c3", features: FEATURES.features });
  await session.send({ seq: 2, event: "late" });
  await soon(connecting, "the connection");
  assertEquals((await client.recvEvent())?.event, "early");
  assertEquals((await client.recvEvent())?.event, "late");
  assertEquals(statuses.filter(({ type }) => type === "gap"), []);
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient keeps a limited number of events before the welcome, and counts the rest", async () => {
  const server = new FakeServer(null);
  const client = new EbsocketClient({ reconnect: QUICK, token: "x", maxUnreadEvents: 1000 });
  const statuses = collect(client);
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  const total = 100_000;
  await session.write('{"event":"flood"}\n'.repeat(total));
  await session.send({ control: "welcome", version: 1, id: "c1", ...ACKS });
  await soon(connecting, "the connection");
  await session.send({ event: "late" });
  const { missed } = await next(statuses, "gap");
  let received = 0;
  while ((await client.recvEvent())?.event === "flood") received++;
  assertEquals(received + missed, total);
  // What was read at once may come on top, which is less than 128 KiB.
  assertGreaterOrEqual(received, 1000);
  assertLess(received, 1000 + 131_072 / 18);
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient keeps a limited number of bytes before the welcome", async () => {
  const server = new FakeServer(null);
  const client = new EbsocketClient({ token: "x", maxUnreadBytes: 100_000 });
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await session.write(`{"event":"${"x".repeat(200)}"}\n`.repeat(20_000));
  await session.send({ control: "welcome", version: 1, id: "c1" });
  await soon(connecting, "the connection");
  const [events] = await client.pump();
  assertGreater(events.length, 0);
  assertLess(events.length, (100_000 + 131_072) / 200);
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient ends an attempt that is flooded without a welcome, and tries again", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient({ token: "x" });
  const failing = assertRejects(
    () => client.connectTo(server.address, { timeout: Infinity }),
    ConnectError,
    "bytes came before the greeting was over",
  );
  const session = await server.session();
  const flood = `{"event":"a","__dict__":{"text":"${"x".repeat(100_000)}"}}\n`.repeat(10);
  await assertRejects(async () => {
    for (;;) await session.write(flood);
  });
  const { reason } = await soon(failing, "the end") as ConnectError;
  assertEquals(reason, "rate-limited");
  assertFalse(isFinal(reason));
});

Deno.test("EbsocketClient that asks for nothing sends no more than its hello", async () => {
  const { server, client, session } = await start({ reconnect: false });
  assertEquals(session.hello.ack, undefined);
  send(client, "a");
  await session.events(1);
  await session.ack(1);
  await session.send({ event: "x" });
  await client.recvEvent();
  await client.flush();
  await session.close("shutdown");
  assertStrictEquals(await client.recvEvent(), null);
  assertEquals((await client.closed).reason, "shutdown");
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient reconnects to a restarted relay with a token", async () => {
  let relay = new Relay(new EbsocketServer(["127.0.0.1", freePort()]), { token: "secret" });
  const { address } = relay.server;
  let asked = 0;
  const token = () => (asked++, Promise.resolve("secret"));
  await using client = new EbsocketClient({ reconnect: QUICK, token });
  const statuses = collect(client);
  await client.connectTo(address);
  assertEquals(client.id, "c1");
  for (let life = 0; life < 5; life++) {
    client.sendEvent(new EbsocketEvent("n", { life }));
    await soon(client.flush(), "the acknowledgement");
    assertEquals((await soon(client.recvEvent(), "the event"))?.getAttribute("life"), life);
    await relay.close();
    const { info, unconfirmed, acknowledged } = await next(statuses, "disconnected");
    assertEquals(info.reason, "shutdown");
    assertEquals(unconfirmed, []);
    assert(acknowledged);
    relay = new Relay(new EbsocketServer(address), { token: "secret" });
    await next(statuses, "reconnected");
  }
  assertGreaterOrEqual(asked, 6);
  await relay.close();
  // The relay does not let in who had been let in before.
  await using stranger = new Relay(new EbsocketServer(address), { token: "another" });
  assertStrictEquals(await soon(client.recvEvent(), "the end"), null);
  assertEquals((await client.closed).reason, "unauthorized");
  assertEquals(stranger.clients.length, 0);
});

Deno.test({
  name: "EbsocketClient.connectTo() connects to the path of a Unix socket",
  ignore: Deno.build.os === "windows",
  async fn() {
    using folder = new TempFolder();
    const path = `${folder.path}/relay`;
    const client = new EbsocketClient({ reconnect: QUICK });
    const statuses = collect(client);
    const options = { timeout: 20 };
    await assertRejects(() => client.connectTo({ path }, options), ConnectError, path);
    {
      await using _ = new Relay(new EbsocketServer({ path }));
      await client.connectTo({ path });
      assertEquals(client.address, [path, 0]);
      assertEquals(client.id, "c1");
      send(client, "a");
      await client.flush();
    }
    assertEquals((await next(statuses, "disconnected")).address, [path, 0]);
    await client.close();
    await assertRejects(() => client.connectTo({ path: "" }), TypeError, "path");
    const secure = new EbsocketClient({ tls: true });
    await assertRejects(() => secure.connectTo({ path }), TypeError, "not with path");
  },
});

Deno.test("EbsocketClients of a restarted relay come back one after the other", async () => {
  const count = 100;
  const relay = new Relay(new EbsocketServer(["127.0.0.1", freePort()]), { retryAfter: 100 });
  const clients = Array.from(
    { length: count },
    () => new EbsocketClient({ reconnect: { minDelay: 500 } }),
  );
  const delays: number[] = [];
  const watching = clients.map(async (client) => {
    for await (const status of client.status()) {
      if (status.type === "disconnected") delays.push(status.retryInMs);
    }
  });
  await Promise.all(clients.map((client) => client.connectTo(relay.server.address)));
  await relay.close();
  await until(() => delays.length === count);
  await using again = new Relay(new EbsocketServer(relay.server.address));
  await until(() => again.clients.length === count);
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(watching);
  // Spread over half a second, after the time for which the relay asked.
  assert(delays.every((delay) => delay >= 100 && delay <= 600), `${delays}`);
  const early = delays.filter((delay) => delay < 350).length;
  assertGreater(early, count / 5, `${early} of ${count} in the first half`);
  assertLess(early, 4 * count / 5, `${early} of ${count} in the first half`);
});

Deno.test({
  name: "EbsocketClient finds its way back over TLS, with a certificate of its own",
  ignore: !certificates,
  async fn() {
    const { server: pair, client: own, ca } = certificates!;
    const tls = { ...pair, clientCa: ca };
    let relay = new Relay(new EbsocketServer({ hostname: "127.0.0.1", port: 0, tls }));
    const { address } = relay.server;
    const client = new EbsocketClient({ reconnect: QUICK, tls: { caCerts: ca, ...own } });
    const statuses = collect(client);
    await client.connectTo(address);
    for (let life = 0; life < 3; life++) {
      client.sendEvent(new EbsocketEvent("n", { life }));
      await soon(client.flush(), "the acknowledgement");
      assertEquals((await soon(client.recvEvent(), "the event"))?.getAttribute("life"), life);
      await relay.close();
      assertEquals((await next(statuses, "disconnected")).unconfirmed, []);
      relay = new Relay(new EbsocketServer({ hostname: address[0], port: address[1], tls }));
      await next(statuses, "reconnected");
    }
    await client.close();
    const stranger = new EbsocketClient({ tls: { caCerts: ca } });
    const error = await assertRejects(() => stranger.connectTo(address), ConnectError);
    assert(error.message.startsWith(`Cannot connect to 127.0.0.1:${address[1]}: `));
    await relay.close();
    assertThrows(
      () => new EbsocketClient({ tls: { caCerts: "no certificate" } }),
      TypeError,
      "tls",
    );
  },
});

Deno.test("EbsocketClient with reconnect keeps events for its first connection", async () => {
  const port = freePort();
  await using client = new EbsocketClient({ reconnect: QUICK });
  assertEquals(await client.sendEvent(new EbsocketEvent("a")), undefined);
  const failing = client.connectTo(["127.0.0.1", port], { timeout: 1000 });
  send(client, "b");
  await assertRejects(() => failing, ConnectError, "no answer within 1000 ms");
  send(client, "c");
  const asking = client.request(new EbsocketEvent("ask"), { timeout: Infinity });
  await assertRejects(() => client.request(new EbsocketEvent("late"), { timeout: 1 }));
  const bound = client.sendEvent(new EbsocketEvent("d"), { to: "c1" });
  await assertRejects(() => bound, ConnectionClosedError, "not connected, and client IDs change");
  assertGreater(client.pendingBytes, 0);

  const connecting = client.connectTo(["127.0.0.1", port], { timeout: Infinity });
  const sent = client.sendEvent(new EbsocketEvent("e"), { confirm: true });
  const flushed = client.flush();
  await using server = new FakeServer(FEATURES, port);
  const session = await server.session();
  await connecting;
  const lines = [];
  while (lines.length < 5) lines.push(await said(session));
  assertEquals(lines.map(({ event }) => event), ["a", "b", "c", "ask", "e"]);
  await session.send({ event: "answer", reply_to: lines[3]!.id });
  await session.send({ control: "ack", id: lines[4]!.ack, clients: 3 });
  await session.ack(5);
  assertEquals((await asking).event, "answer");
  assertEquals(await sent, 3);
  await flushed;
  await session.close();
});

Deno.test("EbsocketClient with reconnect that never connects reports unsent events", async () => {
  const client = new EbsocketClient({ reconnect: QUICK });
  send(client, "a", "b");
  const asking = client.request(new EbsocketEvent("ask"));
  const failing = assertRejects(() => asking, ConnectionClosedError, "the client was closed");
  await client.close();
  await failing;
  const { reason, unsentLines } = await client.closed;
  assertEquals(reason, "local");
  assertEquals(unsentLines, 3);
  const late = new EbsocketEvent("c");
  await assertRejects(() => client.sendEvent(late), ConnectionClosedError, "Cannot send Ebs");
  await assertRejects(() => client.request(late), ConnectionClosedError, "Cannot request Ebs");

  const other = new EbsocketClient({ reconnect: { ...QUICK, maxQueuedEvents: 2 } });
  const statuses = collect(other);
  const connecting = other.connectTo(["127.0.0.1", freePort()], { timeout: Infinity });
  send(other, "a", "b");
  const full = await other.sendEvent(new EbsocketEvent("c")).catch((error) => error.code);
  await other.close();
  await connecting;
  const { unsent, info } = await next(statuses, "closed");
  assertEquals(namesOf(unsent), ["a", "b"]);
  assertEquals(info.unsentLines, 3);
  assertEquals(full, "queue-full");

  await using server = new FakeServer(ACKS);
  for (const each of [client, other, new EbsocketClient({ reconnect: QUICK })]) {
    await each.close(); // Also of one that was never connected.
    await each.connectTo(server.address);
    send(each, "d");
    assertEquals(await (await server.session()).events(1), ["d"]);
    await each.abort();
  }
});

Deno.test("EbsocketClient without reconnect keeps no events while it is not connected", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient();
  const connecting = client.connectTo(server.address);
  assertThrows(
    () => client.sendEvent(new EbsocketEvent("a")),
    ConnectionClosedError,
    "await connect",
  );
  await connecting;
  await client.abort();
});
