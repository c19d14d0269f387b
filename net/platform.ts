/**
 * Functions of the runtime that a relay needs: addresses, memory, timers. The rooms that name no
 * runtime use them.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { Socket } from "./connection.ts";

/** Returns the address of a socket. A Unix socket has its path and port 0. */
export function toAddress({ hostname, port = 0, path = "" }: Socket["remoteAddr"]): Address {
  return hostname === undefined ? [path, 0] : [hostname, port];
}

/**
 * Returns the IPv4 address of this machine in its network.
 *
 * Never prompts. Without the permission to list network interfaces
 * (`--allow-sys=networkInterfaces`) or without a network, returns `127.0.0.1`.
 *
 * @returns The address, without a port.
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

/** Returns the memory usage of the process, in bytes. */
export function memoryUsage(): Pick<Deno.MemoryUsage, "rss" | "heapUsed"> {
  return Deno.memoryUsage();
}

/** Lets the process exit although the timer is set. */
export function unrefTimer(timer: ReturnType<typeof setTimeout>): void {
  Deno.unrefTimer(timer);
}
