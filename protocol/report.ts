/**
 * The figures that a relay reports about itself, and the answer that carries them.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Address, Transport } from "./address.ts";
import { encodeJson } from "./encoder.ts";
import type { ControlLine } from "./control.ts";
import type { CloseReason } from "../errors.ts";
import { byteLength, encoder } from "./utf8.ts";

/** The totals of a relay since it was made, and its current state. Sizes are in bytes. */
export interface RelayStats {
  /** How long the relay has existed, in milliseconds. */
  readonly uptimeMs: number;
  /** Connected clients. */
  readonly clients: number;
  /** Clients that have ever joined. */
  readonly clientsTotal: number;
  /** Events received from clients and accepted. */
  readonly eventsIn: number;
  /** Events queued for clients, counted once for each client. */
  readonly eventsOut: number;
  /** Events that had no recipient: no client was connected, or none had subscribed to them. */
  readonly eventsUnheard: number;
  /**
   * Events among `eventsIn` that were not relayed because they do not match the relay's
   * definitions.
   */
  readonly eventsRefused: number;
  /** Bytes received from clients. */
  readonly bytesIn: number;
  /** Bytes for clients that the operating system has accepted. */
  readonly bytesOut: number;
  /** Bytes in all send queues together. Bytes shared by several clients count once. */
  readonly pendingBytes: number;
  /** Bytes in the longest send queue. */
  readonly largestPendingBytes: number;
  /** How many clients have left, by reason. */
  readonly closes: Readonly<Record<CloseReason, number>>;
  /** How many peers were rejected before they became clients, by reason. */
  readonly refusals: Readonly<Record<CloseReason, number>>;
  /**
   * How many of all these peers came and went without a byte in either direction, such as a health
   * check that only tests whether the port is open.
   */
  readonly silentPeers: number;
  /**
   * The longest delay of the event loop in the last minute, in milliseconds. Measuring begins with
   * the first request for stats.
   */
  readonly loopDelayMaxMs: number;
  /** The mean delay of the event loop in the last ten seconds, in milliseconds. */
  readonly loopDelayMeanMs: number;
  /** The resident set size of the process. */
  readonly rssBytes: number;
  /** The size of the JavaScript heap in use. Send queues are outside of it. */
  readonly heapUsedBytes: number;
  /** The cluster of the relay. Unset if it is not one of a cluster. */
  readonly cluster?: ClusterStats;
  /** The history of the relay. Unset if it keeps no events. */
  readonly history?: HistoryStats;
}

/** The history of a relay. */
export interface HistoryStats {
  /** The epoch. Offsets of different epochs have nothing to do with each other. */
  readonly epoch: string;
  /** The least offset that is left, or that of the next event if none is left. */
  readonly first: number;
  /** The offset of the last event, or 0. */
  readonly offset: number;
  /** The events that are kept. */
  readonly events: number;
  /** The size of the kept events, in bytes. */
  readonly bytes: number;
  /**
   * The offset up to which events are acknowledged: on disk, those that the disk has, or with `sync:
   * "never"` the operating system.
   */
  readonly synced: number;
  /** Whether events cannot be kept at the moment, because the disk fails or JetStream refuses them. */
  readonly isBroken: boolean;
  /** Events that were dropped because of their age, or because there were too many. */
  readonly evicted: number;
  /** The names of which the last event is kept. */
  readonly names: number;
  /** Events that were not kept as the last ones of their names, because there was no room. */
  readonly namesRefused: number;
  /** The clients that are catching up. */
  readonly catchingUp: number;
  /** The clients, connected or not, whose events the relay counts so that it takes each once. */
  readonly producers: number;
}

/** The cluster of a relay, as that relay sees it. */
export interface ClusterStats {
  /** The ID of the relay, which the IDs of its clients begin with. */
  readonly relay: string;
  /** Whether the relay does not reach the others. */
  readonly isAlone: boolean;
  /** At most 100 of the other relays, those with the most queued bytes first. */
  readonly relays: readonly LinkReport[];
  /** How often events of another relay were missing. */
  readonly gaps: number;
  /** At most how many events of other relays were missing, as far as is known. */
  readonly eventsMissing: number;
  /** Events for other relays that were dropped, because too many were waiting already. */
  readonly eventsLost: number;
}

