/**
 * Owns who holds which patterns of one client, with which queue: a pattern is wanted for as long as
 * somebody holds it. Must not know who that is, or who is told what is wanted.
 *
 * @module
 */

import { matches } from "../protocol/pattern.ts";
import { NO_QUEUE } from "../protocol/routing.ts";

/** The holders of patterns, by queue and pattern. */
export class PatternRefs {
  readonly #queues = new Map<string, Map<string, Set<object>>>();

  /** The holders of each pattern, by queue. */
  [Symbol.iterator](): MapIterator<[queue: string, ReadonlyMap<string, ReadonlySet<object>>]> {
    return this.#queues.entries();
  }

  /** Whether nobody holds any. */
  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  /** Notes that `holder` holds patterns. */
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

  /** Notes that `holder` holds patterns no longer; gives those that nobody holds now. */
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

  /** Notes that those holders hold patterns no longer for which `isMeant` holds; gives what is free now. */
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

  /** Whether a pattern has a holder for which `isMeant` holds. */
  some(
    pattern: string,
    queue: string,
    isMeant: (holder: object) => boolean = () => true,
  ): boolean {
    return this.#queues.get(queue)?.get(pattern)?.values().some(isMeant) ?? false;
  }

  /** Which of the patterns `holder` holds. */
  held(patterns: readonly string[], queue: string, holder: object): string[] {
    const holders = this.#queues.get(queue);
    return patterns.filter((pattern) => holders?.get(pattern)?.has(holder));
  }

  /** Whether an event of this name is wanted, if only a share of such events. */
  wants(name: string): boolean {
    return this.#queues.values().some((holders) => anyMatches(holders, name));
  }

  /** Whether all events of this name are wanted, and not only the share of a queue. */
  wantsAll(name: string): boolean {
    const holders = this.#queues.get(NO_QUEUE);
    return holders !== undefined && anyMatches(holders, name);
  }
}

function anyMatches(holders: ReadonlyMap<string, unknown>, name: string): boolean {
  return holders.keys().some((pattern) => matches(pattern, name));
}
