/**
 * The history in control lines: what a relay keeps, what a client asks of it, and the answers.
 *
 * The decoders trust no member of a line.
 *
 * @module
 */

import { encodeJson } from "./encoder.ts";
import { byteLength, encoder } from "./utf8.ts";

/** A control line. */
type Line = Readonly<Record<string, unknown>>;

/** The longest epoch, and the longest ID of a question about the past as JSON, in bytes. */
const MAX_TEXT_BYTES = 64;

/** A place in the history of a relay. */
export interface HistoryPosition {
  /** The epoch of the history. Offsets of different epochs have nothing to do with each other. */
  readonly epoch: string;
  /** The offset of an event. */
  readonly offset: number;
}

/** What a relay keeps, as its `welcome` says. */
export interface HistoryTerms extends HistoryPosition {
  /** The least offset that is left. */
  readonly first: number;
  /** The patterns of the names of the events that are kept. */
  readonly kept: readonly string[];
}

/** From where on a client asks for kept events. */
export type Since =
  | HistoryPosition
  /** The last events that match. */
  | { readonly count: number }
  /** The events of the last so many milliseconds. */
  | { readonly age: number }
  /** All kept events. */
  | "first"
  /** The last event of each name, if the relay keeps it. */
  | "last";

/** The part of a `subscribe` that is about the history. */
export interface ReplayRequest {
  readonly since: Since;
  /**
   * Whether the client wants what is left although some of it is missing, or `last` if it then wants
   * the last event of each name.
   */
  readonly partial: boolean | "last";
  /** Whether the client only asks for events of the past, and adds no subscriptions. */
  readonly isPast?: boolean;
}

/** Why not all events since a position are there. */
export type LossReason = "epoch" | "evicted" | "ahead";

const LOSS_REASONS: readonly LossReason[] = ["epoch", "evicted", "ahead"];

/** The answer to a request for kept events. */
export interface ReplayAnswer {
  readonly id: string;
  readonly epoch: string;
  /** Whether all events since a position are there. Unset if it was not about a position. */
  readonly recovered?: boolean;
  /** Why not. */
  readonly reason?: LossReason;
  /** The events after this offset follow. */
  readonly from: number;
  /** The offset of the last event of now. */
  readonly to: number;
}

/** What a relay says of a history while a client receives it. */
export type HistoryNews =
  /** A client has caught up, or an answer is complete, up to an offset. */
  | { readonly control: "live" | "end"; readonly id: string; readonly offset: number }
  /** A client has received everything up to an offset. */
  | { readonly control: "at"; readonly offset: number }
  /** Events from one offset to another were dropped before the client has received them. */
  | {
    readonly control: "gap";
    /** The ID of the question about the past. Unset for a client that catches up. */
    readonly id?: string;
    readonly from: number;
    readonly to: number;
  };

/** Returns the terms in a `welcome`, or `null`. */
export function decodeHistoryTerms(value: unknown): HistoryTerms | null {
  const { epoch, first, offset, kept } = Object(value) as Record<string, unknown>;
  if (!isText(epoch) || !isOffset(first) || !isOffset(offset) || !Array.isArray(kept)) return null;
  return { epoch, first, offset, kept: kept.filter((pattern) => typeof pattern === "string") };
}

/** Returns the members of a `subscribe` with a replay. */
export function replayMembers({ since, partial, isPast }: ReplayRequest): object {
  return {
    since: sinceMember(since),
    partial: partial || undefined,
    live: isPast ? false : undefined,
  };
}

function sinceMember(since: Since): object {
  if (typeof since === "string") return { [since]: true };
  if ("age" in since) return { age_ms: Math.ceil(since.age) };
  if ("count" in since) return { count: since.count };
  return { epoch: since.epoch, offset: since.offset };
}

