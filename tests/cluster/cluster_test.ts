import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertGreater } from "@std/assert/greater";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { EbsocketClient, EbsocketError, EbsocketEvent } from "../../mod.ts";
import { textOf } from "../support/bytes.ts";
import { numbersOf, numbersUntil, TestCluster } from "../support/cluster.ts";
import { eventually, pause, until } from "../support/waiting.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

Deno.test("Clients of several relays hear what they have subscribed to, and nothing else", async () => {
  await using cluster = new TestCluster(2);
  const a = await cluster.connect(0, ["x.*", "end"]);
  const b = await cluster.connect(1, ["y.*", "end"]);
  b.send("y.0", { i: 0 });
  b.send("x.1", { i: 1 });
  b.send("end");
  assertEquals(await numbersUntil(a, "end"), [1]);
  assertEquals(await numbersUntil(b, "end"), [0]);
});

Deno.test("Clients of several relays that hear everything get every event, in order", async () => {
  await using cluster = new TestCluster(3);
  const sender = await cluster.connect(0, ["none"]);
  const readers = await Promise.all([1, 2, 2].map((relay) => cluster.connect(relay, [">"])));
  for (let i = 0; i < 10_000; i++) sender.send("e", { i });
  for (const reader of readers) assertEquals(await numbersOf(reader, 10_000), upTo(10_000));
});

Deno.test("A client that does not subscribe hears the events of other relays, too", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["none"]);
  const reader = await cluster.connect(1);
  // The other relay learns of it within moments.
  await until(() => {
    sender.send("e", { i: 1 });
    return cluster.relays[0]!.stats().cluster!.relays[0]!.eventsOut > 0;
  });
  assertEquals(await numbersOf(reader, 1), [1]);
});

Deno.test("A client that subscribes with its first line does not have all events sent to its relay", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["none"]);
  let isOver = false;
  const sending = (async () => {
    for (let i = 0; !isOver; i++) {
      sender.send("e", { i });
      await pause(1);
    }
  })();
  for (let i = 0; i < 20; i++) {
    await using client = new EbsocketClient();
    await Promise.all([
      client.subscribe(["other"]),
      client.connectTo(cluster.relays[1]!.server.address),
    ]);
  }
  isOver = true;
  await sending;
  const { eventsIn, cluster: stats } = cluster.relays[0]!.stats();
  assertLess(stats!.relays[0]!.eventsOut, eventsIn / 4);
});

Deno.test("An event that no client of another relay hears stays at its relay", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["e"]);
  await cluster.connect(1, ["other"]);
  const before = cluster.backplanes[0]!.bytesSent;
  for (let i = 0; i < 1000; i++) sender.send("e", { i, padding: "x".repeat(1000) });
  assertEquals((await numbersOf(sender, 1000)).length, 1000);
  const [relay] = cluster.relays;
  await until(() => relay!.stats().eventsIn === 1000);
  assertGreater(100_000, cluster.backplanes[0]!.bytesSent - before);
});

Deno.test("The ID of a client is unique in the cluster, and an event can be sent to it", async () => {
  await using cluster = new TestCluster(2);
  const a = await cluster.connect(0, ["none"]);
  const b = await cluster.connect(1, ["none"]);
  assertMatch(a.id!, /^r[\w-]{8}\.c1$/);
  assertMatch(b.id!, /^r[\w-]{8}\.c1$/);
  await a.sendEvent(new EbsocketEvent("note", { i: 7 }), { to: b.id! });
  const event = await b.recvEvent();
  assertEquals(event!.from, a.id);
  assertEquals(event!.getAttribute("i"), 7);
});

