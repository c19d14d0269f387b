import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import type { CloseInfo } from "../../errors.ts";
import { EbsocketServer, type ServeOptions } from "../../server.ts";
import { Peer } from "../support/peer.ts";
import { pause, until } from "../support/waiting.ts";
import { join, newRelay } from "../support/relay.ts";

Deno.test("Admission admits maxClientsPerAddress clients from one address, and another when one has left", async () => {
  await using relay = newRelay({ maxClientsPerAddress: 2 });
  await using one = await join(relay);
  await using _two = await join(relay);
  await using third = await Peer.connect(relay.server.address);
  const detail = "the server takes no more than 2 from one address";
  assertEquals(await third.lines(), [
    JSON.stringify({ control: "close", reason: "too-many-clients", detail }),
  ]);
  one.close();
  await until(() => relay.clients.length === 1);
  await using _fourth = await join(relay);
  assertEquals(relay.clients.map(({ id }) => id), [2, 3]);
});

Deno.test("Admission counts each address for itself", async () => {
  await using relay = newRelay({ maxClientsPerAddress: 1 }, "::");
  const [, port] = relay.server.address;
  await using _four = await Peer.connect(["127.0.0.1", port]);
  await using _six = await Peer.connect(["::1", port]);
  await until(() => relay.clients.length === 2);
});

Deno.test("Admission closes those for whom most waits when too much waits in all", async () => {
  const left: [id: number, info: CloseInfo][] = [];
  await using relay = newRelay({
    echo: false,
    maxTotalPendingBytes: 1_000_000,
    maxHold: 0,
    observer: { onLeave: ({ id }, info) => left.push([id, info]) },
  });
  await using silent = await join(relay, { silent: true });
  await using reader = await join(relay);
  await using publisher = await join(relay);
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(10_000)}"}}\n`;
  for (let sent = 0; left.length === 0; sent += 10) {
    assertLess(sent, 10_000);
    await publisher.send(line.repeat(10));
    await publisher.send(`{"event":"${sent}"}\n`);
    await reader.sees(`{"event":"${sent}"}`);
  }
  const [[id, info]] = left as [[number, CloseInfo]];
  assertEquals(id, 1);
  assertEquals(info.reason, "slow-consumer");
  assertMatch(info.detail, /bytes were waiting for it, more than for others$/);
  assertLess(info.unsentBytes, 8_388_608);
  await until(() => relay.server.pendingBytes === 0);
  silent.close();
});

/** Sends the first `count` bytes of a line that ends after `length`, and gives the rest. */
async function begin(peer: Peer, length: number, count: number): Promise<string> {
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(length - 32)}"}}\n`;
  await peer.send(line.slice(0, count));
  return line.slice(count);
}

/** A relay that may hold 5 MB of unfinished lines, and why clients have left it. */
function heldRelay() {
  const left: [id: number, info: CloseInfo][] = [];
  const observer = { onLeave: ({ id }: { id: number }, info: CloseInfo) => left.push([id, info]) };
  return { relay: newRelay({ maxTotalPendingBytes: 20_000_000, observer }), left };
}

Deno.test("Admission closes the clients with the oldest unfinished lines when too much is unfinished", async () => {
  const { relay, left } = heldRelay();
  await using _relay = relay;
  const strangers: Peer[] = [];
  try {
    // Someone who types, and holds hardly anything.
    const typing = await join(relay);
    strangers.push(typing);
    await typing.send('{"event":"typed"');
    await until(() => relay.clients[0]!.bytesIn > 0);
    for (let i = 1; i <= 4; i++) strangers.push(await join(relay));
    // Who came last begins first.
    for (let i = 4; i >= 1; i--) {
      await begin(strangers[i]!, 1_000_000, 600_000);
      await until(() => relay.clients[i]!.bytesIn === 600_000);
    }
    await using good = await join(relay);
    const rest = await begin(good, 1_000_000, 900_000);
    await until(() => relay.clients.at(-1)!.bytesIn === 900_000);
    assertEquals(good.text, "");
    assertEquals(left, []);
    for (let i = 0; i < 2; i++) {
      const stranger = await join(relay);
      strangers.push(stranger);
      await begin(stranger, 1_000_000, 600_000);
    }
    await until(() => left.length > 0);
    const [line] = await strangers[4]!.lines();
    assertEquals(JSON.parse(line!).reason, "overloaded");
    await good.send(rest);
    await good.sees('"}}\n');
    assert(left.map(([, { reason }]) => reason).every((each) => each === "overloaded"));
    assert(left.map(([id]) => id).every((id) => 2 < id && id < 6), `${left}`);
    await typing.send("}\n");
    await typing.sees('{"event":"typed"}\n');
  } finally {
    for (const stranger of strangers) await stranger[Symbol.asyncDispose]();
  }
});

