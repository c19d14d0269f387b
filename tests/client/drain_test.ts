/** A client that leaves: what it has begun is done, and nothing new is begun. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { EbsocketClient } from "../../client.ts";
import { ConnectionClosedError, type EbsocketError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { EbsocketSystem } from "../../system.ts";
import { testRelay } from "../../testing.ts";
import { FakeRelay, said } from "../support/fake_relay.ts";
import { FakeServer } from "../support/fake_server.ts";
import { freePort } from "../support/free_port.ts";
import { turn } from "../support/turns.ts";
import { soon, until } from "../support/waiting.ts";

const DONE = new EbsocketEvent("done");

/** What is said, without the ids. */
async function wish(relay: FakeRelay): Promise<string> {
  const { control, events, queue, id } = await relay.said();
  await relay.say({ control: "ack", id });
  return [control, ...events!, ...(queue === undefined ? [] : [`@${queue}`])].join(" ");
}

Deno.test("EbsocketClient.drain() of a worker loses no job, whichever way it works", async () => {
  const ways: ((worker: EbsocketClient, queue: string) => Promise<void>)[] = [
    // One job after the other.
    async (worker, queue) => {
      for await (const job of worker.serve("job", { queue })) {
        await turn();
        await worker.reply(job, DONE);
      }
    },
    // All jobs at the same time.
    async (worker, queue) => {
      const under: Promise<unknown>[] = [];
      for await (const job of worker.serve("job", { queue })) {
        under.push(turn().then(turn).then(() => worker.reply(job, DONE)));
      }
      await Promise.all(under);
    },
    async (worker, queue) => {
      await worker.subscribe(["job"], { queue });
      for await (const job of worker) {
        await turn();
        await worker.reply(job, DONE);
      }
    },
    async (worker, queue) => {
      await worker.subscribe(["job"], { queue });
      for (let job; (job = await worker.recvEvent());) {
        await turn();
        await worker.reply(job, DONE);
      }
    },
    async (worker, queue) => {
      await worker.subscribe(["job"], { queue });
      for (let isConnected = true; isConnected;) {
        const [jobs, connected] = await worker.pump();
        isConnected = connected;
        for (const job of jobs) {
          await turn();
          await worker.reply(job, DONE);
        }
      }
    },
  ];
  for (const [i, work] of ways.entries()) {
    for (const reconnect of [false, true]) {
      await using relay = testRelay();
      const boss = await relay.connect();
      await boss.subscribe([]);
      let answers = 0;
      const ask = async () => {
        for (let n = 0; n < 20; n++) {
          await boss.request(new EbsocketEvent("job"), { timeout: 20_000 });
          answers++;
        }
      };
      const workers = [];
      const working = [];
      for (let n = 0; n < 3; n++) {
        const worker = await relay.connect({ reconnect });
        workers.push(worker);
        working.push(work(worker, "q"));
      }
      const hear = async () => await boss.sendEvent(new EbsocketEvent("job"), { confirm: true });
      while (await hear() < 1);
      const asking = Array.from({ length: 20 }, ask);
      await until(() => answers > 20);
      for (const worker of workers.slice(0, 2)) await soon(worker.drain(), `way ${i} to end`);
      await soon(Promise.all(asking), `way ${i} to answer`);
      assertEquals(answers, 400);
      await workers[2]!.drain();
      await soon(Promise.all(working), `way ${i} to be left`);
      for (const worker of workers) {
        const { reason, unsentLines } = await worker.closed;
        assertEquals(reason, "local");
        assertEquals(unsentLines, 0);
      }
    }
  }
});

Deno.test("EbsocketClient.drain() unsubscribes, then waits for the events that have come", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const subscribing = client.subscribe(["a", "b"]);
  const jobs = client.serve("job", { queue: "q" });
  assertEquals([await wish(relay), await wish(relay)], ["subscribe a b", "subscribe job @q"]);
  await subscribing;
  const first = jobs.next();
  await relay.say({ event: "job", id: "1", from: "c9" });
  const { value } = await first;

  const draining = client.drain();
  const unsubscribe = [await relay.said(), await relay.said()];
  assertEquals(unsubscribe.map(({ events }) => events), [["a", "b"], ["job"]]);
  assertNotStrictEquals(client.drain(), draining); // and both are one
  // Given to the client before the relay has read that it leaves.
  await relay.say({ event: "job", id: "2", from: "c9" });
  await relay.say({ event: "a" });
  for (const { id } of unsubscribe) await relay.say({ control: "ack", id });
  await assertRejects(() => client.subscribe(["c"]), ConnectionClosedError, "drained");
  assert((await client.serve("d").next()).done);

  assertEquals((await soon(client.recvEvent(), "the event"))?.event, "a");
  assertStrictEquals(await soon(client.recvEvent(), "the end"), null);
  assert(await client.reply(value!, DONE));
  assertEquals((await soon(jobs.next(), "the job")).value?.id, "2");
  assert((await soon(jobs.next(), "the end")).done);
  await turn();
  assert(client.connected); // one has not been answered
  client.sendEvent(new EbsocketEvent("bye"));
  assert(await client.reply({ id: "2", from: "c9" }, DONE));
  await soon(draining, "the end");
  const names = [(await relay.said()).reply_to, (await relay.said()).event];
  assertEquals([...names, (await relay.said()).reply_to], ["1", "bye", "2"]);
  assertEquals((await client.closed).reason, "local");
  assertFalse(await client.reply(value!, DONE));
});

