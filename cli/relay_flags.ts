/**
 * The options of the `relay` command, and their meaning as settings of a relay.
 *
 * @module
 */

import { MAX_BATCH_DELAY, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import type { RelayOptions } from "../relay.ts";
import { chooseToken, type TlsFiles, type TokenSource } from "./credentials.ts";
import { UsageError } from "./errors.ts";
import type { FlagOf, Group, ValuesOf } from "./flags.ts";
import { LONGEST_LINE_BYTES } from "./file_checker.ts";
import { LISTENING_ADVICE } from "./target.ts";

const LOG_FORMATS = ["text", "json", "quiet"] as const;

/** The format of the log. */
export type LogFormat = typeof LOG_FORMATS[number];

/** The options of the `relay` command. */
export const RELAY_GROUPS = [
  {
    title: "Where",
    flags: [
      {
        kind: "text",
        name: "host",
        value: "HOST",
        text: "Address to listen on (default 127.0.0.1; localhost for 127.0.0.1 and ::1, 0.0.0.0 " +
          "for every IPv4 address of this machine, :: for every address)",
      },
      {
        kind: "integer",
        name: "port",
        value: "PORT",
        least: 0,
        most: 65_535,
        text: "Port to listen on (default 7982; 0 for any free port)",
      },
      {
        kind: "file",
        name: "unix",
        value: "PATH",
        text: "Listen on this Unix socket instead, for this user only",
      },
    ],
    instead: Object.fromEntries(
      ["listen", "bind", "address", "url", "p"].map((name) => [name, LISTENING_ADVICE]),
    ),
  },
  {
    title: "Who may connect",
    flags: [
      {
        kind: "file",
        name: "token-file",
        value: "FILE",
        text: "Require clients to send the token in this file (default: the environment variable " +
          "EBSOCKETS_TOKEN, which Deno reads only with -A or --allow-env=EBSOCKETS_TOKEN)",
      },
      {
        kind: "text",
        name: "token",
        value: "TOKEN",
        text: "Require this token, which others on this machine can see",
      },
      {
        kind: "file",
        name: "tls-cert",
        value: "FILE",
        text: "Use TLS with this certificate (PEM, with its chain)",
      },
      {
        kind: "file",
        name: "tls-key",
        value: "FILE",
        text: "Private key of the certificate (PEM)",
      },
      {
        kind: "file",
        name: "tls-client-ca",
        value: "FILE",
        text: "Require a client certificate from this authority (PEM)",
      },
      {
        kind: "integer",
        name: "max-clients",
        value: "N",
        least: 1,
        text: "Maximum number of clients (default: no limit)",
      },
      {
        kind: "integer",
        name: "max-clients-per-address",
        value: "N",
        least: 1,
        text: "Maximum number of clients from one address (default: no limit)",
      },
    ],
  },
  {
    title: "Limits",
    flags: [
      {
        kind: "integer",
        name: "max-line-bytes",
        value: "N",
        least: 1,
        most: LONGEST_LINE_BYTES,
        text: "Maximum line length, in bytes (default 1048576)",
      },
      {
        kind: "integer",
        name: "max-pending-bytes",
        value: "N",
        least: 1,
        text: "Maximum queue of one client, in bytes; a client that reads too slowly for it is " +
          "closed (default 8388608)",
      },
      {
        kind: "integer",
        name: "max-total-pending-bytes",
        value: "N",
        least: 1,
        text:
          "Maximum of all client queues together, in bytes (default 536870912); unfinished lines " +
          "may use a quarter of it",
      },
      {
        kind: "integer",
        name: "max-subscriptions",
        value: "N",
        least: 1,
        text: "Maximum number of patterns of one client (default 1000)",
      },
      {
        kind: "integer",
        name: "max-total-subscriptions",
        value: "N",
        least: 1,
        text:
          "Maximum number of patterns of all clients together (default 200000); equal lists of " +
          "patterns count once",
      },
      {
        kind: "integer",
        name: "rate",
        value: "EVENTS",
        least: 1,
        text: "Maximum events a second from one client (default: no limit)",
      },
      {
        kind: "integer",
        name: "rate-bytes",
        value: "BYTES",
        least: 1,
        text: "Maximum bytes a second from one client (default: no limit)",
      },
      {
        kind: "duration",
        name: "max-hold",
        value: "MS",
        least: 0,
        most: MAX_TIMER_MS,
        text:
          "Maximum time for which a client that reads nothing may hold up publishers (default 250)",
      },
      {
        kind: "duration",
        name: "max-batch-delay",
        value: "MS",
        least: 0,
        most: MAX_BATCH_DELAY,
        text: "Maximum time for which a busy relay may hold events to batch writes (default 20)",
      },
      {
        kind: "duration",
        name: "keep-alive",
        value: "MS",
        least: 1,
        most: MAX_TIMER_MS,
        text: "Send something at least this often (default 25000)",
      },
      {
        kind: "duration",
        name: "write-timeout",
        value: "MS",
        least: 1,
        most: MAX_TIMER_MS,
        text: "Close a client that accepts no byte of its queue for this long (default 30000)",
      },
      {
        kind: "duration",
        name: "line-timeout",
        value: "MS",
        least: 1,
        most: MAX_TIMER_MS,
        text: "Close a client that does not finish a line for this long (default 60000)",
      },
      {
        kind: "duration",
        name: "retry-after",
        value: "MS",
        least: 0,
        most: 3_600_000,
        text: "On shutdown, ask clients to wait this long before they reconnect (default 0)",
      },
    ],
  },
  {
    title: "Output",
    flags: [
      {
        kind: "choice",
        name: "log",
        choices: LOG_FORMATS,
        text: "Log format (default text; quiet logs only the address)",
      },
      {
        kind: "duration",
        name: "stats",
        value: "SECONDS",
        least: 1,
        most: Math.floor(MAX_TIMER_MS / 1000),
        text: "Print statistics as a line of JSON this often (also once on SIGUSR2)",
      },
    ],
  },
  {
    title: "Other",
    flags: [
      {
        kind: "switch",
        name: "echo",
        negated: true,
        text: "Do not send a client its own events",
      },
      {
        kind: "switch",
        name: "subscribe-first",
        text: "Send clients no events until they subscribe",
      },
      {
        kind: "switch",
        name: "inspect",
        negated: true,
        text: "Do not report clients and statistics to clients",
      },
      {
        kind: "file",
        name: "schema",
        value: "FILE",
        text:
          "Pass on only events that fit this module, which exports the result of defineEvents() " +
          'as default or "events"',
      },
      { kind: "switch", name: "version", text: "Show the version" },
    ],
  },
] as const satisfies readonly Group[];

/** The values of the options of the `relay` command. */
export type RelayValues = ValuesOf<FlagOf<typeof RELAY_GROUPS>>;

/** The settings that the command line requests. */
export interface RelaySettings {
  /** The address or Unix socket to listen on. */
  readonly where: { readonly path: string } | { readonly hostname: string; readonly port: number };
  readonly token: TokenSource | null;
  readonly tls: TlsFiles | null;
  /** The file with the definitions of the events, or `null`. */
  readonly schema: string | null;
  readonly options: RelayOptions;
  readonly log: LogFormat;
  /** How often to print statistics, in seconds, or `null` for never. */
  readonly statsSeconds: number | null;
}

/**
 * Returns the settings for the options and `environmentToken`.
 *
 * @throws {UsageError} If two options exclude each other, or one is missing.
 */
export function toRelaySettings(
  values: RelayValues,
  environmentToken: string | undefined,
): RelaySettings {
  return {
    where: toWhere(values),
    token: chooseToken(values, environmentToken),
    tls: toTlsFiles(values),
    schema: values.schema ?? null,
    options: toRelayOptions(values),
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

function toTlsFiles(values: RelayValues): TlsFiles | null {
  const { "tls-cert": cert, "tls-key": key, "tls-client-ca": clientCa } = values;
  if (cert !== undefined && key !== undefined) {
    return { cert, key, ...(clientCa !== undefined && { clientCa }) };
  }
  if (cert !== undefined) throw new UsageError("--tls-cert needs --tls-key too");
  if (key !== undefined) throw new UsageError("--tls-key needs --tls-cert too");
  if (clientCa !== undefined) {
    throw new UsageError("--tls-client-ca needs --tls-cert and --tls-key too");
  }
  return null;
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
    ...Object.fromEntries(given),
  };
}
