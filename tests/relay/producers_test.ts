// What a relay with a history says to clients whose events it counts over their connections.

import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertMatch } from "@std/assert/match";
import type { Relay, RelayOptions } from "../../relay.ts";
import { defineEvents } from "../../define.ts";
import { TempFolder } from "../support/folder.ts";
import { Peer } from "../support/peer.ts";
import { join, newRelay } from "../support/relay.ts";
import { MESSAGE } from "../support/schemas.ts";
import { until } from "../support/waiting.ts";

interface Claim {
  readonly id: string;
  readonly sent: number;
  readonly settled: number;
  readonly attempt?: number;
  readonly epoch?: string;
}

async function counting(options: RelayOptions = {}): Promise<Relay> {
  const relay = newRelay({ history: {}, ...options });
  await relay.ready;
  return relay;
}

let attempts = 0;

/** The hello of a producer, whose attempt is a later one than those before unless it says so. */
function hello(claim: Claim, others = {}): string {
  const producer = { attempt: ++attempts, last: 0, ...claim };
  return `${JSON.stringify({ control: "hello", version: 1, ack: true, producer, ...others })}\n`;
}

/** Returns the welcome of a client. */
async function welcomeOf(peer: Peer): Promise<{ producer?: object; history: { epoch: string } }> {
  await peer.sees('"welcome"');
  const [, line] = /(\{"control":"welcome".*\})\n/.exec(peer.text)!;
  return JSON.parse(line!);
}

/** Connects a producer; `lines` are in one write with its hello. */
async function connect(relay: Relay, claim: Claim, lines = "", others = {}): Promise<Peer> {
  const peer = await join(relay);
  await peer.send(hello(claim, others) + lines);
  await peer.sees('"welcome"');
  return peer;
}

const first: Claim = { id: "p1", sent: 0, settled: 0 };

const namesOf = (peer: Peer) =>
  Array.from(peer.text.matchAll(/"event":"(\w+)"/g), ([, name]) => name);

Deno.test("Relay with a history counts all events of a producer over its connections", async () => {
  await using relay = await counting({ history: { keep: ["kept"] } });
  await using peer = await join(relay);
  await peer.send('{"event":"before"}\n'); // It counts for nobody.
  const lines =
    '{"event":"kept"}\n{"event":"other"}\n\n{"event":"x","to":"c9"}\n{"event":"kept"}\n';
  await peer.send(
    hello(first) + lines + '{"control":"subscribe","events":[]}\n{"event":"kept"}\r\n',
  );
  await peer.sees('{"control":"ack","events":6}');
  const { producer, history: { epoch } } = await welcomeOf(peer);
  assertEquals(producer, { taken: 0, exact: true });
  await peer.close();
  const claim = { ...first, sent: 9, settled: 2, epoch };
  await using second = await connect(relay, claim);
  assertEquals((await welcomeOf(second)).producer, { taken: 5, exact: true });
  await second.send('{"event":"other"}\n');
  await second.sees('{"control":"ack","events":1}');
  await using other = await connect(relay, { ...claim, id: "p2" });
  assertEquals((await welcomeOf(other)).producer, { taken: 2, exact: true });
});

Deno.test("Relay without a history says nothing of producers", async () => {
  await using relay = newRelay();
  await using peer = await connect(relay, first);
  assertFalse("producer" in await welcomeOf(peer));
});

Deno.test("Relay ignores a producer that is not valid", async () => {
  await using relay = await counting();
  for (
    const producer of [
      null,
      [],
      { ...first, attempt: -1 },
      { ...first, attempt: "1" },
      { ...first, last: -1 },
      { ...first, attempt: 7, last: 7 },
      { ...first, id: "" },
      { ...first, id: "x".repeat(65) },
      { ...first, id: "\x01".repeat(11) }, // 66 bytes as JSON
      { ...first, id: '"'.repeat(33) },
      { ...first, id: 7 },
      { ...first, sent: -1 },
      { ...first, sent: 1.5 },
      { ...first, settled: 1 },
      { id: "p1" },
    ]
  ) {
    await using peer = await connect(relay, producer as Claim);
    assertFalse("producer" in await welcomeOf(peer), JSON.stringify(producer));
  }
});

Deno.test("Relay counts for an ID of up to 64 bytes as JSON", async () => {
  await using relay = await counting();
  for (const id of ["x".repeat(64), "é".repeat(32), '"'.repeat(32), "\x01".repeat(10)]) {
    await using peer = await connect(relay, { ...first, id });
    assertEquals((await welcomeOf(peer)).producer, { taken: 0, exact: true }, id);
  }
});

