import { assertEquals } from "@std/assert/equals";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { StatsCollector } from "../../relay/stats.ts";
import { Peer } from "../support/peer.ts";
import { until } from "../support/waiting.ts";

const one = { eventsIn: 1, eventsOut: 20, bytesIn: 300, bytesOut: 4000, pendingBytes: 7 };
const two = { eventsIn: 2, eventsOut: 30, bytesIn: 400, bytesOut: 5000, pendingBytes: 9 };

Deno.test("StatsCollector.read() adds what connected clients have counted to the totals of those who left", () => {
  const stats = new StatsCollector();
  stats.joined();
  stats.joined();
  stats.left({ ...one, pendingBytes: 0 }, "eof");
  const figures = stats.read([two], 9);
  const { clients, clientsTotal, eventsIn, eventsOut, bytesIn, bytesOut, closes, ...rest } =
    figures;
  assertEquals([clients, clientsTotal], [1, 2]);
  assertEquals([eventsIn, eventsOut, bytesIn, bytesOut], [3, 50, 700, 9000]);
  assertEquals([rest.pendingBytes, rest.largestPendingBytes], [9, 9]);
  assertEquals([closes.eof, closes.reset], [1, 0]);
  stats.stop();
});

Deno.test("StatsCollector.read() tells how much waits in all queues, and in the fullest", () => {
  const stats = new StatsCollector();
  const { pendingBytes, largestPendingBytes } = stats.read([one, two, one], 16);
  assertEquals([pendingBytes, largestPendingBytes], [16, 9]);
  stats.stop();
});

Deno.test("StatsCollector counts closes and refusals apart, by reason", () => {
  const stats = new StatsCollector();
  stats.left(one, "slow-consumer");
  for (let i = 0; i < 3; i++) stats.refused("unauthorized");
  const { closes, refusals } = stats.read([], 0);
  assertEquals([closes["slow-consumer"], closes.unauthorized], [1, 0]);
  assertEquals([refusals["slow-consumer"], refusals.unauthorized], [0, 3]);
  assertEquals(Object.keys(closes), Object.keys(refusals));
  stats.stop();
});

Deno.test("StatsCollector.read() gives figures that do not change afterwards", () => {
  const stats = new StatsCollector();
  const before = stats.read([], 0);
  stats.left(one, "eof");
  stats.refused("bad-json");
  assertEquals([before.eventsIn, before.closes.eof, before.refusals["bad-json"]], [0, 0, 0]);
  stats.stop();
});

Deno.test("Relay.stats() counts clients, events, bytes, closes and refusals", async () => {
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), { maxClients: 2 });
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
  assertEquals([stats.clients, stats.clientsTotal], [1, 2]);
  assertEquals([stats.eventsIn, stats.eventsOut], [1, 2]);
  assertEquals([stats.bytesIn, stats.bytesOut], [14, 28]);
  assertEquals([stats.closes.eof, stats.refusals["too-many-clients"]], [1, 1]);
  assertEquals(stats.uptimeMs > 0 && stats.rssBytes > stats.heapUsedBytes, true);
});

Deno.test("Relay.stats() can be read after the end, and leaves no timer behind", async () => {
  const relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
  relay.stats();
  await relay.close();
  assertEquals(relay.stats().clients, 0);
});