/** Returns the replay that a `subscribe` asks for, or the fault of it. */
export function decodeReplay({ since, partial, live, id }: Line): ReplayRequest | string {
  const decoded = decodeSince(since);
  if (decoded === null) {
    return '"since" must be an object with "epoch" and "offset", "count", "age_ms", "first" or "last"';
  }
  const isPast = live === false;
  if (isPast && !isText(id)) return `"id" may take ${MAX_TEXT_BYTES} bytes with "live":false`;
  return { since: decoded, partial: partial === "last" ? partial : partial === true, isPast };
}

function decodeSince(value: unknown): Since | null {
  const { epoch, offset, count, age_ms, first, last } = Object(value) as Record<string, unknown>;
  if (first === true) return "first";
  if (last === true) return "last";
  if (isOffset(count)) return { count };
  if (typeof age_ms === "number" && age_ms >= 0) return { age: age_ms };
  const position = { epoch, offset };
  return isPosition(position) ? position : null;
}

/** Returns whether these are an epoch and an offset. */
export function isPosition(
  position: { readonly epoch: unknown; readonly offset: unknown },
): position is HistoryPosition {
  return isText(position.epoch) && isOffset(position.offset);
}

/** Returns a position as text without spaces, such as `k3J9x2aQ:1041`. */
export function formatPosition({ epoch, offset }: HistoryPosition): string {
  return `${epoch}:${offset}`;
}

/** Returns the position in a text of {@link formatPosition}, or `null` for any other text. */
export function parsePosition(text: string): HistoryPosition | null {
  const [, epoch, offset] = /^(.+):(\d+)$/s.exec(text) ?? [];
  const position = { epoch, offset: Number(offset) };
  return isPosition(position) ? position : null;
}

/** Returns the line of an answer. */
export function encodeReplayAnswer({ id, ...history }: ReplayAnswer): Uint8Array {
  return encodeLine({ control: "ack", id, history });
}

/** Returns the answer in `line`, or `null` for any other line. */
export function decodeReplayAnswer({ control, id, history }: Line): ReplayAnswer | null {
  if (control !== "ack" || typeof id !== "string") return null;
  const { epoch, recovered, reason, from, to } = Object(history) as Record<string, unknown>;
  if (!isText(epoch) || !isOffset(from) || !isOffset(to)) return null;
  return {
    id,
    epoch,
    ...(typeof recovered === "boolean" && { recovered }),
    ...(isLossReason(reason) && { reason }),
    from,
    to,
  };
}

/** Returns the line of news about the history. */
export function encodeHistoryNews(news: HistoryNews): Uint8Array {
  return encodeLine(news.control === "gap" ? { ...news, reason: "evicted" } : { ...news });
}

/** Returns the news in `line`, or `null` for any other line. */
export function decodeHistoryNews(line: Line): HistoryNews | null {
  const { control, id, offset, from, to } = line;
  if (control === "at") return isOffset(offset) ? { control, offset } : null;
  if (control === "gap") {
    if (!isOffset(from) || !isOffset(to)) return null;
    return { control, ...(typeof id === "string" && { id }), from, to };
  }
  if (control !== "live" && control !== "end") return null;
  return typeof id === "string" && isOffset(offset) ? { control, id, offset } : null;
}

/** Returns the line that ends the answer to a question about the past. */
export function encodeCancel(id: string): Uint8Array {
  return encodeLine({ control: "cancel", id });
}

/** Returns the ID in a `cancel` line, or `null` for any other line. */
export function decodeCancel({ control, id }: Line): string | null {
  return control === "cancel" && typeof id === "string" ? id : null;
}

function encodeLine(line: Line): Uint8Array {
  return encoder.encode(`${encodeJson(line)}\n`);
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

function isText(value: unknown): value is string {
  if (typeof value !== "string" || value === "") return false;
  return byteLength(JSON.stringify(value)) - 2 <= MAX_TEXT_BYTES;
}

function isLossReason(value: unknown): value is LossReason {
  return LOSS_REASONS.includes(value as LossReason);
}
