/**
 * Connects a relay to its history: keeps the events of its clients, and answers those that ask for
 * them. Loaded only by relays with a history.
 *
 * @module
 */

import type { LastValues } from "../history/last_values.ts";
import type { KeptLog } from "../history/log.ts";
import type { HistoryRules } from "../history/options.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { unrefTimer } from "../net/platform.ts";
import type { Hello, Refusal, SubscriptionRequest } from "../protocol/control.ts";
import {
  encodeHistoryNews,
  encodeReplayAnswer,
  type HistoryPosition,
  type HistoryTerms,
  type LossReason,
  type ReplayRequest,
} from "../protocol/history.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import type { HistoryStats } from "../protocol/report.ts";
import { TextMap } from "../protocol/text_map.ts";
import { CatchUp } from "./catch_up.ts";
import type { HistoryPort } from "./control_handler.ts";
import type { HistoryRouting, Keeper } from "./history_routing.ts";
import { PastRead } from "./past_read.ts";
import type { CountedAnswer, CounterSink, ProducerCounter } from "./producer_counter.ts";
import { type Replay, type Wish, wishFrom } from "./replay.ts";
import { ReplayScheduler } from "./replay_scheduler.ts";
import { ReplaySource } from "./replay_source.ts";
import type { Router } from "./router.ts";
import type { Greeting } from "../server/handshake.ts";
import type { Subscriber } from "./subscription_table.ts";
import type { Subscriptions } from "./subscriptions.ts";

type Client = Subscriber<LineConnection>;

/** A request for kept events. */
type Question = SubscriptionRequest & { readonly id: string; readonly replay: ReplayRequest };

/** Interval between looks at the age of events, in milliseconds. */
const CHECK_MS = 1000;

/** Number of these intervals after which clients are told how far they are: 25 s. */
const CHECKS_PER_NEWS = 25;

/** Maximum number of answers about the past that a client can receive at a time. */
const MAX_READS = 8;

/** Maximum number of requests with which a client can be catching up. */
const MAX_CATCHING_UP = 64;

/** Size of a part of the log that takes about as long to look at as a pattern to look up. */
const BYTES_PER_STEP = 65_536;

/**
 * The most that a request counts, as a number of look-ups: what a client may do in three seconds or
 * so. More would close it, however seldom it asks, and it would come back and ask again.
 */
const MAX_STEPS = 20_000;

/** What it means that events cannot be kept, in words. */
const NOT_KEPT = "events go on, but are neither kept nor acknowledged; trying again";

/** What a history knows of a client that asks for it. */
interface Reader {
  hasOffsets: boolean;
  /** The offset up to which the client knows that it has received everything. */
  told: number;
  catchUp: CatchUp | null;
  /** The answers about the past, by their IDs. */
  readonly reads: TextMap<PastRead>;
}

/** The place in the log from which on a client receives events. */
interface Place {
  readonly recovered?: boolean;
  readonly reason?: LossReason;
  readonly from: number;
}

/** The parts of a gateway. */
export interface HistoryParts {
  readonly router: Router<LineConnection>;
  /** Where events are kept. */
  readonly log: KeptLog;
  /** Keeps and passes on the events of clients. */
  readonly routing: HistoryRouting;
  readonly rules: HistoryRules;
  /** Whether clients receive their own events. */
  readonly echo: boolean;
  /** Maximum size of each client's send queue, in bytes. */
  readonly maxPendingBytes: number;
  /** The last events of names so far. */
  readonly lastValues: LastValues;
  readonly producers: ProducerCounter;
  /** Called when a part of the log is complete. What is needed of older parts must be saved then. */
  readonly onSegment: (onProgress: () => void) => Promise<void>;
  /** Called before events are kept again. The last events of names that are lost are forgotten then. */
  readonly onReopen: () => Promise<void>;
}

/** The relay, as its history sees it. */
export interface HistorySink extends CounterSink {
  /** Called when the history is kept up to an offset. */
  onKept(offset: number): void;
  /** Called when events cannot be kept any more, with the reason. */
  onHistoryFault(fault: string): void;
  /** Called when events are kept again. Those that came meanwhile are not. */
  onHistoryMended(): void;
}

/** The history of one relay. */
export class HistoryGateway implements HistoryPort {
  /** Passes on and keeps the events of clients. */
  readonly routing: HistoryRouting;

