/**
 * The interest of the other relays, which decides to which of them an event goes.
 *
 * @module
 */

import type { InterestChange, QueueInterest } from "../protocol/cluster.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import { REST } from "../protocol/pattern.ts";
import { PatternTrie } from "../protocol/pattern_trie.ts";
import { TextMap } from "../protocol/text_map.ts";

/** A pattern that clients of one relay hear. */
interface Entry<L> {
  readonly relay: L;
  readonly queue: string;
  /** How many clients of the relay hear it; 1 without a queue. */
  members: number;
}

/** The relays that an event reaches. */
export interface Reach<L> {
  /** The relays with clients that hear it themselves. */
  readonly relays: ReadonlySet<L>;
  /** The number of members of each queue that hears it, by relay. */
  readonly queues: ReadonlyMap<string, ReadonlyMap<L, number>>;
}

/** A relay in the table. */
export interface Hearer {
  /** Whether its interest is known. Until then, its clients hear everything. */
  isSettled: boolean;
}

/** The interest of the other relays. */
export class InterestTable<L extends Hearer> {
  /** Changes whenever an event may reach other relays than before. */
  generation = 0;

  readonly #index = new PatternTrie<Entry<L>>();
  /** The entries of each relay, by queue and pattern. */
  readonly #entries = new Map<L, TextMap<TextMap<Entry<L>>>>();
  /** The relays that have reported a client that hears every event. */
  readonly #hearsAll = new Set<L>();
  /** The relays that every event reaches. */
  readonly everything = new Set<L>();

  /** Whether all events reach the same relays, whatever their names: those in {@link everything}. */
  get isUniform(): boolean {
    return this.#index.size === 0;
  }

  /** Adds a relay, which hears every event until more is known. */
  join(relay: L): void {
    this.#entries.set(relay, new TextMap());
    this.#update(relay);
    this.generation++;
  }

  #update(relay: L): void {
    if (this.#hearsAll.has(relay) || !relay.isSettled) this.everything.add(relay);
    else this.everything.delete(relay);
  }

  /** Removes a relay. */
  leave(relay: L): void {
    for (const [queue, patterns] of this.#entries.get(relay) ?? []) {
      for (const [pattern] of patterns) this.#set(relay, pattern, queue, 0);
    }
    this.#entries.delete(relay);
    this.#hearsAll.delete(relay);
    this.everything.delete(relay);
    this.generation++;
  }

  /** Returns the queues of a relay. */
  queuesOf(relay: L): QueueInterest[] {
    const queues: QueueInterest[] = [];
    for (const [queue, patterns] of this.#entries.get(relay) ?? []) {
      if (queue === NO_QUEUE) continue;
      for (const [pattern, { members }] of patterns) queues.push([queue, pattern, members]);
    }
    return queues;
  }

  /** Applies a change of a relay's interest. */
  apply(relay: L, { add, drop, queues, isWhole }: InterestChange): void {
    for (const pattern of add) this.#set(relay, pattern, NO_QUEUE, 1);
    for (const pattern of drop) this.#set(relay, pattern, NO_QUEUE, 0);
    for (const [queue, pattern, members] of queues) this.#set(relay, pattern, queue, members);
    relay.isSettled ||= isWhole;
    this.#update(relay);
    this.generation++;
  }

  #set(relay: L, pattern: string, queue: string, members: number): void {
    if (pattern === REST && queue === NO_QUEUE) {
      if (members > 0) this.#hearsAll.add(relay);
      else this.#hearsAll.delete(relay);
      return;
    }
    const entries = this.#entries.get(relay)!;
    let patterns = entries.get(queue);
    if (!patterns) entries.set(queue, patterns = new TextMap());
    const known = patterns.get(pattern);
    if (known && members > 0) {
      known.members = members;
    } else if (known) {
      this.#index.delete(pattern, known);
      patterns.delete(pattern);
    } else if (members > 0) {
      const entry = { relay, queue, members };
      patterns.set(pattern, entry);
      this.#index.add(pattern, entry);
    }
    if (patterns.size === 0) entries.delete(queue);
  }

  /** Returns the relays that an event reaches. */
  reach(name: string): Reach<L> {
    const relays = new Set(this.everything);
    const queues = new Map<string, Map<L, number>>();
    for (const { relay, queue, members } of this.#index.find(name)) {
      if (queue === NO_QUEUE) {
        relays.add(relay);
        continue;
      }
      let counts = queues.get(queue);
      if (!counts) queues.set(queue, counts = new Map());
      counts.set(relay, Math.max(members, counts.get(relay) ?? 0));
    }
    return { relays, queues };
  }
}
