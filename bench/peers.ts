/**
 * The comparison with other servers: flags to runs, runs to results.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { ClientPair } from "./client_pair.ts";
import type { ToClientCommand } from "./client_process.ts";
import { Flood } from "./flood.ts";
import { refuseUnknown, runCommand, toChoice, toInteger } from "./command.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { pinDriver, SERVER_CPU } from "./measured_process.ts";
import { type Library, type LibraryUse, type Peer, PEERS } from "./peers_list.ts";
import { drawResults } from "./plot.ts";
import { RequestPair } from "./request_pair.ts";
import { type Present, type PresentLibrary, writeReport } from "./report.ts";
import { ROOM_DRIVER, RoomDriver } from "./room_driver.ts";
import type { Results, Skipped } from "./results.ts";
import type { Sample } from "./sample.ts";
import { type Scenario, SCENARIOS } from "./scenarios.ts";
import { ServerProcess } from "./server_process.ts";
import { putSummary, writeSummary } from "./summary.ts";
import { WEBSOCKET_PEERS, WEBSOCKET_SCENARIOS } from "./websocket.ts";

const HELP = `Measure the relay against other servers, each in turn with the same traffic.

Usage: deno run -A bench/peers.ts [options]

Options:
  --scenarios NAME,...     What to measure (default all):
                           ${SCENARIOS.map(({ name }) => name).join(", ")}
  --peers NAME,...         Whom to measure (default all that are installed):
                           ${PEERS.map(({ name }) => name).join(", ")}
  --websocket              Measure what shows the cost of WebSocket, where the options above do
                           not say: ${WEBSOCKET_PEERS.join(", ")}
                           in ${WEBSOCKET_SCENARIOS.join(", ")}
  --repeat N               Runs of each scenario with each peer (default 5)
  --events N               Events to measure in each run (default: as many as take a
                           second or two; paced scenarios: 1,000 for each second;
                           long: 1,000,000, and then ten times as many as this;
                           neighbour: round trips, as many as fit into 4 seconds;
                           rooms: at most those of 2 seconds)
  --no-write               Print the results, and write no files
  --help                   Show this help

Writes bench/RESULTS.md, bench/results.svg, and the tables in README.md. Every delivery is
checked; a lost, doubled, reordered or changed one ends it with exit code 1.
`;

const FOLDER = import.meta.dirname!;
const README = `${FOLDER}/../README.md`;

/** What the command line asks for. */
interface Plan {
  scenarios: Scenario[];
  peers: Peer[];
  repeat: number;
  events: number | null;
  write: boolean;
}

/** The plan that `args` make, or `null` if they ask for help. */
function parse(args: string[]): Plan | null {
  const flags = parseArgs(args, {
    string: ["scenarios", "peers", "repeat", "events"],
    boolean: ["help", "websocket", "write"],
    negatable: ["write"],
    default: { repeat: "5", write: true },
    unknown: refuseUnknown,
  });
  if (flags.help) return null;
  const scenarios = flags.scenarios ?? (flags.websocket ? WEBSOCKET_SCENARIOS.join() : undefined);
  const peers = flags.peers ?? (flags.websocket ? WEBSOCKET_PEERS.join() : undefined);
  return {
    scenarios: toChoice("--scenarios", scenarios, SCENARIOS),
    peers: toChoice("--peers", peers, PEERS),
    repeat: toInteger("--repeat", flags.repeat, 1000),
    events: flags.events === undefined ? null : toInteger("--events", flags.events, 1e9),
    write: flags.write,
  };
}

