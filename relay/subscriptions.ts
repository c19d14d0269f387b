/**
 * The subscriptions of one client, and their limits. Does not depend on other clients.
 *
 * @module
 */

import { ANY, faultOfPattern, REST } from "../protocol/pattern.ts";
import type { Refusal, SubscriptionRequest } from "../protocol/control.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import { hashText } from "../protocol/seeded_hash.ts";
import { TextMap, TextSet } from "../protocol/text_map.ts";

/** Default maximum number of subscriptions of a client. */
export const DEFAULT_MAX_SUBSCRIPTIONS = 1000;

/**
 * Default maximum number of subscriptions of all clients together. Those of clients that receive
 * exactly the same events count once.
 */
export const DEFAULT_MAX_TOTAL_SUBSCRIPTIONS = 200_000;

/** Maximum number of queues of a client. Each takes time whenever an event has a new name. */
export const MAX_QUEUES = 32;

/**
 * Maximum number of places with a wildcard in a client's patterns, counted for each queue
 * separately. A look-up may have to visit each of them. Patterns written by people have a handful
 * of shapes.
 */
export const MAX_WILDCARD_PLACES = 32;

/** The patterns of a client for one queue, or without a queue. */
interface Part {
  readonly patterns: TextSet;
  /** Number of patterns of each shape with a wildcard. */
  readonly shapes: ReadonlyMap<string, number>;
  /** Number of places with a wildcard (see `placesOf()`). */
  readonly places: number;
}

/** Patterns by queue. The empty string, which cannot name a queue, stands for no queue. */
type Parts = TextMap<Part>;

const NO_PART: Part = { patterns: new TextSet(), shapes: new Map(), places: 0 };

/**
 * The subscriptions of a client: pairs of a pattern and a queue, or of a pattern and no queue.
 * Immutable, so that many clients can share one object.
 */
export class Subscriptions {
  /** Subscriptions of a client that has not subscribed yet. It receives every event. */
  static readonly NONE_YET: Subscriptions = new Subscriptions(false, new TextMap(), 0, 0, 0);

  /** Subscriptions of a client that receives nothing. */
  static readonly NOTHING: Subscriptions = new Subscriptions(true, new TextMap(), 0, 0, 0);

  /** Whether the client receives only events that match its pairs. */
  readonly isNarrowed: boolean;
  /** Number of pairs. */
  readonly size: number;
  /** A number that is equal for equal pairs, and hardly ever equal for different ones. */
  readonly fingerprint: number;
  /** Number of places with a wildcard, counted for each queue separately. */
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

  /** Number of queues. Of each queue, only one client receives an event. */
  get queues(): number {
    return this.#parts.size - (this.#parts.has(NO_QUEUE) ? 1 : 0);
  }

  /** Whether the client itself receives every event, whatever its other subscriptions. */
  get coversAll(): boolean {
    return !this.isNarrowed || this.has(REST, NO_QUEUE);
  }

  /** Returns whether a pair is present. */
  has(pattern: string, queue: string): boolean {
    return this.#parts.get(queue)?.patterns.has(pattern) ?? false;
  }

  /** Yields all pairs. */
  *[Symbol.iterator](): Generator<[pattern: string, queue: string]> {
    for (const [queue, { patterns }] of this.#parts) {
      for (const pattern of patterns) yield [pattern, queue];
    }
  }

  /** Yields the pairs that `others` does not have. */
  *without(others: Subscriptions): Generator<[pattern: string, queue: string]> {
    for (const [queue, part] of this.#parts) {
      const common = others.#parts.get(queue) ?? NO_PART;
      if (part === common) continue;
      for (const pattern of part.patterns.without(common.patterns)) yield [pattern, queue];
    }
  }

  /**
   * Returns the subscriptions after a request. Ignores pairs to add that are present, and pairs to
   * remove that are not.
   */
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

  /** Returns whether the pairs are the same. */
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

/**
 * Returns the refusal of a request, or `null` if it is granted. Patterns to remove are not checked.
 *
 * @param after The subscriptions after the request.
 */
export function refusalOf(
  { control, events }: SubscriptionRequest,
  after: Subscriptions,
  maxSubscriptions: number,
): Refusal | null {
  if (control === "unsubscribe") return null;
  for (const pattern of events) {
    const fault = faultOfPattern(pattern);
    if (fault) return { reason: "bad-pattern", detail: fault };
  }
  const excess = excessOf(after, maxSubscriptions);
  return excess ? { reason: "too-many-subscriptions", detail: excess } : null;
}

/** Returns which limit of a client the subscriptions exceed, or an empty string. */
function excessOf({ size, queues, places }: Subscriptions, maxSubscriptions: number): string {
  if (size > maxSubscriptions) {
    return `a client may have ${maxSubscriptions}, this would make ${size}`;
  }
  if (queues > MAX_QUEUES) {
    return `a client may be in ${MAX_QUEUES} queues, this would make ${queues}`;
  }
  if (places <= MAX_WILDCARD_PLACES) return "";
  return `the patterns of a client may have wildcards in ${MAX_WILDCARD_PLACES} places, ` +
    `this would make ${places}`;
}

/** Stands for a token that is not a wildcard. */
const OTHER = "x";

/**
 * Returns the shape of a pattern, one character for each token. It is empty without a wildcard.
 *
 * The shape of a pattern is its tokens up to the last wildcard, with all other tokens treated as
 * equal. For example, `room.7.*` and `room.8.*.text` have the same shape. Among all patterns whose
 * beginnings have one shape, a name matches at most one beginning, because the name determines the
 * other tokens. A look-up therefore visits at most as many nodes as there are shapes of beginnings.
 * Only beginnings with a wildcard multiply with the clients. The others lie on the single path of
 * the name itself.
 */
export function shapeOf(pattern: string): string {
  if (!pattern.includes(ANY) && !pattern.includes(REST)) return "";
  let shape = "";
  let length = 0;
  for (const token of pattern.split(".")) {
    const isWildcard = token === ANY || token === REST;
    shape += isWildcard ? token : OTHER;
    if (isWildcard) ({ length } = shape);
  }
  return shape.slice(0, length);
}

/** Returns the number of distinct beginnings with a wildcard among all shapes. */
export function placesOf(shapes: Iterable<string>): number {
  let places = 0;
  let before = "";
  for (const shape of [...shapes].sort()) {
    // In sorted order, no earlier shape has a longer beginning in common than the previous one.
    places += shape.length - Math.max(commonLength(before, shape), firstWildcard(shape));
    before = shape;
  }
  return places;
}

/** Returns the offset of a shape's first wildcard, or the shape's length without one. */
function firstWildcard(shape: string): number {
  let i = 0;
  while (shape[i] === OTHER) i++;
  return i;
}

function commonLength(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}
