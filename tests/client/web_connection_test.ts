/** The connection of a client by WebSocket, with a server that says each message itself. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import type { ClientOptions } from "../../client/options.ts";
import type { ClientStatus, DisconnectedStatus } from "../../client/status.ts";
import { webPort } from "../../client/web_port.ts";
import { ConnectError, ConnectionClosedError } from "../../errors.ts";
import { EbsocketClient } from "../../web.ts";
import { freePort } from "../support/free_port.ts";
import { pause, soon, until, untilStill } from "../support/waiting.ts";
import { FakePage, WebServer, type WebSession } from "../support/web_server.ts";

const RELAY = { ack: true, features: ["subscribe", "ack", "sequence", "stats", "window"] };

/** A client and its connection to a server, all of which end together. */
class Pair implements AsyncDisposable {
  private constructor(
    readonly server: WebServer,
    readonly client: EbsocketClient,
    readonly session: WebSession,
    readonly hello: Record<string, unknown>,
  ) {}

  static async connect(options: ClientOptions = {}, welcome: object = RELAY): Promise<Pair> {
    const server = new WebServer(welcome);
    const client = new EbsocketClient(options);
    await client.connectTo(server.url);
    const session = await server.session();
    const [hello] = await session.lines(1);
    return new Pair(server, client, session, hello!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.abort();
    await this.server[Symbol.asyncDispose]();
  }
}

/** Waits for the next status of this type. */
async function next<T extends ClientStatus["type"]>(
  statuses: AsyncGenerator<ClientStatus>,
  type: T,
): Promise<ClientStatus & { type: T }> {
  for (;;) {
    const { value } = await soon(statuses.next(), type);
    if (value?.type === type) return value as ClientStatus & { type: T };
  }
}

Deno.test("EbsocketClient.connectTo() takes a ws: URL as a text and as an object", async () => {
  await using server = new WebServer();
  for (const url of [server.url, new URL("/some/ws?x=1", server.url)]) {
    await using client = new EbsocketClient();
    await client.connectTo(url);
    assert(client.connected);
    assertEquals(client.address, ["127.0.0.1", Number(new URL(server.url).port)]);
  }
});

Deno.test("EbsocketClient.connectTo() names a URL that is no ws: or wss: URL", async () => {
  const client = new EbsocketClient();
  for (const url of ["http://127.0.0.1/", "127.0.0.1:7982", "", new URL("https://a.example")]) {
    await assertRejects(() => client.connectTo(url), TypeError, "expected a ws: or wss: URL");
  }
  assertThrows(() => webPort.check("wss://a.example", true), TypeError, "use wss:");
});

Deno.test("EbsocketClient.connectTo() rejects where no WebSocket comes about", async () => {
  const port = freePort();
  const error = await assertRejects(
    () => new EbsocketClient().connectTo(`ws://127.0.0.1:${port}`),
    ConnectError,
  );
  assertStringIncludes(error.message, `Cannot connect to 127.0.0.1:${port}: `);
});

Deno.test("EbsocketClient.connectTo() gives up at its timeout and signal", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 }); // which never answers
  const url = `ws://127.0.0.1:${listener.addr.port}`;
  const client = new EbsocketClient();
  await assertRejects(() => client.connectTo(url, { timeout: 50 }), ConnectError, "within 50 ms");
  const signal = AbortSignal.timeout(50);
  await assertRejects(() => client.connectTo(url, { signal }), DOMException);
  assertFalse(client.connected);
});

Deno.test("EbsocketClient promises what the timers of a hidden page can keep", async () => {
  await using pair = await Pair.connect();
  assertEquals(pair.hello.keep_alive_ms, 90_000);
  await using slow = await Pair.connect({ keepAliveInterval: 120_000 });
  assertEquals(slow.hello.keep_alive_ms, 120_000);
  await using silent = await Pair.connect({ keepAliveInterval: Infinity });
  assertEquals(silent.hello.keep_alive_ms, undefined);
});

Deno.test("EbsocketClient sends empty messages as signs of life", async () => {
  await using pair = await Pair.connect({ keepAliveInterval: 600 });
  await until(() => pair.session.messages.includes(""));
});

Deno.test("EbsocketClient receives one or more lines of a message, with or without its end", async () => {
  await using pair = await Pair.connect();
  pair.session.socket.send('{"event":"a"}');
  pair.session.socket.send('{"event":"b"}\n');
  pair.session.socket.send("");
  pair.session.socket.send('{"event":"c"}\r\n\n{"event":"d"}');
  for (const name of ["a", "b", "c", "d"]) {
    assertEquals((await pair.client.recvEvent())?.event, name);
  }
});

