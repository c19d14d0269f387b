import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { EbsocketClient } from "../../client.ts";
import type { Position, Since } from "../../client/since.ts";
import type { ReplayOptions } from "../../client/subscribe_request.ts";
import { EbsocketError, EventRefusedError } from "../../errors.ts";
import { FakeServer } from "../support/fake_server.ts";
import { HistoryRelay, keeping, resumed } from "../support/history_relay.ts";
import { soon, until } from "../support/waiting.ts";

const all = (offset: number, epoch = "e1") => ({
  control: "subscribe",
  events: [">"],
  since: { epoch, offset },
});

Deno.test("EbsocketClient without history says nothing of offsets, and has no position", async () => {
  await using server = new FakeServer(keeping(100));
  await using client = new EbsocketClient();
  await client.connectTo(server.address);
  const { hello } = await server.session();
  assertStrictEquals(hello.offsets, undefined);
  assertStrictEquals(client.position, null);
});

Deno.test("EbsocketClient with history asks for offsets, and subscribes to everything", async () => {
  await using relay = new HistoryRelay();
  await relay.start();
  assertStrictEquals(relay.session.hello.offsets, true);
  const line = await relay.asked();
  assertEquals(line.events, [">"]);
  assertStrictEquals(line.since, undefined);
  assertStrictEquals(relay.client.position, null);
  await relay.grant(line);
  await relay.connecting;
  assertEquals(relay.client.position, { epoch: "e1", offset: 100 });
});

Deno.test("EbsocketClient with history does not connect to a server without one", async () => {
  await using server = new FakeServer({ features: ["subscribe"] });
  await using client = new EbsocketClient({ history: true });
  const error = await assertRejects(() => client.connectTo(server.address), EbsocketError);
  assertEquals(error.code, "not-supported");
});

Deno.test("EbsocketClient gives its subscription to everything up for the first of the program", async () => {
  await using relay = await HistoryRelay.connect();
  const { client } = relay;
  const subscribed = client.subscribe(["a"]);
  const line = await relay.asked();
  assertEquals([line.control, line.events], ["subscribe", ["a"]]);
  await relay.keep("b", 101);
  await relay.grant(line);
  await relay.keep("b", 102);
  await relay.keep("a", 103);
  await subscribed;
  assertEquals(await relay.line(), { control: "unsubscribe", events: [">"] } as never);
  // The relay may not know yet that the client no longer wants b.
  assertEquals(await relay.offsets(2), [101, 103]);
});

Deno.test("EbsocketClient gives its subscription to everything up for the first service", async () => {
  await using relay = await HistoryRelay.connect();
  const events = relay.client.serve("a", { queue: "q" });
  const line = await relay.asked();
  assertEquals(line.queue, "q");
  await relay.grant(line);
  assertEquals((await relay.line()).events, [">"]);
  await events.return();
});

Deno.test("EbsocketClient keeps its subscription to everything if the first one is refused", async () => {
  await using relay = await HistoryRelay.connect();
  const subscribed = relay.client.subscribe(["a"]);
  const { id } = await relay.asked();
  await relay.say({ control: "error", id, reason: "not-allowed", detail: "no" });
  await assertRejects(() => subscribed, EventRefusedError);
  await relay.cut();
  assertEquals(await relay.line(), all(100) as never);
});

Deno.test("EbsocketClient resumes: each event once, and those before the answer again", async () => {
  await using relay = await HistoryRelay.connect();
  const { client } = relay;
  await relay.keep("a", 101, 103);
  assertEquals(await relay.offsets(2), [101, 103]);
  await relay.cut(keeping(110));
  const line = await relay.asked();
  assertEquals(line.since, { epoch: "e1", offset: 103 });
  // Before its answer: the replay contains the kept events, and none of the others.
  await relay.keep("a", 111);
  await relay.session.write('{"event":"plain"}\n');
  await relay.grant(line, { recovered: true, from: 103, to: 111 });
  await relay.keep("a", 104, 111);
  await relay.say({ control: "live", id: line.id, offset: 112 });
  await relay.keep("a", 113);
  assertEquals(await resumed(client), {
    type: "resumed",
    recovered: true,
    reason: null,
    events: 2,
  });
  assertEquals(await relay.offsets(4), [null, 104, 111, 113]);
  assertEquals(client.position, { epoch: "e1", offset: 113 });
});

