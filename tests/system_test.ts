import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertNotMatch } from "@std/assert/not-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../client.ts";
import type { EbsocketConnection } from "../net/connection.ts";
import { defineEvents, type EventDefinitions } from "../schema/definitions.ts";
import { ConnectionClosedError, EventSchemaError } from "../errors.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { EbsocketServer } from "../server.ts";
import { EbsocketSystem, type ReceivedEvent, type SystemOptions } from "../system.ts";
import { textOf, utf8 } from "./support/bytes.ts";
import { Clock } from "./support/clock.ts";
import { Peer } from "./support/peer.ts";
import { ASYNCHRONOUS, MESSAGE, schemaOf, THROWING } from "./support/schemas.ts";
import { StepListener, type StepSocket } from "./support/step_socket.ts";
import { pretendWritesTake, turn } from "./support/turns.ts";
import { pause, soon, until, untilStill } from "./support/waiting.ts";

function newSystem(options: SystemOptions = {}): EbsocketSystem {
  return new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]), options);
}

/** Pumps until `count` events have come; gives them. */
async function pumpEvents(system: EbsocketSystem, count: number): Promise<ReceivedEvent[]> {
  const events: ReceivedEvent[] = [];
  while (events.length < count) events.push(...(await system.pump())[1]);
  return events;
}

Deno.test("EbsocketSystem.pump() returns new clients, events and disconnected clients", async () => {
  await using system = newSystem();
  await using peer = await Peer.connect(system.server.address);
  const { hostname, port } = peer.conn.localAddr;
  await peer.send('{"event":"a","__dict__":{"x":1}}\n{"event":"b"}\n');

  const [newClients, newEvents, disconnectedClients] = await system.pump();
  const [connection, address] = newClients[0]!;
  assertEquals(address, [hostname, port]);
  assertEquals(disconnectedClients, []);
  const events = [...newEvents];
  while (events.length < 2) events.push(...(await system.pump())[1]);
  assertEquals(events.map((event) => [event.event, event.getAttribute("x")]), [
    ["a", 1],
    ["b", null],
  ]);
  assert(events.every((event) => event.fromConnection === connection));
  assertEquals([...system.clients], [[connection, address]]);

  peer.close();
  const [, , gone] = await system.pump();
  assertEquals(gone.map(([who, where, { reason }]) => [who === connection, where, reason]), [
    [true, address, "eof"],
  ]);
  assertEquals(system.clients.size, 0);
});

Deno.test("EbsocketSystem.pump() waits for news no longer than the timeout", async () => {
  await using system = newSystem({ timeout: 20 });
  assertEquals(await system.pump(), [[], [], [], []]);
  system.timeout = 0;
  assertEquals(await system.pump(), [[], [], [], []]);
});

Deno.test("EbsocketSystem.pump() with a timeout of 0 lets the sockets be read", async () => {
  await using system = newSystem({ timeout: 0 });
  await using peer = await Peer.connect(system.server.address);
  await peer.send('{"event":"a"}\n');
  assertEquals((await pumpEvents(system, 1)).length, 1);
});

Deno.test("EbsocketSystem.pump() reports a client that vanished mid-line, and only that", async () => {
  await using system = newSystem();
  await using healthy = await Peer.connect(system.server.address);
  {
    await using broken = await Peer.connect(system.server.address);
    await broken.send('{"event":"half');
    await until(() => system.clients.size === 2);
  }
  const gone = [];
  while (gone.length === 0) gone.push(...(await system.pump())[2]);
  assertEquals(gone.map(([, , { reason }]) => reason), ["truncated"]);
  await healthy.send('{"event":"a"}\n');
  assertEquals((await pumpEvents(system, 1)).map((event) => event.event), ["a"]);
});

Deno.test("EbsocketSystem.pump() returns the events before a bad line, then the reason", async () => {
  await using system = newSystem();
  await using peer = await Peer.connect(system.server.address);
  await peer.send('{"event":"good"}\nbad\n{"event":"never"}\n');
  assertEquals((await peer.lines()).map((line) => JSON.parse(line).reason), ["bad-json"]);
  peer.close();
  const events: string[] = [];
  const reasons: string[] = [];
  while (reasons.length === 0) {
    const [, newEvents, disconnectedClients] = await system.pump();
    events.push(...newEvents.map((event) => event.event));
    reasons.push(...disconnectedClients.map(([, , { reason }]) => reason));
  }
  assertEquals(events, ["good"]);
  assertEquals(reasons, ["bad-json"]);
});

