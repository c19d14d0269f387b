/** What happens at the edges of a cluster: links that are replaced, relays that leave, hostile input. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { EbsocketEvent } from "../../mod.ts";
import { encodeMessage } from "../../protocol/cluster.ts";
import { NOTHING } from "../../protocol/utf8.ts";
import { Relay, type RelayObserver } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { numbersOf, TestCluster } from "../support/cluster.ts";
import { MemoryHub } from "../support/memory_backplane.ts";
import { SpyRelay } from "../support/spy_relay.ts";
import { pause, until } from "../support/waiting.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Lets relay `to` believe that relay `from` has given its end of the link up. */
function renew({ backplanes }: TestCluster, from: number, to: number): void {
  const { id } = backplanes[from]!;
  const session = "AAAAAAAA";
  const head = { control: "link", relay: id, session, peer: "", number: 0, taken: 0 } as const;
  backplanes[from]!.send(backplanes[to]!.id, encodeMessage(head), NOTHING);
}

/** Notes the faults and gaps of relays. */
class Notes implements RelayObserver {
  readonly faults: string[] = [];
  readonly gaps: (number | undefined)[] = [];

  onClusterFault = (fault: string) => void this.faults.push(fault);
  onGap = (_: string, events: number | undefined) => void this.gaps.push(events);
}

for (const how of ["is replaced", "ends with its relay"]) {
  Deno.test(`Lines that wait for a slow reader while their link ${how} reach the clients of this relay alone`, async () => {
    const notes = new Notes();
    const limits = { maxHold: 2000, maxPendingBytes: 100_000, observer: notes };
    await using cluster = new TestCluster(3, limits);
    const sender = await cluster.connect(0, ["none"]);
    const third = await cluster.connect(2, ["e"]);
    const [hostname, port] = cluster.relays[1]!.server.address;
    using slow = await Deno.connect({ hostname, port });
    await slow.write(utf8('{"control":"subscribe","events":["e"],"id":"s"}\n'));
    await slow.read(new Uint8Array(100));
    const padding = "x".repeat(2000);
    const got: number[] = [];
    const reading = (async () => {
      for await (const event of third) got.push(event.getAttribute("i") as number);
    })();
    for (let i = 0; i < 3000; i++) {
      sender.send("e", { i, padding });
      if (i % 50 === 0) await pause(1);
    }
    await pause(100);
    if (how === "is replaced") renew(cluster, 0, 1);
    else {
      const { id } = cluster.backplanes[0]!;
      const bye = encodeMessage({ control: "bye", relay: id, hasRest: true });
      cluster.backplanes[0]!.send(cluster.backplanes[1]!.id, bye, NOTHING);
    }
    await until(() => got.length >= 3000);
    await pause(2500); // What was held for the slow reader is released.
    assertEquals(got, upTo(3000));
    const { relays } = cluster.relays[1]!.stats().cluster!;
    for (const { eventsOut } of relays) assertEquals(eventsOut, 0);
    assertGreater(notes.gaps.length, 0);
    await third.close();
    await reading;
  });
}

Deno.test("Requests that a queue hands back are answered, and disturb no other event", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(3, { observer: notes });
  const asking = await cluster.connect(0, ["none", "after"]);
  const stays = await cluster.connect(2, ["ask"], "q");
  const bystander = await cluster.connect(1, ["none"]);
  const answering = (async () => {
    for await (const request of stays) await stays.reply(request, "ok");
  })();
  for (let round = 0; round < 10; round++) {
    const leaving = await cluster.connect(1, ["ask"], "q");
    const leavingAnswers = (async () => {
      for await (const request of leaving) await leaving.reply(request, "ok");
    })();
    const drained = leaving.drain();
    const answers: Promise<EbsocketEvent>[] = [];
    for (let i = 0; i < 20; i++) {
      answers.push(asking.request("ask"));
      if (i % 5 === 0) await pause(0);
    }
    await drained;
    bystander.send("after", { i: round });
    for (const answer of answers) assertEquals((await answer).event, "ok");
    await leavingAnswers;
  }
  assertEquals(await numbersOf(asking, 10), upTo(10));
  assertEquals(notes.faults, []);
  await stays.close();
  await answering;
});

