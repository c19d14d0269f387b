/**
 * Groups the clients of a relay by their subscriptions, and finds the groups that an event reaches.
 * Does not depend on lines or on the time of sending.
 *
 * Clients with the same subscriptions form one group, however many they are. A client of a queue
 * has a group of its own.
 *
 * @module
 */

import {
  type GroupKind,
  Member,
  type Recipient,
  SubscriberGroup,
} from "../server/subscriber_group.ts";
import { largest } from "./largest.ts";
import { memberBytes } from "../protocol/envelope.ts";
import { REST } from "../protocol/pattern.ts";
import { PatternTrie } from "../protocol/pattern_trie.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import type { QueueReport } from "../protocol/report.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TextMap } from "../protocol/text_map.ts";

/** A client of a relay, with its subscriptions. */
export class Subscriber<R extends Recipient = Recipient> extends Member<R> {
  /** The client's subscriptions. */
  subscriptions: Subscriptions = Subscriptions.NONE_YET;
  /** What the IDs of the clients of its relay begin with. */
  readonly prefix: string;
  #signature: Uint8Array | null = null;

  /** Adds a client to a group. Its ID begins with `prefix`. */
  constructor(recipient: R, group: SubscriberGroup<R>, prefix = "") {
    super(recipient, group);
    this.prefix = prefix;
  }

  /** The client's ID, such as `c3`. */
  get id(): string {
    return `${this.prefix}c${this.recipient.id}`;
  }

  /**
   * The member that the relay inserts into the client's requests and direct events, such as
   * `"from":"c3",`.
   */
  get signature(): Uint8Array {
    return this.#signature ??= memberBytes("from", this.id);
  }
}

/** A queue. One of its clients receives each event. */
export class Queue {
  readonly name: string;
  /**
   * Incremented for each name that is new to the queue, so that names start with different clients.
   */
  turns = 0;
  /** Number of memberships in the queue, one for each of its clients. */
  memberships = 0;

  /** Creates a queue without clients. */
  constructor(name: string) {
    this.name = name;
  }
}

/** An entry of the index: a group that receives an event, alone or as one of a queue. */
interface Membership<R extends Recipient> {
  readonly group: SubscriberGroup<R>;
  readonly queue: Queue | null;
  /** Number of patterns that lead to the membership. */
  patterns: number;
  /** The number of the last look-up that found the membership. */
  look: number;
}

/** A group in the index. */
interface Entry<R extends Recipient> {
  subscriptions: Subscriptions;
  /** The group's memberships, by the name of the queue. */
  readonly memberships: TextMap<Membership<R>>;
}

/** The recipients of an event, besides the clients that receive every event. */
export interface Reach<R extends Recipient> {
  /** The groups that receive the event, each once. */
  readonly groups: SubscriberGroup<R>[];
  /**
   * The groups by queue. Each group has one client, and one group of each queue receives the event.
   */
  readonly queues: Map<Queue, SubscriberGroup<R>[]>;
}

const { NOTHING } = Subscriptions;
const ALL = Subscriptions.NONE_YET.after({ control: "subscribe", events: [REST] });

/** Is told what the clients hear. */
export interface InterestListener {
  /** Called when a client has come, which hears everything until it subscribes. */
  noteNewcomer(): void;
  /**
   * Called when a client more, or one fewer, hears a pattern. Clients that share a group count once.
   */
  noteInterest(pattern: string, queue: string, by: 1 | -1): void;
}

/** The groups of one relay. */
export class SubscriptionTable<R extends Recipient> {
  /** The clients that receive every event. Where there is a history, those of the kind `plain`. */
  readonly everything: SubscriberGroup<R> = new SubscriberGroup<R>();
  /** The groups of all clients that receive every event, which are never in the index. */
  readonly hearingAll: readonly SubscriberGroup<R>[];
  /**
   * Changes whenever an event may reach other clients than before, apart from {@link hearingAll}.
   */
  generation = 0;

  /** The group of clients that have left. It never receives an event. */
  readonly #departed: SubscriberGroup<R> = new SubscriberGroup<R>();
  readonly #index = new PatternTrie<Membership<R>>();
  readonly #entries = new Map<SubscriberGroup<R>, Entry<R>>();
  /** The groups that other clients may join, by {@link keyOf} their subscriptions and kind. */
  readonly #shared = new Map<number, SubscriberGroup<R>>();
  readonly #queues = new TextMap<Queue>();
  /** What the IDs of the clients begin with. */
  readonly #prefix: string;
  readonly #listener: InterestListener | null;
  /** Number of look-ups so far. */
  #looks = 0;