Deno.test("EbsocketClient drops what may be a kept event before the relay has read its hello", async () => {
  await using relay = await HistoryRelay.connect();
  relay.server.welcome = null;
  await relay.session.close();
  relay.session = await relay.server.session();
  await relay.session.write('{"event":"a"}\n{"event":"request","id":"r","from":"c2"}\n');
  await relay.say({ control: "welcome", version: 1, id: "c9", ...keeping(101) });
  const line = await relay.asked();
  await relay.grant(line, { recovered: true, from: 100, to: 101 });
  await relay.keep("a", 101);
  const names = [await relay.client.recvEvent(), await relay.client.recvEvent()];
  assertEquals(names.map((event) => event!.event), ["request", "a"]);
});

Deno.test("EbsocketClient resumes what has no queue, and what it had before", async () => {
  await using relay = new HistoryRelay();
  await relay.client.subscribe(["a", "b"]);
  await relay.client.subscribe(["jobs"], { queue: "q" });
  await relay.start();
  for (let line = 1; line <= 2; line++) await relay.grant(await relay.asked());
  await relay.connecting;
  relay.server.welcome = null;
  await relay.session.close();
  await until(() => !relay.client.connected);
  const added = relay.client.subscribe(["c"]);
  relay.session = await relay.server.session();
  await relay.say({ control: "welcome", version: 1, id: "c9", ...keeping(120) });
  const lines = [await relay.asked(), await relay.asked(), await relay.asked()];
  assertEquals(lines.map(({ events, since, queue }) => [events, since, queue]), [
    [["a", "b"], { epoch: "e1", offset: 100 }, undefined],
    [["jobs"], undefined, "q"],
    [["c"], undefined, undefined],
  ]);
  await relay.grant(lines[0]!, { recovered: true, from: 100, to: 120 });
  await relay.grant(lines[1]!);
  await relay.grant(lines[2]!);
  await added;
});

Deno.test("EbsocketClient that could not resume goes on from its last event, and reports it once", async () => {
  await using relay = await HistoryRelay.connect();
  await relay.keep("a", 101);
  await relay.cut(keeping(200));
  await relay.grant(await relay.asked(), { recovered: true, from: 101, to: 200 });
  await relay.keep("a", 150);
  assertEquals(await relay.offsets(2), [101, 150]);
  await relay.cut(keeping(200));
  const line = await relay.asked();
  assertEquals(line.since, { epoch: "e1", offset: 150 });
  await relay.grant(line, { recovered: true, from: 150, to: 200 });
  await relay.keep("a", 160);
  await relay.say({ control: "live", id: line.id, offset: 200 });
  assertEquals(await resumed(relay.client), {
    type: "resumed",
    recovered: true,
    reason: null,
    events: 2,
  });
});

Deno.test("EbsocketClient asks again for what it has not been answered", async () => {
  await using relay = await HistoryRelay.connect();
  await relay.cut();
  assertEquals(await relay.line(), all(100) as never);
  await relay.cut(keeping(300));
  const line = await relay.asked();
  assertEquals(line.since, { epoch: "e1", offset: 100 });
});

for (
  const [reason, epoch, offset] of [
    ["epoch", "e2", 7],
    ["evicted", "e1", 500],
    ["ahead", "e1", 50],
  ] as const
) {
  Deno.test(`EbsocketClient reports that it has not recovered: ${reason}`, async () => {
    await using relay = await HistoryRelay.connect();
    await relay.cut(keeping(offset, epoch));
    const line = await relay.asked();
    assertEquals(line.partial, undefined);
    const answer = { epoch, recovered: false, reason, from: offset, to: offset };
    await relay.grant(line, answer);
    assertEquals(await resumed(relay.client), {
      type: "resumed",
      recovered: false,
      reason,
      events: 0,
    });
    assertEquals(relay.client.position, { epoch, offset });
    await relay.keep("a", offset + 1);
    assertEquals(await relay.offsets(1), [offset + 1]);
    assertEquals(relay.client.position, { epoch, offset: offset + 1 });
  });
}