Deno.test("A client that asks its own queue is answered by a member at another relay", async () => {
  await using cluster = new TestCluster(2);
  const asking = await cluster.connect(0, ["ask"], "q");
  const other = await cluster.connect(1, ["ask"], "q");
  const answering = (async () => {
    for await (const request of other) await other.reply(request, "ok");
  })();
  for (let i = 0; i < 10; i++) assertEquals((await asking.request("ask")).event, "ok");
  await other.close();
  await answering;
});

Deno.test("A link that is replaced loses no event for a queue", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(2, { observer: notes });
  const sender = await cluster.connect(0, ["none"]);
  const member = await cluster.connect(1, ["job"], "q");
  sender.send("job", { i: 0 });
  assertEquals(await numbersOf(member, 1), [0]);
  renew(cluster, 1, 0);
  await pause(5); // The answers to events on the old link are lost with it.
  const receipts: Promise<number>[] = [];
  for (let i = 1; i < 30; i++) {
    receipts.push(sender.sendEvent(new EbsocketEvent("job", { i }), { confirm: true }));
    await pause(0);
  }
  assertEquals(new Set(await Promise.all(receipts)), new Set([1]));
  assertEquals(await numbersOf(member, 29), upTo(30).slice(1));
});

Deno.test("The number of lost events is reported although no event follows", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(2, { maxHold: 50, observer: notes });
  const sender = await cluster.connect(0, ["none"]);
  await cluster.connect(1, ["e"]);
  cluster.hub.stop();
  const padding = "x".repeat(100_000);
  for (let i = 0; i < 200; i++) await sender.sendEvent(new EbsocketEvent("e", { i, padding }));
  await until(() => cluster.relays[0]!.stats().eventsIn === 200);
  const lost = cluster.relays[0]!.stats().cluster!.eventsLost;
  assertGreater(lost, 0);
  cluster.hub.start();
  await until(() => notes.gaps.length > 0);
  assertEquals(notes.gaps, [lost]);
});

Deno.test("A relay that is closed while it joins leaves nothing behind", async () => {
  const hub = new MemoryHub();
  let messages = 0;
  const relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), { cluster: hub.backplane() });
  await relay.close();
  hub.dropsMessages = () => ++messages < 0;
  await pause(1200); // longer than between two signs of life
  assertEquals(messages, 0);
});

Deno.test("A client that has ended its input still gets its receipts, incomplete if they must be", async () => {
  await using cluster = new TestCluster(2);
  await cluster.connect(1, ["e"]);
  const [hostname, port] = cluster.relays[0]!.server.address;
  using conn = await Deno.connect({ hostname, port });
  const lines = '{"control":"subscribe","events":[]}\n{"event":"e","ack":"1"}\n';
  await conn.write(utf8(lines));
  await conn.closeWrite();
  const text = await new Response(conn.readable).text();
  assertEquals(text, '{"control":"ack","id":"1","clients":0,"incomplete":true}\n');
});

for (const limits of [{}, { maxLineBytes: 1024 }, { maxDepth: 2 }]) {
  Deno.test(`Links carry the longest lines and the deepest that clients may send: ${JSON.stringify(limits)}`, async () => {
    const notes = new Notes();
    await using cluster = new TestCluster(2, { ...limits, observer: notes });
    const asking = await cluster.connect(0, ["none"]);
    const other = await cluster.connect(1, ["ask"], "q");
    await other.subscribe(Array.from({ length: 300 }, (_, i) => `a.pattern.${i}`));
    const late = cluster.add();
    await cluster.connect(late, ["x"]);
    const { maxLineBytes = 1_048_576 } = limits as { maxLineBytes?: number };
    const empty = '{"event":"ask","id":"1","__dict__":{"x":""}}'.length;
    const line = `{"event":"ask","id":"1","__dict__":{"x":"${
      "y".repeat(maxLineBytes - empty)
    }"}}\n`;
    const [hostname, port] = cluster.relays[0]!.server.address;
    using conn = await Deno.connect({ hostname, port });
    const bytes = utf8(line);
    for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
    const event = await other.recvEvent();
    assertEquals((event!.getAttribute("x") as string).length, maxLineBytes - empty);
    assertEquals([notes.faults, notes.gaps], [[], []]);
    assert(asking.connected);
  });
}

