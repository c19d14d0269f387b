import { inspect } from "../../protocol/printable.ts";
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import type { Address } from "../../protocol/address.ts";
import { EbsocketClient } from "../../client.ts";
import { ConnectError, ConnectionClosedError, EbsocketError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { FakeServer } from "../support/fake_server.ts";
import { freePort } from "../support/free_port.ts";
import { turn } from "../support/turns.ts";
import { soon, until, untilStill } from "../support/waiting.ts";

const encode = (text: string) => new TextEncoder().encode(text);

async function connected() {
  const server = new FakeServer();
  const client = new EbsocketClient();
  await client.connectTo(server.address);
  return { server, client, conn: await server.accept() };
}

async function readAll(conn: Deno.TcpConn): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  for (let length; (length = await conn.read(buffer)) !== null;) {
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  return text;
}

Deno.test("EbsocketClient.connectTo() connects, and sets address", async () => {
  const client = new EbsocketClient();
  assertFalse(client.connected);
  assertStrictEquals(client.address, null);
  await using server = new FakeServer();
  await client.connectTo(server.address);
  assert(client.connected);
  assertEquals(client.address, server.address);
  await assertRejects(() => client.connectTo(server.address), TypeError, "connected or connecting");
  await client.abort();
  assertFalse(client.connected);
});

Deno.test("EbsocketClient.connectTo() names the address and the cause", async () => {
  const port = freePort();
  const client = new EbsocketClient();
  const error = await assertRejects(() => client.connectTo(["127.0.0.1", port]), ConnectError);
  assertEquals(
    error.message,
    `Cannot connect to 127.0.0.1:${port}: connection refused; is a server running there?`,
  );
  assertInstanceOf(error.cause, Deno.errors.ConnectionRefused);
  assertFalse(client.connected);
});

Deno.test("EbsocketClient.connectTo() names a bad argument", async () => {
  const client = new EbsocketClient();
  await assertRejects(() => client.connectTo(["127.0.0.1", 70000]), RangeError, "70000");
  await assertRejects(() => client.connectTo(["127.0.0.1", 0]), RangeError, "from 1 to 65535");
  await assertRejects(() => client.connectTo(["", 1]), TypeError, '""');
  await assertRejects(() => client.connectTo(["::1", 1], { timeout: NaN }), RangeError, "timeout");
});

Deno.test("EbsocketClient.connectTo() without any time left does not connect", async () => {
  await using server = new FakeServer();
  for (const reconnect of [true, false]) {
    const client = new EbsocketClient({ reconnect });
    for (const timeout of [0, -0.5, -Infinity]) {
      await assertRejects(
        () => client.connectTo(server.address, { timeout }),
        ConnectError,
        `no answer within ${timeout} ms`,
      );
    }
    await client.connectTo(server.address, { timeout: 9999.5 });
    await client.abort();
  }
  assertEquals(server.accepted, 2);
});

Deno.test("EbsocketClient.connectTo() can be aborted", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient();
  const signal = AbortSignal.abort(new Error("changed my mind"));
  for (const timeout of [Infinity, 0]) {
    const connecting = client.connectTo(server.address, { signal, timeout });
    await assertRejects(() => connecting, Error, "changed my mind");
  }
  const controller = new AbortController();
  await client.connectTo(server.address, { signal: controller.signal });
  controller.abort();
  const conn = await server.accept();
  await conn.write(encode('{"event":"still there"}\n'));
  assertEquals((await client.recvEvent())?.event, "still there");
  await client.abort();
});

Deno.test("EbsocketClient.close() and abort() end a connection that is being made quietly", async () => {
  for (const reconnect of [false, true]) {
    for (const [end, reason] of [["close", "local"], ["abort", "aborted"]] as const) {
      // One server does not answer, and one is not there.
      await using server = new FakeServer(null);
      const nowhere: Address = ["127.0.0.1", freePort()];
      for (const address of reconnect ? [server.address, nowhere] : [server.address]) {
        const client = new EbsocketClient({ reconnect, token: "x" });
        const statuses = Array.fromAsync(client.status());
        const connecting = client.connectTo(address);
        const closed = client.closed;
        const reading = [client.recvEvent(), client.serve("a").next()];
        if (address === server.address) await server.session();
        await client[end]();
        await connecting;
        const info = { reason, detail: "", unsentLines: 0, unsentBytes: 0 };
        assertEquals(await closed, info);
        assertEquals(await client.closed, info);
        assertStrictEquals(await reading[0], null);
        assertEquals(await reading[1], { done: true, value: undefined });
        assertEquals((await Array.fromAsync(client)).length, 0);
        const last = (await statuses).at(-1)!;
        assertEquals(last.type, "closed");
        assertEquals(last.type === "closed" && last.info, info);
        assertFalse(client.connected);
        assertStrictEquals((await client.pump())[1], false);
      }
    }
  }
});

