// Clients that are counted over the relays of a cluster, while one of these, or the stream, fails.

import { assertEquals } from "@std/assert/equals";
import { ProducerTable } from "../../history/producer_table.ts";
import { encodeStreamBlock } from "../../history/stream_format.ts";
import { TableStore } from "../../history/table_store.ts";
import { textOf } from "../support/bytes.ts";
import { TestCluster } from "../support/cluster.ts";
import type { Peer } from "../support/peer.ts";
import { join } from "../support/relay.ts";
import { pause, until } from "../support/waiting.ts";

interface Claim {
  readonly attempt: number;
  readonly sent?: number;
  readonly settled?: number;
  readonly last?: number;
  readonly id?: string;
  readonly epoch?: string;
}

interface Answer {
  readonly taken: number | null;
  readonly exact: boolean;
}

async function start(relays = 2, maxBytes?: number): Promise<TestCluster> {
  const cluster = new TestCluster(0, { history: { keep: ["kept"] } });
  const { stream } = cluster.hub;
  if (maxBytes !== undefined) {
    stream.exists = true;
    stream.settings = { ...stream.settings, maxBytes };
  }
  for (let i = 0; i < relays; i++) cluster.add();
  for (const relay of cluster.relays) await relay.ready;
  return cluster;
}

/** Connects a producer, which does not wait for its `welcome`. */
async function greet(cluster: TestCluster, relay: number, claim: Claim): Promise<Peer> {
  const { epoch } = cluster.relays[relay]!.stats().history!;
  const producer = { id: "p", sent: 0, settled: 0, last: 0, epoch, ...claim };
  const peer = await join(cluster.relays[relay]!);
  await peer.send(`${JSON.stringify({ control: "hello", version: 1, ack: true, producer })}\n`);
  return peer;
}

/** Connects a producer. */
async function connect(cluster: TestCluster, relay: number, claim: Claim): Promise<Peer> {
  const peer = await greet(cluster, relay, claim);
  await peer.sees('"welcome"');
  return peer;
}

/** What its `welcome` says of its events. */
function answerOf(peer: Peer): Answer | undefined {
  const [, line] = /(\{"control":"welcome".*\})\n/.exec(peer.text)!;
  const { producer } = JSON.parse(line!);
  return producer && { exact: false, ...producer };
}

const event = (i: number, name = "kept") => `{"event":"${name}","__dict__":{"i":${i}}}\n`;

const acked = (events: number) => `{"control":"ack","events":${events}}`;

/** The numbers of the events in the stream. */
function keptIn({ hub }: TestCluster): number[] {
  const text = hub.stream.messages.map(({ data }) => textOf(data)).join("");
  return Array.from(text.matchAll(/"i":(\d+)/g), ([, i]) => Number(i));
}

function portOf(cluster: TestCluster, relay: number) {
  return cluster.backplanes[relay]!.port!;
}

/** Lets a relay read the stream no further until {@link release}. */
function hold(cluster: TestCluster, relay: number): void {
  portOf(cluster, relay).isHeld = true;
}

function release(cluster: TestCluster, relay: number): void {
  portOf(cluster, relay).isHeld = false;
  portOf(cluster, relay).wake();
}

/** Notes that relay `by` holds another one to be gone, as it does after a while. */
function disown(cluster: TestCluster, relay: number, by: number): void {
  const { hub: { stream }, backplanes } = cluster;
  const { id } = backplanes[relay]!;
  const last = stream.lastOf(id);
  const number = last ? JSON.parse(textOf(last.data).split("\n")[0]!).number : 0;
  const head = { number, events: 0, disowns: true, by: backplanes[by]!.id } as const;
  stream.add(id, encodeStreamBlock(head, []));
}

