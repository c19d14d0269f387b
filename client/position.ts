/**
 * The position of a client in the history of its relay: how much it has received, and how much of
 * that its program has taken.
 *
 * The events that a relay has kept arrive in the order of their offsets, except where the client
 * asks for earlier ones. Each such request begins a new span. Within a span, offsets only grow. So
 * the span of the oldest event that waits, and its offset, show how much had arrived before it.
 *
 * A request for kept events, a replay:
 *
 * | state | fields | next state |
 * | --- | --- | --- |
 * | wanted | its patterns are in `#wanted` | asked, by the next connection |
 * | asked | not `isAnswered` | running, or done if nothing follows; asked again |
 * | running | `isAnswered` | done, at its `live`; asked again, by the next connection |
 *
 * A connection may resume with several lines, and the answer to the first one may name a new epoch.
 * The others are late: they stay at their offsets of the old epoch until they are answered. A
 * position has one epoch only, so it stays at the one before the first answer until then.
 *
 * @module
 */

import type { ControlLine } from "../protocol/control.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import {
  decodeHistoryNews,
  decodeHistoryTerms,
  decodeReplayAnswer,
  type HistoryPosition,
  type LossReason,
  type ReplayAnswer,
  type ReplayRequest,
} from "../protocol/history.ts";
import type { Inbox } from "../net/inbox.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Position } from "./since.ts";
import type { StatusFeed } from "./status.ts";

/** Patterns whose catching up has not ended. */
interface Replay {
  patterns: readonly string[];
  /** The epoch of its answer. Before that, of the position that it is asked with, if any. */
  epoch: string | null;
  /** Everything up to this offset has been received. Unknown before the answer to a new request. */
  offset: number;
  readonly partial: ReplayRequest["partial"];
  /** Whether it goes on where an earlier connection has ended. */
  readonly isResume: boolean;
  /** Whether the status reports that it is not recovered. A call reports that itself. */
  readonly isReported: boolean;
  isAnswered: boolean;
  /** The offset after which the events of the answer follow. */
  from: number;
}

/** Events that arrive in the order of their offsets, and the state before the first of them. */
interface Span {
  readonly number: number;
  readonly epoch: string;
  readonly offset: number;
  /** The unfinished replays, each as it was at the beginning. */
  readonly replays: ReadonlyMap<Replay, Readonly<Replay>>;
  /** The last span before this one without late replays. `null` if this one has none. */
  readonly onTime: Span | null;
  next: Span | null;
}

/** Keeps track of a client's position in the history of its relay. */
export class PositionTracker {
  /** Whether the client receives nothing new, because it is being drained. */
  isStopped = false;
  readonly #inboxes: () => readonly Inbox<EbsocketEvent>[];
  readonly #status: StatusFeed;
  #epoch: string | null = null;
  /** Everything up to this offset has been received, for all patterns without a replay. */
  #offset = 0;
  /** The replays that have been asked for, by the IDs of their lines. */
  readonly #replays = new TextMap<Replay>();
  /** The requests that the next connection makes instead of resuming, by pattern. */
  readonly #wanted = new Map<string, ReplayRequest>();
  /** What the program wants where it cannot go on, by pattern. */
  readonly #partial = new Map<string, ReplayRequest["partial"]>();
  #span: Span | null = null;
  readonly #spans = new WeakMap<EbsocketEvent, Span>();
  /** The result so far of the resumption in progress. */
  #resumption: { isLossReported: boolean; events: number } | null = null;

  /**
   * Creates a tracker without a position.
   *
   * @param inboxes Returns the inboxes that the program reads.
   * @param status Reports the result of each resumption.
   */
  constructor(inboxes: () => readonly Inbox<EbsocketEvent>[], status: StatusFeed) {
    this.#inboxes = inboxes;
    this.#status = status;
  }

