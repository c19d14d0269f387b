/**
 * What the subscriptions of many clients cost the relays of a cluster: traffic between the relays,
 * time until a subscription is confirmed, and memory. Two relays on NATS, beside two without.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { freePort } from "../tests/support/free_port.ts";
import { refuseUnknown, runCommand, toInteger } from "./command.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { relayCommand } from "./peers_list.ts";
import { ServerProcess } from "./server_process.ts";
import { format, percentile } from "./stats.ts";
import { dial } from "./traffic.ts";
import { bytesOf, readUntil, writeAll } from "./wire.ts";

const HELP = `Measure what changing subscriptions cost the relays of a cluster.

Usage: deno run -A bench/interest.ts [options]

Options:
  --clients N      Clients of both relays together, each with a pattern of its own (default 10000)
  --changes N      Subscriptions that change in a second (default 500)
  --seconds N      For how long they change (default 10)
  --help           Show this help

Needs nats-server, and a limit of open files above the number of clients.
`;

const ROOT = Deno.realPathSync(new URL("..", import.meta.url));

/** Connections that are made at a time. */
const AT_A_TIME = 50;

/** How long the relays have to come to rest before their memory is read, in milliseconds. */
const REST_MS = 3000;

interface Plan {
  clients: number;
  changes: number;
  seconds: number;
}

/** What was measured. */
interface Figures {
  /** Traffic between the relays, in bytes a second. `null` without a cluster. */
  readonly bytesPerSecond: number | null;
  /** Times until a subscription was confirmed, sorted, in milliseconds. */
  readonly confirmedMs: Float64Array;
  /** Memory of the larger relay, in MiB. */
  readonly residentMib: number | null;
}

function parse(args: string[]): Plan | null {
  const flags = parseArgs(args, {
    string: ["clients", "changes", "seconds"],
    boolean: ["help"],
    default: { clients: "10000", changes: "500", seconds: "10" },
    unknown: refuseUnknown,
  });
  if (flags.help) return null;
  return {
    clients: toInteger("--clients", flags.clients, 100_000),
    changes: toInteger("--changes", flags.changes, 10_000),
    seconds: toInteger("--seconds", flags.seconds, 3600),
  };
}

async function run(plan: Plan, _: string[], signal: AbortSignal): Promise<void> {
  console.log(await describeMachine());
  console.log(`commit ${await describeCommit(ROOT)}`);
  const { clients, changes } = plan;
  console.log(`${format(clients)} clients and patterns, ${format(changes)} changes a second\n`);
  const monitor = freePort();
  await using nats = await ServerProcess.start((port) => ({
    program: "nats-server",
    args: ["-a", "127.0.0.1", "-p", `${port}`, "-m", `${monitor}`],
  }), { signal });
  const cluster = [`--cluster`, `nats://127.0.0.1:${nats.port}`];
  show("two relays", await measure(plan, [], null, signal));
  show("a cluster of two", await measure(plan, cluster, monitor, signal));
}

async function measure(
  plan: Plan,
  flags: readonly string[],
  monitor: number | null,
  signal: AbortSignal,
): Promise<Figures> {
  const start = () =>
    ServerProcess.start((port) => {
      const { args, ...rest } = relayCommand(ROOT, port, false);
      return { ...rest, args: [...args, ...flags] };
    }, { signal });
  await using one = await start();
  await using two = await start();
  const clients: Client[] = [];
  while (clients.length < plan.clients) {
    const some = Array.from({ length: AT_A_TIME }, (_, i) => clients.length + i);
    clients.push(...await Promise.all(some.map((n) => Client.connect(n % 2 ? one : two, n))));
  }
  const before = monitor === null ? 0 : await trafficOf(monitor);
  const times: number[] = [];
  const changing: Promise<unknown>[] = [];
  const began = performance.now();
  for (let n = 0; n < plan.changes * plan.seconds; n++) {
    const wait = began + 1000 * n / plan.changes - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    changing.push(clients[n % clients.length]!.change().then((ms) => times.push(ms)));
  }
  await Promise.all(changing);
  const seconds = (performance.now() - began) / 1000;
  const bytes = monitor === null ? null : await trafficOf(monitor) - before;
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  const kib = [one.residentKib(), two.residentKib()];
  const residentMib = kib.some((each) => each === null)
    ? null
    : Math.max(...kib as number[]) / 1024;
  for (const client of clients) client.close();
  return {
    bytesPerSecond: bytes && bytes / seconds,
    confirmedMs: Float64Array.from(times).sort(),
    residentMib,
  };
}

/** A client with one pattern at a time. */
class Client {
  readonly #connection: Deno.TcpConn;
  readonly #number: number;
  #changes = 0;

  private constructor(connection: Deno.TcpConn, number: number) {
    this.#connection = connection;
    this.#number = number;
  }

  static async connect({ port }: ServerProcess, number: number): Promise<Client> {
    const client = new Client(await dial(port), number);
    await client.#ask("subscribe", client.#pattern);
    return client;
  }

  get #pattern(): string {
    return `device.${this.#number}.${this.#changes}`;
  }

  /** Changes the pattern. Returns how long the new one took to be confirmed, in milliseconds. */
  async change(): Promise<number> {
    await this.#ask("unsubscribe", this.#pattern);
    this.#changes++;
    const began = performance.now();
    await this.#ask("subscribe", this.#pattern);
    return performance.now() - began;
  }

  async #ask(control: "subscribe" | "unsubscribe", pattern: string): Promise<void> {
    const line = JSON.stringify({ control, events: [pattern], id: "s" });
    await writeAll(this.#connection, bytesOf(`${line}\n`));
    const answer = await readUntil(this.#connection, (text) => text.endsWith("\n"));
    if (answer.trim() !== '{"control":"ack","id":"s"}') throw new Error(`Received ${answer}`);
  }

  close(): void {
    this.#connection.close();
  }
}

/** Bytes that a NATS server has received. */
async function trafficOf(monitor: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${monitor}/varz`);
  return (await response.json() as { in_bytes: number }).in_bytes;
}

function show(name: string, { bytesPerSecond, confirmedMs, residentMib }: Figures): void {
  const ms = (share: number) => `${(percentile(confirmedMs, share) ?? NaN).toFixed(1)} ms`;
  const traffic = bytesPerSecond === null ? "" : `, ${format(bytesPerSecond / 1000)} KB/s between`;
  const memory = residentMib === null ? "" : `, ${format(residentMib)} MiB a relay`;
  console.log(`${name}: confirmed in ${ms(0.5)}, p99 ${ms(0.99)}${traffic}${memory}`);
}

if (import.meta.main) Deno.exit(await runCommand({ help: HELP, parse, run }, Deno.args));
