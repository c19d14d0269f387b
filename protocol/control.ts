/**
 * The control lines, which the two ends of a connection exchange. They are never relayed and never
 * delivered as events. The figures in an answer to `stats` are in `report.ts`.
 *
 * The decoders trust no member of a line. Most ignore a member of a wrong type.
 *
 * @module
 */

import { encodeJson } from "./encoder.ts";
import { CLOSE_REASONS, type CloseReason, EbsocketError, type Farewell } from "../errors.ts";
import {
  decodeHistoryTerms,
  decodeReplay,
  decodeReplayAnswer,
  type HistoryTerms,
  type ReplayAnswer,
  replayMembers,
  type ReplayRequest,
} from "./history.ts";
import { isName, NAME_RULE } from "./names.ts";
import {
  decodeProducerAnswer,
  decodeProducerClaim,
  type ProducerAnswer,
  type ProducerClaim,
} from "./producer.ts";
import { MAX_QUOTE, printable, quote } from "./printable.ts";
import { TextSet } from "./text_map.ts";
import { encoder } from "./utf8.ts";

/** The version of the protocol implemented here. */
const VERSION = 1;

/** The longest keep-alive interval that a peer can promise, in milliseconds: a day. */
const MAX_KEEP_ALIVE_MS = 86_400_000;

/** The longest wait before the next attempt that a peer can request, in milliseconds: an hour. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** A control line. `control` is its kind, which determines the other members. */
export interface ControlLine {
  /** The kind of the line. */
  control: string;
  [member: string]: unknown;
}

/** The features known to this implementation. */
const FEATURES = [
  "subscribe",
  "ack",
  "sequence",
  "stats",
  "subscribe-first",
  "window",
  "cluster",
  "history",
] as const;

/** A feature that a server may announce in its `welcome`, besides relaying events. */
export type Feature = (typeof FEATURES)[number];

/** The content of a client's `hello`. */
export interface Hello {
  /** The token that authorizes the client. */
  readonly token?: string;
  /** The longest time without a line from the client, even an empty one, in milliseconds. */
  readonly keepAliveMs?: number;
  /** Whether the client wants `ack` lines that count its accepted events. */
  readonly ack: boolean;
  /** Whether the client wants the events it receives to be numbered. */
  readonly sequence?: boolean;
  /**
   * How many bytes of event lines the server may send beyond those that the client has reported as
   * read. If unset, there is no such limit.
   */
  readonly window?: number;
  /** Whether the client wants to know what becomes of the relay's cluster. */
  readonly cluster?: boolean;
  /** Whether the client wants the offsets of the events that the relay keeps. */
  readonly offsets?: boolean;
  /** The client as a producer, whose events are counted over several connections. */
  readonly producer?: ProducerClaim;
}

/** The content of a server's `welcome`. */
export interface Welcome {
  /** The ID of the client: `c1`, `c2`, and so on. */
  readonly id: string;
  /** The longest time without a line from the server, even an empty one, in milliseconds. */
  readonly keepAliveMs?: number;
  /** Whether the server will send `ack` lines. */
  readonly ack: boolean;
  /** The server's features. */
  readonly features: readonly Feature[];
  /** The limits in force that a client must know to observe them. */
  readonly limits: WelcomeLimits;
  /** What the relay keeps, if it keeps anything. */
  readonly history?: HistoryTerms;
  /** How many events of the producer the server has taken, if it counts them. */
  readonly producer?: ProducerAnswer;
}

/** The limits in a `welcome`. An omitted or infinite member means no limit. */
export interface WelcomeLimits {
  /** The longest line, in bytes without its end. */
  readonly maxLineBytes?: number;
  /** How deep a line may nest. */
  readonly maxDepth?: number;
  /** The longest send queue for the client, in bytes. */
  readonly maxPendingBytes?: number;
  /** The limit of events from the client per second. */
  readonly maxEventsPerSecond?: number;
  /** The limit of bytes from the client per second. */
  readonly maxBytesPerSecond?: number;
}

/** A client's request to receive some events from now on, or to stop receiving them. */
export interface SubscriptionRequest {
  /** Whether the client subscribes or unsubscribes. */
  readonly control: "subscribe" | "unsubscribe";
  /** The patterns of the event names. */
  readonly events: readonly string[];
  /**
   * The name of a group of clients, of which only one receives each event. If unset, this client
   * receives every matching event.
   */
  readonly queue?: string;
  /** The ID that the answer repeats. If unset, the only possible answer is a refusal. */
  readonly id?: string;
  /** Which kept events the client receives. If unset, none. */
  readonly replay?: ReplayRequest;
}

