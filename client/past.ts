/**
 * The questions of a client about the past: events that the relay has kept, apart from those that
 * arrive now.
 *
 * @module
 */

import { ConnectionClosedError, EbsocketError } from "../errors.ts";
import { encodeRequest, notSupported, type Receipt } from "../protocol/control.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { encodeCancel, type HistoryNews } from "../protocol/history.ts";
import type { Inbox } from "../net/inbox.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import { matches } from "../protocol/pattern.ts";
import type { Inboxes } from "./inboxes.ts";
import { PendingRequest, type PendingRequests } from "./pending_requests.ts";
import { placeOf, type Since } from "./since.ts";
import { checkSubscribe, describe, split } from "./subscribe_request.ts";
import type { ControlChannel, SubscriptionManager } from "./subscriptions.ts";

/** Options of {@link EbsocketClient.history}. */
export interface PastOptions {
  /**
   * From where on the events are read.
   *
   * @default {"first"}
   */
  readonly since?: Since;
  /**
   * Whether to read the others if some events are missing. Otherwise, that is an error.
   *
   * @default {false}
   */
  readonly partial?: boolean;
  /**
   * The time limit for the relay's answer, in milliseconds, or `Infinity`. With 0 or less it has
   * already expired. The events after the answer may take any time.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /** Stops reading when aborted. `next()` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

const VERB = "read the past of";

/** A question about the past, over all connections. */
class Question extends PendingRequest {
  /** Why the answer is incomplete, or `null`. */
  error: unknown = null;
  /** Whether the relay sends no more of the answer. */
  hasEnded = false;
  /** The epoch of the answer. `null` before it. */
  #epoch: string | null = null;
  /** The offset after which the answer goes on. */
  #offset = 0;
  /** Whether the answer is of a history in which the offsets of `since` mean nothing. */
  #isElsewhere = false;

  constructor(
    id: string,
    readonly patterns: readonly string[],
    readonly since: Since,
    readonly isPartial: boolean,
    readonly inbox: Inbox<EbsocketEvent>,
  ) {
    super(id, VERB, describe(patterns), (error) => {
      this.error = error;
      inbox.end();
    });
    this.survives = true;
  }

