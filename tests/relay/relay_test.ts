import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertNotMatch } from "@std/assert/not-match";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import { defineEvents } from "../../schema/definitions.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { Relay, type RelayClient, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { Clock } from "../support/clock.ts";
import { Peer } from "../support/peer.ts";
import { schemaOf } from "../support/schemas.ts";
import { until, untilStill } from "../support/waiting.ts";
import { join, newRelay } from "../support/relay.ts";

/**
 * Resolves when the relay takes no more of a client that floods it, for `ms` milliseconds: the buffers
 * of the operating system for a slow reader may grow for a while.
 */
async function stalls(flooder: RelayClient, ms = 200): Promise<void> {
  await until(() => flooder.eventsIn > 0);
  await untilStill(() => flooder.eventsIn, ms);
}

Deno.test("Relay passes every event to every client, the sender included", async () => {
  await using relay = newRelay();
  await using one = await join(relay);
  await using two = await join(relay);
  await one.send('{"event":"a"}\n');
  await two.sees("a");
  await two.send('{"event":"b"}\n');
  const all = '{"event":"a"}\n{"event":"b"}\n';
  await one.sees(all);
  await two.sees(all);
});

Deno.test("Relay without echo leaves the sender out", async () => {
  await using relay = newRelay({ echo: false });
  await using one = await join(relay);
  await using two = await join(relay);
  await one.send('{"event":"a"}\n');
  await two.sees('{"event":"a"}\n');
  await two.send('{"event":"b"}\n');
  await one.sees('{"event":"b"}\n');
  assertEquals(one.text, '{"event":"b"}\n');
  assertEquals(two.text, '{"event":"a"}\n');
});

/** The features in the welcome that a peer has got. */
function featuresOf({ text }: Peer): string[] {
  const welcome = text.split("\n").find((line) => line.includes('"welcome"'));
  return JSON.parse(welcome!).features;
}

Deno.test("Relay with subscribeFirst sends a client nothing until it subscribes, and lists the feature", async () => {
  await using relay = newRelay({ subscribeFirst: true });
  await using one = await join(relay);
  await using two = await join(relay);
  await one.send('{"control":"hello"}\n{"event":"a","ack":"1"}\n');
  await one.sees('{"control":"ack","id":"1","clients":0}\n');
  assert(featuresOf(one).includes("subscribe-first"));
  assertFalse(one.text.includes('"event"'));

  await two.send('{"control":"subscribe","events":["b"],"id":"s"}\n');
  await two.sees('{"control":"ack","id":"s"}\n');
  await one.send('{"event":"a"}\n{"event":"b"}\n');
  await two.sees('{"event":"b"}\n');
  await two.send('{"control":"subscribe","events":[">"],"id":"t"}\n');
  await two.sees('{"control":"ack","id":"t"}\n');
  await one.send('{"event":"c"}\n');
  await two.sees('{"event":"c"}\n');
  await two.send('{"control":"unsubscribe","events":["b",">"],"id":"u"}\n');
  await two.sees('{"control":"ack","id":"u"}\n');
  await one.send('{"event":"b","ack":"2"}\n');
  await one.sees('{"control":"ack","id":"2","clients":0}\n');
  const heard = two.text.split("\n").filter((line) => line.includes('"event"'));
  assertEquals(heard, ['{"event":"b"}', '{"event":"c"}']);
  assertEquals(relay.stats().eventsUnheard, 3);
});

