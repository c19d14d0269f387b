/**
 * Owns the command: flags to options, signals to an orderly end, what happens to log lines. Must not
 * know protocol details.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Address, formatAddress } from "./address.ts";
import config from "./deno.json" with { type: "json" };
import type { CloseInfo } from "./errors.ts";
import { Log } from "./log.ts";
import { printable, quote } from "./printable.ts";
import { Relay, type RelayClient, type RelayOptions } from "./relay.ts";
import { EbsocketServer } from "./server.ts";

const HELP = `Relay events between programs: every event that one client sends reaches every client.

Usage: deno run -A jsr:@ebsockets/relay [options]

Options:
  --host HOST              Address to listen on (default 127.0.0.1; 0.0.0.0 is every
                           IPv4 address of this machine, :: every address)
  --port PORT              Port to listen on (default 7982; 0 picks a free one)
  --no-echo                Do not send a client its own events
  --max-line-bytes N       Longest line, in bytes (default 1048576)
  --max-pending-bytes N    Most that may wait for one client, in bytes; a client that
                           reads too slowly for that is closed (default 8388608)
  --max-clients N          Most clients at a time (default: no limit)
  --log text|json|quiet    How to log who joins and leaves (default text; quiet
                           says only where it listens)
  -h, --help               Show this help
  --version                Show the version

A client is anything that writes lines of JSON to a TCP socket:
  nc 127.0.0.1 7982
  {"event":"message","__dict__":{"content":"hi"}}

Ctrl+C or SIGTERM sends what is queued, tells the clients, and ends, within 5 s. A
second one ends at once.

Least permissions: --allow-net=127.0.0.1:7982
`;

/**
 * How soon after the first signal another one counts, in milliseconds. Ctrl+C under `deno task` or
 * npx arrives twice: from the terminal, and passed on by the parent.
 */
const SECOND_SIGNAL_MS = 500;

/** How long the last log lines may take to be written, in milliseconds. */
const LOG_TIMEOUT = 1000;

type LogFormat = "text" | "json" | "quiet";
const LOG_FORMATS: readonly string[] = ["text", "json", "quiet"] satisfies LogFormat[];

/** What the command line asks for. */
interface Command {
  hostname: string;
  port: number;
  log: LogFormat;
  options: RelayOptions;
}

/** A command line that makes no sense. */
class UsageError extends Error {}

/** Runs the command. Resolves to its exit code. */
export async function main(args: string[]): Promise<number> {
  try {
    const command = parse(args);
    if (typeof command === "string") {
      console.log(command);
      return 0;
    }
    return await run(command);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`error: ${error.message}; --help shows the options`);
    return 2;
  }
}

/** The command that `args` make, or the text that they ask for. */
function parse(args: string[]): Command | string {
  const valued = args.find((arg) => /^--(no-)?(echo|help|version)=/.test(arg));
  if (valued) throw new UsageError(`${valued.split("=")[0]} takes no value`);
  const flags = parseArgs(args, {
    string: ["host", "port", "max-line-bytes", "max-pending-bytes", "max-clients", "log"],
    boolean: ["echo", "help", "version"],
    negatable: ["echo"],
    alias: { h: "help" },
    "--": true,
    default: { host: "127.0.0.1", port: "7982", log: "text", echo: true },
    unknown(arg: string, key?: string) {
      throw new UsageError(`Unknown ${key === undefined ? "argument" : "option"} ${quote(arg)}`);
    },
  });
  const surplus = [...flags._, ...flags["--"]];
  if (surplus.length > 0) throw new UsageError(`Unknown argument ${quote(`${surplus[0]}`)}`);
  if (flags.help) return HELP.trimEnd();
  if (flags.version) return `@ebsockets/relay ${config.version}`;
  if (!flags.host) throw new UsageError("--host needs an address");
  if (!LOG_FORMATS.includes(flags.log)) {
    throw new UsageError(`--log must be text, json or quiet, not ${quote(flags.log)}`);
  }
  const maxLineBytes = toInteger("--max-line-bytes", flags["max-line-bytes"], 1, 2 ** 30);
  const maxPendingBytes = toInteger("--max-pending-bytes", flags["max-pending-bytes"], 1);
  const maxClients = toInteger("--max-clients", flags["max-clients"], 1);
  return {
    hostname: flags.host,
    port: toInteger("--port", flags.port, 0, 65535)!,
    log: flags.log as LogFormat,
    options: {
      echo: flags.echo,
      ...(maxLineBytes !== undefined && { maxLineBytes }),
      ...(maxPendingBytes !== undefined && { maxPendingBytes }),
      ...(maxClients !== undefined && { maxClients }),
    },
  };
}

