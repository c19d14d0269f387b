/**
 * Owns whom each event is for: everyone who hears its name, one client of each queue, or the one that it
 * is addressed to. Must not know sockets, or how a line says all that.
 *
 * @module
 */

import type { Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import type { Subscriber } from "./subscriber.ts";
import { SubscriptionTable } from "./subscription_table.ts";
import { Hearers } from "./hearers.ts";
import { WriteCoalescer } from "../server/coalescer.ts";
import type { Block } from "../net/send_queue.ts";
import { type Delivery, Receipts } from "./receipts.ts";
import { type Route, RouteCache } from "./route_cache.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TextMap } from "../protocol/text_map.ts";

/** What a router needs to know. */
export interface RouterOptions<R extends Recipient> {
  /** Whether a client gets its own events too. */
  readonly echo: boolean;
  /** Whether a client hears nothing until it subscribes. */
  readonly subscribeFirst: boolean;
  /** For how long events may be gathered before they are written, in milliseconds. */
  readonly maxBatchDelay: number;
  /** How many bytes may wait for each client. */
  readonly maxPendingBytes: number;
  /** Called with each client for which lines have just been queued. */
  readonly onQueued: (recipient: R) => void;
}

/** Whole lines in a block. */
export interface Lines {
  readonly block: Block;
  readonly start: number;
  readonly end: number;
}

/**
 * Passes events on to the clients of one relay. Those of one block are passed on between
 * {@link begin} and {@link end}; what happens meanwhile to what a client hears takes effect there.
 */
export class Router<R extends Recipient> {
  /** How many events were for nobody. */
  eventsUnheard = 0;
  /** Which names have been heard of. */
  readonly routes: RouteCache<R>;

  readonly #echo: boolean;
  readonly #subscribeFirst: boolean;
  readonly #groups = new SubscriptionTable<R>();
  readonly #holdback: WriteCoalescer<R>;
  readonly #subscribers = new TextMap<Subscriber<R>>();
  /** Whose block is being passed on. */
  #source: Subscriber<R> | null = null;
  readonly #receipts = new Receipts<R>();
  /** Counts the events that queues get. */
  #line = 0;

  constructor(
    { echo, subscribeFirst, maxBatchDelay, maxPendingBytes, onQueued }: RouterOptions<R>,
  ) {
    this.#echo = echo;
    this.#subscribeFirst = subscribeFirst;
    this.routes = new RouteCache(this.#groups);
    this.#holdback = new WriteCoalescer({
      maxBatchDelay,
      maxPendingBytes,
      onQueued,
      onFlushed: () => this.#receipts.answer(),
    });
  }

  /** Takes a new client. It hears everything from now on, or nothing until it subscribes. */
  open(recipient: R): Subscriber<R> {
    this.#settle(this.#groups.everything);
    const subscriber = this.#groups.join(recipient);
    this.#subscribers.set(`c${recipient.id}`, subscriber);
    if (this.#subscribeFirst) this.change(subscriber, Subscriptions.NOTHING, false);
    return subscriber;
  }

  /** A client has gone, or is going: it gets what is kept for it, and nothing more. */
  close(subscriber: Subscriber<R>): void {
    if (this.#receipts.has(subscriber.recipient)) this.flush(); // It is still told what it has asked for.
    this.#holdback.flushFor(subscriber);
    this.#groups.leave(subscriber);
    this.#subscribers.delete(`c${subscriber.recipient.id}`);
  }

  /**
   * Lets a client hear something else, or numbers what it hears, from now on; unless it has gone. Returns
   * how much there was to do: patterns to look for, and clients that got what was kept for them.
   */
  change(subscriber: Subscriber<R>, subscriptions: Subscriptions, isNumbered: boolean): number {
    if (!this.#subscribers.has(`c${subscriber.recipient.id}`)) return 0;
    const existing = this.#groups.find(subscriptions);
    const steps = existing ? this.#settle(existing) : 0;
    this.#holdback.flushFor(subscriber);
    return steps + this.#groups.move(subscriber, subscriptions, isNumbered);
  }

  /**
   * How many subscriptions all clients would have together, those that hear the same counted once, if one
   * heard something else; `null` if that would not be more than there are.
   */
  subscriptionsAfter(subscriber: Subscriber<R>, subscriptions: Subscriptions): number | null {
    const growth = this.#groups.growth(subscriber, subscriptions);
    return growth > 0 ? this.#groups.subscriptions + growth : null;
  }

  /**
   * Lets go of what is kept for an group if somebody waits for what becomes of it: then a client that joins
   * must not count among those that get it. Returns for how many clients that is.
   */
  #settle(group: SubscriberGroup<R>): number {
    if (!group.isAwaited) return 0;
    this.#holdback.flush(group);
    return group.members.size;
  }

  /** Asks which of some clients would get the events of a source: itself only if it gets its own. */
  hearers(source: Subscriber<R>, clients: readonly Subscriber<R>[]): Hearers<R> {
    const others = this.#echo ? clients : clients.filter((client) => client !== source);
    return new Hearers(others, this.#groups.everything);
  }

  /** The client that is called `id`, if there is one. */
  find(id: string): Subscriber<R> | undefined {
    return this.#subscribers.get(id);
  }

  /** Whether all that is to be known of an event without an envelope is that it is one. */
  get isIdle(): boolean {
    return this.#groups.isIdle && !this.routes.isCounting;
  }

  /** Begins to pass a block of a client on. */
  begin(source: Subscriber<R>): void {
    this.#source = source;
  }

  /** Passes on `count` events without an envelope, while {@link isIdle}. */
  passRun(lines: Lines, count: number): void {
    const isHeard = this.#give(this.#groups.everything, lines, count, this.#left(false), null);
    if (!isHeard) this.eventsUnheard += count;
  }

  /** Passes one event on to all that hear its name; not to its sender if it is a request. */
  pass(
    route: Route<R>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
  ): void {
    const left = this.#left(isRequest);
    const { everything } = this.#groups;
    const isHeard = this.#give(everything, line, 1, left, delivery);
    let isExpected = false;
    for (const group of route.groups) {
      if (this.#give(group, line, 1, left, delivery)) isExpected = true;
    }
    if (route.queues.length > 0 && this.#queue(route, line, left, delivery)) isExpected = true;
    // A request does not wait: not for those who have asked for its name, or for all if nobody has.
    if (isRequest && !isExpected) everything.isUrgent = true;
    this.#note(isHeard || isExpected, delivery);
  }

  /** Passes one event on to one client. */
  passTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    const subscriber = this.#subscribers.get(id);
    const isHeard = subscriber !== undefined && subscriber !== this.#left(isRequest);
    if (isHeard) {
      this.#holdback.addFor(subscriber, line.block, line.start, line.end);
      delivery?.add(subscriber.group.batchOf(subscriber), false);
    }
    this.#note(isHeard, delivery);
  }

  /** Who does not get an event of the source. */
  #left(isRequest: boolean): Subscriber<R> | null {
    return isRequest || !this.#echo ? this.#source : null;
  }

  #note(isHeard: boolean, delivery: Delivery | null): void {
    if (!isHeard) this.eventsUnheard++;
    if (delivery) this.#receipts.add(this.#source!.recipient, delivery);
  }

  /** Adds lines to what an group gets. Returns whether there is anyone in it who does. */
  #give(
    group: SubscriberGroup<R>,
    { block, start, end }: Lines,
    count: number,
    left: Subscriber<R> | null,
    delivery: Delivery | null,
  ): boolean {
    const ours = left?.group === group ? left : null;
    if (group.members.size === (ours ? 1 : 0)) return false;
    this.#holdback.add(group, block, start, end, count, ours);
    delivery?.add(group.batch(), ours !== null);
    if (delivery?.isRequest && group !== this.#groups.everything) group.isUrgent = true;
    return true;
  }

  /** Gives an event to one client of each queue, unless that has got it already. */
  #queue(
    route: Route<R>,
    line: Lines,
    left: Subscriber<R> | null,
    delivery: Delivery | null,
  ): boolean {
    const number = ++this.#line;
    for (const group of route.groups) group.line = number;
    let isHeard = false;
    for (const turns of route.queues) {
      const group = turns.take(left?.group ?? null);
      if (!group || group.line === number) continue;
      group.line = number;
      if (this.#give(group, line, 1, left, delivery)) isHeard = true;
    }
    return isHeard;
  }

  /**
   * Ends a block, and answers what its events have asked for. Small shares may be kept for a moment if
   * `hasMore` says that more is coming from the client; while everyone hears everything, none is small.
   */
  end(hasMore: boolean): void {
    const source = this.#source!;
    this.#holdback.endBlock(source, hasMore && !this.#groups.isIdle);
    this.#source = null;
    this.#receipts.answer();
  }

  /** Lets go of all that is kept. */
  flush(): void {
    this.#holdback.flushAll();
    this.#receipts.answer();
  }
}