Deno.test("EbsocketClient can be connected after a connection was given up", async () => {
  await using server = new FakeServer();
  for (const reconnect of [false, true]) {
    const client = new EbsocketClient({ reconnect });
    const connecting = client.connectTo(server.address);
    await client.close();
    await connecting;
    await client.connectTo(server.address);
    assert(client.connected);
    await client.close();
  }
});

Deno.test("EbsocketClient can be read while it connects, and ends reading if that fails", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient();
  const nowhere = client.connectTo(["127.0.0.1", freePort()]);
  const reading = client.recvEvent();
  await assertRejects(() => nowhere, ConnectError);
  assertStrictEquals(await soon(reading, "the end"), null);
  await assertRejects(() => client.recvEvent(), ConnectionClosedError, "never been connected");
  const connecting = client.connectTo(server.address);
  const event = client.recvEvent();
  await (await server.session()).send({ event: "a" });
  assertEquals((await soon(event, "the event"))?.event, "a");
  await connecting;
  await client.abort();
});

Deno.test("EbsocketClient can be closed and connected again although it is full and the server gone", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient({ maxUnreadEvents: 1 });
  await client.connectTo(server.address);
  const conn = await server.accept();
  await conn.write(encode('{"event":"a"}\n'.repeat(10)));
  conn.close();
  const big = new EbsocketEvent("big", { text: "x".repeat(100_000) });
  await until(() => {
    client.sendEvent(big);
    return !client.connected;
  });
  await soon(client.connectTo(server.address), "the second connection");
  await soon(client.close(), "the end of the client");
});

Deno.test("EbsocketClient.recvEvents() waits for events and resolves to all that have arrived", async () => {
  await using server = new FakeServer();
  await using client = new EbsocketClient();
  await assertRejects(() => client.recvEvents(), ConnectionClosedError, "never been connected");
  await client.connectTo(server.address);
  const session = await server.session();
  const stop = new AbortController();
  const stopped = client.recvEvents({ signal: stop.signal });
  stop.abort(new Error("Enough"));
  await assertRejects(() => stopped, Error, "Enough");
  const receiving = client.recvEvents();
  await assertRejects(() => client.recvEvent(), TypeError, "recvEvents() is reading already");
  await session.write('{"event":"a"}\n{"event":"b"}\n');
  assertEquals((await receiving).map(({ event }) => event), ["a", "b"]);
  await session.write('{"event":"c"}\n');
  await session.close();
  await client.closed;
  assertEquals((await client.recvEvents()).map(({ event }) => event), ["c"]);
  assertEquals(await client.recvEvents(), []);
});

Deno.test("EbsocketClient.acknowledgedEvents counts acknowledged events across connections", async () => {
  await using server = new FakeServer({ ack: true });
  await using client = new EbsocketClient({ reconnect: { minDelay: 1 } });
  assertEquals(client.acknowledgedEvents, null);
  await client.connectTo(server.address);
  let session = await server.session();
  for (const name of ["a", "b", "c"]) client.send(name);
  await session.events(3);
  await session.ack(2);
  await session.close();
  session = await server.session();
  client.send("d");
  await session.events(1);
  await session.ack(9);
  await client.flush();
  assertEquals(client.acknowledgedEvents, 3);
  await using other = new EbsocketClient();
  await other.connectTo(server.address);
  assertEquals(other.acknowledgedEvents, null);
});

