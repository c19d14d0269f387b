/** Services, against a relay that does what a test says. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertLess } from "@std/assert/less";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import { EventRefusedError } from "../../errors.ts";
import type { EbsocketEvent } from "../../protocol/event.ts";
import { FakeRelay, FEATURES, said } from "../support/fake_relay.ts";
import { FakeServer } from "../support/fake_server.ts";
import { soon, until, untilStill } from "../support/waiting.ts";

/** The names of the next `count` events of a service. */
async function take(service: AsyncGenerator<EbsocketEvent>, count: number): Promise<string[]> {
  const names: string[] = [];
  while (names.length < count) {
    const { value } = await soon(service.next(), "an event");
    names.push(value!.event);
  }
  return names;
}

/** Acknowledges a client's wish, and says what it was. */
async function grant(relay: FakeRelay): Promise<string> {
  const { control, events, queue, id } = await relay.said();
  await relay.say({ control: "ack", id });
  return [control, ...events!, ...(queue === undefined ? [] : [`@${queue}`])].join(" ");
}

Deno.test("EbsocketClient.serve() subscribes at the call, and unsubscribes at the end", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const service = client.serve("a.*", { queue: "q" });
  assertEquals(await grant(relay), "subscribe a.* @q");
  await relay.say({ event: "a.b", id: "r1", from: "c2" });
  await relay.say({ event: "x" });
  const event = (await soon(service.next(), "the event")).value!;
  assertEquals(event.event, "a.b");
  assertEquals(event.id, "r1");
  assertEquals(event.from, "c2");
  await relay.say({ event: "a.c" });
  assertEquals(await take(service, 1), ["a.c"]);
  await service.return();
  await relay.say({ event: "a.d" }); // on its way when the service ended
  assertEquals(await grant(relay), "unsubscribe a.* @q");
  await relay.say({ event: "y" });
  assertEquals((await client.recvEvent())?.event, "x");
  assertEquals((await client.recvEvent())?.event, "y");
  assert((await service.next()).done);
});

Deno.test("EbsocketClient.serve() that is ended before it is read unsubscribes as well", async () => {
  await using relay = await FakeRelay.connect();
  const service = relay.client.serve("a");
  assertEquals(await grant(relay), "subscribe a");
  await service.return();
  assertEquals(await grant(relay), "unsubscribe a");
  assert((await service.next()).done);
  const hasty = relay.client.serve("b");
  await hasty.return(); // before the relay was told of it
  relay.client.serve("c");
  assertEquals(await grant(relay), "subscribe c");
});

Deno.test("EbsocketClient.serve() ends after the events that have come when its signal is aborted", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const controller = new AbortController();
  const service = client.serve("a", { signal: controller.signal });
  const first = service.next();
  await grant(relay);
  await relay.say({ event: "a" });
  await first;
  await relay.session.write('{"event":"a"}\n{"event":"a"}\n{"event":"b"}\n');
  await client.recvEvent();
  controller.abort();
  assertEquals(await take(service, 2), ["a", "a"]);
  assert((await service.next()).done);
  assertEquals(await grant(relay), "unsubscribe a");

  const late = client.serve("a", { signal: controller.signal });
  assert((await late.next()).done);
  const other = new AbortController();
  const waiting = client.serve("b", { signal: other.signal }).next();
  await relay.said(); // and no acknowledgement
  other.abort(new Error("enough"));
  assert((await soon(waiting, "the end")).done);
  assertEquals(await grant(relay), "unsubscribe b");
});

Deno.test("EbsocketClient.serve() and subscribe() of one pattern do not end each other", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const subscribing = client.subscribe(["a"]);
  await grant(relay);
  await subscribing;
  const services = [client.serve("a"), client.serve("a")] as const;
  const firsts = services.map((service) => service.next());
  await grant(relay); // one line for both
  await relay.say({ event: "a" });
  for (const first of firsts) assertEquals((await soon(first, "a")).value?.event, "a");
  await services[0].return();
  await relay.say({ event: "a" });
  assertEquals(await take(services[1], 1), ["a"]);
  await services[1].return();
  await relay.say({ event: "a" });
  assertEquals((await soon(client.recvEvent(), "the event"))?.event, "a");
  const leaving = client.unsubscribe(["a"]);
  assertEquals(await grant(relay), "unsubscribe a"); // the first to be said
  await leaving;
});

