/**
 * Owns the patterns with which clients choose what they hear: their rules, and whether one matches a
 * name. Must not know who asks.
 *
 * The rules are those of NATS subjects (https://docs.nats.io/nats-concepts/subjects), except that a
 * token may be empty: every name is a pattern for itself.
 *
 * @module
 */

import { printable } from "./printable.ts";
import { MAX_NAME_BYTES } from "./validator.ts";

const encoder = new TextEncoder();

/** Stands for any one token. */
export const ANY = "*";

/** Stands for the rest, of one token or more; only at the end of a pattern. */
export const REST = ">";

/** What is wrong with a pattern, or an empty string. */
export function faultOfPattern(pattern: unknown): string {
  if (typeof pattern !== "string") {
    return `expected a string, got ${printable(JSON.stringify(pattern) ?? String(pattern))}`;
  }
  const { length } = encoder.encode(pattern);
  if (length === 0 || length > MAX_NAME_BYTES) {
    return `expected 1 to ${MAX_NAME_BYTES} bytes, got ${length}`;
  }
  const isLate = pattern.split(".").slice(0, -1).includes(REST);
  return isLate ? '">" stands for all the rest, and so must be the last token' : "";
}

/** Whether a pattern without a fault matches the name of an event. */
export function matches(pattern: string, name: string): boolean {
  const tokens = name.split(".");
  const wanted = pattern.split(".");
  const hasRest = wanted.at(-1) === REST;
  if (hasRest ? tokens.length < wanted.length : tokens.length !== wanted.length) return false;
  return wanted.every((token, i) =>
    token === ANY || token === tokens[i] || hasRest && i === wanted.length - 1
  );
}

/**
 * The patterns that match a name. Of a name with more than eight tokens, the first eight are looked at:
 * each token doubles the number of patterns.
 *
 * @typeParam N The name, or a union of names.
 * @typeParam Seen As many members as tokens have been looked at.
 */
export type PatternFor<N extends string, Seen extends unknown[] = []> = Seen["length"] extends 8
  ? string
  : N extends `${infer First}.${infer Others}`
    ? `${First | "*"}.${PatternFor<Others, [...Seen, unknown]>}` | ">"
  : N | "*" | ">";

/**
 * The patterns that match at least one event of an event map; without a map, any.
 *
 * @typeParam M The event map.
 */
export type PatternOf<M extends object> = string extends keyof M ? string
  : PatternFor<keyof M & string>;

/**
 * The names of an event map that a pattern matches.
 *
 * @typeParam M The event map.
 * @typeParam P The pattern.
 */
export type MatchingName<M extends object, P extends string> = string extends keyof M ? string
  : string extends P ? keyof M & string
  : { [N in keyof M & string]: P extends PatternFor<N> ? N : never }[keyof M & string];
