/**
 * Owns how the tools get to a relay: the options that all of them have in common, and the connection
 * that these ask for. Must not know what is said over it.
 *
 * @module
 */

import { formatAddress } from "../protocol/address.ts";
import { type ClientOptions, EbsocketClient } from "../client.ts";
import { ConnectError } from "../errors.ts";
import { printable, quote } from "../protocol/printable.ts";
import { addressOf, type Place, type TlsClientOptions } from "../net/transport.ts";
import {
  chooseToken,
  ENVIRONMENT_NOTE,
  inEnvironment,
  readToken,
  TOKEN_VARIABLE,
  type TokenSource,
} from "./credentials.ts";
import { messageOf, StartError, UsageError } from "./errors.ts";
import { LONGEST_LINE_BYTES } from "./file_checker.ts";
import { readText } from "./files.ts";
import type { Arguments, FlagOf, Group } from "./flags.ts";
import {
  adviseOnPlace,
  couldBeName,
  DEFAULT_ADDRESS,
  isPlace,
  parsePlace,
  type RelayPlace,
} from "./target.ts";

/** The environment variable that may say where the relay is. */
export const URL_VARIABLE = "EBSOCKETS_URL";

/** What to say of options that name the relay in other programs. */
const RELAY_WORD = `the relay is the first word, such as ${formatAddress(DEFAULT_ADDRESS)}`;

/** The options with which a tool is told of its relay. */
export const CONNECTION_GROUP = {
  title: "Which relay (HOST:PORT, or else EBSOCKETS_URL, or else 127.0.0.1:7982)",
  flags: [
    { kind: "file", name: "unix", value: "PATH", text: "The one at this Unix socket" },
    {
      kind: "file",
      name: "token-file",
      value: "FILE",
      text: "Say the token in this file. Without an option that of EBSOCKETS_URL counts, or else " +
        "the one in the environment variable EBSOCKETS_TOKEN",
    },
    {
      kind: "text",
      name: "token",
      value: "TOKEN",
      text: "Say this token, which others on this machine can see",
    },
    { kind: "switch", name: "tls", text: "Speak TLS; the options that follow ask for it too" },
    {
      kind: "file",
      name: "tls-ca",
      value: "FILE",
      text: "Trust this authority, and no public one (PEM)",
    },
    {
      kind: "file",
      name: "tls-cert",
      value: "FILE",
      text: "Show this certificate (PEM, with its chain)",
    },
    { kind: "file", name: "tls-key", value: "FILE", text: "Private key of the certificate (PEM)" },
    {
      kind: "text",
      name: "tls-name",
      value: "NAME",
      text: "The name that the relay's certificate must have (default: HOST)",
    },
  ],
  instead: Object.fromEntries(
    ["host", "port", "p", "url", "server", "s", "address"].map((name) => [name, RELAY_WORD]),
  ),
} as const satisfies Group;

/** What help says of the variables and permissions of a tool. */
export const CONNECTION_NOTES =
  `EBSOCKETS_URL is HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, the two in the
middle also with TOKEN@ before HOST. It counts where the command line names no relay.
${ENVIRONMENT_NOTE}

Least permissions: --allow-net=HOST:PORT; --allow-read for files, --allow-env=EBSOCKETS_URL and
--allow-env=EBSOCKETS_TOKEN for these; for a Unix socket --allow-net, and --allow-read and
--allow-write for it.`;

/** The options in {@link CONNECTION_GROUP}. */
export type ConnectionFlag = FlagOf<readonly [typeof CONNECTION_GROUP]>;

/** The relay that a tool is to connect to. */
export interface Target {
  /** Where it is. */
  readonly where: Place;
  /** Where the token is to be had, if there is one. */
  readonly token: TokenSource | null;
  /** What TLS needs, or `null` without it. */
  readonly tls: TlsSources | null;
  /** The word that names it, if it may be meant for the name of an event. */
  readonly word?: string;
}

