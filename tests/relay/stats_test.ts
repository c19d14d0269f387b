import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertObjectMatch } from "@std/assert/object-match";
import { StatsCollector } from "../../relay/stats.ts";
import { Peer } from "../support/peer.ts";
import { newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";

const one = { eventsIn: 1, eventsOut: 20, bytesIn: 300, bytesOut: 4000, pendingBytes: 7 };
const two = { eventsIn: 2, eventsOut: 30, bytesIn: 400, bytesOut: 5000, pendingBytes: 9 };

Deno.test("StatsCollector.read() adds the counts of connected clients to those of clients that have left", () => {
  const stats = new StatsCollector();
  stats.joined();
  stats.joined();
  stats.left({ ...one, pendingBytes: 0 }, "eof");
  assertObjectMatch(stats.read([two], 9), {
    clients: 1,
    clientsTotal: 2,
    eventsIn: 3,
    eventsOut: 50,
    bytesIn: 700,
    bytesOut: 9000,
    pendingBytes: 9,
    largestPendingBytes: 9,
    closes: { eof: 1, reset: 0 },
  });
  stats.stop();
});

Deno.test("StatsCollector.read() reports the bytes in all send queues, and those in the longest", () => {
  const stats = new StatsCollector();
  assertObjectMatch(stats.read([one, two, one], 16), { pendingBytes: 16, largestPendingBytes: 9 });
  stats.stop();
});

Deno.test("StatsCollector counts closes and refusals apart, by reason", () => {
  const stats = new StatsCollector();
  stats.left(one, "slow-consumer");
  for (let i = 0; i < 3; i++) stats.refused("unauthorized");
  const { closes, refusals } = stats.read([], 0);
  assertObjectMatch(closes, { "slow-consumer": 1, unauthorized: 0 });
  assertObjectMatch(refusals, { "slow-consumer": 0, unauthorized: 3 });
  assertEquals(Object.keys(closes), Object.keys(refusals));
  stats.stop();
});

Deno.test("StatsCollector.read() returns figures that do not change afterwards", () => {
  const stats = new StatsCollector();
  const before = stats.read([], 0);
  stats.left(one, "eof");
  stats.refused("bad-json");
  assertObjectMatch(before, { eventsIn: 0, closes: { eof: 0 }, refusals: { "bad-json": 0 } });
  stats.stop();
});

Deno.test("Relay.stats() counts clients, events, bytes, closes and refusals", async () => {
  await using relay = newRelay({ maxClients: 2 });
  await using one = await Peer.connect(relay.server.address);
  await using two = await Peer.connect(relay.server.address);
  await until(() => relay.clients.length === 2);
  await using three = await Peer.connect(relay.server.address);
  await three.lines();
  await one.send('{"event":"a"}\n');
  await Promise.all([one.sees("a"), two.sees("a")]);
  two.close();
  await until(() => relay.stats().clients === 1);
  const stats = relay.stats();
  assertObjectMatch(stats, {
    clients: 1,
    clientsTotal: 2,
    eventsIn: 1,
    eventsOut: 2,
    bytesIn: 14,
    bytesOut: 28,
    closes: { eof: 1 },
    refusals: { "too-many-clients": 1 },
  });
  assertGreater(stats.uptimeMs, 0);
  assertGreater(stats.rssBytes, stats.heapUsedBytes);
});

Deno.test("Relay.stats() can be read after the end, and leaves no timer behind", async () => {
  const relay = newRelay();
  relay.stats();
  await relay.close();
  assertEquals(relay.stats().clients, 0);
});
