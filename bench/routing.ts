/**
 * The benchmark of subscriptions: the cost of a delivery where each client receives a part of the
 * events, against its cost where all receive everything.
 *
 * In all runs each client gets as many events. The fewer clients hear an event, the more events have to
 * come in for that, and each has to be read and checked: that is part of what a delivery costs, with
 * and without subscriptions. Hence there are two kinds of runs without: one with as many clients, of
 * which each hears everything, and one in which as few hear each event.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { refuseUnknown, runCommand, toFolder, toInteger } from "./command.ts";
import { LINE_BYTES, messageAttributes } from "./fixtures.ts";
import { FrameRing } from "./frame_ring.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { relayCommand } from "./peers_list.ts";
import { pinDriver, SERVER_CPU } from "./measured_process.ts";
import { ServerProcess } from "./server_process.ts";
import { format, median, summarise } from "./stats.ts";
import { Subscriber } from "./subscriber.ts";
import { dial } from "./traffic.ts";
import { bytesOf, readUntil, writeAll } from "./wire.ts";
import { within } from "./within.ts";

const HELP = `Measure what subscriptions cost the relay command: CPU time for each delivery.

Usage: deno run -A bench/routing.ts [options]

Options:
  --clients N        How many connections receive (default 1000)
  --deliveries N     Events that each of them is to hear in each run (default 2000)
  --repeat N         Runs of each kind (default 5)
  --compare FOLDER   Measure the checkout in FOLDER too, where nobody subscribes
  --help             Show this help

There are 1,000 names, and 100 different subscriptions of one pattern, or of ten patterns, that cover
ten names each. Every delivery is checked; a lost, doubled, reordered or changed one ends it with exit code 1.
`;

const ROOT = Deno.realPathSync(new URL("..", import.meta.url));

/** How many subscriptions differ, and how many names each of them covers. */
const GROUPS = 100;
const NAMES_PER_GROUP = 10;

/** Distinct events; they are published over and over again. */
const RING_EVENTS = 64_000;

/** How many events may be on their way to each client. */
const IN_FLIGHT = 4096;

const WRITE_BYTES = 65_536;
const STALL_MS = 30_000;

/** A kind of run. */
interface Kind {
  readonly title: string;
  /** The checkout whose relay is measured. */
  readonly folder: string;
  readonly clients: number;
  /** How many groups each client has subscribed to; 0 without subscriptions. */
  readonly groups: number;
}

/** One run: the CPU time that a delivery costs the relay, in microseconds; and how busy it was. */
interface Sample {
  readonly micros: number;
  readonly busy: number;
}

/** What the command line asks for. */
interface Plan {
  clients: number;
  deliveries: number;
  repeat: number;
  folder: string | null;
}

/** The plan that `args` make, or `null` if they ask for help. */
function parse(args: string[]): Plan | null {
  const flags = parseArgs(args, {
    string: ["clients", "deliveries", "repeat", "compare"],
    boolean: ["help"],
    default: { clients: "1000", deliveries: "2000", repeat: "5" },
    unknown: refuseUnknown,
  });
  if (flags.help) return null;
  return {
    clients: toInteger("--clients", flags.clients, 10_000),
    deliveries: toInteger("--deliveries", flags.deliveries, 1e6),
    repeat: toInteger("--repeat", flags.repeat, 1000),
    folder: flags.compare === undefined ? null : toFolder("--compare", flags.compare),
  };
}

/** The group that hears event number `i`; events of all groups come mixed. */
function groupOf(i: number): number {
  return (i * 37) % GROUPS;
}

function nameOf(i: number): string {
  const group = String(groupOf(i)).padStart(2, "0");
  return `topic.${group}.${Math.floor(i / GROUPS) % NAMES_PER_GROUP}`;
}

/** The line of event number `i`; all have one length. */
function toLine(i: number): Uint8Array {
  const event = nameOf(i);
  const bytes = LINE_BYTES - event.length + "message".length;
  return bytesOf(`${JSON.stringify({ event, __dict__: messageAttributes(i, { bytes }) })}\n`);
}

const LINES = Array.from({ length: RING_EVENTS }, (_, i) => toLine(i));
const ALL = FrameRing.from(LINES);

/** The groups to which a client has subscribed: neighbours, in a ring. */
function groupsOf(client: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (client + i) % GROUPS);
}

/** What the clients that begin at each group hear. */
function ringsOf(count: number): FrameRing[] {
  return Array.from({ length: GROUPS }, (_, first) => {
    const groups = new Set(groupsOf(first, count));
    return FrameRing.from(LINES.filter((_, i) => groups.has(groupOf(i))));
  });
}

/** One publisher and many clients, each of which hears a part. */
class Crowd implements Disposable {
  readonly #groups: number;
  readonly #rings: FrameRing[];
  readonly #connections: Deno.TcpConn[] = [];
  readonly #subscribers: Subscriber[] = [];
  readonly #reading: Promise<void>[] = [];
  #publisher: Deno.TcpConn | null = null;
  #published = 0;
  #failure: unknown = null;
  #wake = (): void => {};

  constructor(groups: number) {
    this.#groups = groups;
    this.#rings = groups === 0 ? [] : ringsOf(groups);
  }

  /** How many events there are for each that a client hears. */
  get span(): number {
    return this.#groups === 0 ? 1 : GROUPS / this.#groups;
  }

