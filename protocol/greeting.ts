/**
 * The control lines at the start of a connection: a client's `hello`, the server's `welcome`, and
 * the optional `ack` lines that count events. Tokens are not verified here.
 *
 * @module
 */

import { encodeJson } from "./encoder.ts";
import type { ControlLine } from "./control.ts";
import type { Feature } from "./routing.ts";

/** The version of the protocol implemented here. */
const VERSION = 1;

/** The longest keep-alive interval that a peer can promise, in milliseconds: a day. */
const MAX_KEEP_ALIVE_MS = 86_400_000;

/** The content of a client's `hello`. */
export interface Hello {
  /** The token that authorizes the client. */
  readonly token?: string;
  /**
   * The client's keep-alive interval, in milliseconds. It promises to send something in each
   * interval, if only an empty line.
   */
  readonly keepAliveMs?: number;
  /** Whether the client wants `ack` lines that count its accepted events. */
  readonly ack: boolean;
  /** Whether the client wants the events it receives to be numbered. */
  readonly sequence?: boolean;
}

/** The content of a server's `welcome`. */
export interface Welcome {
  /** The ID of the client: `c1`, `c2`, and so on. */
  readonly id: string;
  /**
   * The server's keep-alive interval, in milliseconds. It promises to send something in each
   * interval, if only an empty line.
   */
  readonly keepAliveMs?: number;
  /** Whether the server will send `ack` lines. */
  readonly ack: boolean;
  /** The server's features besides relaying events. */
  readonly features: readonly Feature[];
  /** The limits in force that a client must know to observe them. */
  readonly limits: WelcomeLimits;
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

/** The features known to this implementation. */
const FEATURES: readonly Feature[] = ["subscribe", "ack", "sequence", "stats", "subscribe-first"];

const encoder = new TextEncoder();

/** Returns the line of a `hello`, the first line of a client. */
export function encodeHello({ token, keepAliveMs, ack, sequence }: Hello): Uint8Array {
  return encode({
    control: "hello",
    version: VERSION,
    token,
    keep_alive_ms: whole(keepAliveMs),
    ack: ack || undefined,
    sequence: sequence || undefined,
  });
}

/**
 * Returns the content of a `hello`, or `null` for any other line. Members of a wrong type are
 * ignored.
 */
export function decodeHello(line: ControlLine): Hello | null {
  if (line.control !== "hello") return null;
  const { token } = line;
  return {
    ...(typeof token === "string" && { token }),
    ...keepAliveOf(line),
    ack: line.ack === true,
    ...(line.sequence === true && { sequence: true }),
  };
}

/** Returns the line of a `welcome`, the answer to a `hello`. */
export function encodeWelcome({ id, keepAliveMs, ack, features, limits }: Welcome): Uint8Array {
  return encode({
    control: "welcome",
    version: VERSION,
    id,
    keep_alive_ms: whole(keepAliveMs),
    ack: ack || undefined,
    features: features.length > 0 ? features : undefined,
    limits: {
      max_line_bytes: finite(limits.maxLineBytes),
      max_depth: finite(limits.maxDepth),
      max_pending_bytes: finite(limits.maxPendingBytes),
      max_events_per_second: finite(limits.maxEventsPerSecond),
      max_bytes_per_second: finite(limits.maxBytesPerSecond),
    },
  });
}

/** Returns `value`, or `undefined` if it is infinite. An omitted member means no limit. */
function finite(value: number | undefined): number | undefined {
  return value === Infinity ? undefined : value;
}

/** Rounds a duration up to an integer, because the promised interval must be kept. */
function whole(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : finite(Math.ceil(ms));
}

/**
 * Returns the content of a `welcome`, or `null` for any other line. Members of a wrong type are
 * ignored.
 */
export function decodeWelcome(line: ControlLine): Welcome | null {
  if (line.control !== "welcome") return null;
  const limits = Object(line.limits) as Record<string, unknown>;
  return {
    id: typeof line.id === "string" ? line.id.slice(0, 64) : "",
    ...keepAliveOf(line),
    ack: line.ack === true,
    features: Array.isArray(line.features)
      ? FEATURES.filter((name) => (line.features as unknown[]).includes(name))
      : [],
    limits: {
      ...member("maxLineBytes", limits.max_line_bytes),
      ...member("maxDepth", limits.max_depth),
      ...member("maxPendingBytes", limits.max_pending_bytes),
      ...member("maxEventsPerSecond", limits.max_events_per_second),
      ...member("maxBytesPerSecond", limits.max_bytes_per_second),
    },
  };
}

/** Returns the line that counts a client's accepted events since it connected. */
export function encodeAck(events: number): Uint8Array {
  return encode({ control: "ack", events });
}

/** Returns the count in an `ack` line, or `null` if `line` is not a valid one. */
export function decodeAck(line: ControlLine): number | null {
  if (line.control !== "ack") return null;
  return Number.isSafeInteger(line.events) && line.events as number >= 0
    ? line.events as number
    : null;
}

function encode(line: ControlLine): Uint8Array {
  return encoder.encode(`${encodeJson(line)}\n`);
}

function keepAliveOf(line: ControlLine): { keepAliveMs?: number } {
  return member("keepAliveMs", line.keep_alive_ms, MAX_KEEP_ALIVE_MS);
}

/**
 * Returns an object with one member if the value is an integer from 1 to `most`, otherwise an empty
 * one.
 */
function member<K extends string>(
  name: K,
  value: unknown,
  most = Number.MAX_SAFE_INTEGER,
): { [key in K]?: number } {
  const isSound = Number.isSafeInteger(value) && value as number >= 1 && value as number <= most;
  return (isSound ? { [name]: value } : {}) as { [key in K]?: number };
}
