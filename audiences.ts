/**
 * Owns who hears what: the audiences, which client belongs to which, and whom an event of some name
 * reaches. Must not know lines, or when anything is sent.
 *
 * Clients with the same subscriptions are one audience, however many they are. A client of a queue is
 * an audience of its own.
 *
 * @module
 */

import { Audience, Listener, type Recipient } from "./audience.ts";
import { REST } from "./pattern.ts";
import { PatternIndex } from "./pattern_index.ts";
import { NO_QUEUE } from "./routing.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TextMap } from "./text_map.ts";

/** A queue: of the clients that have asked for it, one gets each event. */
export class Queue {
  /** Grows with each name that is new to the queue, so that not all of them begin at one client. */
  turns = 0;
  /** How many seats have it. */
  seats = 0;
}

/** What stands in the index: an audience that hears an event, alone or as one of a queue. */
interface Seat<R extends Recipient> {
  readonly audience: Audience<R>;
  readonly queue: Queue | null;
  /** How many patterns lead to it. */
  patterns: number;
  /** Which look-up has found it last. */
  look: number;
}

/** An audience in the index. */
interface Entry<R extends Recipient> {
  subscriptions: Subscriptions;
  /** Its seats, by the name of the queue. */
  readonly seats: TextMap<Seat<R>>;
}

/** Whom an event reaches, beside those that hear everything. */
export interface Reach<R extends Recipient> {
  /** The audiences that hear it, each once. */
  readonly audiences: Audience<R>[];
  /** The audiences of which one is to hear it, each of one client, by their queue. */
  readonly queues: Map<Queue, Audience<R>[]>;
}

const { NOTHING } = Subscriptions;
const ALL = Subscriptions.NONE_YET.after({ control: "subscribe", events: [REST] });

/** The audiences of one relay. */
export class Audiences<R extends Recipient> {
  /** The clients that hear everything, as it comes. It is never in the index. */
  readonly everything: Audience<R> = new Audience<R>();
  /** Differs from before when an event may reach others than before, {@link everything} aside. */
  generation = 0;

  /** Where those are that have left. Nobody hears anything there. */
  readonly #nobody: Audience<R> = new Audience<R>();
  readonly #index = new PatternIndex<Seat<R>>();
  readonly #entries = new Map<Audience<R>, Entry<R>>();
  /** The audiences that others may join, by the fingerprint of their subscriptions. */
  readonly #shared = new Map<number, Audience<R>>();
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
  growth(listener: Listener<R>, subscriptions: Subscriptions): number {
    const { audience } = listener;
    const before = audience.members.size === 1 ? this.#entries.get(audience) : undefined;
    const isShared = this.find(subscriptions) !== null;
    const after = subscriptions.isNarrowed ? subscriptions : ALL;
    return (isShared ? 0 : after.size) - (before?.subscriptions.size ?? 0);
  }

  /** Whom an event reaches. */
  reach(name: string): Reach<R> {
    const audiences: Audience<R>[] = [];
    const queues = new Map<Queue, Audience<R>[]>();
    const look = ++this.#looks;
    for (const seat of this.#index.find(name)) {
      if (seat.look === look) continue; // another of its patterns matches, too
      seat.look = look;
      const { audience, queue } = seat;
      const others = queue && queues.get(queue);
      if (!queue) audiences.push(audience);
      else if (others) others.push(audience);
      else queues.set(queue, [audience]);
    }
    return { audiences, queues };
  }

  /** Takes a new client, which hears everything. */
  join(recipient: R): Listener<R> {
    const listener = new Listener<R>(recipient, this.everything);
    this.everything.enroll(listener);
    return listener;
  }

  /** The audience that a client with these subscriptions would join, if there is one. */
  find(subscriptions: Subscriptions): Audience<R> | null {
    if (subscriptions.queues > 0) return null;
    if (subscriptions.coversAll) return this.everything;
    const audience = this.#shared.get(subscriptions.fingerprint);
    const isSame = audience && this.#entries.get(audience)!.subscriptions.equals(subscriptions);
    return isSame ? audience : null;
  }

  /**
   * Lets a client hear what `subscriptions` say from now on, and has its events numbered, or not.
   * Nothing may wait for it, and nobody for what becomes of what waits for the audience that it is going
   * to join. Returns how often a pattern had to be looked for.
   */
  move(listener: Listener<R>, subscriptions: Subscriptions, isNumbered: boolean): number {
    const before = listener.audience;
    const existing = this.find(subscriptions);
    const isOwn = before !== this.everything && before.members.size === 1;
    listener.isNumbered = isNumbered;
    listener.subscriptions = subscriptions;
    if (existing === before) return 0;
    if (!existing && isOwn) return this.#enter(before, listener);
    const steps = this.leave(listener);
    listener.audience = existing ?? new Audience<R>();
    listener.audience.enroll(listener);
    const entry = this.#entries.get(listener.audience);
    if (entry) listener.subscriptions = entry.subscriptions; // one object for all that have the same
    return existing ? steps : steps + this.#enter(listener.audience, listener);
  }

  /** Takes a client, for which nothing waits, out of its audience. Returns how many patterns are looked for no longer. */
  leave(listener: Listener<R>): number {
    const { audience } = listener;
    audience.dismiss(listener);
    listener.audience = this.#nobody;
    const entry = this.#entries.get(audience);
    if (!entry || audience.members.size > 0) return 0;
    this.#unshare(audience, entry);
    this.#entries.delete(audience);
    return this.#exchange(audience, entry, NOTHING);
  }

  /** Puts an audience into the index as its only member wants it. */
  #enter(audience: Audience<R>, { subscriptions }: Listener<R>): number {
    let entry = this.#entries.get(audience);
    if (entry) this.#unshare(audience, entry);
    else this.#entries.set(audience, entry = { subscriptions: NOTHING, seats: new TextMap() });
    const steps = this.#exchange(audience, entry, subscriptions.isNarrowed ? subscriptions : ALL);
    const isShared = subscriptions.queues === 0;
    // In the one case of two billion in which another has that fingerprint, this one is not shared.
    if (isShared && !this.#shared.has(subscriptions.fingerprint)) {
      this.#shared.set(subscriptions.fingerprint, audience);
    }
    return steps;
  }

  #unshare(audience: Audience<R>, { subscriptions: { fingerprint } }: Entry<R>): void {
    if (this.#shared.get(fingerprint) === audience) this.#shared.delete(fingerprint);
  }

  /** Changes what of an audience is in the index. Returns how many patterns that were. */
  #exchange(audience: Audience<R>, entry: Entry<R>, subscriptions: Subscriptions): number {
    const before = entry.subscriptions;
    const generation = this.generation;
    entry.subscriptions = subscriptions;
    for (const [pattern, queue] of subscriptions.without(before)) {
      const seat = entry.seats.get(queue) ?? this.#sit(audience, entry, queue);
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

  #sit(audience: Audience<R>, entry: Entry<R>, name: string): Seat<R> {
    let queue = this.#queues.get(name) ?? null;
    if (name !== NO_QUEUE) {
      if (!queue) this.#queues.set(name, queue = new Queue());
      queue.seats++;
    }
    const seat = { audience, queue, patterns: 0, look: 0 };
    entry.seats.set(name, seat);
    return seat;
  }

  #rise({ queue }: Seat<R>, entry: Entry<R>, name: string): void {
    entry.seats.delete(name);
    if (queue && --queue.seats === 0) this.#queues.delete(name);
  }
}