/** A client's request for the state of the relay. */
export interface StatsRequest {
  readonly control: "stats";
  /** The ID that the answer repeats. */
  readonly id?: string;
}

/** Confirms that a subscription is in force, or that an event has been relayed. */
export interface Receipt {
  /** The `id` of the subscription, or the `ack` or `id` of the event. */
  readonly id: string;
  /** How many clients the event was queued for. */
  readonly clients?: number;
  /**
   * Whether a relay of the cluster did not answer in time. It may have clients that `clients` does
   * not count, or may not know of the subscription yet.
   */
  readonly isIncomplete?: boolean;
  /** The answer to a request for kept events. */
  readonly replay?: ReplayAnswer;
}

/** Reports that an operation was not carried out. */
export interface Refusal {
  /** The ID of the refused line, if it had one. */
  readonly id?: string | undefined;
  /** The name of the event, if the line was an event. */
  readonly event?: string;
  /** The reason, as a short constant string. */
  readonly reason: string;
  /** The reason, as a text for people. */
  readonly detail: string;
}

/** Returns the `close` line for the peer, or `null` if the reason is not announced. */
export function encodeClose({ reason, detail, retryAfterMs }: Farewell): Uint8Array | null {
  if (CLOSE_REASONS[reason].sentBy === "neither") return null;
  const retry_after_ms = wholeMs(retryAfterMs);
  return encode({ control: "close", reason, detail: detail || undefined, retry_after_ms });
}

/**
 * Returns the announcement in a `close` line, or `null` for any other line. A reason that the
 * peer's side cannot give counts as the end of the stream.
 *
 * @param line The received control line.
 * @param peer The side that sent it.
 */
export function decodeClose(
  line: ControlLine,
  peer: "client" | "server" = "server",
): Farewell | null {
  if (line.control !== "close") return null;
  const { reason } = line;
  const shown = quote(typeof reason === "string" ? reason : JSON.stringify(reason) ?? "undefined");
  if (!isCloseReason(reason)) {
    return { reason: "eof", detail: `the ${peer} gave the unknown reason ${shown}` };
  }
  const { sentBy } = CLOSE_REASONS[reason];
  if (sentBy === "neither" || sentBy === "servers" && peer === "client") {
    const detail = `the ${peer} gave the reason ${shown}, which no ${peer} can give`;
    return { reason: "eof", detail };
  }
  const wait = integer(line.retry_after_ms, 0);
  return {
    reason,
    detail: text(line.detail, 2 * MAX_QUOTE),
    ...(wait !== undefined && { retryAfterMs: Math.min(wait, MAX_RETRY_AFTER_MS) }),
  };
}

function isCloseReason(value: unknown): value is CloseReason {
  return typeof value === "string" && Object.hasOwn(CLOSE_REASONS, value);
}

/** Returns the line of a `hello`, the first line of a client. */
export function encodeHello(hello: Hello): Uint8Array {
  const { token, keepAliveMs, ack, sequence, window, cluster, offsets, producer } = hello;
  return encode({
    control: "hello",
    version: VERSION,
    token,
    keep_alive_ms: wholeMs(keepAliveMs),
    ack: ack || undefined,
    sequence: sequence || undefined,
    window: finite(window),
    cluster: cluster || undefined,
    offsets: offsets || undefined,
    producer,
  });
}

/** Returns the content of a `hello`, or `null` for any other line. */
export function decodeHello(line: ControlLine): Hello | null {
  if (line.control !== "hello") return null;
  return defined({
    token: typeof line.token === "string" ? line.token : undefined,
    keepAliveMs: integer(line.keep_alive_ms, 1, MAX_KEEP_ALIVE_MS),
    ack: line.ack === true,
    sequence: line.sequence === true || undefined,
    window: integer(line.window, 1),
    cluster: line.cluster === true || undefined,
    offsets: line.offsets === true || undefined,
    producer: decodeProducerClaim(line.producer) ?? undefined,
  });
}

