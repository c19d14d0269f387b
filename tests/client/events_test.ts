/** What a client with definitions sends, hands out and puts aside. */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import { defineEvents, type EventDefinitions } from "../../schema/definitions.ts";
import { EventSchemaError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { expectEvents, testRelay } from "../../testing.ts";
import { FakeServer } from "../support/fake_server.ts";
import { ASYNCHRONOUS, MESSAGE, schemaOf, THROWING } from "../support/schemas.ts";
import { soon } from "../support/waiting.ts";

const CHAT = defineEvents({
  message: MESSAGE,
  shout: schemaOf(() => ({ value: { content: "HI" } })),
  throwing: THROWING,
  asynchronous: ASYNCHRONOUS,
});

const RIGHT = '{"event":"message","__dict__":{"content":"hi"}}\n';
const WRONG = '{"event":"message","__dict__":{"content":1}}\n';

Deno.test("EbsocketClient receives the output of validators, and no invalid event", async () => {
  await using client = new EbsocketClient({ events: CHAT });
  await using server = new FakeServer();
  const invalidEvents = client.invalidEvents();
  await client.connectTo(server.address);
  const session = await server.session();
  await session.write(
    `${WRONG}${RIGHT}{"event":"throwing"}\n{"event":"asynchronous"}\n{"event":"constructor"}\n` +
      '{"event":"shout","__dict__":{"content":"hi"}}\n',
  );
  for (const content of ["hi", "HI"]) {
    assertEquals((await client.recvEvent())?.__dict__.content, content);
  }
  assertEquals(client.invalidEventCount, 4);
  await client.abort();
  const seen = await Array.fromAsync(invalidEvents);
  assertEquals(seen.map(({ event, issues, missed }) => [event.event, issues, missed]), [
    ["message", ["content: Expected a string"], 0],
    ["throwing", ['Cannot check event "throwing": boom'], 0],
    ["asynchronous", ['Cannot check event "asynchronous": its validator is asynchronous'], 0],
    ["constructor", ["no event of this name is defined"], 0],
  ]);
  assertEquals(seen[0]!.event.__dict__, { content: 1 });
});

Deno.test("EbsocketClient.sendEvent() throws at the call where an event does not fit", async () => {
  await using client = new EbsocketClient({ events: CHAT });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const session = await server.session();
  const wrong = new EbsocketEvent("message", { content: 1 as unknown as string });
  const error = assertThrows(() => client.sendEvent(wrong), EventSchemaError);
  assertEquals(error.issues, ["content: Expected a string"]);
  const throwing = new EbsocketEvent("throwing", { content: "hi" });
  assertThrows(() => client.sendEvent(throwing), TypeError, "boom");
  const asynchronous = new EbsocketEvent("asynchronous", { content: "hi" });
  assertThrows(() => client.sendEvent(asynchronous), TypeError, "asynchronous");
  client.sendEvent(new EbsocketEvent("shout", { content: "hi" }));
  assertEquals(await session.line(), '{"event":"shout","__dict__":{"content":"hi"}}');
});

Deno.test("EbsocketClient.sendEvent() sends the given attributes, even if a validator sends events", async () => {
  await using relay = testRelay();
  const other = await relay.connect();
  const schema = schemaOf<{ n: number }>((value) => {
    client.sendEvent(new EbsocketEvent("seen", {}));
    return { value: value as { n: number } };
  });
  const events = defineEvents({ m: schema, seen: schemaOf<object>(() => ({ value: {} })) });
  const client = new EbsocketClient({ events });
  await client.connectTo(relay.address);
  client.sendEvent(new EbsocketEvent("m", { n: 1 }));
  await expectEvents(other, [["seen", {}], ["m", { n: 1 }]]);
  await client.close();
});

Deno.test("EbsocketClient.sendEvent() checks before there is a connection", () => {
  const client = new EbsocketClient({ events: CHAT });
  const wrong = new EbsocketEvent("message", { content: 1 as unknown as string });
  assertThrows(() => client.sendEvent(wrong), EventSchemaError);
});

Deno.test("EbsocketClient.sendEvent() sends the given attributes, even if a validator changes them", async () => {
  const trim = schemaOf((value) => {
    const attributes = value as { content: string };
    attributes.content = attributes.content.trim();
    return { value: attributes };
  });
  await using client = new EbsocketClient({ events: defineEvents({ trim }) });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const session = await server.session();
  client.sendEvent(new EbsocketEvent("trim", { content: " hi " }));
  assertEquals(await session.line(), '{"event":"trim","__dict__":{"content":" hi "}}');
});

Deno.test("EbsocketClient.invalidEvents() goes on over reconnects, and ends with the client", async () => {
  await using client = new EbsocketClient({
    events: CHAT,
    reconnect: { minDelay: 1, maxDelay: 1 },
  });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const invalidEvents = client.invalidEvents();
  const first = await server.session();
  await first.write(WRONG);
  assertFalse((await soon(invalidEvents.next(), "an invalid event")).done);
  first.conn.close();
  const second = await server.session();
  await second.write(WRONG);
  assertFalse((await soon(invalidEvents.next(), "another invalidEvent")).done);
  await client.abort();
  assert((await invalidEvents.next()).done);
  assert((await client.invalidEvents().next()).done);

  await client.connectTo(server.address);
  const third = await server.session();
  const again = client.invalidEvents();
  await third.write(WRONG);
  assertFalse((await soon(again.next(), "a third invalidEvent")).done);
  assertEquals(client.invalidEventCount, 3);
});

Deno.test("EbsocketClient.request() rejects if the answer does not fit, and does not lose it", async () => {
  await using client = new EbsocketClient({ events: CHAT });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const session = await server.session();
  const invalidEvents = client.invalidEvents();
  const asked = client.request(new EbsocketEvent("message", { content: "who" }));
  const { id } = JSON.parse((await session.line())!);
  await session.write(`{"event":"message","__dict__":{"content":1},"reply_to":"${id}"}\n`);
  const error = await assertRejects(() => asked, EventSchemaError);
  assertEquals(
    error.message,
    "Cannot request EbsocketEvent<message>: EbsocketEvent<message> answers, and does not fit: " +
      "content: Expected a string",
  );
  assertEquals(error.issues, ["content: Expected a string"]);
  assertEquals((await soon(invalidEvents.next(), "an invalid event")).value?.event.replyTo, id);
});

Deno.test("EbsocketClient.request() resolves to the output of the validator", async () => {
  await using client = new EbsocketClient({ events: CHAT });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const session = await server.session();
  const asked = client.request(new EbsocketEvent("message", { content: "who" }));
  const { id } = JSON.parse((await session.line())!);
  await session.write(`{"event":"shout","__dict__":{"content":"hi"},"reply_to":"${id}"}\n`);
  assertEquals((await asked).__dict__, { content: "HI" });
  const wrong = new EbsocketEvent("message", { content: 1 as unknown as string });
  await assertRejects(() => client.request(wrong), EventSchemaError);
});

Deno.test("EbsocketClient.requestMany() goes on over answers that do not fit", async () => {
  await using client = new EbsocketClient({ events: CHAT });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const session = await server.session();
  const answers = client.requestMany(new EbsocketEvent("message", { content: "who" }), {
    count: 1,
  });
  const first = answers.next();
  const { id } = JSON.parse((await session.line())!);
  for (const content of ["1", '"me"']) {
    await session.write(
      `{"event":"message","__dict__":{"content":${content}},"reply_to":"${id}"}\n`,
    );
  }
  assertEquals((await first).value?.__dict__.content, "me");
  assert((await answers.next()).done);
  assertEquals(client.invalidEventCount, 1);
});

Deno.test("EbsocketClient.serve() iterates over valid events only", async () => {
  await using client = new EbsocketClient({ events: CHAT });
  await using server = new FakeServer({ features: ["subscribe", "ack"] });
  await client.connectTo(server.address);
  const session = await server.session();
  const service = client.serve("message");
  const first = service.next();
  const { id } = JSON.parse((await session.line())!);
  await session.write(`${WRONG}{"control":"ack","id":"${id}"}\n${WRONG}${RIGHT}`);
  assertEquals((await first).value?.__dict__.content, "hi");
  assertEquals(client.invalidEventCount, 2);
  await service.return();
});

Deno.test("EbsocketClient does not report invalid events that it has not subscribed to", async () => {
  await using client = new EbsocketClient({ events: CHAT });
  await using server = new FakeServer({ features: ["subscribe", "ack"] });
  await client.subscribe(["message"]);
  const connecting = client.connectTo(server.address);
  const session = await server.session();
  const { id } = JSON.parse((await session.line())!);
  await session.write(`{"event":"other"}\n${WRONG}{"control":"ack","id":"${id}"}\n`);
  await connecting;
  assertEquals(client.invalidEventCount, 1);
});

Deno.test("EbsocketClient.reply() sends only an answer that fits", async () => {
  await using client = new EbsocketClient({ events: CHAT });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const wrong = new EbsocketEvent("message", { content: 1 as unknown as string });
  assertThrows(() => client.reply({ id: "r1", from: "c2" }, wrong), EventSchemaError);
});

Deno.test("EbsocketClient.pump() is not held up by invalid events", async () => {
  await using client = new EbsocketClient({ events: CHAT, maxUnreadEvents: 2 });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const session = await server.session();
  await session.write(WRONG.repeat(1000) + RIGHT);
  const contents: string[] = [];
  while (contents.length === 0) {
    for (const { __dict__ } of (await client.pump())[0]) contents.push(__dict__.content);
  }
  assertEquals(contents, ["hi"]);
  assertEquals(client.invalidEventCount, 1000);
});

Deno.test("EbsocketClient throws a TypeError for events that are not definitions", () => {
  const events = { message: MESSAGE } as unknown as EventDefinitions;
  assertThrows(() => new EbsocketClient({ events }), TypeError, "Invalid events");
});