Deno.test("EbsocketClient reports a gap of the history while it catches up", async () => {
  await using relay = await HistoryRelay.connect();
  await relay.cut(keeping(200));
  const line = await relay.asked();
  await relay.grant(line, { recovered: true, from: 100, to: 200 });
  await relay.keep("a", 101);
  await relay.say({ control: "gap", from: 102, to: 180, reason: "evicted" });
  await relay.keep("a", 181);
  await relay.say({ control: "live", id: line.id, offset: 200 });
  assertEquals(await resumed(relay.client), {
    type: "resumed",
    recovered: false,
    reason: "evicted",
    events: 1,
  });
});

Deno.test("EbsocketClient reports a loss before the events after it", async () => {
  await using relay = await HistoryRelay.connect();
  const { client } = relay;
  const news: (number | string | null)[] = [];
  const loops = [
    (async () => {
      for await (const { offset } of client) news.push(offset);
    })(),
    (async () => {
      for await (const { type } of client.status()) news.push(type);
    })(),
  ];
  await relay.cut(keeping(50));
  const { id } = await relay.asked();
  const history = { epoch: "e1", recovered: false, reason: "ahead", from: 50, to: 50 };
  const ack = JSON.stringify({ control: "ack", id, history });
  await relay.session.write(`${ack}\n{"offset":51,"event":"a"}\n{"offset":52,"event":"a"}\n`);
  await until(() => news.includes(52));
  assertEquals(news.slice(-4), ["reconnected", "resumed", 51, 52]);
  await client.abort();
  await Promise.all(loops);
});

Deno.test("EbsocketClient reports a loss at once, and once for each connection", async () => {
  await using relay = await HistoryRelay.connect();
  await relay.cut(keeping(200));
  const line = await relay.asked();
  await relay.grant(line, { recovered: true, from: 100, to: 200 });
  await relay.say({ control: "gap", from: 101, to: 180, reason: "evicted" });
  const { reason } = await resumed(relay.client); // The replay has not ended.
  assertEquals(reason, "evicted");
  await relay.cut(keeping(300));
  const again = await relay.asked();
  await relay.grant(again, { recovered: true, from: 180, to: 300 });
  await relay.say({ control: "live", id: again.id, offset: 300 });
  assertEquals((await resumed(relay.client)).recovered, true);
});

Deno.test("EbsocketClient reports each gap of a cluster's history once it has caught up", async () => {
  await using relay = await HistoryRelay.connect();
  const results: boolean[] = [];
  const watching = (async () => {
    for await (const status of relay.client.status()) {
      if (status.type === "resumed") results.push(status.recovered);
    }
  })();
  await relay.cut(keeping(200));
  const line = await relay.asked();
  await relay.grant(line, { recovered: true, from: 100, to: 200 });
  await relay.say({ control: "live", id: line.id, offset: 200 });
  for (const from of [201, 301, 401]) {
    await relay.say({ control: "gap", from, to: from + 50, reason: "evicted" });
    await relay.keep("a", from + 51);
  }
  assertEquals(await relay.offsets(3), [252, 352, 452]);
  await relay.client.abort();
  await watching;
  assertEquals(results, [true, false, false, false]);
});

Deno.test("EbsocketClient.position is of what the program has taken, over all inboxes", async () => {
  await using relay = await HistoryRelay.connect({}, (client) => client.subscribe(["a", "b"]));
  const { client } = relay;
  const service = client.serve("b");
  await relay.grant(await relay.asked());
  await relay.keep("a", 101);
  await relay.keep("b", 102);
  await relay.keep("a", 103, 104);
  await relay.session.write('{"event":"b"}\n');
  await relay.say({ control: "at", offset: 110 });
  await until(() => client.position?.offset === 100);
  const offset = () => client.position!.offset;
  assertEquals(await relay.offsets(1), [101]);
  assertEquals(offset(), 101);
  assertEquals(await relay.offsets(2), [103, 104]);
  assertEquals(offset(), 101);
  assertEquals((await service.next()).value!.offset, 102);
  await until(() => offset() === 110);
  await service.next(); // it has no offset
  assertEquals(offset(), 110);
  await service.return();
});