  /**
   * Creates a table without clients.
   *
   * @param prefix What the IDs of its clients begin with.
   * @param listener Is told of each change of what the clients hear, or `null`.
   * @param hasHistory Whether there are groups of other kinds than `plain`.
   */
  constructor(
    prefix = "",
    listener: InterestListener | null = null,
    hasHistory = false,
  ) {
    this.#prefix = prefix;
    this.#listener = listener;
    const others: GroupKind[] = hasHistory ? ["stamped", "catching-up"] : [];
    this.hearingAll = [this.everything, ...others.map((kind) => new SubscriberGroup<R>(kind))];
  }

  /** Whether events reach only the clients that receive every event. */
  get isIdle(): boolean {
    return this.#index.size === 0;
  }

  /** Total number of subscriptions. Those of clients that share a group count once. */
  get subscriptions(): number {
    return this.#index.size;
  }

  /** Returns the change of the total if a client had the given subscriptions. May be negative. */
  growth(subscriber: Subscriber<R>, subscriptions: Subscriptions, kind: GroupKind): number {
    const { group } = subscriber;
    const before = group.members.size === 1 ? this.#entries.get(group) : undefined;
    const isShared = this.find(subscriptions, kind) !== null;
    const after = subscriptions.isNarrowed ? subscriptions : ALL;
    return (isShared ? 0 : after.size) - (before?.subscriptions.size ?? 0);
  }

  /** Returns the recipients of an event. */
  reach(name: string): Reach<R> {
    const groups: SubscriberGroup<R>[] = [];
    const queues = new Map<Queue, SubscriberGroup<R>[]>();
    const look = ++this.#looks;
    for (const membership of this.#index.find(name)) {
      if (membership.look === look) continue; // another of its patterns matches, too
      membership.look = look;
      const { group, queue } = membership;
      const others = queue && queues.get(queue);
      if (!queue) groups.push(group);
      else if (others) others.push(group);
      else queues.set(queue, [group]);
    }
    return { groups, queues };
  }

  /**
   * Counts the clients that would receive an event now, one for each queue. Returns it with the
   * number of groups that had to be looked at.
   */
  countHearers(name: string): { hearers: number; steps: number } {
    const { groups, queues } = this.reach(name);
    let hearers = queues.size;
    for (const { members } of this.hearingAll) hearers += members.size;
    let steps = groups.length;
    for (const { members } of groups) hearers += members.size;
    for (const members of queues.values()) steps += members.length;
    return { hearers, steps };
  }