Deno.test("EbsocketSystem.pump() refuses a second reader", async () => {
  await using system = newSystem({ timeout: 50 });
  const first = system.pump();
  await assertRejects(() => system.pump(), TypeError, "pump() is reading already");
  await assertRejects(
    async () => {
      for await (const _ of system);
    },
    TypeError,
    "Cannot read with for await: pump() is reading already",
  );
  await first;
  await system.pump();
});

Deno.test("EbsocketSystem.pump() rejects once the system is closed and all is read", async () => {
  const system = newSystem();
  await using _ = await Peer.connect(system.server.address);
  await until(() => system.clients.size === 1);
  await system.close();
  const [newClients, , disconnectedClients] = await system.pump();
  assertEquals(newClients.length, 1);
  assertEquals(disconnectedClients.map(([, , { reason }]) => reason), ["shutdown"]);
  await assertRejects(() => system.pump(), ConnectionClosedError, "closed");
});

Deno.test("EbsocketSystem.ended ends a loop over pump(), whenever the system is closed", async () => {
  for (const timeout of [0, 60_000]) {
    for (const isQuiet of [true, false]) {
      const system = newSystem({ timeout });
      await using peer = await Peer.connect(system.server.address);
      await until(() => system.clients.size === 1);
      let gone = 0;
      const loop = (async () => {
        while (!system.ended) gone += (await system.pump())[2].length;
      })();
      if (isQuiet) {
        peer.close();
        await until(() => system.clients.size === 0); // so that the end itself is all that comes
        await until(() => gone === 1);
      }
      assertFalse(system.ended);
      await system.close();
      await soon(loop, "the end of the loop");
      assertEquals(gone, 1);
      assert(system.ended);
      await assertRejects(() => system.pump(), ConnectionClosedError, "closed");
    }
  }
});

Deno.test("EbsocketSystem iterates over the same news as pump(), in order, until it is closed", async () => {
  const system = newSystem();
  await using peer = await Peer.connect(system.server.address);
  await peer.send('{"event":"a"}\n{"event":"b"}\n');
  const seen: string[] = [];
  for await (const notice of system) {
    seen.push(notice.type === "event" ? notice.event.event : notice.type);
    if (notice.type === "event" && notice.event.event === "b") {
      peer.close();
    } else if (notice.type === "disconnected") {
      seen.push(notice.info.reason);
      system.close();
    }
  }
  assertEquals(seen, ["connected", "a", "b", "disconnected", "eof"]);
});

Deno.test("EbsocketSystem iterates past lines that are not events", async () => {
  await using system = newSystem();
  await using peer = await Peer.connect(system.server.address);
  await until(() => system.clients.size === 1);
  const seen: string[] = [];
  const reading = (async () => {
    for await (const notice of system) {
      seen.push(notice.type);
      if (notice.type === "event") return;
    }
  })();
  const [connection] = system.clients.keys();
  let sent = 0;
  for (const line of ["\n", '{"control":"hm"}\n', '{"event":"a"}\n']) {
    await until(() => seen.length === 1);
    await peer.send(line);
    sent += line.length;
    await until(() => connection!.bytesIn === sent); // So that each is read on its own.
  }
  await soon(reading, "the event");
  assertEquals(seen, ["connected", "event"]);
});

Deno.test("EbsocketSystem.sendEventTo() sends to one client alone", async () => {
  await using system = newSystem();
  await using one = await Peer.connect(system.server.address);
  await using two = await Peer.connect(system.server.address);
  await one.send('{"event":"who"}\n');
  const [event] = await pumpEvents(system, 1);
  await until(() => system.clients.size === 2);
  assert(system.sendEventTo(event!.fromConnection, new EbsocketEvent("you")));
  system.sendEventToClients(new EbsocketEvent("all"));
  await one.sees('{"event":"you","__dict__":{}}\n{"event":"all","__dict__":{}}\n');
  await two.sees('{"event":"all","__dict__":{}}\n');
  assertNotMatch(two.text, /you/);
});

