// What a relay tells its senders while the disk of its history fails.

import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { Relay, RelayOptions } from "../../relay.ts";
import { FailingDisk } from "../support/failing_disk.ts";
import { TempFolder } from "../support/folder.ts";
import type { Peer } from "../support/peer.ts";
import { join, newRelay } from "../support/relay.ts";
import { until } from "../support/waiting.ts";

interface Fixture extends AsyncDisposable {
  readonly relay: Relay;
  readonly disk: FailingDisk;
  /** Connects a client that wants acknowledgements, and receives nothing. */
  sender(): Promise<Peer>;
  readonly isBroken: boolean;
}

async function open(
  history: RelayOptions["history"] = {},
  observer: RelayOptions["observer"] = {},
): Promise<Fixture> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(new TempFolder());
  const disk = new FailingDisk();
  const options = { history: { folder: `${folder.path}/log`, ...history }, observer };
  const relay = stack.use(newRelay(options));
  stack.use(disk); // The relay needs it at its end.
  await relay.ready;
  return {
    relay,
    disk,
    async sender() {
      const peer = stack.use(await join(relay));
      await peer.send('{"control":"hello","version":1,"ack":true}\n');
      await peer.sees('"welcome"');
      await peer.send('{"control":"subscribe","events":[]}\n');
      return peer;
    },
    get isBroken() {
      return relay.stats().history!.isBroken;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** The receipts that a client has received. */
function receiptsOf(peer: Peer): unknown[] {
  return peer.text.split("\n").filter((line) => line.includes('"clients"'))
    .map((line) => {
      const { id, incomplete = false } = JSON.parse(line);
      return [id, incomplete];
    });
}

Deno.test("A relay whose disk fails sends the receipts that wait for it, and all later ones, as incomplete ones", async () => {
  await using fixture = await open({ keep: ["k.>"] });
  const { disk } = fixture;
  const sender = await fixture.sender();
  await sender.send('{"event":"k.1","ack":"before"}\n');
  await sender.sees('"before"');
  disk.hold();
  await sender.send('{"event":"k.2","ack":"waits"}\n{"event":"u.1","ack":"behind it"}\n');
  await until(() => fixture.relay.stats().history!.offset === 2);
  disk.fails = true;
  disk.release();
  await sender.sees('"behind it"');
  await sender.send('{"event":"k.3","ack":"later"}\n{"event":"u.2","ack":"not to be kept"}\n');
  await sender.sees('"not to be kept"');
  assertEquals(fixture.isBroken, true);
  assertEquals(receiptsOf(sender), [
    ["before", false],
    ["waits", true],
    ["behind it", false],
    ["later", true],
    ["not to be kept", false],
  ]);
});

Deno.test("While the disk of a relay fails, clients that send nothing to be kept are acknowledged, and stay", async () => {
  await using fixture = await open({ keep: ["k.>"] });
  const { disk } = fixture;
  const [keeper, late, other] = [
    await fixture.sender(),
    await fixture.sender(),
    await fixture.sender(),
  ];
  await keeper.send('{"event":"k.1"}\n');
  await keeper.sees('"events":1}');
  disk.hold();
  await keeper.send('{"event":"k.2"}\n');
  await until(() => fixture.relay.stats().history!.offset === 2);
  await other.send('{"event":"u.1"}\n');
  await other.sees('"events":1}'); // It waits for nothing of another client.
  disk.fails = true;
  disk.release();
  await until(() => fixture.isBroken);
  await keeper.send('{"event":"u.2"}\n');
  await late.send('{"event":"k.3"}\n{"event":"u.3","ack":"late"}\n');
  await late.sees('"late"');
  await other.send('{"event":"u.4"}\n');
  await other.sees('"events":2}');
  disk.fails = false;
  for (const [peer, acknowledged] of [[keeper, ["1"]], [late, []]] as const) {
    const lines = (await peer.lines()).join("\n");
    assertMatch(lines, /"control":"close","reason":"overloaded"/);
    assertEquals(
      Array.from(lines.matchAll(/"events":(\d+)\}/g), ([, count]) => count),
      acknowledged,
    );
  }
  await other.send('{"event":"k.4"}\n');
  await other.sees('"events":3}');
});

Deno.test("A relay whose disk fails says where, and what that means, also at its end", async () => {
  const news: string[] = [];
  await using fixture = await open({}, {
    onHistoryFault: (fault) => news.push(fault),
    onHistoryMended: () => news.push("mended"),
  });
  const { disk, relay } = fixture;
  const sender = await fixture.sender();
  disk.fails = true;
  await sender.send('{"event":"e"}\n');
  await until(() => news.length > 0);
  assertMatch(
    news[0]!,
    /^cannot write to \S+\/log: no disk; events go on, .* neither kept nor acknowledged; trying again$/,
  );
  disk.fails = false;
  await until(() => news.length > 1);
  assertEquals(news[1], "mended");
  disk.fails = true;
  await relay.close();
  assertMatch(news[2]!, /^cannot write to \S+\/log: no disk; the next start begins a new epoch$/);
});

Deno.test("A relay whose disk hangs says so, and acknowledges what waits for it once it works", async () => {
  const faults: string[] = [];
  await using fixture = await open({}, { onHistoryFault: (fault) => faults.push(fault) });
  const { disk } = fixture;
  const sender = await fixture.sender();
  disk.hold();
  await sender.send('{"event":"e","ack":"waits"}\n');
  await until(() => faults.length > 0);
  disk.release();
  await sender.sees('"waits"');
  assertEquals(receiptsOf(sender), [["waits", false]]);
  assertEquals(faults[0], "the disk has taken nothing for 5 s, and events wait for it");
  assertMatch(faults[1]!, /^the disk works again, after \d+ s$/);
  assertEquals([faults.length, fixture.isBroken], [2, false]);
});