  /** How much the program has taken. `null` while that is unknown. */
  get position(): Position | null {
    const isNew = ({ isResume, isAnswered }: Replay) => !isResume && !isAnswered;
    const isUnknown = this.#wanted.size > 0 || this.#replays.values().some(isNew);
    if (this.#epoch === null || isUnknown) return null;
    const first = this.#oldestWaiting();
    if (first) return this.#positionBefore(...first);
    if (this.#span?.onTime) return startOf(this.#span.onTime);
    return toPosition(this.#epoch, this.#offset, this.#replays.values());
  }

  /** Returns the position before an event that waits. */
  #positionBefore(span: Span, offset: number): Position {
    const before = offset - 1;
    const replays = new Map<Replay, Readonly<Replay>>();
    for (const [replay, start] of span.replays) {
      const wasLate = isLate(start, span.epoch);
      if (wasLate && replay.epoch !== span.epoch) return startOf(span.onTime!);
      const from = wasLate ? replay.from : start.offset;
      const received = start.isAnswered ? Math.max(from, before) : from;
      replays.set(replay, { ...start, offset: received });
    }
    // Nothing of the replays that have begun since then has been taken.
    for (let later = span.next; later?.epoch === span.epoch; later = later.next) {
      for (const [replay, start] of later.replays) {
        if (!replay.isResume && !replays.has(replay)) replays.set(replay, start);
      }
    }
    return toPosition(span.epoch, Math.max(span.offset, before), replays.values());
  }

  /** Returns the event that has arrived first among those that the program has not taken. */
  #oldestWaiting(): [span: Span, offset: number] | null {
    let oldest: [Span, number] | null = null;
    for (const inbox of this.#inboxes()) {
      const event = inbox.find((event) => event.offset !== null && this.#spans.has(event));
      if (!event) continue;
      const span = this.#spans.get(event)!;
      const order = oldest && (span.number - oldest[0].number || event.offset! - oldest[1]);
      if (order === null || order < 0) oldest = [span, event.offset!];
    }
    return oldest;
  }

  // Requests

  /** Notes a request for kept events of a pattern, for the next connection. */
  want(pattern: string, replay: ReplayRequest): void {
    this.#wanted.set(pattern, replay);
  }

  /** Forgets patterns without a subscription. */
  forget(patterns: readonly string[]): void {
    for (const pattern of patterns) {
      this.#wanted.delete(pattern);
      this.#partial.delete(pattern);
    }
    for (const [id, replay] of this.#replays) {
      replay.patterns = replay.patterns.filter((pattern) => !patterns.includes(pattern));
      if (replay.patterns.length === 0) this.#end(id, 0);
    }
  }

  /** Returns the request that a new connection makes for a pattern, if any. */
  replayFor(pattern: string): ReplayRequest | undefined {
    const wanted = this.#wanted.get(pattern);
    if (wanted || this.#epoch === null) return wanted;
    const replays = this.#replays.values().filter(({ patterns }) => patterns.includes(pattern));
    let since: HistoryPosition = { epoch: this.#epoch, offset: this.#offset };
    for (const replay of replays) {
      const { epoch, offset } = replay;
      if (isLate(replay, this.#epoch)) since = { epoch: epoch!, offset };
      else if (since.epoch === this.#epoch && offset < since.offset) since = { ...since, offset };
    }
    return { since, partial: this.#partial.get(pattern) ?? false };
  }

  /** Begins a connection, after {@link replayFor} and before its first {@link ask}. */
  begin(): void {
    this.#replays.clear();
    if (this.#resumption?.isLossReported) this.#resumption = null;
  }

  /**
   * Notes that a line with a request is sent.
   *
   * @param isNew Whether a call makes it, and not a new connection.
   */
  ask(
    id: string,
    patterns: readonly string[],
    { since, partial }: ReplayRequest,
    isNew: boolean,
  ): void {
    const isResume = !isNew && !patterns.some((pattern) => this.#wanted.has(pattern));
    const { epoch, offset } = typeof since !== "string" && "offset" in since
      ? since
      : { epoch: null, offset: 0 };
    const isReported = !isNew;
    const asked = { patterns, epoch, offset, partial, isResume, isReported };
    this.#replays.set(id, { ...asked, isAnswered: false, from: offset });
    if (isResume) this.#resumption ??= { isLossReported: false, events: 0 };
  }

  /** Notes that the relay has refused a request. */
  refuse(id: string): void {
    this.#replays.get(id)?.patterns.forEach((pattern) => this.#wanted.delete(pattern));
    this.#replays.delete(id);
  }

  // Arrivals, in their order

  /** Notes a received event. */
  onEvent(event: EbsocketEvent): void {
    const { offset, past } = event;
    if (offset === null || past !== null || !this.#span) return;
    this.#spans.set(event, this.#span);
    this.#advance(offset);
    if (this.#resumption && this.#isRunning) this.#resumption.events++;
  }

  /** Notes a control line. Those that are not about the history have no effect. */
  onLine(line: ControlLine): void {
    // The relay no longer sends the events of the patterns that the position is about.
    if (this.isStopped) return;
    if (line.control === "welcome") return this.#onWelcome(line);
    const answer = decodeReplayAnswer(line);
    if (answer) return this.#onAnswer(answer);
    const news = decodeHistoryNews(line);
    if (news?.control === "live") this.#end(news.id, news.offset);
    if (news?.control === "at") this.#moveTo(news.offset);
    if (news?.control === "gap" && news.id === undefined) {
      this.#advance(news.to);
      this.#onLoss("evicted");
      if (!this.#isRunning) this.#resumption = null; // The next one is another loss.
    }
  }

  #onWelcome({ history }: ControlLine): void {
    const terms = decodeHistoryTerms(history);
    const isResuming = this.#replays.values().some(({ isResume }) => isResume);
    if (terms && !isResuming) this.#restart(terms.epoch, terms.offset);
    this.#beginSpan();
  }

  #onAnswer({ id, epoch, recovered, reason, from, to }: ReplayAnswer): void {
    const replay = this.#replays.get(id);
    if (!replay) return;
    for (const pattern of replay.patterns) {
      this.#wanted.delete(pattern);
      this.#partial.set(pattern, replay.partial);
    }
    if (epoch !== this.#epoch) this.#restart(epoch, to);
    if (reason === "ahead") this.#offset = Math.min(this.#offset, to);
    // While others run, the patterns without one wait with them.
    if (!replay.isResume && !this.#isRunning) this.#moveTo(to);
    if (recovered === false && replay.isReported) this.#onLoss(reason ?? "evicted");
    replay.isAnswered = true;
    replay.epoch = epoch;
    replay.offset = from;
    replay.from = from;
    if (recovered === false && !replay.partial) this.#end(id, to);
    else this.#beginSpan();
  }

  /** Reports the first loss of a resumption, before the program receives a further event. */
  #onLoss(reason: LossReason): void {
    this.#resumption ??= { isLossReported: false, events: 0 };
    const { isLossReported, events } = this.#resumption;
    if (isLossReported) return;
    this.#resumption.isLossReported = true;
    for (const inbox of this.#inboxes()) inbox.yieldOnce();
    this.#status.push({ type: "resumed", recovered: false, reason, events });
  }

  /** Ends a replay. Everything up to `offset` has been received. */
  #end(id: string, offset: number): void {
    this.#replays.delete(id);
    this.#moveTo(offset);
    this.#beginSpan();
    if (this.#isRunning || this.#replays.values().some(({ isResume }) => isResume)) return;
    if (!this.#resumption) return;
    const { isLossReported, events } = this.#resumption;
    this.#resumption = null;
    if (isLossReported) return;
    this.#status.push({ type: "resumed", recovered: true, reason: null, events });
  }

  get #isRunning(): boolean {
    return this.#replays.values().some(({ isAnswered }) => isAnswered);
  }

  /** Notes that everything up to `offset` has been received for all patterns. */
  #advance(offset: number): void {
    this.#moveTo(offset);
    for (const replay of this.#replays.values()) {
      if (replay.isAnswered) replay.offset = Math.max(replay.offset, offset);
    }
  }

  #moveTo(offset: number): void {
    this.#offset = Math.max(this.#offset, offset);
  }

  /** Gives the position up for another one: the relay has no such history. */
  #restart(epoch: string, offset: number): void {
    this.#epoch = epoch;
    this.#offset = offset;
    for (const replay of this.#replays.values()) {
      if (!isLate(replay, epoch)) replay.offset = offset;
    }
  }

  #beginSpan(): void {
    const epoch = this.#epoch;
    if (epoch === null) return;
    const replays = Array.from(
      this.#replays.values(),
      (replay) => [replay, { ...replay }] as const,
    );
    const hasLate = this.#replays.values().some((replay) => isLate(replay, epoch));
    const span: Span = {
      number: (this.#span?.number ?? 0) + 1,
      epoch,
      offset: this.#offset,
      replays: new Map(replays),
      onTime: hasLate ? this.#span?.onTime ?? this.#span : null,
      next: null,
    };
    if (this.#span) this.#span.next = span;
    this.#span = span;
  }
}

/** Returns whether a replay has no answer yet, and its offset is of an older epoch. */
function isLate({ isResume, isAnswered, epoch }: Readonly<Replay>, current: string): boolean {
  return isResume && !isAnswered && epoch !== current;
}

/** Returns the position at the beginning of a span. */
function startOf({ epoch, offset, replays }: Span): Position {
  return toPosition(epoch, offset, replays.values());
}

/** Returns a position, and the patterns of those replays that are behind it. */
export function toPosition(
  epoch: string,
  offset: number,
  replays: Iterable<Pick<Replay, "patterns" | "offset">>,
): Position {
  const behind = new Map<string, number>();
  for (const { patterns, offset: own } of replays) {
    if (own >= offset) continue;
    for (const each of patterns) behind.set(each, Math.min(own, behind.get(each) ?? own));
  }
  if (behind.size === 0) return { epoch, offset };
  return { epoch, offset, behind: Object.fromEntries(behind) };
}
