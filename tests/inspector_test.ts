import { assertEquals } from "@std/assert/equals";
import type { Address } from "../address.ts";
import { Audiences } from "../audiences.ts";
import { Inspector } from "../inspector.ts";
import { encodeReport } from "../report.ts";
import { RouteCache } from "../route_cache.ts";
import { StatsCollector } from "../stats.ts";
import { utf8 } from "./support/bytes.ts";
import { FakeRecipient } from "./support/routes.ts";

class FakeClient extends FakeRecipient {
  readonly address: Address = ["127.0.0.1", 1];
  eventsIn = 0;
  bytesIn = 0;
  bytesOut = 0;
}

function setUp(count: number) {
  const audiences = new Audiences<FakeClient>();
  const listeners = Array.from({ length: count }, (_, i) => audiences.join(new FakeClient(i + 1)));
  const routes = new RouteCache(audiences);
  const collector = new StatsCollector();
  const inspector = new Inspector({
    stats: () => collector.read([], 0),
    listeners: () => listeners,
    routes,
  });
  const stop = () => {
    inspector.stop();
    collector.stop();
  };
  return { audiences, collector, inspector, listeners, routes, stop };
}

Deno.test("Inspector.inspect() begins to count names, until it is stopped", () => {
  const { inspector, routes, stop } = setUp(0);
  const find = (name: string) => routes.find(utf8(`"${name}"`), 1, 1 + name.length);
  find("a");
  assertEquals(routes.isCounting, false);
  const { names, watchedMs } = inspector.inspect();
  assertEquals([names, watchedMs, routes.isCounting], [[], 0, true]);
  stop();
  assertEquals(routes.isCounting, false);
});

Deno.test("Inspector.inspect() lists clients for which most waits, then those with most traffic", () => {
  const { inspector, listeners, stop } = setUp(120);
  listeners[30]!.recipient.pendingBytes = 5;
  listeners[40]!.recipient.pendingBytes = 9;
  listeners[50]!.recipient.bytesIn = 7;
  listeners[60]!.recipient.bytesOut = 8;
  const { clients } = inspector.inspect();
  assertEquals(clients.slice(0, 5).map(({ id }) => id), [41, 31, 61, 51, 1]);
  assertEquals(clients.length, 100);
  stop();
});

Deno.test("Inspector.inspect() gives an answer that fits into a line, whatever clients have made up", () => {
  const { audiences, inspector, listeners, routes, stop } = setUp(200);
  for (const listener of listeners) {
    const events = Array.from(
      { length: 100 },
      (_, i) => `${listener.recipient.id}.${i}.${"\0".repeat(240)}`,
    );
    audiences.move(listener, listener.subscriptions.after({ control: "subscribe", events }), false);
  }
  inspector.inspect();
  for (let i = 0; i < 200; i++) {
    const name = `"${i}.${"\\u0000".repeat(240)}"`;
    routes.find(utf8(name), 1, name.length - 1);
  }
  const report = {
    ...inspector.inspect(),
    names: routes.counts(100).map(([name, events]) => ({ name, events })),
  };
  assertEquals(encodeReport("i", report).length < 500_000, true);
  assertEquals(report.clients[0]!.subscriptionCount, 100);
  stop();
});

Deno.test("Inspector.inspect() gives the same answer again for a moment", () => {
  const { inspector, stop } = setUp(1);
  assertEquals(inspector.inspect() === inspector.inspect(), true);
  stop();
});
