/**
 * Caches the recipients of an event by the bytes of its name, and takes turns among the clients of
 * each queue. Does not depend on whole lines or connections.
 *
 * @module
 */

import type { Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import type { Queue, SubscriptionTable } from "./subscription_table.ts";
import * as ascii from "../protocol/ascii.ts";
import { readString } from "../protocol/envelope.ts";
import { largest } from "./largest.ts";
import * as json from "../protocol/json_bytes.ts";
import type { NameReport } from "../protocol/report.ts";
import { hashBytes } from "../protocol/seeded_hash.ts";
import { TextMap } from "../protocol/text_map.ts";

const { isEqual } = json; // see ascii.ts
const { QUOTE } = ascii;

/**
 * Maximum weight of all routes together. A group weighs 1. The others weigh according to their
 * memory: a route, and a queue in addition to two for each of its clients.
 */
const MAX_WEIGHT = 1_048_576;
const ROUTE_WEIGHT = 32;
const QUEUE_WEIGHT = 16;

/** Maximum number of names that are counted although the cache has forgotten them. */
const MAX_COUNTED = 4096;

/** Number of groups that are looked at to count the hearers of names, after which it ends. */
const MAX_HEARER_STEPS = 10_000;

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
  /** What the history does with events of this name, as {@link Keeping}. `null` if not known. */
  keeping: Keeping | null;
}

/** Whether the history keeps events of a name, and whether it keeps the last one for longer. */
export type Keeping = "never" | "kept" | "last";

/** The routes of one relay. */
export class RouteCache<R extends Recipient> {
  /** Whether events are counted by name. */
  isCounting = false;

  readonly #groups: SubscriptionTable<R>;
  /**
   * The routes by the hash of their names, which no peer can predict. Of two names with the same
   * hash, the cache knows the last.
   */
  readonly #routes = new Map<number, Route<R>>();
  #weight = 0;
  #last: Route<R> | null = null;
  /** Counts of forgotten names. */
  #forgotten = new TextMap<number>();

  /** Creates a cache that looks up unknown names in `groups`. */
  constructor(groups: SubscriptionTable<R>) {
    this.#groups = groups;
  }

