/**
 * Owns whose turn it is: which of the clients of a queue gets an event. Must not know what is in it.
 *
 * @module
 */

import type { Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import type { Queue } from "./subscription_table.ts";

/** The clients of a queue that hear one name, each an group of its own. */
export class RoundRobin<R extends Recipient> {
  readonly queue: Queue;
  readonly #groups: readonly SubscriberGroup<R>[];
  #next: number;

  /** Makes one that begins with client number `first`, counted round and round. */
  constructor(queue: Queue, groups: readonly SubscriberGroup<R>[], first: number) {
    this.queue = queue;
    this.#groups = groups;
    this.#next = first % groups.length;
  }

  /** Which client is the next, by its number. */
  get next(): number {
    return this.#next;
  }

  /** The first client. */
  get first(): SubscriberGroup<R> {
    return this.#groups[0]!;
  }

  /** Whether something holds for every client. */
  every(test: (group: SubscriberGroup<R>) => boolean): boolean {
    return this.#groups.every(test);
  }

  /** How many clients take turns. */
  get length(): number {
    return this.#groups.length;
  }

  /**
   * The next client for which nothing waits, or if something does for each, the one with the least;
   * `null` if none is left beside that of the group `left`.
   */
  take(left: SubscriberGroup<R> | null): SubscriberGroup<R> | null {
    const groups = this.#groups;
    const count = groups.length;
    let best = -1;
    let least = Infinity;
    for (let k = 0, i = this.#next; k < count; k++, i = i + 1 < count ? i + 1 : 0) {
      const group = groups[i]!;
      if (group === left) continue;
      const { recipient } = group.members.values().next().value!;
      if (!recipient.open) continue;
      const waiting = recipient.pendingBytes;
      // What the relay keeps for it counts only between those that are behind: it is gone in no time.
      if (waiting > 0 && waiting + group.size >= least) continue;
      best = i;
      if (waiting === 0) break;
      least = waiting + group.size;
    }
    if (best < 0) return null;
    this.#next = best + 1 < count ? best + 1 : 0;
    return groups[best]!;
  }
}
