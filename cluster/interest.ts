/**
 * The interest of this relay: each pattern that its clients hear once, however many they are, and the
 * number of clients for each pattern of a queue.
 *
 * @module
 */

import { encodeInterest } from "../protocol/cluster.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import { TextMap } from "../protocol/text_map.ts";
import { byteLength } from "../protocol/utf8.ts";

/** Size that a line exceeds by one pattern at most, in bytes. */
const LINE_BYTES = 65_536;

/** How many clients hear a pattern: now, and as of the last version. */
export interface Count {
  readonly pattern: string;
  readonly queue: string;
  now: number;
  sent: number;
}

/** The interest of one relay. */
export class Interest {
  /** The number of the last version. The other relays are told of a version, not of each change. */
  version = 0;
  /** The counts by queue and pattern. */
  readonly #counts = new TextMap<TextMap<Count>>();
  readonly #changed = new Set<Count>();
  #isRetired = false;

  /** Notes that more clients, or fewer, hear a pattern, or share it as members of a queue. */
  change(pattern: string, queue: string, by: number): void {
    let patterns = this.#counts.get(queue);
    if (!patterns) this.#counts.set(queue, patterns = new TextMap());
    let count = patterns.get(pattern);
    if (!count) patterns.set(pattern, count = { pattern, queue, now: 0, sent: 0 });
    count.now += by;
    if (this.#isSent(count)) this.#changed.delete(count);
    else this.#changed.add(count);
    if (count.now === 0 && count.sent === 0) this.#forget(count);
  }

  #forget({ pattern, queue }: Count): void {
    const patterns = this.#counts.get(queue)!;
    patterns.delete(pattern);
    if (patterns.size === 0) this.#counts.delete(queue);
  }

  /** Whether the other relays know all that they need to know about a pattern. */
  #isSent({ queue, now, sent }: Count): boolean {
    if (queue === NO_QUEUE) return now > 0 === sent > 0;
    return sent === (this.#isRetired ? 0 : now);
  }

  /** Has no members of queues any more. */
  retire(): void {
    this.#isRetired = true;
    for (const [queue, patterns] of this.#counts) {
      if (queue === NO_QUEUE) continue;
      for (const count of patterns.values()) if (count.sent > 0) this.#changed.add(count);
    }
  }

  /** Whether there are changes since the last version. */
  get isChanged(): boolean {
    return this.#changed.size > 0;
  }

  /** Returns all that has changed since the last version, which makes a new one. */
  takeChanges(): readonly Count[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    if (changed.length > 0) this.version++;
    for (const count of changed) {
      count.sent = this.#isRetired && count.queue !== NO_QUEUE ? 0 : count.now;
      if (count.now === 0) this.#forget(count);
    }
    return changed;
  }

  /** Iterates over all patterns. Those that are added meanwhile may be among them. */
  *[Symbol.iterator](): Generator<Count> {
    for (const [, patterns] of this.#counts) yield* patterns.values();
  }
}

/** What one other relay has still to be told. */
export class InterestFeed {
  readonly #interest: Interest;
  /** The patterns of which the other relay has not been told, until it knows of all. */
  #all: Iterator<Count> | null;
  /** The patterns that have changed since it was told, by {@link keyOf}. */
  readonly #changed = new Map<string, Count>();

  /** Starts with everything, for a relay that knows nothing. */
  constructor(interest: Interest) {
    this.#interest = interest;
    this.#all = interest[Symbol.iterator]();
  }

  /** Adds changes. */
  add(changes: readonly Count[]): void {
    for (const count of changes) this.#changed.set(keyOf(count), count);
  }

  /** Whether there is nothing to tell. */
  get isEmpty(): boolean {
    return this.#all === null && this.#changed.size === 0;
  }

  /**
   * Returns the next line, or `null` if there is none. The last one for now has the number of the
   * version, because the other relay then knows of everything.
   */
  next(): Uint8Array | null {
    if (this.isEmpty) return null;
    const wasWhole = this.#all === null;
    const counts = this.#take();
    const plain = counts.filter(({ queue }) => queue === NO_QUEUE);
    return encodeInterest({
      version: this.isEmpty ? this.#interest.version : 0,
      add: plain.filter(({ sent }) => sent > 0).map(({ pattern }) => pattern),
      drop: plain.filter(({ sent }) => sent === 0).map(({ pattern }) => pattern),
      queues: counts.filter(({ queue }) => queue !== NO_QUEUE)
        .map(({ queue, pattern, sent }) => [queue, pattern, sent] as const),
      isWhole: !wasWhole && this.#all === null,
    });
  }

  /**
   * Takes the patterns of one line: first those that have changed. Those that are heard no more come
   * after the others, because a client may have exchanged the ones for the others.
   */
  #take(): Count[] {
    const counts: Count[] = [];
    let bytes = 0;
    for (const isHeard of [true, false]) {
      for (const [key, count] of this.#changed) {
        if (count.sent > 0 !== isHeard) continue;
        if (bytes >= LINE_BYTES) return counts;
        this.#changed.delete(key);
        counts.push(count);
        bytes += byteLength(key);
      }
    }
    while (this.#all && bytes < LINE_BYTES) {
      const { value, done } = this.#all.next();
      if (done) this.#all = null;
      else if (value.sent > 0) {
        counts.push(value);
        bytes += byteLength(keyOf(value));
      }
    }
    return counts;
  }
}

/** Identifies a pattern, in about as many bytes as it takes in a line. */
function keyOf({ pattern, queue }: Count): string {
  return JSON.stringify([queue, pattern]);
}
