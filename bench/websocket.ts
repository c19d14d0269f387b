/**
 * The cost of WebSocket: its servers side by side with our relay over TCP, and the goals of our relay.
 *
 * @module
 */

import { medianOf, peersIn, type Results } from "./results.ts";
import type { Sample } from "./sample.ts";
import { format, formatShort } from "./stats.ts";
import { table } from "./table.ts";

/** Our relay, over WebSocket. */
const OURS = "ebsockets-ws";

/** The servers over WebSocket, after our relay over TCP. */
export const WEBSOCKET_PEERS: readonly string[] = [
  "ebsockets",
  OURS,
  "ws",
  "socket.io",
  "bun",
  "deno",
];

/** A figure of a scenario. */
interface Row {
  readonly scenario: string;
  readonly figure: keyof Sample;
  readonly label: string;
}

const ROWS: readonly Row[] = [
  { scenario: "1", figure: "cpuMicros", label: "1 → 1, server CPU µs/event" },
  { scenario: "4", figure: "cpuMicros", label: "1 → 4, server CPU µs/event" },
  { scenario: "50", figure: "cpuMicros", label: "1 → 50, server CPU µs/event" },
  { scenario: "500", figure: "cpuMicros", label: "1 → 500, server CPU µs/event" },
  { scenario: "chat", figure: "cpuMicros", label: "16 ↔ 16, server CPU µs/event" },
  { scenario: "stalled", figure: "p99Micros", label: "beside a stalled client, p99 µs" },
  { scenario: "idle", figure: "kibPerConnection", label: "idle, KiB per client" },
];

/** The scenarios that show what WebSocket costs. */
export const WEBSOCKET_SCENARIOS: readonly string[] = ROWS.map(({ scenario }) => scenario);

/** What our relay is to cost over WebSocket: at most so many times, or so much more than, another. */
interface Goal {
  readonly scenario: string;
  readonly figure: keyof Sample;
  readonly label: string;
  readonly reference: string;
  readonly relation: "times" | "more";
  readonly most: number;
}

const GOALS: readonly Goal[] = [
  goal("1", "1 → 1, CPU ÷ bun", "bun", 1),
  goal("4", "1 → 4, CPU ÷ bun", "bun", 0.5),
  goal("50", "1 → 50, CPU ÷ bun", "bun", 0.3),
  goal("50", "1 → 50, CPU ÷ ebsockets", "ebsockets", 1.5),
  {
    scenario: "idle",
    figure: "kibPerConnection",
    label: "idle, KiB − ebsockets",
    reference: "ebsockets",
    relation: "more",
    most: 1,
  },
];

function goal(scenario: string, label: string, reference: string, most: number): Goal {
  return { scenario, figure: "cpuMicros", label, reference, relation: "times", most };
}

/** The section that has the servers over WebSocket side by side; nothing without any. */
export function aboutWebsocket(results: Results, all: string[]): string[] {
  const rows = ROWS.filter(({ scenario }) => peersIn(results, scenario, all).length > 0);
  const peers = WEBSOCKET_PEERS.filter((peer) => all.includes(peer));
  if (rows.length === 0 || !peers.some((peer) => peer !== "ebsockets")) return [];
  const cells = rows.map(({ scenario, figure, label }) => [
    label,
    ...peers.map((peer) => {
      const value = medianOf(results, scenario, peer, figure);
      return value === null ? "n/a" : formatShort(value);
    }),
  ]);
  return [`## Over WebSocket\n\n\`--websocket\`\n\n${table(["median", ...peers], cells)}`];
}

/** The section about the goals that were measured; nothing without any. */
export function aboutGoals(results: Results, all: string[]): string[] {
  const rows = GOALS.flatMap(({ scenario, figure, label, reference, relation, most }) => {
    if (!all.includes(OURS) || !all.includes(reference)) return [];
    const ours = medianOf(results, scenario, OURS, figure);
    const theirs = medianOf(results, scenario, reference, figure);
    if (ours === null || !theirs) return [];
    const value = relation === "times" ? ours / theirs : ours - theirs;
    return [[label, format(most, 2), format(value, 2), value <= most ? "yes" : "no"]];
  });
  if (rows.length === 0) return [];
  return [`## Goals of ${OURS}\n\n${table(["medians", "at most", "measured", "met"], rows)}`];
}
