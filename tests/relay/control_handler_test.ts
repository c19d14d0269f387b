// What clients ask of a relay, and are answered: with sockets, as other programs see it.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertStrictEquals } from "@std/assert/strict-equals";
import config from "../../deno.json" with { type: "json" };
import type { ControlLine } from "../../protocol/control.ts";
import { decodeReport } from "../../protocol/report.ts";
import { Peer } from "../support/peer.ts";
import { join, newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";

const A = '{"event":"a"}\n';
const B = '{"event":"b"}\n';

let lastId = 0;

/** Sends a control line with an `id`, and waits for the answer. */
async function ask(peer: Peer, line: object): Promise<Record<string, unknown>> {
  const id = `ask-${++lastId}`;
  await peer.send(`${JSON.stringify({ ...line, id })}\n`);
  await peer.sees(`"id":"${id}"`);
  await peer.sees("\n");
  const text = peer.text.split("\n").find((text) => text.includes(`"id":"${id}"`));
  return JSON.parse(text!);
}

const subscribe = (peer: Peer, events: string[], queue?: string) =>
  ask(peer, { control: "subscribe", events, queue });

/** The names of the events that have come. */
function names(peer: Peer): string[] {
  const lines = peer.text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  return lines.filter(({ event }) => event).map(({ event }) => event);
}

Deno.test("Relay sends a client the events that it has subscribed to, from the subscription on", async () => {
  await using relay = newRelay({ echo: false });
  await using one = await join(relay);
  await using two = await join(relay);
  await two.send(A);
  await one.sees(A);
  const answer = await subscribe(one, ["chat.*", "game.>"]);
  assertEquals(answer, { control: "ack", id: answer.id });
  for (const name of ["a", "chat.x", "chat.x.y", "game", "game.x.y", "chat."]) {
    await two.send(`{"event":"${name}"}\n`);
  }
  await subscribe(one, ["last"]);
  await two.send('{"event":"last"}\n');
  await one.sees('"last"');
  assertEquals(names(one), ["a", "chat.x", "game.x.y", "chat.", "last"]);
});

Deno.test("Relay lets a client unsubscribe from everything, and subscribe to everything again", async () => {
  await using relay = newRelay({ echo: false });
  await using one = await join(relay);
  await using two = await join(relay);
  await subscribe(one, ["a", "b"]);
  await subscribe(one, ["a"]);
  await ask(one, { control: "unsubscribe", events: ["a", "unknown"] });
  await two.send(A + B);
  await one.sees(B);
  await ask(one, { control: "unsubscribe", events: ["b"] });
  await two.send(A + B + A);
  await ask(two, { control: "subscribe", events: ["x"] });
  await subscribe(one, [">"]);
  await two.send('{"event":"last"}\n');
  await one.sees('"last"');
  assertEquals(names(one), ["b", "last"]);
});

Deno.test("Relay answers a subscription without an id only if it is invalid", async () => {
  await using relay = newRelay({ maxSubscriptions: 2 });
  await using one = await join(relay);
  await one.send('{"control":"subscribe","events":["a"]}\n{"control":"subscribe","events":[""]}\n');
  await one.sees("\n");
  assertEquals(
    one.text,
    '{"control":"error","reason":"bad-pattern","detail":"expected 1 to 255 bytes, got 0"}\n',
  );
  const wrong: [line: object, reason: string][] = [
    [{ control: "subscribe", events: [">.a"] }, "bad-pattern"],
    [{ control: "subscribe", events: ["x".repeat(256)] }, "bad-pattern"],
    [{ control: "subscribe", events: ["b", "c"] }, "too-many-subscriptions"],
    [{ control: "subscribe", events: [1] }, "bad-request"],
    [{ control: "subscribe", events: "a" }, "bad-request"],
    [{ control: "subscribe" }, "bad-request"],
    [{ control: "subscribe", events: ["b"], queue: 5 }, "bad-request"],
    [{ control: "subscribe", events: ["b"], queue: "" }, "bad-request"],
    [{ control: "unsubscribe", events: null }, "bad-request"],
  ];
  for (const [line, reason] of wrong) {
    const answer = await ask(one, line);
    assertObjectMatch(answer, { control: "error", reason }, JSON.stringify(line));
    assertEquals(typeof answer.detail, "string");
  }
  await one.send(A + B + A);
  await one.sees(A + A);
});

Deno.test("Relay limits the subscriptions of all clients, and counts equal ones once", async () => {
  await using relay = newRelay({ maxTotalSubscriptions: 4 });
  await using one = await join(relay);
  await using two = await join(relay);
  await using three = await join(relay);
  await subscribe(one, ["a", "b", "c"]);
  await subscribe(two, ["c", "b", "a"]);
  const answer = await ask(three, { control: "subscribe", events: ["x", "y"] });
  assertObjectMatch(answer, {
    reason: "too-many-subscriptions",
    detail: "all clients may have 4 together, this would make 5",
  });
  await subscribe(three, ["x"]);
  // What it shares with nobody takes room, also where it is less than before.
  await using four = await join(relay);
  await four.send('{"control":"hello","sequence":true}\n');
  await subscribe(four, ["a", "b", "c"]);
  await four.send('{"control":"unsubscribe","events":["a"]}\n');
  const last = (await four.lines()).at(-1)!;
  assertEquals(JSON.parse(last).reason, "overloaded");
  four.close();
  await until(() => relay.clients.length === 3);
  two.close();
  await until(() => relay.clients.length === 2);
  await ask(one, { control: "unsubscribe", events: ["a"] });
  await subscribe(three, ["y"]);
  await three.send('{"event":"x"}\n{"event":"y"}\n{"event":"c"}\n');
  await three.sees('"y"');
  await one.sees('"c"');
});

Deno.test("Relay refuses control lines that are too long, and ignores unknown ones", async () => {
  await using relay = newRelay();
  await using one = await join(relay);
  const line = (control: string, bytes: number) => {
    const frame = `{"control":"${control}","events":[],"id":"x","pad":""}`;
    return frame.replace('"pad":"', `$&${"x".repeat(bytes - frame.length)}`) + "\n";
  };
  await one.send(line("unknown", 70_000) + line("subscribe", 65_537));
  await one.sees("\n");
  assertEquals(
    one.text,
    '{"control":"error","reason":"too-long","detail":"a control line may have 65536 bytes, this had 65537"}\n',
  );
  await one.send(line("subscribe", 65_536));
  await one.sees('{"control":"ack","id":"x"}\n');
});

Deno.test("Relay sends each event to one member of a queue, and to another if that one is blocked or gone", async () => {
  await using relay = newRelay({ echo: false, maxPendingBytes: 4_000_000 });
  await using publisher = await join(relay);
  await using steady = await join(relay);
  const idle = await join(relay);
  const killed = await join(relay);
  for (const worker of [steady, idle, killed]) await subscribe(worker, ["job.*"], "workers");
  const line = (i: number) => `{"event":"job.${i}"}\n`;
  for (let i = 0; i < 30; i++) await publisher.send(line(i));
  const total = () => names(steady).length + names(idle).length + names(killed).length;
  await until(() => total() === 30);
  assertEquals(new Set([steady, idle, killed].flatMap(names)).size, 30);
  assert([steady, idle, killed].every((worker) => names(worker).length > 0));
  killed.close();
  await until(() => relay.clients.length === 3);
  const before = total();
  for (let i = 100; i < 130; i++) await publisher.send(line(i));
  await until(() => total() === before + 30);
  idle.close();
});

Deno.test({
  name: "Relay sends a queue's events to other members while the process of one is stopped",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using relay = newRelay({ echo: false, maxHold: 0 });
    await using publisher = await join(relay);
    await using steady = await join(relay);
    const [hostname, port] = relay.server.address;
    const program = `const conn = await Deno.connect({ hostname: "${hostname}", port: ${port} });
      await conn.write(new TextEncoder().encode('{"control":"subscribe","events":["job"],"queue":"q","id":"s"}\\n'));
      const buffer = new Uint8Array(1000);
      await conn.read(buffer);
      console.log("subscribed");
      while (await conn.read(buffer) !== null);`;
    await using child = new Deno.Command(Deno.execPath(), {
      args: ["eval", program],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    for await (const chunk of child.stdout) if (chunk.length > 0) break;
    child.kill("SIGSTOP");
    await subscribe(steady, ["job"], "q");
    // More than the system buffers for one that does not read: from then on it has bytes waiting.
    const line = `{"event":"job","__dict__":{"x":"${"x".repeat(60_000)}"}}\n`;
    const isBehind = () => relay.clients[2]!.pendingBytes > 0;
    const sent = { frozen: 0 };
    for (let i = 0; i < 2000 && !isBehind(); i++) {
      await publisher.send(line);
      await until(() => relay.clients[0]!.eventsIn === i + 1);
      sent.frozen = relay.clients[2]!.eventsOut;
    }
    assert(isBehind());
    const { eventsIn } = relay.clients[0]!;
    for (let i = 0; i < 50; i++) {
      await publisher.send('{"event":"job"}\n');
      await until(() =>
        relay.clients[0]!.eventsIn === eventsIn + i + 1 && relay.clients[1]!.pendingBytes === 0
      );
    }
    assertLessOrEqual(relay.clients[2]!.eventsOut - sent.frozen, 1);
    child.kill("SIGKILL");
  },
});

Deno.test("Relay passes requests and answers between two clients", async () => {
  await using relay = newRelay();
  await using one = await join(relay);
  await using two = await join(relay);
  await subscribe(two, ["time"]);
  await subscribe(one, []);
  await one.send('{"event":"time","id":"r1"}\n');
  await two.sees('{"from":"c1","event":"time","id":"r1"}\n');
  await two.send('{"event":"time.is","to":"c1","reply_to":"r1"}\n');
  await one.sees('{"from":"c2","event":"time.is","to":"c1","reply_to":"r1"}\n');
  await one.send('{"event":"nobody","id":"r2"}\n');
  await one.sees('{"control":"ack","id":"r2","clients":0}\n');
  await one.send('{"event":"time","ack":"e1"}\n');
  await one.sees('{"control":"ack","id":"e1","clients":1}\n');
  assertEquals(relay.stats().eventsUnheard, 1);
});

Deno.test("Relay numbers the events of a client that asks for it, and of no other", async () => {
  await using relay = newRelay({ token: "s3cret", echo: false });
  const hello = '{"control":"hello","version":1,"token":"s3cret"';
  await using one = await Peer.connect(relay.server.address);
  await one.send(`${hello},"sequence":true}\n`);
  await one.sees("welcome");
  await using two = await Peer.connect(relay.server.address);
  await two.send(`${hello}}\n`);
  await two.sees("welcome");
  await two.send(A + B);
  await one.sees('{"seq":1,"event":"a"}\n{"seq":2,"event":"b"}\n');
  await subscribe(one, ["b"]);
  await two.send(`${A}${B}{"event":"x","to":"c1"}\n`);
  await one.sees('{"seq":3,"event":"b"}\n{"seq":4,"from":"c2","event":"x","to":"c1"}\n');
  await one.send('{"control":"hello","version":1,"sequence":false}\n');
  await one.send(A);
  await two.sees(A);
});

Deno.test("Relay answers a request for its stats with figures, clients and names", async () => {
  await using relay = newRelay({ echo: false });
  await using one = await join(relay);
  await using two = await join(relay);
  await subscribe(one, ["a.*"]);
  await subscribe(one, ["job"], "q");
  await two.send(A);
  const first = await ask(two, { control: "stats" });
  assertEquals(first.names, []);
  assertEquals(first.watchedMs, 0);
  await two.send(A + A + '{"event":"a.b"}\n');
  let answer = first; // the same answer is given again for a moment
  while ((answer.names as unknown[]).length === 0) answer = await ask(two, { control: "stats" });
  const { report } = decodeReport(answer as { control: string })!;
  assertEquals(report.names, [
    { name: "a", events: 2, hearers: 1 },
    { name: "a.b", events: 1, hearers: 2 },
  ]);
  assertEquals(report.queues, [{ name: "q", members: 1 }]);
  assertEquals(report.departures, []);
  assertStrictEquals(report.version, config.version);
  assertObjectMatch(report.relay, { clients: 2, eventsIn: 4 });
  assertEquals(report.relay.eventsUnheard, 3);
  assertGreater(report.watchedMs, 0);
  const [busiest, other] = report.clients;
  assertObjectMatch(busiest!, { id: 2, subscriptionCount: null });
  assertEquals(busiest!.subscriptions, []);
  assertEquals(busiest!.address[0], "127.0.0.1");
  assertObjectMatch(other!, { id: 1, subscriptionCount: 2 });
  assertEquals(other!.subscriptions, [{ pattern: "a.*" }, { pattern: "job", queue: "q" }]);
});

Deno.test("Relay reports who has left, and why", async () => {
  await using relay = newRelay();
  await using watcher = await join(relay);
  await using rude = await join(relay);
  await using brief = await join(relay);
  await rude.send("{}\n");
  await rude.lines();
  rude.close();
  await until(() => relay.clients.length === 2);
  brief.close();
  await until(() => relay.clients.length === 1);
  const { report } = decodeReport(await ask(watcher, { control: "stats" }) as ControlLine)!;
  const [last, first] = report.departures!;
  assertObjectMatch(last!, { id: 3, reason: "eof", detail: "" });
  assertObjectMatch(first!, { id: 2, reason: "bad-event" });
  assertMatch(first!.detail, /event/);
  assertEquals(first!.address[0], "127.0.0.1");
  assertLessOrEqual(last!.uptimeMs, report.relay.uptimeMs);
});

Deno.test("Relay refuses requests for its stats if they are switched off", async () => {
  await using relay = newRelay({ inspect: false });
  await using one = await join(relay);
  const answer = await ask(one, { control: "stats" });
  assertObjectMatch(answer, { control: "error", reason: "not-allowed" });
});

Deno.test("Relay stands storms of subscriptions that come and go", async () => {
  await using relay = newRelay({ echo: false });
  await using calm = await join(relay);
  await using publisher = await join(relay);
  await using stormy = await join(relay);
  await subscribe(calm, ["a"]);
  const events = Array.from({ length: 900 }, (_, i) => `storm.*.${i}.>`);
  const storm = ["subscribe", "unsubscribe"].map((control) => JSON.stringify({ control, events }))
    .join("\n") + "\n";
  for (let i = 0; i < 15; i++) {
    await stormy.send(storm);
    await publisher.send(A + B);
  }
  await subscribe(stormy, ["a"]);
  await publisher.send('{"event":"last"}\n{"event":"a"}\n');
  await calm.sees(A.repeat(16));
  assert(names(calm).every((name) => name === "a"));
});

Deno.test("Relay charges control lines by their cost, and keeps no other client waiting", async () => {
  await using relay = newRelay({ echo: false });
  await using hearer = await join(relay);
  await using busy = await join(relay);
  await using other = await join(relay);
  // Each of these short lines puts a thousand patterns into the index, or takes them out.
  await subscribe(busy, Array.from({ length: 990 }, (_, i) => `user.${i}`));
  const all = JSON.stringify({ events: [">"] }).slice(1);
  const pair = `{"control":"subscribe",${all}\n{"control":"unsubscribe",${all}\n`;
  await busy.send(`{"control":"subscribe","events":[],"id":"begun"}\n${pair.repeat(25)}${A}`);
  await busy.sees('"begun"');
  for (let i = 0; i < 3; i++) {
    await other.send(`{"event":"b","ack":"${i}"}\n`);
    await other.sees(`{"control":"ack","id":"${i}"`);
  }
  await hearer.sees(B.slice(0, -2));
  assertEquals(names(hearer), ["b", "b", "b"]);
  assertEquals(relay.clients[1]!.eventsIn, 0);
});

Deno.test("Relay keeps nothing back from clients when it closes, or when its server does", async () => {
  for (const close of ["relay", "server"]) {
    const relay = newRelay({ echo: false });
    await using one = await join(relay);
    await using publisher = await join(relay);
    await subscribe(one, ["rare"]);
    const block = B.repeat(1000) + '{"event":"rare"}\n' + B.repeat(20_000);
    await publisher.send(block.repeat(5));
    await until(() => relay.clients[1]!.eventsIn > 5000);
    if (close === "relay") relay.close();
    else relay.server.close();
    await one.lines();
    assertGreater(names(one).length, 0);
    assert(one.text.endsWith('"shutdown"}\n'));
    one.close();
    publisher.close();
    await relay.closed;
  }
});

Deno.test("Relay charges a client for long lines that report what it has read", async () => {
  await using relay = newRelay();
  await using client = await join(relay);
  await client.send('{"control":"hello","window":20000}\n');
  const read = `{"control":"read","bytes":5000,"x":"${"x".repeat(65_000)}"}\n`;
  const before = performance.now();
  await client.send(`${read.repeat(20)}{"event":"last"}\n`);
  await client.sees("last");
  // The 20 reports cost as much as 300 lines, and 100 may be sent in a second.
  assertGreater(performance.now() - before, 1000);
});
