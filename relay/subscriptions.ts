/**
 * Owns what one client has asked to hear, and what it may not ask for. Must not know who else has
 * asked for what, or what is done about it.
 *
 * @module
 */

import { faultOfPattern, REST } from "../protocol/pattern.ts";
import { NO_QUEUE, type Refusal, type SubscriptionRequest } from "../protocol/routing.ts";
import { hashText } from "../protocol/seeded_hash.ts";
import { placesOf, shapeOf } from "./shapes.ts";
import { TextMap, TextSet } from "../protocol/text_map.ts";

/** How many subscriptions a client may have by default. */
export const DEFAULT_MAX_SUBSCRIPTIONS = 1000;

/** How many all clients may have by default together; those that hear the same count once. */
export const DEFAULT_MAX_TOTAL_SUBSCRIPTIONS = 200_000;

/** In how many queues a client may be: each takes time whenever an event has a name that is new. */
export const MAX_QUEUES = 32;

/**
 * In how many places of its patterns a client may have a wildcard, each queue by itself: a look-up may
 * have to go to each of them. The patterns that people write have a handful of shapes.
 */
export const MAX_WILDCARD_PLACES = 32;

/** The patterns that a client has with one queue, or with none. */
interface Part {
  readonly patterns: TextSet;
  /** How many of them have each shape with a wildcard. */
  readonly shapes: ReadonlyMap<string, number>;
  /** In how many places they have a wildcard, see `placesOf()`. */
  readonly places: number;
}

/** Patterns by queue; those of no queue by the empty string, which is the name of none. */
type Parts = TextMap<Part>;

const NO_PART: Part = { patterns: new TextSet(), shapes: new Map(), places: 0 };

/**
 * The subscriptions of a client: pairs of a pattern and a queue, or none. Never changes, so that many
 * clients can share one.
 */
export class Subscriptions {
  /** Those of a client that has not asked for anything yet: it hears everything. */
  static readonly NONE_YET: Subscriptions = new Subscriptions(false, new TextMap(), 0, 0, 0);

  /** Those of a client that hears nothing. */
  static readonly NOTHING: Subscriptions = new Subscriptions(true, new TextMap(), 0, 0, 0);

  /** Whether the client hears only what it has asked for. */
  readonly isNarrowed: boolean;
  /** How many pairs there are. */
  readonly size: number;
  /** The same number for the same pairs; hardly ever the same for others. */
  readonly fingerprint: number;
  /** In how many places there are wildcards, each queue by itself. */
  readonly places: number;
  readonly #parts: Parts;

  private constructor(
    isNarrowed: boolean,
    parts: Parts,
    size: number,
    fingerprint: number,
    places: number,
  ) {
    this.isNarrowed = isNarrowed;
    this.#parts = parts;
    this.size = size;
    this.fingerprint = fingerprint;
    this.places = places;
  }

  /** How many queues there are, of which one client, and not everyone, gets an event. */
  get queues(): number {
    return this.#parts.size - (this.#parts.has(NO_QUEUE) ? 1 : 0);
  }

  /** Whether the client gets all events itself, whatever else it has asked for. */
  get coversAll(): boolean {
    return !this.isNarrowed || this.has(REST, NO_QUEUE);
  }

  /** Whether a pair is there. */
  has(pattern: string, queue: string): boolean {
    return this.#parts.get(queue)?.patterns.has(pattern) ?? false;
  }

  /** The pairs. */
  *[Symbol.iterator](): Generator<[pattern: string, queue: string]> {
    for (const [queue, { patterns }] of this.#parts) {
      for (const pattern of patterns) yield [pattern, queue];
    }
  }

  /** The pairs that others do not have. */
  *without(others: Subscriptions): Generator<[pattern: string, queue: string]> {
    for (const [queue, part] of this.#parts) {
      const common = others.#parts.get(queue) ?? NO_PART;
      if (part === common) continue;
      for (const pattern of part.patterns.without(common.patterns)) yield [pattern, queue];
    }
  }

  /** What it is after a client's wish: pairs that are asked for twice, or are not there, do not count. */
  after({ control, events, queue = NO_QUEUE }: SubscriptionRequest): Subscriptions {
    const isAdding = control === "subscribe";
    const part = this.#parts.get(queue) ?? NO_PART;
    const patterns = new TextSet(part.patterns);
    const shapes = new Map(part.shapes);
    let { size, fingerprint } = this;
    for (const pattern of events) {
      if (!(isAdding ? patterns.add(pattern) : patterns.delete(pattern))) continue;
      const change = isAdding ? 1 : -1;
      size += change;
      fingerprint ^= hashText(pattern, hashText(queue));
      const shape = shapeOf(pattern);
      if (shape === "") continue;
      const count = (shapes.get(shape) ?? 0) + change;
      if (count > 0) shapes.set(shape, count);
      else shapes.delete(shape);
    }
    if (size === this.size && (this.isNarrowed || !isAdding)) return this;
    const places = placesOf(shapes.keys());
    const parts = new TextMap(this.#parts);
    if (patterns.size > 0) parts.set(queue, { patterns, shapes, places });
    else parts.delete(queue);
    const all = this.places - part.places + places;
    return new Subscriptions(this.isNarrowed || isAdding, parts, size, fingerprint, all);
  }

  /** Whether the pairs are the same. */
  equals(other: Subscriptions): boolean {
    if (this === other) return true;
    if (this.isNarrowed !== other.isNarrowed || this.size !== other.size) return false;
    if (this.fingerprint !== other.fingerprint) return false;
    for (const [queue, { patterns }] of this.#parts) {
      if (!patterns.isSubsetOf(other.#parts.get(queue)?.patterns ?? NO_PART.patterns)) return false;
    }
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
  if (after.queues > MAX_QUEUES) {
    const detail = `a client may be in ${MAX_QUEUES} queues, this would make ${after.queues}`;
    return { ...name, reason, detail };
  }
  if (after.places <= MAX_WILDCARD_PLACES) return null;
  const detail = `the patterns of a client may have wildcards in ${MAX_WILDCARD_PLACES} places, ` +
    `this would make ${after.places}`;
  return { ...name, reason, detail };
}
