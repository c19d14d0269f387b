/**
 * The end-to-end benchmark: flags to runs, runs to figures.
 *
 * Each run has a relay of its own, warmed up before anything is measured. What is compared is run
 * in turn, so that whatever else the machine does meets all of it alike.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { refuseUnknown, runCommand, toFolder, toInteger } from "./command.ts";
import { LINE_BYTES, messageEvents } from "./fixtures.ts";
import { FrameRing } from "./frame_ring.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { relayCommand } from "./peers_list.ts";
import { ServerProcess } from "./server_process.ts";
import { format, summarise } from "./stats.ts";
import type { Stream } from "./subscriber.ts";
import { Traffic } from "./traffic.ts";
import { relayWebsocket } from "./websocket_wires.ts";
import { lines, type Wire } from "./wire.ts";

const HELP = `Measure the relay command from end to end: one publisher, many subscribers, raw TCP.

Usage: deno run -A bench/relay.ts [options]

Options:
  --subscribers N,N,...    How many connections receive (default 1,50)
  --events N               Events to measure in each run (default 1000000)
  --repeat N               Runs of each kind (default 5)
  --in-flight N            Events published and not yet received by all (default 4096)
  --compare FOLDER         Measure the checkout in FOLDER too, in turn with this one
  --history                Measure a relay that keeps events in memory too, in turn
  --websocket              Measure WebSocket too, in turn with TCP
  --help                   Show this help

Every delivery is checked; a lost, doubled, reordered or changed one ends it with exit code 1.
`;

/** Events sent before the measurement begins, for the compiler. */
const WARM_UP_EVENTS = 20_000;

/** Distinct events; they are published over and over again. */
const RING_EVENTS = 65_536;

const ROOT = Deno.realPathSync(new URL("..", import.meta.url));

/** What the command line asks for. */
interface Plan {
  subscribers: number[];
  events: number;
  repeat: number;
  inFlight: number;
  relays: TestedRelay[];
  transports: Transport[];
}

/** A relay to be measured. */
interface TestedRelay {
  name: string;
  folder: string;
  flags: string[];
}

/** How all clients connect, and what they send and get. */
interface Transport {
  name: string;
  wire: Wire;
  stream: Stream;
}

/** A relay, a transport and a number of subscribers, with what was measured. */
interface Case {
  relay: TestedRelay;
  transport: Transport;
  subscribers: number;
  samples: Sample[];
}

/** One run. */
interface Sample {
  seconds: number;
  /** `null` where the system does not tell. */
  cpuMicros: number | null;
}

/** The plan that `args` make, or `null` if they ask for help. */
function parse(args: string[]): Plan | null {
  const flags = parseArgs(args, {
    string: ["subscribers", "events", "repeat", "in-flight", "compare"],
    boolean: ["help", "history", "websocket"],
    default: { subscribers: "1,50", events: "1000000", repeat: "5", "in-flight": "4096" },
    unknown: refuseUnknown,
  });
  if (flags.help) return null;
  return {
    subscribers: flags.subscribers.split(",").map((text: string) =>
      toInteger("--subscribers", text, 10_000)
    ),
    events: toInteger("--events", flags.events, 1e9),
    repeat: toInteger("--repeat", flags.repeat, 1000),
    inFlight: toInteger("--in-flight", flags["in-flight"], 50_000),
    relays: [
      { name: "this", folder: ROOT, flags: [] },
      ...flags.compare === undefined
        ? []
        : [{ name: "other", folder: toFolder("--compare", flags.compare), flags: [] }],
      ...flags.history ? [{ name: "history", folder: ROOT, flags: ["--history", "memory"] }] : [],
    ],
    transports: [
      toTransport("TCP", lines),
      ...flags.websocket ? [toTransport("WebSocket", relayWebsocket)] : [],
    ],
  };
}

function toTransport(name: string, wire: Wire): Transport {
  const events = messageEvents(RING_EVENTS);
  const published = FrameRing.from(events.map((event) => wire.publish(event)));
  const delivered = FrameRing.from(events.map((event) => wire.deliver(event)));
  return { name, wire, stream: { published, delivered } };
}

async function run(plan: Plan, _: string[], signal: AbortSignal): Promise<void> {
  await printHead(plan);
  const cases: Case[] = plan.subscribers.flatMap((subscribers) =>
    plan.transports.flatMap((transport) =>
      plan.relays.map((relay) => ({ relay, transport, subscribers, samples: [] }))
    )
  );
  for (let i = 0; i < plan.repeat; i++) {
    for (const each of cases) each.samples.push(await tryMeasure(each, plan, signal));
  }
  printTable([HEADINGS, ...cases.map((each) => toRow(each, plan))]);
}

/** One run; its error says which. */
async function tryMeasure(each: Case, plan: Plan, signal: AbortSignal): Promise<Sample> {
  try {
    return await measure(each, plan, signal);
  } catch (error) {
    signal.throwIfAborted();
    const reason = error instanceof Error ? error.message : error;
    throw new Error(
      `Cannot measure ${each.relay.name} relay over ${each.transport.name}, ` +
        `${each.subscribers} subscribers: ${reason}`,
      { cause: error },
    );
  }
}

async function measure(
  { relay: { folder, flags }, transport: { wire, stream }, subscribers }: Case,
  { events, inFlight }: Plan,
  signal: AbortSignal,
): Promise<Sample> {
  await using server = await ServerProcess.start(
    (port) => relayCommand(folder, port, false, flags),
    { signal },
  );
  const options = { port: server.port, wire, streams: [stream], subscribers, inFlight };
  using traffic = await Traffic.connect(options);
  await traffic.publish(WARM_UP_EVENTS);
  const cpu = server.meterCpu();
  const before = performance.now();
  await traffic.publish(events);
  const seconds = (performance.now() - before) / 1000;
  const cpuMicros = cpu();
  await traffic.finish();
  return { seconds, cpuMicros };
}

async function printHead({ relays, events, inFlight, repeat }: Plan): Promise<void> {
  console.log(await describeMachine());
  for (const { name, folder, flags } of relays) {
    console.log([`${name}: commit ${await describeCommit(folder)}`, ...flags].join(" "));
  }
  console.log(
    `${format(events)} events of ${LINE_BYTES} bytes, at most ${format(inFlight)} in flight; ` +
      `median (min–max) of ${repeat}\n`,
  );
}

const HEADINGS = [
  "relay",
  "transport",
  "subscribers",
  "events/s",
  "deliveries/s",
  "relay CPU µs/event",
  "relay CPU busy %",
];

function toRow({ relay, transport, subscribers, samples }: Case, { events }: Plan): string[] {
  return [
    relay.name,
    transport.name,
    `${subscribers}`,
    summarise(samples.map(({ seconds }) => events / seconds)),
    summarise(samples.map(({ seconds }) => events * subscribers / seconds)),
    summarise(samples.map(({ cpuMicros }) => cpuMicros && cpuMicros / events), 2),
    summarise(samples.map(({ cpuMicros, seconds }) => cpuMicros && cpuMicros / seconds / 1e4)),
  ];
}

function printTable(rows: string[][]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    console.log(row.map((cell, column) => cell.padStart(widths[column]!)).join("  "));
  }
}

if (import.meta.main) Deno.exit(await runCommand({ help: HELP, parse, run }, Deno.args));