Deno.test("Events in the name of clients of others are ignored, and reported once", async () => {
  const notes = new Notes();
  await using cluster = new TestCluster(1, { observer: notes });
  const reader = await cluster.connect(0, [">"]);
  await using spy = new SpyRelay(cluster);
  await spy.join();
  spy.send(
    '{"control":"start","events":0}\n' +
      '{"from":"rother678.c1","event":"forged","id":"1"}\n'.repeat(100) +
      `{"from":"${spy.id}.c1","event":"genuine","id":"1"}\n`,
  );
  assertEquals((await reader.recvEvent())!.event, "genuine");
  assertEquals(notes.faults, [
    `relay ${spy.id} sent an event in the name of a client of another`,
  ]);
});

for (const how of ["leaves", "begins a new link"]) {
  Deno.test(`Lines about interest that wait for a slow reader disturb nothing when their relay ${how}`, async () => {
    await using cluster = new TestCluster(1, { maxHold: 8000, maxPendingBytes: 400_000 });
    const sender = await cluster.connect(0, ["none"]);
    const [hostname, port] = cluster.relays[0]!.server.address;
    using slow = await Deno.connect({ hostname, port });
    await slow.write(utf8('{"control":"subscribe","events":["e"],"id":"s"}\n'));
    await slow.read(new Uint8Array(100));
    await using spy = new SpyRelay(cluster);
    await spy.join();
    spy.send('{"control":"start","events":0}\n{"control":"interest","version":0,"whole":true}\n');
    const event = `{"event":"e","__dict__":{"p":"${"x".repeat(2000)}"}}\n`.repeat(5);
    for (let i = 0; i < 300; i++) {
      spy.send(`${event}{"control":"interest","version":1,"add":[">","k.${i}"]}\n`.repeat(10));
      await pause(1);
    }
    const links = () => cluster.relays[0]!.stats().cluster!.relays;
    const sent = 300 * 10 * 5;
    assertLess(links()[0]!.eventsIn, sent); // The rest waits.
    if (how === "leaves") spy.leave();
    else spy.renew();
    await until(() => how === "leaves" ? links().length === 0 : links()[0]!.eventsIn === 0);
    spy.announce();
    await until(() => links().length === 1);
    spy.leave();
    await until(() => links().length === 0);
    assertEquals(await sender.sendEvent(new EbsocketEvent("k.1"), { confirm: true }), 0);
  });
}

Deno.test("A relay that leaves goes on doing so when another one begins a new link", async () => {
  await using cluster = new TestCluster(1);
  const sender = await cluster.connect(0, ["none"]);
  await using spy = new SpyRelay(cluster);
  await spy.join();
  spy.send('{"control":"start","events":0}\n{"control":"interest","version":0,"whole":true}\n');
  sender.send("e", { i: 1 }); // It is never confirmed, so that the relay waits.
  await sender.flush();
  const closed = cluster.relays[0]!.close();
  await pause(100);
  spy.renew();
  await pause(20);
  await closed;
});

Deno.test("A subscription of a queue is confirmed when the other relay knows of it, and not before", async () => {
  await using cluster = new TestCluster(2);
  const asking = await cluster.connect(0, ["none"]);
  const member = await cluster.connect(1, ["x"]);
  // The other relay hears nothing of the member's for a moment, while their link begins anew.
  renew(cluster, 0, 1);
  await pause(2);
  const { id } = cluster.backplanes[1]!;
  cluster.hub.dropsMessages = (message) => textOf(message).startsWith(`link ${id}`);
  let isConfirmed = false;
  const confirmed = member.subscribe(["job"], { queue: "q" }).then(() => isConfirmed = true);
  await pause(300);
  assertEquals(isConfirmed, false);
  cluster.hub.dropsMessages = () => false;
  await confirmed;
  assertEquals(await asking.sendEvent(new EbsocketEvent("job"), { confirm: true }), 1);
});
