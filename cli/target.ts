/**
 * Parses the address of a relay from a command line or the environment.
 *
 * @module
 */

import type { Address } from "../client.ts";
import { quote } from "../protocol/printable.ts";
import type { Place } from "../net/transport.ts";
import { UsageError } from "./errors.ts";

/** The default address of a relay. */
export const DEFAULT_ADDRESS: Address = ["127.0.0.1", 7982];

/** The hint for an address among the arguments of a relay. */
export const LISTEN_HINT = "use --host and --port to set where a relay listens";

/** A parsed address of a relay. */
export interface RelayPlace {
  /** The address or Unix socket. */
  readonly where: Place;
  /** Whether it uses TLS. */
  readonly tls: boolean;
  /** The token in the text, or `null` without one. */
  readonly token: string | null;
}

/** `HOST:PORT`. The host may be empty, and is in brackets if it contains colons. */
const ADDRESS = /^(\[[\da-f:.]+(?:%[\w.-]+)?\]|[\w.-]*):(\d+)$/i;

/** The schemes of an address. */
const SCHEME = /^(tcp|tls|unix):\/\//;

/** Any scheme. A name with one is never meant as the name of an event. */
const ANY_SCHEME = /^[a-z][a-z\d+.-]*:\/\//i;

/** A host without a port. */
const BARE_HOST = /^(localhost|\d+(\.\d+){3}|\[[\da-f:.]+\])$/i;

/** A port without a host. */
const BARE_PORT = /^\d{1,5}$/;

/** An IPv6 address that lacks its brackets. */
const BARE_IPV6 = /^(?=.*\d)(?=.*::|(?:[^:]+:){7})[\da-f:]+$/i;

/** The path of a Unix socket. */
const SOCKET_PATH = /^[.~]{0,2}\/.*sock(et)?$/;

/** An address whose host could be the beginning of an event name, as in `order:42`. */
const NAME_LIKE = /^(?!localhost:|\d+(?:\.\d+){3}:)[a-z_][\w.-]*:\d+$/i;

/** Returns whether a word is an address, and not the name of an event. */
export function isPlace(word: string): boolean {
  return ADDRESS.test(word) || ANY_SCHEME.test(word);
}

/** Returns whether an address could also be meant as the name of an event. */
export function couldBeName(word: string): boolean {
  return NAME_LIKE.test(word);
}

/** Returns what an incomplete address lacks; `null` if the word does not look like an address. */
export function addressHint(word: string): string | null {
  const port = DEFAULT_ADDRESS[1];
  if (BARE_HOST.test(word)) return `has no port; try ${word}:${port}`;
  if (BARE_PORT.test(word)) return `has no host; try localhost:${word}`;
  if (BARE_IPV6.test(word)) return `needs brackets and a port, such as [::1]:${port}`;
  return SOCKET_PATH.test(word) ? "is a path; put --unix before it" : null;
}

/**
 * Parses `HOST:PORT`, `tcp://HOST:PORT`, `tls://HOST:PORT` or `unix:///PATH`. The two in the middle
 * may have `TOKEN@` before the host. Returns the address.
 *
 * @param text The text to parse.
 * @param from The origin of the text, for the error.
 *
 * @throws {UsageError} If the text is invalid. The message does not contain the token.
 */
export function parsePlace(text: string, from: string): RelayPlace {
  const [prefix = "", scheme = "tcp"] = SCHEME.exec(text) ?? [];
  const rest = text.slice(prefix.length);
  if (scheme === "unix") {
    if (!rest.startsWith("/")) throw noPlace(text, from);
    return { where: { path: rest }, tls: false, token: null };
  }
  const at = prefix === "" ? -1 : rest.lastIndexOf("@");
  const match = ADDRESS.exec(rest.slice(at + 1).replace(/\/$/, ""));
  if (!match) throw noPlace(text, from);
  const hostname = match[1]!.replace(/^\[|\]$/g, "") || DEFAULT_ADDRESS[0];
  const port = Number(match[2]);
  if (port < 1 || port > 65_535) {
    throw new UsageError(`${from} must have a port from 1 to 65535, not ${match[2]}`);
  }
  const token = at > 0 ? decodeToken(rest.slice(0, at), from) : null;
  return { where: [hostname, port], tls: scheme === "tls", token };
}

function decodeToken(text: string, from: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(`${from} has a token with an invalid % escape; write % as %25`);
  }
}

function noPlace(text: string, from: string): UsageError {
  const shown = text.replace(/\/\/.*@/s, "//TOKEN@");
  return new UsageError(
    `${from} must be HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, not ` +
      `${quote(shown)}${similar(shown)}`,
  );
}

/** Returns the address that is most similar to an invalid text, for an error. */
function similar(text: string): string {
  const [, scheme = "", rest = ""] = /^([a-z][a-z\d+.-]*:\/\/)?([^/]*)\/?$/i.exec(text) ?? [];
  const prefix = scheme === "" || SCHEME.test(scheme) ? scheme : "tcp://";
  const host = /^(?:TOKEN@)?([^@]*)$/.exec(rest)?.[1] ?? "";
  if (prefix === "unix://") return "";
  if (BARE_PORT.test(host)) return `; try ${prefix}localhost:${host}`;
  if (ADDRESS.test(host)) return `; try ${prefix}${rest}`;
  return ADDRESS.test(`${host}:1`) && host !== ""
    ? `; try ${prefix}${rest}:${DEFAULT_ADDRESS[1]}`
    : "";
}