Deno.test("EbsocketSystem.sendTo(), sendToClients() and reply() make the events that they send", async () => {
  await using system = newSystem();
  await using one = await Peer.connect(system.server.address);
  await using two = await Peer.connect(system.server.address);
  await one.send('{"event":"ask","id":"r1"}\n');
  const [asked] = await pumpEvents(system, 1);
  await until(() => system.clients.size === 2);
  const from = asked!.fromConnection;
  assert(system.sendTo(from, "you"));
  assert(system.sendTo(from, "you", { n: 1 }));
  assertEquals(system.sendToClients("others", { n: 2 }, { except: from }), 1);
  assert(system.reply(asked!, "answer", { n: 3 }));
  assert(system.reply(asked!, "again"));
  assertEquals(system.sendToClients("all"), 2);
  const all = '{"event":"all","__dict__":{}}\n';
  await one.sees(all);
  await two.sees(all);
  assertEquals(
    one.text,
    '{"event":"you","__dict__":{}}\n{"event":"you","__dict__":{"n":1}}\n' +
      '{"event":"answer","__dict__":{"n":3},"reply_to":"r1"}\n' +
      `{"event":"again","__dict__":{},"reply_to":"r1"}\n${all}`,
  );
  assertEquals(two.text, `{"event":"others","__dict__":{"n":2}}\n${all}`);
  assertThrows(() => system.sendTo(from, ""), RangeError, "1 to 255 bytes");
  const nothing = null as unknown as typeof from;
  assertThrows(() => system.sendTo(nothing, "a"), TypeError, "null");
  assertThrows(() => system.sendToClients("a", { big: 1n }), TypeError, '"big"');
});

Deno.test("EbsocketSystem.sendEventTo() returns false for a client that has left", async () => {
  await using system = newSystem();
  {
    await using peer = await Peer.connect(system.server.address);
    await peer.send('{"event":"a"}\n');
    await until(() => system.clients.size === 1);
  }
  const [event] = await pumpEvents(system, 1);
  await until(() => system.clients.size === 0);
  assertFalse(system.sendEventTo(event!.fromConnection, new EbsocketEvent("late")));
  const nothing = null as unknown as EbsocketConnection;
  assertThrows(() => system.sendEventTo(nothing, new EbsocketEvent("x")), TypeError, "null");
});

Deno.test("EbsocketSystem.sendEventToClients() returns the number of clients, and can leave one out", async () => {
  await using system = newSystem();
  await using one = await Peer.connect(system.server.address);
  await using two = await Peer.connect(system.server.address);
  await one.send('{"event":"a"}\n');
  const [event] = await pumpEvents(system, 1);
  await until(() => system.clients.size === 2);
  assertEquals(system.sendEventToClients(event!, { except: event!.fromConnection }), 1);
  assertEquals(system.sendEventToClients(new EbsocketEvent("b")), 2);
  await one.sees('"b"');
  await two.sees('{"event":"a","__dict__":{}}\n{"event":"b","__dict__":{}}\n');
  assertEquals(one.text, '{"event":"b","__dict__":{}}\n');
});

Deno.test("EbsocketSystem.sendEventToClients() throws for events that cannot be encoded", async () => {
  await using system = newSystem({ maxLineBytes: 100 });
  const huge = new EbsocketEvent("huge", { text: "x".repeat(100) });
  assertThrows(() => system.sendEventToClients(huge), RangeError, "exceed maxLineBytes 100");
  assertThrows(
    () => system.sendEventToClients(new EbsocketEvent("bad", { big: 1n })),
    TypeError,
    '"big"',
  );
  const none = "message" as unknown as EbsocketEvent;
  assertThrows(() => system.sendEventToClients(none), TypeError, "expected an EbsocketEvent");
});

