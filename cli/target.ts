/**
 * Owns how a relay is named on a command line or in the environment, and what that text means. Must not
 * read files, nor connect.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import { quote } from "../protocol/printable.ts";
import type { Place } from "../net/transport.ts";
import { UsageError } from "./errors.ts";

/** Where a relay is when nobody says anything else. */
export const DEFAULT_ADDRESS: Address = ["127.0.0.1", 7982];

/** What to say to a relay of a place among its words. */
export const LISTENING_ADVICE = "--host and --port say where a relay listens";

/** What a text says of a relay. */
export interface RelayPlace {
  /** Where it is. */
  readonly where: Place;
  /** Whether it speaks TLS. */
  readonly tls: boolean;
  /** The token in the text, if there is one. */
  readonly token: string | null;
}

/** `HOST:PORT`, of which the host may be empty, and is in brackets where it has colons. */
const ADDRESS = /^(\[[\da-f:.]+(?:%[\w.-]+)?\]|[\w.-]*):(\d+)$/i;

/** How the name of a place begins that says how to get there. */
const SCHEME = /^(tcp|tls|unix):\/\//;

/** What looks like that: nobody means the name of an event by it. */
const ANY_SCHEME = /^[a-z][a-z\d+.-]*:\/\//i;

/** A host without a port. */
const BARE_HOST = /^(localhost|\d+(\.\d+){3}|\[[\da-f:.]+\])$/i;

/** A port without a host. */
const BARE_PORT = /^\d{1,5}$/;

/** An IPv6 address that lacks its brackets. */
const BARE_IPV6 = /^(?=.*\d)(?=.*::|(?:[^:]+:){7})[\da-f:]+$/i;

/** The path of a Unix socket. */
const SOCKET_PATH = /^[.~]{0,2}\/.*sock(et)?$/;

/** A place whose host may well be the beginning of the name of an event, as in `order:42`. */
const NAME_LIKE = /^(?!localhost:|\d+(?:\.\d+){3}:)[a-z_][\w.-]*:\d+$/i;

/** Whether a word names a place, and not an event. */
export function isPlace(word: string): boolean {
  return ADDRESS.test(word) || ANY_SCHEME.test(word);
}

/** Whether a word names a place, but may be meant for the name of an event. */
export function couldBeName(word: string): boolean {
  return NAME_LIKE.test(word);
}

/** What a word lacks that names a relay, but not as a place; `null` if it does not. */
export function adviseOnPlace(word: string): string | null {
  const port = DEFAULT_ADDRESS[1];
  if (BARE_HOST.test(word)) return `has no port, as ${word}:${port} has`;
  if (BARE_PORT.test(word)) return `has no host, as localhost:${word} has`;
  if (BARE_IPV6.test(word)) return `has no brackets, as [::1]:${port} has`;
  return SOCKET_PATH.test(word) ? "is a path, which belongs after --unix" : null;
}

/**
 * The place that `text` names: `HOST:PORT`, `tcp://HOST:PORT`, `tls://HOST:PORT` or `unix:///PATH`, the
 * two in the middle also with `TOKEN@` before the host.
 *
 * @param from Where the text is from, for the error.
 *
 * @throws {UsageError} If it names none. It does not show the token.
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
    throw new UsageError(`${from} has a token in which % does not begin a character such as %40`);
  }
}

function noPlace(text: string, from: string): UsageError {
  const shown = text.replace(/\/\/.*@/s, "//TOKEN@");
  return new UsageError(
    `${from} must be HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, not ` +
      `${quote(shown)}${similar(shown)}`,
  );
}

/** The place that is most like a text which is none, for an error. */
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
