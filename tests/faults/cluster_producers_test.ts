// Clients that hop between the relays of a cluster publish each event exactly once.

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { EbsocketClient } from "../../client.ts";
import { TestCluster } from "../support/cluster.ts";
import { JETSTREAM } from "../support/jetstream.ts";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";
import { isFull, size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { CuttingProxy } from "./cutting_proxy.ts";
import { NumberedPublisher, numbersOf } from "./numbered_publisher.ts";
import { RelayProcess } from "./relay_process.ts";

/** How long a connection lives at most, in milliseconds. */
const MAX_MS = 60;

Deno.test("A cluster keeps each event once of clients that hop between its relays", async () => {
  await using cluster = new TestCluster(3, { history: { keep: ["kept.>"] } });
  for (const relay of cluster.relays) await relay.ready;
  const addresses = cluster.relays.map(({ server }) => server.address);
  await using proxy = new CuttingProxy(addresses, MAX_MS);
  const reader = await cluster.connect(0, ["kept.>", "other.>"]);
  const received = new Map<string, number[]>();
  const reading = (async () => {
    for await (const { event, __dict__: { n } } of reader) {
      numbersOf(received, event).push(n as number);
    }
  })();
  const publishers = ["a", "b", "c", "d"].map((name) => new NumberedPublisher(name, 50));
  const publishing = publishers.map((publisher) => publisher.run(proxy.address));
  await pause(size(3000, 60_000));
  await until(() => publishers.every(({ reconnects }) => reconnects > 3));
  for (const publisher of publishers) publisher.finish();
  proxy.isCutting = false;
  await Promise.all(publishing);
  for (const publisher of publishers) {
    const { name, sent, unconfirmed } = publisher;
    assert(!unconfirmed.some((n) => publisher.keeps(n)));
    const all = Array.from({ length: sent }, (_, i) => i + 1);
    const kept = numbersOf(received, `kept.${name}`);
    const others = numbersOf(received, `other.${name}`);
    await until(() => kept.length + others.length + unconfirmed.length >= sent);
    assertEquals(kept, all.filter((n) => publisher.keeps(n)));
    assertEquals(new Set(others).size, others.length);
  }
  await reader.close();
  await reading;
});

const ROUNDS = size(3, 30);

needingTest(
  `A cluster keeps each event once of clients that hop while relays and NATS are killed ${ROUNDS} times`,
  [NATS_SERVER],
  async () => {
    await using nats = await TestNatsServer.start(JETSTREAM);
    const args = ["--cluster", nats.url(), "--history", "cluster", "--keep", "kept.>"];
    await using one = await RelayProcess.start({ args });
    await using two = await RelayProcess.start({ args });
    await using three = await RelayProcess.start({ args });
    const relays = [one, two, three];
    await using proxy = new CuttingProxy(relays.map(({ address }) => address), 2000);
    const publishers = ["a", "b", "c", "d"].map((name) => new NumberedPublisher(name, 50));
    const publishing = publishers.map((publisher) => publisher.run(proxy.address));
    for (let round = 0; round < ROUNDS; round++) {
      await pause(500 + Math.random() * 500);
      const relay = relays[round % 3]!;
      if (round % 3 === 2) {
        await nats.kill();
        await nats.restart();
      } else if (Math.random() < 0.3) {
        relay.kill("SIGSTOP");
        await pause(4000); // Others may hold it to be gone.
        relay.kill("SIGCONT");
      } else {
        await relay.stop(Math.random() < 0.7 ? "SIGKILL" : "SIGTERM");
        await pause(1000);
        await relay.restart();
      }
      await pause(1500);
    }
    for (const publisher of publishers) publisher.finish();
    proxy.isCutting = false;
    await Promise.all(publishing);
    await using reader = new EbsocketClient();
    await reader.connectTo(one.address);
    await reader.subscribe([]);
    const kept = new Map<string, number[]>();
    for await (const { event, __dict__: { n } } of reader.history("kept.>", { since: "first" })) {
      numbersOf(kept, event).push(n as number);
    }
    for (const publisher of publishers) {
      const { name, sent, unconfirmed } = publisher;
      const numbers = numbersOf(kept, `kept.${name}`);
      const doubled = numbers.filter(
        ((seen) => (n: number) => seen.size === seen.add(n).size)(new Set<number>()),
      );
      assertEquals(doubled.slice(0, 5), [], name);
      // A relay that was held to be gone may still have one of which the client has been told.
      const reported = new Set(unconfirmed);
      const certain = numbers.filter((n) => !reported.has(n));
      const late = certain.findIndex((n, i) => n <= (certain[i - 1] ?? 0));
      assertEquals(late < 0 ? [] : certain.slice(late - 3, late + 3), [], name);
      // Whatever is not there was reported: after some seconds, a relay does not wait for NATS any more.
      const told = new Set([...numbers, ...unconfirmed]);
      const all = Array.from({ length: sent }, (_, i) => i + 1);
      assertEquals(all.filter((n) => publisher.keeps(n) && !told.has(n)), [], name);
    }
    // Relays and NATS may be away for too long, but a cut alone leaves nothing in doubt.
    const doubts = publishers.reduce((sum, publisher) => sum + publisher.doubts, 0);
    assertLessOrEqual(doubts, ROUNDS * publishers.length);
    assertGreater(proxy.cuts, ROUNDS * publishers.length);
    if (isFull) {
      const unconfirmed = publishers.map((each) =>
        each.unconfirmed.filter((n) => each.keeps(n)).length
      );
      console.log({ cuts: proxy.cuts, sent: publishers.map(({ sent }) => sent), unconfirmed });
    }
  },
);
