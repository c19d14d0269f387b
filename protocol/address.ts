/**
 * Network addresses: their type, their text form and their check. And the kinds of transports.
 *
 * @module
 */

import { inspect } from "./printable.ts";

/** A host name or IP address, and a port, in the order of Python's sockets. */
export type Address = readonly [hostname: string, port: number];

/**
 * Returns an address as text. IPv6 addresses are in brackets. A Unix socket is shown by its path
 * alone.
 *
 * @example Both kinds of IP address
 * ```ts
 * import { formatAddress } from "@ebsockets/relay";
 * import { assertEquals } from "@std/assert/equals";
 *
 * assertEquals(formatAddress(["127.0.0.1", 7982]), "127.0.0.1:7982");
 * assertEquals(formatAddress(["::1", 7982]), "[::1]:7982");
 * ```
 */
export function formatAddress([hostname, port]: Address): string {
  if (hostname.includes("/")) return hostname;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Returns `address` if it is valid.
 *
 * @param address The address to check.
 * @param minPort The lowest valid port. Port 0 is only valid for listening.
 * @throws {TypeError} If it is not a host name and a port number.
 * @throws {RangeError} If the port is out of range.
 */
export function checkAddress(address: Address, minPort: 0 | 1 = 0): Address {
  if (!Array.isArray(address)) {
    throw new TypeError(`Invalid address: expected [hostname, port], got ${inspect(address)}`);
  }
  const [hostname, port] = address;
  if (typeof hostname !== "string" || hostname === "") {
    throw new TypeError(`Invalid address: expected a host name, got ${inspect(hostname)}`);
  }
  if (!Number.isInteger(port) || port < minPort || port > 65535) {
    const message = `Invalid address: expected a port from ${minPort} to 65535, got ${
      inspect(port)
    }`;
    throw typeof port === "number" ? new RangeError(message) : new TypeError(message);
  }
  return [hostname, port];
}

/** The kinds of transports, which carry the lines of a connection. `other` is a socket of the program's own. */
export type Transport = "tcp" | "tls" | "unix" | "websocket" | "event-stream" | "other";

/** Returns whether only this machine can connect to a host name or address. */
export function isLoopback(hostname: string): boolean {
  return /^(127\.|::1$|::ffff:127\.|localhost$)/i.test(hostname);
}
