/**
 * The producers of a history: clients whose events are counted over all their connections, so that
 * one that comes back learns which of them have been taken.
 *
 * @module
 */

import type { ProducerAnswer, ProducerClaim } from "../protocol/producer.ts";
import { TextMap } from "../protocol/text_map.ts";

/** Maximum number of producers that are known while they are not connected. */
export const MAX_PRODUCERS = 10_000;

/** What is known of a producer, as a log keeps it. */
export interface ProducerCount {
  readonly id: string;
  /** The number of its events that were taken. */
  readonly taken: number;
  /** The number of its last event that was taken but not kept as it should be, or 0. */
  readonly faulted: number;
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
  /** Whether none after {@link taken} was taken. Events that are not kept may be, before a crash. */
  isExact = true;
  /** The offset of its last event that was added to the log since the relay has started, or 0. */
  offset = 0;
  /** The number of its last event that was written to a file, or 0. */
  written = 0;
  /** Whether it is known after its client has left. */
  isListed = false;

  constructor(id: string) {
    this.id = id;
  }

  /** Notes that its last event was not kept as it should be. */
  fault(): void {
    this.faulted = this.taken;
  }
}

/** The producers of one history. */
export class Producers implements Iterable<Producer> {
  readonly #max: number;
  /** Whether one was forgotten because there were too many. */
  hasForgotten = false;
  /** Those of clients that are connected. */
  readonly #connected = new TextMap<Producer>();
  /** Those that have sent events, the latest last. */
  readonly #listed = new TextMap<Producer>();

  /** Creates a table without producers, for at most `max` that are not connected. */
  constructor(max: number = MAX_PRODUCERS) {
    this.#max = max;
  }

  /** The number of producers that are known after their clients have left. */
  get size(): number {
    return this.#listed.size;
  }

  /** Returns the producer of a client that connects. */
  connect(id: string): Producer {
    const producer = this.#connected.get(id) ?? this.#listed.get(id) ?? new Producer(id);
    this.#connected.set(id, producer);
    if (producer.isListed) this.#list(producer);
    return producer;
  }

  /**
   * Answers the client of a producer. From then on, both agree on the numbers of events. The answer may
   * be lost on its way, and the client ask again.
   *
   * @param isContinued Whether the log goes on with the epoch that the client names, and whether that is
   * the present one.
   */
  answer(
    producer: Producer,
    { sent, settled }: ProducerClaim,
    isContinued: boolean,
    isPresent: boolean,
  ): ProducerAnswer {
    const { taken, faulted, isExact, isListed } = producer;
    if (taken > sent) producer.fault();
    if (settled === sent) {
      producer.taken = sent;
      return { taken: sent, exact: true };
    }
    const isKnown = isContinued && taken <= sent && faulted <= settled &&
      (isListed || !this.hasForgotten);
    producer.taken = isKnown ? Math.max(taken, settled) : sent;
    if (isKnown) return { taken: producer.taken, exact: isListed ? isExact : isPresent };
    producer.fault();
    return { taken: null, exact: false };
  }

  /** Notes that the client of a producer has left. */
  disconnect({ id }: Producer): void {
    this.#connected.delete(id);
  }

  /** Notes that events after an offset are not kept, although they were added to the log. */
  fail(offset: number): void {
    for (const producer of new Set([...this.#connected.values(), ...this])) {
      if (producer.offset > offset) producer.fault();
      producer.offset = Math.min(producer.offset, offset);
    }
  }

  /** Counts events of a producer that were taken. */
  take(producer: Producer, count: number): void {
    producer.taken += count;
    producer.isExact = true;
    if (!producer.isListed) this.#list(producer);
  }

  /** Adds a producer as the latest, and forgets the oldest if there are too many. */
  #list(producer: Producer): void {
    this.#listed.delete(producer.id);
    this.#listed.set(producer.id, producer);
    producer.isListed = true;
    if (this.#listed.size <= this.#max) return;
    const [oldest] = this.#listed.values();
    this.#listed.delete(oldest!.id);
    oldest!.isListed = false;
    this.hasForgotten = true;
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
      this.#list(producer);
    }
  }

  /** Iterates over the producers that are known after their clients have left. */
  [Symbol.iterator](): MapIterator<Producer> {
    return this.#listed.values();
  }
}
