/**
 * Control lines, which the two ends of a connection exchange. They are never relayed and never
 * delivered as events. The `close` line is encoded and decoded here.
 *
 * @module
 */

import { encodeJson } from "./encoder.ts";
import type { CloseReason, Farewell } from "../errors.ts";
import { MAX_QUOTE, printable, quote } from "./printable.ts";

/** A control line. `control` is its kind, which determines the other members. */
export interface ControlLine {
  /** The kind of the line. */
  control: string;
  [member: string]: unknown;
}

/** The two ends of a connection. */
export type Side = "client" | "server";

/**
 * The sides that may announce each reason. The other reasons need no announcement, because the peer
 * detects them itself or can no longer be reached.
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

/** The longest wait before the next attempt that a peer can request, in milliseconds: an hour. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** Returns the `close` line for the peer, or `null` if the reason is not announced. */
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
 * Returns the announcement in a `close` line, or `null` for any other line. No member is trusted. A
 * reason that the peer's side cannot give counts as the end of the stream.
 *
 * @param line The received control line.
 * @param peer The side that sent it.
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
