/**
 * Caches the recipients of an event by the bytes of its name. Does not depend on whole lines or
 * connections.
 *
 * @module
 */

import type { Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import type { SubscriptionTable } from "./subscription_table.ts";
import { readString } from "../protocol/envelope.ts";
import { largest } from "./largest.ts";
import { hashBytes } from "../protocol/seeded_hash.ts";
import { TextMap } from "../protocol/text_map.ts";
import { RoundRobin } from "./queue_group.ts";

/**
 * Size of the cache, and the number of places in which a name may be, starting from its hash. A
 * look-up in a `Map` from hashes would take twice as long.
 */
const PLACES = 32_768;
const TRIES = 4;

/** Maximum number of groups in the routes of all names together. */
const MAX_GROUPS = 1_048_576;

/**
 * Weight of a queue, in groups and according to its memory, in addition to two for each of its
 * clients.
 */
const QUEUE_WEIGHT = 16;

/** Maximum number of names that are counted although the cache has evicted them. */
const MAX_COUNTED = 4096;

/** The recipients of events of one name, besides the clients that receive every event. */
export interface Route<R extends Recipient> {
  /** The name as spelled in the line. Other spellings have routes of their own. */
  readonly bytes: Uint8Array;
  readonly name: string;
  /** The groups that subscribe to the name. */
  groups: readonly SubscriberGroup<R>[];
  /** The queues of which one client receives the event. */
  queues: readonly RoundRobin<R>[];
  /** The value of `SubscriptionTable.generation` at the last look-up of the groups and queues. */
  generation: number;
  /** Number of events of this name while events are counted. */
  events: number;
}

/** The routes of one relay. */
export class RouteCache<R extends Recipient> {
  /** Whether events are counted by name. */
  isCounting = false;

  readonly #groups: SubscriptionTable<R>;
  /**
   * Empty until the first name arrives, then of full length. A new name may replace an older one.
   */
  #routes: (Route<R> | null)[] = [];
  #weight = 0;
  #last: Route<R> | null = null;
  /** Counts of evicted names. */
  #counted = new TextMap<number>();

  /** Creates a cache that looks up unknown names in `groups`. */
  constructor(groups: SubscriptionTable<R>) {
    this.#groups = groups;
  }

  /** Returns the route of the name from `start` to `end`, which excludes its quotes. */
  find(bytes: Uint8Array, start: number, end: number): Route<R> {
    let route = this.#last;
    if (route === null || !isEqual(route.bytes, bytes, start, end)) {
      route = this.#last = this.#recall(bytes, start, end);
    }
    if (route.generation !== this.#groups.generation) this.#lookUp(route);
    if (this.isCounting) route.events++;
    return route;
  }

  /** Does the same as {@link find} for an event that will come again, so it is not counted. */
  peek(bytes: Uint8Array, start: number, end: number): Route<R> {
    const route = this.find(bytes, start, end);
    if (this.isCounting) route.events--;
    return route;
  }

  /** Returns the cached route of a name. Creates it if it does not exist. */
  #recall(bytes: Uint8Array, start: number, end: number): Route<R> {
    const routes = this.#routes;
    const hash = hashBytes(bytes, start, end);
    let free = -1;
    for (let i = 0; i < TRIES; i++) {
      const place = hash + i & PLACES - 1;
      const route = routes[place];
      if (!route) free = place;
      else if (isEqual(route.bytes, bytes, start, end)) return route;
    }
    return this.#remember(free < 0 ? hash & PLACES - 1 : free, bytes, start, end);
  }

  #remember(place: number, bytes: Uint8Array, start: number, end: number): Route<R> {
    if (this.#routes.length === 0) this.#routes = Array(PLACES).fill(null);
    const former = this.#routes[place];
    if (former) this.#forget(former);
    const name = readString(bytes, start - 1);
    return this.#routes[place] = {
      bytes: bytes.slice(start, end),
      name,
      groups: [],
      queues: [],
      generation: -1,
      events: this.isCounting ? this.#takeCount(name) : 0,
    };
  }

  #forget(route: Route<R>): void {
    this.#keepCount(route);
    this.#weight -= weightOf(route);
  }

  #lookUp(route: Route<R>): void {
    const { groups, queues } = this.#groups.reach(route.name);
    this.#weight -= weightOf(route);
    route.groups = groups;
    // Changed subscriptions do not change the turn. Otherwise the events of some names would always
    // go to the same client.
    const before = route.queues;
    const next = before.length > 0 && new Map(before.map((turns) => [turns.queue, turns.next]));
    route.queues = Array.from(queues, ([queue, groups]) => {
      const first = next ? next.get(queue) : undefined;
      return new RoundRobin(queue, groups, first ?? queue.turns++);
    });
    route.generation = this.#groups.generation;
    this.#weight += weightOf(route);
    if (this.#weight > MAX_GROUPS) this.#clear();
  }

  /** Forgets all names, so that peers cannot make the cache grow without limit. */
  #clear(): void {
    for (const route of this.#known()) this.#keepCount(route);
    this.#routes = [];
    this.#weight = 0;
    this.#last = null;
  }

  #known(): Route<R>[] {
    return this.#routes.filter((route) => route !== null);
  }

  /** Returns the number of events of an evicted name, and removes it from the counts. */
  #takeCount(name: string): number {
    const events = this.#counted.get(name) ?? 0;
    if (events > 0) this.#counted.delete(name);
    return events;
  }

  #keepCount({ name, events }: Route<R>): void {
    if (events === 0) return;
    this.#counted.set(name, events + (this.#counted.get(name) ?? 0));
    if (this.#counted.size <= MAX_COUNTED) return;
    const most = this.#most(MAX_COUNTED / 2);
    this.#counted.clear();
    for (const [name, events] of most) this.#counted.set(name, events);
  }

  #most(count: number): [name: string, events: number][] {
    return largest(this.#counted, count, ([, one], [, two]) => two - one);
  }

  /** Starts counting events by name, from 0. */
  startCounting(): void {
    this.#counted.clear();
    for (const route of this.#known()) route.events = 0;
    this.isCounting = true;
  }

  /** Returns the `count` most frequent names of counted events, the most frequent first. */
  counts(count: number): [name: string, events: number][] {
    // A name is in both lists if it was evicted in the meantime or has several spellings.
    const most = new TextMap<number>();
    const known = largest(this.#known(), 2 * count, (one, two) => two.events - one.events);
    const all = known.map(({ name, events }) => [name, events] as const);
    for (const [name, events] of [...all, ...this.#most(2 * count)]) {
      if (events > 0) most.set(name, events + (most.get(name) ?? 0));
    }
    return largest(most, count, ([, one], [, two]) => two - one);
  }
}

/** Returns the number of groups in a route, plus the weight of its queues. */
function weightOf({ groups, queues }: Route<Recipient>): number {
  return queues.reduce((sum, { length }) => sum + QUEUE_WEIGHT + 2 * length, groups.length);
}

/** Returns whether the bytes from `start` to `end` equal a name. */
function isEqual(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const { length } = name;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== name[i]) return false;
  return true;
}
