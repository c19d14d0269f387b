/**
 * The holders of a client's patterns, by queue. A pattern is needed as long as it has a holder.
 *
 * @module
 */

import { matches } from "../protocol/pattern.ts";
import { NO_QUEUE } from "../protocol/routing.ts";

/** The holders of patterns, by queue and pattern. */
export class PatternRefs {
  readonly #queues = new Map<string, Map<string, Set<object>>>();

  /** Iterates over the holders of each pattern, by queue. */
  [Symbol.iterator](): MapIterator<[queue: string, ReadonlyMap<string, ReadonlySet<object>>]> {
    return this.#queues.entries();
  }

  /** Whether there is no pattern. */
  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  /** Adds `holder` to patterns. */
  hold(patterns: readonly string[], queue: string, holder: object): void {
    if (patterns.length === 0) return;
    let holders = this.#queues.get(queue);
    if (!holders) this.#queues.set(queue, holders = new Map());
    for (const pattern of patterns) {
      const all = holders.get(pattern);
      if (all) all.add(holder);
      else holders.set(pattern, new Set([holder]));
    }
  }

  /** Removes `holder` from patterns. Returns the patterns without any holder left. */
  letGo(patterns: readonly string[], queue: string, holder: object): string[] {
    const holders = this.#queues.get(queue);
    const free: string[] = [];
    for (const pattern of patterns) {
      const all = holders?.get(pattern);
      if (!all?.delete(holder) || all.size > 0) continue;
      holders!.delete(pattern);
      free.push(pattern);
    }
    if (holders?.size === 0) this.#queues.delete(queue);
    return free;
  }

  /**
   * Removes the holders for which `isMeant` returns `true` from patterns. Returns the patterns
   * without any holder left.
   */
  letGoWhere(
    patterns: readonly string[],
    queue: string,
    isMeant: (holder: object) => boolean,
  ): string[] {
    const holders = this.#queues.get(queue);
    return patterns.flatMap((pattern) =>
      [...holders?.get(pattern) ?? []].filter(isMeant)
        .flatMap((holder) => this.letGo([pattern], queue, holder))
    );
  }

  /** Returns whether a pattern has a holder for which `isMeant` returns `true`. */
  some(
    pattern: string,
    queue: string,
    isMeant: (holder: object) => boolean = () => true,
  ): boolean {
    return this.#queues.get(queue)?.get(pattern)?.values().some(isMeant) ?? false;
  }

  /** Returns the patterns among `patterns` that `holder` holds. */
  held(patterns: readonly string[], queue: string, holder: object): string[] {
    const holders = this.#queues.get(queue);
    return patterns.filter((pattern) => holders?.get(pattern)?.has(holder));
  }

  /** Returns whether events of this name are needed: all of them, or the share of a queue. */
  wants(name: string): boolean {
    return this.#queues.values().some((holders) => anyMatches(holders, name));
  }

  /** Returns whether all events of this name are needed, not only the share of a queue. */
  wantsAll(name: string): boolean {
    const holders = this.#queues.get(NO_QUEUE);
    return holders !== undefined && anyMatches(holders, name);
  }
}

function anyMatches(holders: ReadonlyMap<string, unknown>, name: string): boolean {
  return holders.keys().some((pattern) => matches(pattern, name));
}