Deno.test("A relay does not send again what it was storing when it was disowned", async () => {
  await using cluster = await start();
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1));
  await first.sees(acked(1));
  const port = portOf(cluster, 0);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  port.gate = gate;
  const { publishing } = port;
  await first.send(event(2));
  await until(() => port.publishing > publishing);
  await using second = await greet(cluster, 1, { attempt: 2, sent: 2, settled: 1, last: 1 });
  disown(cluster, 0, 1); // It reads that before it has an answer to its event.
  await second.sees('"welcome"');
  assertEquals(answerOf(second), { taken: 1, exact: false });
  await second.send(event(2));
  await second.sees(acked(1));
  open();
  await pause(300);
  assertEquals(keptIn(cluster), [1, 2]);
});

Deno.test("A relay that was disowned does not keep what follows an event that is not to be kept", async () => {
  await using cluster = await start();
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1));
  await first.sees(acked(1));
  hold(cluster, 0);
  await first.send(event(2) + event(9, "other") + event(3)); // The last one waits for those before.
  await until(() => keptIn(cluster).includes(2));
  await using second = await greet(cluster, 1, { attempt: 2, sent: 4, settled: 1, last: 1 });
  disown(cluster, 0, 1);
  await second.sees('"welcome"');
  assertEquals(answerOf(second), { taken: 2, exact: false });
  await second.send(event(3));
  await second.sees(acked(1));
  cluster.backplanes[0]!.cut();
  cluster.backplanes[0]!.mend(); // It learns that it was disowned before it reads its own event.
  await pause(500);
  release(cluster, 0);
  await pause(500);
  assertEquals(keptIn(cluster), [1, 2, 3]);
});

Deno.test("A relay that may not have read that it was disowned keeps nothing that waits", async () => {
  await using cluster = await start();
  const { stream } = cluster.hub;
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1));
  await first.sees(acked(1));
  cluster.backplanes[0]!.cut();
  await pause(20);
  await first.send(event(2));
  await using second = await greet(cluster, 1, { attempt: 2, sent: 2, settled: 1, last: 1 });
  disown(cluster, 0, 1);
  await second.sees('"welcome"');
  await second.send(event(2) + event(3));
  await second.sees(acked(2));
  const kept = keptIn(cluster);
  stream.drop(stream.last + 1); // All of that is too old.
  cluster.backplanes[0]!.mend();
  await pause(1000);
  assertEquals([...kept, ...keptIn(cluster)], [1, 2, 3]);
});

Deno.test("A relay is disowned as well after the stream was made anew", async () => {
  await using cluster = await start();
  const { stream } = cluster.hub;
  await using _ = await connect(cluster, 0, { attempt: 1 });
  for (let i = 0; i < 20; i++) stream.add("stranger", new Uint8Array());
  disown(cluster, 0, 1);
  await pause(50);
  const { epoch } = cluster.relays[0]!.stats().history!;
  stream.delete();
  await until(() => cluster.relays[0]!.stats().history!.epoch !== epoch);
  await pause(300); // until it has ended the connections of before
  await using again = await connect(cluster, 0, { attempt: 2 });
  await again.send(event(1));
  await again.sees(acked(1));
  disown(cluster, 0, 1);
  await again.sees('"overloaded"');
});

Deno.test("The numbers of a client cannot make the events of others unreadable", async () => {
  await using cluster = await start();
  const sent = Number.MAX_SAFE_INTEGER;
  await using hostile = await connect(cluster, 0, { attempt: 1, id: "q", sent, settled: sent });
  await using first = await connect(cluster, 0, { attempt: 1 });
  await hostile.send(event(1));
  await first.send(event(2));
  await first.sees(acked(1));
  assertEquals(keptIn(cluster).toSorted(), [1, 2]);
});

Deno.test("A relay is not certain of what another one took that never owned its client", async () => {
  await using cluster = await start();
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1, "other"));
  await first.sees(acked(1));
  await first.close();
  await using second = await connect(cluster, 1, { attempt: 2, sent: 1, last: 1 });
  assertEquals(answerOf(second), { taken: 0, exact: false });
});

