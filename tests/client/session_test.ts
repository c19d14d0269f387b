/** The greeting, as a client sees it. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import type { ClientOptions } from "../../client/options.ts";
import { ConnectError, EbsocketError, RequestTimeoutError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { expectEvents, testRelay } from "../../testing.ts";
import { FakeRelay, FEATURES, type Said, said } from "../support/fake_relay.ts";
import { FakeServer } from "../support/fake_server.ts";
import { Peer } from "../support/peer.ts";
import { turn } from "../support/turns.ts";
import { pause, soon } from "../support/waiting.ts";

Deno.test("EbsocketClient sends hello first, and has an id after the welcome", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient({ token: "secret" });
  assertStrictEquals(client.id, null);
  await client.connectTo(server.address);
  const { hello } = await server.session();
  assertEquals(hello.control, "hello");
  assertEquals(hello.version, 1);
  assertEquals(hello.token, "secret");
  assertEquals(client.id, "c1");
  await client.abort();
});

Deno.test("EbsocketClient accepts a server without a welcome", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient();
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await session.send({ event: "a" }); // says nothing about whether a welcome will come
  await soon(connecting, "the connection");
  assert(client.connected);
  assertStrictEquals(client.id, null);
  assertEquals((await client.recvEvent())?.event, "a");
  client.sendEvent(new EbsocketEvent("b"));
  assertEquals(await session.events(1), ["b"]);
  await client.abort();
});

Deno.test("EbsocketClient waits longer for a welcome once it has subscribed", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient();
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  const subscribing = client.subscribe(["a"]);
  const { id } = await said(session);
  await pause(700);
  await session.send({ control: "welcome", version: 1, id: "c1", ...FEATURES });
  await session.send({ control: "ack", id });
  await Promise.all([connecting, subscribing]);
  await client.abort();
});

Deno.test("EbsocketClient.connectTo() does not treat silence as a missing feature", async () => {
  const asks: [string, (client: EbsocketClient) => void, ClientOptions?][] = [
    ["subscribe() before", (client) => void client.subscribe(["a"])],
    ["subscribe() meanwhile", (client) => queueMicrotask(() => void client.subscribe(["a"]))],
    ["sequence", () => {}, { sequence: true }],
    ["a token", () => {}, { token: "x" }],
  ];
  for (const [what, ask, options] of asks) {
    await using server = new FakeServer(null);
    const client = new EbsocketClient(options);
    ask(client);
    const error = await assertRejects(
      () => client.connectTo(server.address, { timeout: 700 }),
      ConnectError,
      "no answer within 700 ms; the connection was made, but no welcome has come",
    ) as ConnectError;
    assertStrictEquals(error.reason, undefined, what);
    assertFalse(client.connected, what);
    const session = await server.session();
    while (await session.line() !== null); // It was given up.
  }
});

Deno.test("EbsocketClient without a welcome waits for the answer of a relay, or reports that none has come", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient();
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await soon(connecting, "the connection");
  for (
    const refused of [
      () => client.inspect(),
      () => client.sendEvent(new EbsocketEvent("a"), { to: "c1" }),
      () => client.sendEvent(new EbsocketEvent("a"), { confirm: true }),
    ]
  ) {
    const error = await assertRejects(refused, EbsocketError, "no welcome") as EbsocketError;
    assertEquals(error.code, "no-welcome");
  }
  await assertRejects(
    () => client.subscribe(["a"], { timeout: 20 }),
    RequestTimeoutError,
    "no answer within 20 ms, its timeout; the server has sent no welcome, so it may not be a relay",
  );
  const subscribing = client.subscribe(["b"]);
  let asked: Said;
  do asked = await said(session); while (asked.events?.[0] !== "b");
  await session.send({ control: "welcome", version: 1, id: "c1", ...FEATURES });
  await session.send({ control: "ack", id: asked.id });
  await soon(subscribing, "the acknowledgement");
  await client.abort();
});

Deno.test("EbsocketClient learns the features of a server from a late welcome", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient();
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await soon(connecting, "the connection");
  const failing = assertRejects(() => client.subscribe(["a"]), EbsocketError);
  await session.send({ control: "welcome", version: 1, id: "c1" });
  const error = await soon(failing, "the refusal") as EbsocketError;
  assertEquals(error.code, "not-supported");
  await client.abort();
});

Deno.test("EbsocketClient receives the events of a server that has already closed", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient();
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await session.send({ event: "a" });
  await session.close();
  await soon(connecting, "the connection");
  assertEquals((await client.recvEvent())?.event, "a");
  assertStrictEquals(await client.recvEvent(), null);
  assertEquals((await client.closed).reason, "eof");
});

Deno.test("EbsocketClient.connectTo() names the reason for which the server sends it away", async () => {
  for (
    const [reason, detail] of [["unauthorized", "wrong token"], ["too-many-clients", ""]] as const
  ) {
    await using server = new FakeServer(null);
    const client = new EbsocketClient({ token: "x" });
    const connecting = client.connectTo(server.address);
    const session = await server.session();
    await session.close(reason, { detail });
    const error = await assertRejects(() => connecting, ConnectError) as ConnectError;
    assertEquals(error.reason, reason);
    assertEquals(error.code, "connect-failed");
    const why = `the connection ended with ${reason}${detail && `: ${detail}`}`;
    assertEquals(error.message, `Cannot connect to 127.0.0.1:${server.address[1]}: ${why}`);
    assertFalse(client.connected);
  }
});

Deno.test("EbsocketClient.connectTo() reports a server of another protocol", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient();
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await session.write("SSH-2.0-OpenSSH_9.9\r\n");
  const failing = assertRejects(() => connecting, ConnectError, "bad-json");
  assertEquals(JSON.parse((await session.line())!).reason, "bad-json");
  await session.close();
  assertEquals((await failing as ConnectError).reason, "bad-json");
});

Deno.test("EbsocketClient.connectTo() can be given up while it waits for the welcome", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient({ token: "x" });
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await client.close();
  await connecting;
  assertStrictEquals(await session.line(), null);
  await assertRejects(
    () => client.connectTo(server.address, { timeout: 20 }),
    ConnectError,
    "no answer within 20 ms",
  );
});

Deno.test("EbsocketClient.connectTo() rejects with the error of the token function as the cause", async () => {
  await using server = new FakeServer();
  const cause = new Error("no vault");
  const client = new EbsocketClient({ token: () => Promise.reject(cause) });
  const error = await assertRejects(
    () => client.connectTo(server.address),
    ConnectError,
    "no vault",
  );
  assertEquals((error as EbsocketError).cause, cause);
  assertEquals(server.accepted, 0);
});

/** The texts that sockets write until it is disposed of: who reads them cannot tell where one ended. */
function spyOnWrites(conn: Deno.Conn): { readonly texts: string[] } & Disposable {
  const prototype: Deno.Conn = Object.getPrototypeOf(conn);
  const { write } = prototype;
  const texts: string[] = [];
  prototype.write = function (bytes) {
    texts.push(new TextDecoder().decode(bytes));
    return write.call(this, bytes);
  };
  return { texts, [Symbol.dispose]: () => void (prototype.write = write) };
}

