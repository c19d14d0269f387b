/**
 * The producers of a cluster, as its stream tells of them. All relays read the same messages, so they
 * have the same table, and agree on which of them takes the events of a producer. A relay that has missed
 * messages begins anew, and says of what it does not know that it cannot tell.
 *
 * A relay claims a producer before it keeps events of it. It owns the producer once the relay that owned
 * it before has released it. So no event of a producer is kept twice, or after later ones. A relay that
 * is gone cannot release anything. Then another one disowns it, with a message in its name. JetStream
 * takes no block of it after that, because the relay expects another last message there.
 *
 * @module
 */

import { TextMap } from "../protocol/text_map.ts";
import { MAX_PRODUCERS } from "./producers.ts";

/** What a block says about producers: which its relay takes events of. All are applied in this order. */
export interface ProducerNotes {
  /** Whether the relay of the block owns none of those any more that it has claimed before. */
  readonly disowns?: true | undefined;
  /** Producers that the relay wants to own, each with the number of its attempt to connect. */
  readonly claims?: readonly (readonly [id: string, attempt: number])[] | undefined;
  /** The producers of the events, each with the numbers of the last one, and of the last faulted one. */
  readonly counts?: readonly (readonly [id: string, taken: number, faulted: number])[] | undefined;
  /** Producers that it no longer owns, each with its attempt, and whether no other event was taken. */
  readonly releases?:
    | readonly (readonly [
      id: string,
      attempt: number,
      taken: number,
      faulted: number,
      isExact: 0 | 1,
    ])[]
    | undefined;
  /** Producers that it no longer owns, and of which it has taken nothing, each with its attempt. */
  readonly declines?: readonly (readonly [id: string, attempt: number])[] | undefined;
}

/** What is known of a producer. */
export interface TableEntry {
  readonly id: string;
  /** The greatest number of an attempt to connect with which it was claimed. */
  attempt: number;
  /** The relay that owns it, and for which attempt, or `null`. */
  owner: string | null;
  ownerAttempt: number;
  /** The relay that is to own it next, for the last attempt, or `null`. */
  next: string | null;
  /** The number of its events that were taken, and of the last one that was not kept as it should be. */
  taken: number;
  faulted: number;
  /** Whether none after {@link taken} was taken in the attempts up to {@link releasedAttempt}. */
  isExact: boolean;
  /** The attempt for which it was released last, or 0. */
  releasedAttempt: number;
  /** Whether something is known of its events. */
  isKnown: boolean;
}

/** A whole table. */
export interface TableSnapshot {
  readonly epoch: string;
  readonly hasForgotten: boolean;
  /** The producers, the latest last. */
  readonly entries: readonly TableEntry[];
}

/** The producers of a cluster. */
export class ProducerTable {
  /** Whether producers were forgotten, or messages about them were not read. */
  hasForgotten = false;
  /** The last message that was applied. */
  #seq = 0;
  #epoch = "";
  /** The most producers that are known. It has to be the same at all relays. */
  max: number;
  readonly #entries = new TextMap<TableEntry>();

  /** Creates a table without producers, for at most `max`. */
  constructor(max: number = MAX_PRODUCERS) {
    this.max = max;
  }

  /** The number of producers. */
  get size(): number {
    return this.#entries.size;
  }

  /** The last message that was applied, or 0. */
  get seq(): number {
    return this.#seq;
  }

  /** Returns what is known of a producer. */
  get(id: string): Readonly<TableEntry> | undefined {
    return this.#entries.get(id);
  }

