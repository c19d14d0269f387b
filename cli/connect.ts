/**
 * How the tools connect to a relay: their common options, the connection itself, and its news.
 *
 * @module
 */

import { formatAddress } from "../protocol/address.ts";
import {
  type ClientOptions,
  type ClosedStatus,
  EbsocketClient,
  type LossReason,
} from "../client.ts";
import { ConnectError, EbsocketError, EventRefusedError } from "../errors.ts";
import { printable, quote } from "../protocol/printable.ts";
import { addressOf, type Place } from "../net/transport.ts";
import {
  chooseToken,
  ENVIRONMENT_NOTE,
  inEnvironment,
  readTls,
  readToken,
  type TlsFiles,
  tlsFilesIn,
  TOKEN_VARIABLE,
  type TokenSource,
  withFlagNames,
} from "./credentials.ts";
import { describeEnd, describeRefusal, messageOf, StartError, UsageError } from "./errors.ts";
import { MAX_MAX_LINE_BYTES } from "../protocol/option_checks.ts";
import { type Arguments, flag, type FlagOf, type Group } from "./flags.ts";
import {
  addressHint,
  couldBeName,
  DEFAULT_ADDRESS,
  isPlace,
  parsePlace,
  type RelayPlace,
} from "./target.ts";
import { countOf } from "../protocol/units.ts";

/** The environment variable with the address of the relay. */
export const URL_VARIABLE = "EBSOCKETS_URL";

/** The hint for options that name the relay in other programs. */
const RELAY_WORD = `the relay is the first argument, such as ${formatAddress(DEFAULT_ADDRESS)}`;

/** How long to wait for the welcome of a server that may have none, in milliseconds. */
export const PATIENT_MS = 3000;

/** The options that select the relay and the credentials. */
export const CONNECTION_GROUP = {
  title: "Relay (HOST:PORT, else EBSOCKETS_URL, else 127.0.0.1:7982)",
  flags: [
    flag.file("unix", "Connect to this Unix socket", "PATH"),
    flag.file(
      "token-file",
      "Send the token in this file (default: the token in EBSOCKETS_URL, else the environment " +
        "variable EBSOCKETS_TOKEN)",
    ),
    flag.text("token", "TOKEN", "Send this token, which others on this machine can see"),
    flag.switch("tls", "Use TLS (implied by the other --tls options)"),
    flag.file("tls-ca", "Trust only this certificate authority (PEM)"),
    flag.file("tls-cert", "Present this certificate (PEM, with its chain)"),
    flag.file("tls-key", "Private key of the certificate (PEM)"),
    flag.text("tls-name", "NAME", "Expected name in the relay's certificate (default: HOST)"),
  ],
  instead: { [RELAY_WORD]: "host port p url server s address" },
} as const satisfies Group;

/** The part of the help about variables and permissions. */
export const CONNECTION_NOTES =
  `EBSOCKETS_URL is HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH. The two in the
middle may have TOKEN@ before HOST. It is used if the command line names no relay.
${ENVIRONMENT_NOTE}

Minimum permissions: --allow-net=HOST:PORT; --allow-read for files; --allow-env=EBSOCKETS_URL and
--allow-env=EBSOCKETS_TOKEN for these variables. A Unix socket needs --allow-net, and --allow-read
and --allow-write for its path.`;

/** The options in {@link CONNECTION_GROUP}. */
export type ConnectionFlag = FlagOf<readonly [typeof CONNECTION_GROUP]>;

/** The relay that a tool connects to. */
export interface Target {
  /** The address or Unix socket. */
  readonly where: Place;
  /** The source of the token, or `null` without one. */
  readonly token: TokenSource | null;
  /** The TLS files, or `null` without TLS. */
  readonly tls: TlsFiles | null;
  /** The argument that named the relay, if it could also be an event name. */
  readonly word?: string;
}