Deno.test("EbsocketClient.drain() of a client without subscriptions subscribes to nothing", async () => {
  await using relay = await FakeRelay.connect({ maxUnreadEvents: 2 });
  const { client, session } = relay;
  await session.write('{"event":"a"}\n'.repeat(5)); // It is full, and reads no more.
  const codeOf = (error: EbsocketError) => error.code;
  while (await client.request(DONE, { timeout: 1 }).catch(codeOf) !== "inbox-full");
  const draining = client.drain();
  for (;;) {
    const { control, events, id } = await relay.said();
    if (control === undefined) continue;
    assertEquals(control, "subscribe");
    assertEquals(events, []);
    await relay.say({ control: "ack", id });
    break;
  }
  await soon(draining, "the end"); // Nobody reads: nothing is being handled.
});

Deno.test("EbsocketClient.drain() waits no longer than its time-out", async () => {
  for (const timeout of [20.5, 0]) {
    await using relay = testRelay();
    const worker = await relay.connect();
    const other = await relay.connect();
    const jobs = worker.serve("job");
    const job = jobs.next();
    const asking = other.request(new EbsocketEvent("job")).catch((error) => error.code);
    await job; // and it is never answered
    await soon(worker.drain({ timeout }), "the end");
    assert((await jobs.next()).done);
    await other.close();
    assertEquals(await asking, "connection-closed");
  }
  await assertRejects(() => new EbsocketClient().drain({ timeout: NaN }), RangeError, "timeout");
});

Deno.test("EbsocketClient.drain() is at an end when the client is closed, or its connection ends", async () => {
  for (const end of ["close", "abort", "relay"] as const) {
    const relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
    const [worker, other] = [new EbsocketClient(), new EbsocketClient()];
    for (const client of [worker, other]) await client.connectTo(relay.server.address);
    const jobs = worker.serve("job");
    const job = jobs.next();
    other.request(new EbsocketEvent("job")).catch(() => {});
    await job;
    const draining = worker.drain({ timeout: Infinity });
    if (end !== "relay") await worker[end]();
    await relay.close();
    await soon(draining, "the end");
  }
});

Deno.test("EbsocketClient.drain() does not wait for a service without a reader", async () => {
  await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
  const client = new EbsocketClient();
  client.serve("job");
  await client.connectTo(relay.server.address);
  try {
    await soon(client.drain({ timeout: Infinity }), "the end");
  } finally {
    await client.abort(); // Its disposal would wait for the drain, too.
  }
});

Deno.test("EbsocketClient.drain() without a connection, or while one is made, is close()", async () => {
  await new EbsocketClient().drain();
  await using server = new FakeServer(null);
  const client = new EbsocketClient({ token: "x" });
  const connecting = client.connectTo(server.address);
  await client.drain({ timeout: Infinity });
  await connecting;
  assertEquals((await client.closed).reason, "local");

  const relay = new Relay(new EbsocketServer(["127.0.0.1", freePort()]));
  const away = new EbsocketClient({ reconnect: true });
  await away.connectTo(relay.server.address);
  const reading = Array.fromAsync(away);
  await relay.close();
  await until(() => !away.connected);
  away.sendEvent(DONE);
  await soon(away.drain({ timeout: Infinity }), "the end");
  await reading;
  assertEquals((await away.closed).unsentLines, 1);
});

Deno.test("EbsocketClient.drain() reconnects without subscriptions, and connectTo() restores them", async () => {
  const server = new FakeServer({ ack: true, features: ["subscribe", "ack"] });
  const client = new EbsocketClient({ reconnect: { minDelay: 1, maxDelay: 10 } });
  await client.subscribe(["a"]);
  const connect = async (events: string[]) => {
    const session = await server.session();
    const line = await said(session);
    assertEquals(line.control, "subscribe");
    assertEquals(line.events, events);
    await session.send({ control: "ack", id: line.id });
    return session;
  };
  const connecting = client.connectTo(server.address);
  const first = await connect(["a"]);
  await connecting;
  const jobs = client.serve("job");
  const { id } = await said(first);
  await first.send({ control: "ack", id });
  const job = jobs.next();
  await first.send({ event: "job" });
  await job;
  const draining = client.drain();
  await said(first); // unsubscribe, which is never acknowledged
  await first.close();
  await connect([]);
  assert((await soon(jobs.next(), "the end")).done);
  await soon(draining, "the end");

  const again = client.connectTo(server.address);
  await connect(["a"]);
  await again;
  await client.abort();
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.drain() of a client of a system waits for events that are being handled", async () => {
  await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
  const client = new EbsocketClient();
  await client.connectTo(system.server.address);
  const handled: string[] = [];
  const loop = (async () => {
    for await (const { event } of client) {
      await turn();
      handled.push(event);
    }
  })();
  await until(() => system.clients.size === 1);
  for (const name of ["a", "b"]) system.sendEventToClients(new EbsocketEvent(name));
  await until(() => handled.length === 1);
  await client.drain();
  assertEquals(handled, ["a", "b"]);
  await loop;
});

Deno.test("EbsocketClient disposes of itself after a drain, not in the middle of it", async () => {
  await using relay = testRelay();
  const boss = await relay.connect();
  const answers: Promise<EbsocketEvent>[] = [];
  {
    await using worker = await relay.connect();
    const jobs = worker.serve("job");
    const first = jobs.next();
    for (let n = 0; n < 5; n++) answers.push(boss.request(new EbsocketEvent("job")));
    worker.reply((await first).value!, DONE);
    worker.drain();
    // The loop ends before the jobs that it has begun.
    for await (const job of jobs) turn().then(turn).then(() => worker.reply(job, DONE));
  }
  assertEquals((await Promise.all(answers)).length, 5);
});