/** Another relay of a cluster. Its counters begin with the present link to it. */
export interface LinkReport {
  /** The ID of the other relay. */
  readonly relay: string;
  /** Events received from it. */
  readonly eventsIn: number;
  /** Events queued for it. */
  readonly eventsOut: number;
  /** Bytes queued for it that are not on their way. */
  readonly pendingBytes: number;
}

/** A subscription of a client. */
export interface SubscriptionReport {
  /** The pattern of the event names. */
  readonly pattern: string;
  /** The queue of the subscription, if it has one. */
  readonly queue?: string;
}

/** A client of a relay, with its counters. */
export interface RelayClient {
  /** The number of the client: 1 for the first one, which is `c1` on the wire. */
  readonly id: number;
  /** The client's address. */
  readonly address: Address;
  /** The transport of the client's lines. */
  readonly transport: Transport;
  /** Events received from the client and relayed. */
  readonly eventsIn: number;
  /**
   * Events queued for the client. Includes the `unsentLines` of its `CloseInfo`.
   */
  readonly eventsOut: number;
  /** Bytes received from the client. */
  readonly bytesIn: number;
  /** Bytes for the client that the operating system has accepted. */
  readonly bytesOut: number;
  /** Bytes queued for the client that the operating system has not accepted yet. */
  readonly pendingBytes: number;
}

/** The state of a client of a relay. */
export interface ClientReport extends Omit<RelayClient, "transport"> {
  /** The transport of the client's lines. Unset by older relays. */
  readonly transport?: Transport;
  /** The relay of the client, if it is another one of the cluster. */
  readonly relay?: string;
  /**
   * The number of subscriptions. `null` if the client has never subscribed and receives every
   * event.
   */
  readonly subscriptionCount: number | null;
  /**
   * The first subscriptions: at most ten, and no more than fit into about a thousand bytes of JSON.
   */
  readonly subscriptions: readonly SubscriptionReport[];
}

/** How often events of one name occurred. */
export interface NameReport {
  /** The name of the events. */
  readonly name: string;
  /**
   * The number of events since counting began. It may be too low if there are many thousands of
   * names, most of which occur only once.
   */
  readonly events: number;
  /**
   * The number of clients that would receive an event of this name now, which may include its
   * sender. One client of each queue counts. Unset if the relay has not counted them.
   */
  readonly hearers?: number;
}

/** A queue, of which one client receives each event. */
export interface QueueReport {
  /** The name of the queue. */
  readonly name: string;
  /** The number of clients in it. */
  readonly members: number;
}

/** A client that has left, and why. */
export interface DepartureReport {
  /** The number of the client, as in {@link RelayClient}. */
  readonly id: number;
  /** The client's address. */
  readonly address: Address;
  /** Why its connection ended. A newer relay may have further reasons. */
  readonly reason: CloseReason;
  /** The reason in words, at most 120 characters. May be empty. */
  readonly detail: string;
  /** The age of the relay when the client left, in milliseconds. */
  readonly uptimeMs: number;
}

/** The answer of a relay to a request for stats. */
export interface RelayReport {
  /** The totals and the state of the relay. */
  readonly relay: RelayStats;
  /**
   * At most 100 clients, in a cluster of all relays. Those with the longest send queues come first,
   * then those with the most bytes in and out.
   */
  readonly clients: readonly ClientReport[];
  /** The names with the most events, at most 100. */
  readonly names: readonly NameReport[];
  /**
   * How long names have been counted, in milliseconds. Counting begins with the first request,
   * whose answer therefore has 0 here. It ends some seconds after the last request.
   */
  readonly watchedMs: number;
  /** The version of the relay's program, such as `1.2.3`. Unset by older relays. */
  readonly version?: string;
  /** The queues with the most members, at most 100. Unset by older relays. */
  readonly queues?: readonly QueueReport[];
  /** The clients that have left, the last one first, at most 200. Unset by older relays. */
  readonly departures?: readonly DepartureReport[];
}