Deno.test("EbsocketClient.position counts what an ended service has not yielded yet", async () => {
  const relay = await HistoryRelay.connect({ reconnect: false }, (client) => {
    return client.subscribe(["a"]);
  });
  const service = relay.client.serve("b");
  await relay.grant(await relay.asked());
  const first = service.next();
  await relay.keep("b", 101, 102);
  await first;
  await relay[Symbol.asyncDispose]();
  assertEquals(relay.client.position, { epoch: "e1", offset: 101 });
  await service.next();
  assertEquals(relay.client.position, { epoch: "e1", offset: 102 });
  assert((await service.next()).done);
});

Deno.test("EbsocketClient.position stays in its epoch until its events have been taken", async () => {
  await using relay = await HistoryRelay.connect();
  const { client } = relay;
  await relay.keep("a", 101, 102);
  await until(() => client.position?.offset === 100);
  await relay.cut(keeping(7, "e2"));
  const answer = { epoch: "e2", recovered: false, reason: "epoch", from: 7, to: 7 };
  await relay.grant(await relay.asked(), answer);
  await relay.keep("a", 8);
  await resumed(client);
  assertEquals(client.position, { epoch: "e1", offset: 100 });
  assertEquals(await relay.offsets(2), [101, 102]);
  assertEquals(client.position, { epoch: "e2", offset: 7 });
  assertEquals(await relay.offsets(1), [8]);
  assertEquals(client.position, { epoch: "e2", offset: 8 });
});

Deno.test("EbsocketClient.position has the place of each pattern in a new epoch", async () => {
  await using relay = await HistoryRelay.connect({}, (client) => client.subscribe(["a"]));
  const { client } = relay;
  const answered = client.subscribe(["b"], { since: { epoch: "e1", offset: 40 } });
  await relay.grant(await relay.asked(), { recovered: true, from: 40, to: 100 });
  await answered;
  await relay.cut(keeping(110, "e2"));
  const lines = [await relay.asked(), await relay.asked()];
  assertEquals(lines.map(({ events, since }) => [events, since]), [
    [["a"], { epoch: "e1", offset: 100 }],
    [["b"], { epoch: "e1", offset: 40 }],
  ]);
  await relay.grant(lines[0]!, { epoch: "e2", recovered: true, from: 100, to: 110 });
  await relay.keep("a", 101, 105);
  await relay.grant(lines[1]!, { epoch: "e2", recovered: true, from: 40, to: 110 });
  await until(() => client.position?.epoch === "e2");
  assertEquals(client.position, { epoch: "e2", offset: 110, behind: { a: 100, b: 40 } });
  assertEquals(await relay.offsets(1), [101]);
  assertEquals(client.position, { epoch: "e2", offset: 110, behind: { a: 104, b: 40 } });
});

Deno.test("EbsocketClient.subscribe() sends since, and resolves to the relay's answer", async () => {
  await using relay = await HistoryRelay.connect({}, (client) => client.subscribe(["a"]));
  const { client } = relay;
  const cases: [Since, object][] = [
    [{ epoch: "e1", offset: 17 }, { epoch: "e1", offset: 17 }],
    [{ count: 20 }, { count: 20 }],
    [{ age: 1500 }, { age_ms: 1500 }],
    ["first", { first: true }],
    ["last", { last: true }],
  ];
  for (const [since, member] of cases) {
    const isPosition = since === cases[0]![0];
    const answered = client.subscribe(["b"], { since, partial: true });
    const line = await relay.asked();
    assertEquals([line.since, line.partial], [member, since === "last" ? since : true]);
    assertStrictEquals(client.position, null);
    const recovered = isPosition ? { recovered: false, reason: "evicted" } : {};
    await relay.grant(line, { from: 17, to: 100, ...recovered });
    assertEquals(await answered, {
      epoch: "e1",
      recovered: isPosition ? false : null,
      reason: isPosition ? "evicted" : null,
      from: 17,
      to: 100,
    });
    assertEquals(client.position, { epoch: "e1", offset: 100, behind: { b: 17 } });
    await relay.say({ control: "live", id: line.id, offset: 100 });
    await until(() => client.position?.behind === undefined);
  }
});

