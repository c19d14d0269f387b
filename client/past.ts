/**
 * The questions of a client about the past: events that the relay has kept, apart from those that
 * arrive now.
 *
 * @module
 */

import { ConnectionClosedError, EbsocketError } from "../errors.ts";
import { encodeRequest, notSupported, type Receipt } from "../protocol/control.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import {
  encodeCancel,
  formatPosition,
  type HistoryNews,
  type HistoryPosition,
  type LossReason,
} from "../protocol/history.ts";
import type { Inbox } from "../net/inbox.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import { matches } from "../protocol/pattern.ts";
import { inspect } from "../protocol/printable.ts";
import type { Inboxes } from "./inboxes.ts";
import { PendingRequest, type PendingRequests } from "./pending_requests.ts";
import { toPosition } from "./position.ts";
import { placeOf, type Position, type Since } from "./since.ts";
import { checkSubscribe, describe, split } from "./subscribe_request.ts";
import type { ControlChannel, SubscriptionManager } from "./subscriptions.ts";

/** Events of the past that a client cannot read, because the relay does not have them. */
export interface PastLoss {
  /**
   * Why: the relay no longer keeps them, or they are damaged (`evicted`); it has begun a new history
   * (`epoch`); or it has had no such event (`ahead`).
   */
  readonly reason: LossReason;
  /** The offset of the first of them. `null` if it is unknown, because they are of another history. */
  readonly from: number | null;
  /** The offset of the last of them, or `null`. */
  readonly to: number | null;
}

/** The events of {@link EbsocketClient.history}. */
export interface PastEvents<E = EbsocketEvent> extends AsyncGenerator<E, void, void> {
  /**
   * How much of the history the program has taken, as plain JSON. Another call can go on there, or
   * `subscribe()`. At the end it includes all that the relay had when it was asked. `null` before the
   * first event, and with `since: "last"` before the end.
   */
  readonly position: Position | null;
}

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
   * Called with `partial` when events are missing, before the event after them is yielded, or before
   * the end. If it throws, `next()` rejects with the error.
   */
  readonly onLoss?: (loss: PastLoss) => void;
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

/** What a question has learnt after one event and before the next. */
interface News {
  readonly epoch: string | null;
  /** Everything up to this offset has arrived, or is missing. */
  readonly offset: number;
  readonly loss: PastLoss | null;
}

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
  /** The offset after which the relay was asked for events. */
  #asked = 0;
  /** Whether the answer is of a history in which the offsets of `since` mean nothing. */
  #isElsewhere = false;
  /** What has been learnt since the last event, and before each event that waits. */
  #news: News | null = null;
  readonly #newsBefore = new Map<EbsocketEvent, News>();
  /** How much the program has taken. */
  #taken: HistoryPosition | null = null;

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
    this.#asked = offsetOf(place);
    const replay = { since: place, partial: isPartial, isPast: true };
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
      const place = isPosition ? ` after ${formatPosition(since)}` : "";
      return this.#lose(`events${place} are missing: ${cause}`);
    }
    if (isLost && cause !== "evicted") this.#isElsewhere = true;
    if (this.#epoch === null || isOther) this.#offset = this.since === "last" ? 0 : from;
    else if (isLost) this.#offset = Math.max(this.#offset, from);
    this.#epoch = epoch;
    this.#learn(from, isLost ? lossOf(cause, this.#asked + 1, from) : null);
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
        const next = formatPosition({ epoch: this.#epoch!, offset: to });
        const why = `the events ${from} to ${to} are missing; after them is ${next}`;
        if (!this.isPartial) return this.#lose(why);
        this.#offset = Math.max(this.#offset, to);
        this.#learn(to, lossOf("evicted", from, to));
        return false;
      }
      if (item.control === "end") this.#learn(item.offset, null);
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
    if (hasOwn && !this.patterns.some(isNew)) return false;
    if (this.#news) this.#newsBefore.set(item, this.#news);
    this.#news = null;
    this.inbox.push([item], bytes);
    return false;
  }

  #learn(offset: number, loss: PastLoss | null): void {
    const before = this.#news?.loss ?? null;
    this.#news = {
      epoch: this.#epoch,
      offset,
      loss: before && loss ? join(before, loss) : loss ?? before,
    };
  }

  /**
   * Notes that the program takes an event, or gets to the end. Returns what is missing before it, or
   * `null`.
   */
  take(event: EbsocketEvent | undefined): PastLoss | null {
    const news = event ? this.#newsBefore.get(event) : this.#news;
    if (event) this.#newsBefore.delete(event);
    const { epoch = null, offset = 0 } = news ?? this.#taken ?? {};
    const isKnown = this.since !== "last" || !event && this.hasEnded;
    if (isKnown && epoch !== null) this.#taken = { epoch, offset: event?.offset ?? offset };
    return news?.loss ?? null;
  }

  /** How much the program has taken. `null` while that is unknown. */
  get position(): Position | null {
    if (!this.#taken) return null;
    const { epoch, offset } = this.#taken;
    const since = this.#isElsewhere ? "first" : this.since;
    const own = this.patterns.map((pattern) => ({
      patterns: [pattern],
      offset: Math.max(offset, offsetOf(placeOf(pattern, since))),
    }));
    return toPosition(epoch, Math.max(...own.map(({ offset }) => offset)), own);
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

  /** Returns the kept events that match a pattern. They ask the relay at the first `next()`. */
  read(
    wanted: string | readonly string[],
    options: PastOptions = {},
  ): PastEvents {
    const patterns = typeof wanted === "string" ? [wanted] : wanted;
    checkSubscribe(patterns, options);
    if (patterns.length === 0) throw new RangeError("Invalid patterns: expected at least one");
    const { onLoss } = options;
    if (onLoss !== undefined && typeof onLoss !== "function") {
      throw new TypeError(`Invalid onLoss: expected a function, got ${inspect(onLoss)}`);
    }
    let question: Question | null = null;
    const events = this.#read([...patterns], options, (asked) => question = asked);
    const get = () => question?.position ?? null;
    return Object.defineProperty(events, "position", { get }) as PastEvents;
  }

  async *#read(
    patterns: readonly string[],
    { since = "first", partial = false, onLoss, timeout = 10_000, signal }: PastOptions,
    onAsk: (question: Question) => void,
  ): AsyncGenerator<EbsocketEvent, void, void> {
    signal?.throwIfAborted();
    const inbox = this.#inboxes.open(`history(${describe(patterns)})`);
    const question = new Question(this.#pending.nextId(), patterns, since, partial, inbox);
    onAsk(question);
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
        const loss = question.take(event);
        if (loss) onLoss?.(loss);
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

/** Returns what is missing. The offsets of another history are unknown. */
function lossOf(reason: LossReason, from: number, to: number): PastLoss {
  return reason === "evicted" ? { reason, from, to } : { reason, from: null, to: null };
}

/** Returns two losses without an event in between as one. */
function join(one: PastLoss, other: PastLoss): PastLoss {
  if (one.reason !== "evicted") return one;
  return other.reason === "evicted" ? { ...other, from: one.from } : other;
}

function offsetOf(place: Since): number {
  return typeof place !== "string" && "offset" in place ? place.offset : 0;
}
