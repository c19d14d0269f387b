import { assertEquals } from "@std/assert/equals";
import { decodeReport, encodeReport, encodeStatsRequest, type RelayReport } from "../report.ts";
import { StatsCollector } from "../stats.ts";

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
  names: [{ name: "a", events: 12 }],
  watchedMs: 1000,
};

const parse = (line: Uint8Array) => JSON.parse(new TextDecoder().decode(line));

Deno.test("encodeReport() writes what decodeReport() reads", () => {
  assertEquals(decodeReport(parse(encodeReport("i1", REPORT))), { id: "i1", report: REPORT });
  assertEquals(parse(encodeStatsRequest("i1")), { control: "stats", id: "i1" });
});

Deno.test("decodeReport() takes nothing that is no answer", () => {
  const line = parse(encodeReport("i1", REPORT));
  assertEquals(decodeReport({ control: "ack", id: "i1" }), null);
  assertEquals(decodeReport(parse(encodeStatsRequest("i1"))), null);
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
    { watchedMs: "1" },
  ];
  for (const change of wrong) {
    assertEquals(decodeReport({ ...line, ...change }), null, JSON.stringify(change));
  }
});
