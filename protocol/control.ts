/**
 * Owns the control lines: what two neighbours tell each other, which is never relayed and never
 * shown as an event. Must not know connections.
 *
 * @module
 */

import { encodeJson } from "./encoder.ts";
import type { CloseReason, Farewell } from "../errors.ts";
import { MAX_QUOTE, printable, quote } from "./printable.ts";

/** A control line: `control` says what it is, the other members depend on that. */
export interface ControlLine {
  /** What it is. */
  control: string;
  [member: string]: unknown;
}

/** The two ends of a connection. */
export type Side = "client" | "server";

/**
 * Which ends may tell the other of a reason. Of those that none may tell, a peer learns by itself, or
 * cannot be told.
 */
const TOLD_BY: Readonly<Record<CloseReason, readonly Side[]>> = {
  "local": [],
  "eof": [],
  "truncated": ["client", "server"],
  "reset": [],
  "aborted": [],
  "shutdown": ["server"],
  "slow-consumer": ["client", "server"],
  "idle-timeout": ["client", "server"],
  "line-too-long": ["client", "server"],
  "too-deep": ["client", "server"],
  "bad-utf8": ["client", "server"],
  "bad-json": ["client", "server"],
  "bad-event": ["client", "server"],
  "unauthorized": ["server"],
  "too-many-clients": ["server"],
  "rate-limited": ["server"],
  "overloaded": ["server"],
};

const encoder = new TextEncoder();

/** The longest time that a peer can ask for before the next attempt, in milliseconds: an hour. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** The line that tells a peer why it is being closed, or `null` if it is not told. */
export function encodeClose(
  { reason, detail, retryAfterMs }: Farewell,
): Uint8Array | null {
  if (TOLD_BY[reason].length === 0) return null;
  const line = {
    control: "close",
    reason,
    detail: detail || undefined,
    retry_after_ms: retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs),
  };
  return encoder.encode(`${encodeJson(line)}\n`);
}

/**
 * Why the peer, a server or a client, says that it closes, if that is what `line` says. Trusts nothing in
 * it: a reason that such a peer cannot give counts as the end of the stream.
 */
export function decodeClose(line: ControlLine, peer: Side = "server"): Farewell | null {
  if (line.control !== "close") return null;
  const { reason } = line;
  if (!isCloseReason(reason) || !TOLD_BY[reason].includes(peer)) {
    const shown = quote(
      typeof reason === "string" ? reason : JSON.stringify(reason) ?? "undefined",
    );
    const detail = isCloseReason(reason)
      ? `the ${peer} gave the reason ${shown}, which no ${peer} can give`
      : `the ${peer} gave the unknown reason ${shown}`;
    return { reason: "eof", detail };
  }
  const detail = typeof line.detail === "string" ? line.detail : "";
  const wait = line.retry_after_ms;
  const isSound = Number.isSafeInteger(wait) && wait as number >= 0;
  return {
    reason,
    detail: printable(detail.slice(0, 2 * MAX_QUOTE).toWellFormed()),
    ...(isSound && { retryAfterMs: Math.min(wait as number, MAX_RETRY_AFTER_MS) }),
  };
}

function isCloseReason(value: unknown): value is CloseReason {
  return typeof value === "string" && Object.hasOwn(TOLD_BY, value);
}
