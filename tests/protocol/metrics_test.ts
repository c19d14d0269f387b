import { assert } from "@std/assert/assert";
import { assertArrayIncludes } from "@std/assert/array-includes";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { CLOSE_REASONS } from "../../errors.ts";
import { METRICS, RUNTIME_METRICS } from "../../protocol/metrics.ts";
import type { RelayStats } from "../../protocol/report.ts";
import { clusterStats, historyStats, relayReport } from "../support/report.ts";

const ALL = [...METRICS, ...RUNTIME_METRICS];
const CLUSTER = clusterStats();

Deno.test("The metrics have every figure of the statistics", () => {
  const history = watched(historyStats());
  const stats = watched(relayReport({ cluster: CLUSTER, history: history.value }).relay);
  for (const metric of ALL) metric.read(stats.value);
  assertEquals(stats.read, new Set(Object.keys(stats.value)));
  const figures = Object.keys(history.value).filter((name) => name !== "epoch" && name !== "first");
  assertEquals(history.read, new Set(figures)); // As docs/history.md says.
});

/** Returns an object, and the names of its members that are read. */
function watched<T extends object>(object: T): { value: T; read: Set<string> } {
  const read = new Set<string>();
  const value = new Proxy(object, {
    get(target, name) {
      read.add(String(name));
      return Reflect.get(target, name);
    },
  });
  return { value, read };
}

Deno.test("The metrics change the units of the statistics only where their own say so", () => {
  const { relay } = relayReport({ bytesIn: 7, eventsUnheard: 3, uptimeMs: 1500 });
  const valuesOf = (name: string) => ALL.find((each) => each.name === name)?.read(relay);
  assertEquals(valuesOf("ebsockets.events.unheard"), [[3]]);
  assertEquals(valuesOf("ebsockets.io")![0], [7, { "network.io.direction": "receive" }]);
  assertEquals(valuesOf("ebsockets.uptime"), [[1.5]]);
});

Deno.test("Each metric has a name of its own, and a description without a full stop", () => {
  assertEquals(new Set(ALL.map(({ name }) => name)).size, ALL.length);
  for (const { name, description } of ALL) {
    assertMatch(name, /^(ebsockets|process|v8js)(\.[a-z]+)+$/);
    assertMatch(description, /^[A-Z][^\n\\]*[^.]$/);
  }
});

Deno.test("The attributes of metrics have values that no peer can choose", () => {
  const reasons = Object.keys(CLOSE_REASONS);
  const attributes = ALL.flatMap((metric) => metric.read(relayReport({ cluster: CLUSTER }).relay))
    .flatMap(([, attributes]) => Object.entries(attributes ?? {}));
  assert(attributes.length > reasons.length);
  for (const [name, value] of attributes) {
    const isDirection = name === "network.io.direction";
    assertArrayIncludes(isDirection ? ["receive", "transmit"] : reasons, [value], name);
  }
});

Deno.test("A metric by reason has a value for each of them, also while it is 0", () => {
  const closes = { ...relayReport().relay.closes, "eof": 2 } satisfies RelayStats["closes"];
  const { relay } = relayReport({ closes });
  const points = METRICS.find(({ name }) => name === "ebsockets.closes")!.read(relay);
  assertEquals(points.length, Object.keys(CLOSE_REASONS).length);
  assertEquals(points.filter(([value]) => value > 0), [[2, { "ebsockets.close.reason": "eof" }]]);
});

Deno.test("The metrics of a cluster are the sums over the other relays, and absent without one", () => {
  const of = (name: string, stats: Partial<RelayStats>) =>
    ALL.find((each) => each.name === name)!.read(relayReport(stats).relay);
  const relays = [
    { relay: "rBBBBBBBB", eventsIn: 1, eventsOut: 2, pendingBytes: 3 },
    { relay: "rCCCCCCCC", eventsIn: 10, eventsOut: 20, pendingBytes: 30 },
  ];
  const cluster = clusterStats({ relays, isAlone: true });
  assertEquals(of("ebsockets.cluster.relays", { cluster }), [[2]]);
  assertEquals(of("ebsockets.cluster.alone", { cluster }), [[1]]);
  assertEquals(of("ebsockets.cluster.queue.size", { cluster }), [[33]]);
  assertEquals(of("ebsockets.cluster.events", { cluster }).map(([value]) => value), [11, 22]);
  for (const { name } of ALL.filter(({ name }) => name.startsWith("ebsockets.cluster"))) {
    assertEquals(of(name, {}), []);
  }
});

Deno.test("The metrics of a history are its figures, and absent without one", () => {
  const of = (name: string, stats: Partial<RelayStats>) =>
    ALL.find((each) => each.name === `ebsockets.history.${name}`)!.read(relayReport(stats).relay);
  const history = historyStats({
    offset: 9,
    synced: 2,
    isBroken: true,
    events: 5,
    bytes: 100,
    evicted: 4,
    names: 3,
    namesRefused: 2,
    catchingUp: 1,
    producers: 6,
  });
  const figures = {
    events: 5,
    size: 100,
    kept: 9,
    waiting: 7,
    broken: 1,
    evicted: 4,
    names: 3,
    "names.refused": 2,
    producers: 6,
    clients: 1,
  };
  for (const [name, value] of Object.entries(figures)) {
    assertEquals(of(name, { history }), [[value]], name);
    assertEquals(of(name, {}), [], name);
  }
});
