/**
 * Owns the results in the README: a short table between two marks. Must not know how they were
 * measured.
 *
 * @module
 */

import { HIGHLIGHTS } from "./highlights.ts";
import { medianOf, peersIn, type Results } from "./results.ts";
import { formatShort } from "./stats.ts";
import { table } from "./table.ts";

const BEGIN = "<!-- Written by deno task bench:peers, up to the next comment. -->";
const END = "<!-- Up to here. -->";

/** The table: what each peer spends on an event, in the scenarios that were measured. */
export function writeSummary(results: Results, peers: string[]): string {
  const columns = HIGHLIGHTS.filter(({ scenario }) => peersIn(results, scenario, peers).length > 0);
  const rows = peers.map((peer) => [
    peer,
    ...columns.map(({ scenario, figure }) => {
      const value = medianOf(results, scenario, peer, figure);
      return value === null ? "" : formatShort(value);
    }),
  ]);
  return table(["CPU µs per event", ...columns.map(({ label }) => label)], rows);
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