async function run(plan: Plan, args: string[], signal: AbortSignal): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "ebsockets-peers-" });
  try {
    const commit = await describeCommit(FOLDER);
    const { present, hasRoomDriver, skipped } = await prepare(plan, folder);
    const pinned = await pinDriver();
    const cells = await measureAll(plan, present, {
      events: plan.events,
      folder,
      hasRoomDriver,
      pinned,
      signal,
    });
    const results: Results = {
      machine: await describeMachine(),
      commit,
      command: ["deno task bench:peers", ...args].join(" "),
      repeat: plan.repeat,
      pinned,
      skipped,
      cells,
    };
    await show(results, plan, present);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Prints the results, and writes them where the repository has them. */
async function show(
  results: Results,
  { scenarios, write }: Plan,
  present: Present[],
): Promise<void> {
  const peers = present.map(({ peer }) => peer.name);
  const report = writeReport(results, scenarios, present);
  console.log(report);
  if (!write) return;
  await Deno.writeTextFile(`${FOLDER}/RESULTS.md`, report);
  await Deno.writeTextFile(`${FOLDER}/results.svg`, drawResults(results, peers));
  const readme = await Deno.readTextFile(README);
  await Deno.writeTextFile(README, putSummary(readme, writeSummary(results, peers)));
}

/** Builds or finds every peer, its client library, and the clients of rooms, where there is a use. */
async function prepare(
  { peers, scenarios }: Plan,
  folder: string,
): Promise<{ present: Present[]; hasRoomDriver: boolean; skipped: Skipped[] }> {
  const present: Present[] = [];
  const skipped: Skipped[] = [];
  const find = async (wanted: Peer | Library | typeof ROOM_DRIVER) => {
    const version = await wanted.prepare(folder);
    if (version === null) {
      console.error(`skipped: ${wanted.name}; try ${wanted.install}`);
      skipped.push({ name: wanted.name, install: wanted.install });
    }
    return version;
  };
  const uses = scenarios.flatMap(({ libraryUse }) => libraryUse ?? []);
  for (const peer of peers) {
    const version = await find(peer);
    if (version === null) continue;
    const libraries: PresentLibrary[] = [];
    for (const library of peer.libraries ?? []) {
      if (!uses.some((use) => library.uses.includes(use))) continue;
      const libraryVersion = await find(library);
      if (libraryVersion !== null) libraries.push({ library, version: libraryVersion });
    }
    present.push({ peer, version, libraries });
  }
  const hasRoomDriver = scenarios.some(({ room }) => room) && await find(ROOM_DRIVER) !== null;
  return { present, hasRoomDriver, skipped };
}

/** What all runs have in common. */
interface Setting {
  readonly events: number | null;
  readonly folder: string;
  readonly hasRoomDriver: boolean;
  /** Whether server and driver have a CPU each. */
  readonly pinned: boolean;
  readonly signal: AbortSignal;
}

/** Every scenario, as often as planned; the peers in turn within each round. */
async function measureAll(
  { scenarios, repeat }: Plan,
  present: Present[],
  setting: Setting,
): Promise<Map<string, Sample[]>> {
  const cells = new Map<string, Sample[]>();
  for (const scenario of scenarios) {
    console.error(`${scenario.name}: ${scenario.title}`);
    const peers = present.filter((each) => takesPart(each, scenario));
    for (let round = 0; round < repeat; round++) {
      for (const each of peers) {
        const sample = await measure(scenario, each, setting);
        const key = `${scenario.name}/${each.peer.name}`;
        cells.set(key, [...cells.get(key) ?? [], sample]);
      }
    }
  }
  return cells;
}

/** Whether a peer has what a scenario is about. */
function takesPart(present: Present, { libraryUse, subjects = false }: Scenario): boolean {
  if (libraryUse && !libraryFor(libraryUse, present)) return false;
  return !subjects || present.peer.wire.on !== undefined;
}

/** The client library of a peer that has a use, if it is here. */
function libraryFor(use: LibraryUse, { libraries }: Present): Library | undefined {
  return libraries.find(({ library }) => library.uses.includes(use))?.library;
}

/** One run, with a server of its own; its error says which. */
async function measure(
  scenario: Scenario,
  present: Present,
  { events, folder, hasRoomDriver, pinned, signal }: Setting,
): Promise<Sample> {
  const { peer } = present;
  try {
    await using server = await ServerProcess.start(
      (port) => peer.command(folder, port, scenario.echo),
      { signal, ...pinned && { cpus: [SERVER_CPU] } },
    );
    const { port } = server;
    const program = (use: LibraryUse): ToClientCommand => (args) =>
      libraryFor(use, present)!.command(use, folder, args);
    return await scenario.measure({
      server,
      wire: peer.wire,
      startClients: (use) => ClientPair.start(port, program(use), { signal }),
      startRequests: (parallel) =>
        RequestPair.start(port, parallel, program("requests"), { signal }),
      startFlood: () => Flood.start(peer.name, port, pinned, { signal }),
      startRoom: hasRoomDriver ? () => RoomDriver.start(folder, port, { signal }) : null,
      events,
    });
  } catch (error) {
    signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : error;
    throw new Error(`Cannot measure ${peer.name} in ${scenario.name}: ${reason}`, { cause: error });
  }
}

if (import.meta.main) Deno.exit(await runCommand({ help: HELP, parse, run }, Deno.args));
