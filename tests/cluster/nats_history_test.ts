// The history of a cluster in JetStream, with a real nats-server.

import { assertEquals } from "@std/assert/equals";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import type { PastLoss } from "../../client/past.ts";
import { checkHistoryOptions, type HistoryOptions } from "../../history/options.ts";
import { seqOf } from "../../history/stream_format.ts";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { EventStreamReader } from "../support/event_stream.ts";
import { freePort } from "../support/free_port.ts";
import { resumed } from "../support/history_relay.ts";
import { askJetStream, askNats, JETSTREAM, STREAM } from "../support/jetstream.ts";
import { NATS_SERVER, TestNatsServer } from "../support/nats_server.ts";
import { needingTest } from "../support/needs.ts";
import { Peer } from "../support/peer.ts";
import { eventually, soon, until } from "../support/waiting.ts";

const RECONNECT = { minDelay: 5, maxDelay: 50 };

function newRelay(
  server: TestNatsServer,
  options: RelayOptions = {},
  login = "",
): { relay: Relay; faults: string[] } {
  const faults: string[] = [];
  const observer = { onHistoryFault: (fault: string) => void faults.push(fault) };
  const relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), {
    cluster: { servers: server.url(login) },
    history: {},
    observer,
    ...options,
  });
  return { relay, faults };
}

/** Starts relays, one after the other. */
async function start(server: TestNatsServer, count: number, options: RelayOptions = {}) {
  const stack = new AsyncDisposableStack();
  const relays: Relay[] = [];
  const faults: string[] = [];
  for (let i = 0; i < count; i++) {
    const made = newRelay(server, options);
    relays.push(stack.use(made.relay));
    await made.relay.ready;
    faults.push(...made.faults);
  }
  const clients: EbsocketClient[] = [];
  return {
    relays,
    faults,
    async client(relay: number, patterns: string[] = []): Promise<EbsocketClient> {
      const client = new EbsocketClient({ history: true, reconnect: RECONNECT });
      clients.push(client);
      await client.connectTo(relays[relay]!.server.address);
      await client.subscribe(patterns);
      return client;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.close()));
      await stack.disposeAsync();
    },
  };
}

/** Returns the attribute `i` and the offset of the next events. */
async function next(client: EbsocketClient, count: number): Promise<[number, number][]> {
  const events: [number, number][] = [];
  while (events.length < count) {
    const event = (await soon(client.recvEvent(), `event ${events.length + 1} of ${count}`))!;
    events.push([event.getAttribute("i") as number, event.offset!]);
  }
  return events;
}

async function past(client: EbsocketClient, pattern = ">"): Promise<number[]> {
  const numbers: number[] = [];
  for await (const event of client.history(pattern, { since: "first" })) {
    numbers.push(event.getAttribute("i") as number);
  }
  return numbers;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** Fails to start. Returns the text of the error. */
async function refusal(
  server: TestNatsServer,
  options: RelayOptions = {},
  login = "",
): Promise<string> {
  const { relay } = newRelay(server, options, login);
  const error = await assertRejects(() => relay.ready, Error);
  await relay.close().catch(() => {}); // It rejects for the same reason.
  assertMatch(error.message, /^Cannot keep the history of the cluster: [^\n]+$/);
  return error.message;
}

needingTest("Relays keep events together in JetStream", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  await using fixture = await start(server, 2);
  const [a, b] = [await fixture.client(0, ["n"]), await fixture.client(1, ["n"])];
  const sent = range(1, 500);
  for (const i of sent) (i % 3 === 0 ? a : b).send("n", { i });
  await Promise.all([a.flush(), b.flush()]);
  const [atA, atB] = await Promise.all([next(a, 500), next(b, 500)]);
  assertEquals(atA, atB);
  const order = atA.map(([i]) => i);
  assertEquals(order.toSorted((x, y) => x - y), sent);
  const offsets = atA.map(([, offset]) => offset);
  assertEquals(offsets, [...new Set(offsets)].toSorted((x, y) => x - y));
  assertEquals(await past(a), order);
  assertEquals(await past(b), order);
  assertEquals(fixture.faults, []);
});