  async connect(port: number, clients: number): Promise<void> {
    for (let i = 0; i < clients; i++) {
      const connection = await dial(port);
      this.#connections.push(connection);
      if (this.#groups > 0) await subscribe(connection, groupsOf(i, this.#groups));
      const delivered = this.#rings[i % GROUPS] ?? ALL;
      const subscriber = new Subscriber(i + 1, [{ published: delivered, delivered }]);
      this.#subscribers.push(subscriber);
      this.#reading.push(this.#read(connection, subscriber));
    }
    this.#publisher = await dial(port);
    if (this.#groups > 0) await subscribe(this.#publisher, []);
  }

  async #read(connection: Deno.TcpConn, subscriber: Subscriber): Promise<void> {
    try {
      while (await subscriber.read(connection)) this.#wake();
      throw new Error(`${subscriber} was closed`);
    } catch (error) {
      this.#failure ??= error;
      this.#wake();
    }
  }

  /** How many of the published events the slowest client is done with. */
  #done(): number {
    let least = Infinity;
    for (const { received } of this.#subscribers) least = Math.min(least, received[0]!);
    return this.span * least;
  }

  /** Publishes `count` rounds of all groups, and waits until everyone has its part. */
  async publish(count: number): Promise<void> {
    const { frameBytes } = ALL;
    const target = this.#published + count * GROUPS;
    const batch = Math.floor(WRITE_BYTES / frameBytes);
    while (this.#published < target) {
      const end = Math.min(this.#published + batch, target);
      await this.#until(() => end - this.#done() <= IN_FLIGHT * this.span);
      for (let at = this.#published * frameBytes; at < end * frameBytes;) {
        at += await this.#publisher!.write(ALL.slice(at, end * frameBytes));
      }
      this.#published = end;
    }
    await this.#until(() => this.#done() === target);
  }

  async #until(isTrue: () => boolean): Promise<void> {
    while (!this.#failure && !isTrue()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await within(STALL_MS, "Waiting for deliveries", promise);
    }
    if (this.#failure) throw this.#failure;
  }

  [Symbol.dispose](): void {
    this.#publisher?.close();
    for (const connection of this.#connections) connection.close();
  }
}

/** Lets a client hear the names of some groups, and waits until that is in force. */
async function subscribe(connection: Deno.TcpConn, groups: number[]): Promise<void> {
  const events = groups.map((group) => `topic.${String(group).padStart(2, "0")}.*`);
  const line = JSON.stringify({ control: "subscribe", events, id: "s" });
  await writeAll(connection, bytesOf(`${line}\n`));
  await readUntil(connection, (text) => text.endsWith("\n"));
}

async function measure(
  { folder, clients, groups }: Kind,
  deliveries: number,
  signal: AbortSignal,
): Promise<Sample> {
  await using relay = await ServerProcess.start(
    (port) => relayCommand(folder, port, false),
    { cpus: [SERVER_CPU], signal },
  );
  using crowd = new Crowd(groups);
  await crowd.connect(relay.port, clients);
  const rounds = Math.ceil(deliveries * crowd.span / GROUPS);
  await crowd.publish(Math.ceil(rounds / 4)); // for the compiler
  const cpu = relay.meterCpu();
  const before = performance.now();
  await crowd.publish(rounds);
  const seconds = (performance.now() - before) / 1000;
  const cpuMicros = cpu() ?? NaN;
  const delivered = clients * rounds * GROUPS / crowd.span;
  return { micros: cpuMicros / delivered, busy: cpuMicros / seconds / 1e6 };
}

/** The kinds of runs, those first with which others are compared. */
function kindsOf({ clients, folder }: Plan): Kind[] {
  const kind = (title: string, clients: number, groups: number, folder = ROOT): Kind => ({
    title,
    clients,
    groups,
    folder,
  });
  const few = Math.max(1, Math.round(clients / GROUPS));
  return [
    kind(`${clients} clients hear all`, clients, 0),
    kind(`${clients} clients hear 1 in 10`, clients, 10),
    kind(`${clients} clients hear 1 in 100`, clients, 1),
    kind(`${few} clients hear all`, few, 0),
    ...folder === null ? [] : [
      kind(`other: ${clients} clients hear all`, clients, 0, folder),
      kind(`other: ${few} clients hear all`, few, 0, folder),
    ],
  ];
}

async function run(plan: Plan, _: string[], signal: AbortSignal): Promise<void> {
  console.log(await describeMachine());
  console.log(`commit ${await describeCommit(ROOT)}`);
  console.log(
    `${format(plan.deliveries)} events of ${LINE_BYTES} bytes to each client; ` +
      `median (min–max) of ${plan.repeat}\n`,
  );
  await pinDriver();
  const cases = kindsOf(plan).map((kind) => ({ kind, samples: [] as Sample[] }));
  for (let i = 0; i < plan.repeat; i++) {
    for (const { kind, samples } of cases) {
      // Few clients get more each, so that there is something to measure.
      const factor = plan.clients / kind.clients;
      samples.push(await measure(kind, plan.deliveries * factor, signal));
    }
  }
  const micros = cases.map(({ samples }) => samples.map(({ micros }) => micros));
  const base = median(micros[0]!)!;
  cases.forEach(({ kind: { title }, samples }, i) => {
    const busy = summarise(samples.map(({ busy }) => 100 * busy));
    const ratio = format(median(micros[i]!)! / base, 2);
    console.log(
      `${title.padEnd(32)} relay CPU µs/delivery ${summarise(micros[i]!, 4)}, ` +
        `times the first ${ratio}, busy % ${busy}`,
    );
  });
}

if (import.meta.main) Deno.exit(await runCommand({ help: HELP, parse, run }, Deno.args));
