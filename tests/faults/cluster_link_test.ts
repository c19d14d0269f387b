// A cluster of which one relay is at the other end of a cable, away from NATS and the others.

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { isFull } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { Fleet } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { BAD_LINK, type Link, linkTest, type Side } from "./link.ts";
import { countOf, type FleetPlan } from "./protocol.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

/** How long a cable is pulled, each time, in milliseconds. After 15 s, both sides take note. */
const CUTS = isFull ? [300, 2000, 8000, 25_000, 1000, 20_000] : [300, 2000];

/** A clock that jumps, so that those of the relays never agree. */
const OTHER_CLOCK = ["-A", "--preload", `${import.meta.dirname}/clock_jumps.ts`];

/** Two relays beside NATS, one far from it, and the clients of each. */
class SplitCluster implements AsyncDisposable {
  readonly ledger = new Ledger();
  readonly fleets: Fleet[] = [];
  readonly relays: RelayProcess[] = [];
  readonly #stack = new AsyncDisposableStack();

  static async start(link: Link, plan: Partial<FleetPlan> = {}): Promise<SplitCluster> {
    const cluster = new SplitCluster();
    try {
      const nats = cluster.#stack.use(await TestNatsServer.start("", {}, link.near));
      for (const side of [link.near, link.near, link.far]) {
        await cluster.#add(side, nats.url(), plan);
      }
      await Promise.all(cluster.fleets.map((fleet) => fleet.joins()));
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #add({ through }: Side, nats: string, plan: Partial<FleetPlan>): Promise<void> {
    const flags = this.relays.length > 0 ? OTHER_CLOCK : ["-A"];
    const relay = await RelayProcess.start({ through, flags, args: ["--cluster", nats] });
    this.relays.push(this.#stack.use(relay));
    const name = `fleet${this.relays.length}-`;
    const { address } = relay;
    const all = { clients: 3, publishers: 2, patterns: [">"], ...plan, name, address } as const;
    this.fleets.push(this.#stack.use(new Fleet(all, this.ledger, { through })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

await linkTest(
  `A cluster loses nothing untold while one relay is cut off from NATS ${CUTS.length} times`,
  { needs: [NATS_SERVER] },
  async (link) => {
    await using cluster = await SplitCluster.start(link, { perSecond: 50 });
    const { ledger, fleets, relays } = cluster;
    for (const ms of CUTS) {
      await link.pull();
      await pause(ms);
      await link.plug();
      await pause(isFull ? 20_000 : 2000); // TCP tries again after as long as it was cut.
    }
    const balance = await assertBalanced(ledger, fleets);
    assertGreater(balance.confirmed, 100);
    if (isFull) console.log(balance);
    // Nobody had to leave for it.
    assertEquals(balance.lostWithConnection, {});
    const states = relays.at(-1)!.log.filter(({ type }) => type === "cluster");
    if (!isFull) assertEquals(states, []);
    if (!isFull) assertEquals(balance.told, 0);
  },
);

await linkTest(
  "A cluster loses and mixes up nothing over a link that loses and reorders packets",
  { impairment: BAD_LINK, needs: [NATS_SERVER] },
  async (link) => {
    await using cluster = await SplitCluster.start(link, { perSecond: 200, padding: 300 });
    const { ledger, fleets } = cluster;
    await until(() => fleets.every(({ delays }) => countOf(delays) > 4000));
    const balance = await assertBalanced(ledger, fleets);
    assertGreater(balance.confirmed, 1000);
    assertEquals(balance.told, 0);
    assertEquals(balance.lostWithConnection, {});
  },
);
