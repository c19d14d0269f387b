// What the relays of a cluster with a history say to clients whose events they count together.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import type { Relay, RelayOptions } from "../../relay.ts";
import { textOf } from "../support/bytes.ts";
import { TestCluster } from "../support/cluster.ts";
import type { Peer } from "../support/peer.ts";
import { join } from "../support/relay.ts";
import { eventually, pause, until } from "../support/waiting.ts";

/** The producer of one test, as its connections say it. */
class Claims {
  static #count = 0;
  readonly id = `producer-${++Claims.#count}`;
  epoch: string | undefined;
  #attempts = 0;
  #last = 0;

  /** Connects once more, with `lines` after the hello. */
  async connect(relay: Relay, sent = 0, settled = 0, lines = ""): Promise<Peer> {
    const peer = await join(relay);
    try {
      await peer.send(this.hello(sent, settled) + lines);
      await this.welcomed(peer);
      return peer;
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      throw error;
    }
  }

  hello(sent: number, settled: number): string {
    const attempt = ++this.#attempts;
    const { id, epoch } = this;
    const producer = { id, sent, settled, attempt, last: this.#last, epoch };
    const hello = { control: "hello", version: 1, ack: true, cluster: true, producer };
    return `${JSON.stringify(hello)}\n`;
  }

  async welcomed(peer: Peer): Promise<void> {
    await peer.sees('"welcome"');
    this.#last = this.#attempts;
    this.epoch ??= welcomeOf(peer).history.epoch;
  }
}

function welcomeOf({ text }: Peer): { producer?: object; history: { epoch: string } } {
  return JSON.parse(/(\{"control":"welcome".*\})\n/.exec(text)![1]!);
}

async function clusterOf(relays: number, options: RelayOptions = {}): Promise<TestCluster> {
  const cluster = new TestCluster(relays, { history: { keep: ["kept"] }, ...options });
  for (const relay of cluster.relays) await relay.ready;
  return cluster;
}

const KEPT = '{"event":"kept"}\n';
const OTHER = '{"event":"other"}\n';

/** The number of kept events that the stream has. */
function keptBy({ hub: { stream } }: TestCluster): number {
  return stream.messages.reduce((sum, { data }) => sum + textOf(data).split(KEPT).length - 1, 0);
}

Deno.test("Relays of a cluster tell a client what it has sent to each of them", async () => {
  await using cluster = await clusterOf(3);
  const claims = new Claims();
  const [a, b, c] = cluster.relays as [Relay, Relay, Relay];
  {
    await using peer = await claims.connect(a, 0, 0, KEPT + OTHER + KEPT + OTHER);
    assertEquals(welcomeOf(peer).producer, { taken: 0, exact: true });
    await peer.sees('"events":4}');
  }
  {
    await using peer = await claims.connect(b, 6, 0);
    assertEquals(welcomeOf(peer).producer, { taken: 4, exact: true });
    await peer.send(KEPT + OTHER);
    await peer.sees('"events":2}');
  }
  await using peer = await claims.connect(c, 6, 4);
  assertEquals(welcomeOf(peer).producer, { taken: 6, exact: true });
  assertEquals(keptBy(cluster), 3);
  assertEquals(cluster.relays.map((relay) => relay.stats().history!.producers), [1, 1, 1]);
});

Deno.test("A relay of a cluster ends the connection of a client that has gone to another one", async () => {
  await using cluster = await clusterOf(2);
  const claims = new Claims();
  const [a, b] = cluster.relays as [Relay, Relay];
  await using old = await claims.connect(a, 0, 0, KEPT);
  await old.sees('"events":1}');
  const port = cluster.backplanes[0]!.port!;
  port.isHeld = true; // What it takes now is not kept yet.
  await old.send(KEPT + KEPT);
  await until(() => keptBy(cluster) === 3);
  await using next = await join(b);
  await next.send(claims.hello(5, 0));
  await pause(50);
  assertFalse(next.text.includes("welcome"));
  port.isHeld = false;
  port.wake();
  await claims.welcomed(next);
  assertEquals(welcomeOf(next).producer, { taken: 3, exact: true });
  assertMatch((await old.lines()).at(-1)!, /"reason":"replaced"/);
});

Deno.test("A relay of a cluster takes nothing from a client that has gone on elsewhere before", async () => {
  await using cluster = await clusterOf(2);
  const claims = new Claims();
  const [a, b] = cluster.relays as [Relay, Relay];
  const late = claims.hello(0, 0);
  await using present = await claims.connect(b, 0, 0, KEPT);
  await present.sees('"events":1}');
  await using peer = await join(a);
  await peer.send(late + KEPT.repeat(10));
  assertMatch((await peer.lines()).join(), /"reason":"replaced"/);
  assertFalse(peer.text.includes("welcome"));
  await present.send(KEPT);
  await present.sees('"events":2}');
  assertEquals(keptBy(cluster), 2);
});

Deno.test("A client that publishes nothing, or nothing that is kept, takes no room in the stream", async () => {
  await using cluster = await clusterOf(1);
  const before = cluster.hub.stream.last;
  const claims = new Claims();
  await using peer = await claims.connect(cluster.relays[0]!, 0, 0, OTHER);
  await peer.send('{"control":"subscribe","events":["kept"],"id":"s"}\n');
  await peer.sees('"id":"s"');
  assertEquals(cluster.hub.stream.last, before);
});

Deno.test("Events are acknowledged once their client's producer is owned and they are kept", async () => {
  await using cluster = await clusterOf(1);
  const port = cluster.backplanes[0]!.port!;
  port.isHeld = true;
  const claims = new Claims();
  await using peer = await claims.connect(cluster.relays[0]!, 0, 0, KEPT + KEPT);
  await using other = await join(cluster.relays[0]!);
  await other.send('{"control":"hello","version":1,"ack":true}\n');
  await pause(50);
  assertEquals(keptBy(cluster), 0); // Its claim comes first.
  port.isHeld = false;
  port.wake();
  await peer.sees('"events":2}');
  await other.send(KEPT);
  await other.sees('"events":1}');
});

Deno.test("A relay that is gone keeps nothing more of a client that has gone to another one", async () => {
  await using cluster = await clusterOf(2);
  const claims = new Claims();
  const [a, b] = cluster.relays as [Relay, Relay];
  await using old = await claims.connect(a, 0, 0, KEPT + OTHER);
  await old.sees('"events":2}');
  await using plain = await join(a);
  cluster.backplanes[0]!.port!.cut();
  cluster.backplanes[0]!.vanish();
  await old.send(KEPT.repeat(5));
  await plain.send('{"event":"kept","__dict__":{"plain":1}}\n');
  let next = await claims.connect(b, 7, 0);
  while (!("producer" in welcomeOf(next))) { // It took too long until it was known who owns it.
    await next[Symbol.asyncDispose]();
    next = await claims.connect(b, 7, 0);
  }
  await using _next = next;
  // Of those that are not kept, nobody knows whether it has taken more.
  assertEquals(welcomeOf(next).producer, { taken: 1 });
  cluster.backplanes[0]!.port!.mend();
  assertMatch((await old.lines()).at(-1)!, /"reason":"overloaded"/);
  const { stream } = cluster.hub;
  await until(() => stream.messages.some(({ data }) => textOf(data).includes("plain")));
  await next.send(KEPT);
  await next.sees('"events":1}');
  assertEquals(keptBy(cluster), 2);
});

Deno.test("A relay that reads nothing of the stream loses what others wait for, though it is there", async () => {
  await using cluster = await clusterOf(2);
  const claims = new Claims();
  const [a, b] = cluster.relays as [Relay, Relay];
  await using old = await claims.connect(a, 0, 0, KEPT);
  await old.sees('"events":1}');
  const port = cluster.backplanes[0]!.port!;
  port.isHeld = true;
  await using next = await claims.connect(b, 1, 1, KEPT); // nothing in doubt, so it has no time limit
  await next.sees('"events":1}');
  assertEquals(cluster.relays.map((relay) => relay.stats().cluster!.relays.length), [1, 1]);
  port.isHeld = false;
  port.wake();
  assertMatch((await old.lines()).at(-1)!, /"reason":"(overloaded|replaced)"/);
  assertEquals(keptBy(cluster), 2);
});

Deno.test("A relay that is started later knows the producers of the others", async () => {
  await using cluster = await clusterOf(1);
  const claims = new Claims();
  {
    await using peer = await claims.connect(cluster.relays[0]!, 0, 0, KEPT + OTHER);
    await peer.sees('"events":2}');
  }
  const late = cluster.relays[cluster.add()]!;
  await late.ready;
  await using peer = await claims.connect(late, 3, 0);
  assertEquals(welcomeOf(peer).producer, { taken: 2, exact: true });
});

Deno.test("The first relay of a cluster knows the producers of those before, and what they have kept", async () => {
  await using cluster = await clusterOf(1);
  const claims = new Claims();
  const [before] = cluster.relays as [Relay];
  await using old = await claims.connect(before, 0, 0, KEPT + OTHER);
  await old.sees('"events":2}');
  await before.close();
  const next = cluster.relays[cluster.add()]!;
  await next.ready;
  await using peer = await claims.connect(next, 3, 0);
  assertEquals(welcomeOf(peer).producer, { taken: 2 }); // There may have been others.
});

Deno.test("Relays of a cluster cannot tell what became of events that the stream has lost", async () => {
  await using cluster = await clusterOf(2);
  const claims = new Claims();
  const [a, b] = cluster.relays as [Relay, Relay];
  await using old = await claims.connect(a, 0, 0, KEPT);
  await old.sees('"events":1}');
  const { stream } = cluster.hub;
  const { last } = stream;
  await old.send(KEPT);
  await old.sees('"events":2}');
  stream.lose(last);
  for (const { port } of cluster.backplanes) port!.mend();
  assertMatch((await old.lines()).at(-1)!, /"reason":"overloaded"/);
  await using next = await eventually(() => claims.connect(b, 3, 0)); // It may be too early.
  assertEquals(welcomeOf(next).producer, { taken: null });
  await next.send(KEPT);
  await next.sees('"events":1}');
});

Deno.test("A relay that has not read all of the stream cannot tell what became of events", async () => {
  await using cluster = await clusterOf(2);
  const claims = new Claims();
  const [a, b] = cluster.relays as [Relay, Relay];
  const port = cluster.backplanes[1]!.port!;
  port.isHeld = true;
  await using old = await claims.connect(a, 0, 0, KEPT);
  await old.sees('"events":1}');
  cluster.hub.stream.drop(cluster.hub.stream.last);
  port.isHeld = false;
  port.wake();
  await using next = await claims.connect(b, 3, 0);
  assertEquals(welcomeOf(next).producer, { taken: null });
});

Deno.test("While the stream refuses events, clients are not counted, and those that were come back", async () => {
  await using cluster = await clusterOf(1);
  const [relay] = cluster.relays as [Relay];
  const claims = new Claims();
  await using idle = await claims.connect(relay);
  cluster.hub.stream.refusal = "it is full";
  await using plain = await join(relay);
  await plain.send(KEPT);
  await until(() => relay.stats().history!.isBroken);
  await idle.send(OTHER + KEPT);
  assertMatch(
    (await idle.lines()).at(-1)!,
    /"reason":"overloaded","detail":"events cannot be kept/,
  );
  await using again = await claims.connect(relay, 2, 0);
  assertFalse("producer" in welcomeOf(again));
  cluster.hub.stream.refusal = "";
  await until(() => !relay.stats().history!.isBroken);
  await using later = await claims.connect(relay, 2, 2, KEPT);
  assertEquals(welcomeOf(later).producer, { taken: 2, exact: true });
  await later.sees('"events":1}');
});

Deno.test("A client in doubt is welcomed after some seconds without being counted", async () => {
  await using cluster = await clusterOf(1);
  const claims = new Claims();
  await using peer = await claims.connect(cluster.relays[0]!, 0, 0, KEPT);
  await peer.sees('"events":1}');
  cluster.hub.stop();
  await using next = await join(cluster.relays[0]!);
  await next.send(claims.hello(3, 0));
  await until(() => next.text.includes('"welcome"'));
  assertFalse("producer" in welcomeOf(next));
  await next.sees('"alone"');
  assertMatch(next.text, /^\{"control":"welcome"/);
  cluster.hub.start();
  await next.send(KEPT);
  await next.sees('"events":1}');
  // It is not owned for those that are counted, either.
  await using last = await claims.connect(cluster.relays[0]!, 3, 0);
  assertObjectMatch(welcomeOf(last).producer!, { taken: 1 });
});

Deno.test("Relays of a cluster release the producers of clients that have left", async () => {
  await using cluster = await clusterOf(2);
  const { stream } = cluster.hub;
  for (let i = 0; i < 300; i++) {
    const claims = new Claims();
    const peer = await claims.connect(cluster.relays[i % 2]!, 0, 0, KEPT);
    await peer.sees('"events":1}');
    await peer[Symbol.asyncDispose]();
  }
  const released = () =>
    stream.messages.reduce((sum, { data }) => {
      const [head] = textOf(data).split("\n");
      return sum + (JSON.parse(head!).releases ?? []).length;
    }, 0);
  await until(() => released() === 300);
  assert(stream.messages.every(({ data }) => data.length < 100_000));
});
