/**
 * Owns whose turn it is: which of the clients of a queue gets an event. Must not know what is in it.
 *
 * @module
 */

import type { Audience, Recipient } from "./audience.ts";
import type { Queue } from "./audiences.ts";

/** The clients of a queue that hear one name, each an audience of its own. */
export class Turns<R extends Recipient> {
  readonly queue: Queue;
  readonly #audiences: readonly Audience<R>[];
  #next: number;

  /** Makes one that begins with client number `first`, counted round and round. */
  constructor(queue: Queue, audiences: readonly Audience<R>[], first: number) {
    this.queue = queue;
    this.#audiences = audiences;
    this.#next = first % audiences.length;
  }

  /** Which client is the next, by its number. */
  get next(): number {
    return this.#next;
  }

  /** The first client. */
  get first(): Audience<R> {
    return this.#audiences[0]!;
  }

  /** Whether something holds for every client. */
  every(test: (audience: Audience<R>) => boolean): boolean {
    return this.#audiences.every(test);
  }

  /** How many clients take turns. */
  get length(): number {
    return this.#audiences.length;
  }

  /**
   * The next client for which nothing waits, or if something does for each, the one with the least;
   * `null` if none is left beside that of the audience `left`.
   */
  take(left: Audience<R> | null): Audience<R> | null {
    const audiences = this.#audiences;
    const count = audiences.length;
    let best = -1;
    let least = Infinity;
    for (let k = 0, i = this.#next; k < count; k++, i = i + 1 < count ? i + 1 : 0) {
      const audience = audiences[i]!;
      if (audience === left) continue;
      const { recipient } = audience.members.values().next().value!;
      if (!recipient.open) continue;
      const waiting = recipient.pendingBytes;
      // What the relay keeps for it counts only between those that are behind: it is gone in no time.
      if (waiting > 0 && waiting + audience.size >= least) continue;
      best = i;
      if (waiting === 0) break;
      least = waiting + audience.size;
    }
    if (best < 0) return null;
    this.#next = best + 1 < count ? best + 1 : 0;
    return audiences[best]!;
  }
}