  /** Returns the route of the name from `start` to `end`, which excludes its quotes. */
  find(bytes: Uint8Array, start: number, end: number): Route<R> {
    let route = this.#last;
    if (route === null || !isEqual(bytes, start, end, route.bytes)) {
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

  /** Returns the present route of the name of one that was found earlier, without counting it. */
  again(route: Route<R>): Route<R> {
    if (route.generation === this.#groups.generation) return route;
    const { bytes } = route;
    const quoted = new Uint8Array(bytes.length + 2).fill(QUOTE);
    quoted.set(bytes, 1);
    return this.peek(quoted, 1, bytes.length + 1);
  }

  /** Returns the cached route of a name. Creates it if it does not exist. */
  #recall(bytes: Uint8Array, start: number, end: number): Route<R> {
    const hash = hashBytes(bytes, start, end);
    const known = this.#routes.get(hash);
    if (known && isEqual(bytes, start, end, known.bytes)) return known;
    if (known) this.#forget(hash, known);
    const route: Route<R> = {
      bytes: bytes.slice(start, end),
      name: readString(bytes, start - 1),
      groups: [],
      queues: [],
      generation: -1,
      events: 0,
      keeping: null,
    };
    this.#routes.set(hash, route);
    this.#weight += weightOf(route);
    return route;
  }

  #lookUp(route: Route<R>): void {
    const { groups, queues } = this.#groups.reach(route.name);
    this.#weight -= weightOf(route);
    route.groups = groups;
    // Changed subscriptions do not change the turn. Otherwise the events of some names would always
    // go to the same client.
    const turns = new Map(route.queues.map(({ queue, next }) => [queue, next]));
    route.queues = Array.from(queues, ([queue, groups]) => {
      return new RoundRobin(queue, groups, turns.get(queue) ?? queue.turns++);
    });
    route.generation = this.#groups.generation;
    this.#weight += weightOf(route);
    if (this.#weight > MAX_WEIGHT) this.#shrink();
  }

  /** Forgets the oldest names, so that peers cannot make the cache grow without limit. */
  #shrink(): void {
    for (const [hash, route] of this.#routes) {
      if (2 * this.#weight <= MAX_WEIGHT) break;
      this.#forget(hash, route);
    }
    this.#last = null;
    if (this.#forgotten.size <= MAX_COUNTED) return;
    const counts = largest(this.#forgotten, MAX_COUNTED, ([, a], [, b]) => b - a);
    this.#forgotten.clear();
    for (const [name, events] of counts) this.#forgotten.set(name, events);
  }

  #forget(hash: number, route: Route<R>): void {
    this.#routes.delete(hash);
    this.#weight -= weightOf(route);
    if (route.events > 0) count(this.#forgotten, route);
  }

  /** Starts counting events by name, from 0. */
  startCounting(): void {
    this.#forgotten.clear();
    for (const route of this.#routes.values()) route.events = 0;
    this.isCounting = true;
  }

  /**
   * Returns the `max` most frequent names of counted events, the most frequent first. Those for
   * which it would take too long to count the hearers are without.
   */
  counts(max: number): NameReport[] {
    const counts = new TextMap(this.#forgotten);
    for (const route of this.#routes.values()) if (route.events > 0) count(counts, route);
    let steps = 0;
    return largest(counts, max, ([, a], [, b]) => b - a).map(([name, events]) => {
      if (steps > MAX_HEARER_STEPS) return { name, events };
      const found = this.#groups.countHearers(name);
      steps += found.steps;
      return { name, events, hearers: found.hearers };
    });
  }
}

/** The clients of a queue that subscribe to one name, each in a group of its own. */
export class RoundRobin<R extends Recipient> {
  readonly queue: Queue;
  readonly groups: readonly SubscriberGroup<R>[];
  /** The number of the next client. */
  next: number;

  /** Creates a rotation that starts with client number `first`, modulo the number of clients. */
  constructor(queue: Queue, groups: readonly SubscriberGroup<R>[], first: number) {
    this.queue = queue;
    this.groups = groups;
    this.next = first % groups.length;
  }

  /**
   * Returns how many clients could receive an event, and how many of them have an empty queue. Those that
   * are joining do not count.
   */
  count(excluded: SubscriberGroup<R> | null): { open: number; free: number } {
    let open = 0;
    let free = 0;
    for (const group of this.groups) {
      const { recipient, isJoining } = group.members.values().next().value!;
      if (group === excluded || isJoining || !recipient.open) continue;
      open++;
      if (recipient.pendingBytes === 0) free++;
    }
    return { open, free };
  }

  /**
   * Returns the next client with an empty send queue. If no queue is empty, returns the client with
   * the fewest pending bytes. Returns `null` if no open client remains.
   *
   * @param excluded The group that must not receive the event, or `null`.
   * @param mayBeJoining Whether a client that is joining receives it if there is no other.
   */
  take(excluded: SubscriberGroup<R> | null, mayBeJoining = true): SubscriberGroup<R> | null {
    return this.#take(excluded, false) ?? (mayBeJoining ? this.#take(excluded, true) : null);
  }

  #take(excluded: SubscriberGroup<R> | null, isJoining: boolean): SubscriberGroup<R> | null {
    const { groups } = this;
    const count = groups.length;
    let best = -1;
    let min = Infinity;
    for (let k = 0, i = this.next; k < count; k++, i = i + 1 < count ? i + 1 : 0) {
      const group = groups[i]!;
      if (group === excluded) continue;
      const member = group.members.values().next().value!;
      const { recipient } = member;
      if (member.isJoining !== isJoining || !recipient.open) continue;
      const { pendingBytes } = recipient;
      // Gathered events count only for clients with a backlog, because they are flushed within
      // moments.
      if (pendingBytes > 0 && pendingBytes + group.size >= min) continue;
      best = i;
      if (pendingBytes === 0) break;
      min = pendingBytes + group.size;
    }
    if (best < 0) return null;
    this.next = best + 1 < count ? best + 1 : 0;
    return groups[best]!;
  }
}

/** Adds the events of a route to the count of its name, which may have several spellings. */
function count(counts: TextMap<number>, { name, events }: Route<Recipient>): void {
  counts.set(name, events + (counts.get(name) ?? 0));
}

function weightOf({ groups, queues }: Route<Recipient>): number {
  const weight = ROUTE_WEIGHT + groups.length;
  return queues.reduce((sum, { groups }) => sum + QUEUE_WEIGHT + 2 * groups.length, weight);
}