Deno.test("EbsocketSystem.removeClient() closes the socket after the queued events", async () => {
  await using system = newSystem();
  await using peer = await Peer.connect(system.server.address);
  await peer.send('{"event":"a"}\n');
  const [event] = await pumpEvents(system, 1);
  const connection = event!.fromConnection;
  system.sendEventTo(connection, new EbsocketEvent("bye"));
  const closed = system.removeClient(connection);
  assertEquals(system.clients.size, 0);
  assertEquals(await peer.lines(), ['{"event":"bye","__dict__":{}}']);
  peer.close();
  assertEquals((await closed).reason, "local");
  assertEquals((await system.pump())[2].map(([who]) => who === connection), [true]);
});

Deno.test("EbsocketSystem that is not pumped pushes back, and loses nothing", async () => {
  await using system = newSystem({ maxUnreadEvents: 100 });
  await using peer = await Peer.connect(system.server.address, { silent: true });
  const count = 200_000;
  const text = Array.from({ length: count }, (_, i) => `{"event":"n","__dict__":{"i":${i}}}\n`);
  let isSent = false;
  const sending = peer.send(text.join("")).then(() => isSent = true);
  // The sender is stuck once the inbox and the buffers of the operating system are full.
  await until(() => system.clients.size === 1);
  const connection = [...system.clients.keys()][0]!;
  await until(() => connection.bytesIn > 0);
  await untilStill(() => connection.bytesIn, 20);
  assertFalse(isSent);
  assertLess(connection.bytesIn, 1_000_000);

  const events = await pumpEvents(system, count);
  await sending;
  assertEquals(events.findIndex((event, i) => event.getAttribute("i") !== i), -1);
});

Deno.test("EbsocketSystem that is not pumped accepts no more than it can report", async () => {
  await using system = newSystem({ maxUnreadEvents: 10 });
  const peers: Peer[] = [];
  for (let i = 0; i < 20; i++) peers.push(await Peer.connect(system.server.address));
  await until(() => system.clients.size === 10);
  await pause(20); // in which it must accept no other
  assertEquals(system.clients.size, 10);
  let newClients = 0;
  while (newClients < 20) newClients += (await system.pump())[0].length;
  for (const peer of peers) await peer[Symbol.asyncDispose]();
});

Deno.test("EbsocketSystem closes while it is full and a client has vanished", async () => {
  const system = newSystem({ maxUnreadEvents: 1 });
  const peer = await Peer.connect(system.server.address);
  await peer.send('{"event":"a"}\n'.repeat(10));
  await until(() => system.clients.size === 1);
  peer.close();
  const big = new EbsocketEvent("big", { text: "x".repeat(100_000) });
  await until(() => system.sendEventToClients(big) === 0);
  await soon(system.close(), "the end of the system");
  await peer[Symbol.asyncDispose]();
});

Deno.test("EbsocketSystem.abort() ends clients that are being removed, too", async () => {
  const system = newSystem();
  await using _ = await Peer.connect(system.server.address, { silent: true });
  await until(() => system.clients.size === 1);
  const [connection] = [...system.clients.keys()];
  const big = new EbsocketEvent("big", { text: "x".repeat(1_000_000) });
  for (let i = 0; i < 7; i++) system.sendEventToClients(big);
  const removed = system.removeClient(connection!);
  await system.abort();
  assertEquals((await removed).reason, "aborted");
});

Deno.test("EbsocketSystem.sendEventToClients() reaches the clients after a dead one", async () => {
  await using system = newSystem();
  const dead = await Peer.connect(system.server.address);
  await using alive = await Peer.connect(system.server.address);
  await until(() => system.clients.size === 2);
  await dead[Symbol.asyncDispose]();
  system.sendEventToClients(new EbsocketEvent("a"));
  system.sendEventToClients(new EbsocketEvent("b"));
  await alive.sees('"b"');
  await until(() => system.clients.size === 1);
  assertEquals(system.sendEventToClients(new EbsocketEvent("c")), 1);
});

