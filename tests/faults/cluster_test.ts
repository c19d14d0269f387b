import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";
import { isFull, size } from "../support/size.ts";
import { pause, until } from "../support/waiting.ts";
import { Fleet } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

const RELAYS = 3;
const ROUNDS = size(2, 20);
const CLIENTS = size(8, 67);

/** Whether a relay reaches the others, as it says. */
function isTogether({ log }: RelayProcess): boolean {
  return log.findLast(({ type }) => type === "cluster")?.state !== "alone";
}

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
      await until(() => !relays.some(isTogether)); // Or the next look may be too early.
      await pause(300 * (round % 4));
      await nats.restart();
      await pause(1000);
      // A relay that dies with events for the others takes 15 s to be told of. If another one died
      // meanwhile, its clients would only learn that they have lost their relay.
      await until(() => relays.every(isTogether));
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