  /** Returns the line that asks for the events that have not been received. */
  encode(): Uint8Array {
    const { id, patterns, since, isPartial } = this;
    const places = patterns.map((pattern) => placeOf(pattern, since));
    // With the last event of each name, the relay sends those again that have been received.
    const place = this.#epoch === null || since === "last"
      ? places.reduce((one, other) => offsetOf(other) < offsetOf(one) ? other : one)
      : { epoch: this.#epoch, offset: this.#offset };
    const replay = { since: place, isPartial, isPast: true };
    return encodeRequest({ control: "subscribe", events: patterns, id, replay });
  }

  override onReceipt({ replay }: Receipt): boolean {
    if (!replay) return false;
    const { epoch, recovered, reason, from } = replay;
    this.deadline = Infinity;
    // A new epoch may go on with the old one, and then says so.
    const isOther = this.#epoch !== null && this.#epoch !== epoch && recovered !== true;
    const isLost = isOther || recovered === false;
    const cause = reason ?? (isOther ? "epoch" : "evicted");
    if (isLost && !this.isPartial) {
      const { since } = this;
      const isPosition = typeof since !== "string" && "epoch" in since;
      const place = isPosition ? ` after ${since.epoch}:${since.offset}` : "";
      return this.#lose(`events${place} are missing: ${cause}`);
    }
    if (isLost && cause !== "evicted") this.#isElsewhere = true;
    if (this.#epoch === null || isOther) this.#offset = this.since === "last" ? 0 : from;
    this.#epoch = epoch;
    return false;
  }

  override onRefusal(): boolean {
    this.hasEnded = true;
    return false;
  }

  override onPast(item: EbsocketEvent | HistoryNews, bytes: number): boolean {
    if (!(item instanceof EbsocketEvent)) {
      if (item.control === "gap") {
        const { from, to } = item;
        const why = `the events ${from} to ${to} are missing; after them is ${this.#epoch}:${to}`;
        return !this.isPartial && this.#lose(why);
      }
      this.hasEnded = true;
      this.inbox.end();
      return true;
    }
    const { event, offset } = item;
    if (offset === null || offset <= this.#offset) return false;
    this.#offset = offset;
    const isNew = (pattern: string) =>
      offset > offsetOf(placeOf(pattern, this.since)) && matches(pattern, event);
    const hasOwn = typeof this.since !== "string" && "behind" in this.since && !this.#isElsewhere;
    if (!hasOwn || this.patterns.some(isNew)) this.inbox.push([item], bytes);
    return false;
  }

  #lose(why: string): true {
    this.fail(new EbsocketError("not-recovered", `${this.errorPrefix}: ${why}`));
    return true;
  }
}

/** The questions of one client about the past. */
export class Past {
  readonly #pending: PendingRequests;
  readonly #inboxes: Inboxes;
  readonly #subscriptions: SubscriptionManager;
  readonly #questions = new Set<Question>();
  /** The last connection. */
  #channel: ControlChannel | null = null;

  constructor(
    pending: PendingRequests,
    inboxes: Inboxes,
    subscriptions: SubscriptionManager,
  ) {
    this.#pending = pending;
    this.#inboxes = inboxes;
    this.#subscriptions = subscriptions;
  }

  /** Returns the kept events that match a pattern. It asks the relay at the first `next()`. */
  read(
    wanted: string | readonly string[],
    options: PastOptions = {},
  ): AsyncGenerator<EbsocketEvent, void, void> {
    const patterns = typeof wanted === "string" ? [wanted] : wanted;
    checkSubscribe(patterns, options);
    if (patterns.length === 0) throw new RangeError("Invalid patterns: expected at least one");
    return this.#read([...patterns], options);
  }

  async *#read(
    patterns: readonly string[],
    { since = "first", partial = false, timeout = 10_000, signal }: PastOptions,
  ): AsyncGenerator<EbsocketEvent, void, void> {
    signal?.throwIfAborted();
    const inbox = this.#inboxes.open(`history(${describe(patterns)})`);
    const question = new Question(this.#pending.nextId(), patterns, since, partial, inbox);
    try {
      if (!this.#subscriptions.isOnline) {
        throw new ConnectionClosedError(`${question.errorPrefix}: there is no connection`);
      }
      this.#inboxes.checkReading(VERB, question.subject);
      this.#questions.add(question);
      this.#pending.add(question, timeout);
      this.#ask(question);
      for (;;) {
        const event = await inbox.next(signal);
        if (!event) break;
        yield event;
      }
      if (question.error) throw question.error;
    } finally {
      this.#questions.delete(question);
      this.#pending.cancel(question);
      this.#inboxes.close(inbox);
      if (!question.hasEnded && !this.#channel?.hasEnded) {
        this.#channel?.sendControl(encodeCancel(question.id));
      }
    }
  }

  /** Asks on over a new connection. */
  begin(channel: ControlChannel): void {
    this.#channel = channel;
    for (const question of this.#questions) this.#ask(question);
  }

  #ask(question: Question): void {
    const channel = this.#channel;
    const { patterns, inbox, errorPrefix } = question;
    if (!channel || channel.hasEnded || inbox.ended) return; // The next connection asks.
    const isLong = split(patterns, NO_QUEUE, channel.maxLineBytes).length > 1;
    if (!channel.has("history")) {
      this.#pending.fail(question, notSupported("history", `${VERB} ${question.subject}`));
    } else if (isLong) {
      const why = `${patterns.length} patterns do not fit into one line`;
      this.#pending.fail(question, new RangeError(`${errorPrefix}: ${why}`));
    } else channel.sendControl(question.encode());
  }
}

function offsetOf(place: Since): number {
  return typeof place !== "string" && "offset" in place ? place.offset : 0;
}