Deno.test("A receipt counts the clients of all relays", async () => {
  await using cluster = new TestCluster(3);
  const a = await cluster.connect(0, ["e"]);
  await cluster.connect(1, ["e"]);
  const b = await cluster.connect(2, ["e"]);
  await cluster.connect(2, ["other"]);
  assertEquals(await a.sendEvent(new EbsocketEvent("e"), { confirm: true }), 3);
  assertEquals(await a.sendEvent(new EbsocketEvent("other"), { confirm: true }), 1);
  assertEquals(await a.sendEvent(new EbsocketEvent("nobody"), { confirm: true }), 0);
  assertEquals(await a.sendEvent(new EbsocketEvent("e"), { confirm: true, to: b.id! }), 1);
  const gone = `${b.id!.split(".")[0]}.c99`;
  assertEquals(await a.sendEvent(new EbsocketEvent("e"), { confirm: true, to: gone }), 0);
  const elsewhere = "rAAAAAAAA.c1";
  assertEquals(await a.sendEvent(new EbsocketEvent("e"), { confirm: true, to: elsewhere }), 0);
});

Deno.test("Requests reach services of other relays, and their answers come back", async () => {
  await using cluster = new TestCluster(2);
  const asking = await cluster.connect(0, ["none"]);
  const service = await cluster.connect(1);
  const requests = service.serve("double");
  const answering = (async () => {
    for await (const request of requests) {
      await service.reply(request, "doubled", { n: 2 * Number(request.getAttribute("n")) });
    }
  })();
  await service.subscribe(["known"]); // so that the service is known as well
  const answer = await asking.request("double", { n: 21 });
  assertEquals(answer.getAttribute("n"), 42);
  await service.close();
  await answering;
  const error = await assertRejects(() => asking.request("double", { n: 1 }), EbsocketError);
  assertEquals(error.code, "no-responders");
});

Deno.test("A request that nobody in the cluster serves is refused at once", async () => {
  await using cluster = new TestCluster(3);
  const asking = await cluster.connect(0, ["none"]);
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const before = performance.now();
    const error = await assertRejects(() => asking.request("nothing"), EbsocketError);
    assertEquals(error.code, "no-responders");
    times.push(performance.now() - before);
  }
  assertLess(Math.min(...times), 900); // The machine may stall, but not each time.
});

Deno.test("A queue is one in the whole cluster, and each member gets its share", async () => {
  await using cluster = new TestCluster(3);
  const sender = await cluster.connect(0, ["none"]);
  const members = [
    await cluster.connect(0, ["job"], "workers"),
    await cluster.connect(1, ["job"], "workers"),
    await cluster.connect(1, ["job"], "workers"),
    await cluster.connect(2, ["job"], "workers"),
  ];
  const heard = await cluster.connect(2, ["job"]);
  const shares: number[][] = members.map(() => []);
  members.forEach(async (member, i) => {
    for await (const event of member) shares[i]!.push(event.getAttribute("i") as number);
  });
  for (let i = 0; i < 400; i++) sender.send("job", { i });
  assertEquals(await numbersOf(heard, 400), upTo(400));
  await until(() => shares.flat().length >= 400);
  assertEquals(shares.flat().sort((a, b) => a - b), upTo(400));
  for (const share of shares) {
    assertGreater(share.length, 60);
    assertEquals(share, share.toSorted((a, b) => a - b));
  }
});

Deno.test("A queue whose last member at a relay leaves hands its events over to the others", async () => {
  await using cluster = new TestCluster(3);
  const sender = await cluster.connect(0, ["none"]);
  const stays = await cluster.connect(2, ["job"], "workers");
  const leaves = await cluster.connect(1, ["job"], "workers");
  const got: number[] = [];
  const reading = (async () => {
    for await (const event of leaves) got.push(event.getAttribute("i") as number);
  })();
  const receipts: Promise<number>[] = [];
  for (let i = 0; i < 200; i++) {
    receipts.push(sender.sendEvent(new EbsocketEvent("job", { i }), { confirm: true }));
    if (i !== 100) continue;
    await until(() => got.length > 0);
    leaves.drain();
  }
  assertEquals(new Set(await Promise.all(receipts)), new Set([1]));
  await reading;
  const rest = await numbersOf(stays, 200 - got.length);
  assertEquals([...got, ...rest].sort((a, b) => a - b), upTo(200));
  assertGreater(got.length, 0);
});