Deno.test("EbsocketClient writes the answers to events that came together at once", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient();
  await client.connectTo(server.address);
  const answering = (async () => {
    for await (const { event } of client) {
      await client.sendEvent(new EbsocketEvent(`re-${event}`));
    }
  })();
  const session = await server.session();
  await session.write('{"event":"a"}\n');
  assertEquals(await session.events(1), ["re-a"]);
  // Where this process has to pause just then, they do not wait for each other: hence several times.
  for (let writes = 0, rounds = 100; writes !== 1; rounds--) {
    assertGreater(rounds, 0, `${writes} writes`);
    using spy = spyOnWrites(session.conn);
    await session.write('{"event":"b"}\n{"event":"c"}\n{"event":"d"}\n');
    assertEquals(await session.events(3), ["re-b", "re-c", "re-d"]);
    writes = spy.texts.filter((text) => text.includes("re-")).length;
  }
  await client.abort();
  await answering;
});

Deno.test("EbsocketClient.sendEvent() throws for lines beyond the limit of the server, with both sizes", async () => {
  for (const reconnect of [false, true]) {
    await using server = new FakeServer({ limits: { max_line_bytes: 50 } });
    const client = new EbsocketClient({ reconnect });
    await client.connectTo(server.address);
    const session = await server.session();
    const long = new EbsocketEvent("x", { text: "x".repeat(1000) });
    const error = assertThrows(() => client.sendEvent(long), RangeError) as RangeError;
    assert(
      / 1\d\d\d bytes .* 50 that the server takes \(maxLineBytes, /.test(error.message),
      error.message,
    );
    client.sendEvent(new EbsocketEvent("a".repeat(50 - '{"event":"","__dict__":{}}'.length)));
    assertEquals((await session.line())!.length, 50);
    await client.abort();
  }
});

Deno.test("EbsocketClient accepts the longest line with the members that a relay adds", async () => {
  await using relay = testRelay({ maxLineBytes: 500 });
  await using sender = await Peer.connect(relay.address);
  const client = await relay.connect({ maxLineBytes: 500, sequence: true });
  const [start, end] = ['{"event":"a","id":"r","__dict__":{"x":"', '"}}\n'];
  await sender.send(start + "x".repeat(501 - start.length - end.length) + end);
  await expectEvents(client, ["a"]);
});

Deno.test("EbsocketClient accepts the longest lines of a relay with a higher limit", async () => {
  await using relay = testRelay({ maxLineBytes: 8_000_000 });
  const listener = await relay.connect({ reconnect: true });
  const sender = await relay.connect();
  const text = "x".repeat(2_000_000);
  await sender.sendEvent(new EbsocketEvent("report", { text }));
  const event = await soon(listener.recvEvent(), "the report");
  assertEquals(event?.getAttribute("text"), text);
  assert(listener.connected);
  assertEquals(listener.id, "c1");
});

Deno.test("EbsocketClient accepts the deepest lines of a relay with a higher limit", async () => {
  await using relay = testRelay({ maxDepth: 1000 });
  const listener = await relay.connect();
  await using sender = await Peer.connect(relay.address);
  const depth = 998;
  await sender.send(`{"event":"deep","__dict__":{"x":${"[".repeat(depth)}${"]".repeat(depth)}}}\n`);
  await expectEvents(listener, ["deep"]);
});

Deno.test("EbsocketClient accepts a long line before the welcome", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient({ token: "x" });
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await session.send({ event: "x".repeat(200), __dict__: { text: "x".repeat(2_000_000) } });
  await session.send({ control: "welcome", id: "c1", limits: { max_line_bytes: 8_000_000 } });
  await soon(connecting, "the connection");
  assertEquals((await client.recvEvent())?.event, "x".repeat(200));
  await client.abort();
});

