import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { isFull } from "../support/size.ts";
import { until } from "../support/waiting.ts";
import { Fleet } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { BAD_LINK, linkTest } from "./link.ts";
import { countOf } from "./protocol.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

/** Deadlines that pass soon: what is silent for 2.5 s is taken for dead. At full size, the real ones. */
const DEADLINES = isFull ? {} : { keepAliveInterval: 500, keepAliveTimeout: 2000 };

await linkTest(
  "EbsocketClient whose cable was pulled is back soon after that is plugged in",
  {},
  async (link) => {
    await using relay = await RelayProcess.start({ ...link.near, options: DEADLINES });
    const ledger = new Ledger();
    const plan = { address: relay.address, clients: 3, publishers: 2, options: DEADLINES };
    await using near = new Fleet({ ...plan, name: "near" }, ledger, link.near);
    await using far = new Fleet({ ...plan, name: "far" }, ledger, link.far);
    await Promise.all([near.joins(), far.joins()]);

    await link.pull();
    const pulled = performance.now();
    for (let i = 0; i < 3; i++) {
      assertEquals((await relay.logs("leave")).reason, "idle-timeout");
    }
    await until(() => far.names.every((name) => !ledger.isIn(name)));
    assertLess(performance.now() - pulled, 60_000);

    await link.plug();
    const plugged = performance.now();
    await far.isIn();
    assertLess(performance.now() - plugged, 10_000);

    assert(near.names.every((name) => ledger.joins(name) === 1));
    assertEquals([...far.iterated], []);
    const { unconfirmed } = await assertBalanced(ledger, [near, far]);
    assertGreater(unconfirmed, 0, "Events were sent into the pulled cable");
  },
);

await linkTest(
  "Relay loses and mixes up nothing over a slow link that loses and reorders packets",
  { impairment: BAD_LINK },
  async (link) => {
    await using relay = await RelayProcess.start(link.near);
    const ledger = new Ledger();
    const plan = { address: relay.address, clients: 3, publishers: 2, perSecond: 200 };
    await using near = new Fleet({ ...plan, name: "near" }, ledger, link.near);
    await using far = new Fleet({ ...plan, name: "far", padding: 300 }, ledger, link.far);
    await Promise.all([near.joins(), far.joins()]);
    await until(() => countOf(far.delays) > 4000);
    const { confirmed, lostWithConnection } = await assertBalanced(ledger, [near, far]);
    assertGreater(confirmed, 1000);
    assertEquals(lostWithConnection, {});
  },
);
