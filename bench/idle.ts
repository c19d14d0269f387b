/**
 * The cost of idle connections.
 *
 * @module
 */

import type { Sample, Target } from "./sample.ts";
import type { ServerProcess } from "./server_process.ts";
import { dial } from "./traffic.ts";
import type { Wire } from "./wire.ts";
import { within } from "./within.ts";

const IDLE_CONNECTIONS = 10_000;
const DIALS_AT_ONCE = 64;
const IDLE_SETTLE_MS = 1500;
const ACCEPT_MS = 30_000;

/** Connections that have subscribed, and get nothing. */
export async function measureIdle({ server, wire }: Target): Promise<Sample> {
  const connections: Deno.Conn[] = [];
  try {
    const before = server.residentKib();
    const start = performance.now();
    await dialMany(server.port, wire, connections);
    await within(ACCEPT_MS, "Accepting", untilHeld(server));
    const seconds = (performance.now() - start) / 1000;
    await new Promise((resolve) => setTimeout(resolve, IDLE_SETTLE_MS));
    const after = server.residentKib();
    return {
      kibPerConnection: before && after && (after - before) / IDLE_CONNECTIONS,
      connectsPerSecond: IDLE_CONNECTIONS / seconds,
    };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/**
 * Waits until the server has accepted what the kernel has connected already; the few files that it
 * opened for itself count for connections.
 */
async function untilHeld(server: ServerProcess): Promise<void> {
  while (server.openFiles() < IDLE_CONNECTIONS) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function dialMany(port: number, wire: Wire, connections: Deno.Conn[]): Promise<void> {
  let rest = IDLE_CONNECTIONS;
  const work = async () => {
    while (rest-- > 0) {
      const connection = await dial(port);
      connections.push(connection);
      await wire.join(connection, "subscriber");
    }
  };
  await Promise.all(Array.from({ length: DIALS_AT_ONCE }, work));
}