/** The files with what TLS needs, and the name that the relay must have. */
export interface TlsSources {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly hostname?: string;
}

/**
 * The relay that the arguments name, and the words that are left for the tool.
 *
 * @throws {UsageError} If they make no sense.
 */
export function readTarget(
  { values, words, wordsBeforeDashes }: Arguments<ConnectionFlag>,
  environment: (name: string) => string | undefined = inEnvironment,
): [target: Target, words: readonly string[]] {
  const places = words.slice(0, wordsBeforeDashes).filter(isPlace);
  const named = places.length > 0 && words[0] === places[0];
  const surplus = places[named ? 1 : 0];
  if (surplus !== undefined) {
    throw new UsageError(
      `${
        quote(surplus)
      } is a relay, which comes first, and only once; -- before it makes it a name`,
    );
  }
  const advice = !named && wordsBeforeDashes > 0 ? adviseOnPlace(words[0]!) : null;
  if (advice !== null) {
    throw new UsageError(`${quote(words[0]!)} ${advice}; -- before it makes it a name`);
  }
  if (named && values.unix !== undefined) {
    throw new UsageError("HOST:PORT and --unix exclude each other");
  }
  const place = named ? parsePlace(words[0]!, "The relay") : toPlace(values.unix, environment);
  const target = {
    where: place.where,
    token: chooseToken(values, environment(TOKEN_VARIABLE), place.token),
    tls: toTlsSources(values, place),
    ...(named && couldBeName(words[0]!) && { word: words[0]! }),
  };
  return [target, named ? words.slice(1) : words];
}

function toPlace(
  unix: string | undefined,
  environment: (name: string) => string | undefined,
): RelayPlace {
  if (unix !== undefined) return { where: { path: toPath(unix) }, tls: false, token: null };
  const url = environment(URL_VARIABLE);
  if (url !== undefined) return parsePlace(url, URL_VARIABLE);
  return { where: DEFAULT_ADDRESS, tls: false, token: null };
}

/** The path of a socket with a slash in it, by which it is known from the name of a host. */
function toPath(unix: string): string {
  return unix.includes("/") ? unix : `./${unix}`;
}

function toTlsSources(
  values: Arguments<ConnectionFlag>["values"],
  { where, tls }: RelayPlace,
): TlsSources | null {
  const names = ["tls", "tls-ca", "tls-cert", "tls-key", "tls-name"] as const;
  const given = names.filter((name) => values[name]);
  if ("path" in where && given[0]) {
    throw new UsageError(`--${given[0]} does not go with a Unix socket`);
  }
  const { "tls-ca": ca, "tls-cert": cert, "tls-key": key, "tls-name": hostname } = values;
  if (cert !== undefined && key === undefined) {
    throw new UsageError("--tls-cert needs --tls-key too");
  }
  if (key !== undefined && cert === undefined) {
    throw new UsageError("--tls-key needs --tls-cert too");
  }
  if (given.length === 0 && !tls) return null;
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(hostname !== undefined && { hostname }),
  };
}

async function readSecrets({ token, tls }: Target): Promise<Secrets> {
  return {
    ...(token && { token: await readToken(token) }),
    ...(tls && { tls: await readClientTls(tls) }),
  };
}

async function readClientTls({ ca, cert, key, hostname }: TlsSources): Promise<TlsClientOptions> {
  return {
    ...(ca !== undefined && { caCerts: await readText(ca, "the authority") }),
    ...(cert !== undefined && { cert: await readText(cert, "the certificate") }),
    ...(key !== undefined && { key: await readText(key, "the private key") }),
    ...(hostname !== undefined && { hostname }),
  };
}

/** How the client of a tool is to be. */
export interface ConnectOptions extends ClientOptions {
  /** The patterns of the events that it hears, none for an empty list; without them, all. */
  readonly patterns?: readonly string[];
  /** The queue of clients of which one gets each of them. */
  readonly queue?: string | undefined;
  /** Gives connecting up. */
  readonly signal?: AbortSignal;
}

