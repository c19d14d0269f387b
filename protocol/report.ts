/**
 * Owns what a relay tells a client that asks how it is: the figures, and the lines that carry them.
 * Must not know where they come from.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Address } from "./address.ts";
import { encodeJson } from "./encoder.ts";
import type { ControlLine } from "./control.ts";
import type { CloseReason } from "../errors.ts";

/** What a relay has done since it was made, and how it is now. Sizes are bytes. */
export interface RelayStats {
  /** How long the relay has existed, in milliseconds. */
  readonly uptimeMs: number;
  /** Clients that are connected. */
  readonly clients: number;
  /** Clients that have ever joined. */
  readonly clientsTotal: number;
  /** Events that came from clients and were taken. */
  readonly eventsIn: number;
  /** Events that were queued for clients, one for each client. */
  readonly eventsOut: number;
  /** Events that were queued for nobody: nobody was there, or nobody had subscribed to them. */
  readonly eventsUnheard: number;
  /** Events among these that were not passed on, as they did not fit the relay's definitions. */
  readonly eventsRefused: number;
  /** Bytes that came from clients. */
  readonly bytesIn: number;
  /** Bytes that the operating system has taken for clients. */
  readonly bytesOut: number;
  /** Bytes that wait for clients, in all queues together; what waits for several counts once. */
  readonly pendingBytes: number;
  /** Bytes that wait for the client for which most wait. */
  readonly largestPendingBytes: number;
  /** How many clients have left, by reason. */
  readonly closes: Readonly<Record<CloseReason, number>>;
  /** How many peers were sent away before they were clients, by reason. */
  readonly refusals: Readonly<Record<CloseReason, number>>;
  /**
   * How many among all these came and went without a byte in either direction, as a health check that only
   * looks whether somebody listens.
   */
  readonly silentPeers: number;
  /**
   * The longest that the event loop has been late since stats were last asked for, in milliseconds.
   * Measuring begins when they are asked for the first time.
   */
  readonly loopDelayMaxMs: number;
  /** By how much it has been late on average since then, in milliseconds. */
  readonly loopDelayMeanMs: number;
  /** Memory of the process: its resident set. */
  readonly rssBytes: number;
  /** Memory of the process: what JavaScript objects take. Queues are outside of it. */
  readonly heapUsedBytes: number;
}

/** A subscription of a client. */
export interface SubscriptionReport {
  /** The pattern of the names. */
  readonly pattern: string;
  /** The queue, if it is one of a queue. */
  readonly queue?: string;
}

/** A client of a relay, as it is at a moment. */
export interface ClientReport {
  /** Which client it is: 1 for the first that came; `c1` on the wire. */
  readonly id: number;
  /** Where it is. */
  readonly address: Address;
  /** Events that came from it and were relayed. */
  readonly eventsIn: number;
  /** Events that were queued for it. */
  readonly eventsOut: number;
  /** Bytes that came from it. */
  readonly bytesIn: number;
  /** Bytes that the operating system has taken for it. */
  readonly bytesOut: number;
  /** Bytes that wait for it. */
  readonly pendingBytes: number;
  /** How many subscriptions it has; `null` if it has not asked for anything, and hears everything. */
  readonly subscriptionCount: number | null;
  /** The first of them, at most ten, and no more than fit into about a thousand bytes of JSON. */
  readonly subscriptions: readonly SubscriptionReport[];
}

/** How often a name was heard. */
export interface NameReport {
  /** The name of the events. */
  readonly name: string;
  /**
   * How many there were since they have been counted; fewer if it is one of many thousands of names of
   * which most come only once.
   */
  readonly events: number;
}

/** What a relay tells a client that asks how it is. */
export interface RelayReport {
  /** What the relay has done, and how it is. */
  readonly relay: RelayStats;
  /** The clients for which most waits, then those with the most bytes in and out; at most 100. */
  readonly clients: readonly ClientReport[];
  /** The names with the most events, at most 100. */
  readonly names: readonly NameReport[];
  /**
   * For how long names have been counted, in milliseconds. Counting begins with the first question, so
   * that its answer says 0, and ends some seconds after the last.
   */
  readonly watchedMs: number;
}

