/**
 * The cost of an event from object to object, through a client library and its server.
 *
 * @module
 */

import { BATCH_EVENTS, type ClientPair } from "./client_pair.ts";
import { meter } from "./measured_process.ts";
import type { Sample, Target } from "./sample.ts";

/** For how long it is warmed up, and measured, in seconds: two more compilers take part. */
const SECONDS = 2;
const WARM_UP_BATCHES = 20;

/** From an object in one program to an object in another: whatever any of the three spends. */
export async function measureClients(
  { server, startClients, events }: Target,
  use: "events" | "pages",
): Promise<Sample> {
  await using clients = await startClients(use);
  const perSecond = await warmUpClients(clients);
  const batches = Math.ceil((events ?? perSecond * SECONDS) / BATCH_EVENTS);
  const publisher = clients.publisher.meterCpu();
  const subscriber = clients.subscriber.meterCpu();
  const { cpuMicros, seconds } = await meter(server, () => clients.publish(batches));
  const count = batches * BATCH_EVENTS;
  const [publishing, relaying, subscribing] = [publisher(), cpuMicros, subscriber()];
  const total = publishing && relaying && subscribing && publishing + relaying + subscribing;
  return {
    eventsPerCpuSecond: total && count / total * 1e6,
    totalMicros: total && total / count,
    publisherMicros: publishing && publishing / count,
    relayMicros: relaying && relaying / count,
    subscriberMicros: subscribing && subscribing / count,
    eventsPerSecond: count / seconds,
  };
}

/** Publishes for a while; returns events per second in the end. */
async function warmUpClients(clients: ClientPair): Promise<number> {
  const start = performance.now();
  for (;;) {
    const before = performance.now();
    await clients.publish(WARM_UP_BATCHES);
    const now = performance.now();
    const perSecond = WARM_UP_BATCHES * BATCH_EVENTS / (now - before) * 1000;
    if (now - start > SECONDS * 1000) return perSecond;
  }
}
