import { assertEquals } from "@std/assert/equals";
import { assertStrictEquals } from "@std/assert/strict-equals";
import {
  decodeReport,
  encodeAnswer,
  encodeReport,
  type RelayReport,
} from "../../protocol/report.ts";
import { encodeRequest } from "../../protocol/control.ts";
import { StatsCollector } from "../../relay/stats.ts";
import { textOf } from "../support/bytes.ts";

const collector = new StatsCollector();
const relay = collector.read([], 0);
collector.stop();

const REPORT: RelayReport = {
  relay,
  clients: [{
    id: 7,
    address: ["127.0.0.1", 5],
    eventsIn: 1,
    eventsOut: 2,
    bytesIn: 3,
    bytesOut: 4,
    pendingBytes: 5,
    subscriptionCount: 1,
    subscriptions: [{ pattern: "a.*", queue: "q" }],
  }],
  names: [{ name: "a", events: 12, hearers: 2 }],
  watchedMs: 1000,
  version: "1.2.3",
  queues: [{ name: "q", members: 2 }],
  departures: [{ id: 6, address: ["::1", 4], reason: "eof", detail: "", uptimeMs: 900 }],
};

const DEPARTURE = REPORT.departures![0]!;

const parse = (line: Uint8Array) => JSON.parse(textOf(line));

Deno.test("decodeReport() reads the lines of encodeAnswer()", () => {
  const members = encodeReport(REPORT);
  for (const id of ["i1", '"\\\u2028é']) {
    assertEquals(decodeReport(parse(encodeAnswer(id, members))), { id, report: REPORT });
  }
  assertEquals(parse(encodeAnswer(undefined, members)), { control: "stats", ...REPORT });
  assertEquals(parse(encodeRequest({ control: "stats", id: "i1" })), {
    control: "stats",
    id: "i1",
  });
});

Deno.test("decodeReport() returns null for anything but a report", () => {
  const line = parse(encodeAnswer("i1", encodeReport(REPORT)));
  assertStrictEquals(decodeReport({ control: "ack", id: "i1" }), null);
  assertStrictEquals(decodeReport(parse(encodeRequest({ control: "stats", id: "i1" }))), null);
  const wrong: Record<string, unknown>[] = [
    { id: 5 },
    { relay: null },
    { relay: {} },
    { relay: { ...relay, closes: null } },
    { relay: { ...relay, rssBytes: Infinity } },
    { relay: { ...relay, refusals: { eof: "1" } } },
    { relay: { ...relay, eventsUnheard: undefined } },
    { clients: {} },
    { clients: [null] },
    { clients: [{ ...REPORT.clients[0], address: null }] },
    { clients: [{ ...REPORT.clients[0], pendingBytes: "5" }] },
    { clients: [{ ...REPORT.clients[0], subscriptions: [{ pattern: 1 }] }] },
    { clients: [{ ...REPORT.clients[0], subscriptions: [{ pattern: "a", queue: 1 }] }] },
    { clients: [{ ...REPORT.clients[0], subscriptionCount: "1" }] },
    { names: ["a"] },
    { names: [{ name: 1, events: 1 }] },
    { names: null },
    { names: [{ name: "a", events: 1, hearers: "2" }] },
    { watchedMs: "1" },
    { version: 1 },
    { queues: {} },
    { queues: [{ name: "q" }] },
    { queues: [{ name: 1, members: 1 }] },
    { departures: null },
    { departures: [{ ...DEPARTURE, address: "::1" }] },
    { departures: [{ ...DEPARTURE, reason: 1 }] },
    { departures: [{ ...DEPARTURE, detail: undefined }] },
    { departures: [{ ...DEPARTURE, uptimeMs: "900" }] },
  ];
  for (const change of wrong) {
    assertStrictEquals(decodeReport({ ...line, ...change }), null, JSON.stringify(change));
  }
});

Deno.test("decodeReport() reads the answer of an older relay, which has fewer members", () => {
  const { version: _1, queues: _2, departures: _3, ...older } = REPORT;
  const { id, report } = decodeReport(parse(encodeAnswer("i1", encodeReport(older))))!;
  assertEquals({ id, report }, { id: "i1", report: older });
  const plain = { ...older, names: [{ name: "a", events: 12 }] };
  assertEquals(decodeReport(parse(encodeAnswer("i1", encodeReport(plain))))?.report, plain);
});

Deno.test("decodeReport() reads no more items than a relay may report", () => {
  const line = parse(encodeAnswer("i1", encodeReport(REPORT)));
  const many = (items: readonly unknown[]) => Array(5000).fill(items[0]);
  const { report } = decodeReport({
    ...line,
    clients: many(REPORT.clients),
    names: many(REPORT.names),
    queues: many(REPORT.queues!),
    departures: many(REPORT.departures!),
  })!;
  assertEquals(report.clients.length, 100);
  assertEquals(report.names.length, 100);
  assertEquals(report.queues?.length, 100);
  assertEquals(report.departures?.length, 200);
});
