/** Subscriptions, requests, receipts and services, from client to client through a relay. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import type { Address } from "../../protocol/address.ts";
import { EbsocketClient } from "../../client.ts";
import type { ClientOptions } from "../../client/options.ts";
import type { EbsocketConnection } from "../../net/connection.ts";
import {
  ConnectionClosedError,
  EbsocketError,
  EventRefusedError,
  NoRespondersError,
  RequestTimeoutError,
} from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { Relay, type RelayOptions } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { EbsocketSystem } from "../../system.ts";
import { freePort } from "../support/free_port.ts";
import { size } from "../support/size.ts";
import { soon, until } from "../support/waiting.ts";

/** A relay and its clients, which end together. */
class House implements AsyncDisposable {
  readonly relay: Relay;
  readonly #clients: EbsocketClient[] = [];

  constructor(options: RelayOptions = {}, at: Address = ["127.0.0.1", 0]) {
    this.relay = new Relay(new EbsocketServer(at), options);
  }

  get address(): Address {
    return this.relay.server.address;
  }

  async connect(options: ClientOptions = {}): Promise<EbsocketClient> {
    const client = new EbsocketClient(options);
    this.#clients.push(client);
    await client.connectTo(this.address);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.abort();
    await this.relay.close();
  }
}

const named = (name: string, attributes = {}) => new EbsocketEvent(name, attributes);

/** Answers every event of a pattern with its attributes, and counts them. */
function echo(client: EbsocketClient, pattern: string, queue?: string): { count: number } {
  const served = { count: 0 };
  (async () => {
    for await (const event of client.serve(pattern, queue === undefined ? {} : { queue })) {
      served.count++;
      await client.reply(event, named("echo", event.__dict__));
    }
  })();
  return served;
}

/** Waits until all that a client has sent has gone round. */
async function settled(client: EbsocketClient): Promise<void> {
  await client.sendEvent(named("settled"), { confirm: true });
}

/** The names of what a client has in its inbox. */
async function inboxOf(client: EbsocketClient): Promise<string[]> {
  return (await client.pump())[0].map(({ event }) => event);
}

Deno.test("clients send requests to each other by name and by address, and only the requester receives the reply", async () => {
  await using house = new House();
  const [asker, answerer, other] = [
    await house.connect(),
    await house.connect(),
    await house.connect(),
  ] as const;
  const served = echo(answerer, "ask");
  await until(() => house.relay.clients.length === 3);
  const answer = await soon(answerReady(asker, "ask"), "the answer");
  assertEquals(answer.event, "echo");
  assertEquals(answer.from, answerer.id);
  assertEquals(answer.__dict__, { n: 1 });
  const alone = await asker.request(named("ask", { n: 2 }), { to: answerer.id! });
  assertEquals(alone.__dict__, { n: 2 });
  assertGreaterOrEqual(served.count, 2);
  await assertRejects(() => asker.request(named("ask"), { to: "c99" }), NoRespondersError);
  await other.sendEvent(named("last"));
  await until(() => other.pendingBytes === 0);
  assertEquals((await inboxOf(other)).filter((name) => name === "echo"), []);
});

/** Asks until somebody is there. */
async function answerReady(client: EbsocketClient, name: string) {
  for (;;) {
    try {
      return await client.request(named(name, { n: 1 }), { timeout: 200 });
    } catch (error) {
      if (!(error instanceof NoRespondersError || error instanceof RequestTimeoutError)) {
        throw error;
      }
    }
  }
}

Deno.test("a request has no responders if only its sender could reply", async () => {
  await using house = new House();
  const client = await house.connect();
  const service = client.serve("ask");
  const first = service.next();
  await client.subscribe(["more"]); // comes behind what the service has said
  await assertRejects(() => client.request(named("ask")), NoRespondersError);
  await assertRejects(() => client.request(named("ask"), { to: client.id! }), NoRespondersError);
  // A request does not come back, and an echo does.
  assertEquals(await client.sendEvent(named("ask"), { confirm: true }), 1);
  assertStrictEquals((await first).value?.id, null);
});

