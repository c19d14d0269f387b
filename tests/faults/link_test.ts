import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { isFull } from "../support/size.ts";
import { until } from "../support/waiting.ts";
import { Fleet } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { type Impairment, Link, obstacleToLinks } from "./link.ts";
import { countOf } from "./protocol.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

/** Deadlines that pass soon: what is silent for 2.5 s is taken for dead. At full size, the real ones. */
const DEADLINES = isFull ? {} : { keepAliveInterval: 500, keepAliveTimeout: 2000 };

/** A link over a bad radio, say. */
const BAD: Impairment = { delay: 40, jitter: 30, loss: 3 };

/** In CI, root on Linux must be able to make links: a test that cannot then fails. */
const isDemanded = Deno.env.get("CI") === "true" && Deno.build.os === "linux" && Deno.uid() === 0;

/** What is said of a kernel that was built without such devices, which nobody can mend. */
const LACKS = /Unknown device type|\/dev\/net\/tun/;

/** A test that needs links; where there can be none, its name says why it is left out. */
async function testWithLink(
  name: string,
  impairment: Impairment | undefined,
  fn: (link: Link) => Promise<void>,
): Promise<void> {
  const obstacle = await obstacleToLinks(impairment);
  Deno.test({
    name: obstacle === null ? name : `${name} (left out: ${obstacle})`,
    ignore: obstacle !== null && (!isDemanded || LACKS.test(obstacle)),
    async fn() {
      await using link = await Link.make(impairment);
      await fn(link);
    },
  });
}

await testWithLink(
  "EbsocketClient whose cable was pulled is back soon after that is plugged in",
  undefined,
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

await testWithLink(
  "Relay loses and mixes up nothing over a slow link that loses and reorders packets",
  BAD,
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
