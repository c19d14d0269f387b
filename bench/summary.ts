/**
 * The results in the README: a short table between two marks.
 *
 * @module
 */

import { HIGHLIGHTS, ROOMS } from "./highlights.ts";
import { medianOf, peersIn, type Results } from "./results.ts";
import { formatShort } from "./stats.ts";
import { table } from "./table.ts";

const BEGIN = "<!-- Written by deno task bench:peers, up to the next comment. -->";
const END = "<!-- Up to here. -->";

/** The table: what each peer spends on an event, and its latency in rooms, as far as measured. */
export function writeSummary(results: Results, peers: string[]): string {
  const costs = measured(HIGHLIGHTS, results, peers);
  const rooms = measured(ROOMS, results, peers);
  const rows = peers.map((peer) => [
    peer,
    ...costs.map(({ scenario, figure }) => {
      const value = medianOf(results, scenario, peer, figure);
      return value === null ? "" : formatShort(value);
    }),
    ...rooms.map(({ scenario }) => latencyOf(results, scenario, peer)),
  ]);
  const labels = [...costs, ...rooms].map(({ label }) => label);
  return table(["CPU µs per event", ...labels], rows);
}

/** `6.6 / 13`: median and 99th percentile, in milliseconds. */
function latencyOf(results: Results, scenario: string, peer: string): string {
  const micros = [
    medianOf(results, scenario, peer, "p50Micros"),
    medianOf(results, scenario, peer, "p99Micros"),
  ].filter((value) => value !== null);
  return micros.map((value) => formatShort(value / 1000)).join(" / ") || "n/a";
}

/** Those of `highlights` that some peer has a figure for. */
function measured<T extends { readonly scenario: string }>(
  highlights: readonly T[],
  results: Results,
  peers: string[],
): T[] {
  return highlights.filter(({ scenario }) => peersIn(results, scenario, peers).length > 0);
}

/** A text with `summary` between its marks, instead of what was there. */
export function putSummary(text: string, summary: string): string {
  const [before, rest] = split(text, BEGIN);
  const [, after] = split(rest, END);
  return `${before}${BEGIN}\n\n${summary}\n\n${END}${after}`;
}

/** What is before a mark, and after it. */
function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`The README has no ${mark}`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}