Deno.test("EbsocketClient asks for what its program wants where it cannot go on, on each connection", async () => {
  await using relay = await HistoryRelay.connect({}, (client) => client.subscribe(["plain"]));
  const { client } = relay;
  const subscribe = async (pattern: string, options: ReplayOptions) => {
    const subscribed = client.subscribe([pattern], options);
    const line = await relay.asked();
    await relay.grant(line, { from: 100, to: 100 });
    await relay.say({ control: "live", id: line.id, offset: 100 });
    await subscribed;
  };
  await subscribe("state", { since: "last" });
  await subscribe("rest", { since: "first", partial: true });
  await subscribe("new", { since: "first" });
  await subscribe("gone", { since: "last" });
  const unsubscribed = client.unsubscribe(["gone"]);
  await relay.grant(await relay.asked());
  await unsubscribed;
  const again = client.subscribe(["gone"]);
  await relay.grant(await relay.asked());
  await again;
  for (let i = 0; i < 3; i++) {
    await relay.cut(keeping(100 + i, `e${i + 2}`));
    const lines = [await relay.asked(), await relay.asked(), await relay.asked()];
    const wanted = Object.fromEntries(
      lines.flatMap(({ events, partial }) => events!.map((pattern) => [pattern, partial])),
    );
    assertEquals(wanted, {
      state: "last",
      rest: true,
      plain: undefined,
      new: undefined,
      gone: undefined,
    });
    for (const line of lines) {
      const lost = { epoch: `e${i + 2}`, recovered: false, reason: "epoch" };
      await relay.grant(line, { ...lost, from: 100 + i, to: 100 + i });
    }
    assertEquals((await resumed(client)).reason, "epoch");
    // One is cut off before it has received the last events.
    for (const { id, partial } of lines) {
      if (partial && i !== 1) await relay.say({ control: "live", id, offset: 100 + i });
    }
  }
});

Deno.test("EbsocketClient catches up from where each pattern was, and says how far it is", async () => {
  await using relay = await HistoryRelay.connect({}, (client) => client.subscribe(["a"]));
  const { client } = relay;
  const position = { epoch: "e1", offset: 90, behind: { "b": 40, "other": 3 } };
  const answered = client.subscribe(["b", "c"], { since: position });
  const lines = [await relay.asked(), await relay.asked()];
  assertEquals(lines.map(({ events, since }) => [events, since]), [
    [["b"], { epoch: "e1", offset: 40 }],
    [["c"], { epoch: "e1", offset: 90 }],
  ]);
  await relay.grant(lines[0]!, { recovered: true, from: 40, to: 100 });
  await relay.keep("b", 41);
  await relay.grant(lines[1]!, { recovered: true, from: 90, to: 100 });
  assertEquals(await answered, {
    epoch: "e1",
    recovered: true,
    reason: null,
    from: 40,
    to: 100,
  });
  // The event 41 waits.
  assertEquals(client.position, { epoch: "e1", offset: 100, behind: { b: 40, c: 90 } });
  assertEquals(await relay.offsets(1), [41]);
  assertEquals(client.position, { epoch: "e1", offset: 100, behind: { b: 41, c: 90 } });
  await relay.keep("b", 50);
  await relay.keep("c", 95);
  assertEquals(await relay.offsets(2), [50, 95]);
  assertEquals(client.position, { epoch: "e1", offset: 100, behind: { b: 95, c: 95 } });

  // It goes on from there over another connection, with a line for each offset.
  await relay.cut();
  const again = [await relay.asked(), await relay.asked()];
  assertEquals(again.map(({ events, since }) => [events, since]), [
    [["a"], { epoch: "e1", offset: 100 }],
    [["b", "c"], { epoch: "e1", offset: 95 }],
  ]);
  await relay.grant(again[0]!, { recovered: true, from: 100, to: 110 });
  await relay.grant(again[1]!, { recovered: true, from: 95, to: 110 });
  await relay.keep("b", 96);
  await relay.keep("a", 105);
  for (const { id } of again) await relay.say({ control: "live", id, offset: 111 });
  assertEquals(await resumed(client), {
    type: "resumed",
    recovered: true,
    reason: null,
    events: 2,
  });
  assertEquals(client.position, { epoch: "e1", offset: 100, behind: { b: 95, c: 95 } });
  assertEquals(await relay.offsets(2), [96, 105]);
  assertEquals(client.position, { epoch: "e1", offset: 111 });
});

