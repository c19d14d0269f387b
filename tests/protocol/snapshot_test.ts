import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import { takeSnapshot } from "../../protocol/snapshot.ts";
import { clientReport, relayReport } from "../support/report.ts";

Deno.test("takeSnapshot() divides counts by the time between, by the relay's clock", () => {
  const before = relayReport({ uptimeMs: 1000, eventsIn: 10, bytesOut: 0, eventsUnheard: 1 });
  const after = relayReport({ uptimeMs: 3000, eventsIn: 30, bytesOut: 4096, eventsUnheard: 2 });
  const { intervalMs, relay } = takeSnapshot(before, after);
  assertEquals(intervalMs, 2000);
  assertEquals(relay.eventsInPerSecond, 10);
  assertEquals(relay.bytesOutPerSecond, 2048);
  assertEquals(relay.eventsOutPerSecond, 0);
  assertEquals(relay.eventsUnheardPerSecond, 0.5);
});

Deno.test("takeSnapshot() of one report has no rates", () => {
  const { intervalMs, relay, clients } = takeSnapshot(
    null,
    relayReport({ clients: 1 }, { clients: [clientReport({ id: 1 })] }),
  );
  assertStrictEquals(intervalMs, null);
  assertStrictEquals(relay.eventsInPerSecond, null);
  assertStrictEquals(clients[0]!.eventsInPerSecond, null);
});

Deno.test("takeSnapshot() counts everything of a new client if the last report was complete", () => {
  const client = clientReport({ id: 2, eventsIn: 5 });
  const after = relayReport({ uptimeMs: 2000, clients: 1 }, { clients: [client] });
  const none = relayReport({ uptimeMs: 1000, clients: 0 });
  assertEquals(takeSnapshot(none, after).clients[0]!.eventsInPerSecond, 5);
  const notAll = relayReport({ uptimeMs: 1000, clients: 200 });
  assertStrictEquals(takeSnapshot(notAll, after).clients[0]!.eventsInPerSecond, null);
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

Deno.test("takeSnapshot() has the rates of names, as far as they are known", () => {
  const before = relayReport({ uptimeMs: 1000 }, {
    names: [{ name: "a", events: 1 }],
    watchedMs: 500,
  });
  const names = [{ name: "a", events: 3, hearers: 0 }, { name: "new", events: 9 }];
  const after = relayReport({ uptimeMs: 2000 }, { names, watchedMs: 1500 });
  assertEquals(takeSnapshot(before, after).names, [
    { name: "new", eventsPerSecond: 9, hearers: null },
    { name: "a", eventsPerSecond: 2, hearers: 0 },
  ]);
  const restarted = relayReport({ uptimeMs: 2000 }, { names, watchedMs: 100 });
  assertEquals(takeSnapshot(before, restarted).names.map((each) => each.eventsPerSecond), [
    null,
    null,
  ]);
});

Deno.test("takeSnapshot() shows queues besides patterns", () => {
  const subscriptions = [{ pattern: "a.*" }, { pattern: "job.>", queue: "workers" }];
  const client = clientReport({ id: 1, subscriptions, subscriptionCount: 2 });
  const after = relayReport({}, { clients: [client] });
  assertEquals(takeSnapshot(null, after).clients[0]!.subscriptions, ["a.*", "job.> [workers]"]);
});

Deno.test("takeSnapshot() shows how long ago clients have left, by the relay's clock", () => {
  const address = ["::1", 5] as const;
  const departures = [{ id: 7, address, reason: "eof", detail: "why", uptimeMs: 1500 }] as const;
  const { departures: shown } = takeSnapshot(null, relayReport({ uptimeMs: 2000 }, { departures }));
  assertEquals(shown, [
    { id: "c7", address: "[::1]:5", reason: "eof", detail: "why", agoMs: 500 },
  ]);
});

Deno.test("takeSnapshot() of an older relay has null for what that does not report", () => {
  const { queues, departures, version } = takeSnapshot(null, relayReport());
  assertEquals({ queues, departures, version }, { queues: null, departures: null, version: null });
  const newer = takeSnapshot(null, relayReport({}, { queues: [], version: "1.2.3" }));
  assertEquals(newer.queues, []);
  assertStrictEquals(newer.version, "1.2.3");
});

Deno.test("takeSnapshot() shows the patterns of each queue, as far as its clients are known", () => {
  const clients = [["a", "b.>"], ["a"]].map((patterns, id) =>
    clientReport({
      id,
      subscriptions: [{ pattern: "x" }, ...patterns.map((pattern) => ({ pattern, queue: "q" }))],
    })
  );
  const queues = [{ name: "q", members: 3 }, { name: "r", members: 1 }];
  assertEquals(takeSnapshot(null, relayReport({}, { clients, queues })).queues, [
    { name: "q", members: 3, patterns: ["a", "b.>"] },
    { name: "r", members: 1, patterns: [] },
  ]);
});