/** The longest answer, in bytes, and the parts of it that its head and the names may take. */
const MAX_ANSWER_BYTES = 204_800;
const MAX_HEAD_BYTES = 2048;
const MAX_NAMES_BYTES = 65_536;

/** The most clients, names, queues and departures in an answer. */
export const MAX_CLIENTS = 100;
export const MAX_NAMES = 100;
export const MAX_REPORTED_QUEUES = 100;
export const MAX_DEPARTURES = 200;

/** The most other relays in the statistics. */
export const MAX_LINKS = 100;

/** The longest detail of a departure, in characters. */
export const MAX_DETAIL = 120;

/**
 * Returns the members of an answer, for {@link encodeAnswer}. They are the same for every client.
 * Items of the lists for which there is no room are omitted.
 */
export function encodeReport(report: RelayReport): Uint8Array {
  const { relay, clients, names, watchedMs, version, queues, departures } = report;
  const head = encodeJson({ watchedMs, version, relay }).slice(1, -1);
  let room = MAX_ANSWER_BYTES - MAX_HEAD_BYTES - byteLength(head);
  const list = (items: readonly unknown[], max = room): string => {
    const json = fit(items, Math.min(max, room));
    room -= byteLength(json);
    return `[${json}]`;
  };
  // The names first, since each is short, and the departures last, since those are history.
  const known = list(names, MAX_NAMES_BYTES);
  const lists = [`"clients":${list(clients)}`, `"names":${known}`];
  if (queues) lists.push(`"queues":${list(queues)}`);
  if (departures) lists.push(`"departures":${list(departures)}`);
  return encoder.encode(`${head},${lists.join(",")}}\n`);
}

/** Returns the line of an answer. */
export function encodeAnswer(id: string | undefined, members: Uint8Array): Uint8Array {
  const head = id === undefined ? "" : `"id":${encodeJson(id)},`;
  return concat([encoder.encode(`{"control":"stats",${head}`), members]);
}

/** Returns the JSON of the first items that fit into `room` bytes, separated by commas. */
function fit(items: readonly unknown[], room: number): string {
  const fitting: string[] = [];
  for (const item of items) {
    const json = encodeJson(item);
    room -= byteLength(json) + 1;
    if (room < 0) break;
    fitting.push(json);
  }
  return fitting.join(",");
}

/** Returns how many bytes a subscription takes in an answer. */
export function sizeOfSubscription(subscription: SubscriptionReport): number {
  return byteLength(encodeJson(subscription));
}

/** Returns the answer in `line`, or `null` if it is not a valid answer. */
export function decodeReport(line: ControlLine): { id: string; report: RelayReport } | null {
  const { control, id, relay, watchedMs, version } = line;
  const clients = listOf(line.clients, isClient, MAX_CLIENTS);
  const names = listOf(line.names, isName, MAX_NAMES);
  const isSound = control === "stats" && typeof id === "string" && isRelay(relay) &&
    clients && names && typeof watchedMs === "number" &&
    (version === undefined || typeof version === "string");
  if (!isSound) return null;
  const report: Record<string, unknown> = { relay, clients, names, watchedMs };
  if (version !== undefined) report.version = version;
  if (line.queues !== undefined) {
    report.queues = listOf(line.queues, isQueue, MAX_REPORTED_QUEUES);
  }
  if (line.departures !== undefined) {
    report.departures = listOf(line.departures, isDeparture, MAX_DEPARTURES);
  }
  const isWhole = report.queues !== null && report.departures !== null;
  return isWhole ? { id, report: report as unknown as RelayReport } : null;
}

/** Returns the clients in a report of another relay, or `null` if they are not valid. */
export function decodeClients(value: unknown): readonly ClientReport[] | null {
  return listOf(value, isClient, MAX_CLIENTS) as readonly ClientReport[] | null;
}