  /** Applies what a message of a relay says, in the order of the messages. */
  apply(
    relay: string,
    { disowns, claims, counts, releases, declines }: ProducerNotes,
    seq: number,
  ): void {
    if (seq <= this.#seq) return; // It was restored with that.
    this.#seq = seq;
    if (disowns) this.#disown(relay);
    for (const [id, attempt] of claims ?? []) this.#claim(id, attempt, relay);
    for (const [id, taken, faulted] of counts ?? []) this.#count(id, relay, taken, faulted);
    for (const [id, attempt, taken, faulted, isExact] of releases ?? []) {
      if (!this.#isOwned(id, attempt, relay)) continue;
      release(this.#count(id, relay, taken, faulted)!, isExact === 1);
    }
    for (const [id, attempt] of declines ?? []) {
      if (this.#isOwned(id, attempt, relay)) handOver(this.#entries.get(id)!);
    }
  }

  /** Returns whether a relay owns a producer for an attempt. It may own it for a later one by now. */
  #isOwned(id: string, attempt: number, relay: string): boolean {
    const entry = this.#entries.get(id);
    return entry?.owner === relay && entry.ownerAttempt === attempt;
  }

  #claim(id: string, attempt: number, relay: string): void {
    const entry = this.#entries.get(id) ?? newEntry(id);
    if (attempt <= entry.attempt) return; // It has been claimed for a later attempt.
    entry.attempt = attempt;
    if (entry.owner === null) {
      entry.owner = relay;
      entry.ownerAttempt = attempt;
    } else entry.next = relay;
    this.#add(entry);
  }

  /** Notes the counts of a producer. Returns it, if the relay owns it. */
  #count(id: string, relay: string, taken: number, faulted: number): TableEntry | null {
    const entry = this.#entries.get(id);
    if (!entry) return null;
    if (entry.owner !== relay) {
      // It has missed messages, so what was taken can no longer be told.
      entry.faulted = Math.max(entry.faulted, taken);
      return null;
    }
    entry.taken = taken;
    entry.faulted = faulted;
    entry.isKnown = true;
    this.#add(entry);
    return entry;
  }

  #disown(relay: string): void {
    for (const entry of this.#entries.values()) {
      if (entry.owner !== relay) continue;
      if (entry.next === relay) entry.next = null; // Its claim has no client any more.
      release(entry, false);
    }
  }

  /** Notes an epoch. With another one, events may have been taken of which the stream does not tell. */
  begin(epoch: string, seq: number): void {
    if (epoch === this.#epoch || seq <= this.#seq) return;
    this.#epoch = epoch;
    for (const entry of this.#entries.values()) entry.isExact = false;
  }

  /** Forgets everything, since messages were not read. */
  clear(): void {
    this.#entries.clear();
    this.hasForgotten = true;
    this.#seq = 0;
  }

  /** Adds a producer as the latest one, and forgets the oldest one if there are too many. */
  #add(entry: TableEntry): void {
    this.#entries.delete(entry.id);
    this.#entries.set(entry.id, entry);
    if (this.#entries.size <= this.max) return;
    this.#entries.delete(this.#entries.values().next().value!.id);
    this.hasForgotten = true;
  }

  /** Takes over what another relay knows up to a message. */
  restore({ epoch, hasForgotten, entries }: TableSnapshot, seq: number): void {
    this.#epoch = epoch;
    this.#seq = seq;
    this.hasForgotten = hasForgotten;
    for (const entry of entries) this.#add(entry);
  }

  /** What this table knows now. */
  get snapshot(): TableSnapshot {
    const { hasForgotten } = this;
    const entries = Array.from(this.#entries.values(), (entry) => ({ ...entry }));
    return { epoch: this.#epoch, hasForgotten, entries };
  }
}

function newEntry(id: string): TableEntry {
  return {
    id,
    attempt: 0,
    owner: null,
    ownerAttempt: 0,
    next: null,
    taken: 0,
    faulted: 0,
    isExact: true,
    releasedAttempt: 0,
    isKnown: false,
  };
}

function release(entry: TableEntry, isExact: boolean): void {
  entry.isExact = isExact;
  entry.releasedAttempt = entry.ownerAttempt;
  handOver(entry);
}

/** Hands a producer to the relay that is to own it next, if there is one. */
function handOver(entry: TableEntry): void {
  entry.owner = entry.next;
  entry.ownerAttempt = entry.owner === null ? 0 : entry.attempt;
  entry.next = null;
}
