/**
 * Counts events by their names, in bounded memory.
 *
 * @module
 */

import { TextMap } from "../protocol/text_map.ts";
import type { KeptBlock } from "./kept_block.ts";

/** Number of names that stay when there are twice as many: the most frequent ones so far. */
const MAX_NAMES = 50_000;

/** The events of a name. */
export interface NameCount {
  readonly name: string;
  readonly events: number;
}

/** Counts events by their names. */
export class NameCounts {
  /** Events of names that were too rare to be counted any longer. */
  others = 0;

  #counts = new TextMap<number>();
  readonly #maxNames: number;

  /** Creates counters without events. */
  constructor(maxNames: number = MAX_NAMES) {
    this.#maxNames = maxNames;
  }

  /** The number of names that are counted. */
  get size(): number {
    return this.#counts.size;
  }

  /** Counts the events of a block. */
  add(block: KeptBlock): void {
    for (let line = 0; line < block.count; line++) {
      const name = block.names[block.nameOf(line)]!;
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    }
    if (this.#counts.size >= 2 * this.#maxNames) this.#drop();
  }

  /** Returns the most frequent names. If there are {@link others}, each may have some more events. */
  top(count: number): NameCount[] {
    const all = Array.from(this.#counts, ([name, events]) => ({ name, events }));
    return all.sort((a, b) => b.events - a.events || (a.name < b.name ? -1 : 1)).slice(0, count);
  }

  #drop(): void {
    const kept = new TextMap<number>();
    let events = 0;
    for (const each of this.top(this.#maxNames)) {
      kept.set(each.name, each.events);
      events += each.events;
    }
    for (const count of this.#counts.values()) this.others += count;
    this.others -= events;
    this.#counts = kept;
  }
}
