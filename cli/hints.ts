/**
 * The hints of the relay command: how to try it, its warnings, and advice after a failed listen.
 *
 * @module
 */

import { type Address, formatAddress, isLoopback } from "../protocol/address.ts";
import { isLocalhost, isPermitted, otherThan } from "../net/localhost_listener.ts";
import { printable } from "../protocol/printable.ts";
import { TOKEN_VARIABLE, withFlagNames } from "./credentials.ts";
import { messageOf } from "./errors.ts";

/** The endpoint of a relay. */
export interface Endpoint {
  /** The Unix socket or address it listens on. */
  readonly where: { readonly path: string } | Address;
  /** Whether clients must send a token. */
  readonly hasToken: boolean;
  /** Whether it uses TLS, and whether clients need a certificate. */
  readonly tls: "none" | "server" | "mutual";
  /** Whether it has a page for browsers. */
  readonly hasPage: boolean;
}

/** Returns the endpoint as text for a person. */
export function formatWhere(where: Endpoint["where"]): string {
  return "path" in where ? printable(where.path) : formatAddress(where);
}

/** Returns the lines that explain how to connect a first client. */
export function howToTry({ where, hasToken, tls, hasPage }: Endpoint): string[] {
  const lines = [`Try it: ${clientCommand(where, tls)}`];
  if (hasPage && !("path" in where)) lines.unshift(`Watch it: ${pageAddress(where, tls)}`);
  if (hasToken) lines.push('Send first: {"control":"hello","token":"TOKEN"}');
  return lines;
}

function pageAddress(where: Address, tls: Endpoint["tls"]): string {
  const address = formatAddress([reachable(where[0]), where[1]]);
  return `${tls === "none" ? "http" : "https"}://${address}/`;
}

/** Returns an address of this machine in place of one that stands for all of them. */
function reachable(hostname: string): string {
  return hostname.replace(/^(0\.0\.0\.0|::)$/, "127.0.0.1");
}

function clientCommand(where: Endpoint["where"], tls: Endpoint["tls"]): string {
  if ("path" in where) return `nc -U ${shellWord(where.path)}`;
  const [hostname, port] = where;
  const host = reachable(hostname);
  if (tls === "none") return `nc ${host} ${port}`;
  const certificate = tls === "mutual" ? " -cert CLIENT_CERT -key CLIENT_KEY" : "";
  return `openssl s_client -quiet -connect ${formatAddress([host, port])}${certificate}`;
}

/** Returns `text` quoted as one word of a shell command. */
export function shellWord(text: string): string {
  const word = /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  return printable(word);
}

/** Returns a warning about an endpoint that is open to others, or `null`. */
export function exposureWarning({ where, hasToken, tls }: Endpoint): string | null {
  if ("path" in where || hasToken || tls === "mutual") return null;
  if (isLoopback(where[0])) return null;
  return `anyone who can reach ${formatAddress(where)} can join; require a token with ` +
    `--token-file or ${TOKEN_VARIABLE} (needs --allow-env=${TOKEN_VARIABLE}), or ` +
    "certificates with --tls-client-ca";
}

/**
 * Returns a warning if `localhost` was requested but Deno permits only one of its two addresses, or
 * `null`.
 */
export function localhostWarning(asked: string, address: Address): string | null {
  if (!isLocalhost(asked) || isLocalhost(address[0])) return null;
  const other = otherThan(address);
  if (isPermitted(other)) return null; // The machine does not have it.
  const [has, lacks] = [address, other].map(formatAddress);
  return `localhost is only ${has}, not ${lacks}; permit both with ` +
    `--allow-net=${has},${lacks}`;
}

/** Describes why listening failed, and what to do about it. */
export function explainListenError(error: unknown, where: Endpoint["where"]): string {
  const text = messageOf(error);
  const message = text.replace(`Cannot listen on ${formatWhere(where)}: `, "");
  if ("path" in where) return explainSocketError(error, printable(where.path), message);
  if (error instanceof Deno.errors.AddrInUse) {
    // The port of localhost may be taken on only one of its two addresses.
    const taken = /^Cannot listen on (.*): the port is taken$/.exec(message)?.[1];
    const which = taken === undefined ? "the port" : taken;
    return `${which} is in use; stop the program that uses it, or choose another with --port`;
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno does not permit it; run it with -A or --allow-net=${formatAddress(where)}`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not permit it; choose port 1024 or higher with --port";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address; choose one of its addresses with --host";
  }
  if (message.includes("tls")) return withFlagNames(message);
  return `${message}; check --host`;
}

function explainSocketError(error: unknown, path: string, message: string): string {
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : ".";
  if (error instanceof Deno.errors.AddrInUse) {
    return "it is in use; stop the program that uses it, or choose another with --unix";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return "Deno does not permit it; run it with -A or " +
      `--allow-net --allow-read=${folder} --allow-write=${folder}`;
  }
  return `${message}; check --unix`;
}