Deno.test("EbsocketClient.connectTo() waits for a welcome for welcomeTimeout", async () => {
  await using server = new FakeServer(null);
  await using client = new EbsocketClient({ welcomeTimeout: 60_000 });
  let isConnected = false;
  const connecting = client.connectTo(server.address).then(() => isConnected = true);
  const session = await server.session();
  await new Promise((resolve) => setTimeout(resolve, 700));
  assertEquals(isConnected, false);
  await session.send({ control: "welcome", version: 1, id: "c1" });
  await connecting;
  assertEquals(client.id, "c1");
  assertThrows(() => new EbsocketClient({ welcomeTimeout: -1 }), RangeError, "welcomeTimeout");
});

Deno.test("EbsocketClient.pump() does not wait for later events of a busy server", async () => {
  for (const line of ['{"event":"a"}\n', "\n"]) {
    const { server, client, conn } = await connected();
    let isPumping = true;
    const sending = (async () => {
      while (isPumping) {
        await conn.write(encode(line));
        await turn();
      }
    })();
    const pumped = await soon(client.pump(), "what has arrived");
    isPumping = false;
    await sending;
    assertLess(pumped[0].length, 1000);
    await client.abort();
    await server[Symbol.asyncDispose]();
  }
});

Deno.test({
  name: "EbsocketClient gives up connecting after its timeout",
  ignore: Deno.build.os !== "linux",
  fn: givesUpConnecting,
});

async function givesUpConnecting() {
  // A listener whose queue is full does not answer; it is filled until an attempt hangs.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const clients: EbsocketClient[] = [];
  let refusal: unknown;
  for (let i = 0; i < 20 && refusal === undefined; i++) {
    const client = new EbsocketClient();
    try {
      await client.connectTo(["127.0.0.1", listener.addr.port], { timeout: 100 });
      clients.push(client);
    } catch (error) {
      refusal = error;
    }
  }
  for (const client of clients) await client.abort();
  listener.close();
  const isTimeout = refusal instanceof ConnectError && refusal.message.includes("within 100 ms");
  assert(isTimeout, `${refusal}`);
}

Deno.test("EbsocketClient refuses to be used before it was connected", async () => {
  const client = new EbsocketClient();
  const event = new EbsocketEvent("x");
  assertThrows(() => client.sendEvent(event), ConnectionClosedError, "await connectTo() first");
  await assertRejects(() => client.recvEvent(), ConnectionClosedError, "never been connected");
  await assertRejects(() => client.pump(), ConnectionClosedError, "never been connected");
  await assertRejects(() => client.flush(), ConnectionClosedError, "never been connected");
  assertThrows(() => client.closed, ConnectionClosedError, "never been connected");
  await client.close();
  await client.abort();
});

Deno.test("EbsocketClient.sendEvent() sends in the order of the calls, and close() sends all", async () => {
  const { server, client, conn } = await connected();
  for (let i = 0; i < 1000; i++) client.sendEvent(new EbsocketEvent("n", { i }));
  const closing = client.close();
  const lines = (await readAll(conn)).split("\n");
  conn.close();
  await closing;
  assertEquals(lines.pop(), "");
  assertEquals(lines.length, 1000);
  assertEquals(lines.findIndex((line, i) => JSON.parse(line).__dict__.i !== i), -1);
  assertEquals((await client.closed).reason, "local");
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.sendEvent() makes an awaiting sender wait for room", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient({ maxPendingBytes: 1_000_000 });
  await client.connectTo(server.address);
  const conn = await server.accept();
  const event = new EbsocketEvent("big", { text: "x".repeat(100_000) });
  let sent = 0;
  const sending = (async () => {
    for (; sent < 200; sent++) await client.sendEvent(event);
  })();
  // Nobody reads yet: the sender stops once the buffers of the operating system are full as well.
  await untilStill(() => sent, 30);
  assertLess(sent, 200);
  assertLessOrEqual(client.pendingBytes, 1_000_000);
  const reading = readAll(conn);
  await sending;
  await Promise.all([client.close(), reading.then(() => conn.close())]);
  assertEquals((await reading).split("\n").length, 201);
  assertEquals((await client.closed).unsentLines, 0);
});