Deno.test("EbsocketClient.subscribe() with since before connectTo() begins the first connection with it", async () => {
  await using relay = new HistoryRelay();
  const { client } = relay;
  const since: Position = { epoch: "e1", offset: 90 };
  assertStrictEquals(await client.subscribe(["a"], { since, partial: true }), null);
  await relay.start();
  const line = await relay.asked();
  assertEquals([line.events, line.since, line.partial], [["a"], since, true]);
  await relay.keep("a", 101);
  await relay.grant(line, { recovered: true, from: 90, to: 101 });
  await relay.keep("a", 95, 101);
  await relay.connecting;
  assertEquals(await relay.offsets(2), [95, 101]);
  assertEquals(client.position, { epoch: "e1", offset: 101 });
});

Deno.test("EbsocketClient reports that a position from before connectTo() is not recovered", async () => {
  await using relay = new HistoryRelay();
  await relay.client.subscribe(["a"], { since: { epoch: "e0", offset: 9 } });
  const news = resumed(relay.client);
  await relay.start();
  const answer = { recovered: false, reason: "epoch", from: 100, to: 100 };
  await relay.grant(await relay.asked(), answer);
  await relay.connecting;
  assertEquals(relay.client.position, { epoch: "e1", offset: 100 });
  assertEquals(await news, { type: "resumed", recovered: false, reason: "epoch", events: 0 });
});

Deno.test("EbsocketClient.subscribe() with since is sent again if its connection ends before the answer", async () => {
  await using relay = await HistoryRelay.connect({}, (client) => client.subscribe(["a"]));
  const { client } = relay;
  const answered = client.subscribe(["b"], { since: { count: 5 } });
  assertEquals((await relay.asked()).since, { count: 5 });
  await relay.cut();
  const lines = [await relay.asked(), await relay.asked()];
  assertEquals(lines.map(({ events, since }) => [events, since]), [
    [["a"], { epoch: "e1", offset: 100 }],
    [["b"], { count: 5 }],
  ]);
  assertStrictEquals(client.position, null);
  await relay.grant(lines[0]!, { recovered: true, from: 100, to: 100 });
  await relay.grant(lines[1]!, { from: 60, to: 100 });
  assertEquals((await answered)?.from, 60);
});

Deno.test("EbsocketClient asks anew if its first connection ends before what it has brought counts", async () => {
  await using relay = new HistoryRelay();
  const { client } = relay;
  await client.subscribe(["a"], { since: "first" });
  await client.subscribe(["b"], { queue: "q" });
  await relay.start();
  await relay.grant(await relay.asked(), { from: 0, to: 100 });
  await relay.keep("a", 50);
  await relay.cut();
  assertStrictEquals(client.position, null);
  const lines = [await relay.asked(), await relay.asked()];
  assertEquals(lines.map(({ since, queue }) => [since, queue]), [
    [{ first: true }, undefined],
    [undefined, "q"],
  ]);
  await relay.grant(lines[0]!, { from: 0, to: 100 });
  await relay.keep("a", 50);
  await relay.grant(lines[1]!);
  await relay.connecting;
  assertEquals(await relay.offsets(1), [50]);
  assertEquals(client.position, { epoch: "e1", offset: 100, behind: { a: 50 } });
});

