/**
 * Computes the rates of a relay from two of its reports.
 *
 * @module
 */

import { type CloseReason, isFailure } from "../errors.ts";
import { formatAddress } from "./address.ts";
import { printable } from "./printable.ts";
import type { ClientReport, QueueReport, RelayReport, RelayStats } from "./report.ts";
import { TextMap, TextSet } from "./text_map.ts";
import { countOf, formatBytes, formatExact } from "./units.ts";

/** The counters that a relay keeps of itself and of each client. */
const COUNTERS = ["eventsIn", "eventsOut", "bytesIn", "bytesOut"] as const;

/** Bytes from which a queue for another relay is shown. Questions and answers are shorter. */
const MIN_WAITING_BYTES = 4096;

type Counters = Pick<RelayStats, typeof COUNTERS[number]>;

/** Events and bytes a second; `null` if a rate is unknown. */
export type Rates = { readonly [name in keyof Counters as `${name}PerSecond`]: number | null };

/** A client and its rates in the interval. */
export interface ClientSnapshot extends Rates {
  /** The ID of the client: `c7`. */
  readonly id: string;
  /** Its address. */
  readonly address: string;
  /** The transport of its lines, such as `tcp`; `null` if that is unknown. */
  readonly transport: string | null;
  /** The number of bytes queued for it. */
  readonly pendingBytes: number;
  /** The number of its subscriptions, or `null` if it receives every event. */
  readonly subscriptionCount: number | null;
  /** The first of them, each as `pattern` or `pattern [queue]`. */
  readonly subscriptions: readonly string[];
}

/** An event name and its rate in the interval. */
export interface NameSnapshot {
  /** The name of the events. */
  readonly name: string;
  /** Its events a second; `null` if the rate is unknown. */
  readonly eventsPerSecond: number | null;
  /** The number of clients that receive it, one of each queue; `null` if that is unknown. */
  readonly hearers: number | null;
}

/** A queue, of which one client receives each event. */
export interface QueueSnapshot extends QueueReport {
  /** The patterns for which the clients in this snapshot use the queue. */
  readonly patterns: readonly string[];
}

/** A client that has left. */
export interface DepartureSnapshot {
  /** The ID of the client: `c7`. */
  readonly id: string;
  /** Its address. */
  readonly address: string;
  /** Why its connection ended. */
  readonly reason: CloseReason;
  /** The reason in words. May be empty. */
  readonly detail: string;
  /** How long ago it left, in milliseconds. */
  readonly agoMs: number;
}

/** The state of a relay, and its rates in the interval before it. */
export interface Snapshot {
  /** The length of the interval, in milliseconds; `null` if there was none. */
  readonly intervalMs: number | null;
  /** The relay. */
  readonly relay: RelayStats & Rates & { readonly eventsUnheardPerSecond: number | null };
  /** Its clients, those with the longest queue first, then the busiest. */
  readonly clients: readonly ClientSnapshot[];
  /** The names of its events, the busiest first. */
  readonly names: readonly NameSnapshot[];
  /** Its queues, the largest first; `null` if they are unknown. */
  readonly queues: readonly QueueSnapshot[] | null;
  /** The clients that have left, the last one first; `null` if they are unknown. */
  readonly departures: readonly DepartureSnapshot[] | null;
  /** The version of its program; `null` if that is unknown. */
  readonly version: string | null;
}

/**
 * Returns the state after one report, with rates if there are two.
 *
 * @param before The earlier report, or `null`.
 * @param after The later report.
 */
export function takeSnapshot(before: RelayReport | null, after: RelayReport): Snapshot {
  const between = after.relay.uptimeMs - (before?.relay.uptimeMs ?? Infinity);
  // A shorter uptime means that the relay has been restarted.
  const intervalMs = between > 0 ? between : null;
  const perSecond = (from: number | undefined, to: number) =>
    from === undefined || intervalMs === null
      ? null
      : Math.round(10_000 * (to - from) / intervalMs) / 10;
  const rates = (from: Counters | undefined, to: Counters): Rates =>
    Object.fromEntries(
      COUNTERS.map((name) => [`${name}PerSecond`, perSecond(from?.[name], to[name])]),
    ) as Rates;
  const prefix = after.relay.cluster ? `${after.relay.cluster.relay}.` : "";
  const idOf = ({ id, relay }: Pick<ClientReport, "id" | "relay">) =>
    `${relay === undefined ? prefix : `${relay}.`}c${id}`;
  const clientBefore = earlierClients(before);
  const eventsBefore = earlierNames(before, after);
  return {
    intervalMs,
    relay: {
      ...after.relay,
      ...rates(before?.relay, after.relay),
      eventsUnheardPerSecond: perSecond(before?.relay.eventsUnheard, after.relay.eventsUnheard),
    },
    clients: after.clients.map((client) => ({
      id: idOf(client),
      address: formatAddress(client.address),
      transport: client.transport ?? null,
      pendingBytes: client.pendingBytes,
      ...rates(clientBefore(client), client),
      subscriptionCount: client.subscriptionCount,
      subscriptions: client.subscriptions.map(({ pattern, queue }) =>
        queue === undefined ? pattern : `${pattern} [${queue}]`
      ),
    })).sort((one, two) => two.pendingBytes - one.pendingBytes || traffic(two) - traffic(one)),
    names: after.names.map(({ name, events, hearers = null }) => ({
      name,
      eventsPerSecond: perSecond(eventsBefore(name), events),
      hearers,
    })).sort((one, two) => (two.eventsPerSecond ?? 0) - (one.eventsPerSecond ?? 0)),
    queues: after.queues ? withPatterns(after.queues, after.clients) : null,
    departures: after.departures?.map(({ id, address, reason, detail, uptimeMs }) => ({
      id: idOf({ id }),
      address: formatAddress(address),
      reason,
      detail,
      agoMs: after.relay.uptimeMs - uptimeMs,
    })) ?? null,
    version: after.version ?? null,
  };
}

