/**
 * Owns network addresses: their type, their text and their check.
 *
 * @module
 */

import { inspect } from "./printable.ts";

/** A host name or IP address, and a port, in the order in which Python's sockets give them. */
export type Address = readonly [hostname: string, port: number];

/**
 * An address as text, IPv6 in brackets, the path of a Unix socket alone.
 *
 * @example Both kinds
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
 * `address` if it is a host name and a port number, otherwise a `TypeError` or `RangeError`. Port 0
 * can only be listened on.
 */
export function checkAddress(address: Address, leastPort: 0 | 1 = 0): Address {
  if (!Array.isArray(address)) {
    throw new TypeError(
      `Invalid address: expected [hostname, port], got ${inspect(address)}`,
    );
  }
  const [hostname, port] = address;
  if (typeof hostname !== "string" || hostname === "") {
    throw new TypeError(`Invalid address: expected a host name, got ${inspect(hostname)}`);
  }
  if (!Number.isInteger(port) || port < leastPort || port > 65535) {
    const message = `Invalid address: expected a port from ${leastPort} to 65535, got ${
      inspect(port)
    }`;
    throw typeof port === "number" ? new RangeError(message) : new TypeError(message);
  }
  return [hostname, port];
}
