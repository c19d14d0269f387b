/**
 * Owns the results in words and tables. Must not know how they were measured.
 *
 * @module
 */

import type { Peer } from "./peers_list.ts";
import { medianOf, type Results, valuesOf } from "./results.ts";
import type { Sample, Scenario } from "./scenarios.ts";
import { format, summarise } from "./stats.ts";

/** A peer that is here. */
export interface Present {
  readonly peer: Peer;
  readonly version: string;
  /** The version of its client library; `null` if that is not here, or not wanted. */
  readonly libraryVersion: string | null;
}

/** The figures that all others are compared with. */
const REFERENCES = ["nats-server", "copier"];

const FIGURES: Record<keyof Sample, { heading: string; digits: number }> = {
  cpuMicros: { heading: "server CPU µs/event", digits: 2 },
  deliveryMicros: { heading: "server CPU µs/delivery", digits: 3 },
  eventsPerCpuSecond: { heading: "events per CPU second", digits: 0 },
  totalMicros: { heading: "CPU µs/event, all three", digits: 2 },
  publisherMicros: { heading: "publisher CPU µs/event", digits: 2 },
  subscriberMicros: { heading: "subscriber CPU µs/event", digits: 2 },
  eventsPerSecond: { heading: "events/s", digits: 0 },
  busyPercent: { heading: "server CPU busy %", digits: 0 },
  p50Micros: { heading: "p50 µs", digits: 0 },
  p99Micros: { heading: "p99 µs", digits: 0 },
  kibPerConnection: { heading: "KiB per connection", digits: 1 },
  connectsPerSecond: { heading: "connects/s", digits: 0 },
};

/** The page about all scenarios. */
export function writeReport(results: Results, scenarios: Scenario[], present: Present[]): string {
  const peers = present.map(({ peer }) => peer.name);
  const parts = [
    INTRODUCTION,
    aboutRun(results),
    aboutPeers(results, present),
    ...scenarios.map((scenario) => aboutScenario(results, scenario, peers)),
    READING,
  ];
  return `${parts.join("\n\n")}\n`;
}

const INTRODUCTION = `# Results

Written by \`deno task bench:peers\`. Do not edit.

![Server CPU time per event, by server and scenario](results.svg)`;

const READING = `## How to read this

- Every server runs in a process of its own that is started for the run and warmed up before
  anything is measured; the servers take turns within each round. The driver speaks the protocol of
  each over raw TCP, from bytes encoded beforehand, and compares every byte of every delivery with
  what must come: an event that is lost, doubled, reordered or changed ends the benchmark.
- Server CPU is user plus system time of all threads, from \`/proc/PID/task/*/schedstat\`, divided by
  the events _published_. It does not depend on how fast the driver is, as long as it keeps enough
  in flight: a closed loop with at most 4,096 events and 1 MiB.
- Where the server is busy close to 100 %, it and not the driver limits events per second. Where it
  is less, events per second are a lower bound: both sides wait for each other, or the driver is the
  slower one. The cost per event is still what the server spent, though on batches that depend on
  how much has piled up: a server that is served sooner handles smaller ones.
- The copier knows no batching but its 60 KiB read, so a server that gathers more into one write can
  cost less than the copier where writes dominate.
- Latency is the time from just before the write of an event to the read of each single delivery. It
  includes the driver, which must read from all subscribers on one CPU: compare, do not take it for
  the latency of the server alone.
- Ratios are between medians of this run. Trust none where the ranges overlap.`;

function aboutRun({ machine, commit, command, repeat, pinned }: Results): string {
  return `- Machine: ${machine}
- Commit: ${commit}
- Command: \`${command}\`
- Each figure: median (min–max) of ${repeat}
- ${pinned ? "Server on CPU 0, driver on CPU 1" : "Server and driver share all CPUs: not pinned"}`;
}

function aboutPeers({ skipped }: Results, present: Present[]): string {
  const rows = present.map(({ peer, version }) => [peer.name, version, peer.about]);
  const missing = skipped.map(({ name, install }) => [name, "skipped", `\`${install}\``]);
  return `## Servers\n\n${table(["server", "version", "what it is"], [...rows, ...missing])}`;
}

function aboutScenario(results: Results, scenario: Scenario, peers: string[]): string {
  const { name, title, figures } = scenario;
  const references = REFERENCES.filter((reference) => peers.includes(reference));
  const headings = [
    "server",
    ...figures.map((figure) => FIGURES[figure].heading),
    ...references.map((reference) => `${FIGURES[figures[0]!].heading} ÷ ${reference}`),
  ];
  const rows = peers.map((peer) => [
    peer,
    ...figures.map((figure) =>
      summarise(valuesOf(results, name, peer, figure), FIGURES[figure].digits)
    ),
    ...references.map((reference) => ratio(results, name, figures[0]!, peer, reference)),
  ]);
  return `## ${title}\n\n\`--scenarios ${name}\`\n\n${table(headings, rows)}`;
}

function ratio(
  results: Results,
  scenario: string,
  figure: keyof Sample,
  peer: string,
  reference: string,
): string {
  const value = medianOf(results, scenario, peer, figure);
  const base = medianOf(results, scenario, reference, figure);
  return value === null || !base ? "n/a" : format(value / base, 2);
}

/** A Markdown table as the formatter wants it: numbers to the right. */
function table(headings: string[], rows: string[][]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, i) => Math.max(3, ...all.map((row) => [...row[i]!].length)));
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const padded = all.map((row) => line(row.map((cell, i) => cell.padEnd(widths[i]!))));
  const rule = line(widths.map((width) => "-".repeat(width)));
  return [padded[0], rule, ...padded.slice(1)].join("\n");
}
