/** What a client with `raw` receives, and how any client sends raw events. */

import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertInstanceOf } from "@std/assert/instance-of";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { EbsocketClient } from "../../client.ts";
import { EventSchemaError } from "../../errors.ts";
import { EbsocketEvent } from "../../protocol/event.ts";
import { RawEvent } from "../../protocol/raw_event.ts";
import { defineEvents } from "../../schema/definitions.ts";
import { testRelay } from "../../testing.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { FakeRelay, said } from "../support/fake_relay.ts";
import { FakeServer } from "../support/fake_server.ts";
import { MESSAGE } from "../support/schemas.ts";

const LINE = ' {"event":"paid" ,"__dict__":{"2":1.00,"1":12345678901234567890}}\n';

/** The line of a received event, which must be a raw one. */
function rawLine(event: EbsocketEvent): string {
  assertInstanceOf(event, RawEvent);
  return textOf((event as RawEvent).line);
}

/** The next line of a client that is no keep-alive. */
async function lineOf({ session }: FakeRelay): Promise<string | null> {
  for (let line;;) if ((line = await session.line()) !== "") return line;
}

Deno.test("EbsocketClient with raw gives the lines of events as they came", async () => {
  await using relay = await FakeRelay.connect({ raw: true });
  await relay.session.write(`{"event":"a"}\n${LINE}{"event":"b","__dict__":{"n":1}}\r\n`);
  const lines: string[] = [];
  for await (const event of relay.client) {
    lines.push(rawLine(event));
    if (event.event === "b") break;
  }
  assertEquals(lines, ['{"event":"a"}\n', LINE, '{"event":"b","__dict__":{"n":1}}\r\n']);
});

Deno.test("EbsocketClient with raw gives raw requests and replies, and routes them as any client", async () => {
  await using relay = testRelay();
  await using service = new EbsocketClient({ raw: true });
  await using client = new EbsocketClient({ raw: true });
  const requests = service.serve("sum.*");
  const answering = (async () => {
    for await (const request of requests) {
      assertMatch(rawLine(request), /"n":1\.00/);
      await service.reply(request, RawEvent.fromLine(utf8('{"reply_to":"x","event":"z","n":2.0}')));
    }
  })();
  await service.connectTo(relay.address);
  await client.connectTo(relay.address);
  const request = RawEvent.fromLine(utf8('{"event":"sum.a","id":"mine","n":1.00}'));
  const answer = await client.request(request);
  assertMatch(rawLine(answer), /"event":"z","n":2\.0}\n$/);
  const [another] = await Array.fromAsync(client.requestMany(request, { count: 1 }));
  assertEquals(another?.event, "z");
  await service.drain();
  await answering;
});

Deno.test("EbsocketClient sends the line of a raw event as it is", async () => {
  for (const reconnect of [false, true]) {
    await using relay = await FakeRelay.connect({ reconnect });
    const line = ' {"id":"r1", "event":"a","to":"c9" ,"n":1.00}';
    relay.client.sendEvent(RawEvent.fromLine(utf8(line)));
    relay.client.sendEvent(new EbsocketEvent("b"));
    assertEquals(await lineOf(relay), line);
    assertEquals((await said(relay.session)).event, "b");
  }
});

Deno.test("EbsocketClient replaces the members of a raw event that a call needs", async () => {
  await using relay = await FakeRelay.connect();
  const { client } = relay;
  const event = RawEvent.fromLine(utf8('{"to":"c1","event":"a","id":"x","ack":"y","n":1.00}'));
  client.sendEvent(event, { to: "c7" });
  assertEquals(await lineOf(relay), '{"to":"c7","event":"a","id":"x","ack":"y","n":1.00}');
  const clients = client.sendEvent(event, { confirm: true });
  const { ack } = await relay.said();
  await relay.say({ control: "ack", id: ack, clients: 3 });
  assertEquals(await clients, 3);
  client.request(event, { to: "c7" }).catch(() => {});
  assertMatch(
    (await lineOf(relay))!,
    /^{"id":"[\w-]+","to":"c7","event":"a","ack":"y","n":1\.00}$/,
  );
  await client.reply({ id: "r1", from: "c8" }, event);
  const replied = '{"reply_to":"r1","to":"c8","event":"a","id":"x","ack":"y","n":1.00}';
  assertEquals(await lineOf(relay), replied);
});

Deno.test("EbsocketClient.sendEvent() refuses a raw event that the server would not take", async () => {
  await using relay = await FakeRelay.connect({}, { limits: { max_line_bytes: 20 } });
  const event = RawEvent.fromLine(utf8(`{"event":"${"x".repeat(9)}"}`));
  assertThrows(
    () => relay.client.sendEvent(event),
    RangeError,
    "Cannot send EbsocketEvent<xxxxxxxxx>: its 21 bytes exceed the 20 that the server takes (maxLineBytes",
  );
});

Deno.test("EbsocketClient.sendEvent() checks raw events against definitions", async () => {
  await using client = new EbsocketClient({ events: defineEvents({ message: MESSAGE }) });
  await using server = new FakeServer();
  await client.connectTo(server.address);
  const send = (line: string) => client.sendEvent(RawEvent.fromLine(utf8(line)) as never);
  assertThrows(() => send('{"event":"message"}'), EventSchemaError);
  assertThrows(() => send('{"event":"message","__dict__":{"content":1}}'), EventSchemaError);
  send('{"event":"message","__dict__":{"content":"hi"}}');
});

Deno.test("EbsocketClient with raw reports lost events as they were to be sent", async () => {
  await using relay = await FakeRelay.connect({ raw: true, reconnect: true });
  const deep = `{"event":"a","__dict__":${'{"a":'.repeat(100)}1.0${"}".repeat(101)}\n`;
  const other = await FakeRelay.connect({ raw: true });
  await other.session.write(deep);
  const event = await other.client.recvEvent();
  await other[Symbol.asyncDispose]();
  relay.client.sendEvent(event!);
  await relay.session.events(1);
  const statuses = relay.client.status();
  await relay.session.close();
  for await (const status of statuses) {
    if (status.type !== "disconnected") continue;
    assertEquals(status.unconfirmed.map(rawLine), [deep]);
    break;
  }
});

Deno.test("EbsocketClient with raw does not keep the lines around an event that stays unread", async () => {
  await using relay = await FakeRelay.connect({ raw: true });
  const { client, session } = relay;
  const replies = client.requestMany(new EbsocketEvent("ask"), { count: 1 });
  const reply = replies.next();
  const { id } = await relay.said();
  const service = client.serve("rare");
  const served = service.next();
  await relay.say({ control: "ack", id: (await relay.said()).id });
  const others = `{"event":"often","__dict__":{"x":"${"x".repeat(100)}"}}\n`.repeat(100);
  const lines = `{"event":"rare"}\n{"event":"a","reply_to":"${id}"}\n`;
  await session.write(others + lines);
  for (const { value } of [await served, await reply]) {
    const { line } = value as RawEvent;
    assertEquals(line.buffer.byteLength, line.length);
  }
  const last = (await client.recvEvents()).at(-1) as RawEvent;
  assertGreater(last.line.buffer.byteLength, 1000); // The others are most of their block.
});

Deno.test("EbsocketClient takes either raw or definitions", async () => {
  const events = defineEvents({ message: MESSAGE });
  assertThrows(() => new EbsocketClient({ raw: true, events }), TypeError, "Invalid raw: ");
  await using client = new EbsocketClient({ raw: false, events });
  await assertRejects(() => client.recvEvent());
});