Deno.test("Admission lets a single unfinished line have its full length", async () => {
  await using relay = newRelay({ maxTotalPendingBytes: 1000, echo: false });
  await using one = await join(relay);
  const rest = await begin(one, 1_000_000, 999_000);
  await until(() => relay.clients[0]!.bytesIn === 999_000);
  await one.send(rest);
  await until(() => relay.clients[0]!.eventsIn === 1);
});

Deno.test("Admission asks clients to stay away for a time when the server is closed", async () => {
  const relay = newRelay({ retryAfter: 1500 });
  await using one = await join(relay);
  await relay.close();
  assertEquals(await one.lines(), [
    '{"control":"close","reason":"shutdown","retry_after_ms":1500}',
  ]);
});

Deno.test("EbsocketServer.serve() refuses a token that is not set, instead of asking for none", async () => {
  await using server = new EbsocketServer(["127.0.0.1", 0]);
  const sink = { onOpen() {}, onLines() {}, onClose() {} };
  for (const value of [undefined, null]) {
    const options = { token: value as unknown as string };
    const message = `Invalid token: expected a value, got ${value}`;
    assertThrows(() => server.serve(sink, options), TypeError, message);
  }
});

Deno.test("EbsocketServer.serve() refuses options that are out of their range", async () => {
  await using server = new EbsocketServer(["127.0.0.1", 0]);
  const sink = { onOpen() {}, onLines() {}, onClose() {} };
  const cases: ServeOptions[] = [
    { maxClients: 0 },
    { maxClientsPerAddress: 0 },
    { maxTotalPendingBytes: 0 },
    { helloTimeout: 0 },
    { retryAfter: -1 },
    { keepAliveInterval: 0 },
    { keepAliveTimeout: 0.5 },
    { writeTimeout: 0 },
    { lineTimeout: NaN },
    { shutdownTimeout: -0.5 },
  ];
  for (const options of cases) {
    assertThrows(() => server.serve(sink, options), RangeError, Object.keys(options)[0]!);
  }
});

Deno.test("Admission closes no client for which nothing waits, however much another one leaves behind", async () => {
  const left: [id: number, info: CloseInfo][] = [];
  await using relay = newRelay({
    echo: false,
    maxTotalPendingBytes: 500_000,
    maxHold: 0,
    observer: { onLeave: ({ id }, info) => left.push([id, info]) },
  });
  await using _silent = await join(relay, { silent: true });
  await using publisher = await join(relay);
  // The line that is being written cannot be dropped, and exceeds three quarters of the limit.
  const line = `{"event":"a","__dict__":{"x":"${"x".repeat(400_000)}"}}\n`;
  while (left.length === 0) await publisher.send(line);
  await publisher.send('{"control":"hello"}\n');
  await publisher.sees('"welcome"');
  assertEquals(left.map(([id, { reason }]) => [id, reason]), [[1, "slow-consumer"]]);
});

Deno.test("Admission closes no other client for the line that a slow one is being sent", async () => {
  const left: [id: number, reason: string][] = [];
  await using relay = newRelay({
    echo: false,
    maxTotalPendingBytes: 500_000,
    maxHold: 0,
    observer: { onLeave: ({ id }, { reason }) => left.push([id, reason]) },
  });
  await using _silent = await join(relay, { silent: true });
  await using _reader = await join(relay);
  await using publisher = await join(relay);
  const event = (bytes: number) => `{"event":"a","__dict__":{"x":"${"x".repeat(bytes)}"}}\n`;
  // Until a long line waits, which only the silent client can cause.
  while (relay.stats().pendingBytes === 0) {
    await publisher.send(event(400_000));
    await pause(20);
  }
  while (left.length === 0) {
    await publisher.send(event(2000));
    await pause(1);
  }
  await publisher.send('{"control":"hello"}\n');
  await publisher.sees('"welcome"');
  assertEquals(left, [[1, "slow-consumer"]]);
});
