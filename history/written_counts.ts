/**
 * How many events of each producer are in the files of a log: the lines that say so, written together
 * with the events.
 *
 * @module
 */

import type { Producer, Producers } from "./producers.ts";
import { encodeProducers } from "./segment_format.ts";

/** Events of a producer in a row that are not written yet. */
interface Count {
  readonly producer: Producer;
  /** The offset of the first and of the last one. */
  readonly first: number;
  last: number;
  /** The number of the last one among all events of the producer. */
  taken: number;
}

/** The counts of the producers in the files of a log. */
export class WrittenCounts {
  readonly #producers: Producers;
  /** Whose events are not written yet, in the order of the offsets. */
  #waiting: Count[] = [];

  constructor(producers: Producers) {
    this.#producers = producers;
  }

  /**
   * Notes whose events were added last.
   *
   * @param count The number of these events.
   * @param taken The number of the last of them among all events of the producer.
   * @param last The offset of the last of them.
   */
  add(producer: Producer, count: number, taken: number, last: number): void {
    const first = last - count + 1;
    producer.offset = last;
    const before = this.#waiting.at(-1);
    const isNext = before?.producer === producer && before.last + 1 === first &&
      before.taken + count === taken;
    if (!isNext) return void this.#waiting.push({ producer, first, last, taken });
    before.last = last;
    before.taken = taken;
  }

  /** Returns the line about the producers of the events up to an offset, which are about to be written. */
  take(to: number): Uint8Array {
    const producers = new Set<Producer>();
    let done = 0;
    for (const { producer, first, last, taken } of this.#waiting) {
      if (first > to) break;
      producers.add(producer);
      producer.written = taken - Math.max(0, last - to);
      if (last <= to) done++;
    }
    if (done > 0) this.#waiting.splice(0, done);
    return this.#encode(producers);
  }

  /** Returns the line about all producers. */
  all(): Uint8Array {
    return this.#encode(this.#producers);
  }

  /**
   * Returns the line for the end of the log, when everything is written: about the producers of which
   * all is known. What they have sent and the log does not keep counts now, too.
   */
  final(): Uint8Array {
    const exact = Iterator.from(this.#producers).filter(({ isExact }) => isExact).toArray();
    for (const producer of exact) producer.written = producer.taken;
    return this.#encode(exact);
  }

  /** Forgets the events that are not written. */
  forget(): void {
    this.#waiting = [];
  }

  #encode(producers: Iterable<Producer>): Uint8Array {
    const counts = Array.from(producers, ({ id, written, faulted }) => {
      return { id, taken: written, faulted };
    });
    const { hasForgotten } = this.#producers;
    return encodeProducers(counts.filter(({ taken }) => taken > 0), hasForgotten);
  }
}
