/**
 * Chooses the recipients of each event: all subscribers of its name, one client of each queue, or
 * the client that it is addressed to. Does not depend on sockets or the format of lines.
 *
 * @module
 */

import type { GroupKind, Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import { type InterestListener, type Subscriber, SubscriptionTable } from "./subscription_table.ts";
import { WriteCoalescer } from "../server/coalescer.ts";
import type { Lines } from "../net/piece.ts";
import { type Delivery, Receipts, sendReceipts } from "./receipts.ts";
import { type Route, RouteCache } from "./route_cache.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { QueueReport } from "../protocol/report.ts";
import { TextMap } from "../protocol/text_map.ts";

/** Options of {@link Router}. */
export interface RouterOptions<R extends Recipient> {
  /** Whether a client also receives its own events. */
  readonly echo: boolean;
  /** Whether a client receives nothing until it subscribes. */
  readonly subscribeFirst: boolean;
  /** Maximum time to gather events before they are written, in milliseconds. */
  readonly maxBatchDelay: number;
  /** Maximum size of each client's send queue, in bytes. */
  readonly maxPendingBytes: number;
  /** Called with each client for which lines have just been queued. */
  readonly onQueued: (recipient: R) => void;
  /** What the IDs of clients begin with. */
  readonly prefix?: string | undefined;
  /** Is told of each change of what the clients hear. */
  readonly interestListener?: InterestListener | null | undefined;
  /** Called when gathered lines have been queued and receipts may be due. */
  readonly onAnswer?: (() => void) | undefined;
  /** Whether the relay keeps events, so that some clients receive these in another way. */
  readonly hasHistory?: boolean | undefined;
}

/** Returns kept events as clients receive them that asked for offsets. */
export type Stamp = (lines: Lines) => Lines;

/** Passes the events of blocks on. */
export interface Routing<R extends Recipient> {
  /** The event names seen so far. */
  readonly routes: RouteCache<R>;
  /** Whether the names of events without an envelope do not matter. */
  readonly isIdle: boolean;
  /** Whether the next control line has to wait, because events of the block before it do. */
  readonly isHolding?: boolean;
  /** Starts passing on a block of a client. */
  begin(source: Subscriber<R>): void;
  /** Passes on `count` events without an envelope, while {@link isIdle}. */
  passRun(lines: Lines, count: number): void;
  /**
   * Passes one event on to all subscribers of its name. A request is not passed to its sender.
   * `isReply` is set for an event with `reply_to`.
   */
  pass(
    route: Route<R>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
    isReply: boolean,
  ): void;
  /**
   * Passes one event on to one client. `replyTo` is the request that it answers, if that is known.
   */
  passTo(
    id: string,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
    replyTo: string | null,
  ): void;
  /** Notes an event that is refused, and not passed on. */
  refuse?(): void;
  /**
   * Ends a block, and sends the receipts that are due.
   *
   * @param hasMore Whether more input from the client is ready, so that small amounts may be
   * gathered for a moment.
   */
  end(hasMore: boolean): void;
  /**
   * Starts a search for those of `clients` that would receive the events of `source`. Excludes the
   * source itself unless `echo` is set.
   */
  search(source: Subscriber<R>, clients: readonly Subscriber<R>[]): Search<R>;
  /** Returns the client with the ID `id`, or `undefined`. */
  find(id: string): Subscriber<R> | undefined;
}

/** Finds the clients, among given candidates, that would receive events of a block. */
export interface Search<R extends Recipient> {
  /** The candidates that would receive an event, in no particular order. */
  readonly found: ReadonlySet<Subscriber<R>>;
  /** Whether all candidates have been found. */
  readonly isComplete: boolean;
  /** Adds an event for all subscribers of its name. */
  add(route: Route<R>): void;
  /** Adds an event for one client alone. */
  addFor(client: Subscriber<R> | undefined): void;
}

/** The queues of which one client here may receive an event. */
export class QueueFilter {
  /** The queues of which no client has received the event. */
  readonly left: Set<string>;
  readonly #queues: ReadonlySet<string>;
  readonly #elsewhere: ReadonlyMap<string, unknown>;

  /**
   * Creates a filter that permits these queues. Clients that are joining receive no events of the queues
   * in `elsewhere`, which have members at other relays.
   */
  constructor(queues: Iterable<string>, elsewhere: ReadonlyMap<string, unknown> = new Map()) {
    this.#queues = new Set(queues);
    this.left = new Set(this.#queues);
    this.#elsewhere = elsewhere;
  }

  /** Whether a client that is joining a queue may receive the event. */
  mayBeJoining(queue: string): boolean {
    return !this.#elsewhere.has(queue);
  }

  /** Whether a client of a queue may receive the event. */
  has(queue: string): boolean {
    return this.#queues.has(queue);
  }
}

/**
 * Passes events on to the clients of one relay. The events of a block are passed on between
 * {@link begin} and {@link end}. Subscriptions that change in between take effect at that point of
 * the block.
 */
export class Router<R extends Recipient> implements Routing<R> {
  /** Number of events without a recipient. */
  eventsUnheard = 0;
  /** The event names seen so far. */
  readonly routes: RouteCache<R>;

  readonly #echo: boolean;
  readonly #subscribeFirst: boolean;
  readonly #groups: SubscriptionTable<R>;
  readonly #coalescer: WriteCoalescer<R>;
  readonly #onAnswer: (() => void) | undefined;
  readonly #subscribers = new TextMap<Subscriber<R>>();
  /** The source of the block that is being passed on. */
  #source: Subscriber<R> | null = null;
  readonly #receipts = new Receipts<R>(sendReceipts);
  /** Number of the last event that was passed to queues. */
  #line = 0;
  /** Set while events are passed on that the history keeps. */
  #stamp: Stamp | null = null;

  constructor(options: RouterOptions<R>) {
    const { echo, subscribeFirst, maxBatchDelay, maxPendingBytes, onQueued } = options;
    this.#echo = echo;
    this.#subscribeFirst = subscribeFirst;
    this.#onAnswer = options.onAnswer;
    this.#groups = new SubscriptionTable(
      options.prefix,
      options.interestListener,
      options.hasHistory,
    );
    this.routes = new RouteCache(this.#groups);
    this.#coalescer = new WriteCoalescer({
      maxBatchDelay,
      maxPendingBytes,
      onQueued,
      onFlushed: () => this.answer(),
    });
  }

  /** Adds a client. It receives every event from now on, or none until it subscribes. */
  open(recipient: R): Subscriber<R> {
    this.#settle(this.#groups.everything);
    const subscriber = this.#groups.join(recipient);
    this.#subscribers.set(subscriber.id, subscriber);
    if (this.#subscribeFirst) this.change(subscriber, Subscriptions.NOTHING, false);
    return subscriber;
  }

  /**
   * Removes a client that has left or is about to leave. It receives the events gathered for it,
   * and nothing more.
   */
  close(subscriber: Subscriber<R>): void {
    if (this.receiptsOf(subscriber) > 0) { // It still gets its receipts.
      this.flush();
      this.#receipts.settle(subscriber.recipient);
    }
    this.#coalescer.flushFor(subscriber);
    this.#groups.leave(subscriber);
    this.#subscribers.delete(subscriber.id);
  }

  /**
   * Changes a client's subscriptions, whether its events are numbered, and how it receives kept
   * events, from now on. Does nothing if the client has left.
   *
   * @returns The work done: the number of pattern look-ups, plus the number of clients for which
   * gathered events were flushed.
   */
  change(
    subscriber: Subscriber<R>,
    subscriptions: Subscriptions,
    isNumbered: boolean,
    kind: GroupKind = subscriber.group.kind,
  ): number {
    if (!this.#subscribers.has(subscriber.id)) return 0;
    const existing = this.#groups.find(subscriptions, kind);
    const steps = existing ? this.#settle(existing) : 0;
    this.#coalescer.flushFor(subscriber);
    return steps + this.#groups.move(subscriber, subscriptions, isNumbered, kind);
  }

  /**
   * Returns the total number of subscriptions if a client had the given ones, or `null` if the
   * total would not grow. Those of clients that receive exactly the same events count once.
   */
  subscriptionsAfter(
    subscriber: Subscriber<R>,
    subscriptions: Subscriptions,
    kind: GroupKind = subscriber.group.kind,
  ): number | null {
    const growth = this.#groups.growth(subscriber, subscriptions, kind);
    return growth > 0 ? this.#groups.subscriptions + growth : null;
  }

  /**
   * Flushes a group if receipts wait for its events. A client that joins later must not count among
   * their recipients. Returns the number of clients in the flushed group.
   */
  #settle(group: SubscriberGroup<R>): number {
    if (!group.isAwaited) return 0;
    this.#coalescer.flush(group);
    return group.members.size;
  }

  search(source: Subscriber<R>, clients: readonly Subscriber<R>[]): Search<R> {
    const others = this.#echo ? clients : clients.filter((client) => client !== source);
    return new RecipientSearch(others, this.#groups.hearingAll);
  }

  /** Returns the client with the ID `id`, or `undefined`. */
  find(id: string): Subscriber<R> | undefined {
    return this.#subscribers.get(id);
  }

  /** Returns the `max` queues with the most members. */
  largestQueues(max: number): QueueReport[] {
    return this.#groups.largestQueues(max);
  }

  /** Whether the names of events without an envelope do not matter. */
  get isIdle(): boolean {
    return this.#groups.isIdle && !this.routes.isCounting;
  }

  /** Starts passing on a block of a client. */
  begin(source: Subscriber<R>): void {
    this.#source = source;
  }

  /** Passes on `count` events without an envelope, while {@link isIdle}. */
  passRun(lines: Lines, count: number): void {
    if (!this.deliverRun(lines, count)) this.eventsUnheard += count;
  }

  pass(route: Route<R>, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    this.note(this.deliver(route, line, isRequest, delivery), delivery);
  }

  passTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    this.note(this.deliverTo(id, line, isRequest, delivery), delivery);
  }

  /**
   * Passes on `count` events that the history keeps, while {@link isIdle}. `stamp` is called if any
   * client receives them with their offsets.
   */
  passKeptRun(lines: Lines, count: number, stamp: Stamp): void {
    this.#stamp = stamp;
    this.passRun(lines, count);
    this.#stamp = null;
  }

  /** Passes on one event that the history keeps, as {@link passKeptRun} does. */
  passKept(route: Route<R>, line: Lines, delivery: Delivery | null, stamp: Stamp): void {
    this.#stamp = stamp;
    this.pass(route, line, false, delivery);
    this.#stamp = null;
  }

  /** Delivers `count` events that the history keeps, as {@link deliverRun} does. */
  deliverKeptRun(lines: Lines, count: number, stamp: Stamp): boolean {
    this.#stamp = stamp;
    const isDelivered = this.deliverRun(lines, count);
    this.#stamp = null;
    return isDelivered;
  }

  /** Delivers one event that the history keeps, as {@link deliver} does. */
  deliverKept(
    route: Route<R>,
    line: Lines,
    delivery: Delivery | null,
    filter: QueueFilter,
    stamp: Stamp,
  ): boolean {
    this.#stamp = stamp;
    const isDelivered = this.deliver(route, line, false, delivery, filter);
    this.#stamp = null;
    return isDelivered;
  }

  /** Delivers `count` events to the clients that receive every event. */
  deliverRun(lines: Lines, count: number): boolean {
    return this.#deliverToAll(lines, count, this.#excluded(false), null);
  }

  #deliverToAll(
    lines: Lines,
    count: number,
    excluded: Subscriber<R> | null,
    delivery: Delivery | null,
  ): boolean {
    const { hearingAll } = this.#groups;
    let isDelivered = false;
    for (let i = 0; i < hearingAll.length; i++) {
      if (this.#deliver(hearingAll[i]!, lines, count, excluded, delivery)) isDelivered = true;
    }
    return isDelivered;
  }

  /**
   * Delivers one event to the clients of this relay.
   *
   * @param filter The queues of which one client here receives it. `null` for all.
   * @returns Whether any client receives it.
   */
  deliver(
    route: Route<R>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
    filter: QueueFilter | null = null,
  ): boolean {
    const excluded = this.#excluded(isRequest);
    const isDelivered = this.#deliverToAll(line, 1, excluded, delivery);
    let isExpected = false;
    for (const group of route.groups) {
      if (this.#deliver(group, line, 1, excluded, delivery)) isExpected = true;
    }
    if (route.queues.length > 0 && this.#queue(route, line, excluded, delivery, filter)) {
      isExpected = true;
    }
    // A request is not delayed for its subscribers. If there are none, it is not delayed for the
    // clients that receive every event.
    if (isRequest && !isExpected) {
      for (const group of this.#groups.hearingAll) group.isUrgent = true;
    }
    return isDelivered || isExpected;
  }

  /**
   * Delivers one event to one client of each of these queues, unless that has received it as one of
   * the others.
   *
   * @param sender The client that has sent it, if that is known.
   * @returns Whether any client receives it.
   */
  deliverToQueues(
    route: Route<R>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
    filter: QueueFilter,
    sender: Subscriber<R> | null,
  ): boolean {
    const excluded = isRequest || !this.#echo ? sender : null;
    return this.#queue(route, line, excluded, delivery, filter);
  }

  /** Delivers one event to one client. Returns whether there is one to receive it. */
  deliverTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): boolean {
    const subscriber = this.#subscribers.get(id);
    if (subscriber === undefined || subscriber === this.#excluded(isRequest)) return false;
    this.#coalescer.addFor(subscriber, line.block, line.start, line.end);
    delivery?.add(subscriber.group.batchOf(subscriber), false);
    return true;
  }

  /** Returns the group that must not receive an event of the source, or `null`. */
  excludedGroup(isRequest: boolean): SubscriberGroup<R> | null {
    return this.#excluded(isRequest)?.group ?? null;
  }

  /** Returns the client that must not receive an event of the source, or `null`. */
  #excluded(isRequest: boolean): Subscriber<R> | null {
    return isRequest || !this.#echo ? this.#source : null;
  }

  /** Notes an event that was passed on, and its receipt if one is expected. */
  note(isDelivered: boolean, delivery: Delivery | null): void {
    if (!isDelivered) this.eventsUnheard++;
    if (delivery) this.#receipts.add(this.#source!.recipient, delivery);
  }

  /** Adds lines for a group. Returns whether any of its clients receives them. */
  #deliver(
    group: SubscriberGroup<R>,
    lines: Lines,
    count: number,
    excluded: Subscriber<R> | null,
    delivery: Delivery | null,
    isOfQueue = false,
  ): boolean {
    const member = excluded?.group === group ? excluded : null;
    if (group.members.size === (member ? 1 : 0)) return false;
    if (this.#stamp !== null && group.kind !== "plain") {
      // The events come from the history, in their place. A queue has none.
      if (group.kind === "stamped") lines = this.#stamp(lines);
      else if (!isOfQueue) return true;
    }
    const { block, start, end } = lines;
    this.#coalescer.add(group, block, start, end, count, member);
    if (delivery) this.#addReceipt(group, member, delivery);
    return true;
  }

  #addReceipt(
    group: SubscriberGroup<R>,
    member: Subscriber<R> | null,
    delivery: Delivery,
  ): void {
    delivery.add(group.batch(), member !== null);
    if (delivery.isRequest && !this.#groups.hearingAll.includes(group)) group.isUrgent = true;
  }

  /** Adds an event for one client of each queue, unless that client receives the event already. */
  #queue(
    route: Route<R>,
    line: Lines,
    excluded: Subscriber<R> | null,
    delivery: Delivery | null,
    filter: QueueFilter | null,
  ): boolean {
    const number = ++this.#line;
    for (const group of route.groups) group.line = number;
    let isDelivered = false;
    for (const queue of route.queues) {
      const { name } = queue.queue;
      if (filter !== null && !filter.has(name)) continue;
      const group = queue.take(excluded?.group ?? null, filter?.mayBeJoining(name) ?? true);
      if (group) filter?.left.delete(name);
      if (!group || group.line === number) continue;
      group.line = number;
      if (this.#deliver(group, line, 1, excluded, delivery, true)) isDelivered = true;
    }
    return isDelivered;
  }

  /**
   * Ends a block, and sends the receipts that are due.
   *
   * @param hasMore Whether more input from the client is ready, so that small amounts may be
   * gathered for a moment. Ignored while all clients receive every event, because then no amount is
   * small.
   */
  end(hasMore: boolean): void {
    const source = this.#source!;
    this.#coalescer.endBlock(source, hasMore && !this.#groups.isIdle);
    this.#source = null;
    this.answer();
  }

  /** Flushes all gathered events. */
  flush(): void {
    this.#coalescer.flushAll();
    this.answer();
  }

  /** Returns the number of receipts that a client still has to get. */
  receiptsOf({ recipient }: Subscriber<R>): number {
    return this.#receipts.count(recipient);
  }

  /** Sends the receipts that are due. */
  answer(): void {
    this.#receipts.answer();
    this.#onAnswer?.();
  }
}

/** The search among the clients of one relay. */
class RecipientSearch<R extends Recipient> implements Search<R> {
  readonly found = new Set<Subscriber<R>>();

  readonly #candidates: ReadonlySet<Subscriber<R>>;
  readonly #hearingAll: readonly SubscriberGroup<R>[];
  readonly #byGroup: ReadonlyMap<SubscriberGroup<R>, readonly Subscriber<R>[]>;
  #last: Route<R> | null = null;

  /** Members of the groups `hearingAll` receive all events. */
  constructor(
    candidates: readonly Subscriber<R>[],
    hearingAll: readonly SubscriberGroup<R>[],
  ) {
    this.#candidates = new Set(candidates);
    this.#hearingAll = hearingAll;
    this.#byGroup = Map.groupBy(candidates, ({ group }) => group);
  }

  get isComplete(): boolean {
    return this.found.size === this.#candidates.size;
  }

  /**
   * Adds an event for all subscribers of its name. A queue counts only if all of its clients are
   * candidates; otherwise another client can take the event.
   */
  add(route: Route<R>): void {
    if (route === this.#last) return;
    this.#last = route;
    for (const group of this.#hearingAll) this.#addGroup(group);
    for (const group of route.groups) this.#addGroup(group);
    for (const { groups } of route.queues) {
      if (groups.every((group) => this.#byGroup.has(group))) this.#addGroup(groups[0]!);
    }
  }

  addFor(client: Subscriber<R> | undefined): void {
    if (client && this.#candidates.has(client)) this.found.add(client);
  }

  #addGroup(group: SubscriberGroup<R>): void {
    for (const client of this.#byGroup.get(group) ?? []) this.found.add(client);
  }
}
