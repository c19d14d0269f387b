/**
 * Owns what two reports of a relay say of the time between them: rates. Must not know how they are asked
 * for, or shown.
 *
 * @module
 */

import { formatAddress } from "../protocol/address.ts";
import type { ClientReport, RelayReport } from "../protocol/report.ts";
import type { RelayStats } from "../protocol/report.ts";
import { TextMap } from "../protocol/text_map.ts";

/** How many there were in a second; `null` where that cannot be told. */
export interface Rates {
  readonly eventsInPerSecond: number | null;
  readonly eventsOutPerSecond: number | null;
  readonly bytesInPerSecond: number | null;
  readonly bytesOutPerSecond: number | null;
}

/** A client, and what it has done in the interval. */
export interface ClientSnapshot extends Rates {
  /** What the relay calls it: `c7`. */
  readonly id: string;
  /** Where it is. */
  readonly address: string;
  /** Bytes that wait for it. */
  readonly pendingBytes: number;
  /** How many subscriptions it has; `null` if it hears everything. */
  readonly subscriptionCount: number | null;
  /** The first of them, each as `pattern` or `pattern [queue]`. */
  readonly subscriptions: readonly string[];
}

/** A name, and how many events of it there were in the interval. */
export interface NameSnapshot {
  readonly name: string;
  readonly eventsPerSecond: number | null;
}

/** A relay at a moment, and what has happened in the interval before it. */
export interface Snapshot {
  /** How long the interval was, in milliseconds; `null` if there was none. */
  readonly intervalMs: number | null;
  /** The relay. */
  readonly relay: RelayStats & Rates & { readonly eventsUnheardPerSecond: number | null };
  /** Its clients, those with most to wait for first, then the busiest. */
  readonly clients: readonly ClientSnapshot[];
  /** The names of its events, the busiest first. */
  readonly names: readonly NameSnapshot[];
}

/** What the relay counts of itself and of each client. */
type Counters = Pick<RelayStats, "eventsIn" | "eventsOut" | "bytesIn" | "bytesOut">;

/** What is known of a relay after one report, or of the time between two. */
export function takeSnapshot(before: RelayReport | null, after: RelayReport): Snapshot {
  const between = after.relay.uptimeMs - (before?.relay.uptimeMs ?? Infinity);
  // A relay that is younger than it was has been started anew.
  const intervalMs = between > 0 ? between : null;
  const perSecond = (from: number | undefined, to: number) =>
    from === undefined || intervalMs === null
      ? null
      : Math.round(10_000 * (to - from) / intervalMs) / 10;
  const rates = (from: Counters | undefined, to: Counters): Rates => ({
    eventsInPerSecond: perSecond(from?.eventsIn, to.eventsIn),
    eventsOutPerSecond: perSecond(from?.eventsOut, to.eventsOut),
    bytesInPerSecond: perSecond(from?.bytesIn, to.bytesIn),
    bytesOutPerSecond: perSecond(from?.bytesOut, to.bytesOut),
  });
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
      id: `c${client.id}`,
      address: formatAddress(client.address),
      pendingBytes: client.pendingBytes,
      ...rates(clientBefore(client), client),
      subscriptionCount: client.subscriptionCount,
      subscriptions: client.subscriptions.map(({ pattern, queue }) =>
        queue === undefined ? pattern : `${pattern} [${queue}]`
      ),
    })).sort((one, two) => two.pendingBytes - one.pendingBytes || traffic(two) - traffic(one)),
    names: after.names.map(({ name, events }) => ({
      name,
      eventsPerSecond: perSecond(eventsBefore(name), events),
    })).sort((one, two) => (two.eventsPerSecond ?? 0) - (one.eventsPerSecond ?? 0)),
  };
}

const NOTHING: Counters = { eventsIn: 0, eventsOut: 0, bytesIn: 0, bytesOut: 0 };

/** What clients had done by then: nothing if they are new, and nobody knows if not all were reported. */
function earlierClients(
  before: RelayReport | null,
): (client: ClientReport) => Counters | undefined {
  if (!before) return () => undefined;
  const known = new Map(before.clients.map((client) => [client.id, client]));
  const hasAll = before.clients.length === before.relay.clients;
  return ({ id }) => known.get(id) ?? (hasAll ? NOTHING : undefined);
}

/** How many events of a name there had been by then, since names were counted. */
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

function traffic({ eventsInPerSecond, eventsOutPerSecond }: Rates): number {
  return (eventsInPerSecond ?? 0) + (eventsOutPerSecond ?? 0);
}