Deno.test("a receipt has the number of recipients of an event", async () => {
  await using house = new House({ echo: false });
  const [one, two, three] = [
    await house.connect(),
    await house.connect(),
    await house.connect(),
  ] as const;
  const confirm = { confirm: true } as const;
  assertEquals(await one.sendEvent(named("a"), confirm), 2);
  await two.subscribe(["b"]);
  assertEquals(await one.sendEvent(named("a"), confirm), 1);
  await three.subscribe([]);
  assertEquals(await one.sendEvent(named("a"), confirm), 0);
  assertEquals(await one.sendEvent(named("a"), { ...confirm, to: three.id! }), 1);
  await three.unsubscribe([]);
  const received = (await three.recvEvent())!;
  assertEquals(received.event, "a");
  assertStrictEquals(received.from, null); // the first one
});

Deno.test("subscribers of one queue share its events, and those without one receive all", async () => {
  await using house = new House();
  const workers = [await house.connect(), await house.connect(), await house.connect()];
  const counts = workers.map((worker) => echo(worker, "job.*", "workers"));
  const watcher = await house.connect();
  await watcher.subscribe(["job.>"]);
  const asker = await house.connect();
  await Promise.all(workers.map((worker) => worker.subscribe(["x"])));
  const count = 300;
  const answers = await Promise.all(
    Array.from({ length: count }, (_, n) => asker.request(named("job.do", { n }))),
  );
  assertEquals(answers.map(({ __dict__: { n } }) => n), Array.from(answers, (_, n) => n));
  assertEquals(counts.reduce((sum, each) => sum + each.count, 0), count);
  assert(counts.every((each) => each.count > 0), JSON.stringify(counts));
  let seen = 0;
  while (seen < count) seen += (await watcher.pump())[0].length;
  assertEquals(seen, count);
});

Deno.test("requestMany() gathers the answers of all, and a second answer to one request is late", async () => {
  await using house = new House();
  const answerers = [await house.connect(), await house.connect()];
  for (const answerer of answerers) echo(answerer, "who");
  await Promise.all(answerers.map((each) => each.subscribe(["x"])));
  const asker = await house.connect();
  await asker.subscribe([]);
  const answers = await Array.fromAsync(asker.requestMany(named("who"), { count: 2 }));
  assertEquals(answers.map(({ from }) => from).sort(), answerers.map(({ id }) => id).sort());
  await asker.request(named("who"));
  const [first] = answerers;
  await settled(first!);
  assertEquals(await inboxOf(asker), []);
});

Deno.test("a client receives only the events of its subscriptions, from the first moment and across relays", async () => {
  const first = new House();
  const client = new EbsocketClient({ reconnect: { minDelay: 1, maxDelay: 20 } });
  await client.subscribe(["wanted.*"]);
  await client.subscribe(["job"], { queue: "q" });
  const heard: string[] = [];
  const read = async () => {
    for await (const event of client) heard.push(event.event);
  };
  let reading = Promise.resolve();
  let house = first;
  for (let life = 0; life < size(3, 20); life++) {
    let isNoisy = true;
    const noise = (async () => {
      const noisy = await house.connect();
      await noisy.subscribe([]);
      for (let i = 0; isNoisy; i++) {
        noisy.sendEvent(named("unwanted"));
        noisy.sendEvent(named("wanted.a"));
        await noisy.sendEvent(named("wanted.a.b"), { confirm: true });
      }
    })();
    if (life === 0) {
      await client.connectTo(house.address);
      reading = read();
    }
    const before = heard.length;
    await until(() => heard.length > before + 10);
    await client.subscribe(["wanted.*"]); // answered once all before has been said
    isNoisy = false;
    await noise;
    const { address } = house;
    await house[Symbol.asyncDispose]();
    if (life + 1 < size(3, 20)) house = new House({}, address);
  }
  await client.close();
  await reading;
  assertEquals(heard.filter((name) => name !== "wanted.a"), []);
});