Deno.test("Relay with subscribeFirst sends a client the events addressed to it, numbered on request", async () => {
  await using relay = newRelay({ subscribeFirst: true, token: "s3cret" });
  const hello = { control: "hello", token: "s3cret" };
  await using one = await Peer.connect(relay.server.address);
  await one.send(`${JSON.stringify(hello)}\n`);
  await one.sees('"id":"c1"');
  await using two = await Peer.connect(relay.server.address);
  await two.send(`${JSON.stringify({ ...hello, sequence: true })}\n`);
  await two.sees('"id":"c2"');
  await one.send('{"event":"a"}\n{"event":"b","to":"c2"}\n{"event":"c","id":"r","to":"c2"}\n');
  await two.sees('"event":"c"');
  await two.send('{"event":"d","to":"c1","reply_to":"r"}\n');
  await one.sees('{"from":"c2","event":"d","to":"c1","reply_to":"r"}\n');
  const heard = two.text.split("\n").filter((line) => line.includes('"event"'));
  assertEquals(heard, [
    '{"seq":1,"from":"c1","event":"b","to":"c2"}',
    '{"seq":2,"from":"c1","event":"c","id":"r","to":"c2"}',
  ]);
});

Deno.test("Relay without subscribeFirst does not list the feature", async () => {
  await using relay = newRelay();
  await using one = await join(relay);
  await one.send('{"control":"hello"}\n');
  await one.sees('"welcome"');
  assertEquals(featuresOf(one), ["subscribe", "ack", "sequence", "stats", "window"]);
});

Deno.test("Relay forwards the bytes that it received", async () => {
  await using relay = newRelay({ echo: false });
  await using one = await join(relay);
  await using two = await join(relay);
  const lines = [
    '{"event":"n","__dict__":{"x":1.0,"y":12345678901234567890,"z":1e400,"a":-0}}',
    '  {  "__dict__" : {"b":1,"a":2,"b":3} ,\t"event":"spaces" }  ',
    '{"event":"\\u0061\\/é😀\u2028","unknown":[null,true,false,{"deep":[[]]}],"reply_to":"7"}',
  ];
  await one.send(lines.join("\n") + "\n");
  await two.sees(lines[2]!);
  assertEquals(two.text, lines.join("\n") + "\n");
});

Deno.test("Relay drops one carriage return, a byte order mark and empty lines, and no event", async () => {
  await using relay = newRelay({ echo: false });
  await using one = await join(relay);
  await using two = await join(relay);
  await one.send(
    '\ufeff{"event":"a"}\r\n\n\r\n{"event":"b"}\n{"event":"c"}\r\r\n{"event":"d"}\n\n{"event":"e"}\n',
  );
  await two.sees('"e"');
  assertEquals(
    two.text,
    '{"event":"a"}\n{"event":"b"}\n{"event":"c"}\r\n{"event":"d"}\n{"event":"e"}\n',
  );
});

Deno.test("Relay keeps control lines to itself, known or not", async () => {
  await using relay = newRelay();
  await using one = await join(relay);
  await one.send('{"event":"a"}\n{"control":"from the future","x":1}\n{"event":"b"}\n');
  await one.sees("b");
  assertEquals(one.text, '{"event":"a"}\n{"event":"b"}\n');
});

Deno.test("Relay relays a line that arrives byte by byte", async () => {
  await using relay = newRelay();
  await using one = await join(relay);
  const line = '{"event":"é","__dict__":{"x":"😀"}}\n';
  for (const byte of utf8(line)) await one.send(new Uint8Array([byte]));
  await one.sees(line);
});

Deno.test("Relay ends a client at its first bad line; the lines before count, none after", async () => {
  const bad: [line: string, reason: string, options?: RelayOptions][] = [
    ["nonsense", "bad-json"],
    ["POST / HTTP/1.1", "bad-json"],
    ['{"event":"\xff"}', "bad-utf8"],
    ['{"event":""}', "bad-event"],
    ["[".repeat(65), "too-deep"],
    ["[".repeat(4), "too-deep", { maxDepth: 3 }],
    ["x".repeat(101), "line-too-long", { maxLineBytes: 100 }],
  ];
  for (const [line, reason, options] of bad) {
    await using relay = newRelay(options);
    await using watcher = await join(relay);
    await using one = await join(relay);
    const text = `{"event":"before"}\n${line}\n{"event":"after"}\n`;
    await one.send(Uint8Array.from(text, (char) => char.charCodeAt(0)));
    const received = (await one.lines()).map((each) => JSON.parse(each));
    assertEquals(received[0], { event: "before" });
    assertEquals(received.length, 2);
    assertObjectMatch(received[1], { control: "close", reason });
    await watcher.sees("before");
    await watcher.send('{"event":"still here"}\n');
    await watcher.sees("still here");
    assertNotMatch(watcher.text, /after/);
  }
});