Deno.test("EbsocketClient reads no more once few long events fill its inbox", async () => {
  await using relay = testRelay({ maxLineBytes: 8_000_000, maxPendingBytes: 100_000_000 });
  const listener = await relay.connect();
  const sender = await relay.connect();
  await sender.subscribe([]);
  const event = new EbsocketEvent("report", { text: "x".repeat(3_000_000) });
  for (let i = 0; i < 10; i++) await sender.sendEvent(event, { confirm: true });
  let most = 0;
  for (let got = 0; got < 10;) {
    const [events] = await listener.pump();
    got += events.length;
    most = Math.max(most, events.length);
  }
  // Two are less than 8 MiB, and the third is more.
  assertLessOrEqual(most, 3);
});

Deno.test("EbsocketClient.connectTo() names both limits if a server has longer lines than the client", async () => {
  const lines = (theirs: number, own: number) =>
    `the server takes lines of ${theirs} bytes, and maxLineBytes of the client allows ${own}`;
  const cases: [limits: object, options: ClientOptions, reason: string, words: string][] = [
    [{ max_line_bytes: 8_388_609 }, {}, "line-too-long", lines(8_388_609, 8_388_608)],
    [
      { max_line_bytes: 2000 },
      { maxLineBytes: 1000, reconnect: true },
      "line-too-long",
      lines(2000, 1000),
    ],
    [
      { max_depth: 65 },
      { maxDepth: 64, reconnect: true },
      "too-deep",
      "the server takes lines that nest 65 deep, and maxDepth of the client allows 64",
    ],
  ];
  for (const [limits, options, reason, words] of cases) {
    await using server = new FakeServer({ limits });
    const client = new EbsocketClient(options);
    const connecting = client.connectTo(server.address);
    const session = await server.session();
    const failing = assertRejects(() => connecting, ConnectError, words);
    const told = JSON.parse((await session.line())!);
    assertEquals(told.reason, reason);
    assert(told.detail.startsWith(words));
    await session.close();
    assertEquals((await failing as ConnectError).reason, reason);
    assertEquals(server.accepted, 1); // Another attempt would be answered in the same way.
  }
});

