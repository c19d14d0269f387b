/**
 * Owns the life of the command: from its arguments to a relay, from signals to an orderly end. Must
 * not know protocol details.
 *
 * @module
 */

import { adviseOnListening, type Endpoint, formatWhere, warnAbout } from "./advice.ts";
import { readTls, readToken, StartError, tokenInEnvironment } from "./credentials.ts";
import config from "./deno.json" with { type: "json" };
import { type Command, parse, UsageError } from "./flags.ts";
import { HELP } from "./help.ts";
import { Relay, type RelayOptions } from "./relay.ts";
import { Reporter } from "./reporter.ts";
import { EbsocketServer, type ServerOptions } from "./server.ts";
import { Telemetry } from "./telemetry.ts";

/**
 * How soon after the first signal another one counts, in milliseconds. Ctrl+C under `deno task` or
 * npx arrives twice: from the terminal, and passed on by the parent.
 */
const SECOND_SIGNAL_MS = 500;

/** How long the last log lines may take to be written, in milliseconds. */
const LOG_TIMEOUT = 1000;

/** Runs the command. Resolves to its exit code. */
export async function main(args: string[]): Promise<number> {
  try {
    const command = parse(args, tokenInEnvironment());
    if (typeof command === "object") return await run(command);
    console.log(command === "help" ? HELP : `@ebsockets/relay ${config.version}`);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`error: ${error.message}; --help shows the options`);
      return 2;
    }
    if (!(error instanceof StartError)) throw error;
    console.error(`error: ${error.message}`);
    return 1;
  }
}

/** Relays until a signal comes. */
async function run(command: Command): Promise<number> {
  const reporter = new Reporter(command.log, (bytes) => Deno.stdout.write(bytes));
  const token = command.token && await readToken(command.token);
  const server = await listen(command, reporter);
  const telemetry = Telemetry.open();
  let clients = 0;
  const options: RelayOptions = {
    ...command.options,
    ...(token !== null && { token }),
    observer: {
      onJoin(client) {
        reporter.joined(client, ++clients);
        telemetry?.joined(client);
      },
      onLeave(client, info) {
        reporter.left(client, info, --clients);
        telemetry?.left(client, info);
      },
      onRefuse: (address, reason, detail) => reporter.refused(address, reason, detail),
    },
  };
  const relay = new Relay(server, options);
  telemetry?.watch(() => relay.stats());
  const { where, tls } = command;
  const endpoint: Endpoint = {
    where: "path" in where ? where : server.address,
    hasToken: token !== null,
    tls: !tls ? "none" : tls.clientCa === undefined ? "server" : "mutual",
  };
  // Before anybody can know that it runs, and send a signal that would end it.
  const stopStats = reportStats(relay, reporter, command.statsSeconds);
  const signalled = firstSignal();
  warn(command, endpoint);
  reporter.listening(endpoint);
  const signal = await signalled;
  reporter.stopping(signal, clients);
  await relay.close();
  stopStats();
  await reporter.flush(LOG_TIMEOUT);
  return 0;
}

async function listen({ where, tls }: Command, reporter: Reporter): Promise<EbsocketServer> {
  const options: ServerOptions = {
    ...where,
    ...(tls && { tls: await readTls(tls) }),
    onAcceptError: (error) => reporter.acceptFailed(error),
  };
  try {
    return new EbsocketServer(options);
  } catch (error) {
    const place: Endpoint["where"] = "path" in where ? where : [where.hostname, where.port];
    const advice = adviseOnListening(error, place);
    throw new StartError(`Cannot listen on ${formatWhere(place)}: ${advice}`);
  }
}

/** Says on standard error what to beware of, whatever the format of the log. */
function warn({ token }: Command, endpoint: Endpoint): void {
  if (token && "text" in token && token.from === "--token") {
    console.error(
      "warning: others on this machine can see --token in the list of processes; " +
        "use --token-file instead",
    );
  }
  const danger = warnAbout(endpoint);
  if (danger) console.error(`warning: ${danger}`);
}

/** Reports stats on SIGUSR2, and every so many seconds if asked to. Returns how to stop that. */
function reportStats(relay: Relay, reporter: Reporter, seconds: number | null): () => void {
  const report = () => reporter.stats(relay.stats());
  relay.stats(); // From now on the event loop is watched, so that the first report can tell.
  if (Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGUSR2", report);
    Deno.addSignalListener("SIGUSR1", () => {
      report();
      // Since 2.9.2 Deno does that by itself, as Node does, and nothing can keep it from doing so.
      console.error(
        "warning: SIGUSR1 has made Deno open its debugger to this machine; use SIGUSR2 instead",
      );
    });
  }
  const timer = seconds === null ? undefined : setInterval(report, 1000 * seconds);
  return () => clearInterval(timer);
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
