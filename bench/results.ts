/**
 * The results of a comparison, and their look-up.
 *
 * @module
 */

import type { Sample } from "./sample.ts";
import { median } from "./stats.ts";

/** A peer that is not here, and what would bring it. */
export interface Skipped {
  readonly name: string;
  readonly install: string;
}

/** Everything that was measured, and where. */
export interface Results {
  readonly machine: string;
  readonly commit: string;
  readonly command: string;
  readonly repeat: number;
  /** Whether server and driver had a CPU each. */
  readonly pinned: boolean;
  readonly skipped: readonly Skipped[];
  /** The runs of a scenario with a peer, by `scenario/peer`. */
  readonly cells: ReadonlyMap<string, readonly Sample[]>;
}

/** Those of `peers` that took part in a scenario. */
export function peersIn({ cells }: Results, scenario: string, peers: string[]): string[] {
  return peers.filter((peer) => cells.has(`${scenario}/${peer}`));
}

/** One figure of all runs; empty if there were none. */
export function valuesOf(
  { cells }: Results,
  scenario: string,
  peer: string,
  figure: keyof Sample,
): (number | null)[] {
  return (cells.get(`${scenario}/${peer}`) ?? []).map((sample) => sample[figure] ?? null);
}

/** The median of a figure; `null` if it was not measured. */
export function medianOf(
  results: Results,
  scenario: string,
  peer: string,
  figure: keyof Sample,
): number | null {
  return median(valuesOf(results, scenario, peer, figure));
}