Deno.test("EbsocketSystem closes with its server, after the queued events", async () => {
  const server = new EbsocketServer(["127.0.0.1", 0]);
  const system = new EbsocketSystem(server);
  await using client = new EbsocketClient();
  await client.connectTo(server.address);
  await until(() => system.clients.size === 1);
  system.sendEventToClients(new EbsocketEvent("last"));
  server.close();
  await system.closed;
  assertEquals((await client.recvEvent())?.event, "last");
  assertStrictEquals(await client.recvEvent(), null);
  assertEquals((await client.closed).reason, "shutdown");
});

Deno.test("EbsocketSystem.abort() ends at once", async () => {
  const system = newSystem();
  await using peer = await Peer.connect(system.server.address);
  await until(() => system.clients.size === 1);
  await system.abort();
  assertEquals(await peer.lines(), []);
});

Deno.test("EbsocketSystem writes the events of one turn together, and keeps their order", async () => {
  const listener = new StepListener();
  await using system = new EbsocketSystem(new EbsocketServer({ listener }));
  const join = async () => {
    const socket = listener.connect(() => 0);
    const { size } = system.clients;
    await until(() => system.clients.size === size + 1);
    return { socket, connection: [...system.clients.keys()].at(-1)! };
  };
  const events = ({ socket }: { socket: StepSocket }) =>
    textOf(socket.written()).split("\n").slice(0, -1)
      .map((line) => JSON.parse(line).event);
  const [one, two, three] = [await join(), await join(), await join()];

  for (const name of ["a", "b", "c"]) assertEquals(system.sendToClients(name), 3);
  await until(() => events(three!).length === 3);
  assertEquals([one, two, three].map(({ socket }) => socket.writes), [1, 1, 1]);

  assertEquals(system.sendToClients("d", {}, { except: one.connection }), 2);
  assert(system.sendTo(one.connection, "e"));
  assertEquals(system.sendToClients("f"), 3);
  const late = await join();
  system.sendToClients("g");
  two.connection.close();
  assertEquals(system.sendToClients("h"), 3);
  await until(() => events(late).length === 2);
  assertEquals(events(one), ["a", "b", "c", "e", "f", "g", "h"]);
  assertEquals(events(two), ["a", "b", "c", "d", "f", "g"]);
  assertEquals(events(three), ["a", "b", "c", "d", "f", "g", "h"]);
  assertEquals(events(late), ["g", "h"]);
  system.sendToClients("i");
  await one.connection.flush();
  assertEquals(events(one).at(-1), "i");

  system.sendToClients("j");
  one.connection.send(utf8('{"event":"k"}\n'));
  await until(() => events(one).length === 10);
  assertEquals(events(one).slice(-3), ["i", "j", "k"]);
  await Promise.all([one, two, three, late].map(({ socket }) => socket.end()));
});

Deno.test("EbsocketSystem sends gathered events to a half-closed client, and to all at its end", async () => {
  const listener = new StepListener();
  const system = new EbsocketSystem(new EbsocketServer({ listener }), { maxBatchDelay: 1000 });
  const sockets: StepSocket[] = [];
  while (sockets.length < 30) {
    sockets.push(listener.connect(() => 0));
    await until(() => system.clients.size === sockets.length);
  }
  const count = (socket: StepSocket) => textOf(socket.written()).split('"event"').length - 1;
  pretendWritesTake(10);
  for (let i = 0; i < 4; i++) {
    system.sendToClients("a");
    await turn();
  }
  assertLess(count(sockets[0]!), 4);
  await sockets[0]!.end();
  await until(() => count(sockets[0]!) === 4);
  assertLess(count(sockets[1]!), 4);
  const closed = system.close();
  await Promise.all(sockets.slice(1).map((socket) => socket.end()));
  await closed;
  assertEquals(new Set(sockets.map(count)), new Set([4]));
  pretendWritesTake(0.006);
});

