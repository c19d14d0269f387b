/**
 * Owns the command line: arguments to options. Must not read files, nor know what the options do.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { MAX_TIMER_MS } from "./limits.ts";
import { quote } from "./printable.ts";
import { faultOfToken } from "./token.ts";
import type { RelayOptions } from "./relay.ts";

/** How the log is written. */
export type LogFormat = "text" | "json" | "quiet";

/** Where the token comes from: a file, or a text that was given somewhere. */
export type TokenSource = { readonly file: string } | { readonly from: string; text: string };

/** The files with what TLS needs. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

/** What the command line asks for. */
export interface Command {
  /** Where to listen. */
  readonly where: { readonly path: string } | { readonly hostname: string; readonly port: number };
  readonly token: TokenSource | null;
  readonly tls: TlsFiles | null;
  readonly options: RelayOptions;
  readonly log: LogFormat;
  /** How often to print stats, or `null`: never by itself. */
  readonly statsSeconds: number | null;
}

/** A command line that makes no sense. */
export class UsageError extends Error {}

/** The environment variable that may hold the token. */
export const TOKEN_VARIABLE = "EBSOCKETS_TOKEN";

const LOG_FORMATS: readonly string[] = ["text", "json", "quiet"] satisfies LogFormat[];

/** The options of the relay that are numbers: by flag, the name, the least and the most. */
const NUMBERS: Readonly<Record<string, readonly [name: string, least: number, most?: number]>> = {
  "max-clients": ["maxClients", 1],
  "max-clients-per-address": ["maxClientsPerAddress", 1],
  "max-line-bytes": ["maxLineBytes", 1, 2 ** 30],
  "max-pending-bytes": ["maxPendingBytes", 1],
  "max-total-pending-bytes": ["maxTotalPendingBytes", 1],
  "rate": ["maxEventsPerSecond", 1],
  "rate-bytes": ["maxBytesPerSecond", 1],
  "max-hold": ["maxHold", 0, MAX_TIMER_MS],
  "keep-alive": ["keepAliveInterval", 1, MAX_TIMER_MS],
  "write-timeout": ["writeTimeout", 1, MAX_TIMER_MS],
  "line-timeout": ["lineTimeout", 1, MAX_TIMER_MS],
  "retry-after": ["retryAfter", 0, 3_600_000],
};

/** The options that have a value of another kind. */
const TEXTS = [
  "host",
  "port",
  "unix",
  "token",
  "token-file",
  "tls-cert",
  "tls-key",
  "tls-client-ca",
  "log",
  "stats",
];

/** The values of the flags that were given. */
type Values = Readonly<Record<string, string | undefined>>;

/**
 * The command that `args` and `environmentToken` make, or the information that `args` ask for.
 *
 * @throws {UsageError} If they make no sense.
 */
export function parse(
  args: string[],
  environmentToken: string | undefined,
): Command | "help" | "version" {
  const valued = args.find((arg) => /^--(no-)?(echo|help|version)=/.test(arg));
  if (valued) throw new UsageError(`${valued.split("=")[0]} takes no value`);
  const flags = parseArgs(args, {
    string: [...TEXTS, ...Object.keys(NUMBERS)],
    boolean: ["echo", "help", "version"],
    negatable: ["echo"],
    alias: { h: "help" },
    "--": true,
    default: { echo: true },
    unknown(arg: string, key?: string) {
      throw new UsageError(`Unknown ${key === undefined ? "argument" : "option"} ${quote(arg)}`);
    },
  });
  const surplus = [...flags._, ...flags["--"]];
  if (surplus.length > 0) throw new UsageError(`Unknown argument ${quote(`${surplus[0]}`)}`);
  if (flags.help) return "help";
  if (flags.version) return "version";
  const values = flags as unknown as Values;
  for (const name of TEXTS) {
    if (values[name] === "" && name !== "token") throw new UsageError(`--${name} needs a value`);
  }
  return {
    where: toWhere(values),
    token: toTokenSource(values, environmentToken),
    tls: toTlsFiles(values),
    options: { echo: flags.echo, ...toNumbers(values) },
    log: toLogFormat(values.log ?? "text"),
    statsSeconds: toInteger("stats", values.stats, 1, Math.floor(MAX_TIMER_MS / 1000)) ?? null,
  };
}

function toWhere({ unix, ...others }: Values): Command["where"] {
  if (unix === undefined) {
    return {
      hostname: others.host ?? "127.0.0.1",
      port: toInteger("port", others.port, 0, 65535) ?? 7982,
    };
  }
  const other = ["host", "port", "tls-cert", "tls-key", "tls-client-ca"]
    .find((name) => others[name] !== undefined);
  if (other) throw new UsageError(`--unix and --${other} exclude each other`);
  return { path: unix };
}

function toTokenSource(values: Values, environmentToken: string | undefined): TokenSource | null {
  const file = values["token-file"];
  const sources: [from: string, source: TokenSource][] = [];
  if (file !== undefined) sources.push(["--token-file", { file }]);
  for (const [from, text] of [["--token", values.token], [TOKEN_VARIABLE, environmentToken]]) {
    if (text !== undefined) sources.push([from!, { from: from!, text }]);
  }
  const [first, second] = sources;
  if (second) throw new UsageError(`${first![0]} and ${second[0]} exclude each other`);
  if (!first) return null;
  const [from, source] = first;
  if ("text" in source) {
    const fault = faultOfToken(source.text);
    if (fault) throw new UsageError(`${from} must have ${fault}`);
  }
  return source;
}

function toTlsFiles(values: Values): TlsFiles | null {
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

function toLogFormat(text: string): LogFormat {
  if (LOG_FORMATS.includes(text)) return text as LogFormat;
  throw new UsageError(`--log must be text, json or quiet, not ${quote(text)}`);
}

function toNumbers(values: Values): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const [flag, [name, least, most]] of Object.entries(NUMBERS)) {
    const value = toInteger(flag, values[flag], least, most);
    if (value !== undefined) numbers[name] = value;
  }
  return numbers;
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
  if (text === "") throw new UsageError(`--${flag} needs a value`);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `of at least ${least}`
    : `from ${least} to ${most}`;
  throw new UsageError(`--${flag} must be an integer ${range}, not ${quote(text)}`);
}