Deno.test("Relay reports joining and leaving clients to its observer, with counters", async () => {
  const seen: unknown[] = [];
  await using relay = newRelay({
    maxClients: 2,
    observer: {
      onJoin: ({ id }) => void seen.push(["join", id]),
      onLeave: ({ id, eventsIn, eventsOut, bytesIn, bytesOut }, { reason, unsentLines }) =>
        void seen.push(["leave", id, reason, eventsIn, eventsOut, bytesIn, bytesOut, unsentLines]),
      onRefuse: ([hostname], reason) => void seen.push(["refuse", hostname, reason]),
    },
  });
  await using _one = await join(relay);
  const two = await join(relay);
  await using three = await Peer.connect(relay.server.address);
  await three.lines();
  await two.send('{"event":"a"}\n\n{"event":"b"}\n');
  await two.sees("b");
  await two[Symbol.asyncDispose]();
  await until(() => seen.length === 4);
  assertEquals(seen, [
    ["join", 1],
    ["join", 2],
    ["refuse", "127.0.0.1", "too-many-clients"],
    ["leave", 2, "eof", 2, 2, 29, 28, 0],
  ]);
});

Deno.test("Relay holds a fast publisher back, so that all readers receive everything", async () => {
  // A client that reads through the library stops reading its socket while its inbox is full.
  await using relay = newRelay({ echo: false, maxPendingBytes: 1_000_000 });
  await using reader = new EbsocketClient({ maxUnreadEvents: 10 });
  await reader.connectTo(relay.server.address);
  await using publisher = new EbsocketClient();
  await publisher.connectTo(relay.server.address);
  await until(() => relay.clients.length === 2);
  const count = 3000;
  const text = "x".repeat(10_000);
  const sending = (async () => {
    for (let i = 0; i < count; i++) await publisher.sendEvent(new EbsocketEvent("n", { i, text }));
  })();
  for (let i = 0; i < count; i++) assertEquals((await reader.recvEvent())?.getAttribute("i"), i);
  await sending;
});

Deno.test("Relay with short send queues sends bursts of long lines to a client that reads", async () => {
  // The reader here looks through all it has at each read, and so is a slow one.
  await using relay = newRelay({ echo: false, maxPendingBytes: 65_536, maxHold: 30_000 });
  await using publisher = await join(relay);
  await using subscriber = await join(relay);
  for (const [bytes, count] of [[999_900, 1], [16_000, 600], [200, 20_000]] as const) {
    const event = `{"event":"a","__dict__":{"a":"${"x".repeat(bytes)}"}}\n`;
    await publisher.send(event.repeat(count));
    await publisher.send(`{"event":"${count} of ${bytes} bytes"}\n`);
    await subscriber.sees(`${count} of ${bytes} bytes`);
  }
  assertEquals(subscriber.text.split("\n").length, 1 + 600 + 20_000 + 3 + 1);
});

Deno.test("Relay closes a client that never reads, with its reason, and disturbs no other", async () => {
  const reasons: string[] = [];
  let unsent = 0;
  await using relay = newRelay({
    echo: false,
    maxPendingBytes: 2_000_000,
    observer: {
      onLeave(_, { reason, unsentLines }) {
        reasons.push(reason);
        unsent = unsentLines;
      },
    },
  });
  await using silent = await Peer.connect(relay.server.address, { silent: true });
  await until(() => relay.clients.length === 1);
  await using reader = new EbsocketClient();
  await reader.connectTo(relay.server.address);
  await using publisher = new EbsocketClient();
  await publisher.connectTo(relay.server.address);
  await until(() => relay.clients.length === 3);
  const count = 3000;
  const text = "x".repeat(10_000);
  const sending = (async () => {
    for (let i = 0; i < count; i++) await publisher.sendEvent(new EbsocketEvent("n", { i, text }));
  })();
  for (let i = 0; i < count; i++) assertEquals((await reader.recvEvent())?.getAttribute("i"), i);
  await sending;
  // What it is told comes after what the buffers of the operating system still hold for it.
  const buffer = new Uint8Array(1_000_000);
  let last = "";
  for (let length; (length = await silent.conn.read(buffer)) !== null;) {
    last = (last + textOf(buffer.subarray(0, length))).slice(-20_000);
  }
  const lines = last.split("\n");
  assertEquals(lines.pop(), "");
  assertEquals(JSON.parse(lines.pop()!).reason, "slow-consumer");
  assertEquals(JSON.parse(lines.pop()!).event, "n");
  await until(() => reasons.length > 0);
  assertEquals(reasons[0], "slow-consumer");
  assertGreater(unsent, 0);
});

