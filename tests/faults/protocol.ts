/**
 * The messages between a fleet and the program that has started it: instructions, and notes.
 *
 * @module
 */

import type { Address } from "../../protocol/address.ts";
import type { ClientOptions } from "../../client.ts";
import type { Entry } from "./ledger.ts";

/** How a fleet of clients is to behave. */
export interface FleetPlan {
  /** Tells its clients from those of other fleets: `a` has the clients `a1`, `a2` and so on. */
  readonly name: string;
  /** Where the relay is. */
  readonly address: Address;
  /** How many clients it has. */
  readonly clients: number;
  /** How many of them publish. */
  readonly publishers?: number;
  /** How many events a second each of those publishes. */
  readonly perSecond?: number;
  /** How many bytes each event carries beside its number. */
  readonly padding?: number;
  /** What its clients subscribe to. By default they do not, and hear everything. */
  readonly patterns?: readonly (">" | "numbered")[];
  /** Options of every client. `reconnect` is on unless they say otherwise. */
  readonly options?: ClientOptions;
}

/** What a fleet is told on its standard input: to publish nothing more, or to end in order. */
export type FleetOrder = "rest" | "finish";

/** How long events took from their sender to the clients of a fleet. */
export interface Delays {
  readonly kind: "delays";
  /** How many took a millisecond at most, then two, and so on: pairs of milliseconds and number. */
  readonly counts: [ms: number, events: number][];
}

/** What a fleet notes on its standard output: an array of these in every line. */
export type Note =
  | Entry
  | Delays
  /** All that was published is settled, as it was ordered to rest. */
  | { readonly kind: "resting" }
  /** The iteration over the events of a client has come to its end. */
  | { readonly kind: "iterated"; client: string };

/** The time on a clock that all processes of a machine share, and that nobody sets, in ms. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** The names of the clients of a fleet. */
export function namesOf({ name, clients }: FleetPlan): string[] {
  return Array.from({ length: clients }, (_, i) => `${name}${i + 1}`);
}

/** How many events these delays are of. */
export function countOf(delays: readonly Delays[]): number {
  return delays.flatMap(({ counts }) => counts).reduce((sum, [, events]) => sum + events, 0);
}

/** What a `share` of all events took at most, in milliseconds. */
export function percentileOf(delays: readonly Delays[], share: number): number {
  const counts = delays.flatMap(({ counts }) => counts).sort(([a], [b]) => a - b);
  let due = share * countOf(delays);
  return counts.find(([, events]) => (due -= events) <= 0)?.[0] ?? 0;
}