Deno.test("EbsocketClient keeps all kept events that come during the greeting", async () => {
  await using relay = new HistoryRelay({ maxUnreadEvents: 2 });
  await relay.client.subscribe(["a"], { since: "first" });
  await relay.client.subscribe(["b"], { queue: "q" });
  await relay.start();
  await relay.grant(await relay.asked(), { from: 0, to: 100 });
  const offsets = [1, 2, 3, 4, 5];
  await relay.keep("a", ...offsets);
  await relay.grant(await relay.asked());
  await relay.connecting;
  assertEquals(await relay.offsets(5), offsets);
});

Deno.test("EbsocketClient.unsubscribe() ends the catching up of its patterns", async () => {
  await using relay = await HistoryRelay.connect({}, (client) => client.subscribe(["a"]));
  const { client } = relay;
  const answered = client.subscribe(["b", "c"], { since: "first" });
  await relay.grant(await relay.asked(), { from: 0, to: 100 });
  await answered;
  const removed = client.unsubscribe(["b"]);
  await relay.grant(await relay.asked());
  await removed;
  assertEquals(client.position, { epoch: "e1", offset: 100, behind: { c: 0 } });
});

Deno.test("EbsocketClient.drain() leaves the position at what the client has received", async () => {
  const relay = await HistoryRelay.connect();
  const { client } = relay;
  await relay.keep("a", 101);
  assertEquals(await relay.offsets(1), [101]);
  const drained = client.drain();
  const line = await relay.asked();
  assertEquals(line.control, "unsubscribe");
  await relay.say({ control: "at", offset: 150 });
  await relay.grant(line);
  await soon(drained, "the end");
  assertEquals(client.position, { epoch: "e1", offset: 101 });
  await relay[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.connectTo() resumes as a reconnect does", async () => {
  await using relay = await HistoryRelay.connect({ reconnect: false });
  await relay.session.close();
  await relay.client.closed;
  await relay.start();
  assertEquals(await relay.line(), all(100) as never);
});

Deno.test("EbsocketClient.subscribe() takes since only with history, without a queue, and valid", async () => {
  const plain = new EbsocketClient();
  await assertRejects(
    () => plain.subscribe(["a"], { since: "first" }),
    TypeError,
    "it needs the option history",
  );
  const client = new EbsocketClient({ history: true });
  const subscribe = (options: object) => client.subscribe(["a"], options as never);
  await assertRejects(
    () => subscribe({ since: "first", queue: "q" }),
    TypeError,
    "a queue has no past",
  );
  for (
    const since of [
      undefined,
      null,
      "newest",
      7,
      {},
      { epoch: "", offset: 1 },
      { epoch: "e", offset: -1 },
      { epoch: "e", offset: "1" },
      { epoch: "e", offset: 1, behind: { a: "x" } },
      { epoch: "é".repeat(33), offset: 1 },
    ]
  ) {
    await assertRejects(() => subscribe({ since }), TypeError, "Invalid since");
  }
  await assertRejects(() => subscribe({ since: { count: 0 } }), RangeError, "since.count");
  await assertRejects(() => subscribe({ since: { age: -1 } }), RangeError, "since.age");
});

Deno.test("EbsocketClient.connectTo() rejects if the relay refuses a recorded since", async () => {
  await using relay = new HistoryRelay();
  await relay.client.subscribe(["a"], { since: "first" });
  await relay.start();
  const { id } = await relay.asked();
  await relay.say({ control: "error", id, reason: "no-history", detail: "" });
  const error = await assertRejects(() => relay.connecting, EventRefusedError);
  assertEquals(error.code, "no-history");
});

Deno.test("EbsocketClient that loops over events notices no reconnect", async () => {
  await using relay = await HistoryRelay.connect();
  const offsets: number[] = [];
  const loop = (async () => {
    for await (const { offset } of relay.client) if (offsets.push(offset!) === 4) return;
  })();
  await relay.keep("a", 101, 102);
  await until(() => offsets.length === 2);
  await relay.cut(keeping(103));
  const line = await relay.asked();
  await relay.grant(line, { recovered: true, from: 102, to: 103 });
  await relay.keep("a", 103);
  await relay.say({ control: "live", id: line.id, offset: 103 });
  await relay.keep("a", 104);
  await soon(loop, "four events");
  assertEquals(offsets, [101, 102, 103, 104]);
});
