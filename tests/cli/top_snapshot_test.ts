import { assertEquals } from "@std/assert/equals";
import { takeSnapshot } from "../../cli/top_snapshot.ts";
import { clientReport, relayReport } from "../support/report.ts";

Deno.test("takeSnapshot() divides what has been counted by the time between, by the relay's clock", () => {
  const before = relayReport({ uptimeMs: 1000, eventsIn: 10, bytesOut: 0, eventsUnheard: 1 });
  const after = relayReport({ uptimeMs: 3000, eventsIn: 30, bytesOut: 4096, eventsUnheard: 2 });
  const { intervalMs, relay } = takeSnapshot(before, after);
  assertEquals(intervalMs, 2000);
  assertEquals([relay.eventsInPerSecond, relay.bytesOutPerSecond], [10, 2048]);
  assertEquals([relay.eventsOutPerSecond, relay.eventsUnheardPerSecond], [0, 0.5]);
});

Deno.test("takeSnapshot() of one report knows no rates", () => {
  const { intervalMs, relay, clients } = takeSnapshot(
    null,
    relayReport({ clients: 1 }, { clients: [clientReport({ id: 1 })] }),
  );
  assertEquals([intervalMs, relay.eventsInPerSecond, clients[0]!.eventsInPerSecond], [
    null,
    null,
    null,
  ]);
});

Deno.test("takeSnapshot() knows what a client has done that has come meanwhile, if it knew all before", () => {
  const client = clientReport({ id: 2, eventsIn: 5 });
  const after = relayReport({ uptimeMs: 2000, clients: 1 }, { clients: [client] });
  const none = relayReport({ uptimeMs: 1000, clients: 0 });
  assertEquals(takeSnapshot(none, after).clients[0]!.eventsInPerSecond, 5);
  const notAll = relayReport({ uptimeMs: 1000, clients: 200 });
  assertEquals(takeSnapshot(notAll, after).clients[0]!.eventsInPerSecond, null);
});

Deno.test("takeSnapshot() puts those with most to wait for first, then the busiest", () => {
  const before = relayReport(
    { uptimeMs: 1000, clients: 3 },
    { clients: [1, 2, 3].map((id) => clientReport({ id })) },
  );
  const after = relayReport({ uptimeMs: 2000, clients: 3 }, {
    clients: [
      clientReport({ id: 1, eventsIn: 1 }),
      clientReport({ id: 2, eventsOut: 2 }),
      clientReport({ id: 3, pendingBytes: 1 }),
    ],
  });
  assertEquals(takeSnapshot(before, after).clients.map(({ id }) => id), ["c3", "c2", "c1"]);
});

Deno.test("takeSnapshot() tells how often names were heard, as far as that is known", () => {
  const before = relayReport({ uptimeMs: 1000 }, {
    names: [{ name: "a", events: 1 }],
    watchedMs: 500,
  });
  const names = [{ name: "a", events: 3 }, { name: "new", events: 9 }];
  const after = relayReport({ uptimeMs: 2000 }, { names, watchedMs: 1500 });
  assertEquals(takeSnapshot(before, after).names, [
    { name: "new", eventsPerSecond: 9 },
    { name: "a", eventsPerSecond: 2 },
  ]);
  const restarted = relayReport({ uptimeMs: 2000 }, { names, watchedMs: 100 });
  assertEquals(takeSnapshot(before, restarted).names.map((each) => each.eventsPerSecond), [
    null,
    null,
  ]);
});

Deno.test("takeSnapshot() names queues beside patterns", () => {
  const subscriptions = [{ pattern: "a.*" }, { pattern: "job.>", queue: "workers" }];
  const client = clientReport({ id: 1, subscriptions, subscriptionCount: 2 });
  const after = relayReport({}, { clients: [client] });
  assertEquals(takeSnapshot(null, after).clients[0]!.subscriptions, ["a.*", "job.> [workers]"]);
});
