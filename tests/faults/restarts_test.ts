import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { isFull, size } from "../support/size.ts";
import { Fleet } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

const RESTARTS = size(4, 20);
const FLEETS = size(2, 5);
const CLIENTS = size(10, 20);

/** In a full run the clients wait as they would anywhere; here they wait less. */
const RECONNECT = isFull || { minDelay: 50, maxDelay: 500 };

Deno.test({
  name: `Relay restarted ${RESTARTS} times under load gets all ${FLEETS * CLIENTS} clients back`,
  ignore: Deno.build.os === "windows", // It has no SIGTERM.
  async fn() {
    await using relay = await RelayProcess.start();
    const ledger = new Ledger();
    const fleets = Array.from({ length: FLEETS }, (_, i) =>
      new Fleet({
        name: `fleet${i + 1}-`,
        address: relay.address,
        clients: CLIENTS,
        publishers: 4,
        perSecond: 20,
        options: { reconnect: RECONNECT },
      }, ledger));
    await using stack = new AsyncDisposableStack();
    for (const fleet of fleets) stack.use(fleet);
    for (let times = 1; times <= RESTARTS; times++) {
      await Promise.all(fleets.map((fleet) => fleet.joins(times)));
      const { code, stderr } = await relay.stop();
      assertEquals(stderr, "");
      assertEquals(code, 0);
      await relay.restart();
    }
    await Promise.all(fleets.map((fleet) => fleet.joins(RESTARTS + 1)));
    const balance = await assertBalanced(ledger, fleets);
    assertGreater(balance.confirmed, 0);
    assertEquals(balance.lostWithConnection, {}, "Each relay told everyone that it ended");
    if (isFull) console.log(balance);
    const { code, stderr } = await relay.stop();
    assertEquals(stderr, "");
    assertEquals(code, 0);
  },
});