Deno.test("EbsocketClient.sendEvent() throws for an event that exceeds maxPendingBytes", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient({ maxPendingBytes: 250_000 });
  await client.connectTo(server.address);
  const event = new EbsocketEvent("big", { text: "x".repeat(100_000) });
  client.sendEvent(event);
  client.sendEvent(event);
  const error = await assertRejects(() => client.sendEvent(event), EbsocketError);
  assertEquals(error.code, "queue-full");
  assert(client.connected);
  const conn = await server.accept();
  const reading = readAll(conn);
  await Promise.all([client.close(), reading.then(() => conn.close())]);
  assertEquals((await reading).split("\n").length, 3);
  const { reason, unsentLines } = await client.closed;
  assertEquals(reason, "local");
  assertEquals(unsentLines, 1);
});

Deno.test("EbsocketClient.sendEvent() refuses a bad event at the call", async () => {
  const { server, client } = await connected();
  assertThrows(() => client.sendEvent(new EbsocketEvent("x", { f: () => {} })), TypeError, '"f"');
  const long = new EbsocketEvent("x", { text: "x".repeat(1_048_576) });
  assertThrows(() => client.sendEvent(long), RangeError, "exceed the 1048576 that");
  for (const none of ["x", null, undefined, { event: "x" }, { event: 1, __dict__: {} }]) {
    const send = () => client.sendEvent(none as unknown as EbsocketEvent);
    assertThrows(send, TypeError, `${inspect(none)}: expected an EbsocketEvent`);
  }
  assert(client.connected);
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.recvEvent() resolves to events in order, then to null", async () => {
  const { server, client, conn } = await connected();
  await conn.write(encode('{"event":"a"}\n{"event":"b","__dict__":{"x":[1]}}\n'));
  conn.close();
  assertEquals((await client.recvEvent())?.event, "a");
  assertEquals((await client.recvEvent())?.getAttribute("x"), [1]);
  assertStrictEquals(await client.recvEvent(), null);
  assertStrictEquals(await client.recvEvent(), null);
  assertFalse(client.connected);
  assertEquals(await client.closed, {
    reason: "eof",
    detail: "",
    unsentLines: 0,
    unsentBytes: 0,
  });
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.recvEvent() skips lines that are not events", async () => {
  const { server, client, conn } = await connected();
  for (const lines of ["\n", '{"control":"hm"}\n', "\r\n".repeat(4_500_000)]) {
    const waiting = client.recvEvent();
    const bytes = encode(`${lines}{"event":"a"}\n`);
    for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
    assertEquals((await soon(waiting, "the event"))?.event, "a");
  }
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.recvEvent() can be aborted, and loses nothing by it", async () => {
  const { server, client, conn } = await connected();
  const signal = AbortSignal.timeout(5);
  await assertRejects(() => client.recvEvent({ signal }), DOMException);
  await conn.write(encode('{"event":"a"}\n'));
  assertEquals((await client.recvEvent())?.event, "a");
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient reports an unclean end in closed, with its reason", async () => {
  for (
    const [text, reason, detail] of [
      ['{"event":"ok"}\n{"event":"half', "truncated", "14 bytes after the last newline"],
      ['{"event":"ok"}\nnonsense\n', "bad-json", "byte 0"],
      [
        '{"event":"ok"}\n{"control":"close","reason":"slow-consumer","detail":"x"}\n',
        "slow-consumer",
        "x",
      ],
      ['{"event":"ok"}\n{"control":"close","reason":"whatever"}\n', "eof", '"whatever"'],
      ['{"event":"ok"}\n{"control":"close"}\n', "eof", "undefined"],
    ] as const
  ) {
    const { server, client, conn } = await connected();
    await conn.write(encode(text));
    await conn.closeWrite();
    assertEquals((await client.recvEvent())?.event, "ok");
    assertStrictEquals(await client.recvEvent(), null);
    const info = await client.closed;
    assertEquals(info.reason, reason);
    assert(info.detail.includes(detail), info.detail);
    await server[Symbol.asyncDispose]();
  }
});

