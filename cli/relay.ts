/**
 * The `relay` command: creates a relay from its options, and shuts it down on a signal.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { EbsocketError } from "../errors.ts";
import { printable, quote } from "../protocol/printable.ts";
import { type ClusterOptions, Relay, type RelayOptions } from "../relay.ts";
import { EbsocketServer, type ServerOptions } from "../server.ts";
import {
  type Endpoint,
  explainListenError,
  exposureWarning,
  formatWhere,
  localhostWarning,
} from "./hints.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  CLUSTER_VARIABLE,
  ENVIRONMENT_NOTE,
  inEnvironment,
  readText,
  readTls,
  readToken,
  TOKEN_VARIABLE,
} from "./credentials.ts";
import { explainNoReadOrWrite, messageOf, StartError, UsageError } from "./errors.ts";
import { checkWords } from "./flags.ts";
import { keepNote } from "./pattern.ts";
import { addressHint, isPlace, LISTEN_HINT } from "./target.ts";
import {
  type ClusterSettings,
  RELAY_GROUPS,
  type RelaySettings,
  toRelaySettings,
  withTermFlags,
} from "./relay_flags.ts";
import { Reporter } from "./reporter.ts";
import { loadDefinitions } from "./schema.ts";
import { firstSignal } from "./signals.ts";
import { print, printErr, writeOut } from "./stdio.ts";
import { hasTerminal } from "./terminal.ts";
import { Telemetry } from "./telemetry.ts";

/** The last part of the help. */
const NOTES = `A client is any program that writes lines of JSON to a TCP socket:
  nc 127.0.0.1 7982
  {"event":"message","__dict__":{"content":"hi"}}

The page at http://127.0.0.1:7982/ shows the relay. Other pages join with one import:
  import { EbsocketClient } from "http://127.0.0.1:7982/client.js";

Ctrl+C or SIGTERM sends the queued events, notifies the clients, and ends within 5 s. A second
signal ends the relay at once. Closing the terminal (SIGHUP) also stops it. If it was started without
a terminal, SIGHUP is logged and ignored.

${ENVIRONMENT_NOTE}

Minimum permissions: --allow-net=127.0.0.1:7982, with the NATS servers of a cluster; --allow-read
for files; --allow-env=EBSOCKETS_TOKEN,EBSOCKETS_CLUSTER. The folder of --history needs
--allow-read=DIR and --allow-write=DIR. A Unix socket needs the same two for its folder, and
--allow-net.`;

/** The `relay` command, which also runs if no command is named. */
export const relay: Command = defineCommand({
  name: "relay",
  summary: "Relay events between programs (the default command)",
  about: "Relay events between programs: every event that one client sends reaches every client.",
  usage: "[options]",
  examples: [
    "ebsockets                                       # in one terminal",
    "ebsockets sub                                   # in another: shows all events",
    "ebsockets pub message content=hi                # in a third: sends one",
    "ebsockets --host 0.0.0.0 --token-file token     # also for other machines",
  ],
  groups: RELAY_GROUPS,
  exits: {
    0: "Stopped by a signal",
    1: "Cannot listen, read a file, use the folder of the history, or join the cluster",
    130: "Ended at once by a second Ctrl+C (143: a second SIGTERM)",
  },
  notes: NOTES,
  async run({ values, words }) {
    const [word] = words;
    if (word !== undefined && (isPlace(word) || addressHint(word) !== null)) {
      throw new UsageError(`Unknown argument ${quote(word)}: ${LISTEN_HINT}`);
    }
    checkWords(words, 0);
    if (!values.version) {
      const token = inEnvironment(TOKEN_VARIABLE);
      return await run(toRelaySettings(values, token, inEnvironment(CLUSTER_VARIABLE)));
    }
    await print(`@ebsockets/relay ${config.version}`);
    return 0;
  },
});

