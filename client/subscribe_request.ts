/**
 * Owns the wishes of a client to hear events, or to hear them no longer: their check, their lines, and
 * who waits for them to be granted. Must not know what else is wanted.
 *
 * @module
 */

import { checkWord } from "../protocol/routing.ts";
import { encodeJson } from "../protocol/encoder.ts";
import { checkGiven, checkTimeout, MAX_CONTROL_BYTES } from "../protocol/option_checks.ts";
import { RequestTimeoutError } from "../errors.ts";
import { faultOfPattern } from "../protocol/pattern.ts";
import { PendingRequest } from "./pending_requests.ts";
import { inspect, quote } from "../protocol/printable.ts";
import { encodeSubscription, type Receipt, type Refusal } from "../protocol/routing.ts";

/** Options of {@link EbsocketClient.subscribe} and {@link EbsocketClient.unsubscribe}. */
export interface SubscribeOptions {
  /**
   * A name of 1 to 255 bytes. Of all clients that have subscribed with one name, and a pattern that
   * matches, one gets each event. Without it, every client does.
   */
  readonly queue?: string;
  /**
   * How long the relay may take to acknowledge it, in milliseconds, or `Infinity`; 0 and less is over
   * already. A time-out ends the wait, and nothing else: the client goes on asking for it.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /** Gives it up when aborted: the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How long a line is for a server that has not said how long it may be: few take less. */
export const CAUTIOUS_LINE_BYTES = 8192;

/** How long the line of a wish is beside its patterns and its queue, at most. */
const FRAME_BYTES = 96;

const encoder = new TextEncoder();

/** What a wish is for, as messages say it. */
export const SUBSCRIBE = "subscribe to";
export const UNSUBSCRIBE = "unsubscribe from";
/** What is said behind a `hello`. */
export const GREET = "connect with a subscription to";

/** Waits until the relay has acknowledged a wish. */
export class SubscribeRequest extends PendingRequest {
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    id: string,
    verb: string,
    readonly patterns: readonly string[],
    resolve: () => void,
    reject: (error: unknown) => void,
  ) {
    super(id, verb, describe(patterns));
    this.survives = verb === SUBSCRIBE;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  override onReceipt(_receipt: Receipt): boolean {
    this.#resolve();
    return true;
  }

  /** Only nobody waits any more: it is said to every connection until a relay has answered. */
  override onTimeout({ message }: RequestTimeoutError): void {
    const hint = this.survives ? "; it is remembered, and unsubscribe() takes it back" : "";
    this.fail(new RequestTimeoutError(`${message}${hint}`));
  }

  grant(): void {
    this.#resolve();
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}

/** Waits until the relay has answered a line, which may be about several wishes. */
export class Line extends PendingRequest {
  /** Why the relay has refused it; `null` if it has not, or its connection has ended. */
  readonly answer: Promise<Refusal | null>;
  readonly #resolve: (refusal: Refusal | null) => void;
  readonly #onGrant: () => void;

  /** Makes one that calls `onGrant` at once when it is acknowledged. */
  constructor(id: string, verb: string, patterns: readonly string[], onGrant: () => void) {
    super(id, verb, describe(patterns));
    const { promise, resolve } = Promise.withResolvers<Refusal | null>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#onGrant = onGrant;
  }

  override onReceipt(_receipt: Receipt): boolean {
    this.#onGrant();
    this.#resolve(null);
    return true;
  }

  override onRefusal(refusal: Refusal): boolean {
    this.#resolve(refusal);
    return true;
  }

  fail(_error: unknown): void {
    this.#resolve(null);
  }
}

/**
 * `pattern` if it is one.
 *
 * @throws {TypeError} If it is no string.
 * @throws {RangeError} If it is none; the message quotes it, and says why.
 */
export function checkPattern(pattern: string): string {
  const fault = faultOfPattern(pattern);
  if (!fault) return pattern;
  if (typeof pattern !== "string") throw new TypeError(`Invalid pattern: ${fault}`);
  throw new RangeError(`Invalid pattern ${quote(pattern)}: ${fault}`);
}

/** Checks what a program has given. */
export function checkWish(patterns: readonly string[], options: SubscribeOptions): void {
  if (!Array.isArray(patterns)) {
    throw new TypeError(`Invalid patterns: expected an array, got ${inspect(patterns)}`);
  }
  patterns.forEach(checkPattern);
  checkGiven(options, ["queue"]);
  const { queue, timeout = 10_000 } = options;
  if (queue !== undefined) checkWord("queue", queue);
  checkTimeout(timeout);
}

/** The line that a waiter waits for; no queue is an empty string. */
export function encodeWish(
  { id, verb }: PendingRequest,
  patterns: readonly string[],
  queue: string,
): Uint8Array {
  return encodeSubscription({
    control: verb === UNSUBSCRIBE ? "unsubscribe" : "subscribe",
    events: patterns,
    ...(queue !== "" && { queue }),
    id,
  });
}

/**
 * The patterns in as few parts as lines of at most `maxLineBytes` can carry them; at least one. A pattern
 * that none can carry is in one of its own.
 */
export function split(
  patterns: readonly string[],
  queue: string,
  maxLineBytes: number,
): string[][] {
  const parts: string[][] = [[]];
  const most = Math.min(maxLineBytes, MAX_CONTROL_BYTES) - FRAME_BYTES - lengthOf(queue);
  let bytes = 0;
  for (const pattern of patterns) {
    const more = lengthOf(pattern) + 1;
    if (bytes > 0 && bytes + more > most) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(pattern);
    bytes += more;
  }
  return parts;
}

/** How many bytes a text has as JSON. */
function lengthOf(text: string): number {
  return encoder.encode(encodeJson(text)).length;
}

/** The patterns as a message shows them. */
export function describe(patterns: readonly string[]): string {
  if (patterns.length === 0) return "nothing";
  const [first, ...others] = patterns;
  return others.length === 0 ? quote(first!) : `${quote(first!)} and ${others.length} more`;
}
