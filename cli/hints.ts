/**
 * Owns what the command advises: how to try the relay, what to beware of, and what to do when it
 * cannot listen.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import { isLocalhost, isPermitted, otherThan } from "../net/localhost_listener.ts";
import { printable } from "../protocol/printable.ts";
import { TOKEN_VARIABLE } from "./credentials.ts";
import { messageOf } from "./errors.ts";

/** How a relay can be reached. */
export interface Endpoint {
  /** Where it listens: a Unix socket, or an address. */
  readonly where: { readonly path: string } | Address;
  /** Whether clients must say a token. */
  readonly hasToken: boolean;
  /** Whether it speaks TLS, and whether clients must have a certificate. */
  readonly tls: "none" | "server" | "mutual";
}

/** Where it is, for people. */
export function formatWhere(where: Endpoint["where"]): string {
  return "path" in where ? printable(where.path) : formatAddress(where);
}

/** What to type to be a client. */
export function howToTry({ where, hasToken, tls }: Endpoint): string[] {
  const lines = [`Try it: ${clientCommand(where, tls)}`];
  if (hasToken) lines.push('Say first: {"control":"hello","token":"TOKEN"}');
  return lines;
}

function clientCommand(where: Endpoint["where"], tls: Endpoint["tls"]): string {
  if ("path" in where) return `nc -U ${shellWord(where.path)}`;
  const [hostname, port] = where;
  const host = hostname.replace(/^(0\.0\.0\.0|::)$/, "127.0.0.1");
  if (tls === "none") return `nc ${host} ${port}`;
  const certificate = tls === "mutual" ? " -cert CLIENT_CERT -key CLIENT_KEY" : "";
  return `openssl s_client -quiet -connect ${formatAddress([host, port])}${certificate}`;
}

/** `text` as one word of a shell command. */
export function shellWord(text: string): string {
  const word = /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
  return printable(word);
}

/** What to beware of, if there is something. */
export function warnAbout({ where, hasToken, tls }: Endpoint): string | null {
  if ("path" in where || hasToken || tls === "mutual") return null;
  if (/^(127\.|::1$|::ffff:127\.|localhost$)/.test(where[0])) return null;
  return `everyone who can reach ${formatAddress(where)} can join; ask for a token with ` +
    `--token-file or ${TOKEN_VARIABLE} (which needs --allow-env=${TOKEN_VARIABLE}), or for ` +
    "certificates with --tls-client-ca";
}

/** What to say where `localhost` was to be both its addresses, and Deno permits one of them. */
export function warnAboutLocalhost(asked: string, address: Address): string | null {
  if (!isLocalhost(asked) || isLocalhost(address[0])) return null;
  const other = otherThan(address);
  if (isPermitted(other)) return null; // The machine does not have it.
  const [has, lacks] = [address, other].map(formatAddress);
  return `localhost is ${has} alone, and not ${lacks}; permit both with ` +
    `--allow-net=${has},${lacks}`;
}

const TLS_FLAGS: Readonly<Record<string, string>> = {
  cert: "--tls-cert",
  key: "--tls-key",
  clientCa: "--tls-client-ca",
};

/** What went wrong with listening, and what to do about it. */
export function adviseOnListening(error: unknown, where: Endpoint["where"]): string {
  const text = messageOf(error);
  const message = text.replace(`Cannot listen on ${formatWhere(where)}: `, "");
  if ("path" in where) return adviseOnPath(error, printable(where.path), message);
  if (error instanceof Deno.errors.AddrInUse) {
    // Of the two addresses of localhost, the port may be taken on one.
    const taken = /^Cannot listen on (.*): the port is taken$/.exec(message)?.[1];
    const which = taken === undefined ? "the port" : taken;
    return `${which} is taken; stop the program that listens there, or choose another with --port`;
  }
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno does not permit it; run it with -A or --allow-net=${formatAddress(where)}`;
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not permit it; choose a port from 1024 on with --port";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine has no such address; choose one that it has with --host";
  }
  // What is wrong with the options of TLS is told by the names that they have in code.
  if (message.includes("tls")) {
    return message.replaceAll(/tls\.(\w+)/g, (name, key) => TLS_FLAGS[key] ?? name);
  }
  return `${message}; check --host`;
}

function adviseOnPath(error: unknown, path: string, message: string): string {
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : ".";
  if (error instanceof Deno.errors.AddrInUse) {
    return "it is taken; stop the program that listens there, or choose another with --unix";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return "Deno does not permit it; run it with -A or " +
      `--allow-net --allow-read=${folder} --allow-write=${folder}`;
  }
  return `${message}; check --unix`;
}
