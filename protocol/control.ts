/**
 * Control lines, which the two ends of a connection exchange. They are never relayed and never
 * delivered as events. The `close` line is encoded and decoded here.
 *
 * @module
 */

import { encodeJson } from "./encoder.ts";
import { CLOSE_REASONS, type CloseReason, type Farewell } from "../errors.ts";
import { MAX_QUOTE, printable, quote } from "./printable.ts";

/** A control line. `control` is its kind, which determines the other members. */
export interface ControlLine {
  /** The kind of the line. */
  control: string;
  [member: string]: unknown;
}

/** The two ends of a connection. */
export type Side = "client" | "server";

const encoder = new TextEncoder();

/** The longest wait before the next attempt that a peer can request, in milliseconds: an hour. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** Returns the `close` line for the peer, or `null` if the reason is not announced. */
export function encodeClose(
  { reason, detail, retryAfterMs }: Farewell,
): Uint8Array | null {
  if (CLOSE_REASONS[reason].sentBy === "neither") return null;
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
  if (!isCloseReason(reason) || !isSentBy(peer, reason)) {
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
  return typeof value === "string" && Object.hasOwn(CLOSE_REASONS, value);
}

function isSentBy(side: Side, reason: CloseReason): boolean {
  const { sentBy } = CLOSE_REASONS[reason];
  return sentBy === "both" || sentBy === "servers" && side === "server";
}
