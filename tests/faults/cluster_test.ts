import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";
import { isFull, size } from "../support/size.ts";
import { pause } from "../support/waiting.ts";
import { Fleet } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

const RELAYS = 3;
const ROUNDS = size(2, 20);
const CLIENTS = size(8, 67);

needingTest(
  `A cluster whose NATS and relays are killed ${ROUNDS} times each loses no event untold`,
  [NATS_SERVER],
  async () => {
    await using nats = await TestNatsServer.start();
    await using stack = new AsyncDisposableStack();
    const relays: RelayProcess[] = [];
    const fleets: Fleet[] = [];
    const ledger = new Ledger();
    for (let i = 0; i < RELAYS; i++) {
      const relay = await RelayProcess.start({ args: ["--cluster", nats.url()] });
      relays.push(stack.use(relay));
      const fleet = new Fleet({
        name: `fleet${i + 1}-`,
        address: relay.address,
        clients: CLIENTS,
        publishers: 2,
        perSecond: 20,
        patterns: [">"],
        options: { reconnect: { minDelay: 50, maxDelay: 500 } },
      }, ledger);
      fleets.push(stack.use(fleet));
    }
    await Promise.all(fleets.map((fleet) => fleet.joins()));
    for (let round = 0; round < ROUNDS; round++) {
      await nats.kill();
      await pause(300 * (round % 4));
      await nats.restart();
      await pause(1000);
      const relay = relays[round % RELAYS]!;
      await relay.stop("SIGKILL");
      await relay.restart();
      await Promise.all(fleets.map((fleet) => fleet.isIn()));
      await pause(1000);
    }
    const balance = await assertBalanced(ledger, fleets);
    assertGreater(balance.confirmed, 0);
    assertEquals(balance.missing, 0);
    if (isFull) console.log(balance);
  },
);