needingTest("A relay that is started anew goes on with the history", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  let position;
  {
    await using fixture = await start(server, 1);
    const client = await fixture.client(0, ["n"]);
    for (const i of range(1, 10)) client.send("n", { i });
    await next(client, 5);
    position = client.position!;
    await client.flush();
  }
  await using fixture = await start(server, 1);
  const client = await fixture.client(0);
  assertObjectMatch((await client.subscribe(["n"], { since: position }))!, { recovered: true });
  assertEquals((await next(client, 5)).map(([i]) => i), range(6, 10));
  assertEquals(await past(client), range(1, 10));
  const age = await client.subscribe(["x"], { since: { age: 60_000 } });
  assertEquals(age!.from <= 8192, true);
});

needingTest("A relay that comes later reads many messages of the stream at a time", [
  NATS_SERVER,
], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  await using fixture = await start(server, 1);
  const client = await fixture.client(0);
  const text = "x".repeat(2000);
  for (const i of range(1, 3000)) {
    client.send("n", { i, text });
    if (i % 20 === 0) await client.flush();
  }
  client.send("long", { i: 0, text: "x".repeat(1_039_900) });
  await client.flush();
  const { relay } = newRelay(server);
  await using _ = relay;
  await relay.ready;
  await using reader = new EbsocketClient();
  await reader.connectTo(relay.server.address);
  await reader.subscribe([]);
  assertEquals(await past(reader, "n"), range(1, 3000));
  assertEquals(await past(reader, "long"), [0]);
  const last: number[] = [];
  for await (const event of reader.history("n", { since: { count: 2000 } })) {
    last.push(event.getAttribute("i") as number);
  }
  assertEquals(last, range(1001, 3000));
});

needingTest("A relay that comes late to long messages is not cut off as a slow consumer", [
  NATS_SERVER,
], async () => {
  const port = freePort();
  const limits = `max_payload: 9MB\nmax_pending: 20MB\nhttp: "127.0.0.1:${port}"\n`;
  await using server = await TestNatsServer.start(JETSTREAM + limits);
  const options = { history: { keepLast: ["last"] } }; // so that it reads everything at its start
  await using fixture = await start(server, 1, options);
  const client = await fixture.client(0);
  const text = "x".repeat(1_039_900);
  for (const i of range(1, 64)) {
    client.send("n", { i, text });
    if (i % 4 === 0) await client.flush();
  }
  await askNats(server, "eb.relays.kept.stranger", new Uint8Array(8_500_000));
  client.send("last");
  await client.flush();
  const { relay, faults } = newRelay(server, options);
  await using _ = relay;
  await relay.ready;
  assertEquals(relay.stats().history!.names, 1);
  assertEquals(faults, ["a message in the stream of the cluster is not from a relay"]);
  const answer = await fetch(`http://127.0.0.1:${port}/varz`);
  assertEquals((await answer.json()).slow_consumers, 0);
});

needingTest("A message that is deleted by hand leaves a gap, and hides no other", [
  NATS_SERVER,
], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  await using fixture = await start(server, 1);
  const client = await fixture.client(0, ["n"]);
  for (const i of range(1, 50)) {
    client.send("n", { i });
    await client.flush();
  }
  const offsets = (await next(client, 50)).map(([, offset]) => offset);
  for (const i of [20, 30, 31]) {
    await askJetStream(server, "STREAM.MSG.DELETE.eb-relays", { seq: seqOf(offsets[i - 1]!) });
  }
  const { relay, faults } = newRelay(server);
  await using _ = relay;
  await relay.ready;
  await using reader = new EbsocketClient({ history: true });
  await reader.connectTo(relay.server.address);
  await reader.subscribe([]);
  const losses: PastLoss[] = [];
  const onLoss = (loss: PastLoss) => void losses.push(loss);
  const seen = await Array.fromAsync(
    reader.history("n", { since: "first", partial: true, onLoss }),
  );
  assertEquals(
    seen.map((event) => event.getAttribute("i")),
    [...range(1, 19), ...range(21, 29), ...range(32, 50)],
  );
  assertEquals(losses.length, 2);
  assertEquals(faults.length, 2);
  const answer = await reader.subscribe(["x"], { since: { age: 60_000 } });
  assertLessOrEqual(answer!.from, offsets[0]!);
});