for (const count of [2, 20]) {
  Deno.test(`EbsocketSystem with ${count} clients writes an answer to one along with the events for all`, async () => {
    const listener = new StepListener();
    await using system = new EbsocketSystem(new EbsocketServer({ listener }), {
      maxPendingBytes: 8000,
    });
    const sockets: StepSocket[] = [];
    for (let i = 0; i < count; i++) {
      sockets.push(listener.connect(() => 0));
      await until(() => system.clients.size === sockets.length);
    }
    const [first, second] = [...system.clients.keys()];
    let expected = "";
    for (let i = 0; i < 5; i++) {
      system.sendToClients("all", { i });
      assert(system.sendTo(first!, "one", { i }));
      expected += `{"event":"all","__dict__":{"i":${i}}}\n{"event":"one","__dict__":{"i":${i}}}\n`;
    }
    const text = (socket: StepSocket) => textOf(socket.written());
    await until(() => text(sockets[1]!).split("\n").length === 6);
    assertEquals(text(sockets[0]!), expected);
    assertEquals(sockets[0]!.writes, 1);
    assertEquals(sockets[1]!.writes, 1);

    // What is too much for a client is refused at the call, although what all get still waits.
    for (const socket of sockets) socket.isSlow = true;
    const words = "x".repeat(4000);
    system.sendToClients("all", { words: "x".repeat(700) });
    assert(system.sendTo(second!, "one", { words }));
    system.sendToClients("all", { words: "x".repeat(700) });
    assertFalse(system.sendTo(second!, "one", { words }));
    assertFalse(second!.open);
    for (const socket of sockets) socket.takeAll();
    await Promise.all(sockets.map((socket) => socket.end()));
    assertEquals((await second!.closed).reason, "slow-consumer");
  });
}

Deno.test("EbsocketSystem.flush() waits until the operating system has taken everything", async () => {
  await using system = newSystem();
  await using peer = await Peer.connect(system.server.address);
  await until(() => system.clients.size === 1);
  const [connection] = [...system.clients.keys()];
  const event = new EbsocketEvent("big", { text: "x".repeat(500_000) });
  system.sendEventToClients(event);
  assertGreater(connection!.pendingBytes, 500_000);
  await system.flush();
  assertEquals(connection!.pendingBytes, 0);
  await peer.sees("\n");
});

Deno.test("EbsocketSystem checks its options", () => {
  const server = new EbsocketServer(["127.0.0.1", 0]);
  assertThrows(() => new EbsocketSystem(server, { timeout: -1 }), RangeError, "-1");
  assertThrows(() => new EbsocketSystem(server, { maxUnreadEvents: 0 }), RangeError, "got 0");
  assertThrows(() => new EbsocketSystem(server, { maxUnreadBytes: 0.5 }), RangeError, "0.5");
  assertThrows(() => new EbsocketSystem(server, { maxDepth: 1 }), RangeError, "maxDepth");
  assertThrows(() => new EbsocketSystem(server, { maxClients: NaN }), RangeError, "NaN");
  const port = 7982 as unknown as EbsocketServer;
  assertThrows(() => new EbsocketSystem(port), TypeError, "expected an EbsocketServer, got 7982");
  server.close();
});

const CHAT = defineEvents({
  message: MESSAGE,
  shout: schemaOf(() => ({ value: { content: "HI" } })),
  throwing: THROWING,
  asynchronous: ASYNCHRONOUS,
});

Deno.test("EbsocketSystem.pump() returns the output of validators, and invalid events apart", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]), { events: CHAT });
  await using peer = await Peer.connect(system.server.address);
  await peer.send(
    '{"event":"message","__dict__":{"content":"hi"}}\n' +
      '{"event":"message","__dict__":{"content":1}}\n{"event":"throwing"}\n' +
      '{"event":"asynchronous"}\n{"event":"__proto__"}\n{"event":"shout"}\n',
  );
  const events: [string, string][] = [];
  const invalidEvents: [string, readonly string[]][] = [];
  while (events.length < 2) {
    const [, newEvents, , newInvalidEvents] = await system.pump();
    for (const event of newEvents) events.push([event.event, event.__dict__.content]);
    for (const [event, issues] of newInvalidEvents) {
      assert(system.clients.has(event.fromConnection));
      invalidEvents.push([event.event, issues]);
    }
  }
  assertEquals(events, [["message", "hi"], ["shout", "HI"]]);
  assertEquals(invalidEvents, [
    ["message", ["content: Expected a string"]],
    ["throwing", ['Cannot check event "throwing": boom']],
    ["asynchronous", ['Cannot check event "asynchronous": its validator is asynchronous']],
    ["__proto__", ["no event of this name is defined"]],
  ]);
});

