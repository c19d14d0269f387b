/**
 * Chooses the client of a queue group that receives the next event.
 *
 * @module
 */

import type { Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import type { Queue } from "./subscription_table.ts";

/** The clients of a queue that subscribe to one name, each in a group of its own. */
export class RoundRobin<R extends Recipient> {
  readonly queue: Queue;
  readonly #groups: readonly SubscriberGroup<R>[];
  #next: number;

  /** Creates a rotation that starts with client number `first`, modulo the number of clients. */
  constructor(queue: Queue, groups: readonly SubscriberGroup<R>[], first: number) {
    this.queue = queue;
    this.#groups = groups;
    this.#next = first % groups.length;
  }

  /** The number of the next client. */
  get next(): number {
    return this.#next;
  }

  /** The first client. */
  get first(): SubscriberGroup<R> {
    return this.#groups[0]!;
  }

  /** Returns whether `test` returns true for every client. */
  every(test: (group: SubscriberGroup<R>) => boolean): boolean {
    return this.#groups.every(test);
  }

  /** Number of clients that take turns. */
  get length(): number {
    return this.#groups.length;
  }

  /**
   * Returns the next client with an empty send queue. If no queue is empty, returns the client with
   * the fewest pending bytes. Returns `null` if no open client remains.
   *
   * @param left The group that must not receive the event, or `null`.
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
      // Gathered events count only for clients with a backlog, because they are flushed within
      // moments.
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