Deno.test("EbsocketClient sends the events of a turn in one message, whole lines in order", async () => {
  await using pair = await Pair.connect();
  for (let i = 0; i < 10_000; i++) await pair.client.send("tick", { i });
  const messages: string[] = [];
  const received = () => messages.join("\n").split("\n").length;
  while (messages.length === 0 || received() < 10_000) messages.push(await pair.session.message());
  const values = messages.join("\n").split("\n").map((line) => JSON.parse(line).__dict__.i);
  assertEquals(values, Array.from({ length: 10_000 }, (_, i) => i));
  assertLess(messages.length, 200);
  for (const message of messages) assertLess(message.length, 70_000);
  await pair.client.flush();
  assertEquals(pair.client.pendingBytes, 0);
});

Deno.test("EbsocketClient refuses a binary message, and keeps the lines before it", async () => {
  await using pair = await Pair.connect();
  pair.session.send({ event: "a" });
  pair.session.socket.send(new Uint8Array([1]));
  pair.session.send({ event: "b" });
  const { reason, detail } = await pair.client.closed;
  assertEquals(reason, "bad-json");
  assertStringIncludes(detail, "binary");
  assertEquals((await pair.client.recvEvent())?.event, "a");
  assertEquals(await pair.client.recvEvent(), null);
  assertObjectMatch((await pair.session.lines(1))[0]!, { control: "close", reason: "bad-json" });
});

Deno.test("EbsocketClient refuses a line that is too long", async () => {
  const welcome = { limits: { max_line_bytes: 100 } };
  await using pair = await Pair.connect({ maxLineBytes: 100 }, welcome);
  pair.session.socket.send(`{"event":"a"}\n{"event":"${"x".repeat(300)}"}`);
  assertEquals((await pair.client.closed).reason, "line-too-long");
});

Deno.test("EbsocketClient.close() sends what is queued, then closes with code 1000", async () => {
  await using pair = await Pair.connect();
  pair.client.send("last", { text: "x".repeat(200_000) });
  await pair.client.close();
  const [event] = await pair.session.lines(1);
  assertEquals(event!.event, "last");
  const { code, reason } = await pair.session.closed;
  assertEquals(code, 1000);
  assertEquals(reason, "local");
  assertObjectMatch(await pair.client.closed, { reason: "local", unsentLines: 0, unsentBytes: 0 });
  await assertRejects(() => pair.client.send("more"), ConnectionClosedError);
});

Deno.test("EbsocketClient.abort() ends at once, and counts what is unsent", async () => {
  await using pair = await Pair.connect();
  pair.client.send("a");
  pair.client.send("b");
  await pair.client.abort();
  const bytes = 2 * '{"event":"a","__dict__":{}}\n'.length;
  const info = { reason: "aborted", unsentLines: 2, unsentBytes: bytes };
  assertObjectMatch(await pair.client.closed, info);
});

for (
  const [name, end, expected] of [
    ["the reason of a close line", (session) => {
      session.send({ control: "close", reason: "shutdown", detail: "for an update" });
      session.socket.close(1001, "eof");
    }, { reason: "shutdown", detail: "for an update" }],
    ["the word of a Close frame", ({ socket }) => socket.close(1008, "unauthorized"), {
      reason: "unauthorized",
    }],
    ["a Close frame of another server", ({ socket }) => socket.close(1000), { reason: "eof" }],
    ["a word that no server may give", ({ socket }) => socket.close(1000, "local"), {
      reason: "eof",
    }],
    ["the code of another server", ({ socket }) => socket.close(3999, "bye"), {
      reason: "eof",
      detail: "the WebSocket closed with code 3999",
    }],
  ] satisfies [string, (session: WebSession) => void, object][]
) {
  Deno.test(`EbsocketClient.closed has ${name}`, async () => {
    await using pair = await Pair.connect();
    end(pair.session);
    assertObjectMatch(await pair.client.closed, expected);
  });
}

