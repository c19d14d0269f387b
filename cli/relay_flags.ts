/**
 * The options of the `relay` command, and their meaning as settings of a relay.
 *
 * @module
 */

import { checkClusterOptions } from "../cluster/nats_options.ts";
import { isLoopback } from "../protocol/address.ts";
import { checkHistoryOptions, HISTORY_SYNCS } from "../history/options.ts";
import { MAX_BATCH_DELAY, MAX_MAX_LINE_BYTES, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { quote } from "../protocol/printable.ts";
import type { HistoryOptions, RelayOptions } from "../relay.ts";
import { checkWebOptions, type WebOptions } from "../web/options.ts";
import { chooseToken, type TlsFiles, tlsFilesIn, type TokenSource } from "./credentials.ts";
import { messageOf, UsageError } from "./errors.ts";
import { flag, type FlagOf, type Group, type ValuesOf } from "./flags.ts";
import { LISTEN_HINT } from "./target.ts";

const CLUSTER_LOSSES = ["tell", "stop"] as const;

/** The longest age of a kept event, in milliseconds: a year. */
const MAX_KEEP_AGE_MS = 31_536_000_000;

const LOG_FORMATS = ["text", "json", "quiet"] as const;

/** The format of the log. */
export type LogFormat = typeof LOG_FORMATS[number];

/** The options of the `relay` command. */
export const RELAY_GROUPS = [
  {
    title: "Where",
    flags: [
      flag.text(
        "host",
        "HOST",
        "Address to listen on (default 127.0.0.1; localhost for 127.0.0.1 and ::1, 0.0.0.0 " +
          "for every IPv4 address of this machine, :: for every address)",
      ),
      flag.integer("port", "Port to listen on (default 7982; 0 for any free port)", {
        value: "PORT",
        min: 0,
        max: 65_535,
      }),
      flag.file("unix", "Listen on this Unix socket instead, for this user only", "PATH"),
    ],
    instead: { [LISTEN_HINT]: "listen bind address url p" },
  },
  {
    title: "Who may connect",
    flags: [
      flag.file(
        "token-file",
        "Require clients to send the token in this file (default: the environment variable " +
          "EBSOCKETS_TOKEN, which Deno reads only with -A or --allow-env=EBSOCKETS_TOKEN)",
      ),
      flag.text("token", "TOKEN", "Require this token, which others on this machine can see"),
      flag.file("tls-cert", "Use TLS with this certificate (PEM, with its chain)"),
      flag.file("tls-key", "Private key of the certificate (PEM)"),
      flag.file("tls-client-ca", "Require a client certificate from this authority (PEM)"),
      flag.integer("max-clients", "Maximum number of clients (default: no limit)"),
      flag.integer(
        "max-clients-per-address",
        "Maximum number of clients from one address (default: no limit)",
      ),
    ],
  },
  {
    title: "Browsers",
    flags: [
      flag.toggle(
        "web",
        "Serve the page, WebSockets and /metrics on the same port, or not (default: on where only " +
          "this machine can connect); elsewhere --web needs a token or --web-origin",
      ),
      flag.list(
        "web-origin",
        "ORIGIN",
        "Let pages of this origin join, such as https://chat.example (repeatable)",
      ),
      flag.list(
        "web-host",
        "NAME",
        "Accept this host name in the address of the page, such as that of a reverse proxy " +
          "(repeatable; IP addresses and localhost always work)",
      ),
      flag.switch("metrics-open", "Answer /metrics and /healthz to other machines without a token"),
    ],
  },
  {
    title: "Cluster",
    flags: [
      flag.text(
        "cluster",
        "URL,...",
        "Act as one with other relays that name the same NATS servers, such as " +
          "nats://10.0.0.1:4222 (default: the environment variable EBSOCKETS_CLUSTER, in whose " +
          "URLs may be a user and a password)",
      ),
      flag.text("cluster-name", "NAME", "Name of the cluster (default relays)"),
      flag.file("cluster-creds", "NATS credentials, with a JWT and a seed"),
      flag.file("cluster-ca", "Trust NATS servers with certificates from this authority (PEM)"),
      flag.file("cluster-cert", "Certificate for the NATS servers (PEM)"),
      flag.file("cluster-key", "Private key of this certificate (PEM)"),
      flag.choice(
        "cluster-loss",
        CLUSTER_LOSSES,
        "While the other relays cannot be reached, acknowledge events as ever and tell what was " +
          "lost (tell, the default), or acknowledge nothing (stop)",
      ),
    ],
  },
  {
    title: "History",
    flags: [
      flag.text(
        "history",
        "memory|DIR|cluster",
        "Keep events, so that clients can receive what they have missed: in memory, where they " +
          "are lost when the relay ends, in a folder, or with --cluster in JetStream (cluster)",
      ),
      flag.list(
        "keep",
        "PATTERN",
        "Keep only events whose names match this pattern (repeatable; default >, all events)",
      ),
      flag.duration("keep-age", "Drop events that are older, such as 7d (default: no limit)", {
        max: MAX_KEEP_AGE_MS,
      }),
      flag.integer(
        "keep-bytes",
        "Maximum size of all kept events, in bytes; beyond it the oldest are dropped (default " +
          "67108864); in a folder, at least 1048576 (default 1073741824, also in a cluster)",
        { min: 65_536, words: "from 65536, with a folder from 1048576, to 1099511627776" },
      ),
      flag.integer(
        "keep-count",
        "Maximum number of kept events (default: no limit); in a cluster, of messages with them, " +
          "and at least 256",
      ),
      flag.list(
        "keep-last",
        "PATTERN",
        "Keep the last event of each name that matches, whatever its age (repeatable)",
      ),
      flag.choice(
        "history-sync",
        HISTORY_SYNCS,
        "Acknowledge an event when it is on the disk (ack, the default), pass it on only then as well " +
          "(always), or do both when the operating system has it (never)",
      ),
    ],
  },
  {
    title: "Limits",
    flags: [
      flag.integer("max-line-bytes", "Maximum line length, in bytes (default 1048576)", {
        max: MAX_MAX_LINE_BYTES,
      }),
      flag.integer(
        "max-pending-bytes",
        "Maximum queue of one client, in bytes; a client that reads too slowly for it is " +
          "closed (default 8388608)",
      ),
      flag.integer(
        "max-total-pending-bytes",
        "Maximum of all client queues together, in bytes (default 536870912); unfinished lines " +
          "may use a quarter of it",
      ),
      flag.integer(
        "max-subscriptions",
        "Maximum number of patterns of one client (default 1000)",
      ),
      flag.integer(
        "max-total-subscriptions",
        "Maximum number of patterns of all clients together (default 200000); equal lists of " +
          "patterns count once",
      ),
      flag.integer("rate", "Maximum events a second from one client (default: no limit)", {
        value: "EVENTS",
      }),
      flag.integer("rate-bytes", "Maximum bytes a second from one client (default: no limit)", {
        value: "BYTES",
      }),
      flag.duration(
        "max-hold",
        "Maximum time for which a client that reads nothing may hold up publishers (default 250)",
        { min: 0 },
      ),
      flag.duration(
        "max-batch-delay",
        "Maximum time for which a busy relay may hold events to batch writes (default 20)",
        { min: 0, max: MAX_BATCH_DELAY },
      ),
      flag.duration("keep-alive", "Send something at least this often (default 25000)"),
      flag.duration(
        "write-timeout",
        "Close a client that accepts no byte of its queue for this long (default 30000)",
      ),
      flag.duration(
        "line-timeout",
        "Close a client that does not finish a line for this long (default 60000)",
      ),
      flag.duration(
        "retry-after",
        "On shutdown, ask clients to wait this long before they reconnect (default 0)",
        { min: 0, max: 3_600_000 },
      ),
    ],
  },
  {
    title: "Output",
    flags: [
      flag.choice("log", LOG_FORMATS, "Log format (default text; quiet logs only the address)"),
      flag.duration(
        "stats",
        "Print statistics as a line of JSON this often (also once on SIGUSR2)",
        { value: "SECONDS", max: Math.floor(MAX_TIMER_MS / 1000) },
      ),
    ],
  },
  {
    title: "Other",
    flags: [
      flag.switch("echo", "Do not send a client its own events", { negated: true }),
      flag.switch("subscribe-first", "Send clients no events until they subscribe"),
      flag.switch("inspect", "Do not report clients and statistics to clients", { negated: true }),
      flag.file(
        "schema",
        "Pass on only events that fit this module, which exports the result of defineEvents() " +
          'as default or "events"',
      ),
      flag.switch("version", "Show the version"),
    ],
  },
] as const satisfies readonly Group[];

/** The values of the options of the `relay` command. */
export type RelayValues = ValuesOf<FlagOf<typeof RELAY_GROUPS>>;

/** The TLS files of a relay. */
type RelayTlsFiles = TlsFiles & { readonly cert: string; readonly key: string };

/** The settings of a relay's cluster. */
export interface ClusterSettings {
  readonly servers: readonly string[];
  readonly name?: string;
  /** Files, by the options whose contents they have. */
  readonly files: { readonly [name in "credentials" | "ca" | "cert" | "key"]?: string };
}

/** The settings that the command line requests. */
export interface RelaySettings {
  /** The address or Unix socket to listen on. */
  readonly where: { readonly path: string } | { readonly hostname: string; readonly port: number };
  readonly token: TokenSource | null;
  readonly tls: RelayTlsFiles | null;
  /** The file with the definitions of the events, or `null`. */
  readonly schema: string | null;
  readonly options: RelayOptions;
  /** The cluster, with the names of files instead of their contents, or `null`. */
  readonly cluster: ClusterSettings | null;
  readonly log: LogFormat;
  /** How often to print statistics, in seconds, or `null` for never. */
  readonly statsSeconds: number | null;
}

/**
 * Returns the settings for the options and two variables of the environment: the token, and the
 * servers of the cluster.
 *
 * @throws {UsageError} If two options exclude each other, or one is missing.
 */
export function toRelaySettings(
  values: RelayValues,
  environmentToken: string | undefined,
  environmentCluster?: string,
): RelaySettings {
  const where = toWhere(values);
  const token = chooseToken(values, environmentToken);
  const cluster = toCluster(values, environmentCluster);
  return {
    where,
    token,
    tls: toTlsFiles(values),
    schema: values.schema ?? null,
    options: {
      ...toRelayOptions(values),
      ...toWeb(values, where, token !== null),
      ...toHistory(values, cluster !== null),
    },
    cluster,
    log: values.log ?? "text",
    statsSeconds: values.stats ?? null,
  };
}

function toWhere(values: RelayValues): RelaySettings["where"] {
  const { unix, host: hostname = "127.0.0.1", port = 7982 } = values;
  if (unix === undefined) return { hostname, port };
  const names = ["host", "port", "tls-cert", "tls-key", "tls-client-ca"] as const;
  const other = names.find((name) => values[name] !== undefined);
  if (other) throw new UsageError(`--unix and --${other} exclude each other`);
  return { path: unix };
}

/** The options that have no effect if browsers may not come in. */
const WEB_FLAGS = ["web-origin", "web-host", "metrics-open"] as const;

/** Returns the option `web` of the relay, or nothing if browsers may not come in. */
function toWeb(
  values: RelayValues,
  where: RelaySettings["where"],
  hasToken: boolean,
): Pick<RelayOptions, "web"> {
  const used = WEB_FLAGS.find((name) => isUsed(values[name]));
  if (values.web === false) {
    if (used) throw new UsageError(`--no-web and --${used} exclude each other`);
    return {};
  }
  const isLocal = "hostname" in where && isLoopback(where.hostname);
  if (!values.web && !isLocal) {
    if (used) {
      throw new UsageError(
        `--${used} needs --web too, which is on by default only for loopback addresses`,
      );
    }
    return {};
  }
  const origins = values["web-origin"];
  if (!isLocal && !hasToken && origins.length === 0) {
    throw new UsageError(
      "--web lets the browser of anyone who can connect join: require a token with --token-file, " +
        "or name the pages that may join with --web-origin",
    );
  }
  const hosts = values["web-host"];
  checkWeb({ origins, hosts });
  return { web: { origins, hosts, metricsOpen: values["metrics-open"] } };
}

/** Checks the values of the flags, and names these instead of the options. */
function checkWeb(options: WebOptions): void {
  try {
    checkWebOptions(options, false);
  } catch (error) {
    const message = messageOf(error).replace("web.origins", "--web-origin");
    throw new UsageError(message.replace("web.hosts", "--web-host"));
  }
}

function isUsed(value: boolean | readonly string[]): boolean {
  return typeof value === "boolean" ? value : value.length > 0;
}

function toTlsFiles(values: RelayValues): RelayTlsFiles | null {
  const { cert, key, ...others } = tlsFilesIn(values);
  if (cert !== undefined && key !== undefined) return { cert, key, ...others };
  if (others.clientCa === undefined) return null;
  throw new UsageError("--tls-client-ca needs --tls-cert and --tls-key too");
}

/** The options that have no effect without a cluster. */
const CLUSTER_FLAGS = [
  "cluster-name",
  "cluster-creds",
  "cluster-ca",
  "cluster-cert",
  "cluster-key",
  "cluster-loss",
] as const;

function toCluster(values: RelayValues, inEnvironment: string | undefined): ClusterSettings | null {
  const { cluster = inEnvironment, "cluster-name": name } = values;
  const used = CLUSTER_FLAGS.find((flag) => values[flag] !== undefined);
  if (cluster === undefined) {
    if (used) throw new UsageError(`--${used} needs --cluster too`);
    return null;
  }
  if (values.cluster !== undefined && /:[^/@]*@/.test(values.cluster.replaceAll("://", ""))) {
    throw new UsageError(
      "--cluster has a password, which others on this machine can see: put the URL into the " +
        "environment variable EBSOCKETS_CLUSTER, or use --cluster-creds",
    );
  }
  const files = {
    credentials: values["cluster-creds"],
    ca: values["cluster-ca"],
    cert: values["cluster-cert"],
    key: values["cluster-key"],
  };
  const given = Object.entries(files).filter(([, file]) => file !== undefined);
  const servers = cluster.split(",").map((url) => url.trim());
  const options = { servers, ...(name !== undefined && { name }) };
  checkCluster(options, values.cluster === undefined ? "EBSOCKETS_CLUSTER" : "--cluster");
  return { ...options, files: Object.fromEntries(given) };
}

/** Checks the servers and the name of a cluster, and names the flags instead of the options. */
function checkCluster(options: { servers: string[]; name?: string }, source: string): void {
  if (options.servers.slice(1).some((url) => !url.includes("://"))) {
    throw new UsageError(`${source} has a comma inside of a URL: write it as %2C`);
  }
  try {
    checkClusterOptions(options);
  } catch (error) {
    const text = messageOf(error).replace("Invalid cluster.servers", source)
      .replace("Invalid cluster.name", "--cluster-name");
    throw new UsageError(text);
  }
}

/** The options that have no effect without a history. */
const HISTORY_FLAGS = [
  "keep",
  "keep-age",
  "keep-bytes",
  "keep-count",
  "keep-last",
  "history-sync",
] as const;

/** Words that a folder of a history hardly has as its name, by what to write instead. */
const FOREIGN_HISTORIES: Readonly<Record<string, string>> = {
  "leave it out to keep nothing": "none off no false null",
  "write memory to keep events until the relay ends": "on yes true mem ram in-memory",
  "name a folder, such as /var/lib/relay": "disk file folder dir directory path persistent",
  "write cluster to keep events in JetStream": "jetstream nats shared",
  "nothing else is supported": "redis kafka rabbitmq sqlite postgres postgresql mysql s3",
};

/** Returns the option `history` of the relay, or nothing if it keeps no events. */
function toHistory(values: RelayValues, hasCluster: boolean): Pick<RelayOptions, "history"> {
  if (values.history === undefined) {
    const used = HISTORY_FLAGS.find((name) => [values[name] ?? []].flat().length > 0);
    if (used) throw new UsageError(`--${used} needs --history too`);
    return {};
  }
  const { keep, "keep-last": keepLast } = values;
  const numbers = {
    keepAge: values["keep-age"],
    keepBytes: values["keep-bytes"],
    keepCount: values["keep-count"],
  };
  const { history: where, "history-sync": sync } = values;
  const word = where.toLowerCase();
  if (where !== word && (word === "memory" || word === "cluster")) {
    const folder = `a folder such as ./${where}`;
    throw new UsageError(`--history must be ${word}, or ${folder}, not ${quote(where)}`);
  }
  for (const [advice, words] of Object.entries(FOREIGN_HISTORIES)) {
    if (!words.split(" ").includes(word)) continue;
    const folder = `for a folder with this name, write ./${where}`;
    throw new UsageError(
      `--history must be memory, a folder or cluster, not ${quote(where)}: ${advice}; ${folder}`,
    );
  }
  if (hasCluster && where !== "cluster") {
    throw new UsageError(
      "--history must be cluster with --cluster, since the relays keep events together in JetStream",
    );
  }
  if (!hasCluster && where === "cluster") {
    throw new UsageError("--history cluster needs --cluster too; for a folder, write ./cluster");
  }
  if (where === "cluster" && sync !== undefined) {
    throw new UsageError("--history-sync needs a folder in --history; JetStream decides by itself");
  }
  if (where === "memory" && sync !== undefined) {
    throw new UsageError("--history-sync needs a folder in --history");
  }
  const history = {
    ...(where !== "memory" && where !== "cluster" && { folder: where }),
    ...(sync !== undefined && { sync }),
    ...(keep.length > 0 && { keep }),
    ...(keepLast.length > 0 && { keepLast }),
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
  };
  checkHistory(history, hasCluster);
  return { history };
}

/** Checks the values of the flags, and names these instead of the options. */
function checkHistory(options: HistoryOptions, hasCluster: boolean): void {
  try {
    checkHistoryOptions(options, hasCluster);
  } catch (error) {
    const flags = messageOf(error).replace("history.keepLast", "--keep-last")
      .replace("history.keepBytes", "--keep-bytes").replace("history.keep", "--keep");
    throw new UsageError(flags);
  }
}

function toRelayOptions(values: RelayValues): RelayOptions {
  const numbers = {
    maxClients: values["max-clients"],
    maxClientsPerAddress: values["max-clients-per-address"],
    maxLineBytes: values["max-line-bytes"],
    maxPendingBytes: values["max-pending-bytes"],
    maxTotalPendingBytes: values["max-total-pending-bytes"],
    maxSubscriptions: values["max-subscriptions"],
    maxTotalSubscriptions: values["max-total-subscriptions"],
    maxEventsPerSecond: values.rate,
    maxBytesPerSecond: values["rate-bytes"],
    maxHold: values["max-hold"],
    maxBatchDelay: values["max-batch-delay"],
    keepAliveInterval: values["keep-alive"],
    writeTimeout: values["write-timeout"],
    lineTimeout: values["line-timeout"],
    retryAfter: values["retry-after"],
  };
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  return {
    echo: values.echo,
    subscribeFirst: values["subscribe-first"],
    inspect: values.inspect,
    ...(values["cluster-loss"] !== undefined && { clusterLoss: values["cluster-loss"] }),
    ...Object.fromEntries(given),
  };
}

/** How the terms of a cluster are called on the command line. */
const TERM_FLAGS: Readonly<Record<string, string>> = {
  keep: "--keep",
  keepLast: "--keep-last",
  maxLineBytes: "--max-line-bytes",
  subscribeFirst: "--subscribe-first",
  echo: "echo (--no-echo)",
  events: "list of events (--schema)",
};

/** Returns the text about two relays with different terms, with the names of flags. */
export function withTermFlags(text: string): string {
  return text.replace(/\bits (\w+) is\b/, (words, term) => {
    return Object.hasOwn(TERM_FLAGS, term) ? `its ${TERM_FLAGS[term]} is` : words;
  });
}
