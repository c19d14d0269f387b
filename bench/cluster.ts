/**
 * The cost of an event that crosses from one server to another: of two relays on NATS, beside two
 * nats-servers of one cluster and two Socket.IO servers on Redis.
 *
 * One publisher is at the first server, one subscriber at the second; several subscribers are divided
 * between the two. In a stream, as many events are published as arrive; one at a time, each is sent when
 * the one before has arrived. The servers share one CPU, and all others share the other.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { freePort } from "../tests/support/free_port.ts";
import { nats } from "./broker_wires.ts";
import { refuseUnknown, runCommand, toInteger } from "./command.ts";
import { LINE_BYTES, messageEvents } from "./fixtures.ts";
import { FrameRing } from "./frame_ring.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { DRIVER_CPU, pinDriver, SERVER_CPU } from "./measured_process.ts";
import { relayCommand } from "./peers_list.ts";
import { output } from "./programs.ts";
import { ServerProcess } from "./server_process.ts";
import { format, percentile, summarise } from "./stats.ts";
import { Traffic } from "./traffic.ts";
import { socketIo } from "./websocket_wires.ts";
import { lines, type Wire } from "./wire.ts";

const HELP = `Measure what an event costs that crosses from one server to another.

Usage: deno run -A bench/cluster.ts [options]

Options:
  --events N     Events in a stream, in each run (default 500000; a tenth for Socket.IO)
  --subscribers N  Subscribers, divided between the servers (default 1)
  --singles N    Events one at a time, in each run (default 2000)
  --repeat N     Runs of each kind (default 5)
  --help         Show this help

Needs nats-server; redis-server, Node and npm for Socket.IO. Every delivery is checked.
`;

const BENCH = import.meta.dirname!;
const ROOT = Deno.realPathSync(`${BENCH}/..`);

/** Installed for this benchmark alone, and used by nothing else. */
const PACKAGES = ["socket.io@4.8.4", "@socket.io/redis-adapter@8.3.0", "ioredis@6.0.0"];

/** Distinct events; they are published over and over again. */
const RING_EVENTS = 16_384;

/** Events published and not yet received. */
const IN_FLIGHT = 16_384;

/** Events in a stream before the measurement begins, for the compiler. */
const WARM_UP_EVENTS = 30_000;

/** How long the servers have to learn of the subscriber at the other, in milliseconds. */
const SETTLE_MS = 1000;

interface Plan {
  events: number;
  singles: number;
  subscribers: number;
  repeat: number;
}

/** Servers that pass events on to each other. */
interface Servers extends AsyncDisposable {
  /** Where the publisher is, and where the subscriber is. They may be the same. */
  readonly edges: readonly ServerProcess[];
  /** What connects them, if it is neither. */
  readonly between: ServerProcess | null;
}

/** A kind of servers. */
interface Kind {
  readonly name: string;
  readonly wire: Wire;
  /** The share of the events that it can take in the time of the others. */
  readonly share: number;
  start(folder: string, signal: AbortSignal): Promise<Servers>;
}

const KINDS: readonly Kind[] = [
  {
    name: "one relay",
    wire: lines,
    share: 1,
    start: async (_, signal) => {
      return group([await start((port) => relayCommand(ROOT, port, false), signal)], null);
    },
  },
  {
    name: "two relays on NATS",
    wire: lines,
    share: 1,
    async start(_, signal) {
      const between = await start(natsCommand, signal, DRIVER_CPU);
      const command = (port: number) => {
        const { args, ...rest } = relayCommand(ROOT, port, false);
        return { ...rest, args: [...args, "--cluster", `nats://127.0.0.1:${between.port}`] };
      };
      return group([await start(command, signal), await start(command, signal)], between);
    },
  },
  {
    name: "two nats-servers",
    wire: nats,
    share: 1,
    async start(_, signal) {
      const ports = [freePort(), freePort()];
      const command = (i: number) => (port: number) => ({
        program: "nats-server",
        args: [
          ...natsCommand(port).args,
          ...["--cluster_name", "bench", "--cluster", `nats://127.0.0.1:${ports[i]}`],
          ...["--routes", `nats://127.0.0.1:${ports[1 - i]}`],
        ],
      });
      return group([await start(command(0), signal), await start(command(1), signal)], null);
    },
  },
  {
    name: "two Socket.IO servers on Redis",
    wire: socketIo,
    share: 0.1,
    async start(folder, signal) {
      const between = await start(
        (port) => ({
          program: "redis-server",
          args: ["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"],
          cwd: folder,
        }),
        signal,
        DRIVER_CPU,
      );
      const command = (port: number) => ({
        program: "node",
        args: [`${BENCH}/socketio_cluster_server.mjs`, folder, `${port}`, `${between.port}`],
      });
      return group([await start(command, signal), await start(command, signal)], between);
    },
  },
];

function natsCommand(port: number): { program: string; args: string[] } {
  return { program: "nats-server", args: ["-a", "127.0.0.1", "-p", `${port}`] };
}

function start(
  toCommand: Parameters<typeof ServerProcess.start>[0],
  signal: AbortSignal,
  cpu = SERVER_CPU,
): Promise<ServerProcess> {
  return ServerProcess.start(toCommand, { cpus: [cpu], signal });
}

function group(edges: ServerProcess[], between: ServerProcess | null): Servers {
  return {
    edges,
    between,
    async [Symbol.asyncDispose]() {
      for (const server of edges) await server[Symbol.asyncDispose]();
      await between?.[Symbol.asyncDispose]();
    },
  };
}

