/**
 * Owns who hears what: the groups, which client belongs to which, and whom an event of some name
 * reaches. Must not know lines, or when anything is sent.
 *
 * Clients with the same subscriptions are one group, however many they are. A client of a queue is
 * an group of its own.
 *
 * @module
 */

import { type Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import { Subscriber } from "./subscriber.ts";
import { REST } from "../protocol/pattern.ts";
import { PatternTrie } from "./pattern_trie.ts";
import { NO_QUEUE } from "../protocol/routing.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TextMap } from "../protocol/text_map.ts";

/** A queue: of the clients that have asked for it, one gets each event. */
export class Queue {
  /** Grows with each name that is new to the queue, so that not all of them begin at one client. */
  turns = 0;
  /** How many seats have it. */
  seats = 0;
}

/** What stands in the index: an group that hears an event, alone or as one of a queue. */
interface Membership<R extends Recipient> {
  readonly group: SubscriberGroup<R>;
  readonly queue: Queue | null;
  /** How many patterns lead to it. */
  patterns: number;
  /** Which look-up has found it last. */
  look: number;
}

/** An group in the index. */
interface Entry<R extends Recipient> {
  subscriptions: Subscriptions;
  /** Its seats, by the name of the queue. */
  readonly seats: TextMap<Membership<R>>;
}

/** Whom an event reaches, beside those that hear everything. */
export interface Reach<R extends Recipient> {
  /** The groups that hear it, each once. */
  readonly groups: SubscriberGroup<R>[];
  /** The groups of which one is to hear it, each of one client, by their queue. */
  readonly queues: Map<Queue, SubscriberGroup<R>[]>;
}

const { NOTHING } = Subscriptions;
const ALL = Subscriptions.NONE_YET.after({ control: "subscribe", events: [REST] });

/** The groups of one relay. */
export class SubscriptionTable<R extends Recipient> {
  /** The clients that hear everything, as it comes. It is never in the index. */
  readonly everything: SubscriberGroup<R> = new SubscriberGroup<R>();
  /** Differs from before when an event may reach others than before, {@link everything} aside. */
  generation = 0;

  /** Where those are that have left. Nobody hears anything there. */
  readonly #nobody: SubscriberGroup<R> = new SubscriberGroup<R>();
  readonly #index = new PatternTrie<Membership<R>>();
  readonly #entries = new Map<SubscriberGroup<R>, Entry<R>>();
  /** The groups that others may join, by the fingerprint of their subscriptions. */
  readonly #shared = new Map<number, SubscriberGroup<R>>();
  readonly #queues = new TextMap<Queue>();
  /** How many look-ups there have been. */
  #looks = 0;

  /** Whether no event reaches anyone but those that hear everything. */
  get isIdle(): boolean {
    return this.#index.size === 0;
  }

  /** How many subscriptions there are: those of clients that hear the same count once. */
  get subscriptions(): number {
    return this.#index.size;
  }

  /** By how many they would grow, or shrink, if a client heard what `subscriptions` say. */
  growth(subscriber: Subscriber<R>, subscriptions: Subscriptions): number {
    const { group } = subscriber;
    const before = group.members.size === 1 ? this.#entries.get(group) : undefined;
    const isShared = this.find(subscriptions) !== null;
    const after = subscriptions.isNarrowed ? subscriptions : ALL;
    return (isShared ? 0 : after.size) - (before?.subscriptions.size ?? 0);
  }

  /** Whom an event reaches. */
  reach(name: string): Reach<R> {
    const groups: SubscriberGroup<R>[] = [];
    const queues = new Map<Queue, SubscriberGroup<R>[]>();
    const look = ++this.#looks;
    for (const seat of this.#index.find(name)) {
      if (seat.look === look) continue; // another of its patterns matches, too
      seat.look = look;
      const { group, queue } = seat;
      const others = queue && queues.get(queue);
      if (!queue) groups.push(group);
      else if (others) others.push(group);
      else queues.set(queue, [group]);
    }
    return { groups, queues };
  }

  /** Takes a new client, which hears everything. */
  join(recipient: R): Subscriber<R> {
    const subscriber = new Subscriber<R>(recipient, this.everything);
    this.everything.enroll(subscriber);
    return subscriber;
  }

  /** The group that a client with these subscriptions would join, if there is one. */
  find(subscriptions: Subscriptions): SubscriberGroup<R> | null {
    if (subscriptions.queues > 0) return null;
    if (subscriptions.coversAll) return this.everything;
    const group = this.#shared.get(subscriptions.fingerprint);
    const isSame = group && this.#entries.get(group)!.subscriptions.equals(subscriptions);
    return isSame ? group : null;
  }

  /**
   * Lets a client hear what `subscriptions` say from now on, and has its events numbered, or not.
   * Nothing may wait for it, and nobody for what becomes of what waits for the group that it is going
   * to join. Returns how often a pattern had to be looked for.
   */
  move(subscriber: Subscriber<R>, subscriptions: Subscriptions, isNumbered: boolean): number {
    const before = subscriber.group;
    const existing = this.find(subscriptions);
    const isOwn = before !== this.everything && before.members.size === 1;
    subscriber.isNumbered = isNumbered;
    subscriber.subscriptions = subscriptions;
    if (existing === before) return 0;
    if (!existing && isOwn) return this.#enter(before, subscriber);
    const steps = this.leave(subscriber);
    subscriber.group = existing ?? new SubscriberGroup<R>();
    subscriber.group.enroll(subscriber);
    const entry = this.#entries.get(subscriber.group);
    if (entry) subscriber.subscriptions = entry.subscriptions; // one object for all that have the same
    return existing ? steps : steps + this.#enter(subscriber.group, subscriber);
  }

  /** Takes a client, for which nothing waits, out of its group. Returns how many patterns are looked for no longer. */
  leave(subscriber: Subscriber<R>): number {
    const { group } = subscriber;
    group.dismiss(subscriber);
    subscriber.group = this.#nobody;
    const entry = this.#entries.get(group);
    if (!entry || group.members.size > 0) return 0;
    this.#unshare(group, entry);
    this.#entries.delete(group);
    return this.#exchange(group, entry, NOTHING);
  }

  /** Puts an group into the index as its only member wants it. */
  #enter(group: SubscriberGroup<R>, { subscriptions }: Subscriber<R>): number {
    let entry = this.#entries.get(group);
    if (entry) this.#unshare(group, entry);
    else this.#entries.set(group, entry = { subscriptions: NOTHING, seats: new TextMap() });
    const steps = this.#exchange(group, entry, subscriptions.isNarrowed ? subscriptions : ALL);
    const isShared = subscriptions.queues === 0;
    // In the one case of two billion in which another has that fingerprint, this one is not shared.
    if (isShared && !this.#shared.has(subscriptions.fingerprint)) {
      this.#shared.set(subscriptions.fingerprint, group);
    }
    return steps;
  }

  #unshare(group: SubscriberGroup<R>, { subscriptions: { fingerprint } }: Entry<R>): void {
    if (this.#shared.get(fingerprint) === group) this.#shared.delete(fingerprint);
  }

  /** Changes what of an group is in the index. Returns how many patterns that were. */
  #exchange(group: SubscriberGroup<R>, entry: Entry<R>, subscriptions: Subscriptions): number {
    const before = entry.subscriptions;
    const generation = this.generation;
    entry.subscriptions = subscriptions;
    for (const [pattern, queue] of subscriptions.without(before)) {
      const seat = entry.seats.get(queue) ?? this.#sit(group, entry, queue);
      seat.patterns++;
      this.#index.add(pattern, seat);
      this.generation++;
    }
    for (const [pattern, queue] of before.without(subscriptions)) {
      const seat = entry.seats.get(queue)!;
      this.#index.delete(pattern, seat);
      if (--seat.patterns === 0) this.#rise(seat, entry, queue);
      this.generation++;
    }
    return this.generation - generation;
  }

  #sit(group: SubscriberGroup<R>, entry: Entry<R>, name: string): Membership<R> {
    let queue = this.#queues.get(name) ?? null;
    if (name !== NO_QUEUE) {
      if (!queue) this.#queues.set(name, queue = new Queue());
      queue.seats++;
    }
    const seat = { group, queue, patterns: 0, look: 0 };
    entry.seats.set(name, seat);
    return seat;
  }

  #rise({ queue }: Membership<R>, entry: Entry<R>, name: string): void {
    entry.seats.delete(name);
    if (queue && --queue.seats === 0) this.#queues.delete(name);
  }
}