Deno.test("Relay ends the earlier connection of a producer, and takes nothing more from it", async () => {
  await using relay = await counting();
  await using reader = await join(relay);
  await using old = await connect(relay, first, '{"event":"a"}\n');
  await old.sees('{"control":"ack","events":1}');
  const { history: { epoch } } = await welcomeOf(old);
  const claim = { ...first, sent: 3, settled: 0, epoch };
  const next = await join(relay);
  await Promise.all([next.send(hello(claim)), old.send('{"event":"b"}\n')]);
  const { producer } = await welcomeOf(next);
  const { taken } = producer as { taken: number };
  await next.send('{"event":"c"}\n'.repeat(3 - taken));
  assertMatch((await old.lines()).at(-1)!, /"reason":"replaced"/);
  await reader.sees('"c"');
  await until(() => namesOf(reader).length === 3);
  assertEquals(namesOf(reader).slice(0, taken), ["a", "b"].slice(0, taken));
  await next[Symbol.asyncDispose]();
});

Deno.test("Relay takes nothing from an earlier attempt whose hello arrives late", async () => {
  await using relay = await counting();
  await using reader = await join(relay);
  await using present = await connect(relay, { ...first, attempt: 1002 }, '{"event":"a"}\n');
  await present.sees('{"control":"ack","events":1}');
  await using late = await join(relay);
  await late.send(hello({ ...first, attempt: 1001 }) + '{"event":"late"}\n'.repeat(100));
  assertMatch((await late.lines()).join(), /^\{"event":"a".*|"reason":"replaced"/);
  assertFalse(late.text.includes('"welcome"'));
  await present.send('{"event":"b"}\n');
  await reader.sees('"b"');
  assertEquals(namesOf(reader), ["a", "b"]);
  const { history: { epoch } } = await welcomeOf(present);
  await using next = await connect(relay, { ...first, attempt: 1003, sent: 5, epoch });
  assertEquals((await welcomeOf(next)).producer, { taken: 2, exact: true });
});

Deno.test("Relay forgets producers and readers that have left while they waited", async () => {
  using folder = new TempFolder();
  const { syncData } = Deno.FsFile.prototype;
  const disk = Promise.withResolvers<void>();
  await using relay = await counting({ history: { folder: `${folder.path}/log` } });
  const { epoch } = relay.stats().history!;
  Deno.FsFile.prototype.syncData = async function () {
    await disk.promise;
    await syncData.call(this);
  };
  try {
    await using one = await connect(relay, first, '{"event":"a"}\n');
    const two = await join(relay);
    await two.send(hello({ ...first, sent: 1, epoch }, { offsets: true }) + "no line\n");
    await one.lines();
    two.close();
    disk.resolve();
    await until(() => relay.stats().history!.synced === 1);
    await until(() => relay.clients.length === 0);
  } finally {
    disk.resolve();
    Deno.FsFile.prototype.syncData = syncData;
  }
  await using next = await connect(relay, { ...first, sent: 1, epoch });
  assertEquals((await welcomeOf(next)).producer, { taken: 1, exact: true });
});

Deno.test("Relay cannot tell what became of events if it has refused one of them", async () => {
  const events = defineEvents({ message: MESSAGE });
  const good = '{"event":"message","__dict__":{"content":"hi"}}\n';
  await using relay = await counting({ events });
  await using peer = await connect(relay, first, `${good}{"event":"message"}\n${good}`);
  await peer.sees('{"control":"ack","events":3}');
  const { history: { epoch } } = await welcomeOf(peer);
  await peer.close();
  await using unsure = await connect(relay, { ...first, sent: 4, settled: 1, epoch });
  assertEquals((await welcomeOf(unsure)).producer, { taken: null });
  await unsure.close();
  await using sure = await connect(relay, { ...first, sent: 6, settled: 4, epoch });
  assertEquals((await welcomeOf(sure)).producer, { taken: 4, exact: true });
});

Deno.test("Relay counts the events of producers that need a token", async () => {
  await using relay = await counting({ token: "s3cret" });
  const { epoch } = relay.stats().history!;
  const greet = async (sent: number, lines: string) => {
    const peer = await Peer.connect(relay.server.address);
    await peer.send(hello({ ...first, sent, epoch }, { token: "s3cret" }) + lines);
    const { producer } = await welcomeOf(peer);
    await peer.sees(`{"control":"ack","events":${lines.split("\n").length - 1}}`);
    peer.close();
    return producer;
  };
  assertEquals(await greet(0, '{"event":"a"}\n{"event":"b"}\n'), { taken: 0, exact: true });
  assertEquals(await greet(5, '{"event":"c"}\n'), { taken: 2, exact: true });
  assertEquals(await greet(6, '{"event":"d"}\n'), { taken: 3, exact: true });
});

for (const sync of ["ack", "always"] as const) {
  Deno.test(`Relay with a folder and sync ${sync} knows its producers after it was started again`, async () => {
    using folder = new TempFolder();
    const history = { folder: `${folder.path}/log`, keep: ["kept"], sync };
    let epoch: string;
    {
      await using relay = await counting({ history });
      await using peer = await connect(relay, first, '{"event":"kept"}\n{"event":"other"}\n');
      await peer.sees('{"control":"ack","events":2}');
      ({ history: { epoch } } = await welcomeOf(peer));
    }
    await using relay = await counting({ history });
    await using peer = await connect(relay, { ...first, sent: 3, settled: 0, epoch });
    assertEquals((await welcomeOf(peer)).producer, { taken: 2, exact: true });
    await using stranger = await connect(relay, {
      ...first,
      id: "p2",
      sent: 3,
      settled: 0,
      epoch: "?",
    });
    assertEquals((await welcomeOf(stranger)).producer, { taken: null });
  });
}

Deno.test("Relay keeps the order of a producer's connections under load", async () => {
  using folder = new TempFolder();
  await using relay = await counting({ history: { folder: `${folder.path}/log` } });
  const { epoch } = relay.stats().history!;
  await using reader = await join(relay);
  let sent = 0;
  let settled = 0;
  const peers: Peer[] = [];
  for (let round = 0; round < 20; round++) {
    const peer = await join(relay);
    peers.push(peer);
    await peer.send(hello({ ...first, sent, settled, epoch }));
    const { producer } = await welcomeOf(peer);
    settled = (producer as { taken: number }).taken;
    sent = settled + 1000;
    let lines = "";
    for (let n = settled + 1; n <= sent; n++) lines += `{"event":"n${n}"}\n`;
    await peer.send(lines); // of which any part may be taken when the next one comes
  }
  const last = await connect(relay, { ...first, sent, settled, epoch });
  const { taken } = (await welcomeOf(last)).producer as { taken: number };
  await until(() => namesOf(reader).length >= taken);
  assertEquals(namesOf(reader), Array.from({ length: taken }, (_, i) => `n${i + 1}`));
  for (const peer of [...peers, last]) await peer[Symbol.asyncDispose]();
});

Deno.test("Relay welcomes a producer when its events are on the disk, and takes no others before", async () => {
  using folder = new TempFolder();
  const { syncData } = Deno.FsFile.prototype;
  for (const token of [undefined, "s3cret"]) {
    const disk = Promise.withResolvers<void>();
    const history = { folder: `${folder.path}/log-${token}` };
    await using relay = await counting({ history, ...(token !== undefined && { token }) });
    const { epoch } = relay.stats().history!;
    const greet = async (id: string, sent: number, lines: string) => {
      const peer = await Peer.connect(relay.server.address);
      await peer.send(hello({ ...first, id, sent, epoch }, { token }) + lines);
      return peer;
    };
    await using reader = await greet("reader", 0, "");
    await reader.sees('"welcome"');
    Deno.FsFile.prototype.syncData = async function () {
      await disk.promise;
      await syncData.call(this);
    };
    try {
      await using old = await greet("p1", 0, '{"event":"a"}\n');
      await reader.sees('"a"');
      await using next = await greet(
        "p1",
        1,
        '{"event":"b"}\n{"control":"subscribe","events":[],"id":"s"}\n',
      );
      await old.sees('"replaced"');
      await using _bystander = await greet("p2", 0, '{"event":"c"}\n');
      await reader.sees('"c"');
      assertFalse(next.text.includes('"control"'), next.text);
      assertEquals(namesOf(reader), ["a", "c"]);
      disk.resolve();
      assertEquals((await welcomeOf(next)).producer, { taken: 1, exact: true });
      await next.sees('{"control":"ack","events":1}');
      assertEquals(namesOf(reader), ["a", "c", "b"]);
    } finally {
      disk.resolve();
      Deno.FsFile.prototype.syncData = syncData;
    }
  }
});