  readonly #router: Router<LineConnection>;
  readonly #sink: HistorySink;
  readonly #keeper: Keeper;
  readonly #source: ReplaySource;
  readonly #scheduler: ReplayScheduler;
  readonly #readers = new Map<LineConnection, Reader>();
  readonly #producers: ProducerCounter;
  readonly #timer: ReturnType<typeof setInterval>;
  #checks = 0;

  /** Creates a gateway, whose timer runs until {@link stop}. */
  constructor(parts: HistoryParts, sink: HistorySink) {
    const { router, log, routing, rules, echo, maxPendingBytes, onSegment, onReopen } = parts;
    const { lastValues } = parts;
    this.#router = router;
    this.#sink = sink;
    this.#producers = parts.producers;
    this.#keeper = {
      log,
      lastValues,
      rules,
      keepsSenders: !echo,
    };
    this.routing = routing;
    const onFault = (fault: string) => sink.onHistoryFault(fault);
    this.#source = new ReplaySource(this.#keeper, maxPendingBytes, onFault);
    this.#scheduler = new ReplayScheduler(() => this.#source.clear());
    this.#timer = setInterval(() => this.tick(), CHECK_MS);
    unrefTimer(this.#timer);
    routing.watch({
      onSynced: () => this.#onKept(),
      onSegment,
      onReopen,
      onFault,
      onBroken: (fault) => {
        this.routing.notKept();
        this.#producers.fail();
        onFault(`${fault}; ${NOT_KEPT}`);
      },
      onMended: () => this.#onMended(),
    });
  }