  /** Returns the `max` queues with the most members, the largest first. */
  largestQueues(max: number): QueueReport[] {
    return largest(this.#queues, max, ([, a], [, b]) => b.memberships - a.memberships)
      .map(([name, { memberships }]) => ({ name, members: memberships }));
  }

  /** Adds a client, which receives every event. */
  join(recipient: R): Subscriber<R> {
    const subscriber = new Subscriber<R>(recipient, this.everything, this.#prefix);
    this.everything.enroll(subscriber);
    this.#listener?.noteNewcomer();
    return subscriber;
  }

  /** Returns the group that a client with these subscriptions would join, or `null`. */
  find(subscriptions: Subscriptions, kind: GroupKind = "plain"): SubscriberGroup<R> | null {
    if (subscriptions.queues > 0) return null;
    if (subscriptions.coversAll) return this.hearingAll.find((group) => group.kind === kind)!;
    const group = this.#shared.get(keyOf(subscriptions, kind));
    const isSame = group && this.#entries.get(group)!.subscriptions.equals(subscriptions);
    return isSame ? group : null;
  }

  /**
   * Changes a client's subscriptions, whether its events are numbered, and how it receives kept
   * events, from now on. No events may be gathered for the client. No receipt may wait for the group
   * that it is going to join.
   *
   * @returns The number of pattern look-ups.
   */
  move(
    subscriber: Subscriber<R>,
    subscriptions: Subscriptions,
    isNumbered: boolean,
    kind: GroupKind = subscriber.group.kind,
  ): number {
    const before = subscriber.group;
    const existing = this.find(subscriptions, kind);
    const isOwn = before.kind === kind && before.members.size === 1 &&
      !this.hearingAll.includes(before);
    subscriber.isNumbered = isNumbered;
    subscriber.subscriptions = subscriptions;
    if (existing === before) return 0;
    if (!existing && isOwn) return this.#enter(before, subscriber);
    const steps = this.leave(subscriber);
    subscriber.group = existing ?? new SubscriberGroup<R>(kind);
    subscriber.group.enroll(subscriber);
    if (this.hearingAll.includes(subscriber.group)) this.#listener?.noteInterest(REST, NO_QUEUE, 1);
    const entry = this.#entries.get(subscriber.group);
    if (entry) subscriber.subscriptions = entry.subscriptions; // Share one object.
    return existing ? steps : steps + this.#enter(subscriber.group, subscriber);
  }

  /**
   * Removes a client from its group. No events may be gathered for it. Returns the number of
   * patterns removed from the index.
   */
  leave(subscriber: Subscriber<R>): number {
    const { group } = subscriber;
    group.dismiss(subscriber);
    if (this.hearingAll.includes(group)) this.#listener?.noteInterest(REST, NO_QUEUE, -1);
    subscriber.group = this.#departed;
    const entry = this.#entries.get(group);
    if (!entry || group.members.size > 0) return 0;
    this.#unshare(group, entry);
    this.#entries.delete(group);
    return this.#exchange(group, entry, NOTHING);
  }

  /**
   * Adds a group to the index, or updates it, with the subscriptions of its only member. Returns
   * the number of pattern look-ups.
   */
  #enter(group: SubscriberGroup<R>, { subscriptions }: Subscriber<R>): number {
    let entry = this.#entries.get(group);
    if (entry) this.#unshare(group, entry);
    else this.#entries.set(group, entry = { subscriptions: NOTHING, memberships: new TextMap() });
    const steps = this.#exchange(group, entry, subscriptions.isNarrowed ? subscriptions : ALL);
    const isShared = subscriptions.queues === 0;
    // In one of two billion cases, another group has the same fingerprint. Then this one is not
    // shared.
    const key = keyOf(subscriptions, group.kind);
    if (isShared && !this.#shared.has(key)) this.#shared.set(key, group);
    return steps;
  }

  #unshare(group: SubscriberGroup<R>, { subscriptions }: Entry<R>): void {
    const key = keyOf(subscriptions, group.kind);
    if (this.#shared.get(key) === group) this.#shared.delete(key);
  }

  /** Updates the index of a group. Returns the number of changed patterns. */
  #exchange(group: SubscriberGroup<R>, entry: Entry<R>, subscriptions: Subscriptions): number {
    const before = entry.subscriptions;
    const generation = this.generation;
    entry.subscriptions = subscriptions;
    for (const [pattern, queue] of subscriptions.without(before)) {
      const membership = entry.memberships.get(queue) ?? this.#addMembership(group, entry, queue);
      membership.patterns++;
      this.#index.add(pattern, membership);
      this.#listener?.noteInterest(pattern, queue, 1);
      this.generation++;
    }
    for (const [pattern, queue] of before.without(subscriptions)) {
      const membership = entry.memberships.get(queue)!;
      this.#index.delete(pattern, membership);
      this.#listener?.noteInterest(pattern, queue, -1);
      if (--membership.patterns === 0) this.#removeMembership(membership, entry, queue);
      this.generation++;
    }
    return this.generation - generation;
  }

  #addMembership(group: SubscriberGroup<R>, entry: Entry<R>, name: string): Membership<R> {
    let queue = this.#queues.get(name) ?? null;
    if (name !== NO_QUEUE) {
      if (!queue) this.#queues.set(name, queue = new Queue(name));
      queue.memberships++;
    }
    const membership = { group, queue, patterns: 0, look: 0 };
    entry.memberships.set(name, membership);
    return membership;
  }

  #removeMembership({ queue }: Membership<R>, entry: Entry<R>, name: string): void {
    entry.memberships.delete(name);
    if (queue && --queue.memberships === 0) this.#queues.delete(name);
  }
}

/** The kinds of groups, each of which has keys of its own. */
const KINDS: readonly GroupKind[] = ["plain", "stamped", "catching-up"];

/** Returns a number that is equal for equal subscriptions and kinds, and hardly ever for others. */
function keyOf({ fingerprint }: Subscriptions, kind: GroupKind): number {
  return fingerprint * KINDS.length + KINDS.indexOf(kind);
}
