import { assertEquals } from "@std/assert/equals";
import { assertNotStrictEquals } from "@std/assert/not-strict-equals";
import { assertRejects } from "@std/assert/rejects";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { assertThrows } from "@std/assert/throws";
import { EbsocketError } from "../../errors.ts";
import type { Lifecycle } from "../../client/lifecycle.ts";
import { checkClientOptions } from "../../client/options.ts";
import { systemPort } from "../../client/system_port.ts";
import { refused, Sender } from "../../client/sender.ts";
import { notSupported } from "../../protocol/control.ts";
import { EbsocketEvent, type OpenEvents } from "../../protocol/event.ts";
import { RawDecoder, RawEvent } from "../../protocol/raw_event.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { FakeRelay, FEATURES } from "../support/fake_relay.ts";

Deno.test("notSupported() names the missing feature of the server", () => {
  const { code, message } = notSupported("ack", "confirm EbsocketEvent<a>");
  const why = 'the server does not offer "ack"; a relay does';
  assertEquals(message, `Cannot confirm EbsocketEvent<a>: ${why}`);
  assertEquals(code, "not-supported");
});

Deno.test("refused() rejects, and does not end a program that ignores it", async () => {
  await assertRejects(() => refused(new EbsocketError("x", "no")), EbsocketError, "no");
  refused(new Error("ignored"));
});

Deno.test("Sender writes an event and its envelope into one line, with and without reconnect", async () => {
  for (const reconnect of [false, true]) {
    await using relay = await FakeRelay.connect({ reconnect });
    const { client, session } = relay;
    client.sendEvent(new EbsocketEvent("a", { x: "\u2028" }), { to: "c4" });
    client.sendEvent(new EbsocketEvent("b"));
    client.reply({ id: "r1", from: "c2" }, new EbsocketEvent("c"));
    assertEquals(
      [await session.line(), await session.line(), await session.line()],
      [
        '{"event":"a","__dict__":{"x":"\\u2028"},"to":"c4"}',
        '{"event":"b","__dict__":{}}',
        '{"event":"c","__dict__":{},"reply_to":"r1","to":"c2"}',
      ],
    );
  }
});

Deno.test("Sender keeps no line that was not queued", async () => {
  const welcome = { ...FEATURES, limits: { max_line_bytes: 60 } };
  await using relay = await FakeRelay.connect({ maxPendingBytes: 100 }, welcome);
  const { client, session } = relay;
  const long = new EbsocketEvent("a", { text: "x".repeat(40) });
  assertThrows(() => client.sendEvent(long), RangeError, "exceed the 60 that the server takes");
  await assertRejects(() => client.request(long), RangeError, "exceed the 60");
  const events = ["a", "b", "c"].map((text) => new EbsocketEvent("e", { text }));
  const sent: Promise<unknown>[] = [
    ...events.map((event) => client.sendEvent(event)),
    client.request(events[0]!),
    client.sendEvent(events[0]!, { confirm: true }),
  ];
  const codes = await Promise.all(sent.map((each) => each.then(() => "", ({ code }) => code)));
  assertEquals(codes, ["", "", "queue-full", "queue-full", "queue-full"]);
  assertEquals(JSON.parse((await session.line())!).__dict__, { text: "a" });
  assertEquals(JSON.parse((await session.line())!).__dict__, { text: "b" });
});

Deno.test("Sender copies the lines of raw events that are a small part of their block", () => {
  const manager = { maxLineBytes: Infinity, session: null };
  const lifecycle = { sending: () => manager } as unknown as Lifecycle;
  const sender = new Sender<OpenEvents>(checkClientOptions({}, systemPort), lifecycle, {} as never);
  const decoder = new RawDecoder();
  const block = utf8('{"event":"a"}\n'.repeat(16));
  const events = decoder.decode(block) as RawEvent[];
  const lines = events.map((event) => sender.encode(event));
  assertEquals(lines.map((line) => line.buffer === block.buffer).indexOf(true), 2);
  assertEquals(lines.map(textOf), events.map(({ line }) => textOf(line)));
  const [other] = decoder.decode(block.slice()) as RawEvent[];
  assertNotStrictEquals(sender.encode(other!).buffer, other!.line.buffer);
  const alone = RawEvent.fromLine(utf8('{"event":"a"}'));
  assertStrictEquals(sender.encode(alone), alone.line);
});