/**
 * Returns the relay that the arguments name, and the remaining positional arguments.
 *
 * @throws {UsageError} If the arguments are invalid.
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
      } is a relay, which must be the first argument and the only one; if it is a name, put -- before it`,
    );
  }
  const advice = !named && wordsBeforeDashes > 0 ? addressHint(words[0]!) : null;
  if (advice !== null) {
    throw new UsageError(`${quote(words[0]!)} ${advice}; if it is a name, put -- before it`);
  }
  if (named && values.unix !== undefined) {
    throw new UsageError("HOST:PORT and --unix exclude each other");
  }
  const place = named ? parsePlace(words[0]!, "The relay") : toPlace(values.unix, environment);
  const target = {
    where: place.where,
    token: chooseToken(values, environment(TOKEN_VARIABLE), place.token),
    tls: toTlsFiles(values, place),
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

/** Returns the path of a socket with a slash in it, which distinguishes it from a host name. */
function toPath(unix: string): string {
  return unix.includes("/") ? unix : `./${unix}`;
}

function toTlsFiles(
  values: Arguments<ConnectionFlag>["values"],
  { where, tls }: RelayPlace,
): TlsFiles | null {
  const names = ["tls", "tls-ca", "tls-cert", "tls-key", "tls-name"] as const;
  const given = names.filter((name) => values[name]);
  if ("path" in where && given[0]) {
    throw new UsageError(`--${given[0]} cannot be used with a Unix socket`);
  }
  return given.length === 0 && !tls ? null : tlsFilesIn(values);
}

async function readSecrets({ token, tls }: Target): Promise<Pick<ClientOptions, "token" | "tls">> {
  return {
    ...(token && { token: await readToken(token) }),
    ...(tls && { tls: await readTls(tls) }),
  };
}

/** The options of a tool's client. */
export interface ConnectOptions extends ClientOptions {
  /** Subscribes before the client connects, so that no other event arrives first. */
  readonly prepare?: (client: EbsocketClient) => unknown;
  /** Returns the error text for a server at `place` that does not support what was prepared. */
  readonly lack?: (place: string) => string;
  /** Cancels connecting when aborted. */
  readonly signal?: AbortSignal;
}

/** Prepares a client that receives only direct events. */
export function hearNothing(client: EbsocketClient): Promise<void> {
  return client.subscribe([]);
}

/** Returns that a server is too old for requests, for a person. */
export function lackRequests(place: string): string {
  return `The server at ${place} does not support requests; upgrade the relay`;
}

/**
 * Connects a client to the relay.
 *
 * @throws {StartError} If it cannot connect. The message says what to do. If `signal` is aborted,
 * its reason is thrown instead.
 */
export async function connect(
  target: Target,
  { prepare, lack, signal, ...options }: ConnectOptions = {},
): Promise<EbsocketClient> {
  const secrets = await readSecrets(target);
  try {
    const client = new EbsocketClient({ maxLineBytes: MAX_MAX_LINE_BYTES, ...options, ...secrets });
    await prepare?.(client);
    const failure = firstFailure(client);
    const signals = signal ? [signal, failure] : [failure];
    await client.connectTo(target.where, { signal: AbortSignal.any(signals) });
    return client;
  } catch (error) {
    signal?.throwIfAborted();
    if (lack && error instanceof EbsocketError && error.code === "not-supported") {
      throw new StartError(lack(printable(formatAddress(addressOf(target.where)))));
    }
    throw new StartError(explainConnectError(error, target));
  }
}

/**
 * Subscribes a connected client. If the server does not support subscriptions, the client still
 * receives all events.
 *
 * @throws {EbsocketError} If the server refuses the subscription, or the connection ends.
 */
export async function subscribeIfPossible(
  client: EbsocketClient,
  patterns: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (client.id === null) return; // It has not sent a welcome, so it is not a relay.
  try {
    await client.subscribe(patterns, { signal });
  } catch (error) {
    const isLacking = error instanceof EbsocketError && error.code === "not-supported";
    if (!isLacking) throw error;
  }
}

/** Returns the address of a connected client's relay, for a person. */
export function whereIs(client: EbsocketClient): string {
  return printable(formatAddress(client.address!));
}

/**
 * Returns a signal that is aborted with the error when the first attempt to connect fails. A client
 * that reconnects must report that failure at once, too.
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

/**
 * Reports each change of a client that reconnects. Resolves when the client has been closed.
 *
 * @param onNews Receives a text when the connection is lost or made again, or events are missing.
 * @param onRefusal Receives a text when the relay refuses an event.
 *
 * @throws {StartError} If the client has stopped because reconnecting is pointless.
 */
