/**
 * The subscribe requests of a client: their checks, their lines and their pending replies.
 *
 * @module
 */

import { encodeRequest, type Receipt, type Refusal } from "../protocol/control.ts";
import type { LossReason, ReplayAnswer, ReplayRequest } from "../protocol/history.ts";
import { checkName, NO_QUEUE } from "../protocol/names.ts";
import { encodeJson } from "../protocol/encoder.ts";
import { checkGiven, checkTimeout, MAX_CONTROL_BYTES } from "../protocol/option_checks.ts";
import { RequestTimeoutError } from "../errors.ts";
import { faultOfPattern } from "../protocol/pattern.ts";
import { PendingRequest } from "./pending_requests.ts";
import { inspect, quote } from "../protocol/printable.ts";
import { checkSince, type Since } from "./since.ts";
import { byteLength } from "../protocol/utf8.ts";

/** Options of {@link EbsocketClient.subscribe} and {@link EbsocketClient.unsubscribe}. */
export interface SubscribeOptions {
  /**
   * The queue group, a name of 1 to 255 bytes. Each event goes to one of the clients that have
   * subscribed with this name and a matching pattern. Without it, each event goes to every client.
   */
  readonly queue?: string;
  /**
   * The time limit for the acknowledgement, in milliseconds, or `Infinity`. With 0 or less it has
   * already expired. A timeout only ends the wait: the client keeps requesting the change.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /** Cancels the request when aborted. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.subscribe} for a client that also wants kept events. */
export interface ReplayOptions extends Omit<SubscribeOptions, "queue"> {
  /** From where on the client receives the events that the relay has kept. */
  readonly since: Since;
  /**
   * Whether the client receives the others if some events since a position are missing, here and
   * when it connects again. Otherwise, it receives no earlier events then, or with `since: "last"`
   * the last event of each name.
   *
   * @default {false}
   */
  readonly partial?: boolean;
}

/** What a relay has kept since the place that a client has asked for. */
export interface Recovery {
  /** The epoch of the history. */
  readonly epoch: string;
  /** Whether all events since a position follow. `null` if the client has not named one. */
  readonly recovered: boolean | null;
  /**
   * Why not: the relay has begun a new history (`epoch`), no longer keeps some of them (`evicted`), or
   * has never had an event at this position (`ahead`). Otherwise `null`.
   */
  readonly reason: LossReason | null;
  /** The events after this offset follow. */
  readonly from: number;
  /** The offset of the last event when the relay answered. */
  readonly to: number;
}

/**
 * The maximum line length for a server that has not announced a limit, in bytes. Few servers accept
 * less.
 */
export const CAUTIOUS_LINE_BYTES = 8192;

/** The maximum length of a line without its patterns and queue, in bytes. */
const FRAME_BYTES = 256;

/** The operations, as messages name them. */
export const SUBSCRIBE = "subscribe to";
export const UNSUBSCRIBE = "unsubscribe from";
/** The operation of a line after a `hello`. */
export const GREET = "connect with a subscription to";

/** A pending call of `subscribe()` or `unsubscribe()`. A subscribing call owns its patterns. */
export class SubscribeCall extends PendingRequest {
  /** The patterns that have not been acknowledged. */
  open: Set<string>;
  /**
   * Whether the call was sent on this connection, and whether it was split across lines. Some of
   * those lines may be granted and others refused.
   */
  isSent = false;
  isSplit = false;
  /** The answers to a request for kept events so far, as one. */
  recovery: Recovery | null = null;

  constructor(
    id: string,
    readonly patterns: readonly string[],
    readonly queue: string,
    /** The owner of the patterns once they are granted. `null` if the call removes them. */
    readonly owner: object | null,
    /** Returns the request for kept events of a pattern. `null` without any. */
    readonly replayFor: ((pattern: string) => ReplayRequest) | null,
    readonly grant: () => void,
    fail: (error: unknown) => void,
  ) {
    super(id, owner ? SUBSCRIBE : UNSUBSCRIBE, describe(patterns), fail);
    this.open = new Set(patterns);
    this.survives = owner !== null;
  }

  /** Adds the answer to a part of the request. */
  onAnswer({ epoch, recovered, reason, from, to }: ReplayAnswer): void {
    const other = this.recovery ?? { recovered: recovered ?? null, reason: null, from, to };
    this.recovery = {
      epoch,
      recovered: other.recovered && (recovered ?? null),
      reason: other.reason ?? reason ?? null,
      from: Math.min(from, other.from),
      to: Math.max(to, other.to),
    };
  }

