/**
 * The producers of a history: clients whose events are counted over all their connections, so that
 * one that comes back learns which of them have been taken.
 *
 * @module
 */

import type { ProducerAnswer, ProducerClaim } from "../protocol/producer.ts";
import { TextMap } from "../protocol/text_map.ts";

/**
 * Maximum number of producers that are known after a restart of the relay, and of others that are known
 * after their clients have left.
 */
export const MAX_PRODUCERS = 10_000;

/** What is known of a producer, as a log keeps it. */
export interface ProducerCount {
  readonly id: string;
  /** The number of its events that were taken. */
  readonly taken: number;
  /** The number of its last event that was taken but not kept as it should be, or 0. */
  readonly faulted: number;
}

/** The log of a producer's events, as far as it matters for an answer. */
export interface AnsweringLog {
  readonly epoch: string;
  throughOf(epoch: string): number | undefined;
}

/** A producer. Its events are numbered from 1, over all its connections. */
export class Producer {
  readonly id: string;
  taken = 0;
  /**
   * The number of the last event that was refused, or could not be kept, or 0. What has become of it
   * can no longer be told.
   */
  faulted = 0;
  /** Whether none after {@link taken} was taken. After a crash, some may be that are not kept. */
  isExact = true;
  /** The offset of its last event that was added to the log since the relay has started, or 0. */
  offset = 0;
  /** The number of its last event that was written to a file, or 0. */
  written = 0;
  /** The greatest number of an attempt to connect. */
  attempt = 0;
  /** Whether something is known of it: it was answered, or has sent events. */
  isKnown = false;
  /** Whether it is known after a restart of the relay. */
  isListed = false;

  constructor(id: string) {
    this.id = id;
  }

  /** Notes that its last event was not kept as it should be. */
  fault(): void {
    this.faulted = Math.max(this.faulted, this.taken);
  }

  /**
   * Answers its client, and takes over its numbers. The answer may be lost on its way, and the client
   * ask again.
   *
   * @param hasForgotten Whether producers were forgotten that had sent events.
   */
  answer(
    { sent, settled, epoch = "" }: ProducerClaim,
    log: AnsweringLog,
    hasForgotten: boolean,
  ): ProducerAnswer {
    const { taken, isKnown } = this;
    this.isKnown = true;
    if (taken > sent) this.fault(); // Two clients have this ID.
    if (settled === sent) {
      this.taken = sent;
      this.isExact = true;
      return { taken: sent, exact: true };
    }
    const isContinued = log.throughOf(epoch) !== undefined;
    const canTell = isContinued && taken <= sent && this.faulted <= settled &&
      (isKnown || !hasForgotten);
    this.taken = canTell ? Math.max(taken, settled) : sent;
    if (!isKnown) this.isExact = epoch === log.epoch;
    if (canTell) return { taken: this.taken, exact: this.isExact };
    this.fault();
    return { taken: null, exact: false };
  }
}

/** The producers of one history. */
export class Producers implements Iterable<Producer> {
  /** Whether a producer was forgotten that had sent events. */
  hasForgotten = false;
  readonly #max: number;
  /** Those of clients that are connected. */
  readonly #connected = new TextMap<Producer>();
  /** Those that have sent events, the latest last. */
  readonly #listed = new TextMap<Producer>();
  /** Others whose clients have left, the latest last. */
  readonly #others = new TextMap<Producer>();

  /** Creates a table without producers, for at most `max` that have sent events. */
  constructor(max: number = MAX_PRODUCERS) {
    this.#max = max;
  }

  /** The number of producers that are known after a restart of the relay. */
  get size(): number {
    return this.#listed.size;
  }

  /** Returns the producer of a client that connects, or `null` if it has connected again since. */
  connect({ id, attempt }: ProducerClaim): Producer | null {
    const known = this.#connected.get(id) ?? this.#listed.get(id) ?? this.#others.get(id);
    const producer = known ?? new Producer(id);
    if (attempt <= producer.attempt) return null;
    producer.attempt = attempt;
    this.#connected.set(id, producer);
    this.#others.delete(id);
    if (producer.isListed) this.#list(producer);
    return producer;
  }

  /** Notes that the client of a producer has left. */
  disconnect(producer: Producer): void {
    this.#connected.delete(producer.id);
    if (!producer.isListed) this.#keepOther(producer);
  }

  #keepOther(producer: Producer): void {
    this.#others.set(producer.id, producer);
    if (this.#others.size > MAX_PRODUCERS) this.#forget(this.#others.values().next().value!);
  }

  #forget({ id, taken }: Producer): void {
    this.#others.delete(id);
    this.hasForgotten ||= taken > 0;
  }

  /** Notes that events after an offset are not kept, although they were added to the log. */
  fail(offset: number): void {
    const all = [this.#connected, this.#listed, this.#others].flatMap((map) => [...map.values()]);
    for (const producer of new Set(all)) {
      if (producer.offset > offset) producer.fault();
      producer.offset = Math.min(producer.offset, offset);
    }
  }

  /** Counts events of a producer that were taken. */
  take(producer: Producer, count: number): void {
    producer.taken += count;
    producer.isExact = producer.isKnown = true;
    if (!producer.isListed) this.#list(producer);
  }

  /** Adds a producer as the latest, and no longer lists the oldest if there are too many. */
  #list(producer: Producer): void {
    this.#listed.delete(producer.id);
    this.#listed.set(producer.id, producer);
    producer.isListed = true;
    if (this.#listed.size <= this.#max) return;
    const oldest = this.#listed.values().next().value!;
    this.#listed.delete(oldest.id);
    oldest.isListed = false;
    this.hasForgotten = true; // after a restart
    if (!this.#connected.has(oldest.id)) this.#keepOther(oldest);
  }

  /**
   * Adds what a file says. What it says later counts.
   *
   * @param isExact Whether no other event of them was taken.
   */
  restore(
    { counts, hasForgotten }: { counts: Iterable<ProducerCount>; hasForgotten: boolean },
    isExact: boolean,
  ): void {
    this.hasForgotten ||= hasForgotten;
    for (const { id, taken, faulted } of counts) {
      const producer = this.#listed.get(id) ?? new Producer(id);
      producer.taken = producer.written = taken;
      producer.faulted = faulted;
      producer.isExact = isExact;
      producer.isKnown = true;
      this.#list(producer);
    }
  }

  /** Iterates over the producers that are known after a restart of the relay. */
  [Symbol.iterator](): MapIterator<Producer> {
    return this.#listed.values();
  }
}
