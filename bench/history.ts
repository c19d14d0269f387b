/**
 * The cost of events that are kept: publishing until they are acknowledged, beside the brokers that
 * keep messages, the time that an acknowledgement takes, catching up with all of them, and the start
 * with a long log.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { parseArgs } from "@std/cli/parse-args";
import { NO_SENDER } from "../history/kept_block.ts";
import { DiskFolder } from "../history/log_folder.ts";
import { openLog } from "../history/open_log.ts";
import { checkHistoryOptions } from "../history/options.ts";
import { refuseUnknown, runCommand, toInteger } from "./command.ts";
import { messageEvents, messageLines } from "./fixtures.ts";
import { type Keeper, KEEPERS, relayKeeping } from "./keepers.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { meter, pinDriver, SERVER_CPU } from "./measured_process.ts";
import { ServerProcess } from "./server_process.ts";
import { format, percentile, summarise } from "./stats.ts";
import { table } from "./table.ts";
import { bytesOf, HELLO, readUntil, SUBSCRIBED, writeAll } from "./wire.ts";

const HELP = `Measure what it costs to keep events.

Usage: deno run -A bench/history.ts [options]

Options:
  --events N     Events to publish, in each run (default 300000)
  --seconds N    How long events are published one by one, in each run (default 3)
  --kept N       Events that a client catches up with (default 1000000)
  --log-mb N     Size of the log with which a relay starts, in MB (default 1000)
  --repeat N     Runs of each kind (default 3)
  --help         Show this help

Needs nats-server, redis-server and mosquitto for the brokers; what is missing is skipped. The logs
are in the folder of temporary files, which TMPDIR chooses.
`;

const ROOT = Deno.realPathSync(`${import.meta.dirname!}/..`);

/** The length of a published event, in bytes with its line end. */
const EVENT_BYTES = 128;

/** Distinct events; they are published over and over again. */
const RING_EVENTS = 16_384;

/** Events published and not yet acknowledged. */
const IN_FLIGHT = 16_384;

/** Events in one write to the server. */
const BATCH_EVENTS = 512;

/** Events before the measurement begins, for the compiler. */
const WARM_UP_EVENTS = 50_000;

/** Events published one by one, a second. */
const PACED_EVENTS = 10_000;

/** Writes whose time on the disk is measured. */
const SYNCS = 500;

interface Plan {
  events: number;
  seconds: number;
  kept: number;
  logMb: number;
  repeat: number;
}

