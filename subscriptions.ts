/**
 * Owns what one client has asked to hear, and what it may not ask for. Must not know who else has
 * asked for what, or what is done about it.
 *
 * @module
 */

import { faultOfPattern, REST } from "./pattern.ts";
import { NO_QUEUE, type Refusal, type SubscriptionRequest } from "./routing.ts";
import { hashText } from "./seeded_hash.ts";

/** How many subscriptions a client may have by default. */
export const DEFAULT_MAX_SUBSCRIPTIONS = 1000;

/** In how many queues a client may be: each takes time whenever an event has a name that is new. */
export const MAX_QUEUES = 32;

/** Patterns by queue; those of no queue by the empty string, which is the name of none. */
type Patterns = ReadonlyMap<string, ReadonlySet<string>>;

const NO_PATTERNS: ReadonlySet<string> = new Set();

/**
 * The subscriptions of a client: pairs of a pattern and a queue, or none. Never changes, so that many
 * clients can share one.
 */
export class Subscriptions {
  /** Those of a client that has not asked for anything yet: it hears everything. */
  static readonly NONE_YET: Subscriptions = new Subscriptions(false, new Map(), 0, 0);

  /** Whether the client has asked for anything, and hears only that. */
  readonly isNarrowed: boolean;
  /** How many pairs there are. */
  readonly size: number;
  /** The same number for the same pairs; hardly ever the same for others. */
  readonly fingerprint: number;
  readonly #patterns: Patterns;

  private constructor(isNarrowed: boolean, patterns: Patterns, size: number, fingerprint: number) {
    this.isNarrowed = isNarrowed;
    this.#patterns = patterns;
    this.size = size;
    this.fingerprint = fingerprint;
  }

  /** How many queues there are, of which one client, and not everyone, gets an event. */
  get queues(): number {
    return this.#patterns.size - (this.#patterns.has(NO_QUEUE) ? 1 : 0);
  }

  /** Whether the client gets all events itself, whatever else it has asked for. */
  get coversAll(): boolean {
    return !this.isNarrowed || this.has(REST, NO_QUEUE);
  }

  /** Whether a pair is there. */
  has(pattern: string, queue: string): boolean {
    return this.#patterns.get(queue)?.has(pattern) ?? false;
  }

  /** The pairs. */
  *[Symbol.iterator](): Generator<[pattern: string, queue: string]> {
    for (const [queue, patterns] of this.#patterns) {
      for (const pattern of patterns) yield [pattern, queue];
    }
  }

  /** The pairs that others do not have. */
  *without(others: Subscriptions): Generator<[pattern: string, queue: string]> {
    for (const [queue, patterns] of this.#patterns) {
      const common = others.#patterns.get(queue) ?? NO_PATTERNS;
      if (patterns === common) continue;
      for (const pattern of patterns.difference(common)) yield [pattern, queue];
    }
  }

  /** What it is after a client's wish: pairs that are asked for twice, or are not there, do not count. */
  after({ control, events, queue = NO_QUEUE }: SubscriptionRequest): Subscriptions {
    const isAdding = control === "subscribe";
    const changed = new Set(this.#patterns.get(queue));
    let { size, fingerprint } = this;
    for (const pattern of events) {
      if (isAdding === changed.has(pattern)) continue;
      if (isAdding) changed.add(pattern);
      else changed.delete(pattern);
      size += isAdding ? 1 : -1;
      fingerprint ^= hashText(pattern, hashText(queue));
    }
    const patterns = new Map(this.#patterns);
    if (changed.size > 0) patterns.set(queue, changed);
    else patterns.delete(queue);
    return new Subscriptions(this.isNarrowed || isAdding, patterns, size, fingerprint);
  }

  /** Whether the pairs are the same. */
  equals(other: Subscriptions): boolean {
    if (this === other) return true;
    if (this.isNarrowed !== other.isNarrowed || this.size !== other.size) return false;
    if (this.fingerprint !== other.fingerprint) return false;
    for (const [pattern, queue] of this) if (!other.has(pattern, queue)) return false;
    return true;
  }
}

/** Why a client's wish is not granted, or `null`. What is to be removed may be anything. */
export function refusalOf(
  { control, events, id }: SubscriptionRequest,
  after: Subscriptions,
  maxSubscriptions: number,
): Refusal | null {
  if (control === "unsubscribe") return null;
  const name = id === undefined ? {} : { id };
  for (const pattern of events) {
    const fault = faultOfPattern(pattern);
    if (fault) return { ...name, reason: "bad-pattern", detail: fault };
  }
  const reason = "too-many-subscriptions";
  if (after.size > maxSubscriptions) {
    const detail = `a client may have ${maxSubscriptions}, this would make ${after.size}`;
    return { ...name, reason, detail };
  }
  if (after.queues <= MAX_QUEUES) return null;
  const detail = `a client may be in ${MAX_QUEUES} queues, this would make ${after.queues}`;
  return { ...name, reason, detail };
}
