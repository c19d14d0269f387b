/** A cluster under pressure: long names, many patterns, slow readers, and a relay that vanishes. */

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { EbsocketClient, EbsocketEvent } from "../../mod.ts";
import type { CloseInfo } from "../../errors.ts";
import type { RelayClient, RelayObserver } from "../../relay.ts";
import { utf8 } from "../support/bytes.ts";
import { TestCluster } from "../support/cluster.ts";
import { eventually, pause, until } from "../support/waiting.ts";

/** Notes the faults and gaps of relays, and why clients leave. */
class Notes implements RelayObserver {
  readonly faults: string[] = [];
  readonly gaps: (number | undefined)[] = [];
  readonly reasons: string[] = [];

  onClusterFault = (fault: string) => void this.faults.push(fault);
  onGap = (_: string, events: number | undefined) => void this.gaps.push(events);
  onLeave = (_: RelayClient, { reason }: CloseInfo) => void this.reasons.push(reason);
}

/** A raw client that reads as the test lets it. */
class RawClient implements Disposable {
  readonly #conn: Deno.TcpConn;
  /** Number of bytes read. */
  bytes = 0;

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  static async connect({ relays }: TestCluster, relay: number): Promise<RawClient> {
    const [hostname, port] = relays[relay]!.server.address;
    return new RawClient(await Deno.connect({ hostname, port }));
  }

  async send(...lines: object[]): Promise<void> {
    const bytes = utf8(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  /** Reads until the end, at most `size` bytes at a time, with pauses of `ms` in between. */
  async read(size = 262_144, ms = 0): Promise<void> {
    const buffer = new Uint8Array(size);
    try {
      for (let count; (count = await this.#conn.read(buffer)) !== null; this.bytes += count) {
        if (ms > 0) await pause(ms);
      }
    } catch {
      // It was closed.
    }
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

/** The longest name there is as JSON. */
const longName = (i: number) => "\u0001".repeat(245) + String(i).padStart(5, "0");

async function receiptOf(client: EbsocketClient, name = "e"): Promise<number> {
  return await client.sendEvent(new EbsocketEvent(name), { confirm: true });
}

Deno.test("A client with as many long names as it may have disturbs no relay of its cluster", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(2, { observer: notes });
  await cluster.connect(0, ["e"]);
  using client = await RawClient.connect(cluster, 0);
  const reading = client.read();
  for (let queue = 0; queue < 30; queue++) {
    const events = Array.from({ length: 30 }, (_, i) => longName(30 * queue + i));
    await client.send({ control: "subscribe", queue: longName(queue), events });
  }
  const early = await cluster.connect(1, ["none"]);
  const late = await cluster.connect(cluster.add(), ["none"]);
  for (const sender of [early, late]) assertEquals(await receiptOf(sender), 1);
  assertEquals([notes.faults, notes.gaps], [[], []]);
  for (const relay of cluster.relays) await relay.close();
  await reading;
});

Deno.test("An event reaches more queues at another relay than fit into a line", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(2, { observer: notes });
  const far = await cluster.connect(0, ["none"]);
  const near = await cluster.connect(1, ["none"]);
  using clients = new DisposableStack();
  const reading: Promise<void>[] = [];
  for (let c = 0; c < 35; c++) {
    const client = clients.use(await RawClient.connect(cluster, 1));
    reading.push(client.read());
    const queues = Array.from({ length: 32 }, (_, i) => longName(32 * c + i));
    await client.send(...queues.map((queue) => ({ control: "subscribe", queue, events: ["e"] })));
  }
  await eventually(async () => assertEquals(await receiptOf(near), 35));
  await near.subscribe(["known"]); // what was subscribed before is known by then
  assertEquals(await receiptOf(far), 35);
  assertEquals([notes.faults, notes.gaps], [[], []]);
  for (const relay of cluster.relays) await relay.close();
  await Promise.all(reading);
});

Deno.test("A relay joins one with more patterns than fit into its queue", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(1, { observer: notes });
  await cluster.connect(0, ["e"]);
  using clients = new DisposableStack();
  const reading: Promise<void>[] = [];
  for (let c = 0; c < 52; c++) {
    const client = clients.use(await RawClient.connect(cluster, 0));
    reading.push(client.read());
    for (let line = 0; line < 4; line++) {
      const events = Array.from({ length: 250 }, (_, i) => `${c}.${line}.${i}.`.padEnd(250, "y"));
      await client.send({ control: "subscribe", events });
    }
  }
  const sender = await cluster.connect(cluster.add(), ["none"]);
  await eventually(async () => assertEquals(await receiptOf(sender), 1));
  assertEquals(await receiptOf(sender, "51.3.249.".padEnd(250, "y")), 1);
  assertEquals([notes.faults, notes.gaps], [[], []]);
  for (const relay of cluster.relays) await relay.close();
  await Promise.all(reading);
});

Deno.test("A slow reader slows senders at other relays down, so that its neighbours lose nothing", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(2, { observer: notes, maxHold: 5000 });
  const sender = await cluster.connect(0, ["none"]);
  using slow = await RawClient.connect(cluster, 1);
  using fast = await RawClient.connect(cluster, 1);
  for (const client of [slow, fast]) await client.send({ control: "subscribe", events: ["e"] });
  await cluster.connect(1, ["known"]);
  const reading = [slow.read(100_000, 5), fast.read()];
  const padding = "x".repeat(10_000);
  let sent = 0;
  for (const start = performance.now(); performance.now() - start < 4000; sent++) {
    await sender.send("e", { padding });
  }
  assertGreater(sent, 500);
  const { eventsLost } = cluster.relays[0]!.stats().cluster!;
  assertEquals([eventsLost, notes.gaps, notes.reasons], [0, [], []]);
  for (const relay of cluster.relays) await relay.close();
  await Promise.all(reading);
});

Deno.test("A queue turns away from a relay that has vanished, before that is held to be gone", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["none"]);
  const stays = await cluster.connect(0, ["job"], "q");
  await cluster.connect(1, ["job"], "q");
  cluster.backplanes[1]!.vanish();
  await until(() => cluster.relays[0]!.stats().cluster!.relays.length === 1);
  await pause(3500);
  for (let i = 0; i < 100; i++) sender.send("job", { i });
  for (let i = 0; i < 100; i++) assertEquals((await stays.recvEvent())!.getAttribute("i"), i);
});

