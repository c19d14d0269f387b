/**
 * The owners of a client's patterns, by queue. A pattern is needed as long as it has an owner.
 *
 * @module
 */

import { matches } from "../protocol/pattern.ts";
import { NO_QUEUE } from "../protocol/names.ts";

/** The owners of patterns, by queue and pattern. */
export class PatternRefs {
  readonly #queues = new Map<string, Map<string, Set<object>>>();

  /** Iterates over the owners of each pattern, by queue. */
  [Symbol.iterator](): MapIterator<[queue: string, ReadonlyMap<string, ReadonlySet<object>>]> {
    return this.#queues.entries();
  }

  /** Whether there is no pattern. */
  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  /** Adds `owner` to patterns. */
  add(patterns: readonly string[], queue: string, owner: object): void {
    if (patterns.length === 0) return;
    let owners = this.#queues.get(queue);
    if (!owners) this.#queues.set(queue, owners = new Map());
    for (const pattern of patterns) {
      const all = owners.get(pattern);
      if (all) all.add(owner);
      else owners.set(pattern, new Set([owner]));
    }
  }

  /** Removes `owner` from patterns. Returns the patterns without any owner left. */
  release(patterns: readonly string[], queue: string, owner: object): string[] {
    const owners = this.#queues.get(queue);
    const free: string[] = [];
    for (const pattern of patterns) {
      const all = owners?.get(pattern);
      if (!all?.delete(owner) || all.size > 0) continue;
      owners!.delete(pattern);
      free.push(pattern);
    }
    if (owners?.size === 0) this.#queues.delete(queue);
    return free;
  }

  /**
   * Removes the owners for which `isMeant` returns `true` from patterns. Returns the patterns
   * without any owner left.
   */
  releaseWhere(
    patterns: readonly string[],
    queue: string,
    isMeant: (owner: object) => boolean,
  ): string[] {
    const owners = this.#queues.get(queue);
    return patterns.flatMap((pattern) =>
      [...owners?.get(pattern) ?? []].filter(isMeant)
        .flatMap((owner) => this.release([pattern], queue, owner))
    );
  }

  /** Returns whether a pattern has an owner for which `isMeant` returns `true`. */
  some(pattern: string, queue: string, isMeant: (owner: object) => boolean = () => true): boolean {
    return this.#queues.get(queue)?.get(pattern)?.values().some(isMeant) ?? false;
  }

  /** Returns the patterns among `patterns` that `owner` owns. */
  ownedBy(owner: object, patterns: readonly string[], queue: string): string[] {
    const owners = this.#queues.get(queue);
    return patterns.filter((pattern) => owners?.get(pattern)?.has(owner));
  }

  /** Returns whether events of this name are needed: all of them, or the share of a queue. */
  matches(name: string): boolean {
    return this.#queues.values().some((owners) => anyMatches(owners, name));
  }

  /** Returns whether all events of this name are needed, not only the share of a queue. */
  matchesWithoutQueue(name: string): boolean {
    const owners = this.#queues.get(NO_QUEUE);
    return owners !== undefined && anyMatches(owners, name);
  }
}

function anyMatches(owners: ReadonlyMap<string, unknown>, name: string): boolean {
  return owners.keys().some((pattern) => matches(pattern, name));
}