Deno.test("Relay.close() sends its reason to all clients, after their queued lines", async () => {
  const relay = newRelay();
  await using one = await join(relay);
  await one.send('{"event":"a"}\n');
  await one.sees("a");
  const closed = relay.close();
  assertEquals(await one.lines(), ['{"event":"a"}', '{"control":"close","reason":"shutdown"}']);
  one.close();
  await closed;
  await relay.closed;
});

Deno.test("Relay.close() waits for a client that takes nothing no longer than shutdownTimeout", async () => {
  const unsent: number[] = [];
  const relay = newRelay({
    shutdownTimeout: 50,
    observer: { onLeave: (_, { unsentBytes }) => void unsent.push(unsentBytes) },
  });
  await using silent = await Peer.connect(relay.server.address, { silent: true });
  await until(() => relay.clients.length === 1);
  await using publisher = await join(relay);
  await publisher.send(`{"event":"a","__dict__":{"text":"${"x".repeat(1_000_000)}"}}\n`.repeat(7));
  await until(() => relay.clients.every(({ eventsOut }) => eventsOut === 7));
  await relay.close();
  assert(unsent.some((bytes) => bytes > 0));
  silent.close();
});

Deno.test("Relay checks its options", () => {
  const server = new EbsocketServer(["127.0.0.1", 0]);
  assertThrows(() => new Relay(server, { maxDepth: 0 }), RangeError, "maxDepth");
  assertThrows(() => new Relay(server, { maxLineBytes: 0 }), RangeError, "maxLineBytes");
  assertThrows(() => new Relay(server, { maxPendingBytes: 0 }), RangeError, "maxPendingBytes");
  assertThrows(() => new Relay(server, { maxClients: -5 }), RangeError, "-5");
  assertThrows(() => new Relay(server, { shutdownTimeout: -1 }), RangeError, "-1");
  assertThrows(() => new Relay(server, { maxSubscriptions: 0 }), RangeError, "maxSubscriptions");
  const total = { maxTotalSubscriptions: 0 };
  assertThrows(() => new Relay(server, total), RangeError, "maxTotalSubscriptions");
  const port = 7982 as unknown as EbsocketServer;
  assertThrows(() => new Relay(port), TypeError, "expected an EbsocketServer, got 7982");
  server.close();
});

Deno.test("Relay does not rate-limit a publisher for lines that were held up", async () => {
  // Fast, and yet slow enough that we are seen to run.
  using _clock = new Clock(3.5);
  const ends: string[] = [];
  await using relay = newRelay({
    maxHold: 60_000,
    maxPendingBytes: 4_000_000,
    maxEventsPerSecond: 1,
    echo: false,
    observer: { onLeave: (_, { reason }) => ends.push(reason) },
  });
  await using silent = await Peer.connect(relay.server.address, { silent: true });
  await until(() => relay.clients.length === 1);
  await using big = await join(relay);
  await big.send('{"control":"subscribe","events":[]}\n');
  await using publisher = await join(relay);
  const line = `{"event":"big","__dict__":{"x":"${"x".repeat(900_000)}"}}\n`;
  const flooding = big.send(line.repeat(9)).catch(() => {}); // It is held up, too.
  await stalls(relay.clients[1]!, 800); // It is also held to its rate.
  await publisher.send('{"event":"a"}\n');
  await until(() => relay.clients[2]!.bytesIn > 0);
  const heldAt = performance.now();
  // One second's worth may come at once, and ten are too much: so many are read at once, too.
  await publisher.send('{"event":"a"}\n'.repeat(13));
  await until(() => performance.now() - heldAt > 14_000);
  assertEquals(relay.clients[2]!.eventsIn, 0);
  silent.close();
  await until(() => relay.clients.at(-1)!.eventsIn === 14);
  await publisher.send('{"event":"a"}\n');
  await until(() => ends.includes("rate-limited") || relay.clients.at(-1)!.eventsIn === 15);
  await flooding;
  assertEquals(ends.filter((reason) => reason === "rate-limited"), []);
});