Deno.test('With clusterLoss "stop", events that were lost are never acknowledged', async () => {
  await using cluster = new TestCluster(2, { clusterLoss: "stop", maxHold: 50 });
  await cluster.connect(1, ["e"]);
  const options = { reconnect: { minDelay: 10 }, maxPendingBytes: 64_000_000 };
  await using sender = new EbsocketClient(options);
  await sender.connectTo(cluster.relays[0]!.server.address);
  await sender.subscribe([]);
  const ends: [string, number][] = [];
  const watching = (async () => {
    for await (const status of sender.status()) {
      if (status.type !== "disconnected") continue;
      ends.push([status.info.reason, status.unconfirmed.length]);
    }
  })();
  cluster.hub.stop();
  const padding = "x".repeat(100_000);
  for (let i = 0; i < 200; i++) sender.send("e", { i, padding });
  await until(() => cluster.relays[0]!.stats().eventsIn === 200);
  assertGreater(cluster.relays[0]!.stats().cluster!.eventsLost, 0);
  cluster.hub.start();
  await until(() => ends.length > 0);
  assertEquals(ends, [["overloaded", 200]]);
  await sender.close();
  await watching;
});

Deno.test("Events that are longer than the queue for another relay reach it", async () => {
  const notes = new Notes();
  const limits = { maxLineBytes: 16_000_000, maxPendingBytes: 64_000_000 };
  await using cluster = new TestCluster(2, { ...limits, observer: notes });
  await using sender = new EbsocketClient(limits);
  await using reader = new EbsocketClient(limits);
  await sender.connectTo(cluster.relays[0]!.server.address);
  await reader.connectTo(cluster.relays[1]!.server.address);
  await reader.subscribe(["e"]);
  const padding = "x".repeat(9_000_000);
  for (let i = 0; i < 3; i++) {
    await sender.send("e", { i, padding });
    assertEquals((await reader.recvEvent())!.getAttribute("i"), i);
  }
  assertEquals(notes.gaps, []);
});

Deno.test("A reader with a small queue survives senders at another relay as it does those at its own", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(2, { maxPendingBytes: 65_536, observer: notes });
  const sender = await cluster.connect(0, ["none"]);
  const reader = await cluster.connect(1, ["e"]);
  const padding = "x".repeat(1000);
  const count = 20_000;
  const sending = (async () => {
    for (let i = 0; i < count; i++) {
      sender.send("e", { i, padding });
      if (i % 50 === 0) await sender.flush();
    }
  })();
  for (let i = 0; i < count; i++) {
    const event = await reader.recvEvent();
    assertEquals(event?.getAttribute("i"), i, notes.reasons.join());
  }
  await sending;
  assertEquals(notes.gaps, []);
});