/** Returns the line of a `welcome`, the answer to a `hello`. */
export function encodeWelcome(welcome: Welcome): Uint8Array {
  const { id, keepAliveMs, ack, features, limits, history, producer } = welcome;
  return encode({
    control: "welcome",
    version: VERSION,
    id,
    keep_alive_ms: wholeMs(keepAliveMs),
    ack: ack || undefined,
    features: features.length > 0 ? features : undefined,
    limits: {
      max_line_bytes: finite(limits.maxLineBytes),
      max_depth: finite(limits.maxDepth),
      max_pending_bytes: finite(limits.maxPendingBytes),
      max_events_per_second: finite(limits.maxEventsPerSecond),
      max_bytes_per_second: finite(limits.maxBytesPerSecond),
    },
    history,
    producer: producer && { taken: producer.taken, exact: producer.exact || undefined },
  });
}

/** Returns the content of a `welcome`, or `null` for any other line. */
export function decodeWelcome(line: ControlLine): Welcome | null {
  if (line.control !== "welcome") return null;
  const { id, features } = line;
  const limits = Object(line.limits) as Record<string, unknown>;
  return defined({
    id: typeof id === "string" ? id.slice(0, 64) : "",
    keepAliveMs: integer(line.keep_alive_ms, 1, MAX_KEEP_ALIVE_MS),
    ack: line.ack === true,
    features: Array.isArray(features) ? FEATURES.filter((name) => features.includes(name)) : [],
    limits: defined({
      maxLineBytes: integer(limits.max_line_bytes, 1),
      maxDepth: integer(limits.max_depth, 1),
      maxPendingBytes: integer(limits.max_pending_bytes, 1),
      maxEventsPerSecond: integer(limits.max_events_per_second, 1),
      maxBytesPerSecond: integer(limits.max_bytes_per_second, 1),
    }),
    history: decodeHistoryTerms(line.history) ?? undefined,
    producer: decodeProducerAnswer(line.producer) ?? undefined,
  });
}

/** Returns the line of a request to the relay. */
export function encodeRequest(request: SubscriptionRequest | StatsRequest): Uint8Array {
  if (request.control === "stats") return encode({ ...request });
  const { replay, ...members } = request;
  return encode({ ...members, ...(replay && replayMembers(replay)) });
}

/**
 * Returns the request in `line`, the refusal of an invalid one, or `null` for any other line. The
 * patterns are strings, but not necessarily valid.
 */
export function decodeRequest(
  line: ControlLine,
): SubscriptionRequest | StatsRequest | Refusal | null {
  const { control, events, queue } = line;
  if (control !== "subscribe" && control !== "unsubscribe" && control !== "stats") return null;
  const id = isName(line.id) ? { id: line.id } : {};
  const refusal = (detail: string): Refusal => ({ ...id, reason: "bad-request", detail });
  if (line.id !== undefined && id.id === undefined) return refusal(`"id" must be a ${NAME_RULE}`);
  if (control === "stats") return { control, ...id };
  if (queue !== undefined && !isName(queue)) return refusal(`"queue" must be a ${NAME_RULE}`);
  if (!Array.isArray(events) || !events.every((event) => typeof event === "string")) {
    return refusal('"events" must be an array of strings');
  }
  const base: SubscriptionRequest = {
    control,
    events,
    ...(queue !== undefined && { queue }),
    ...id,
  };
  if (control !== "subscribe" || line.since === undefined) return base;
  const replay = decodeReplay(line);
  if (typeof replay === "string") return refusal(replay);
  if (id.id === undefined) return refusal('"since" needs an "id"');
  if (queue !== undefined) return refusal('"since" cannot go with "queue": a queue has no past');
  return { ...base, replay };
}

/** Returns the line that counts a client's accepted events since it connected. */
export function encodeAck(events: number): Uint8Array {
  return encode({ control: "ack", events });
}

/** Returns the count in an `ack` line, or `null` if `line` is not a valid one. */
export function decodeAck({ control, events }: ControlLine): number | null {
  return control === "ack" ? integer(events, 0) ?? null : null;
}

/** Returns the line that reports `bytes` more bytes of event lines as read. */
export function encodeRead(bytes: number): Uint8Array {
  return encode({ control: "read", bytes });
}

/** Returns the number of bytes in a `read` line, or `null` if `line` is not a valid one. */
export function decodeRead({ control, bytes }: ControlLine): number | null {
  return control === "read" ? integer(bytes, 1) ?? null : null;
}

/** Returns the lines of receipts. One call for many takes less time than a call for each. */
export function encodeReceipts(receipts: readonly Receipt[]): Uint8Array {
  const lines = receipts.map(({ id, clients, isIncomplete: incomplete }) =>
    encodeJson({ control: "ack", id, clients, incomplete })
  );
  return encoder.encode(`${lines.join("\n")}\n`);
}