/**
 * Connects to the relay with a client that never hears anything but what it is to hear.
 *
 * @throws {StartError} If it cannot; the message says what to do.
 */
export async function connect(
  target: Target,
  { patterns, queue, signal, ...options }: ConnectOptions = {},
): Promise<EbsocketClient> {
  return await advised(target, signal, async (secrets) => {
    const client = new EbsocketClient({ maxLineBytes: LONGEST_LINE_BYTES, ...options, ...secrets });
    // Before there is a connection, so that not even the first event that comes is one too many.
    if (patterns) await client.subscribe(patterns, queue === undefined ? {} : { queue });
    const failure = firstFailure(client);
    const signals = signal ? [signal, failure] : [failure];
    await client.connectTo(target.where, { signal: AbortSignal.any(signals) });
    return client;
  });
}

/** Where the relay of a client that has connected is, for a person. */
export function whereIs(client: EbsocketClient): string {
  return printable(formatAddress(client.address!));
}

/**
 * Is aborted when the first attempt to connect has failed, with the reason why: also one who wants a
 * client that reconnects wants to know at once that nobody is there.
 */
function firstFailure(client: EbsocketClient): AbortSignal {
  const controller = new AbortController();
  const watch = async () => {
    for await (const status of client.status()) {
      if (status.type !== "connecting") return;
      if (status.error) return controller.abort(status.error);
    }
  };
  watch();
  return controller.signal;
}

/** What a client needs to know beside where the relay is. */
export type Secrets = Pick<ClientOptions, "token" | "tls">;

/**
 * What comes of connecting, for which `attempt` gets the token and what TLS needs.
 *
 * @throws {StartError} If it fails; the message says what to do. If `signal` is aborted, its reason.
 */
export async function advised<T>(
  target: Target,
  signal: AbortSignal | undefined,
  attempt: (secrets: Secrets) => Promise<T>,
): Promise<T> {
  const secrets = await readSecrets(target);
  try {
    return await attempt(secrets);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof StartError) throw error;
    throw new StartError(adviseOnConnecting(error, target));
  }
}

const TLS_FLAGS: Readonly<Record<string, string>> = {
  caCerts: "--tls-ca",
  cert: "--tls-cert",
  key: "--tls-key",
  hostname: "--tls-name",
};

/** What went wrong with connecting, and what to do about it. */
export function adviseOnConnecting(error: unknown, { where, token, tls, word }: Target): string {
  const address = printable(formatAddress(addressOf(where)));
  const message = messageOf(error)
    .replace("TLS handshake failed: ", `Cannot connect to ${address}: `);
  if (error instanceof Deno.errors.NotCapable) {
    const flags = "path" in where
      ? `--allow-net --allow-read=${address} --allow-write=${address}`
      : `--allow-net=${address}`;
    return `Cannot connect to ${address}: Deno does not permit it; run it with -A or ${flags}`;
  }
  if ("path" in where && isMissing(error)) {
    return `Cannot connect to ${address}: there is no such socket; is a relay running there?`;
  }
  if (error instanceof ConnectError && error.reason === "unauthorized") {
    const which = token ? "the right one" : "its token";
    return `${message}; say ${which} with --token-file or ${TOKEN_VARIABLE}`;
  }
  if (error instanceof ConnectError && error.reason === "eof" && !tls && !("path" in where)) {
    return `${message}; if it speaks TLS, so must you, with --tls`;
  }
  if (word !== undefined && message.includes("failed to lookup address")) {
    return `${message}; -- before ${quote(word)} makes it a name`;
  }
  return message.replace(/without tls$/, "without TLS")
    .replaceAll(/tls\.(\w+)/g, (name, key) => TLS_FLAGS[key] ?? name);
}

/** Whether there is nothing where something was to be. */
function isMissing(error: unknown): boolean {
  return error instanceof Error &&
    (error instanceof Deno.errors.NotFound || error.cause instanceof Deno.errors.NotFound);
}