Deno.test("EbsocketClient.serve() without a reader pushes back, as the inbox does", async () => {
  await using relay = await FakeRelay.connect({ maxUnreadEvents: 10 });
  const { client } = relay;
  const service = client.serve("a");
  const first = service.next();
  await grant(relay);
  const lines = '{"event":"a"}\n'.repeat(20);
  let writes = 0;
  const writing = (async () => {
    for (; writes < 200_000; writes += 1000) await relay.session.write(lines.repeat(1000));
  })().catch(() => {});
  await first;
  // More than any buffer on the way holds is not taken.
  await untilStill(() => writes, 30);
  assertLess(writes, 200_000);
  const refused = await client.request({ event: "b", __dict__: {} } as EbsocketEvent)
    .catch((error) => error.code);
  assertEquals(refused, "inbox-full");
  await service.return(); // what it has not given by then is lost, and more is read
  const taken = writes;
  await until(() => writes > taken);
  await client.abort();
  await relay.session.close();
  await soon(writing, "the end of the events");
});

Deno.test("EbsocketClient.serve() begins before connectTo(), and goes on across reconnects", async () => {
  const server = new FakeServer(FEATURES);
  const client = new EbsocketClient({ reconnect: { minDelay: 1, maxDelay: 10 } });
  const service = client.serve("a", { queue: "q" });
  const first = service.next();
  const connecting = client.connectTo(server.address);
  for (let i = 0; i < 3; i++) {
    const session = await server.session();
    const { control, events, queue, id } = await said(session);
    assertEquals(control, "subscribe");
    assertEquals(events, ["a"]);
    assertEquals(queue, "q");
    await session.send({ event: "a", __dict__: { early: true } }); // meant for others, too
    await session.send({ control: "ack", id });
    await connecting;
    await session.send({ event: "a", __dict__: { i } });
    const { value } = i === 0 ? await first : await service.next();
    assertEquals(value?.__dict__, { i });
    await session.close();
  }
  const last = service.next();
  await client.close();
  assert((await soon(last, "the end")).done);
  assert((await client.serve("a").next()).done);
  await server[Symbol.asyncDispose]();
});

Deno.test("EbsocketClient.serve() throws if the relay refuses the subscription", async () => {
  await using relay = await FakeRelay.connect();
  const service = relay.client.serve("a");
  const { id } = await relay.said();
  await relay.say({ control: "error", id, reason: "too-many-subscriptions", detail: "no" });
  const failing = assertRejects(() => service.next(), EventRefusedError, 'subscribe to "a"');
  await soon(failing, "the error");
  assert((await service.next()).done);
  await relay.say({ event: "a" });
  assertEquals((await relay.client.recvEvent())?.event, "a");
});

Deno.test("EbsocketClient.serve() ends quietly when the client ends before the relay has answered", async () => {
  await using relay = await FakeRelay.connect();
  const waiting = relay.client.serve("a").next();
  await relay.said();
  await relay.client.close();
  assert((await soon(waiting, "the end")).done);
});

Deno.test("EbsocketClient.serve() names a bad argument at the call", () => {
  const client = new EbsocketClient();
  assertThrows(() => client.serve("a.>.b"), RangeError, 'Invalid pattern "a.>.b"');
  assertThrows(() => client.serve(""), RangeError, "1 to 255");
  assertThrows(() => client.serve("a", { queue: "" }), RangeError, "queue");
  const unset = { queue: undefined as unknown as string };
  assertThrows(() => client.serve("a", unset), TypeError, "Invalid queue: expected a value");
});

Deno.test("EbsocketClient does not subscribe again for a service that has ended", async () => {
  await using server = new FakeServer(FEATURES);
  const client = new EbsocketClient();
  const controller = new AbortController();
  const service = client.serve("a", { signal: controller.signal });
  const first = service.next();
  await until(() => true);
  controller.abort();
  assert((await first).done);
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  const { events, id } = await said(session);
  await session.send({ control: "ack", id });
  await connecting;
  assertEquals(events, []);
  await client.abort();
});