  #onKept(): void {
    const { synced } = this.routing;
    this.routing.kept(synced);
    this.#producers.kept?.(synced);
    this.#sink.onKept(synced);
  }

  /** Closes the clients whose positions are of the epoch before. They come back, and resume. */
  #onMended(): void {
    this.routing.mended();
    this.#sink.onHistoryMended();
    this.endReaders("events could not be kept for a while; connect again to learn what is missing");
  }

  /** Tells clients that events were dropped before this relay has received them. */
  tellMissing(from: number, to: number): void {
    this.#router.flush(); // The events before it come first.
    const gap = encodeHistoryNews({ control: "gap", from, to });
    for (const [client, { hasOffsets, catchUp }] of this.#readers) {
      if (hasOffsets && !catchUp) client.send(gap, 0);
    }
    this.#sink.onHistoryFault(`the events ${from} to ${to} were dropped before they were read`);
  }

  /** Closes the clients with a position, which is of an epoch that has ended. */
  endReaders(detail: string): void {
    this.#source.clear();
    for (const [client, { hasOffsets, catchUp, reads }] of this.#readers) {
      if (hasOffsets || catchUp || reads.size > 0) client.close("overloaded", detail);
    }
  }

  /** Returns how far events have to be kept before those of a client are acknowledged, or `null`. */
  unkeptOf(source: Client): number | null {
    return this.routing.unkeptOf(source);
  }

  /**
   * Returns a promise that resolves when the events of a client, or of all, have been passed on, or
   * `null` if they have.
   */
  whenPassed(source?: Client): Promise<void> | null {
    return this.routing.whenPassed(source);
  }

  /** Returns a promise that resolves when senders need not wait any more, or `null`. */
  whenRoom(): Promise<void> | null {
    return this.routing.whenRoom();
  }

  /** Stops the timer and the replays. Resolves when everything is kept. */
  async stop(): Promise<void> {
    this.#scheduler.stop();
    clearInterval(this.#timer);
    await this.#keeper.log.close();
  }

  /**
   * Notes what a client asks for in its `hello`. Returns what its `welcome` says, at once or when it is
   * known what has become of the events of its earlier connections.
   */
  greet(client: Client, hello: Hello): Greeting | Promise<Greeting | undefined> | undefined {
    const { producer: claim } = hello;
    if (!claim) return { history: this.#termsFor(client, hello) };
    const greetWith = (producer: CountedAnswer) => {
      if (producer === "ended" || !client.recipient.open) return undefined;
      const history = this.#termsFor(client, hello);
      return producer === "uncounted" ? { history } : { history, producer };
    };
    const answer = this.#producers.greet(client, claim);
    return answer instanceof Promise ? answer.then(greetWith) : greetWith(answer);
  }

  #termsFor(client: Client, { offsets }: Hello): HistoryTerms {
    const { log, rules } = this.#keeper;
    this.#settle();
    const { epoch, first, head } = log;
    if (offsets) {
      const reader = this.#readerOf(client);
      reader.hasOffsets = true;
      reader.told = head;
      if (reader.catchUp) reader.catchUp.stamp();
      else this.#router.change(client, client.subscriptions, client.isNumbered, "stamped");
    }
    return { epoch, first, offset: head, kept: rules.keep };
  }

  /** Forgets a client that has left. Some of its events may still have to be taken. */
  forget(client: Client): void {
    this.#readers.delete(client.recipient);
  }

  /** Forgets the producer of a client that has left, and of which no event is to be taken any more. */
  forgetProducer(client: Client): void {
    this.#producers.forget(client);
  }

  /** The position of the last event. */
  get position(): HistoryPosition {
    this.#settle();
    const { epoch, head } = this.#keeper.log;
    return { epoch, offset: head };
  }

  /** Returns the state of the history. */
  stats(): HistoryStats {
    const { log, lastValues } = this.#keeper;
    this.#settle();
    const { epoch, first, head, bytes, synced, isBroken } = log;
    let catchingUp = 0;
    for (const { catchUp } of this.#readers.values()) if (catchUp) catchingUp++;
    return {
      epoch,
      first,
      offset: head,
      events: log.events,
      bytes,
      synced,
      isBroken,
      evicted: log.evicted,
      names: lastValues.size,
      namesRefused: lastValues.refused,
      catchingUp,
      producers: this.#producers.size,
    };
  }

  /** Brings the log up to date. */
  #settle(): void {
    this.routing.settle();
    this.#keeper.log.expire(performance.now());
  }

  #readerOf({ recipient }: Client): Reader {
    let reader = this.#readers.get(recipient);
    if (!reader) {
      reader = { hasOffsets: false, told: 0, catchUp: null, reads: new TextMap() };
      this.#readers.set(recipient, reader);
    }
    return reader;
  }

  refusalOf(client: Client, { id, replay }: SubscriptionRequest): Refusal | null {
    if (replay?.since === "last" && this.#keeper.rules.keepLast.length === 0) {
      return { id, reason: "no-history", detail: "the relay keeps no last events (--keep-last)" };
    }
    const reader = this.#readers.get(client.recipient);
    if (!replay || !reader) return null;
    const refuse = (detail: string): Refusal => ({ id, reason: "bad-request", detail });
    if (!replay.isPast) {
      const count = reader.catchUp?.requests ?? 0;
      if (count < MAX_CATCHING_UP) return null;
      return refuse(`a client may wait for ${MAX_CATCHING_UP} requests with "since" at a time`);
    }
    if (reader.reads.has(id!)) return refuse('"id" is that of an answer that has not ended');
    if (reader.reads.size < MAX_READS) return null;
    return refuse(`a client may receive ${MAX_READS} answers with "live":false at a time`);
  }

  change(client: Client, request: SubscriptionRequest, after: Subscriptions): number {
    const { control, events, queue } = request;
    this.#settle();
    if (isQuestion(request)) return this.#follow(client, request, after);
    const { subscriptions } = client;
    const catchUp = this.#readers.get(client.recipient)?.catchUp;
    const steps = this.#router.change(client, after, client.isNumbered);
    if (!catchUp || queue !== undefined) return steps;
    if (control === "unsubscribe") catchUp.unfollow(events);
    else catchUp.wait(events.filter((pattern) => !subscriptions.has(pattern, NO_QUEUE)));
    return steps;
  }

  /** Lets a client catch up with some events. */
  #follow(client: Client, question: Question, after: Subscriptions): number {
    const reader = this.#readerOf(client);
    const catchUp = reader.catchUp ??= this.#newCatchUp(client, reader);
    const steps = this.#router.change(client, after, client.isNumbered, "catching-up");
    const wish = this.#wishOf(client, question, catchUp);
    catchUp.follow(wish);
    this.#scheduler.start(catchUp);
    return steps + this.#stepsFrom(wish);
  }

  #newCatchUp(client: Client, reader: Reader): CatchUp {
    const catchUp = new CatchUp(client, this.#source, (offset) => {
      const kind = reader.hasOffsets ? "stamped" : "plain";
      reader.catchUp = null;
      reader.told = offset;
      this.#router.change(client, client.subscriptions, client.isNumbered, kind);
    });
    if (reader.hasOffsets) catchUp.stamp();
    return catchUp;
  }

  read(client: Client, request: SubscriptionRequest): number {
    const question = request as Question;
    this.#settle();
    const { reads } = this.#readerOf(client);
    const { id } = question;
    const read = new PastRead(client, this.#source, id, () => reads.delete(id));
    reads.set(id, read);
    const wish = this.#wishOf(client, question, read);
    read.ask(wish);
    this.#scheduler.start(read);
    return this.#stepsFrom(wish);
  }

  cancel(client: Client, id: string): void {
    this.#readers.get(client.recipient)?.reads.get(id)?.cancel();
  }

  /** Returns the work of a replay, as a number of look-ups, at most {@link MAX_STEPS}. */
  #stepsFrom({ from, search, values }: Wish): number {
    const { log, lastValues } = this.#keeper;
    const bytes = search ? 2 * log.bytes : log.bytesAfter(Math.max(from, log.first - 1));
    const steps = bytes / BYTES_PER_STEP + (values ? lastValues.size / BYTES_PER_STEP : 0);
    return Math.min(steps, MAX_STEPS);
  }

  /** Returns what a client asks for, and answers it, now or after a search. */
  #wishOf(client: Client, { id, events, replay }: Question, replayer: Replay): Wish {
    const { log } = this.#keeper;
    const { since, partial } = replay;
    const { head } = log;
    const answer = (place: Place, to = head): void => {
      client.recipient.send(encodeReplayAnswer({ id, epoch: log.epoch, ...place, to }), 0);
    };
    if (typeof since === "object" && "count" in since) {
      return replayer.wishLast(id, events, since.count, (from) => answer({ from }));
    }
    if (typeof since === "object" && "age" in since) {
      const next = log.since(performance.now() - since.age);
      if (next instanceof Promise) {
        const place = next.then((offset) => offset - 1);
        return replayer.wishPlace(id, events, place, (from) => answer({ from }));
      }
      answer({ from: next - 1 });
      return wishFrom(id, events, next - 1);
    }
    const received = typeof since === "object" ? since : { offset: 0 };
    const looked = since === "last" ? null : log.look(received);
    if (looked) {
      let place: Place = { from: head };
      const locate = () => {
        place = this.#placeOf(since, partial);
        if (beginsWithValues(place, replay)) replayer.beginWithValues(wish);
        return place.from;
      };
      const wish = replayer.wishLater(id, events, looked, locate, () => answer(place, log.head));
      return wish;
    }
    const place = this.#placeOf(since, partial);
    answer(place);
    if (beginsWithValues(place, replay)) return replayer.wishValues(id, events);
    return wishFrom(id, events, place.from);
  }

  /** Returns the place from which on a client receives events. */
  #placeOf(since: HistoryPosition | "first" | "last", partial: ReplayRequest["partial"]): Place {
    const { log } = this.#keeper;
    const { first, head } = log;
    if (since === "first") return { from: first - 1 };
    if (since === "last") return { from: head };
    const { offset } = since;
    const through = log.throughOf(since.epoch);
    const reason = through === undefined
      ? "epoch"
      : offset > through
      ? "ahead"
      : offset < first - 1
      ? "evicted"
      : null;
    if (reason === null) return { recovered: true, from: offset };
    return { recovered: false, reason, from: partial === true ? first - 1 : head };
  }

  /**
   * Drops old events, looks at the disk, and tells clients now and then how far they have received the
   * history. Called by the timer.
   */
  tick(): void {
    const { log } = this.#keeper;
    this.#settle();
    log.checkDisk();
    if (++this.#checks % CHECKS_PER_NEWS !== 0) return;
    this.#router.flush(); // They must have received what is gathered for them.
    const { head } = log;
    const news = encodeHistoryNews({ control: "at", offset: head });
    for (const [client, reader] of this.#readers) {
      if (!reader.hasOffsets || reader.catchUp || reader.told === head) continue;
      reader.told = head;
      client.send(news, 0);
    }
  }
}

function isQuestion(request: SubscriptionRequest): request is Question {
  return request.replay !== undefined;
}

/** Returns whether a client first receives the last event of each name. */
function beginsWithValues({ recovered }: Place, { since, partial }: ReplayRequest): boolean {
  return since === "last" || recovered === false && partial === "last";
}