needingTest("A restart of NATS loses and doubles nothing", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  await using fixture = await start(server, 2);
  const [a, b] = [await fixture.client(0, ["n"]), await fixture.client(1, ["n"])];
  for (const i of range(1, 20)) a.send("n", { i });
  await a.flush();
  await server.kill();
  for (const i of range(21, 40)) a.send("n", { i });
  await server.restart();
  assertEquals((await next(b, 40)).map(([i]) => i), range(1, 40));
  assertEquals((await next(a, 40)).map(([i]) => i), range(1, 40));
  await a.flush();
  assertEquals(await past(b), range(1, 40));
});

needingTest(
  "Limits become those of the stream, which drops old events",
  [NATS_SERVER],
  async () => {
    await using server = await TestNatsServer.start(JETSTREAM);
    const history = { keepAge: 3_600_000, keepBytes: 16_777_216, keepCount: 300 };
    await using fixture = await start(server, 2, { history });
    const { config } = await askJetStream(server, "STREAM.INFO.eb-relays");
    assertObjectMatch(config, {
      max_age: 3.6e12,
      max_bytes: 16_777_216,
      max_msgs: 300,
      num_replicas: 1,
    });
    const client = await fixture.client(0, ["n"]);
    client.send("n", { i: 0 });
    const [[, offset]] = await next(client, 1) as [[number, number]];
    const { epoch } = fixture.relays[0]!.stats().history!;
    for (const i of range(1, 310)) {
      client.send("n", { i });
      await client.flush();
    }
    const other = await fixture.client(1);
    await until(() => fixture.relays[1]!.stats().history!.evicted > 0);
    const answer = await other.subscribe(["n"], { since: { epoch, offset }, partial: true });
    assertObjectMatch(answer!, { recovered: false, reason: "evicted" });
    const { first, events } = fixture.relays[1]!.stats().history!;
    assertEquals((await next(other, 1))[0]![1] >= first, true);
    assertEquals(events <= 301, true);
  },
);

needingTest("Events arrive live, however little is kept", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  const history = { keepBytes: 65_536, keepCount: 1 };
  await using fixture = await start(server, 2, { history });
  const [a, b] = [await fixture.client(0), await fixture.client(1, ["n"])];
  for (const i of range(1, 5)) {
    a.send("n", { i, text: "x".repeat(100_000) });
    await a.flush();
  }
  assertEquals((await next(b, 5)).map(([i]) => i), range(1, 5));
});

needingTest("A stream that is deleted under way is made anew", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  await using fixture = await start(server, 2);
  const [a, b] = [await fixture.client(0, ["n"]), await fixture.client(1, ["n"])];
  a.send("n", { i: 1 });
  await Promise.all([next(a, 1), next(b, 1)]);
  const { epoch } = fixture.relays[0]!.stats().history!;
  const resumption = resumed(b);
  await askJetStream(server, "STREAM.DELETE.eb-relays");
  await until(() => fixture.relays.every((relay) => relay.stats().history!.epoch !== epoch));
  // The clients before are closed and come back, and may lose what they send meanwhile.
  assertObjectMatch(await soon(resumption, "a status"), { recovered: false, reason: "epoch" });
  const sender = await fixture.client(0);
  sender.send("n", { i: 2 });
  assertEquals((await next(b, 1))[0]![0], 2);
  assertEquals(await past(b), [2]);
});

needingTest("A relay says at its start where a stream is weaker than asked for", [
  NATS_SERVER,
], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  const weak = {
    ...STREAM,
    storage: "memory",
    max_age: 60e9,
    max_bytes: 2_000_000,
    max_msgs: 1000,
  };
  assertEquals((await askJetStream(server, "STREAM.CREATE.eb-relays", weak)).error, undefined);
  await using fixture = await start(server, 1, { history: { keepAge: 3_600_000 } });
  const text = fixture.faults.join("\n");
  assertEquals(fixture.faults.length, 4, text);
  assertStringIncludes(text, "it keeps events for 60000 ms, this relay asks for");
  assertStringIncludes(text, "it keeps 2000000 bytes");
  assertStringIncludes(text, "it keeps 1000 messages, this relay asks for no such limit");
  assertStringIncludes(text, "it is in memory");
  const client = await fixture.client(0, ["n"]);
  client.send("n", { i: 1 });
  await client.flush();
  assertEquals(await past(client), [1]);
});

