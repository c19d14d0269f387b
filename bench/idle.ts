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

/** The first of them, for which a server allocates what it needs only once. */
const WARM_UP_CONNECTIONS = 1000;
const MEASURED_CONNECTIONS = IDLE_CONNECTIONS - WARM_UP_CONNECTIONS;

const DIALS_AT_ONCE = 64;
const IDLE_SETTLE_MS = 1500;
const ACCEPT_MS = 30_000;

/** Connections that have subscribed, and get nothing. */
export async function measureIdle({ server, wire }: Target): Promise<Sample> {
  const connections: Deno.Conn[] = [];
  const connect = async (count: number) => {
    await dialMany(server.port, wire, count, connections);
    await within(ACCEPT_MS, "Accepting", untilHeld(server, connections.length));
  };
  try {
    await connect(WARM_UP_CONNECTIONS);
    const before = await settledKib(server);
    const start = performance.now();
    await connect(MEASURED_CONNECTIONS);
    const seconds = (performance.now() - start) / 1000;
    const after = await settledKib(server);
    return {
      kibPerConnection: before && after && (after - before) / MEASURED_CONNECTIONS,
      connectsPerSecond: MEASURED_CONNECTIONS / seconds,
    };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** The memory of a server that has had time to clean up. */
async function settledKib(server: ServerProcess): Promise<number | null> {
  await new Promise((resolve) => setTimeout(resolve, IDLE_SETTLE_MS));
  return server.residentKib();
}

/**
 * Waits until the server has accepted what the kernel has connected already; the few files that it
 * opened for itself count for connections.
 */
async function untilHeld(server: ServerProcess, count: number): Promise<void> {
  while (server.openFiles() < count) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function dialMany(
  port: number,
  wire: Wire,
  count: number,
  connections: Deno.Conn[],
): Promise<void> {
  let rest = count;
  const work = async () => {
    while (rest-- > 0) {
      const connection = await dial(port);
      connections.push(connection);
      await wire.join(connection, "subscriber");
    }
  };
  await Promise.all(Array.from({ length: DIALS_AT_ONCE }, work));
}