Deno.test("EbsocketSystem keeps the order of invalid events, and acknowledges them", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]), { events: CHAT });
  await using peer = await Peer.connect(system.server.address);
  await peer.send(
    '{"control":"hello","ack":true}\n{"event":"message","__dict__":{"content":1}}\n' +
      '{"event":"message","__dict__":{"content":"hi"}}\n',
  );
  const seen: unknown[] = [];
  for await (const notice of system) {
    if (notice.type === "invalid") seen.push(notice.event.__dict__, notice.issues);
    if (notice.type !== "event") continue;
    seen.push(notice.event.__dict__);
    break;
  }
  assertEquals(seen, [{ content: 1 }, ["content: Expected a string"], { content: "hi" }]);
  await peer.sees('{"control":"ack","events":2}\n');
});

Deno.test("EbsocketSystem sends valid events as they were given", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]), { events: CHAT });
  await using peer = await Peer.connect(system.server.address);
  await until(() => system.clients.size === 1);
  const [connection] = [...system.clients.keys()];
  const wrong = new EbsocketEvent("message", { content: 1 as unknown as string });
  assertThrows(() => system.sendEventTo(connection!, wrong), EventSchemaError, "Expected a string");
  assertThrows(() => system.sendEventToClients(wrong), EventSchemaError, "Expected a string");
  const asking = Object.assign(new EbsocketEvent("message", { content: "who" }), {
    id: "r1",
    fromConnection: connection,
  });
  assertThrows(() => system.reply(asking, wrong), EventSchemaError, "Expected a string");
  system.sendEventTo(connection!, new EbsocketEvent("shout", { content: "hi" }));
  system.sendEventToClients(new EbsocketEvent("message", { content: "all" }));
  await peer.sees('"all"}}\n');
  assertEquals(
    peer.text,
    '{"event":"shout","__dict__":{"content":"hi"}}\n' +
      '{"event":"message","__dict__":{"content":"all"}}\n',
  );
});

Deno.test("EbsocketSystem throws a TypeError for events that are not definitions", () => {
  const server = new EbsocketServer(["127.0.0.1", 0]);
  const events = { message: MESSAGE } as unknown as EventDefinitions;
  assertThrows(() => new EbsocketSystem(server, { events }), TypeError, "Invalid events");
  server.close();
});

Deno.test("EbsocketSystem.reply() answers requests, and no other events", async () => {
  await using system = newSystem();
  await using peer = await Peer.connect(system.server.address);
  await peer.send('{"event":"ask","id":"r1"}\n{"event":"told"}\n');
  const [asked, told] = await pumpEvents(system, 2);
  const answer = new EbsocketEvent("answer", { n: 1 });
  assert(system.reply(asked!, answer));
  assertFalse(system.reply(told!, answer));
  await peer.sees('{"event":"answer","__dict__":{"n":1},"reply_to":"r1"}\n');
  assertThrows(() => system.reply(new EbsocketEvent("x"), answer), TypeError, "has not come from");
  const bad = new EbsocketEvent("answer", { n: NaN });
  assertThrows(() => system.reply(asked!, bad), TypeError, '"n"');
  await system.removeClient(asked!.fromConnection);
  assertFalse(system.reply(asked!, answer));
});

Deno.test("EbsocketSystem does not rate-limit a client for events sent while the program read nothing", async () => {
  // Fast, and yet slow enough that we are seen to run.
  using _clock = new Clock(3.5);
  await using system = newSystem({ maxUnreadEvents: 1, maxEventsPerSecond: 1 });
  await using peer = await Peer.connect(system.server.address);
  await peer.send('{"event":"a"}\n');
  await until(() => [...system.clients.keys()][0]?.bytesIn === 14);
  const fullAt = performance.now();
  // One second's worth may come at once, and ten are too much: so many are read at once, too.
  await peer.send('{"event":"a"}\n'.repeat(13));
  await until(() => performance.now() - fullAt > 14_000);
  assertEquals((await pumpEvents(system, 14)).length, 14);
  assertEquals([...system.clients.keys()].map(({ open }) => open), [true]);
});