Deno.test("a relay that is killed in the middle of requests leaves none of them waiting", async () => {
  for (const reconnect of [false, { minDelay: 1, maxDelay: 20 }]) {
    const house = new House();
    const answerer = await house.connect();
    const service = answerer.serve("ask"); // which never answers
    const asked = service.next();
    const asker = new EbsocketClient({ reconnect });
    await asker.connectTo(house.address);
    await answerer.subscribe(["x"]);
    const requests = Promise.allSettled(Array.from(
      { length: 100 },
      (_, n) => asker.request(named("ask", { n }), { timeout: Infinity }),
    ));
    const confirming = asker.sendEvent(named("x"), { confirm: true });
    await asked;
    await confirming;
    await house[Symbol.asyncDispose]();
    const outcomes = await soon(requests, "the outcomes");
    const isClosed = (outcome: PromiseSettledResult<unknown>) =>
      outcome.status === "rejected" && outcome.reason instanceof ConnectionClosedError;
    assertEquals(outcomes.filter(isClosed).length, 100);
    await asker.close();
  }
});

Deno.test("a request rejects with a time-out without a reply, and with no responders after these have left", async () => {
  await using house = new House();
  const frozen = await house.connect();
  await frozen.subscribe(["ask"]); // and nobody reads it
  const asker = await house.connect();
  await assertRejects(() => asker.request(named("ask"), { timeout: 20 }), RequestTimeoutError);
  const dying = asker.request(named("ask"), { timeout: 500 });
  const late = assertRejects(() => dying, RequestTimeoutError);
  await frozen.abort();
  await until(() => house.relay.clients.length === 1);
  await assertRejects(() => asker.request(named("ask")), NoRespondersError);
  await late;
});

Deno.test("a reply to a client that has left goes to no other", async () => {
  await using house = new House();
  const answerer = await house.connect();
  const service = answerer.serve("ask");
  const asked = service.next();
  const asker = await house.connect();
  await answerer.subscribe(["x"]);
  const asking = asker.request(named("ask")).catch(() => {});
  const event = (await asked).value!;
  await asker.abort();
  await asking;
  await until(() => house.relay.clients.length === 1);
  assert(await answerer.reply(event, named("answer")));
  assertEquals(await answerer.sendEvent(named("x"), { confirm: true, to: event.from! }), 0);
  await service.return();
});

Deno.test("a reply does not go to a client of a restarted relay that has the ID of the requester", async () => {
  const relay = new Relay(new EbsocketServer(["127.0.0.1", freePort()]));
  const { address } = relay.server;
  await using answerer = new EbsocketClient({ reconnect: { minDelay: 1, maxDelay: 20 } });
  const service = answerer.serve("ask");
  await answerer.connectTo(address);
  const asker = new EbsocketClient();
  await asker.connectTo(address);
  const asking = assertRejects(() => asker.request(named("ask")), ConnectionClosedError);
  const asked = (await service.next()).value!;
  await relay.close();
  await asking;
  await until(() => !answerer.connected);
  assertFalse(await answerer.reply(asked, named("secret")));
  const late = () => answerer.sendEvent(named("secret"), { to: asked.from! });
  await assertRejects(late, ConnectionClosedError, "client IDs change with each connection");

  await using next = new Relay(new EbsocketServer(address));
  await using stranger = new EbsocketClient();
  await stranger.connectTo(address);
  await until(() => answerer.connected && next.clients.length === 2);
  assertFalse(await answerer.reply(asked, named("secret")));
  await answerer.sendEvent(named("open"));
  assertEquals((await stranger.recvEvent())?.event, "open");
});

