import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { freePort } from "../support/free_port.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/process.ts";
import { until } from "../support/waiting.ts";
import { Fleet } from "./fleet.ts";
import { afterShell, launch } from "./launch.ts";
import { Ledger } from "./ledger.ts";
import { RelayProcess } from "./relay_process.ts";
import { assertBalanced } from "./settle.ts";

const isUnix = Deno.build.os !== "windows";

Deno.test({
  name: "Relay survives a lack of file descriptors, and accepts again after it",
  ignore: !isUnix,
  async fn() {
    await using relay = await RelayProcess.start({ through: afterShell("ulimit -n 48") });
    const ledger = new Ledger();
    const plan = { address: relay.address, clients: 2, publishers: 1 };
    await using early = new Fleet({ ...plan, name: "early" }, ledger);
    await early.joins();
    const hogs = await Promise.all(Array.from({ length: 48 }, () => Peer.connect(relay.address)));
    try {
      await relay.logs("accept-error");
    } finally {
      for (const hog of hogs) await hog[Symbol.asyncDispose]();
    }
    await using late = new Fleet({ ...plan, name: "late" }, ledger);
    await late.joins();
    assert(early.names.every((name) => ledger.joins(name) === 1));
    await assertBalanced(ledger, [early, late]);
    const { code, stderr } = await relay.stop();
    assertEquals(stderr, "");
    assertEquals(code, 0);
  },
});

Deno.test({
  name: "Relay goes on when its log goes to a full disk",
  ignore: Deno.build.os !== "linux", // Others have no /dev/full.
  async fn() {
    const port = freePort();
    const through = ["sh", "-c", 'exec "$@" >/dev/full', "sh"];
    await using relay = new Program(...launch("mod.ts", ["--port", `${port}`], { through }));
    const ledger = new Ledger();
    const plan = { address: ["127.0.0.1", port] as const, clients: 2, publishers: 1 };
    await using fleet = new Fleet({ ...plan, name: "a" }, ledger);
    await fleet.joins();
    await assertBalanced(ledger, [fleet]);
    relay.kill("SIGTERM");
    const { code, stderr } = await relay.end();
    assertEquals(stderr, "");
    assertEquals(code, 0);
  },
});

Deno.test("Relay and EbsocketClient do not mind a clock that jumps by months", async () => {
  const flags = ["-A", "--preload", `${import.meta.dirname}/clock_jumps.ts`];
  const options = { keepAliveInterval: 500, keepAliveTimeout: 5000 };
  await using relay = await RelayProcess.start({ flags, options });
  const ledger = new Ledger();
  const plan = { address: relay.address, clients: 3, publishers: 1, perSecond: 50, options };
  await using busy = new Fleet({ ...plan, name: "busy" }, ledger, { flags });
  await using idle = new Fleet({ ...plan, name: "idle", publishers: 0 }, ledger, { flags });
  await Promise.all([busy.joins(), idle.joins()]);
  // That is longer than any of the deadlines.
  await until(() => busy.delays.length > 28);
  assert([...busy.names, ...idle.names].every((name) => ledger.joins(name) === 1));
  assertEquals(relay.log.filter(({ type }) => type === "leave"), []);
  await assertBalanced(ledger, [busy, idle]);
});
