/** Reports of a relay for tests. All figures are 0 except those that a test gives. */

import type { ClientReport, RelayReport } from "../../protocol/report.ts";
import type { ClusterStats, HistoryStats, RelayStats } from "../../protocol/report.ts";
import { StatsCollector } from "../../relay/stats.ts";

/** A report in which the relay has these figures. */
export function relayReport(
  relay: Partial<RelayStats> = {},
  rest: Partial<Omit<RelayReport, "relay">> = {},
): RelayReport {
  const collector = new StatsCollector();
  const stats = collector.read([], 0);
  collector.stop();
  return { relay: { ...stats, ...relay }, clients: [], names: [], watchedMs: 0, ...rest };
}

/** A cluster with these figures. */
export function clusterStats(cluster: Partial<ClusterStats> = {}): ClusterStats {
  return {
    relay: "rAAAAAAAA",
    isAlone: false,
    relays: [{ relay: "rBBBBBBBB", eventsIn: 0, eventsOut: 0, pendingBytes: 0 }],
    gaps: 0,
    eventsMissing: 0,
    eventsLost: 0,
    ...cluster,
  };
}

/** A history with these figures. */
export function historyStats(history: Partial<HistoryStats> = {}): HistoryStats {
  return {
    epoch: "k3J9x2aQ",
    first: 1,
    offset: 0,
    events: 0,
    bytes: 0,
    synced: 0,
    isBroken: false,
    evicted: 0,
    names: 0,
    namesRefused: 0,
    catchingUp: 0,
    producers: 0,
    ...history,
  };
}

/** A client with these figures. */
export function clientReport(client: Partial<ClientReport>): ClientReport {
  return {
    id: 1,
    address: ["127.0.0.1", 50_000],
    eventsIn: 0,
    eventsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    pendingBytes: 0,
    subscriptionCount: null,
    subscriptions: [],
    ...client,
  };
}