/** How long an answer may be, in bytes, and how much of that its head and the names may take. */
const MAX_ANSWER_BYTES = 204_800;
const MAX_HEAD_BYTES = 2048;
const MAX_NAMES_BYTES = 65_536;

/** How many clients and names an answer has. */
export const MAX_CLIENTS = 100;
export const MAX_NAMES = 100;

const encoder = new TextEncoder();

/** The line with which a client asks; `id` is what the answer is to be called. */
export function encodeStatsRequest(id: string): Uint8Array {
  return encode({ control: "stats", id });
}

/**
 * The members of an answer, which are the same for all that ask: what {@link encodeAnswer} takes. The
 * names and the clients for which there is no room are left out.
 */
export function encodeReport({ relay, clients, names, watchedMs }: RelayReport): Uint8Array {
  const figures = encodeJson(relay);
  const known = fit(names, MAX_NAMES_BYTES);
  const left = MAX_ANSWER_BYTES - MAX_HEAD_BYTES - sizeOf(figures) - sizeOf(known);
  const most = fit(clients, left);
  return encoder.encode(
    `"relay":${figures},"clients":[${most}],"names":[${known}],"watchedMs":${watchedMs}}\n`,
  );
}

/** The line of an answer. */
export function encodeAnswer(id: string | undefined, members: Uint8Array): Uint8Array {
  const head = id === undefined ? "" : `"id":${encodeJson(id)},`;
  return concat([encoder.encode(`{"control":"stats",${head}`), members]);
}

/** The JSON of the first items that fit into so many bytes, with commas between them. */
function fit(items: readonly unknown[], room: number): string {
  const fitting: string[] = [];
  for (const item of items) {
    const json = encodeJson(item);
    room -= sizeOf(json) + 1;
    if (room < 0) break;
    fitting.push(json);
  }
  return fitting.join(",");
}

/** How many bytes a text has in UTF-8. */
function sizeOf(text: string): number {
  return encoder.encode(text).length;
}

/** How many bytes a subscription has in an answer. */
export function sizeOfSubscription(subscription: SubscriptionReport): number {
  return sizeOf(encodeJson(subscription));
}

/** The answer that `line` is, or `null` if it is none that makes sense. */
export function decodeReport(line: ControlLine): { id: string; report: RelayReport } | null {
  const { control, id, relay, clients, names, watchedMs } = line;
  const isSound = control === "stats" && typeof id === "string" && isRelay(relay) &&
    Array.isArray(clients) && clients.every(isClient) &&
    Array.isArray(names) && names.every(isName) && typeof watchedMs === "number";
  if (!isSound) return null;
  // There are no more, and whoever reads this does not have to be ready for more.
  const some = { clients: clients.slice(0, MAX_CLIENTS), names: names.slice(0, MAX_NAMES) };
  return { id, report: { relay, ...some, watchedMs } as unknown as RelayReport };
}

/** The figures of a relay that are numbers; it has reasons with numbers besides. */
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

function isRelay(value: unknown): boolean {
  const { closes, refusals } = Object(value);
  return hasNumbers(value, RELAY_FIGURES) &&
    [closes, refusals].every((each) =>
      typeof each === "object" && each !== null && hasNumbers(each, Object.keys(each))
    );
}

function isClient(value: unknown): boolean {
  const { address, subscriptionCount, subscriptions } = Object(value);
  return hasNumbers(value, CLIENT_FIGURES) && Array.isArray(address) &&
    typeof address[0] === "string" && typeof address[1] === "number" &&
    (subscriptionCount === null || typeof subscriptionCount === "number") &&
    Array.isArray(subscriptions) && subscriptions.every(isSubscription);
}

function isSubscription(value: unknown): boolean {
  const { pattern, queue } = Object(value);
  return typeof pattern === "string" && (queue === undefined || typeof queue === "string");
}

function isName(value: unknown): boolean {
  return typeof Object(value).name === "string" && hasNumbers(value, ["events"]);
}

/** Whether a value is an object in which these members are numbers, none of them infinite. */
function hasNumbers(value: unknown, members: readonly string[]): boolean {
  const object = Object(value);
  return members.every((member) => Number.isFinite(object[member]));
}

function encode(line: ControlLine): Uint8Array {
  return encoder.encode(`${encodeJson(line)}\n`);
}
