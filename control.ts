/**
 * Owns the control lines: what two neighbours tell each other, which is never relayed and never
 * shown as an event. Must not know connections.
 *
 * @module
 */

import { encodeJson } from "./codec.ts";
import type { CloseReason, Farewell } from "./errors.ts";
import { MAX_QUOTE, printable, quote } from "./printable.ts";

/** A control line: `control` says what it is, the other members depend on that. */
export interface ControlLine {
  /** What it is. */
  control: string;
  [member: string]: unknown;
}

/** Whether the peer is told of a reason. Of the others it learns by itself, or cannot be told. */
const IS_ANNOUNCED: Readonly<Record<CloseReason, boolean>> = {
  "local": false,
  "eof": false,
  "truncated": true,
  "reset": false,
  "aborted": false,
  "shutdown": true,
  "slow-consumer": true,
  "idle-timeout": true,
  "line-too-long": true,
  "too-deep": true,
  "bad-utf8": true,
  "bad-json": true,
  "bad-event": true,
  "unauthorized": true,
  "too-many-clients": true,
  "rate-limited": true,
};

const encoder = new TextEncoder();

/** The longest time that a peer can ask for before the next attempt, in milliseconds: an hour. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** The line that tells a peer why it is being closed, or `null` if it is not told. */
export function encodeClose(
  { reason, detail, retryAfterMs }: Farewell,
): Uint8Array | null {
  if (!IS_ANNOUNCED[reason]) return null;
  const line = {
    control: "close",
    reason,
    detail: detail || undefined,
    retry_after_ms: retryAfterMs,
  };
  return encoder.encode(`${encodeJson(line)}\n`);
}

/** Why the peer says that it closes, if that is what `line` says. Trusts nothing in it. */
export function decodeClose(line: ControlLine): Farewell | null {
  if (line.control !== "close") return null;
  const { reason } = line;
  if (typeof reason !== "string" || !isCloseReason(reason)) {
    const shown = quote(
      typeof reason === "string" ? reason : JSON.stringify(reason) ?? "undefined",
    );
    return { reason: "eof", detail: `the peer gave the unknown reason ${shown}` };
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

function isCloseReason(text: string): text is CloseReason {
  return Object.hasOwn(IS_ANNOUNCED, text);
}