Deno.test("EbsocketClient.pump() returns arrived events, without waiting for more", async () => {
  const { server, client, conn } = await connected();
  assertEquals(await client.pump(), [[], true]);
  await conn.write(encode('{"event":"a"}\n{"event":"b"}\n'));
  await until(() => client.connected);
  const events: string[] = [];
  while (events.length < 2) events.push(...(await client.pump())[0].map(({ event }) => event));
  assertEquals(events, ["a", "b"]);
  await conn.write(encode('{"event":"last"}\n'));
  conn.close();
  await client.closed;
  const [last, isConnected] = await client.pump();
  assertEquals(last.map(({ event }) => event), ["last"]);
  assertFalse(isConnected);
  assertEquals(await client.pump(), [[], false]);
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.pump() after a blocking call returns the events that the kernel holds", async () => {
  for (const bytes of [100, 100_000, 3_000_000]) {
    await using server = new FakeServer();
    const client = new EbsocketClient({ maxUnreadEvents: 1_000_000 });
    await client.connectTo(server.address);
    const conn = await server.accept();
    const line = '{"event":"n","__dict__":{"text":"0123456789012345678901234567890123456789"}}\n';
    const text = encode(line.repeat(Math.ceil(bytes / line.length)));
    // The kernel takes what its buffers hold; then the program blocks, as prompt() does. A busy machine
    // may need longer until all is there.
    const taken = await conn.write(text);
    let missing = Math.floor(taken / line.length);
    for (let ms = 50; missing > 0; ms *= 2) {
      assertLess(ms, 10_000, `${missing} events were missing`);
      const until = performance.now() + ms;
      while (performance.now() < until);
      const [events] = await client.pump();
      missing -= events.length;
    }
    await client.abort();
  }
});

Deno.test("EbsocketClient reads with one reader at a time", async () => {
  const { server, client, conn } = await connected();
  const waiting = client.recvEvent();
  await assertRejects(() => client.recvEvent(), TypeError, "recvEvent() is reading already");
  await assertRejects(() => client.pump(), TypeError, "recvEvent() is reading already");
  await conn.write(encode('{"event":"a"}\n{"event":"b"}\n'));
  assertEquals((await waiting)?.event, "a");
  for await (const event of client) {
    assertEquals(event.event, "b");
    await assertRejects(() => client.recvEvent(), TypeError, "for await is reading already");
    break;
  }
  const [events] = await client.pump();
  assertEquals(events, []);
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient that is not read pushes back, and loses nothing", async () => {
  await using server = new FakeServer();
  const client = new EbsocketClient({ maxUnreadEvents: 100 });
  await client.connectTo(server.address);
  const conn = await server.accept();
  const count = 300_000;
  const text = encode(
    Array.from({ length: count }, (_, i) => `{"event":"n","__dict__":{"i":${i}}}\n`).join(""),
  );
  let sent = 0;
  const sending = (async () => {
    while (sent < text.length) sent += await conn.write(text.subarray(sent));
  })();
  await until(() => sent > 0);
  await untilStill(() => sent, 30);
  assertLess(sent, text.length);
  let next = 0;
  for await (const event of client) {
    if (event.getAttribute("i") !== next) break;
    if (++next === count) break;
  }
  assertEquals(next, count);
  await sending;
  await client.abort();
});

Deno.test("EbsocketClient can connect again, and keeps unread events", async () => {
  const { server, client, conn } = await connected();
  await conn.write(encode('{"event":"a"}\n{"event":"b"}\n'));
  conn.close();
  await client.closed;
  await client.connectTo(server.address);
  const again = await server.accept();
  await again.write(encode('{"event":"c"}\n'));
  const names = [];
  for (let i = 0; i < 3; i++) names.push((await client.recvEvent())?.event);
  assertEquals(names, ["a", "b", "c"]);
  again.close();
  assertStrictEquals(await client.recvEvent(), null);
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient is drained when it is disposed of", async () => {
  const { server, client, conn } = await connected();
  const reading = readAll(conn).then((text) => {
    conn.close();
    return text;
  });
  {
    await using disposed = client;
    disposed.sendEvent(new EbsocketEvent("last"));
  }
  assertEquals(await reading, '{"event":"last","__dict__":{}}\n');
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.flush() waits until the operating system has taken everything", async () => {
  const { server, client, conn } = await connected();
  client.sendEvent(new EbsocketEvent("a"));
  assertGreater(client.pendingBytes, 0);
  await client.flush();
  assertEquals(client.pendingBytes, 0);
  await client.abort();
  assertEquals(await readAll(conn), '{"event":"a","__dict__":{}}\n');
  await server[Symbol.asyncDispose]();
});