export async function reportNews(
  client: EbsocketClient,
  target: Target,
  onNews: (text: string) => void,
  onRefusal?: (text: string) => void,
): Promise<void> {
  let isLost = false;
  for await (const status of client.status()) {
    if (status.type === "gap") {
      onNews(`Missed ${countOf(status.missed, "event")}, which came faster than they were read`);
    } else if (status.type === "cluster-gap") {
      const count = status.missed === null ? "some events" : countOf(status.missed, "event");
      // Those come from JetStream.
      const others = client.position ? "; kept events are not among them" : "";
      onNews(`Relay ${printable(status.relay)} could not pass on ${count}${others}`);
    } else if (status.type === "cluster") {
      onNews(
        status.state === "alone"
          ? "The relay has lost the other relays; events go to its own clients"
          : "The relay has found the other relays again",
      );
    } else if (status.type === "refused") {
      onRefusal?.(describeRefusal(status.event, status));
    } else if (status.type === "disconnected") {
      isLost = true;
      onNews(`${describeDisconnect(status)}; reconnecting`);
    } else if (status.type === "reconnected") {
      isLost = false;
      const place = printable(formatAddress(status.address));
      const meanwhile = client.position ? "catching up" : "events sent meanwhile were missed";
      onNews(`Reconnected to ${place}${idOf(client)}; ${meanwhile}`);
    } else if (status.type === "resumed") {
      const { events, reason } = status;
      if (reason) onNews(describeLoss(reason));
      else if (events > 0) onNews(`Received ${countOf(events, "event")} that were sent meanwhile`);
    } else if (status.type === "closed" && status.info.reason !== "local") {
      const { reason, detail } = status.info;
      const failure = new ConnectError(detail, { reason });
      throw new StartError(
        isLost ? explainConnectError(failure, target) : describeDisconnect(status),
      );
    }
  }
}

/** Returns the words for missing events, for a person. `which` says which they are. */
export function describeLoss(reason: LossReason, which = "Events are"): string {
  return `${which} missing: ${LOSSES[reason]}`;
}

const LOSSES: Readonly<Record<LossReason, string>> = {
  epoch: "the relay has begun a new history since then",
  evicted: "no longer kept by the relay, or damaged",
  ahead: "the history of the relay ends before them; a crash may have taken its last events",
};

/** Returns the words for the ID of a client, such as ` as c1`. */
export function idOf({ id }: EbsocketClient): string {
  return id === null ? "" : ` as ${printable(id)}`;
}

/** Describes the end of a connection, for a person. */
export function describeDisconnect(
  { address, info }: Pick<ClosedStatus, "address" | "info">,
): string {
  return `Lost the connection to ${printable(formatAddress(address))} (${describeEnd(info)})`;
}

/** Describes why connecting failed, and what to do about it. */
export function explainConnectError(error: unknown, { where, token, tls, word }: Target): string {
  const address = printable(formatAddress(addressOf(where)));
  const message = messageOf(error)
    .replace("TLS handshake failed: ", `Cannot connect to ${address}: `);
  if (error instanceof EventRefusedError) {
    return printable(`The relay refuses the subscription: ${error.code}: ${error.detail}`);
  }
  if (error instanceof Deno.errors.NotCapable) {
    const flags = "path" in where
      ? `--allow-net --allow-read=${address} --allow-write=${address}`
      : `--allow-net=${address}`;
    return `Cannot connect to ${address}: Deno does not permit it; run it with -A or ${flags}`;
  }
  if ("path" in where && isMissing(error)) {
    return `Cannot connect to ${address}: no such socket; is a relay running there?`;
  }
  if (error instanceof ConnectError && error.reason === "unauthorized") {
    const which = token ? "the right token" : "its token";
    return `${message}; pass ${which} with --token-file or ${TOKEN_VARIABLE}`;
  }
  if (error instanceof ConnectError && error.reason === "eof" && !tls && !("path" in where)) {
    return `${message}; if it uses TLS, add --tls`;
  }
  if (word !== undefined && message.includes("failed to lookup address")) {
    return `${message}; if ${quote(word)} is a name, put -- before it`;
  }
  return withFlagNames(message.replace(/without tls$/, "without TLS"));
}

/** Returns whether the error says that the Unix socket does not exist. */
function isMissing(error: unknown): boolean {
  return error instanceof Error &&
    (error instanceof Deno.errors.NotFound || error.cause instanceof Deno.errors.NotFound);
}
