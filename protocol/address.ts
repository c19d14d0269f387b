/**
 * Owns network addresses: their type, their text, and which one is this machine's own.
 *
 * @module
 */

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
      `Invalid address: expected [hostname, port], got ${Deno.inspect(address)}`,
    );
  }
  const [hostname, port] = address;
  if (typeof hostname !== "string" || hostname === "") {
    throw new TypeError(`Invalid address: expected a host name, got ${Deno.inspect(hostname)}`);
  }
  if (!Number.isInteger(port) || port < leastPort || port > 65535) {
    const message = `Invalid address: expected a port from ${leastPort} to 65535, got ${
      Deno.inspect(port)
    }`;
    throw typeof port === "number" ? new RangeError(message) : new TypeError(message);
  }
  return [hostname, port];
}

/** The address of a socket; a Unix socket has its path and port 0. */
export function toAddress(addr: Deno.Addr): Address {
  return "hostname" in addr ? [addr.hostname, addr.port] : ["path" in addr ? addr.path : "", 0];
}

/**
 * This machine's own IPv4 address, by which others in its network reach it.
 *
 * It never prompts. Without the permission to list network interfaces
 * (`--allow-sys=networkInterfaces`), or without a network, it is `127.0.0.1`.
 *
 * @example Show where a server can be reached
 * ```ts
 * import { getLocalIp } from "@ebsockets/relay";
 *
 * console.log(`Others reach this machine at ${getLocalIp()}`);
 * ```
 */
export function getLocalIp(): string {
  const loopback = "127.0.0.1";
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "networkInterfaces" });
  if (state !== "granted") return loopback;
  const external = Deno.networkInterfaces().find(({ family, address }) =>
    family === "IPv4" && !address.startsWith("127.") && !address.startsWith("169.254.")
  );
  return external?.address ?? loopback;
}