/** The number that a flag gives, if it is given. */
function toInteger(
  flag: string,
  text: string | undefined,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text === "") throw new UsageError(`${flag} needs a value`);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `of at least ${least}`
    : `from ${least} to ${most}`;
  throw new UsageError(`${flag} must be an integer ${range}, not ${quote(text)}`);
}

/** Relays until a signal comes. */
async function run({ hostname, port, log, options }: Command): Promise<number> {
  const reporter = new Reporter(log, new Log((bytes) => Deno.stdout.write(bytes)));
  let server: EbsocketServer;
  try {
    const onAcceptError = (error: unknown) => reporter.acceptFailed(error);
    server = new EbsocketServer({ hostname, port, onAcceptError });
  } catch (error) {
    const where = formatAddress([hostname, port]);
    console.error(`error: Cannot listen on ${where}: ${advise(error, where)}`);
    return 1;
  }
  let clients = 0;
  const relay = new Relay(server, {
    ...options,
    observer: {
      onJoin: (client) => reporter.joined(client, ++clients),
      onLeave: (client, info) => reporter.left(client, info, --clients),
      onRefuse: (address, reason) => reporter.refused(address, reason),
    },
  });
  reporter.listening(server.address);
  const signal = await firstSignal();
  reporter.stopping(signal, clients);
  await relay.close();
  await reporter.log.flush(LOG_TIMEOUT);
  return 0;
}

/** Waits for a signal to stop; another one that is not its echo ends the process at once. */
function firstSignal(): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  const numbers = Deno.build.os === "windows"
    ? { SIGINT: 2, SIGBREAK: 21 }
    : { SIGINT: 2, SIGTERM: 15 };
  let first: number | null = null;
  for (const [name, number] of Object.entries(numbers)) {
    Deno.addSignalListener(name as Deno.Signal, () => {
      const now = performance.now();
      first ??= now;
      if (now - first >= SECOND_SIGNAL_MS) Deno.exit(128 + number);
      resolve(name as Deno.Signal);
    });
  }
  return promise;
}

/** What went wrong with listening, and what to do about it. */
function advise(error: unknown, where: string): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the port is taken; stop the program that listens there, or choose another with --port";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno does not permit it; run it with -A or --allow-net=${where}`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not permit it; choose a port from 1024 on with --port";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address; choose one that it has with --host";
  }
  return `${printable(error instanceof Error ? error.message : String(error))}; check --host`;
}

/** Writes one line for each thing that happens, and nothing that a peer could have made up raw. */
class Reporter {
  constructor(readonly format: LogFormat, readonly log: Log) {}

  listening(address: Address): void {
    const [hostname, port] = address;
    if (this.format === "json") return this.#log("listening", "", { hostname, port });
    this.log.add(`Relay listening on ${formatAddress(address)}`);
    this.log.add(`Try it: nc ${hostname.replace(/^(0\.0\.0\.0|::)$/, "127.0.0.1")} ${port}`);
    if (!/^(127\.|::1$)/.test(hostname)) {
      this.log.add("Everyone who can reach this address can join: there is no password yet");
    }
  }

  joined({ id, address }: RelayClient, clients: number): void {
    const text = `client ${id} joined from ${formatAddress(address)} (${clients} connected)`;
    this.#log("join", text, { client: id, address: formatAddress(address), clients });
  }

  left(client: RelayClient, info: CloseInfo, clients: number): void {
    const { id, address, eventsIn, eventsOut, bytesIn, bytesOut } = client;
    const { reason, unsentLines, unsentBytes } = info;
    const detail = printable(info.detail);
    const text = `client ${id} left: ${reason}${detail && ` (${detail})`}; ` +
      `events ${eventsIn} in, ${eventsOut} out, ${unsentLines} unsent; ` +
      `bytes ${bytesIn} in, ${bytesOut} out (${clients} connected)`;
    this.#log("leave", text, {
      client: id,
      address: formatAddress(address),
      reason,
      detail,
      eventsIn,
      eventsOut,
      bytesIn,
      bytesOut,
      unsentLines,
      unsentBytes,
      clients,
    });
  }

  refused(address: Address, reason: string): void {
    const from = formatAddress(address);
    this.#log("refuse", `refused a client from ${from}: ${reason}`, { address: from, reason });
  }

  acceptFailed(error: unknown): void {
    const detail = printable(error instanceof Error ? error.message : String(error));
    this.#log("accept-error", `cannot accept a connection: ${detail}`, { detail });
  }

  stopping(signal: string, clients: number): void {
    const text = `stopping on ${signal} (${clients} connected); once more ends it at once`;
    this.#log("stop", text, { signal, clients });
  }

  #log(type: string, text: string, fields: Record<string, string | number>): void {
    if (this.format === "quiet") return;
    const time = new Date().toISOString();
    this.log.add(
      this.format === "json" ? JSON.stringify({ time, type, ...fields }) : `${time} ${text}`,
    );
  }
}