/**
 * Returns the first items of a list, or `null` if it is not a list of such items. An answer has at
 * most `max`, and readers of a report need not expect more.
 */
function listOf(
  value: unknown,
  isItem: (item: unknown) => boolean,
  max: number,
): readonly unknown[] | null {
  return Array.isArray(value) && value.every(isItem) ? value.slice(0, max) : null;
}

/** The figures of a relay that are plain numbers. Those by reason are checked separately. */
const RELAY_FIGURES = [
  "uptimeMs",
  "clients",
  "clientsTotal",
  "eventsIn",
  "eventsOut",
  "eventsUnheard",
  "eventsRefused",
  "bytesIn",
  "bytesOut",
  "pendingBytes",
  "largestPendingBytes",
  "silentPeers",
  "loopDelayMaxMs",
  "loopDelayMeanMs",
  "rssBytes",
  "heapUsedBytes",
] satisfies (keyof RelayStats)[];

const CLIENT_FIGURES = [
  "id",
  "eventsIn",
  "eventsOut",
  "bytesIn",
  "bytesOut",
  "pendingBytes",
] satisfies (keyof ClientReport)[];

const HISTORY_FIGURES = [
  "first",
  "offset",
  "events",
  "bytes",
  "synced",
  "evicted",
  "names",
  "namesRefused",
  "catchingUp",
  "producers",
] satisfies (keyof HistoryStats)[];

function isRelay(value: unknown): boolean {
  const { closes, refusals, cluster, history } = Object(value);
  return hasNumbers(value, RELAY_FIGURES) && (cluster === undefined || isCluster(cluster)) &&
    (history === undefined || isHistory(history)) &&
    [closes, refusals].every((each) =>
      typeof each === "object" && each !== null && hasNumbers(each, Object.keys(each))
    );
}

function isCluster(value: unknown): boolean {
  const { relay, isAlone, relays } = Object(value);
  return hasNumbers(value, ["gaps", "eventsMissing", "eventsLost"]) &&
    typeof relay === "string" && typeof isAlone === "boolean" &&
    Array.isArray(relays) && relays.every(isLink);
}

function isHistory(value: unknown): boolean {
  const { epoch, isBroken } = Object(value);
  return typeof epoch === "string" && typeof isBroken === "boolean" &&
    hasNumbers(value, HISTORY_FIGURES);
}

function isLink(value: unknown): boolean {
  return typeof Object(value).relay === "string" &&
    hasNumbers(value, ["eventsIn", "eventsOut", "pendingBytes"]);
}

function isClient(value: unknown): boolean {
  const { address, transport, relay, subscriptionCount, subscriptions } = Object(value);
  return hasNumbers(value, CLIENT_FIGURES) && isAddress(address) &&
    (relay === undefined || typeof relay === "string") &&
    (transport === undefined || typeof transport === "string") &&
    (subscriptionCount === null || typeof subscriptionCount === "number") &&
    Array.isArray(subscriptions) && subscriptions.every(isSubscription);
}

function isAddress(value: unknown): boolean {
  return Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "number";
}

function isSubscription(value: unknown): boolean {
  const { pattern, queue } = Object(value);
  return typeof pattern === "string" && (queue === undefined || typeof queue === "string");
}

function isName(value: unknown): boolean {
  const { name, hearers } = Object(value);
  return typeof name === "string" && hasNumbers(value, ["events"]) &&
    (hearers === undefined || Number.isFinite(hearers));
}

function isQueue(value: unknown): boolean {
  return typeof Object(value).name === "string" && hasNumbers(value, ["members"]);
}

function isDeparture(value: unknown): boolean {
  const { address, reason, detail } = Object(value);
  return hasNumbers(value, ["id", "uptimeMs"]) && isAddress(address) &&
    typeof reason === "string" && typeof detail === "string";
}

/** Returns whether a value is an object in which all given members are finite numbers. */
function hasNumbers(value: unknown, members: readonly string[]): boolean {
  const object = Object(value);
  return members.every((member) => Number.isFinite(object[member]));
}