/** Runs the relay until a signal arrives. Resolves to the exit code. */
async function run(settings: RelaySettings): Promise<number> {
  const reporter = new Reporter(settings.log, writeOut);
  const token = settings.token && await readToken(settings.token);
  const events = settings.schema === null ? null : await loadDefinitions(settings.schema);
  const cluster = settings.cluster && await readCluster(settings.cluster);
  const server = await listen(settings, reporter);
  const telemetry = Telemetry.open();
  const options: RelayOptions = {
    ...settings.options,
    ...(token !== null && { token }),
    ...(events && { events }),
    ...(cluster && { cluster }),
    observer: {
      onJoin(client) {
        reporter.onJoin(client);
        telemetry?.onJoin(client);
      },
      onFirstLine: (client) => reporter.onFirstLine(client),
      onLeave(client, info) {
        reporter.onLeave(client, info);
        telemetry?.onLeave(client, info);
      },
      onRefuse: (...refusal) => reporter.onRefuse(...refusal),
      onCluster: (state) => reporter.onCluster(state),
      onRelay: (relay, change) => reporter.onRelay(relay, change),
      onGap: (relay, events) => reporter.onGap(relay, events),
      onClusterFault: (fault) => reporter.onClusterFault(withTermFlags(fault)),
      onHistoryFault: (fault) => reporter.onHistoryFault(fault),
      onHistoryMended: () => reporter.onHistoryMended(),
    },
  };
  const relay = new Relay(server, options);
  telemetry?.watch(() => relay.stats());
  const { where, tls } = settings;
  const endpoint: Endpoint = {
    where: "path" in where ? where : server.address,
    hasToken: token !== null,
    hasPage: settings.options.web !== undefined,
    tls: !tls ? "none" : tls.clientCa === undefined ? "server" : "mutual",
  };
  // Before the log says that the relay runs: a signal sent after that must not kill it.
  const stopStats = reportStats(relay, reporter, settings.statsSeconds);
  const signalled = firstSignal({ hangup: true });
  if (!hasTerminal() && Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGHUP", () => reporter.ignored("SIGHUP"));
  }
  warn(settings, endpoint);
  try {
    await Promise.race([relay.ready, signalled]);
  } catch (error) {
    throw new StartError(explainStart(error, settings.options));
  }
  const { cluster: joined, history } = relay.stats();
  if (joined) reporter.joined(joined.relay, joined.relays.length);
  if (history) {
    const { folder = joined ? "cluster" : "memory" } = options.history!;
    reporter.historyOpened(folder, history);
  }
  reporter.listening(endpoint);
  try {
    const signal = await Promise.race([signalled, relay.closed.then(() => signalled)]);
    reporter.stopping(signal);
    await relay.close();
  } catch (error) {
    if (!(error instanceof EbsocketError)) throw error;
    throw new StartError(withTermFlags(error.message)); // It has met a relay with other terms.
  } finally {
    stopStats();
    await reporter.flush();
  }
  return 0;
}

/** Returns why the relay cannot let clients in, and what to do about it. */
function explainStart(error: unknown, { history }: RelayOptions): string {
  const folder = history?.folder;
  if (folder === undefined || !(error instanceof Deno.errors.NotCapable)) {
    return withTermFlags(messageOf(error));
  }
  return `Cannot keep the history in ${printable(folder)}: ${explainNoReadOrWrite(folder)}`;
}

/** What the files of a cluster's options should contain. */
const CLUSTER_FILES = {
  credentials: "the credentials",
  ca: "the authority of the NATS servers",
  cert: "the certificate for the NATS servers",
  key: "the key of the certificate for the NATS servers",
} as const;

async function readCluster(settings: ClusterSettings): Promise<ClusterOptions> {
  const { files, ...options } = settings;
  const contents: Record<string, string> = {};
  for (const [name, file] of Object.entries(files)) {
    contents[name] = await readText(file, CLUSTER_FILES[name as keyof typeof files]);
  }
  return { ...options, ...contents };
}

async function listen({ where, tls }: RelaySettings, reporter: Reporter): Promise<EbsocketServer> {
  const options: ServerOptions = {
    ...where,
    ...(tls && { tls: await readTls(tls) }),
    onAcceptError: (error) => reporter.acceptFailed(error),
  };
  try {
    return new EbsocketServer(options);
  } catch (error) {
    const place: Endpoint["where"] = "path" in where ? where : [where.hostname, where.port];
    const advice = explainListenError(error, place);
    throw new StartError(`Cannot listen on ${formatWhere(place)}: ${advice}`);
  }
}

/** Writes warnings and notes to standard error, whatever the format of the log. */
function warn({ where, token, options }: RelaySettings, endpoint: Endpoint): void {
  if (token && "text" in token && token.from === "--token") {
    printErr(
      "warning: others on this machine can see --token in the list of processes; " +
        "use --token-file instead",
    );
  }
  const localhost = "hostname" in where && !("path" in endpoint.where)
    ? localhostWarning(where.hostname, endpoint.where)
    : null;
  for (const warning of [exposureWarning(endpoint), localhost]) {
    if (warning) printErr(`warning: ${warning}`);
  }
  const { keep = [], keepLast = [] } = options.history ?? {};
  const notes = [
    ...keep.map((pattern) => keepNote("--keep", pattern)),
    ...keepLast.map((pattern) => keepNote("--keep-last", pattern)),
  ];
  for (const note of notes) if (note) printErr(note);
}

/**
 * Reports statistics on SIGUSR2, and every `seconds` if that is set. Returns a function that stops
 * the timer.
 */
function reportStats(relay: Relay, reporter: Reporter, seconds: number | null): () => void {
  const report = () => reporter.stats(relay.stats());
  relay.stats(); // Starts to watch the event loop, so that the first report has its delay.
  if (Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGUSR2", report);
    Deno.addSignalListener("SIGUSR1", () => {
      report();
      // Since 2.9.2, Deno opens its debugger on this signal, as Node does, and this cannot be
      // prevented.
      printErr(
        "warning: SIGUSR1 makes Deno open its debugger to this machine; use SIGUSR2 instead",
      );
    });
  }
  const timer = seconds === null ? undefined : setInterval(report, 1000 * seconds);
  return () => clearInterval(timer);
}
