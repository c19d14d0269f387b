import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { StartError } from "../../cli/errors.ts";
import { StatsPoller } from "../../cli/top.ts";
import { EbsocketClient } from "../../client.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { EbsocketServer } from "../../server.ts";
import { EbsocketSystem } from "../../system.ts";
import { type TestRelay, testRelay } from "../../testing.ts";

async function connected(
  { address }: Pick<TestRelay, "address">,
  reconnect = false,
): Promise<EbsocketClient> {
  const client = new EbsocketClient({ reconnect });
  await client.connectTo(address);
  return client;
}

const forever = new AbortController().signal;

Deno.test("StatsPoller.ask() resolves to the report of a relay", async () => {
  await using relay = testRelay();
  await using client = await connected(relay);
  const poller = new StatsPoller(client, forever);
  const report = await poller.ask();
  assertEquals(report?.relay.clients, 1);
  assertEquals(report?.clients.map(({ id }) => id), [1]);
});

Deno.test("StatsPoller.ask() rejects with the reason if a relay does not report", async () => {
  await using silent = testRelay({ inspect: false });
  await using old = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
  const cases = [[silent, "it was started with --no-inspect"], [
    old.server,
    "does not report its state; upgrade it",
  ]] as const;
  for (const [server, why] of cases) {
    await using client = await connected(server);
    await assertRejects(() => new StatsPoller(client, forever).ask(), StartError, why);
  }
});

Deno.test("StatsPoller.ask() bears with a relay that is away, but not with one that is gone for good", async () => {
  const relay = testRelay();
  await using patient = await connected(relay, true);
  await using other = await connected(relay);
  const pollers = [new StatsPoller(patient, forever), new StatsPoller(other, forever)] as const;
  await relay.close();
  await other.closed;
  assertStrictEquals(await pollers[0].ask(), null);
  await assertRejects(() => pollers[1].ask(), StartError, "ended with shutdown");
});

Deno.test("StatsPoller.wait() keeps the relay counting names, however long it waits", async () => {
  await using relay = testRelay();
  await using client = await connected(relay);
  const poller = new StatsPoller(client, forever);
  await poller.ask();
  await client.sendEvent(new EbsocketEvent("a"), { confirm: true });
  await poller.wait(6000);
  assertEquals((await poller.ask())?.names, [{ name: "a", events: 1, hearers: 1 }]);
});
