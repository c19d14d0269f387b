import { assertEquals } from "@std/assert/equals";
import { assertGreater } from "@std/assert/greater";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { benchEvents } from "../../cli/benchmarks.ts";
import { defineEvents } from "../../schema/definitions.ts";
import { testRelay } from "../../testing.ts";
import { connectorTo } from "../support/connector.ts";
import { Peer } from "../support/peer.ts";
import { schemaOf } from "../support/schemas.ts";

const load = { events: 2000, size: 128, publishers: 3, subscribers: 2, rate: null };

Deno.test("benchEvents() counts every event at every subscriber", async () => {
  await using relay = testRelay();
  let seen = 0;
  const result = await benchEvents(connectorTo(relay), load, () => seen++);
  const { sent, expected, received, misplaced, latency, faults } = result;
  assertEquals({ sent, expected, received, misplaced, latency, faults }, {
    sent: 2000,
    expected: 4000,
    received: 4000,
    misplaced: 0,
    latency: null,
    faults: [],
  });
  assertEquals(seen, 4000);
});

Deno.test("benchEvents() keeps the rate, and measures each latency", async () => {
  await using relay = testRelay();
  const result = await benchEvents(
    connectorTo(relay),
    { ...load, events: 300, rate: 1000 },
    () => {},
  );
  assertEquals(result.latency!.count, 600);
  assertGreaterOrEqual(result.sendMs, 299);
});

Deno.test("benchEvents() counts lost and repeated events", async () => {
  await using relay = testRelay();
  let sent = 0;
  const connector = connectorTo(relay, (client) => {
    const send = client.sendEvent.bind(client) as (event: object) => Promise<void>;
    const faulty = (event: object) => {
      sent++;
      if (sent === 10) return Promise.resolve();
      if (sent === 20) send(event);
      return send(event);
    };
    Object.assign(client, { sendEvent: faulty });
  });
  const result = await benchEvents(
    connector,
    { ...load, events: 100, publishers: 1, subscribers: 1 },
    () => {},
  );
  assertEquals(result.expected, 100);
  assertEquals(result.received, 99);
  assertEquals(result.misplaced, 1);
});

Deno.test("benchEvents() ignores the events of others", async () => {
  await using relay = testRelay();
  await using other = await Peer.connect(relay.address);
  const sending = other.send('{"event":"bench.other.0","__dict__":{"n":0}}\n'.repeat(1000));
  const result = await benchEvents(connectorTo(relay), load, () => {});
  assertEquals(result.received, 4000);
  assertEquals(result.misplaced, 0);
  assertEquals(result.faults, []);
  await sending;
});

Deno.test("benchEvents() ends when the relay refuses its events", async () => {
  const events = defineEvents({ tick: schemaOf<object>((value) => ({ value: value as object })) });
  await using relay = testRelay({ events });
  const result = await benchEvents(connectorTo(relay), load, () => {});
  assertEquals(result.received, 0);
  assertEquals(result.faults.length, 1);
  const why =
    /^The relay refuses "bench\.[^"]*": bad-attributes: no event of this name is defined$/;
  assertMatch(result.faults[0]!, why);
});

Deno.test("benchEvents() reports the reason when clients are disconnected", async () => {
  const relay = testRelay();
  let seen = 0;
  let closing: Promise<void> | null = null;
  const result = await benchEvents(connectorTo(relay), { ...load, events: 1_000_000 }, () => {
    if (++seen === 1000) closing = relay.close();
  });
  assertLess(result.sent, 1_000_000);
  assertEquals(result.expected, 2 * result.sent);
  assertLessOrEqual(result.received, result.expected);
  assertGreater(result.sendMs, 0);
  assertEquals(result.faults.length, 5);
  assertMatch(result.faults[0]!, /^Subscriber 1 was disconnected: shutdown/);
  await closing;
});
