// A client whose events a relay counts over its connections.

import { assertEquals } from "@std/assert/equals";
import { EbsocketClient } from "../../client.ts";
import type { ClientStatus } from "../../client/status.ts";
import { FakeServer } from "../support/fake_server.ts";
import { keeping } from "../support/history_relay.ts";
import { pause, soon } from "../support/waiting.ts";

const RECONNECT = { minDelay: 1, maxDelay: 1 };

/** The welcome of a relay that has taken so many events. */
function counting(taken: number | null, exact = true, epoch = "e1") {
  return { ...keeping(0, epoch), ack: true, producer: { taken, exact } };
}

/** Returns the next status of a type. */
async function next<T extends ClientStatus["type"]>(
  statuses: AsyncGenerator<ClientStatus>,
  type: T,
): Promise<Extract<ClientStatus, { type: T }>> {
  for (;;) {
    const { value } = await soon(statuses.next(), type);
    if (value?.type === type) return value as Extract<ClientStatus, { type: T }>;
  }
}

/** Connects a client that sends events, of which the relay acknowledges the first; then breaks. */
async function inDoubt(server: FakeServer, ...names: string[]) {
  const client = new EbsocketClient({ reconnect: RECONNECT });
  const statuses = client.status();
  await client.connectTo(server.address);
  const session = await server.session();
  for (const name of names) client.send(name);
  await session.events(names.length);
  await session.ack(1);
  while (client.acknowledgedEvents !== 1) await pause(1);
  const { id } = session.hello.producer as { id: string };
  assertEquals(session.hello.producer, { id, sent: 0, settled: 0, attempt: 1, last: 0 });
  await session.close();
  return { client, statuses, id };
}

const namesOf = (events: readonly { readonly event: string }[]) => events.map(({ event }) => event);

Deno.test("EbsocketClient sends again exactly what the relay has not taken", async () => {
  await using server = new FakeServer(counting(0));
  const { client, statuses, id } = await inDoubt(server, "a", "b", "c", "d");
  const { unconfirmed, waiting } = await next(statuses, "disconnected");
  assertEquals([unconfirmed.length, waiting], [0, 3]);
  server.welcome = counting(2);
  client.send("e");
  const session = await server.session();
  const claim = { id, sent: 4, settled: 1, attempt: 2, last: 1, epoch: "e1" };
  assertEquals(session.hello.producer, claim);
  assertEquals(await session.events(3), ["c", "d", "e"]);
  const back = await next(statuses, "reconnected");
  assertEquals([back.unconfirmed.length, back.waiting], [0, 3]);
  await session.ack(3);
  await client.flush();
  assertEquals(client.acknowledgedEvents, 5);
  await client.abort();
});

Deno.test("EbsocketClient in doubt sends nothing before the welcome, and repeats its question", async () => {
  await using server = new FakeServer(counting(0));
  const { client, id } = await inDoubt(server, "a", "b", "c");
  server.welcome = null;
  const silent = await server.session();
  const claim = { id, sent: 3, settled: 1, last: 1, epoch: "e1" };
  assertEquals(silent.hello.producer, { ...claim, attempt: 2 });
  client.send("d");
  await pause(50);
  await silent.conn.closeWrite();
  assertEquals(await silent.line().catch(() => null), null); // Nothing but its hello has come.
  await silent.close();
  server.welcome = counting(1);
  const session = await server.session();
  assertEquals(session.hello.producer, { ...claim, attempt: 3 });
  assertEquals(await session.events(3), ["b", "c", "d"]);
  await client.abort();
});

Deno.test("EbsocketClient reports events as unconfirmed when it is back, if the relay cannot tell", async () => {
  for (const welcome of [counting(null, false, "e2"), { ...keeping(0), ack: true }]) {
    await using server = new FakeServer(counting(0));
    const { client, statuses, id } = await inDoubt(server, "a", "b", "c");
    server.welcome = welcome;
    const session = await server.session();
    assertEquals(namesOf((await next(statuses, "reconnected")).unconfirmed), ["b", "c"]);
    client.send("d");
    assertEquals(await session.events(1), ["d"]);
    await session.ack(1);
    await client.flush();
    await session.close();
    const third = await server.session();
    const { epoch: _, ...producer } = third.hello.producer as { epoch: string };
    assertEquals(producer, { id, sent: 4, settled: 4, attempt: 3, last: 2 });
    await client.abort();
  }
});

Deno.test("EbsocketClient reports after a crash of the relay what that does not keep", async () => {
  await using server = new FakeServer({
    ...counting(0),
    history: { epoch: "e1", first: 1, offset: 0, kept: ["kept.*"] },
  });
  const { client, statuses } = await inDoubt(server, "kept.a", "other", "kept.b");
  server.welcome = counting(1, false, "e2");
  const session = await server.session();
  assertEquals(namesOf((await next(statuses, "reconnected")).unconfirmed), ["other"]);
  assertEquals(await session.events(1), ["kept.b"]);
  await client.abort();
});

Deno.test("EbsocketClient that stops reports events in doubt as unconfirmed", async () => {
  await using server = new FakeServer(counting(0));
  const { client, statuses } = await inDoubt(server, "a", "b");
  await next(statuses, "disconnected");
  client.send("c");
  await client.close();
  const { unconfirmed, unsent } = await next(statuses, "closed");
  assertEquals(namesOf(unconfirmed), ["b"]);
  assertEquals(namesOf(unsent), ["c"]);
});

Deno.test("EbsocketClient whose call has failed does not send its event again", async () => {
  await using server = new FakeServer(counting(0));
  const client = new EbsocketClient({ reconnect: RECONNECT });
  const statuses = client.status();
  await client.connectTo(server.address);
  const session = await server.session();
  const confirmed = client.send("a", {}, { confirm: true }).catch((error) => error.code);
  client.send("b");
  await session.events(2);
  await session.close();
  assertEquals(await confirmed, "connection-closed");
  assertEquals(namesOf((await next(statuses, "disconnected")).unconfirmed), ["a"]);
  const again = await server.session();
  assertEquals(await again.events(1), ["b"]);
  await client.abort();
});

Deno.test("EbsocketClient does not try again after another has taken its place", async () => {
  await using server = new FakeServer(counting(0));
  const client = new EbsocketClient({ reconnect: RECONNECT });
  await client.connectTo(server.address);
  const session = await server.session();
  await session.close("replaced");
  assertEquals((await client.closed).reason, "replaced");
});

Deno.test("EbsocketClient tells each reader of its status once what is unconfirmed", async () => {
  await using server = new FakeServer(counting(0));
  const { client, statuses } = await inDoubt(server, "a", "b");
  server.welcome = counting(null, false);
  await server.session();
  assertEquals(namesOf((await next(statuses, "reconnected")).unconfirmed), ["b"]);
  assertEquals((await next(client.status(), "reconnected")).unconfirmed, []);
  await client.abort();
});
