/**
 * Owns whom each event is for: everyone who hears its name, one client of each queue, or the one that it
 * is addressed to. Must not know sockets, or how a line says all that.
 *
 * @module
 */

import type { Audience, Listener, Recipient } from "./audience.ts";
import { Audiences } from "./audiences.ts";
import { Hearers } from "./hearers.ts";
import { Holdback } from "./holdback.ts";
import type { Block } from "./outbound.ts";
import { type Delivery, Receipts } from "./receipts.ts";
import { type Route, RouteCache } from "./route_cache.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TextMap } from "./text_map.ts";

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
  readonly #audiences = new Audiences<R>();
  readonly #holdback: Holdback<R>;
  readonly #listeners = new TextMap<Listener<R>>();
  /** Whose block is being passed on. */
  #source: Listener<R> | null = null;
  readonly #receipts = new Receipts<R>();
  /** Counts the events that queues get. */
  #line = 0;

  constructor(
    { echo, subscribeFirst, maxBatchDelay, maxPendingBytes, onQueued }: RouterOptions<R>,
  ) {
    this.#echo = echo;
    this.#subscribeFirst = subscribeFirst;
    this.routes = new RouteCache(this.#audiences);
    this.#holdback = new Holdback({
      maxBatchDelay,
      maxPendingBytes,
      onQueued,
      onFlushed: () => this.#receipts.answer(),
    });
  }

  /** Takes a new client. It hears everything from now on, or nothing until it subscribes. */
  open(recipient: R): Listener<R> {
    this.#settle(this.#audiences.everything);
    const listener = this.#audiences.join(recipient);
    this.#listeners.set(`c${recipient.id}`, listener);
    if (this.#subscribeFirst) this.change(listener, Subscriptions.NOTHING, false);
    return listener;
  }

  /** A client has gone, or is going: it gets what is kept for it, and nothing more. */
  close(listener: Listener<R>): void {
    if (this.#receipts.has(listener.recipient)) this.flush(); // It is still told what it has asked for.
    this.#holdback.flushFor(listener);
    this.#audiences.leave(listener);
    this.#listeners.delete(`c${listener.recipient.id}`);
  }

  /**
   * Lets a client hear something else, or numbers what it hears, from now on; unless it has gone. Returns
   * how much there was to do: patterns to look for, and clients that got what was kept for them.
   */
  change(listener: Listener<R>, subscriptions: Subscriptions, isNumbered: boolean): number {
    if (!this.#listeners.has(`c${listener.recipient.id}`)) return 0;
    const existing = this.#audiences.find(subscriptions);
    const steps = existing ? this.#settle(existing) : 0;
    this.#holdback.flushFor(listener);
    return steps + this.#audiences.move(listener, subscriptions, isNumbered);
  }

  /**
   * How many subscriptions all clients would have together, those that hear the same counted once, if one
   * heard something else; `null` if that would not be more than there are.
   */
  subscriptionsAfter(listener: Listener<R>, subscriptions: Subscriptions): number | null {
    const growth = this.#audiences.growth(listener, subscriptions);
    return growth > 0 ? this.#audiences.subscriptions + growth : null;
  }

  /**
   * Lets go of what is kept for an audience if somebody waits for what becomes of it: then a client that joins
   * must not count among those that get it. Returns for how many clients that is.
   */
  #settle(audience: Audience<R>): number {
    if (!audience.isAwaited) return 0;
    this.#holdback.flush(audience);
    return audience.members.size;
  }

  /** Asks which of some clients would get the events of a source: itself only if it gets its own. */
  hearers(source: Listener<R>, clients: readonly Listener<R>[]): Hearers<R> {
    const others = this.#echo ? clients : clients.filter((client) => client !== source);
    return new Hearers(others, this.#audiences.everything);
  }

  /** The client that is called `id`, if there is one. */
  find(id: string): Listener<R> | undefined {
    return this.#listeners.get(id);
  }

  /** Whether all that is to be known of an event without an envelope is that it is one. */
  get isIdle(): boolean {
    return this.#audiences.isIdle && !this.routes.isCounting;
  }

  /** Begins to pass a block of a client on. */
  begin(source: Listener<R>): void {
    this.#source = source;
  }

  /** Passes on `count` events without an envelope, while {@link isIdle}. */
  passRun(lines: Lines, count: number): void {
    const isHeard = this.#give(this.#audiences.everything, lines, count, this.#left(false), null);
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
    const { everything } = this.#audiences;
    const isHeard = this.#give(everything, line, 1, left, delivery);
    let isExpected = false;
    for (const audience of route.audiences) {
      if (this.#give(audience, line, 1, left, delivery)) isExpected = true;
    }
    if (route.queues.length > 0 && this.#queue(route, line, left, delivery)) isExpected = true;
    // A request does not wait: not for those who have asked for its name, or for all if nobody has.
    if (isRequest && !isExpected) everything.isUrgent = true;
    this.#note(isHeard || isExpected, delivery);
  }

  /** Passes one event on to one client. */
  passTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    const listener = this.#listeners.get(id);
    const isHeard = listener !== undefined && listener !== this.#left(isRequest);
    if (isHeard) {
      this.#holdback.addFor(listener, line.block, line.start, line.end);
      delivery?.add(listener.audience.batchOf(listener), false);
    }
    this.#note(isHeard, delivery);
  }

  /** Who does not get an event of the source. */
  #left(isRequest: boolean): Listener<R> | null {
    return isRequest || !this.#echo ? this.#source : null;
  }

  #note(isHeard: boolean, delivery: Delivery | null): void {
    if (!isHeard) this.eventsUnheard++;
    if (delivery) this.#receipts.add(this.#source!.recipient, delivery);
  }

  /** Adds lines to what an audience gets. Returns whether there is anyone in it who does. */
  #give(
    audience: Audience<R>,
    { block, start, end }: Lines,
    count: number,
    left: Listener<R> | null,
    delivery: Delivery | null,
  ): boolean {
    const ours = left?.audience === audience ? left : null;
    if (audience.members.size === (ours ? 1 : 0)) return false;
    this.#holdback.add(audience, block, start, end, count, ours);
    delivery?.add(audience.batch(), ours !== null);
    if (delivery?.isRequest && audience !== this.#audiences.everything) audience.isUrgent = true;
    return true;
  }

  /** Gives an event to one client of each queue, unless that has got it already. */
  #queue(
    route: Route<R>,
    line: Lines,
    left: Listener<R> | null,
    delivery: Delivery | null,
  ): boolean {
    const number = ++this.#line;
    for (const audience of route.audiences) audience.line = number;
    let isHeard = false;
    for (const turns of route.queues) {
      const audience = turns.take(left?.audience ?? null);
      if (!audience || audience.line === number) continue;
      audience.line = number;
      if (this.#give(audience, line, 1, left, delivery)) isHeard = true;
    }
    return isHeard;
  }

  /**
   * Ends a block, and answers what its events have asked for. Small shares may be kept for a moment if
   * `hasMore` says that more is coming from the client; while everyone hears everything, none is small.
   */
  end(hasMore: boolean): void {
    const source = this.#source!;
    this.#holdback.endBlock(source, hasMore && !this.#audiences.isIdle);
    this.#source = null;
    this.#receipts.answer();
  }

  /** Lets go of all that is kept. */
  flush(): void {
    this.#holdback.flushAll();
    this.#receipts.answer();
  }
}