Deno.test("a reply does not go over a new connection of the program", async () => {
  await using first = new House();
  await using second = new House();
  const client = await first.connect();
  await client.subscribe(["ask"]);
  const asker = await first.connect();
  const asking = assertRejects(() => asker.request(named("ask")), ConnectionClosedError);
  const asked = (await client.recvEvent())!;
  await asker.abort();
  await asking;
  await client.close();
  assertFalse(await client.reply(asked, named("answer")));
  await client.connectTo(second.address);
  assertFalse(await client.reply(asked, named("answer")));
});

Deno.test("requests across a reconnect of the answerer are answered by its service again", async () => {
  await using house = new House();
  const answerer = await house.connect({ reconnect: { minDelay: 1, maxDelay: 20 } });
  const served = echo(answerer, "ask", "q");
  const asker = await house.connect();
  await answerReady(asker, "ask");
  const before = served.count;
  const { id } = answerer;
  const [connection] = house.relay.clients;
  (connection as EbsocketConnection).abort();
  await until(() => answerer.id !== id);
  await answerReady(asker, "ask");
  assertGreater(served.count, before);
});

Deno.test("clients without subscriptions request and reply at a relay with subscribeFirst", async () => {
  await using house = new House({ subscribeFirst: true });
  const worker = await house.connect();
  const served = echo(worker, "work");
  const asker = await house.connect();
  assertFalse(worker.hearsNothing);
  assert(asker.hearsNothing);
  while (served.count === 0) {
    const answer = await asker.request(named("work", { n: 1 })).catch((error) => error);
    if (!(answer instanceof NoRespondersError)) assertEquals(answer.__dict__, { n: 1 });
  }
  await assertRejects(() => asker.request(named("other")), NoRespondersError);
  await worker.sendEvent(named("direct"), { to: asker.id! });
  assertEquals((await soon(asker.recvEvent(), "the event"))?.event, "direct");
  const { clients } = await asker.inspect();
  const counts = clients.map(({ subscriptionCount }) => subscriptionCount).sort();
  assertEquals(counts, [0, 1]);
  await asker.subscribe([">"]);
  assertFalse(asker.hearsNothing);
  assertEquals(await worker.sendEvent(named("all"), { confirm: true }), 1);
  assertEquals((await soon(asker.recvEvent(), "the event"))?.event, "all");
});

Deno.test("EbsocketClient.hearsNothing is true while the client receives no events", async () => {
  await using house = new House();
  const client = new EbsocketClient();
  assertFalse(client.hearsNothing);
  await client.subscribe([]);
  assert(client.hearsNothing);
  await client.connectTo(house.address);
  assert(client.hearsNothing);
  await client.subscribe(["a"]);
  assertFalse(client.hearsNothing);
  await client.unsubscribe(["a"]);
  assert(client.hearsNothing);
  await client.close();
  assertFalse((await house.connect()).hearsNothing);
});

Deno.test("a relay refuses too many subscriptions, at a call and after hello", async () => {
  await using house = new House({ maxSubscriptions: 2 });
  const client = await house.connect();
  await client.subscribe(["a", "b"]);
  const code = await client.subscribe(["c"]).catch((error) => error.code);
  assertEquals(code, "too-many-subscriptions");
  await client.unsubscribe(["a"]);
  await client.subscribe(["c"]);
  const greedy = new EbsocketClient({ reconnect: true });
  await greedy.subscribe(["a", "b", "c"]);
  await assertRejects(() => greedy.connectTo(house.address), EventRefusedError, '"a" and 2 more');
  assertFalse(greedy.connected);
  await greedy.unsubscribe(["b"]);
  await greedy.connectTo(house.address);
  await greedy.close();
});

