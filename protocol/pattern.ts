/**
 * The patterns of subscriptions: their rules, and whether one matches the name of an event.
 *
 * The rules are those of NATS subjects (https://docs.nats.io/nats-concepts/subjects), except that a
 * token may be empty. Every name is thus a pattern for itself.
 *
 * @module
 */

import { printable } from "./printable.ts";
import { faultOfName } from "./names.ts";

/** Matches any single token. */
export const ANY = "*";

/** Matches one or more remaining tokens. Only valid at the end of a pattern. */
export const REST = ">";

/** Returns the fault of a pattern, or an empty string if the pattern is valid. */
export function faultOfPattern(pattern: unknown): string {
  if (typeof pattern !== "string") {
    return `expected a string, got ${printable(JSON.stringify(pattern) ?? String(pattern))}`;
  }
  const isLate = pattern.split(".").slice(0, -1).includes(REST);
  return faultOfName(pattern) ||
    (isLate ? '">" stands for all the rest, and so must be the last token' : "");
}

/** Returns whether a valid pattern matches the name of an event. */
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
 * The patterns that match a name. Only the first eight tokens are considered, because each token
 * doubles the number of patterns.
 *
 * @typeParam N The name, or a union of names.
 * @typeParam Seen A tuple with one member for each token considered so far.
 */
export type PatternFor<N extends string, Seen extends unknown[] = []> = Seen["length"] extends 8
  ? string
  : N extends `${infer First}.${infer Others}`
    ? `${First | "*"}.${PatternFor<Others, [...Seen, unknown]>}` | ">"
  : N | "*" | ">";

/**
 * The patterns that match at least one event of an event map. Without a map, any pattern.
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