/** Returns the receipt in `line`, or `null` if it is not a valid receipt. */
export function decodeReceipt(line: ControlLine): Receipt | null {
  const { control, id, clients, incomplete } = line;
  if (control !== "ack" || !isName(id)) return null;
  const isIncomplete = incomplete === true || undefined;
  const replay = decodeReplayAnswer(line) ?? undefined;
  return defined({ id, clients: integer(clients, 0), isIncomplete, replay });
}

/** What a relay says of its cluster. */
export type ClusterNews =
  | {
    readonly control: "cluster";
    /** Whether the relay reaches the other relays. */
    readonly state: "together" | "alone";
  }
  | {
    readonly control: "gap";
    /** The relay whose events are missing. */
    readonly relay: string;
    /** At most how many events are missing. If unset, that is not known. */
    readonly events?: number | undefined;
  };

/** Returns the line of news about the cluster. */
export function encodeClusterNews(news: ClusterNews): Uint8Array {
  return encode({ ...news });
}

/** The news of a cluster, as a client tells them. */
export type ClusterNotice =
  | { readonly type: "cluster"; readonly state: "together" | "alone" }
  | { readonly type: "cluster-gap"; readonly relay: string; readonly missed: number | null };

/** Returns the news in `line`, or `null` for any other line. */
export function decodeClusterNews(line: ControlLine): ClusterNotice | null {
  const { control, state, relay, events } = line;
  if (control === "cluster") {
    return { type: control, state: state === "alone" ? state : "together" };
  }
  if (control !== "gap" || !isName(relay)) return null;
  return { type: "cluster-gap", relay, missed: integer(events, 0) ?? null };
}

/** Returns the line of a refusal. */
export function encodeRefusal({ id, event, reason, detail }: Refusal): Uint8Array {
  // A line cannot have both "control" and "event".
  return encode({ control: "error", id, name: event, reason, detail });
}

/** The error codes that only a client can produce. A relay cannot give one as its reason. */
const CLIENT_CODES = new TextSet([
  "connect-failed",
  "connection-closed",
  "inbox-full",
  "incomplete",
  "no-responders",
  "no-welcome",
  "not-recovered",
  "not-supported",
  "queue-full",
  "timeout",
]);

/** Returns the refusal in `line`, or `null` for any other line. */
export function decodeRefusal({ control, id, name, reason, detail }: ControlLine): Refusal | null {
  if (control !== "error") return null;
  const words = text(detail, 4 * MAX_QUOTE);
  const isValid = isName(reason) && !CLIENT_CODES.has(reason);
  const why = isName(reason) ? `the relay gave the reason ${quote(reason)}` : "";
  return {
    ...(isName(id) && { id }),
    ...(isName(name) && { event: name }),
    reason: isValid ? printable(reason.toWellFormed()) : "unknown",
    detail: isValid ? words : [why, words].filter((part) => part !== "").join(": "),
  };
}

/**
 * Returns the error for a feature that the server does not announce.
 *
 * @param feature The missing feature.
 * @param what The operation that needs it.
 */
export function notSupported(feature: Feature, what: string): EbsocketError {
  const message = `Cannot ${what}: the server does not offer ${quote(feature)}; a relay does`;
  return new EbsocketError("not-supported", message);
}

function encode(line: ControlLine): Uint8Array {
  return encoder.encode(`${encodeJson(line)}\n`);
}

/** Returns `value`, or `undefined` if it is infinite. An omitted member means no limit. */
function finite(value: number | undefined): number | undefined {
  return value === Infinity ? undefined : value;
}

/** Rounds a duration up to an integer, because the promised interval must be kept. */
function wholeMs(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : finite(Math.ceil(ms));
}

/** Returns `value` if it is an integer in this range, otherwise `undefined`. */
function integer(value: unknown, min: number, max = Infinity): number | undefined {
  const isValid = Number.isSafeInteger(value) && value as number >= min && value as number <= max;
  return isValid ? value as number : undefined;
}

/** Returns the start of a peer's text in printable form. It is empty if `value` is not a text. */
function text(value: unknown, maxLength: number): string {
  return typeof value === "string" ? printable(value.slice(0, maxLength).toWellFormed()) : "";
}

/** `T` with its members that may be `undefined` as optional ones. */
type Defined<T> =
  & { readonly [K in keyof T as undefined extends T[K] ? never : K]: T[K] }
  & { readonly [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> };

/** Returns the members that are not `undefined`. */
function defined<T extends object>(members: T): Defined<T> {
  const entries = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Defined<T>;
}