needingTest("A relay does not start with a stream that cannot work, and says what to do", [
  NATS_SERVER,
], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  const cases: [object, RegExp][] = [
    [{ subjects: ["eb.others.>"] }, /eb-relays cannot be used: it is not of this cluster.*delete/],
    [{ discard: "new" }, /it discards "new" messages/],
    [{ retention: "workqueue" }, /its retention is "workqueue"/],
    [{ max_msgs_per_subject: 1 }, /it limits the messages of each subject/],
    [{ max_msg_size: 1000 }, /it takes messages of 1000 bytes, this relay needs/],
    [{ name: "other", subjects: ["eb.relays.>"] }, /another stream has subjects.*eb\.relays\.kept/],
  ];
  for (const [settings, text] of cases) {
    const stream = { ...STREAM, ...settings };
    const made = await askJetStream(server, `STREAM.CREATE.${stream.name}`, stream);
    assertEquals(made.error, undefined);
    assertMatch(await refusal(server), text);
    await askJetStream(server, `STREAM.DELETE.${stream.name}`);
  }
  const huge = { history: { keepBytes: 2 ** 40 } };
  assertMatch(await refusal(server, huge), /too little room.*--keep-bytes/);
  assertMatch(await refusal(server, { maxLineBytes: 1_048_576 }), /raise max_payload/);
});

needingTest("A relay does not start without JetStream, and says what to do", [
  NATS_SERVER,
], async () => {
  {
    await using server = await TestNatsServer.start();
    assertStringIncludes(await refusal(server), "start nats-server with -js");
  }
  const accounts = `${JETSTREAM}
accounts { A { users = [{ user: a, password: a }] }, SYS { users = [{ user: s, password: s }] } }
system_account: SYS`;
  await using server = await TestNatsServer.start(accounts);
  assertMatch(await refusal(server, {}, "a:a"), /JetStream is not enabled for this account|-js/);
});

needingTest("The rights in the documentation suffice, and fewer are refused", [
  NATS_SERVER,
], async () => {
  const rights = `${JETSTREAM}
authorization { users = [
  { user: relays, password: r, permissions: {
    publish: ["eb.>", "$JS.API.STREAM.*.eb-relays", "$JS.API.STREAM.MSG.GET.eb-relays",
      "$JS.API.CONSUMER.*.eb-relays", "$JS.API.CONSUMER.*.eb-relays.*",
      "$JS.API.CONSUMER.MSG.NEXT.eb-relays.*"]
    subscribe: "eb.>" } }
  { user: few, password: f, permissions: { publish: "eb.>", subscribe: "eb.>" } }
] }`;
  await using server = await TestNatsServer.start(rights);
  const text = await refusal(server, {}, "few:f");
  assertStringIncludes(text, "does not permit this relay to publish to $JS.API.");
  const { relay, faults } = newRelay(server, {}, "relays:r");
  await using _ = relay;
  await relay.ready;
  await using client = new EbsocketClient({ history: true });
  await client.connectTo(relay.server.address);
  assertEquals(await client.send("n", { i: 1 }, { confirm: true }), 1);
  assertEquals(await past(client), [1]);
  assertEquals(faults, []);
});

