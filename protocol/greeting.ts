/**
 * Owns what two neighbours tell each other about themselves: the `hello` of a client, the `welcome`
 * that answers it, and the `ack` lines that a client may ask for. Must not know connections, or
 * whether a token is the right one.
 *
 * @module
 */

import { encodeJson } from "./encoder.ts";
import type { ControlLine } from "./control.ts";
import type { Feature } from "./routing.ts";

/** The version of the protocol that is spoken here. */
const VERSION = 1;

/** The longest time that a peer can promise to be heard of within, in milliseconds: a day. */
const MAX_KEEP_ALIVE_MS = 86_400_000;

/** What a client says of itself. */
export interface Hello {
  /** What proves that it may connect. */
  readonly token?: string;
  /** It promises to send something, if only an empty line, at least this often, in milliseconds. */
  readonly keepAliveMs?: number;
  /** Whether it wants to be told which of its events have been taken. */
  readonly ack: boolean;
  /** Whether it wants the events that it gets to be numbered. */
  readonly sequence?: boolean;
}

/** What a server says of itself, and of what it demands. */
export interface Welcome {
  /** What it calls the client: `c1`, `c2`, and so on. */
  readonly id: string;
  /** It promises to send something, if only an empty line, at least this often, in milliseconds. */
  readonly keepAliveMs?: number;
  /** Whether it will send `ack` lines. */
  readonly ack: boolean;
  /** What it can do beyond passing events on. */
  readonly features: readonly Feature[];
  /** The limits in force; those that a client needs to know to keep them. */
  readonly limits: WelcomeLimits;
}

/** The limits that a `welcome` tells; what is left out, or infinite, has no limit. */
export interface WelcomeLimits {
  /** The longest line, in bytes without its end. */
  readonly maxLineBytes?: number;
  /** How deep a line may nest. */
  readonly maxDepth?: number;
  /** How many bytes may wait for the client. */
  readonly maxPendingBytes?: number;
  /** How many events a second may come from the client. */
  readonly maxEventsPerSecond?: number;
  /** How many bytes a second may come from the client. */
  readonly maxBytesPerSecond?: number;
}

/** The features that are known here. */
const FEATURES: readonly Feature[] = ["subscribe", "ack", "sequence", "stats", "subscribe-first"];

const encoder = new TextEncoder();

/** The first line of a client. */
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

/** What a client says of itself, if `line` is a `hello`. Members of a wrong type do not count. */
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

/** The answer to a `hello`. */
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

/** `value` unless it says that there is no limit, which is said by leaving it out. */
function finite(value: number | undefined): number | undefined {
  return value === Infinity ? undefined : value;
}

/** A duration as an integer, and no shorter than it is: what is promised has to be kept. */
function whole(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : finite(Math.ceil(ms));
}

/** What a server says of itself, if `line` is a `welcome`. Members of a wrong type do not count. */
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

/** Says how many of a client's events, since it connected, have been taken. */
export function encodeAck(events: number): Uint8Array {
  return encode({ control: "ack", events });
}

/** How many events have been taken, if `line` is an `ack` that makes sense. */
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

/** An object with one member if the value is an integer from 1 to `most`, otherwise without. */
function member<K extends string>(
  name: K,
  value: unknown,
  most = Number.MAX_SAFE_INTEGER,
): { [key in K]?: number } {
  const isSound = Number.isSafeInteger(value) && value as number >= 1 && value as number <= most;
  return (isSound ? { [name]: value } : {}) as { [key in K]?: number };
}
