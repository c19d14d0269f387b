import { assertEquals } from "@std/assert/equals";
import { PEERS } from "./peers_list.ts";
import type { Results } from "./results.ts";
import type { Sample } from "./sample.ts";
import { SCENARIOS } from "./scenarios.ts";
import { aboutGoals, aboutWebsocket, WEBSOCKET_PEERS, WEBSOCKET_SCENARIOS } from "./websocket.ts";

/** The results of runs, by `scenario/peer`. */
function resultsOf(cells: Record<string, Sample[]>): Results {
  const run = { machine: "", commit: "", command: "", repeat: 1, pinned: true, skipped: [] };
  return { ...run, cells: new Map(Object.entries(cells)) };
}

/** The CPU time of an event, in each run. */
function cpu(...micros: number[]): Sample[] {
  return micros.map((cpuMicros) => ({ cpuMicros }));
}

/** The cells of the table in a section. */
function cellsOf([section = ""]: string[]): string[][] {
  const rows = section.split("\n").filter((line) => line.startsWith("|"));
  return rows.toSpliced(1, 1).map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}

Deno.test("WEBSOCKET_PEERS and WEBSOCKET_SCENARIOS are names of peers and scenarios", () => {
  const unknownPeers = WEBSOCKET_PEERS.filter((name) => !PEERS.some((peer) => peer.name === name));
  assertEquals(unknownPeers, []);
  const scenarios = SCENARIOS.map(({ name }) => name);
  assertEquals(WEBSOCKET_SCENARIOS.filter((name) => !scenarios.includes(name)), []);
});

Deno.test("aboutWebsocket() has the medians of the peers side by side", () => {
  const results = resultsOf({
    "1/ebsockets": cpu(0.2),
    "1/ebsockets-ws": cpu(0.3, 0.5, 0.4),
    "idle/ebsockets": [{ kibPerConnection: 9.5 }],
    "idle/bun": [{ kibPerConnection: null }],
  });
  assertEquals(cellsOf(aboutWebsocket(results, ["redis", "bun", "ebsockets", "ebsockets-ws"])), [
    ["median", "ebsockets", "ebsockets-ws", "bun"],
    ["1 → 1, server CPU µs/event", "0.20", "0.40", "n/a"],
    ["idle, KiB per client", "9.5", "n/a", "n/a"],
  ]);
});

Deno.test("aboutWebsocket() is nothing without a server over WebSocket", () => {
  const results = resultsOf({ "1/ebsockets": cpu(0.2), "1/redis": cpu(0.5) });
  assertEquals(aboutWebsocket(results, ["ebsockets", "redis"]), []);
});

Deno.test("aboutGoals() compares medians with the goals, and says which are met", () => {
  const results = resultsOf({
    "1/ebsockets-ws": cpu(0.9, 0.5, 0.1),
    "1/bun": cpu(0.5),
    "4/ebsockets-ws": cpu(0.51),
    "4/bun": cpu(1),
    "50/ebsockets": cpu(2),
    "50/ebsockets-ws": cpu(3),
    "50/bun": cpu(10),
    "idle/ebsockets": [{ kibPerConnection: 9 }],
    "idle/ebsockets-ws": [{ kibPerConnection: 10.25 }],
  });
  assertEquals(cellsOf(aboutGoals(results, ["ebsockets", "ebsockets-ws", "bun"])), [
    ["medians", "at most", "measured", "met"],
    ["1 → 1, CPU ÷ bun", "1.00", "1.00", "yes"],
    ["1 → 4, CPU ÷ bun", "0.50", "0.51", "no"],
    ["1 → 50, CPU ÷ bun", "0.30", "0.30", "yes"],
    ["1 → 50, CPU ÷ ebsockets", "1.50", "1.50", "yes"],
    ["idle, KiB − ebsockets", "1.00", "1.25", "no"],
  ]);
});

Deno.test("aboutGoals() leaves out what was not measured", () => {
  const results = resultsOf({
    "1/ebsockets-ws": cpu(1),
    "4/ebsockets-ws": cpu(1),
    "4/bun": cpu(4),
  });
  assertEquals(cellsOf(aboutGoals(results, ["ebsockets-ws", "bun"])).slice(1), [
    ["1 → 4, CPU ÷ bun", "0.50", "0.25", "yes"],
  ]);
  assertEquals(aboutGoals(results, ["bun"]), []);
});
