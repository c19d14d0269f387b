/**
 * The last event of each name, for readers that want the present state and not how it came about.
 *
 * @module
 */

import { TextMap } from "../protocol/text_map.ts";
import type { NameFilter } from "./name_filter.ts";

/** Maximum number of names, and of bytes of their events. */
const MAX_NAMES = 100_000;
const MAX_BYTES = 67_108_864;

/** The last event of a name. */
export interface LastValue {
  readonly name: string;
  readonly offset: number;
  /** The event as a line with its `\n`. */
  readonly line: Uint8Array;
  readonly sender: number;
}

/** The last events of names. */
export class LastValues {
  /** The number of events that were not kept here, because there was no room. */
  refused = 0;

  /** In the order of offsets. */
  #values = new TextMap<LastValue>();
  #bytes = 0;

  /** Has the events of another instance from now on. */
  restore(other: LastValues): void {
    this.#values = other.#values;
    this.#bytes = other.#bytes;
  }

  /** Returns those up to an offset. */
  upTo(offset: number): LastValues {
    const values = new LastValues();
    for (const value of this.#values.values()) if (value.offset <= offset) values.set(value);
    return values;
  }

  /** Iterates over the events, in the order of their offsets. */
  [Symbol.iterator](): IterableIterator<LastValue> {
    return this.#values.values();
  }

  /** Size of the events, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The number of names. */
  get size(): number {
    return this.#values.size;
  }

  /** Returns the last event of a name. */
  get(name: string): LastValue | undefined {
    return this.#values.get(name);
  }

  /** Keeps an event, which has a greater offset than all before it. */
  set(value: LastValue): void {
    const { name, line } = value;
    const before = this.#values.get(name);
    if (before) {
      this.#values.delete(name); // The order is that in which names are added.
      this.#bytes -= before.line.length;
    }
    const fits = this.#values.size < MAX_NAMES && this.#bytes + line.length <= MAX_BYTES;
    if (!fits) return void this.refused++;
    this.#values.set(name, value);
    this.#bytes += line.length;
  }

  /**
   * Yields the events up to the offset `to` whose names match, in the order of their offsets, and
   * `null` for each other one. Skips those that get a later event meanwhile.
   */
  *matching(filter: NameFilter, to: number): Generator<LastValue | null> {
    for (const value of this.#values.values()) {
      if (value.offset > to) return;
      yield filter.matches(value.name) ? value : null;
    }
  }
}