Deno.test("A request to a queue of the cluster is answered, and never reported as unheard", async () => {
  await using cluster = new TestCluster(2);
  const asking = await cluster.connect(0, ["none"]);
  for (let round = 0; round < 20; round++) {
    const service = await cluster.connect(1, ["ask"], "q");
    const answering = (async () => {
      for await (const request of service) await service.reply(request, "ok");
    })();
    assertEquals((await asking.request("ask")).event, "ok");
    await service.close();
    await answering;
  }
});

Deno.test("A relay that comes later hears at once what it has to", async () => {
  await using cluster = new TestCluster(1);
  const sender = await cluster.connect(0, ["none"]);
  const late = cluster.add();
  const reader = await cluster.connect(late, ["e"]);
  sender.send("e", { i: 1 });
  assertEquals(await numbersOf(reader, 1), [1]);
  const back = await cluster.connect(0, ["back"]);
  reader.send("back", { i: 2 });
  assertEquals(await numbersOf(back, 1), [2]);
});

Deno.test("Relays that are cut off tell their clients, and lose nothing that there is room for", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["none"]);
  const reader = await cluster.connect(1, ["e"]);
  const told: string[] = [];
  const watching = (async () => {
    for await (const status of reader.status()) {
      if (status.type === "cluster") told.push(status.state);
      if (status.type === "cluster-gap") told.push("gap");
    }
  })();
  for (let i = 0; i < 1000; i++) sender.send("e", { i });
  await sender.flush();
  cluster.hub.stop();
  for (let i = 1000; i < 2000; i++) sender.send("e", { i });
  await sender.flush();
  cluster.hub.start();
  for (let i = 2000; i < 3000; i++) sender.send("e", { i });
  assertEquals(await numbersOf(reader, 3000), upTo(3000));
  assertEquals(told, ["alone", "together"]);
  await reader.close();
  await watching;
});

Deno.test("Messages that get lost are sent again, in order", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["none"]);
  const reader = await cluster.connect(1, ["e"]);
  let count = 0;
  cluster.hub.dropsMessages = () => ++count % 7 === 0;
  for (let i = 0; i < 5000; i++) {
    sender.send("e", { i });
    if (i % 50 === 0) await sender.flush();
  }
  assertEquals(await numbersOf(reader, 5000), upTo(5000));
  cluster.hub.dropsMessages = () => false;
});

Deno.test("Events for which there is no room while cut off are counted, and the count is told", async () => {
  await using cluster = new TestCluster(2, { maxHold: 50 });
  const sender = await cluster.connect(0, ["none"]);
  const reader = await cluster.connect(1, ["e"]);
  const gaps: number[] = [];
  const watching = (async () => {
    for await (const status of reader.status()) {
      if (status.type === "cluster-gap") gaps.push(status.missed!);
    }
  })();
  cluster.hub.stop();
  const padding = "x".repeat(100_000);
  for (let i = 0; i < 300; i++) await sender.sendEvent(new EbsocketEvent("e", { i, padding }));
  await sender.flush();
  await until(() => cluster.relays[0]!.stats().eventsIn === 300);
  cluster.hub.start();
  sender.send("e", { i: 300 });
  const got: number[] = [];
  while (got.at(-1) !== 300) got.push(...await numbersOf(reader, 1));
  assert(got.length < 301);
  assertEquals(gaps.reduce((sum, gap) => sum + gap, 0), 301 - got.length);
  await reader.close();
  await watching;
});

Deno.test("A relay that vanishes is gone within 15 seconds, and its requests fail at once", async () => {
  await using cluster = new TestCluster(3);
  const asking = await cluster.connect(0, ["none"]);
  const service = await cluster.connect(1, ["ask"]);
  const told: (number | null)[] = [];
  const watching = (async () => {
    for await (const status of asking.status()) {
      if (status.type === "cluster-gap") told.push(status.missed);
    }
  })();
  const answer = asking.request("ask", {}, { timeout: 60_000 });
  assertEquals((await service.recvEvent())?.event, "ask");
  cluster.backplanes[1]!.vanish();
  const error = await assertRejects(() => answer, EbsocketError);
  assertEquals(error.code, "relay-gone");
  await asking.close();
  await watching;
  assertEquals(told, [null]);
});

