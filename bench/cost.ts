/**
 * The cost of an event for a server that gets as many as it takes, for a moment or for long.
 *
 * @module
 */

import { connect, MEASURED_SECONDS, type Shape, WARM_UP_SECONDS } from "./load.ts";
import { meter } from "./measured_process.ts";
import type { Sample, Target } from "./sample.ts";
import type { ServerProcess } from "./server_process.ts";
import type { Traffic } from "./traffic.ts";

/** A long run, and how many times as many events follow in the same process. */
const LONG_EVENTS = 1_000_000;
const LONG_TIMES_MORE = 10;

/** A server that does less than this would take more than some 20 s for a long run. */
const LONG_LEAST_PER_SECOND = 500_000;

/** As much as the server takes. */
export async function measureCost(target: Target, shape: Shape): Promise<Sample> {
  using traffic = await connect(target, shape);
  const perSecond = await warmUp(traffic);
  const events = roundUp(target.events ?? perSecond * MEASURED_SECONDS, shape.publishers ?? 1);
  const { cpuMicros, seconds } = await meter(target.server, () => traffic.publish(events));
  await traffic.finish();
  return {
    cpuMicros: cpuMicros && cpuMicros / events,
    deliveryMicros: cpuMicros && cpuMicros / events / shape.subscribers,
    eventsPerSecond: events / seconds,
    busyPercent: cpuMicros && cpuMicros / seconds / 1e4,
  };
}

/** Publishes for a while, more at a time as it goes; returns events per second in the end. */
async function warmUp(traffic: Traffic): Promise<number> {
  const start = performance.now();
  for (let events = 256;; events *= 2) {
    const before = performance.now();
    await traffic.publish(events);
    const now = performance.now();
    if (now - start > WARM_UP_SECONDS * 1000) return events / (now - before) * 1000;
  }
}

function roundUp(events: number, publishers: number): number {
  return Math.max(1, Math.ceil(events / publishers)) * publishers;
}

/** Whether throughput and memory stay what they are; nothing if it would take too long. */
export async function measureLong(target: Target): Promise<Sample> {
  using traffic = await connect(target, { subscribers: 1 });
  if (await warmUp(traffic) < LONG_LEAST_PER_SECOND) return {};
  const warmMib = residentMib(target.server);
  const earlier = target.events ?? LONG_EVENTS;
  const { seconds: earlierSeconds } = await meter(target.server, () => traffic.publish(earlier));
  const earlierMib = residentMib(target.server);
  const later = LONG_TIMES_MORE * earlier;
  const { seconds: laterSeconds } = await meter(target.server, () => traffic.publish(later));
  const laterMib = residentMib(target.server);
  await traffic.finish();
  return {
    earlierPerSecond: earlier / earlierSeconds,
    laterPerSecond: later / laterSeconds,
    warmMib,
    earlierMib,
    laterMib,
  };
}

function residentMib(server: ServerProcess): number | null {
  const kib = server.residentKib();
  return kib && kib / 1024;
}