Deno.test("An attempt that was given up does not make certain what came before it", async () => {
  await using cluster = await start();
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1, "other"));
  await first.sees(acked(1));
  await first.close();
  hold(cluster, 1);
  await using second = await greet(cluster, 1, { attempt: 2, sent: 1, last: 1 });
  await pause(20);
  await using third = await greet(cluster, 1, { attempt: 3, sent: 1, last: 1 });
  await pause(20);
  release(cluster, 1);
  await second.sees('"replaced"');
  await third.sees('"welcome"');
  assertEquals(answerOf(third), { taken: 0, exact: false });
});

Deno.test("A client that goes on before it is answered does not lose its count", async () => {
  await using cluster = await start(3);
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1));
  await first.sees(acked(1));
  await first.close();
  await until(() =>
    cluster.hub.stream.messages.some(({ data }) => textOf(data).includes("releases"))
  );
  hold(cluster, 1);
  await using second = await greet(cluster, 1, { attempt: 2, sent: 1, last: 1 });
  await pause(20);
  await using third = await greet(cluster, 2, { attempt: 3, sent: 1, last: 1 });
  await pause(20);
  release(cluster, 1); // It reads both claims at once.
  await second.sees('"replaced"');
  await third.sees('"welcome"');
  assertEquals(answerOf(third), { taken: 1, exact: true });
});

Deno.test("A client that was forgotten and comes back at once is owned for its last attempt", async () => {
  await using cluster = await start(2, 65_536); // with room for 16 producers
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1));
  await first.sees(acked(1));
  for (let i = 0; i < 17; i++) {
    await using other = await connect(cluster, 1, { attempt: 1, id: `other-${i}` });
    await other.send(event(100 + i));
    await other.sees(acked(1));
  }
  // It claims the producer in the message with which it releases it.
  await using second = await connect(cluster, 0, { attempt: 2, sent: 1, last: 1 });
  assertEquals(answerOf(second), { taken: null, exact: false });
});

Deno.test("A client whose claim was forgotten does not wait for ever", async () => {
  await using cluster = await start(2, 65_536); // with room for 16 producers
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1));
  await first.sees(acked(1));
  hold(cluster, 0);
  await using second = await connect(cluster, 1, { attempt: 2, sent: 1, settled: 1, last: 1 });
  await second.send(event(2));
  await pause(20);
  for (let i = 0; i < 17; i++) {
    await using other = await connect(cluster, 1, { attempt: 1, id: `other-${i}` });
    await other.send(event(100 + i));
    await other.sees(acked(1));
  }
  release(cluster, 0);
  await second.sees('"overloaded"');
});

Deno.test("A repeated table does not have a message once more whose events are being passed on", async () => {
  await using cluster = await start(1);
  const port = portOf(cluster, 0);
  const table = new ProducerTable();
  table.apply("rA", { claims: [["p", 1]] }, 7);
  const next = { disowns: true, claims: [["p", 2]] } as const;
  table.apply("rA", next, 8);
  await new TableStore(port, table).save({ ...(await port.info())!, last: 9000 }, 7);
  const copy = new ProducerTable();
  await new TableStore(port, copy).restore((await port.info())!);
  copy.apply("rA", next, 8);
  assertEquals(copy.get("p"), table.get("p"));
});

Deno.test("A relay does not send again what the stream has lost if it may own its client no more", async () => {
  await using cluster = await start();
  const { stream } = cluster.hub;
  const { last } = stream;
  hold(cluster, 1);
  await using first = await connect(cluster, 0, { attempt: 1 });
  await first.send(event(1));
  await first.sees(acked(1));
  hold(cluster, 0);
  await first.send(event(2));
  await until(() => keptIn(cluster).length === 2);
  stream.lose(last); // Also that relay 0 has claimed its client, which relay 1 does not know.
  for (const relay of [0, 1]) {
    portOf(cluster, relay).mend();
    release(cluster, relay);
  }
  await first.sees('"overloaded"');
  await using second = await connect(cluster, 1, { attempt: 2, sent: 2, settled: 1, last: 1 });
  assertEquals(answerOf(second)!.taken, 1);
  await second.send(event(2));
  await second.sees(acked(1));
  assertEquals(keptIn(cluster), [2]);
});
