import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertObjectMatch } from "@std/assert/object-match";
import { EbsocketClient } from "../../client.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { Peer } from "../support/peer.ts";
import { pause, until } from "../support/waiting.ts";
import { Fleet } from "./fleet.ts";
import { Ledger } from "./ledger.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

const ignore = Deno.build.os === "windows"; // It has no such signals.

/** Deadlines that pass soon: what is silent for 2.5 s is taken for dead. */
const HASTY = { keepAliveInterval: 500, keepAliveTimeout: 5000 };

/** Delays that do not make a test wait. */
const SOON = { reconnect: { minDelay: 50, maxDelay: 500 } };

Deno.test({
  name: "Relay serves the other clients when some are killed",
  ignore,
  async fn() {
    await using relay = await RelayProcess.start();
    const ledger = new Ledger();
    const plan = { address: relay.address, clients: 3, publishers: 2, perSecond: 50 };
    await using staying = new Fleet({ ...plan, name: "staying" }, ledger);
    for (let round = 0; round < 3; round++) {
      await using killed = new Fleet({ ...plan, name: `killed${round}-` }, ledger);
      await Promise.all([staying.joins(), killed.joins()]);
      await killed.kill();
      for (let i = 0; i < 3; i++) await relay.logs("leave");
    }
    assert(staying.names.every((name) => ledger.joins(name) === 1));
    const { confirmed } = await assertBalanced(ledger, [staying]);
    assertGreater(confirmed, 0);
    const { code, stderr } = await relay.stop();
    assertEquals(stderr, "");
    assertEquals(code, 0);
  },
});

Deno.test({
  name: "EbsocketClient reconnects after the relay was killed, and reports unconfirmed events",
  ignore,
  async fn() {
    await using relay = await RelayProcess.start();
    const ledger = new Ledger();
    await using fleet = new Fleet({
      name: "a",
      address: relay.address,
      clients: 6,
      publishers: 3,
      perSecond: 500,
      options: SOON,
    }, ledger);
    for (let times = 1; times <= 3; times++) {
      await fleet.joins(times);
      await relay.stop("SIGKILL");
      await relay.restart();
    }
    await fleet.joins(4);
    await assertBalanced(ledger, [fleet]);
  },
});

Deno.test({
  name: "Relay closes a frozen client with idle-timeout, and admits it again",
  ignore,
  async fn() {
    await using relay = await RelayProcess.start({ options: HASTY });
    const ledger = new Ledger();
    const plan = {
      address: relay.address,
      clients: 2,
      publishers: 1,
      options: { ...HASTY, ...SOON },
    };
    await using awake = new Fleet({ ...plan, name: "awake" }, ledger);
    await using frozen = new Fleet({ ...plan, name: "frozen" }, ledger);
    await Promise.all([awake.joins(), frozen.joins()]);
    frozen.signal("SIGSTOP");
    for (let i = 0; i < 2; i++) {
      assertEquals((await relay.logs("leave")).reason, "idle-timeout");
    }
    frozen.signal("SIGCONT");
    await frozen.joins(2);
    assert(awake.names.every((name) => ledger.joins(name) === 1));
    await assertBalanced(ledger, [awake, frozen]);
  },
});

Deno.test({
  name: "Relay closes no healthy client after it was frozen",
  ignore,
  async fn() {
    await using relay = await RelayProcess.start({ options: HASTY });
    const ledger = new Ledger();
    // Its clients promise to be heard of soon, but are patient themselves.
    await using fleet = new Fleet({
      name: "a",
      address: relay.address,
      clients: 10,
      publishers: 2,
      options: { ...HASTY, keepAliveTimeout: 30_000 },
    }, ledger);
    await fleet.joins();
    relay.kill("SIGSTOP");
    await pause(8000);
    relay.kill("SIGCONT");
    await pause(2000);
    assert(fleet.names.every((name) => ledger.joins(name) === 1));
    assertEquals(relay.log.filter(({ type }) => type === "leave"), []);
    await assertBalanced(ledger, [fleet]);
  },
});

Deno.test({
  name: "EbsocketClient loses no event silently while the relay is frozen",
  ignore,
  async fn() {
    await using relay = await RelayProcess.start({ options: HASTY });
    const client = new EbsocketClient({ ...HASTY, reconnect: { minDelay: 1, maxDelay: 10 } });
    let unconfirmed = 0;
    const statuses: string[] = [];
    const closed = (async () => {
      for await (const status of client.status()) {
        statuses.push(status.type);
        if (status.type === "disconnected") unconfirmed += status.unconfirmed.length;
        if (status.type === "closed") return status;
      }
    })();
    await client.connectTo(relay.address);
    client.sendEvent(new EbsocketEvent("before"));
    await client.flush();
    relay.kill("SIGSTOP");
    await until(() => statuses.includes("disconnected"));
    await pause(1500); // The system of the frozen relay takes connections and bytes all the same.
    for (let i = 0; i < 100; i++) client.sendEvent(new EbsocketEvent("n", { i }));
    const flushed = client.flush().then(() => true, () => false);
    await pause(500);
    await relay.stop("SIGKILL");
    await client.close();
    assertFalse(await flushed);
    const { unsent } = (await closed)!;
    assertEquals(unconfirmed + unsent.length, 100);
    assertFalse(statuses.includes("reconnected"));
  },
});

Deno.test({
  name: "EbsocketClient notices a frozen relay, and reconnects when it wakes up",
  ignore,
  async fn() {
    await using relay = await RelayProcess.start({ options: HASTY });
    const ledger = new Ledger();
    const plan = {
      name: "a",
      address: relay.address,
      clients: 3,
      publishers: 1,
      options: { ...HASTY, ...SOON },
    };
    await using fleet = new Fleet(plan, ledger);
    await fleet.joins();
    relay.kill("SIGSTOP");
    await until(() => fleet.names.every((name) => !ledger.isIn(name)));
    relay.kill("SIGCONT");
    await fleet.joins(2);
    await assertBalanced(ledger, [fleet]);
  },
});

Deno.test({
  name: "Relay --rate that was frozen for a minute closes only clients over their limit",
  ignore,
  async fn() {
    await using relay = await RelayProcess.start({
      args: ["--rate", "100", "--no-echo"],
      flags: ["-A", "--preload", `${import.meta.dirname}/long_standstills.ts`],
    });
    await using reader = await Peer.connect(relay.address);
    await using half = await Peer.connect(relay.address);
    await using double = await Peer.connect(relay.address);
    for (let i = 0; i < 3; i++) await relay.logs("join");
    await half.send('{"event":"first"}\n');
    await reader.sees("first");
    relay.kill("SIGSTOP");
    // Half of what it may send in a minute, and double that.
    await half.send('{"event":"half"}\n'.repeat(3000));
    await double.send('{"event":"double"}\n'.repeat(12_000));
    await pause(1500);
    relay.kill("SIGCONT");
    await half.send('{"event":"last"}\n');
    await reader.sees("last");
    assertEquals(reader.text.match(/half/g)?.length, 3000);
    const leave = await relay.logs("leave");
    assertObjectMatch(leave, { client: 3, reason: "rate-limited" });
    const { code, stderr } = await relay.stop();
    assertEquals(stderr, "");
    assertEquals(code, 0);
    assertEquals(relay.log.filter(({ reason }) => reason === "rate-limited").length, 1);
  },
});
