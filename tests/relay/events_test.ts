/** What a relay with definitions passes on, and what it says of the rest. */

import { assertEquals } from "@std/assert/equals";
import { assertObjectMatch } from "@std/assert/object-match";
import { assertRejects } from "@std/assert/rejects";
import { assertStringIncludes } from "@std/assert/string-includes";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import { defineEvents, type EventDefinitions } from "../../schema/definitions.ts";
import { EventRefusedError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { Relay } from "../../relay.ts";
import { EbsocketServer } from "../../server.ts";
import { Peer } from "../support/peer.ts";
import { newRelay } from "../support/relay.ts";
import { MESSAGE, schemaOf } from "../support/schemas.ts";
import { soon, until } from "../support/waiting.ts";

const CHAT = defineEvents({
  message: MESSAGE,
  shout: schemaOf(() => ({ value: { content: "HI" } })),
});

const REFUSAL =
  '{"control":"error","name":"message","reason":"bad-attributes","detail":"content: Expected a string"}\n';

Deno.test("Relay with definitions passes valid events on unchanged, and reports the others to their sender", async () => {
  await using relay = newRelay({ events: CHAT, echo: false });
  await using sender = await Peer.connect(relay.server.address);
  await using receiver = await Peer.connect(relay.server.address);
  await until(() => relay.clients.length === 2);
  const good = [
    '{ "event":"message", "__dict__":{"content":"one","n":1.0} }\n',
    '{"event":"shout"}\n',
    '{"event":"message","__dict__":{"content":"last"}}\n',
  ];
  const bad = '{"event":"message","__dict__":{"content":1}}\n';
  await sender.send(`${bad}${good[0]}${bad}\n${good[1]}${bad}${good[2]}`);
  await receiver.sees('"last"}}\n');
  assertEquals(receiver.text, good.join(""));
  await sender.sees(REFUSAL.repeat(3));
  assertEquals(sender.text, REFUSAL.repeat(3));
  assertObjectMatch(relay.stats(), { eventsIn: 6, eventsOut: 3, eventsRefused: 3 });
});

Deno.test("Relay with definitions checks events for subscribers, too", async () => {
  await using relay = newRelay({ events: CHAT, echo: false });
  await using sender = await Peer.connect(relay.server.address);
  await using receiver = await Peer.connect(relay.server.address);
  await receiver.send('{"control":"subscribe","events":["message"],"id":"s1"}\n');
  await receiver.sees('{"control":"ack","id":"s1"}\n');
  const event = '{"event":"message","__dict__":{"content":"hi"}}\n';
  await sender.send(`{"event":"message"}\n{"event":"other"}\n${event}`);
  await receiver.sees(event);
  assertEquals(receiver.text, `{"control":"ack","id":"s1"}\n${event}`);
  await sender.sees('"name":"other","reason":"bad-attributes"');
});

Deno.test("Relay with definitions acknowledges refused events, too", async () => {
  await using relay = newRelay({ events: CHAT, echo: false });
  await using sender = await Peer.connect(relay.server.address);
  await sender.send('{"control":"hello","ack":true}\n{"event":"message"}\n');
  await sender.sees('{"control":"ack","events":1}\n');
});

Deno.test("Relay with definitions refuses requests and events that are to be confirmed", async () => {
  await using relay = newRelay({ events: CHAT, echo: false });
  await using client = new EbsocketClient();
  await client.connectTo(relay.server.address);
  const wrong = new EbsocketEvent("message", { content: 1 });
  for (const promise of [client.request(wrong), client.sendEvent(wrong, { confirm: true })]) {
    const { code, message } = await assertRejects(() => promise, EventRefusedError);
    assertEquals(code, "bad-attributes");
    assertStringIncludes(message, "content: Expected a string");
  }
  const statuses = client.status();
  await statuses.next(); // connected
  client.sendEvent(wrong);
  assertEquals((await soon(statuses.next(), "a status")).value, {
    type: "refused",
    event: "message",
    reason: "bad-attributes",
    detail: "content: Expected a string",
  });
});

Deno.test("Relay throws a TypeError for events that are not definitions", () => {
  const server = new EbsocketServer(["127.0.0.1", 0]);
  const events = { message: MESSAGE } as unknown as EventDefinitions;
  assertThrows(() => new Relay(server, { events }), TypeError, "Invalid events");
  server.close();
});