Deno.test("A receipt of a relay that is cut off is incomplete after a second, and says so", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["e"]);
  await cluster.connect(1, ["e"]);
  cluster.hub.stop();
  const error = await assertRejects(
    () => sender.sendEvent(new EbsocketEvent("e"), { confirm: true }),
    EbsocketError,
    "1 clients are known",
  );
  assertEquals(error.code, "incomplete");
  cluster.hub.start();
  assertEquals(await sender.sendEvent(new EbsocketEvent("e"), { confirm: true }), 2);
});

Deno.test('With clusterLoss "stop", a relay that is cut off acknowledges nothing', async () => {
  await using cluster = new TestCluster(2, { clusterLoss: "stop" });
  await using sender = new EbsocketClient({ reconnect: true });
  await sender.connectTo(cluster.relays[0]!.server.address);
  const reader = await cluster.connect(0, ["e"]);
  cluster.hub.stop();
  sender.send("e", { i: 1 });
  assertEquals(await numbersOf(reader, 1), [1]);
  let isFlushed = false;
  const flushed = sender.flush().then(() => isFlushed = true);
  await pause(50);
  assertEquals(isFlushed, false);
  cluster.hub.start();
  await flushed;
});

Deno.test("inspect() reports the clients of all relays, and the state of the cluster", async () => {
  await using cluster = new TestCluster(2);
  const a = await cluster.connect(0, ["a"]);
  const b = await cluster.connect(1, ["b"]);
  const [relay, other] = [a, b].map(({ id }) => id!.split(".")[0]);
  const { clients, relay: stats } = await eventually(async () => {
    const report = await a.inspect();
    assertEquals(report.clients.length, 2);
    return report;
  });
  assertEquals(clients.map(({ relay }) => relay).sort(), [other, undefined]);
  assertEquals(clients.find((each) => each.relay === other)?.subscriptions, [{ pattern: "b" }]);
  assertEquals(stats.cluster?.relay, relay);
  assertEquals(stats.cluster?.relays.map(({ relay }) => relay), [other]);
  assertEquals(stats.cluster?.isAlone, false);
});

Deno.test("Relays go on where the backplane takes only shorter messages after a restart", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["none"]);
  const reader = await cluster.connect(1, ["e"]);
  const gaps: number[] = [];
  const watching = (async () => {
    for await (const status of reader.status()) {
      if (status.type === "cluster-gap") gaps.push(status.missed!);
    }
  })();
  let hasLast = false;
  cluster.hub.dropsMessages = (message) => {
    hasLast ||= textOf(message).includes('"i":19,');
    return true;
  };
  const padding = "x".repeat(50_000);
  for (let i = 0; i < 20; i++) sender.send("e", { i, padding });
  await until(() => hasLast); // All are on their way.
  cluster.hub.stop();
  for (const backplane of cluster.backplanes) backplane.maxMessageBytes = 10_000;
  cluster.hub.dropsMessages = () => false;
  cluster.hub.start();
  await until(() => gaps.length > 0);
  assertEquals(gaps, [20]);
  for (let i = 20; i < 40; i++) sender.send("e", { i, padding });
  assertEquals(await numbersOf(reader, 20), upTo(40).slice(20));
  await reader.close();
  await watching;
});

Deno.test("A client that hears everything misses no event of another relay as it leaves a queue", async () => {
  await using cluster = new TestCluster(2);
  const sender = await cluster.connect(0, ["none"]);
  const reader = await cluster.connect(1, [">"]);
  const count = 40;
  for (let i = 0; i < count; i++) {
    if (i % 10 === 2) await reader.subscribe(["job"], { queue: "q" });
    if (i % 10 === 5) await reader.unsubscribe(["job"], { queue: "q" });
    sender.send("e", { i });
    await pause(5);
  }
  await pause(50); // The end must come, whatever is missing.
  sender.send("end");
  assertEquals(await numbersUntil(reader, "end"), upTo(count));
});
