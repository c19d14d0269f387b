import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertFalse } from "@std/assert/false";
import { assertGreater } from "@std/assert/greater";
import { assertLess } from "@std/assert/less";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertStrictEquals } from "@std/assert/strict-equals";
import type { Address } from "../../protocol/address.ts";
import { SubscriptionTable } from "../../relay/subscription_table.ts";
import { Departures } from "../../relay/departures.ts";
import { Inspector } from "../../relay/inspector.ts";
import { decodeReport } from "../../protocol/report.ts";
import { RouteCache } from "../../relay/route_cache.ts";
import { StatsCollector } from "../../relay/stats.ts";
import { textOf, utf8 } from "../support/bytes.ts";
import { FakeRecipient } from "../support/routes.ts";

class FakeClient extends FakeRecipient {
  readonly transport = "tcp";
  readonly address: Address = ["127.0.0.1", 1];
  eventsIn = 0;
  bytesIn = 0;
  bytesOut = 0;
}

function setUp(count: number) {
  const groups = new SubscriptionTable<FakeClient>();
  const subscribers = Array.from({ length: count }, (_, i) => groups.join(new FakeClient(i + 1)));
  const routes = new RouteCache(groups);
  const collector = new StatsCollector();
  const departures = new Departures();
  const inspector = new Inspector({
    stats: () => collector.read([], 0),
    subscribers: () => subscribers,
    largestQueues: (max) => groups.largestQueues(max),
    routes,
    departures,
    elsewhere: () => [],
    isHeardElsewhere: () => false,
  });
  const stop = () => {
    inspector.stop();
    collector.stop();
  };
  return { groups, collector, inspector, subscribers, routes, departures, stop };
}

Deno.test("Inspector.inspect() begins to count names, until it is stopped", () => {
  const { inspector, routes, stop } = setUp(0);
  const find = (name: string) => routes.find(utf8(`"${name}"`), 1, 1 + name.length);
  find("a");
  assertFalse(routes.isCounting);
  const { names, watchedMs } = inspector.inspect();
  assertEquals(names, []);
  assertEquals(watchedMs, 0);
  assert(routes.isCounting);
  stop();
  assertFalse(routes.isCounting);
});

Deno.test("Inspector.inspect() lists clients for which most waits, then those with most traffic", () => {
  const { inspector, subscribers, stop } = setUp(120);
  subscribers[30]!.recipient.pendingBytes = 5;
  subscribers[40]!.recipient.pendingBytes = 9;
  subscribers[50]!.recipient.bytesIn = 7;
  subscribers[60]!.recipient.bytesOut = 8;
  const { clients } = inspector.inspect();
  assertEquals(clients.slice(0, 5).map(({ id }) => id), [41, 31, 61, 51, 1]);
  assertEquals(clients.length, 100);
  stop();
});

Deno.test("Inspector.answer() has at most 200 KiB, whatever names and patterns clients use", () => {
  for (const char of ["x", "\0", "\u0085", "é", "€", "\ud800"]) {
    const { groups, inspector, subscribers, routes, departures, stop } = setUp(200);
    const many = char.repeat(Math.floor(240 / Math.max(utf8(char).length, 1)));
    for (const subscriber of subscribers) {
      const { id } = subscriber.recipient;
      const wish = { control: "subscribe", events: [`${id}.a`, `${id}.b.${many}`] } as const;
      groups.move(subscriber, subscriber.subscriptions.after(wish), false);
      const others = Array.from({ length: 98 }, (_, i) => `${id}.${i}.${many}`);
      const more = { ...wish, events: others, queue: many };
      groups.move(subscriber, subscriber.subscriptions.after(more), false);
    }
    for (const { recipient } of subscribers) {
      departures.add(recipient, { reason: "bad-json", detail: many }, 1);
    }
    inspector.inspect();
    for (let i = 0; i < 200; i++) {
      const name = utf8(JSON.stringify(`${i}.${many}`));
      routes.find(name, 1, name.length - 1);
    }
    inspector.stop(); // so that what follows is found out anew
    routes.isCounting = true;
    const answer = inspector.answer(many);
    assertLessOrEqual(answer.length, 200 * 1024, JSON.stringify(char));
    const { id, report } = decodeReport(JSON.parse(textOf(answer)))!;
    assertEquals(id, many);
    assertEquals(report.clients[0]!.subscriptionCount, 100);
    assertGreater(report.names.length, 30);
    assertGreater(report.clients.length, 90);
    assertGreater(report.queues!.length + report.departures!.length, 0);
    stop();
  }
});

Deno.test("Inspector.answer() encodes once for all requests within a moment", () => {
  const { inspector, subscribers, stop } = setUp(1);
  let encoded = 0;
  const toJSON = () => ["127.0.0.1", ++encoded];
  const address = Object.assign(["127.0.0.1", 1] as [string, number], { toJSON });
  Object.assign(subscribers[0]!.recipient, { address });
  const answers = Array.from({ length: 1000 }, (_, i) => inspector.answer(`${i}`));
  const texts = answers.map((answer) => textOf(answer));
  assertEquals(texts.map((text) => JSON.parse(text).id), texts.map((_, i) => `${i}`));
  // A busy machine may take several tenths of a second for all of them.
  assertLess(encoded, 100);
  stop();
});

Deno.test("Inspector.inspect() returns the same answer for a moment", () => {
  const { inspector, stop } = setUp(1);
  assertStrictEquals(inspector.inspect(), inspector.inspect());
  stop();
});