Deno.test("EbsocketClient reconnects, and reports and repeats as over TCP", async () => {
  await using pair = await Pair.connect({ reconnect: { minDelay: 1, maxDelay: 5 } });
  const statuses = pair.client.status();
  pair.client.send("first");
  await pair.session.lines(1);
  pair.session.send({ control: "ack", events: 1 });
  pair.client.send("second");
  await pair.session.lines(1);
  pair.session.socket.close(1001, "shutdown");
  const { info, unconfirmed, waiting } = await next(statuses, "disconnected");
  assertEquals(info.reason, "shutdown");
  assertEquals(unconfirmed.map(({ event }) => event), ["second"]);
  assertEquals(waiting, 0);
  pair.client.send("third");
  await next(statuses, "reconnected");
  const session = await pair.server.session();
  const [hello, third] = await session.lines(2);
  assertEquals(hello!.control, "hello");
  assertEquals(third!.event, "third");
});

// Credit

/** A line of exactly `bytes` bytes with its end. */
function lineOf(bytes: number): string {
  const [before, after] = ['{"event":"a","__dict__":{"x":"', '"}}'];
  return before + "x".repeat(bytes - before.length - after.length - 1) + after;
}

Deno.test("EbsocketClient reports a quarter of its window as read", async () => {
  await using pair = await Pair.connect();
  assertEquals(pair.hello.window, 1_048_576);
  pair.session.socket.send(lineOf(262_143));
  pair.session.send({ control: "ack", id: "not an event" });
  pair.session.socket.send('{"event":"b","__dict__":{"x":"é"}}\n');
  const bytes = 262_143 + '{"event":"b","__dict__":{"x":"??"}}\n'.length;
  assertEquals(await pair.session.lines(1), [{ control: "read", bytes }]);
});

Deno.test("EbsocketClient reports nothing to a server without the feature window", async () => {
  await using pair = await Pair.connect({}, { features: ["subscribe"] });
  pair.session.socket.send(lineOf(1_000_000));
  await pair.client.recvEvent();
  pair.client.send("after");
  assertEquals((await pair.session.lines(1))[0]!.event, "after");
});

Deno.test("EbsocketClient with a full inbox reports nothing more, and holds back the rest", async () => {
  await using pair = await Pair.connect({ maxUnreadEvents: 4 });
  for (let i = 0; i < 8; i++) pair.session.socket.send(lineOf(262_144));
  const reads = await pair.session.lines(4);
  assertEquals(reads, Array(4).fill({ control: "read", bytes: 262_144 }));
  await pause(100);
  assertEquals(pair.session.messages, []);
  for (let i = 0; i < 8; i++) await pair.client.recvEvent();
  assertEquals((await pair.session.lines(4)).length, 4);
});

Deno.test("EbsocketClient asks for no more bytes than its inbox may hold", async () => {
  await using pair = await Pair.connect({ maxUnreadBytes: 1000 });
  assertEquals(pair.hello.window, 1000);
});

Deno.test("EbsocketClient closes where a server sends on although nothing is read", async () => {
  await using pair = await Pair.connect({ maxUnreadEvents: 1 }, { features: [] });
  for (let i = 0; i < 20; i++) pair.session.socket.send(lineOf(1_000_000));
  const { reason, detail } = await soon(pair.client.closed, "the end");
  assertEquals(reason, "rate-limited");
  assertMatch(detail, /^\d+ bytes came while none were read$/);
});

Deno.test("EbsocketClient reports the end after the messages that it holds back", async () => {
  await using pair = await Pair.connect({ maxUnreadEvents: 2 });
  for (const event of ["a", "b", "c", "d"]) pair.session.send({ event });
  pair.session.send({ control: "close", reason: "slow-consumer" });
  pair.session.socket.close(1013, "slow-consumer");
  await until(() => !pair.client.connected);
  const events = await Array.fromAsync(pair.client, ({ event }) => event);
  assertEquals(events, ["a", "b", "c", "d"]);
  assertEquals((await pair.client.closed).reason, "slow-consumer");
});

Deno.test("EbsocketClient that was too slow comes back when it has read and its page is visible", async () => {
  using page = new FakePage();
  await using pair = await Pair.connect({
    maxUnreadEvents: 4,
    reconnect: { minDelay: 1, maxDelay: 2 },
  });
  page.show(false);
  const statuses = pair.client.status();
  for (let i = 0; i < 6; i++) pair.session.send({ event: "a" });
  pair.session.socket.close(1013, "slow-consumer");
  await until(() => !pair.client.connected);
  for (let i = 0; i < 2; i++) await pair.client.recvEvent(); // lets the last two in
  const status: DisconnectedStatus = await next(statuses, "disconnected");
  assert(status.waitsForReader);
  await pause(50);
  assertEquals(pair.server.accepted, 1);
  for (let i = 0; i < 4; i++) await pair.client.recvEvent();
  await pause(50);
  assertEquals(pair.server.accepted, 1);
  page.show(true);
  await next(statuses, "reconnected");
});