Deno.test("Relay does not hold a publisher back for a slow reader that does not receive its events", async () => {
  await using relay = newRelay({ maxHold: 60_000, maxPendingBytes: 1_000_000, echo: false });
  await using slow = await Peer.connect(relay.server.address, { silent: true });
  await until(() => relay.clients.length === 1);
  await slow.send('{"control":"subscribe","events":["private.*"],"queue":"q"}\n');
  await slow.send('{"control":"subscribe","events":["private.>"]}\n');
  await until(() => relay.clients[0]!.bytesIn > 100);
  await using reader = await join(relay);
  await reader.send('{"control":"subscribe","events":["chat"],"id":"s"}\n');
  await reader.sees('"ack"');
  await using feeder = await join(relay);
  await using chatter = await join(relay);
  const line = `{"event":"private.x","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  const feeding = feeder.send(line.repeat(2000)).catch(() => {});
  await stalls(relay.clients[2]!);
  for (let i = 0; i < 5; i++) {
    await chatter.send(`{"event":"chat","__dict__":{"i":${i}}}\n`);
    await reader.sees(`"i":${i}`);
  }
  // It waits all the while, and so does who chats once it says something that the slow one hears.
  await chatter.send('{"event":"chat"}\n{"event":"private.y"}\n');
  await until(() => relay.clients[3]!.bytesIn > 5 * 38);
  const { eventsIn } = relay.clients[2]!;
  assertLess(eventsIn, 2000);
  assertEquals(relay.clients[3]!.eventsIn, 5);
  slow.close();
  await reader.sees('{"event":"chat"}\n');
  await feeding;
});

Deno.test("Relay keeps the order of a client whose lines are held up and then take long", async () => {
  const chat = schemaOf((value) => {
    for (const start = performance.now(); performance.now() - start < 3;);
    return { value: value as object };
  });
  const big = schemaOf((value) => ({ value: value as object }));
  await using relay = newRelay({
    maxHold: 60_000,
    maxPendingBytes: 1_000_000,
    echo: false,
    events: defineEvents({ big, chat }),
  });
  await using slow = await Peer.connect(relay.server.address, { silent: true });
  await until(() => relay.clients.length === 1);
  await using reader = await join(relay);
  await reader.send('{"control":"subscribe","events":["chat"],"id":"s"}\n');
  await reader.sees('"ack"');
  await using feeder = await join(relay);
  await using chatter = await join(relay);
  const line = `{"event":"big","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  const feeding = feeder.send(line.repeat(2000)).catch(() => {});
  await stalls(relay.clients[2]!);
  // It is looked at after each control line whether others should have their turn.
  const numbers = Array.from({ length: 100 }, (_, i) => i);
  const text = (i: number) => `{"event":"chat","__dict__":{"i":${i}}}\n{"control":"x"}\n`;
  await chatter.send(numbers.map(text).join(""));
  await until(() => relay.clients[3]!.bytesIn > 0);
  slow.close();
  await reader.sees('"i":99}');
  const heard = Array.from(reader.text.matchAll(/"i":(\d+)/g), ([, i]) => Number(i));
  assertEquals(heard, numbers);
  await feeding;
});