const NOTHING: Counters = { eventsIn: 0, eventsOut: 0, bytesIn: 0, bytesOut: 0 };

/**
 * Returns a function from a client to its counters in the earlier report: 0 if it is new,
 * `undefined` if the report was incomplete, or it is one of another relay.
 */
function earlierClients(
  before: RelayReport | null,
): (client: ClientReport) => Counters | undefined {
  if (!before) return () => undefined;
  // When those of other relays were counted is not known.
  const own = before.clients.filter(({ relay }) => relay === undefined);
  const known = new Map(own.map((client) => [client.id, client]));
  const hasAll = own.length === before.relay.clients;
  return ({ id, relay }) => {
    if (relay !== undefined) return undefined;
    return known.get(id) ?? (hasAll ? NOTHING : undefined);
  };
}

/**
 * Returns a function from a name to its number of events in the earlier report, since names were
 * counted.
 */
function earlierNames(
  before: RelayReport | null,
  after: RelayReport,
): (name: string) => number | undefined {
  if (!before || after.watchedMs <= before.watchedMs) return () => undefined;
  const known = new TextMap<number>();
  for (const { name, events } of before.names) known.set(name, events);
  const hasAll = before.names.length < after.names.length;
  return (name) => known.get(name) ?? (hasAll ? 0 : undefined);
}

/** Returns the queues with the patterns of those clients that are in them. */
function withPatterns(
  queues: readonly QueueReport[],
  clients: readonly ClientReport[],
): QueueSnapshot[] {
  const known = new TextMap<TextSet>();
  for (const { pattern, queue } of clients.flatMap(({ subscriptions }) => subscriptions)) {
    if (queue === undefined) continue;
    const patterns = known.get(queue) ?? new TextSet();
    patterns.add(pattern);
    known.set(queue, patterns);
  }
  return queues.map((queue) => ({ ...queue, patterns: [...known.get(queue.name) ?? []] }));
}

/** Returns the subscriptions of a client as text for a person. */
export function describeSubscriptions(
  { subscriptionCount, subscriptions }: ClientSnapshot,
): string {
  if (subscriptionCount === null) return "all events";
  if (subscriptionCount === 0) return "none";
  const more = subscriptionCount - subscriptions.length;
  const shown = subscriptions.map(printable).join(", ");
  return more > 0 ? `${shown}, and ${formatExact(more)} more` : shown;
}

/**
 * Returns how many clients a fault has ended, by reason: `1 reset, 2 slow-consumer`. Empty if there
 * are none.
 */
export function describeFaults({ closes }: RelayStats): string {
  return Object.entries(closes)
    .filter(([reason, count]) => count > 0 && isFailure(reason as CloseReason))
    .map(([reason, count]) => `${formatExact(count)} ${printable(reason)}`).join(", ");
}

/** Returns the state of a relay's cluster in phrases. There are none without a cluster. */
export function describeCluster({ cluster }: RelayStats): string[] {
  if (!cluster) return [];
  const { relay, isAlone, relays, gaps, eventsMissing, eventsLost } = cluster;
  const behind = relays.filter(({ pendingBytes }) => pendingBytes >= MIN_WAITING_BYTES).map((
    each,
  ) => `${formatBytes(each.pendingBytes)} waiting for ${printable(each.relay)}`);
  const others = countOf(relays.length, "other relay");
  const missing = eventsMissing > 0 ? `, ${countOf(eventsMissing, "event")} missing` : "";
  return [
    `relay ${printable(relay)} with ${others}${isAlone ? " when it lost NATS" : ""}`,
    ...behind,
    ...(eventsLost > 0 ? [`${countOf(eventsLost, "event")} for others lost`] : []),
    ...(gaps > 0 ? [`${countOf(gaps, "gap")}${missing}`] : []),
  ];
}

/** Returns the state of a relay's history in phrases. There are none without a history. */
export function describeHistory({ history }: RelayStats): string[] {
  if (!history) return [];
  const { first, offset, events, bytes, evicted, names, namesRefused, catchingUp } = history;
  return [
    ...(history.isBroken ? ["events are not kept at the moment"] : []),
    `keeps ${countOf(events, "event")}, ${formatBytes(bytes)}`,
    ...(events > 0 ? [`offset ${formatExact(first)} to ${formatExact(offset)}`] : []),
    ...(evicted > 0 ? [`${formatExact(evicted)} dropped`] : []),
    ...(names > 0 ? [`last events of ${countOf(names, "name")}`] : []),
    ...(namesRefused > 0 ? [`no room for ${countOf(namesRefused, "last event")}`] : []),
    ...(catchingUp > 0 ? [`${countOf(catchingUp, "client")} catching up`] : []),
  ];
}

/** Returns how many peers were rejected before they became clients. */
export function countRefusals({ refusals }: RelayStats): number {
  return Object.values(refusals).reduce((sum, count) => sum + count, 0);
}

function traffic({ eventsInPerSecond, eventsOutPerSecond }: Rates): number {
  return (eventsInPerSecond ?? 0) + (eventsOutPerSecond ?? 0);
}
