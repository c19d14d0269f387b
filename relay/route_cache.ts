/**
 * Owns the way from the bytes of a name to whom an event of that name reaches, remembered for the names
 * that come again. Must not know lines, or who is connected.
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
 * Where names are remembered: in one of a few places that their hash says. A `Map` from hashes would
 * take twice as long to look into.
 */
const PLACES = 32_768;
const TRIES = 4;

/** How many groups may be remembered for all names together. */
const MAX_AUDIENCES = 1_048_576;

/** For how many groups a queue counts beside twice its own, by the memory that it takes. */
const QUEUE_WEIGHT = 16;

/** How many names are counted that are not remembered any more. */
const MAX_COUNTED = 4096;

/** Whom an event of some name reaches, beside those that hear everything. */
export interface Route<R extends Recipient> {
  /** The name as it is spelled in the line: other spellings have routes of their own. */
  readonly bytes: Uint8Array;
  readonly name: string;
  /** The groups that hear it. */
  groups: readonly SubscriberGroup<R>[];
  /** The queues of which one client hears it. */
  queues: readonly RoundRobin<R>[];
  /** What `SubscriptionTable.generation` was when these were looked up. */
  generation: number;
  /** Events of this name, while they are counted. */
  events: number;
}

/** The routes of one relay. */
export class RouteCache<R extends Recipient> {
  /** Whether events are counted by their names. */
  isCounting = false;

  readonly #groups: SubscriptionTable<R>;
  /** As long as it has to be once there is a name; one too old makes place for a new one. */
  #routes: (Route<R> | null)[] = [];
  #weight = 0;
  #last: Route<R> | null = null;
  /** The events of names that are not remembered any more. */
  #counted = new TextMap<number>();

  /** Makes one that looks up in `groups` what it does not know. */
  constructor(groups: SubscriptionTable<R>) {
    this.#groups = groups;
  }

  /** The route of the name that lies from `start` to `end`, within its quotes. */
  find(bytes: Uint8Array, start: number, end: number): Route<R> {
    let route = this.#last;
    if (route === null || !isEqual(route.bytes, bytes, start, end)) {
      route = this.#last = this.#recall(bytes, start, end);
    }
    if (route.generation !== this.#groups.generation) this.#lookUp(route);
    if (this.isCounting) route.events++;
    return route;
  }

  /** The same for an event that will come again: it is not counted. */
  peek(bytes: Uint8Array, start: number, end: number): Route<R> {
    const route = this.find(bytes, start, end);
    if (this.isCounting) route.events--;
    return route;
  }

  /** The route of a name that is remembered, or is from now on. */
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
    // Whose turn it is does not change with what others hear, or some names would always meet the same.
    const before = route.queues;
    const next = before.length > 0 && new Map(before.map((turns) => [turns.queue, turns.next]));
    route.queues = Array.from(queues, ([queue, groups]) => {
      const first = next ? next.get(queue) : undefined;
      return new RoundRobin(queue, groups, first ?? queue.turns++);
    });
    route.generation = this.#groups.generation;
    this.#weight += weightOf(route);
    if (this.#weight > MAX_AUDIENCES) this.#clear();
  }

  /** Forgets all names: nobody can make us remember without end. */
  #clear(): void {
    for (const route of this.#known()) this.#keepCount(route);
    this.#routes = [];
    this.#weight = 0;
    this.#last = null;
  }

  #known(): Route<R>[] {
    return this.#routes.filter((route) => route !== null);
  }

  /** The events of a name that had been forgotten. */
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

  /** Begins to count events by their names, from 0. */
  startCounting(): void {
    this.#counted.clear();
    for (const route of this.#known()) route.events = 0;
    this.isCounting = true;
  }

  /** The names of the events that were counted, at most `count`, the most frequent first. */
  counts(count: number): [name: string, events: number][] {
    // A name is in both where it has been forgotten meanwhile, or is spelled in several ways.
    const most = new TextMap<number>();
    const known = largest(this.#known(), 2 * count, (one, two) => two.events - one.events);
    const all = known.map(({ name, events }) => [name, events] as const);
    for (const [name, events] of [...all, ...this.#most(2 * count)]) {
      if (events > 0) most.set(name, events + (most.get(name) ?? 0));
    }
    return largest(most, count, ([, one], [, two]) => two - one);
  }
}

/** How many groups a route remembers, or what takes as much memory. */
function weightOf({ groups, queues }: Route<Recipient>): number {
  return queues.reduce((sum, { length }) => sum + QUEUE_WEIGHT + 2 * length, groups.length);
}

/** Whether the bytes from `start` to `end` are those of a name. */
function isEqual(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const { length } = name;
  if (end - start !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== name[i]) return false;
  return true;
}