Deno.test("EbsocketClient connects to a server with higher limits than any client", async () => {
  const limits = { max_line_bytes: 2 ** 40, max_depth: 5000 };
  await using server = new FakeServer({ limits });
  const client = new EbsocketClient({ maxLineBytes: 2 ** 30 });
  await client.connectTo(server.address);
  await client.abort();
});

Deno.test("EbsocketClient does not stay where a late welcome names a higher limit", async () => {
  await using server = new FakeServer(null);
  const client = new EbsocketClient({ reconnect: true });
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  await soon(connecting, "the connection");
  const limits = { max_line_bytes: 10_000_000 };
  await session.write(`${JSON.stringify({ control: "welcome", limits })}\n{"event":"a"}\n`);
  assertEquals(JSON.parse((await session.line())!).reason, "line-too-long");
  await session.close();
  assertStrictEquals(await soon(client.recvEvent(), "the end"), null);
  const { reason, detail } = await client.closed;
  assertEquals(reason, "line-too-long", detail);
  assertMatch(detail, /10000000 .* 8388608/);
});

Deno.test("EbsocketClient.sendEvent() sends lines up to the limit of the server, and 1 MiB by default", async () => {
  const event = new EbsocketEvent("x", { text: "x".repeat(2_000_000) });
  const cases: [takes: number | undefined, options: ClientOptions, error: string | null][] = [
    [4_000_000, {}, null],
    [1_000_000, {}, "exceed the 1000000 that the server takes"],
    [undefined, {}, "exceed the 1048576 that may be sent where no server has said what it takes"],
    [undefined, { maxLineBytes: 4_000_000 }, null],
    [undefined, { maxLineBytes: 1_900_000 }, "exceed maxLineBytes 1900000"],
  ];
  for (const [takes, options, error] of cases) {
    await using server = new FakeServer(takes ? { limits: { max_line_bytes: takes } } : {});
    const client = new EbsocketClient(options);
    await client.connectTo(server.address);
    if (error === null) client.sendEvent(event);
    else assertThrows(() => client.sendEvent(event), RangeError, error);
    await client.abort();
  }
});

Deno.test("EbsocketClient subscribes in the order of the calls, however much is queued", async () => {
  await using relay = await FakeRelay.connect({ maxPendingBytes: 50_000 });
  const { client } = relay;
  const text = "x".repeat(10_000);
  while (client.pendingBytes < 30_000) {
    client.sendEvent(new EbsocketEvent("fill", { text }));
    await turn(); // for the operating system to take it
  }
  const many = ["a", ...Array.from({ length: 200 }, (_, i) => `${"b".repeat(200)}${i}`)];
  const calls = [client.subscribe(many)];
  client.sendEvent(new EbsocketEvent("x")); // What was asked for before it is said before it.
  calls.push(client.unsubscribe(["a"]));
  client.sendEvent(new EbsocketEvent("x"));
  calls.push(client.subscribe(["c"]));
  const controls: string[] = [];
  while (controls.length < 3) {
    const { control, events, id } = await relay.said();
    if (control === undefined) continue;
    controls.push(`${control} ${events![0]}`);
    await relay.say({ control: "ack", id });
  }
  await Promise.all(calls);
  assertEquals(controls, ["subscribe a", "unsubscribe a", "subscribe c"]);
});

Deno.test("EbsocketClient subscribes before a later event of the same turn", async () => {
  for (const reconnect of [false, true]) {
    await using relay = await FakeRelay.connect({ reconnect });
    const { client } = relay;
    const subscribing = [client.subscribe(["a"]), client.subscribe(["b"])];
    client.sendEvent(new EbsocketEvent("a"));
    const later = client.subscribe(["c"]);
    const said = [];
    for (let i = 0; i < 3; i++) {
      const { event, events, id } = await relay.said();
      said.push(event ?? events);
      if (id !== undefined) await relay.say({ control: "ack", id });
    }
    assertEquals(said, [["a", "b"], "a", ["c"]]);
    await Promise.all([...subscribing, later]);
  }
});