needingTest("Server-sent events go on at another relay", [NATS_SERVER], async () => {
  await using server = await TestNatsServer.start(JETSTREAM);
  await using fixture = await start(server, 2, { web: {} });
  const client = await fixture.client(0);
  for (const i of range(1, 3)) client.send("n", { i });
  await client.flush();
  const open = async (relay: number, id: string): Promise<Peer> => {
    const peer = await Peer.connect(fixture.relays[relay]!.server.address);
    await peer.send(
      `GET /events?name=n${id ? "" : "&since=first"} HTTP/1.1\r\nHost: localhost\r\n` +
        `${id && `Last-Event-ID: ${id}\r\n`}\r\n`,
    );
    return peer;
  };
  const read = async (peer: Peer, count: number) => {
    const events = () =>
      new EventStreamReader().push(peer.text.slice(peer.text.indexOf("\r\n\r\n") + 4));
    const isEvent = ({ type }: { type: string }) => type === "message";
    await until(() => events().messages.filter(isEvent).length >= count);
    return events();
  };
  const first = await open(0, "");
  const before = await read(first, 3);
  const at = before.messages.findIndex(({ data }) => data.includes('"i":2'));
  const second = await open(1, before.ids[at]!);
  const after = await read(second, 1);
  assertEquals(
    after.messages.filter(({ type }) => type === "message").map(({ data }) => JSON.parse(data)),
    [{ event: "n", __dict__: { i: 3 } }],
  );
  first.close();
  second.close();
});

/** Starts three servers of one NATS cluster. */
async function startServers(stack: AsyncDisposableStack): Promise<TestNatsServer[]> {
  const ports = [freePort(), freePort(), freePort()];
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  const servers: TestNatsServer[] = [];
  for (const [i, port] of ports.entries()) {
    const config = `${JETSTREAM}server_name: s${i}
cluster { name: c, listen: "127.0.0.1:${port}", routes: [${routes}] }`;
    servers.push(stack.use(await TestNatsServer.start(config)));
  }
  return servers;
}

needingTest("In a NATS cluster, the history survives the end of one server after the other", [
  NATS_SERVER,
], async () => {
  await using stack = new AsyncDisposableStack();
  const servers = await startServers(stack);
  const cluster = { servers: servers.map((server) => server.url()) };
  // JetStream needs some time until its servers have found each other.
  await eventually(async () => {
    const { error } = await askJetStream(servers[0]!, "STREAM.NAMES");
    if (error) throw new Error(error.description);
  }, 200);
  const first = await eventually(async () => {
    const { relay } = newRelay(servers[0]!, { cluster });
    try {
      await relay.ready;
      return relay;
    } catch (error) {
      await relay.close().catch(() => {});
      throw error;
    }
  }, 500);
  stack.use(first);
  const { config } = await askJetStream(servers[0]!, "STREAM.INFO.eb-relays");
  assertEquals(config.num_replicas, 3);
  const second = newRelay(servers[0]!, { cluster });
  stack.use(second.relay);
  await second.relay.ready;
  assertEquals(second.faults, []);
  const clients: EbsocketClient[] = [];
  for (const relay of [first, second.relay]) {
    const client = new EbsocketClient({ history: true, reconnect: RECONNECT });
    clients.push(client);
    await client.connectTo(relay.server.address);
    await client.subscribe(["n"]);
  }
  const [a, b] = clients as [EbsocketClient, EbsocketClient];
  let sent = 0;
  for (const server of servers.slice(0, 2)) {
    for (let i = 0; i < 20; i++) a.send("n", { i: ++sent });
    await server.kill();
    for (let i = 0; i < 20; i++) a.send("n", { i: ++sent });
    await soon(a.flush(), "the events without one server");
    await server.restart();
    const from = sent - 39;
    assertEquals((await next(b, 40)).map(([i]) => i), range(from, sent));
    await eventually(async () => {
      const info = await askJetStream(server, "STREAM.INFO.eb-relays");
      const { replicas = [] } = info.cluster ?? {};
      const isCurrent = ({ current }: { current: boolean }) => current;
      if (replicas.length !== 2 || !replicas.every(isCurrent)) throw new Error("not current");
    }, 200);
  }
  assertEquals(await past(b), range(1, sent));
  await Promise.all(clients.map((client) => client.close()));
});

Deno.test("A relay of a cluster refuses a folder, and a choice of what waits for the disk", () => {
  const check = (options: HistoryOptions) => () => checkHistoryOptions(options, true);
  assertThrows(
    check({ folder: "x" }),
    TypeError,
    "keep their events in JetStream, so leave it out",
  );
  assertThrows(check({ sync: "always" }), TypeError, "Invalid history.sync");
  assertEquals(check({})().keepBytes, 1_073_741_824);
});