Deno.test("a relay grants the subscriptions of many calls in one turn, up to its limit", async () => {
  await using house = new House();
  const other = await house.connect();
  await other.subscribe([]);
  const client = await house.connect();
  const calls = Array.from({ length: 1500 }, (_, i) => client.subscribe([`room.${i}`]));
  const codes = await Promise.all(
    calls.map((call) => call.then(() => "granted", (error: EbsocketError) => error.code)),
  );
  const refused = "too-many-subscriptions";
  assertEquals(codes, codes.map((_, i) => i < 1000 ? "granted" : refused));
  assertEquals(await client.sendEvent(named("room.999"), { confirm: true }), 1);
  assertEquals(await other.sendEvent(named("room.1000"), { confirm: true }), 0);

  const server = await house.connect();
  await Promise.all(Array.from({ length: 300 }, (_, i) => echo(server, `ask.${i}`)));
  await answerReady(other, "ask.0");
  const asking = Array.from({ length: 300 }, (_, i) => other.request(named(`ask.${i}`)));
  assertEquals((await Promise.all(asking)).length, 300);
});

Deno.test("subscribe() while the relay is away takes effect, even after its time-out", async () => {
  const before = new House();
  const { address } = before;
  await using client = new EbsocketClient({ reconnect: { minDelay: 1, maxDelay: 20 } });
  await client.connectTo(address);
  await client.subscribe(["a"]);
  await before[Symbol.asyncDispose]();
  await until(() => !client.connected);
  const late = client.subscribe(["b", "c"], { timeout: 5 });
  await assertRejects(() => late, RequestTimeoutError, "it is remembered");
  await client.unsubscribe(["c"]);

  await using house = new House({}, address);
  await until(() => client.connected);
  const other = await house.connect();
  await other.subscribe([]);
  for (const [name, count] of [["a", 1], ["b", 1], ["c", 0]] as const) {
    assertEquals(await other.sendEvent(named(name), { confirm: true }), count, name);
  }
});

Deno.test("inspect() resolves to the report of the relay, and rejects if the relay does not report", async () => {
  await using house = new House();
  const client = await house.connect();
  await client.subscribe(["a.*"]);
  const { relay, clients } = await client.inspect();
  assertEquals(relay.clients, 1);
  assertEquals(clients.length, 1);
  assertEquals(clients[0]?.subscriptions, [{ pattern: "a.*" }]);
  await using silent = new House({ inspect: false });
  const other = await silent.connect();
  const code = await other.inspect().catch((error) => error.code);
  assertEquals(code, "not-allowed");
});

Deno.test("a client with sequence sees no gap where nothing is missing", async () => {
  await using house = new House();
  const [client, other] = [
    await house.connect({ sequence: true }),
    await house.connect(),
  ] as const;
  const statuses = client.status();
  await statuses.next();
  let next = statuses.next();
  await client.subscribe(["a.*"]);
  for (let i = 0; i < 100; i++) other.sendEvent(named(i % 3 ? "a.b" : "x"));
  await settled(other);
  let count = 0;
  for await (const { seq } of client) {
    assertEquals(seq, ++count);
    if (count === 66) break;
  }
  await client.close();
  assertEquals((await next).value?.type, "closed");
  next = statuses.next();
  assert((await next).done);
});

Deno.test("clients of a system ask it as they ask a relay, as far as it can do that", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
  (async () => {
    for await (const notice of system) {
      if (notice.type !== "event") continue;
      const isSent = system.reply(notice.event, named("answer", notice.event.__dict__));
      assertEquals(isSent, notice.event.id !== null);
    }
  })();
  await using client = new EbsocketClient();
  await client.connectTo(system.server.address);
  client.sendEvent(named("told"));
  assertEquals((await client.request(named("ask", { n: 1 }))).__dict__, { n: 1 });
  const code = await client.sendEvent(named("a"), { confirm: true }).catch((error) => error.code);
  assertEquals(code, "not-supported");
  const narrow = new EbsocketClient({ sequence: true });
  const failing = await narrow.connectTo(system.server.address).catch((error) => error);
  assertInstanceOf(failing, EbsocketError);
  assertEquals(failing.code, "not-supported");
});
