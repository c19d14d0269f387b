/**
 * The metrics of a relay: the figures of its statistics, with names and units by the conventions of
 * OpenTelemetry. Every export uses this table, so that all exports agree.
 *
 * @module
 */

import type { ClusterStats, LinkReport, RelayStats } from "./report.ts";

/** The kinds of metrics: sums that only grow, other sums, and figures that cannot be added up. */
export type MetricKind = "Counter" | "UpDownCounter" | "Gauge";

/** The attributes of a value, such as a direction or a reason. */
export type MetricAttributes = Readonly<Record<string, string>>;

/** A value, and its attributes if the metric has several values. */
export type MetricPoint = readonly [value: number, attributes?: MetricAttributes];

/** A metric. */
export interface Metric {
  /** The name, such as `ebsockets.queue.size`. */
  readonly name: string;
  readonly kind: MetricKind;
  /** The unit by UCUM: `By` for bytes, `s`, or a noun in braces for a number of things. */
  readonly unit: "By" | "s" | `{${string}}`;
  /** The meaning of the value. */
  readonly description: string;
  /**
   * Returns the values. No peer can choose the value of an attribute, so the number of time series
   * is bounded.
   */
  readonly read: (stats: RelayStats) => readonly MetricPoint[];
}

/** All metrics. */
export const METRICS: readonly Metric[] = [
  {
    name: "ebsockets.clients",
    kind: "UpDownCounter",
    unit: "{client}",
    description: "Connected clients",
    read: ({ clients }) => [[clients]],
  },
  {
    name: "ebsockets.clients.joined",
    kind: "Counter",
    unit: "{client}",
    description: "Clients that have joined",
    read: ({ clientsTotal }) => [[clientsTotal]],
  },
  {
    name: "ebsockets.events",
    kind: "Counter",
    unit: "{event}",
    description: "Events received from clients, and queued for clients",
    read: ({ eventsIn, eventsOut }) => byDirection(eventsIn, eventsOut),
  },
  {
    name: "ebsockets.events.unheard",
    kind: "Counter",
    unit: "{event}",
    description: "Events that had no recipient",
    read: ({ eventsUnheard }) => [[eventsUnheard]],
  },
  {
    name: "ebsockets.events.refused",
    kind: "Counter",
    unit: "{event}",
    description: "Events that did not match their definitions",
    read: ({ eventsRefused }) => [[eventsRefused]],
  },
  {
    name: "ebsockets.io",
    kind: "Counter",
    unit: "By",
    description: "Bytes received from clients, and sent to clients",
    read: ({ bytesIn, bytesOut }) => byDirection(bytesIn, bytesOut),
  },
  {
    name: "ebsockets.queue.size",
    kind: "UpDownCounter",
    unit: "By",
    description: "Bytes queued for all clients together",
    read: ({ pendingBytes }) => [[pendingBytes]],
  },
  {
    name: "ebsockets.queue.largest",
    kind: "Gauge",
    unit: "By",
    description: "Bytes queued for the client with the longest queue",
    read: ({ largestPendingBytes }) => [[largestPendingBytes]],
  },
  {
    name: "ebsockets.closes",
    kind: "Counter",
    unit: "{client}",
    description: "Clients that have left, by reason",
    read: ({ closes }) => byReason(closes),
  },
  {
    name: "ebsockets.refusals",
    kind: "Counter",
    unit: "{peer}",
    description: "Peers that were refused before they became clients",
    read: ({ refusals }) => byReason(refusals),
  },
  {
    name: "ebsockets.peers.silent",
    kind: "Counter",
    unit: "{peer}",
    description: "Peers that came and went without a byte in either direction",
    read: ({ silentPeers }) => [[silentPeers]],
  },
  {
    name: "ebsockets.eventloop.delay.max",
    kind: "Gauge",
    unit: "s",
    description: "Longest delay of the event loop in the last minute",
    read: ({ loopDelayMaxMs }) => [[loopDelayMaxMs / 1000]],
  },
  {
    name: "ebsockets.eventloop.delay.mean",
    kind: "Gauge",
    unit: "s",
    description: "Mean delay of the event loop in the last ten seconds",
    read: ({ loopDelayMeanMs }) => [[loopDelayMeanMs / 1000]],
  },
  {
    name: "ebsockets.cluster.relays",
    kind: "UpDownCounter",
    unit: "{relay}",
    description: "Other relays of the cluster that the relay has a link to",
    read: ({ cluster }) => cluster ? [[cluster.relays.length]] : [],
  },
  {
    name: "ebsockets.cluster.alone",
    kind: "Gauge",
    unit: "{relay}",
    description: "Whether the relay does not reach the others of its cluster: 1 or 0",
    read: ({ cluster }) => cluster ? [[Number(cluster.isAlone)]] : [],
  },
  {
    name: "ebsockets.cluster.events",
    kind: "UpDownCounter",
    unit: "{event}",
    description:
      "Events received from the relays of the cluster that are there, and queued for them",
    read: ({ cluster }) =>
      cluster ? byDirection(sumOf(cluster, "eventsIn"), sumOf(cluster, "eventsOut")) : [],
  },
  {
    name: "ebsockets.cluster.queue.size",
    kind: "UpDownCounter",
    unit: "By",
    description: "Bytes queued for the other relays of the cluster",
    read: ({ cluster }) => cluster ? [[sumOf(cluster, "pendingBytes")]] : [],
  },
  {
    name: "ebsockets.cluster.events.lost",
    kind: "Counter",
    unit: "{event}",
    description: "Events for other relays of the cluster that were dropped",
    read: ({ cluster }) => cluster ? [[cluster.eventsLost]] : [],
  },
  {
    name: "ebsockets.cluster.events.missing",
    kind: "Counter",
    unit: "{event}",
    description: "Events of other relays of the cluster that did not arrive, as far as is known",
    read: ({ cluster }) => cluster ? [[cluster.eventsMissing]] : [],
  },
  {
    name: "ebsockets.cluster.gaps",
    kind: "Counter",
    unit: "{gap}",
    description: "How often events of another relay of the cluster were missing",
    read: ({ cluster }) => cluster ? [[cluster.gaps]] : [],
  },
  {
    name: "ebsockets.history.events",
    kind: "UpDownCounter",
    unit: "{event}",
    description: "Events that are kept",
    read: ({ history }) => history ? [[history.events]] : [],
  },
  {
    name: "ebsockets.history.size",
    kind: "UpDownCounter",
    unit: "By",
    description: "Bytes of the kept events",
    read: ({ history }) => history ? [[history.bytes]] : [],
  },
  {
    name: "ebsockets.history.kept",
    kind: "Counter",
    unit: "{event}",
    description: "Events that have been kept, which is the offset of the last one",
    read: ({ history }) => history ? [[history.offset]] : [],
  },
  {
    name: "ebsockets.history.waiting",
    kind: "UpDownCounter",
    unit: "{event}",
    description: "Events that clients may have, and that the disk does not have yet",
    read: ({ history }) => history ? [[history.offset - history.synced]] : [],
  },
  {
    name: "ebsockets.history.broken",
    kind: "Gauge",
    unit: "{history}",
    description: "Whether events can be neither kept nor acknowledged: 1 or 0",
    read: ({ history }) => history ? [[Number(history.isBroken)]] : [],
  },
  {
    name: "ebsockets.history.evicted",
    kind: "Counter",
    unit: "{event}",
    description: "Kept events that were dropped, because they were too old or too many",
    read: ({ history }) => history ? [[history.evicted]] : [],
  },
  {
    name: "ebsockets.history.names",
    kind: "UpDownCounter",
    unit: "{name}",
    description: "Names of which the last event is kept",
    read: ({ history }) => history ? [[history.names]] : [],
  },
  {
    name: "ebsockets.history.names.refused",
    kind: "Counter",
    unit: "{event}",
    description: "Events that were not kept as the last ones of their names, for lack of room",
    read: ({ history }) => history ? [[history.namesRefused]] : [],
  },
  {
    name: "ebsockets.history.clients",
    kind: "UpDownCounter",
    unit: "{client}",
    description: "Clients that are catching up with the kept events",
    read: ({ history }) => history ? [[history.catchingUp]] : [],
  },
  {
    name: "ebsockets.history.producers",
    kind: "UpDownCounter",
    unit: "{client}",
    description: "Clients, connected or not, whose events are counted so that each is taken once",
    read: ({ history }) => history ? [[history.producers]] : [],
  },
  {
    name: "process.memory.usage",
    kind: "UpDownCounter",
    unit: "By",
    description: "Resident memory of the process",
    read: ({ rssBytes }) => [[rssBytes]],
  },
  {
    name: "ebsockets.uptime",
    kind: "Gauge",
    unit: "s",
    description: "How long the relay has existed",
    read: ({ uptimeMs }) => [[uptimeMs / 1000]],
  },
];

/** Returns the sum of a figure of the other relays. */
function sumOf(
  { relays }: ClusterStats,
  figure: Exclude<keyof LinkReport, "relay">,
): number {
  return relays.reduce((sum, relay) => sum + relay[figure], 0);
}

/** The metrics that Deno adds by itself to an export to OpenTelemetry. */
export const RUNTIME_METRICS: readonly Metric[] = [
  {
    name: "v8js.memory.heap.used",
    kind: "UpDownCounter",
    unit: "By",
    description: "Heap of JavaScript in use",
    read: ({ heapUsedBytes }) => [[heapUsedBytes]],
  },
];

function byDirection(received: number, sent: number): readonly MetricPoint[] {
  return [
    [received, { "network.io.direction": "receive" }],
    [sent, { "network.io.direction": "transmit" }],
  ];
}

function byReason(counts: RelayStats["closes"]): readonly MetricPoint[] {
  return Object.entries(counts)
    .map(([reason, count]) => [count, { "ebsockets.close.reason": reason }]);
}