/** One run. */
interface Sample {
  /** CPU time of an event of a stream, in microseconds: of both servers, and of what is between. */
  readonly edgeMicros: number | null;
  /** The same of the busier one of the servers, which limits how many events there can be. */
  readonly busierMicros: number | null;
  readonly betweenMicros: number | null;
  readonly perSecond: number;
  /** Time of an event from the publisher to the subscriber, one at a time, in microseconds. */
  readonly p50Micros: number | null;
  readonly p99Micros: number | null;
}

async function measure(
  { wire, share, start }: Kind,
  plan: Plan,
  folder: string,
  signal: AbortSignal,
): Promise<Sample> {
  await using servers = await start(folder, signal);
  const { edges, between } = servers;
  const events = messageEvents(RING_EVENTS);
  const stream = {
    published: FrameRing.from(events.map((event) => wire.publish(event))),
    delivered: FrameRing.from(events.map((event) => wire.deliver(event))),
  };
  await pause(SETTLE_MS); // until the servers know each other
  using traffic = await Traffic.connect({
    port: edges[0]!.port,
    subscriberPorts: edges.map(({ port }) => port).reverse(),
    wire,
    streams: [stream],
    subscribers: plan.subscribers,
    inFlight: IN_FLIGHT,
  });
  await pause(SETTLE_MS);
  const count = Math.ceil(share * plan.events);
  await traffic.publish(Math.ceil(share * WARM_UP_EVENTS));
  const edgeCpu = edges.map((server) => server.meterCpu());
  const betweenCpu = between?.meterCpu();
  const began = performance.now();
  await traffic.publish(count);
  const seconds = (performance.now() - began) / 1000;
  const micros = edgeCpu.map((read) => read());
  const betweenMicros = betweenCpu?.() ?? null;
  const times = new Float64Array(plan.singles);
  for (let i = 0; i < times.length; i++) {
    const sent = performance.now();
    await traffic.publish(1);
    times[i] = 1000 * (performance.now() - sent);
  }
  times.sort();
  await traffic.finish();
  const edgeMicros = sum(micros);
  return {
    edgeMicros: edgeMicros && edgeMicros / count,
    busierMicros: edgeMicros && Math.max(...micros as number[]) / count,
    betweenMicros: betweenMicros && betweenMicros / count,
    perSecond: count / seconds,
    p50Micros: percentile(times, 0.5),
    p99Micros: percentile(times, 0.99),
  };
}

function sum(values: readonly (number | null)[]): number | null {
  return values.reduce<number | null>((sum, value) => value === null ? null : sum! + value, 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function parse(args: string[]): Plan | null {
  const flags = parseArgs(args, {
    string: ["events", "singles", "subscribers", "repeat"],
    boolean: ["help"],
    default: { events: "500000", singles: "2000", subscribers: "1", repeat: "5" },
    unknown: refuseUnknown,
  });
  if (flags.help) return null;
  return {
    events: toInteger("--events", flags.events, 1e9),
    singles: toInteger("--singles", flags.singles, 1e6),
    subscribers: toInteger("--subscribers", flags.subscribers, 10_000),
    repeat: toInteger("--repeat", flags.repeat, 1000),
  };
}

async function run(plan: Plan, _: string[], signal: AbortSignal): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "ebsockets-cluster-" });
  try {
    const kinds = await present(folder);
    await pinDriver();
    console.log(await describeMachine());
    console.log(`commit ${await describeCommit(ROOT)}`);
    console.log(
      `${format(plan.events)} events of ${LINE_BYTES} bytes; median (min–max) of ${plan.repeat}\n`,
    );
    const samples = new Map<string, Sample[]>(kinds.map(({ name }) => [name, []]));
    for (let i = 0; i < plan.repeat; i++) {
      for (const kind of kinds) {
        samples.get(kind.name)!.push(await measure(kind, plan, folder, signal));
      }
    }
    printTable(samples);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns the kinds whose programs are here. */
async function present(folder: string): Promise<readonly Kind[]> {
  const hasNats = await output("nats-server", "--version") !== null;
  const hasRedis = await output("redis-server", "--version") !== null;
  const hasPackages = hasRedis &&
    await output("npm", "install", "--prefix", folder, "--silent", ...PACKAGES) !== null;
  return KINDS.filter(({ name }) => {
    const isHere = name.includes("Socket.IO") ? hasPackages : hasNats || !/nats/i.test(name);
    if (!isHere) console.error(`skipped: ${name}`);
    return isHere;
  });
}

function printTable(samples: ReadonlyMap<string, readonly Sample[]>): void {
  const rows = [[
    "servers",
    "their CPU µs/event",
    "of the busier one",
    "between µs/event",
    "events/s",
    "one at a time: p50 µs",
    "p99 µs",
  ]];
  for (const [name, runs] of samples) {
    rows.push([
      name,
      summarise(runs.map(({ edgeMicros }) => edgeMicros), 2),
      summarise(runs.map(({ busierMicros }) => busierMicros), 2),
      summarise(runs.map(({ betweenMicros }) => betweenMicros), 2),
      summarise(runs.map(({ perSecond }) => perSecond)),
      summarise(runs.map(({ p50Micros }) => p50Micros)),
      summarise(runs.map(({ p99Micros }) => p99Micros)),
    ]);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    console.log(row.map((cell, column) => cell.padStart(widths[column]!)).join("  "));
  }
}

if (import.meta.main) Deno.exit(await runCommand({ help: HELP, parse, run }, Deno.args));