  /**
   * Only the wait ends: a subscription is repeated on every connection until a relay has replied.
   */
  override onTimeout({ message }: RequestTimeoutError): void {
    const hint = this.owner ? "; it is remembered, and unsubscribe() takes it back" : "";
    this.fail(new RequestTimeoutError(`${message}${hint}`));
  }
}

/** A pending line about some calls. */
export class SubscribeLine extends PendingRequest {
  /** The bytes of the line. */
  readonly bytes: Uint8Array;
  /**
   * Resolves to the relay's refusal. Resolves to `null` if it has granted the line or the
   * connection has ended.
   */
  readonly refusal: Promise<Refusal | null>;
  isGranted = false;
  /** The relay's answer to the request for kept events, if it has sent one. */
  answer: ReplayAnswer | null = null;
  readonly #resolve: (refusal: Refusal | null) => void;

  /** Creates a pending line that calls `onGrant` as soon as it is acknowledged. */
  constructor(
    id: string,
    verb: string,
    patterns: readonly string[],
    queue: string,
    readonly calls: readonly SubscribeCall[],
    readonly onGrant: () => void,
    replay?: ReplayRequest,
  ) {
    const { promise, resolve } = Promise.withResolvers<Refusal | null>();
    super(id, verb, describe(patterns), () => resolve(null));
    this.bytes = encodeRequest({
      control: verb === UNSUBSCRIBE ? "unsubscribe" : "subscribe",
      events: patterns,
      ...(queue !== NO_QUEUE && { queue }),
      id,
      ...(replay && { replay }),
    });
    this.refusal = promise;
    this.#resolve = resolve;
  }

  override onReceipt({ replay }: Receipt): boolean {
    this.isGranted = true;
    this.answer = replay ?? null;
    this.onGrant();
    this.#resolve(null);
    return true;
  }

  override onRefusal(refusal: Refusal): boolean {
    this.#resolve(refusal);
    return true;
  }
}

/**
 * Returns `pattern` if it is valid.
 *
 * @throws {TypeError} If it is not a string.
 * @throws {RangeError} If it is invalid. The message quotes it and contains the reason.
 */
export function checkPattern(pattern: string): string {
  const fault = faultOfPattern(pattern);
  if (!fault) return pattern;
  if (typeof pattern !== "string") throw new TypeError(`Invalid pattern: ${fault}`);
  throw new RangeError(`Invalid pattern ${quote(pattern)}: ${fault}`);
}

/**
 * Checks the arguments of a call.
 *
 * @throws {TypeError} If an argument is of the wrong type.
 * @throws {RangeError} If a pattern is invalid or a value is out of its range.
 */
export function checkSubscribe(
  patterns: readonly string[],
  options: SubscribeOptions & Partial<ReplayOptions>,
): void {
  if (!Array.isArray(patterns)) {
    throw new TypeError(`Invalid patterns: expected an array, got ${inspect(patterns)}`);
  }
  patterns.forEach(checkPattern);
  checkGiven(options, ["queue", "since"]);
  const { queue, since, timeout = 10_000 } = options;
  if (queue !== undefined) checkName(queue, "queue");
  if (since !== undefined) checkSince(since);
  checkTimeout(timeout);
}

/**
 * Splits patterns into as few parts as lines of at most `maxLineBytes` can carry, at least one. A
 * pattern that is too long for any line gets its own part.
 */
export function split(
  patterns: readonly string[],
  queue: string,
  maxLineBytes: number,
): string[][] {
  const parts: string[][] = [[]];
  const max = Math.min(maxLineBytes, MAX_CONTROL_BYTES) - FRAME_BYTES - lengthOf(queue);
  let bytes = 0;
  for (const pattern of patterns) {
    const more = lengthOf(pattern) + 1;
    if (bytes > 0 && bytes + more > max) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(pattern);
    bytes += more;
  }
  return parts;
}

/** Returns the length of a text as JSON, in bytes. */
function lengthOf(text: string): number {
  return byteLength(encodeJson(text));
}

/** Returns the patterns as messages show them. */
export function describe(patterns: readonly string[]): string {
  if (patterns.length === 0) return "nothing";
  const [first, ...others] = patterns;
  return others.length === 0 ? quote(first!) : `${quote(first!)} and ${others.length} more`;
}