/** A publisher that counts what has been acknowledged. */
class Publisher implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #frames: readonly Uint8Array[];
  readonly #count: (chunk: Uint8Array) => number;
  #sent = 0;
  #acknowledged = 0;
  #onAck: (acknowledged: number) => void = () => {};
  #waiting: (() => void) | null = null;

  private constructor(connection: Deno.TcpConn, frames: readonly Uint8Array[], keeper: Keeper) {
    this.#connection = connection;
    this.#frames = frames;
    this.#count = keeper.counter();
    this.#read();
  }

  static async connect(keeper: Keeper, { port }: ServerProcess): Promise<Publisher> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay();
    await keeper.join(connection, port);
    const events = messageEvents(RING_EVENTS, { bytes: EVENT_BYTES });
    return new Publisher(connection, events.map(keeper.publish), keeper);
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let length; (length = await this.#connection.read(buffer)) !== null;) {
        this.#acknowledged = this.#count(buffer.subarray(0, length));
        this.#onAck(this.#acknowledged);
        this.#waiting?.();
      }
    } catch {
      // The publisher has been closed.
    }
  }

  async #send(count: number): Promise<void> {
    const frames = Array.from(
      { length: count },
      (_, i) => this.#frames[(this.#sent + i) % this.#frames.length]!,
    );
    this.#sent += count;
    await writeAll(this.#connection, concat(frames));
  }

  async #until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await new Promise<void>((resolve) => this.#waiting = resolve);
  }

  /** Publishes events as fast as they are acknowledged. Resolves when all are. */
  async publish(count: number): Promise<void> {
    const end = this.#sent + count;
    while (this.#sent < end) {
      await this.#until(() => this.#sent - this.#acknowledged <= IN_FLIGHT - BATCH_EVENTS);
      await this.#send(Math.min(BATCH_EVENTS, end - this.#sent));
    }
    await this.#until(() => this.#acknowledged >= end);
  }

  /** Publishes so many events a second. Returns how long each took to be acknowledged, sorted. */
  async pace(perSecond: number, seconds: number): Promise<Float64Array> {
    const micros = new Float64Array(perSecond * seconds);
    const sentAt = new Float64Array(micros.length);
    const first = this.#sent;
    let done = 0;
    this.#onAck = (acknowledged) => {
      const now = performance.now();
      for (; done < acknowledged - first; done++) micros[done] = 1000 * (now - sentAt[done]!);
    };
    const began = performance.now();
    while (this.#sent - first < micros.length) {
      await pause(1);
      const now = performance.now();
      const due = Math.min(micros.length, Math.floor((now - began) / 1000 * perSecond));
      const count = due - (this.#sent - first);
      sentAt.fill(now, this.#sent - first, due);
      if (count > 0) await this.#send(count);
    }
    await this.#until(() => done === micros.length);
    this.#onAck = () => {};
    return micros.sort();
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** A run of one kind of server. */
interface Sample {
  readonly cpuMicros: number | null;
  readonly perSecond: number;
  readonly p50Micros: number | null;
  readonly p99Micros: number | null;
}

async function measure(keeper: Keeper, plan: Plan, signal: AbortSignal): Promise<Sample> {
  const folder = await Deno.makeTempDir({ prefix: "ebsockets-kept-" });
  try {
    const options = { cpus: [SERVER_CPU], signal };
    await using server = await ServerProcess.start((port) => keeper.command(folder, port), options);
    using publisher = await Publisher.connect(keeper, server);
    await publisher.publish(WARM_UP_EVENTS);
    const { cpuMicros, seconds } = await meter(server, () => publisher.publish(plan.events));
    const times = await publisher.pace(PACED_EVENTS, plan.seconds);
    return {
      cpuMicros: cpuMicros && cpuMicros / plan.events,
      perSecond: plan.events / seconds,
      p50Micros: percentile(times, 0.5),
      p99Micros: percentile(times, 0.99),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns how long the disk takes for a small write, sorted, in microseconds. */
async function measureDisk(): Promise<Float64Array> {
  const path = await Deno.makeTempFile({ prefix: "ebsockets-sync-" });
  try {
    using file = await Deno.open(path, { write: true, append: true });
    const times = new Float64Array(SYNCS);
    const bytes = new Uint8Array(10 * EVENT_BYTES);
    for (let i = 0; i < SYNCS; i++) {
      await file.write(bytes);
      const began = performance.now();
      await file.syncData();
      times[i] = 1000 * (performance.now() - began);
    }
    return times.sort();
  } finally {
    await Deno.remove(path);
  }
}

/** What a client costs that catches up, and one that hears as many events as they happen. */
interface Resume {
  readonly pastMicros: number | null;
  readonly pastPerSecond: number;
  readonly livePerSecond: number;
  readonly grownKib: number | null;
}

async function measureResume(where: string, plan: Plan, signal: AbortSignal): Promise<Resume> {
  const folder = await Deno.makeTempDir({ prefix: "ebsockets-kept-" });
  try {
    const flags = ["--history", where === "memory" ? where : `${folder}/log`];
    const keeper = relayKeeping(where, [...flags, "--keep-bytes", `${2 ** 32}`]);
    const options = { cpus: [SERVER_CPU], signal };
    await using server = await ServerProcess.start((port) => keeper.command(folder, port), options);
    using publisher = await Publisher.connect(keeper, server);
    await publisher.publish(plan.kept);
    const before = server.residentKib();
    const past = await meter(server, async () => {
      using reader = await join(server.port, '"since":{"first":true},');
      await receive(reader, plan.kept * EVENT_BYTES);
    });
    const after = server.residentKib();
    using reader = await join(server.port, "");
    await readUntil(reader, (text) => text.includes(SUBSCRIBED));
    const live = await meter(server, async () => {
      const received = receive(reader, plan.kept * EVENT_BYTES);
      await publisher.publish(plan.kept);
      await received;
    });
    return {
      pastMicros: past.cpuMicros && past.cpuMicros / plan.kept,
      pastPerSecond: plan.kept / past.seconds,
      livePerSecond: plan.kept / live.seconds,
      grownKib: before === null || after === null ? null : after - before,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Connects a client that subscribes to all events. */
async function join(port: number, since: string): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const line = `{"control":"subscribe",${since}"events":["message"],"id":"s"}\n`;
  await writeAll(connection, bytesOf(`${HELLO}\n${line}`));
  return connection;
}

/** Reads so many bytes, and what comes with them. */
async function receive(connection: Deno.TcpConn, bytes: number): Promise<void> {
  const buffer = new Uint8Array(1_048_576);
  let last = new Uint8Array();
  for (let received = 0; received < bytes; received += last.length) {
    const length = await connection.read(buffer);
    if (length === null) {
      const text = new TextDecoder().decode(last);
      throw new Error(
        `The relay has closed the connection after ${text.trimEnd().split("\n").at(-1)}`,
      );
    }
    last = buffer.subarray(0, length);
  }
}

/** Returns how long a relay takes to start with a log of so many bytes, in milliseconds. */
async function measureStart(bytes: number, signal: AbortSignal): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "ebsockets-kept-" });
  try {
    await writeLog(`${folder}/log`, bytes);
    const flags = ["--history", `${folder}/log`, "--keep-bytes", `${2 ** 40}`];
    const keeper = relayKeeping("disk", flags);
    const began = performance.now();
    await using _ = await ServerProcess.start((port) => keeper.command(folder, port), { signal });
    return performance.now() - began;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeLog(path: string, bytes: number): Promise<void> {
  const rules = checkHistoryOptions({ folder: path, sync: "never", keepBytes: 2 ** 40 });
  const { log } = await openLog(new DiskFolder(path), rules);
  const lines = messageLines(1000);
  while (log.bytes < bytes) {
    await log.whenRoom();
    log.append(lines, 0, lines.length, 1000, NO_SENDER, performance.now());
  }
  await log.close();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function parse(args: string[]): Plan | null {
  const flags = parseArgs(args, {
    string: ["events", "seconds", "kept", "log-mb", "repeat"],
    boolean: ["help"],
    default: { events: "300000", seconds: "3", kept: "1000000", "log-mb": "1000", repeat: "3" },
    unknown: refuseUnknown,
  });
  if (flags.help) return null;
  return {
    events: toInteger("--events", flags.events, 1e9),
    seconds: toInteger("--seconds", flags.seconds, 1000),
    kept: toInteger("--kept", flags.kept, 1e8),
    logMb: toInteger("--log-mb", flags["log-mb"], 1e6),
    repeat: toInteger("--repeat", flags.repeat, 1000),
  };
}

async function run(plan: Plan, _: string[], signal: AbortSignal): Promise<void> {
  await pinDriver();
  console.log(await describeMachine());
  console.log(`commit ${await describeCommit(ROOT)}; median (min–max) of ${plan.repeat}\n`);
  await printPublishing(plan, signal);
  await printResumes(plan, signal);
  const [without, withLog] = [
    await measureStart(0, signal),
    await measureStart(1e6 * plan.logMb, signal),
  ];
  console.log(
    `Start: ${format(without)} ms with an empty log, ${format(withLog)} ms with ${plan.logMb} MB`,
  );
}

async function printPublishing(plan: Plan, signal: AbortSignal): Promise<void> {
  const keepers: [Keeper, string][] = [];
  for (const keeper of KEEPERS) {
    const version = await keeper.prepare();
    if (version === null) console.error(`skipped: ${keeper.name}: ${keeper.install}`);
    else keepers.push([keeper, version]);
  }
  const samples = new Map<Keeper, Sample[]>(keepers.map(([keeper]) => [keeper, []]));
  const disk: Float64Array[] = [];
  for (let i = 0; i < plan.repeat; i++) {
    for (const [keeper, runs] of samples) runs.push(await measure(keeper, plan, signal));
    disk.push(await measureDisk());
  }
  const rows = keepers.map(([keeper, version]) => {
    const runs = samples.get(keeper)!;
    return [
      keeper.name,
      version,
      summarise(runs.map(({ cpuMicros }) => cpuMicros), 2),
      summarise(runs.map(({ perSecond }) => perSecond)),
      summarise(runs.map(({ p50Micros }) => p50Micros)),
      summarise(runs.map(({ p99Micros }) => p99Micros)),
    ];
  });
  rows.push([
    "fdatasync alone",
    "",
    "",
    "",
    summarise(disk.map((times) => percentile(times, 0.5))),
    summarise(disk.map((times) => percentile(times, 0.99))),
  ]);
  console.log(
    `One publisher, ${
      format(plan.events)
    } events of ${EVENT_BYTES} bytes, each acknowledged; then ` +
      `${format(PACED_EVENTS)} a second, and how long acknowledgements take:\n`,
  );
  const headings = ["server", "version", "CPU µs/event", "events/s", "p50 µs", "p99 µs"];
  console.log(`${table(headings, rows)}\n`);
}

async function printResumes(plan: Plan, signal: AbortSignal): Promise<void> {
  const rows: string[][] = [];
  for (const where of ["memory", "disk"]) {
    const runs: Resume[] = [];
    for (let i = 0; i < plan.repeat; i++) runs.push(await measureResume(where, plan, signal));
    rows.push([
      where,
      summarise(runs.map(({ pastMicros }) => pastMicros), 2),
      summarise(runs.map(({ pastPerSecond }) => pastPerSecond)),
      summarise(runs.map(({ livePerSecond }) => livePerSecond)),
      summarise(runs.map(({ grownKib }) => grownKib)),
    ]);
  }
  console.log(`A client that catches up with ${format(plan.kept)} events:\n`);
  const headings = [
    "history",
    "CPU µs/event",
    "events/s",
    "as they happen, events/s",
    "memory, KiB more",
  ];
  console.log(`${table(headings, rows)}\n`);
}

if (import.meta.main) Deno.exit(await runCommand({ help: HELP, parse, run }, Deno.args));