// Pages that sleep

for (const type of ["online", "visibilitychange", "resume", "pageshow"]) {
  Deno.test(`EbsocketClient retries at once at ${type}`, async () => {
    using page = new FakePage();
    await using pair = await Pair.connect({ reconnect: { minDelay: 1e9, maxDelay: 1e9 } });
    const statuses = pair.client.status();
    pair.session.socket.close();
    assertFalse((await next(statuses, "disconnected")).waitsForReader);
    const target = type === "online" || type === "pageshow" ? globalThis : page;
    target.dispatchEvent(new Event(type));
    await next(statuses, "reconnected");
  });
}

Deno.test("EbsocketClient waits as long as the server asks, even when its page wakes up", async () => {
  using page = new FakePage();
  await using pair = await Pair.connect({ reconnect: { minDelay: 1e9, maxDelay: 1e9 } });
  const statuses = pair.client.status();
  pair.session.send({ control: "close", reason: "shutdown", retry_after_ms: 200 });
  pair.session.socket.close();
  await next(statuses, "disconnected");
  const began = performance.now();
  const waking = setInterval(() => page.show(true), 10);
  const { afterMs } = await next(statuses, "reconnected");
  clearInterval(waking);
  assertGreater(performance.now() - began, 150);
  assertGreater(afterMs, 150);
});

Deno.test("EbsocketClient whose page is hidden does not retry at online", async () => {
  using page = new FakePage();
  await using pair = await Pair.connect({ reconnect: { minDelay: 1e9, maxDelay: 1e9 } });
  page.show(false);
  pair.session.socket.close();
  await until(() => !pair.client.connected);
  globalThis.dispatchEvent(new Event("online"));
  await pause(50);
  assertEquals(pair.server.accepted, 1);
});

Deno.test("EbsocketClient that wakes up finds out within seconds that its server is gone", async () => {
  using page = new FakePage();
  const welcome = { ...RELAY, keep_alive_ms: 100 };
  await using pair = await Pair.connect(
    { keepAliveTimeout: 1000, keepAliveInterval: 1e6 },
    welcome,
  );
  const { now } = performance;
  performance.now = () => now.call(performance) + 3_600_000; // an hour of sleep
  try {
    page.show(true);
    assertEquals((await soon(pair.client.closed, "the end")).reason, "idle-timeout");
  } finally {
    performance.now = now;
  }
});

Deno.test("EbsocketClient that wakes up stays connected where its server is there", async () => {
  using page = new FakePage();
  const welcome = { ...RELAY, keep_alive_ms: 100 };
  await using pair = await Pair.connect({ keepAliveTimeout: 60_000 }, welcome);
  const { now } = performance;
  performance.now = () => now.call(performance) + 3_600_000;
  try {
    page.show(true);
    pair.session.socket.send("");
    await pause(2500);
    assert(pair.client.connected);
  } finally {
    performance.now = now;
  }
});

Deno.test("EbsocketClient closes where its server breaks the promise to send", async () => {
  await using pair = await Pair.connect({ keepAliveTimeout: 100 }, { keep_alive_ms: 100 });
  const { reason, detail } = await soon(pair.client.closed, "the end");
  assertEquals(reason, "idle-timeout");
  assertStringIncludes(detail, "no sign of life");
});

Deno.test("EbsocketClient.pump() takes what has arrived by WebSocket", async () => {
  await using pair = await Pair.connect();
  pair.session.send({ event: "a" });
  const events: string[] = [];
  while (events.length === 0) {
    const [arrived] = await pair.client.pump();
    events.push(...arrived.map(({ event }) => event));
  }
  assertEquals(events, ["a"]);
});

Deno.test("EbsocketClient.sendEvent() resolves when the WebSocket has taken enough", async () => {
  await using pair = await Pair.connect({ maxPendingBytes: 300_000 });
  const text = "x".repeat(100_000);
  let most = 0;
  for (let i = 0; i < 100; i++) {
    await pair.client.send("big", { text });
    most = Math.max(most, pair.client.pendingBytes);
  }
  assertLessOrEqual(most, 300_000);
  await pair.client.flush();
  assertEquals(pair.client.pendingBytes, 0);
  await untilStill(() => pair.session.messages.length, 100);
  assertEquals(pair.session.messages.length, 100);
});
