/**
 * The effect of a client that publishes all it can on others: how long two of them wait for each
 * other meanwhile.
 *
 * @module
 */

import { connect, WARM_UP_SECONDS } from "./load.ts";
import { meter } from "./measured_process.ts";
import type { Sample, Target } from "./sample.ts";
import { percentile } from "./stats.ts";
import type { Traffic } from "./traffic.ts";

/** For how long the two wait for each other without a flood, and with one. */
const ALONE_SECONDS = 1;
const MEASURED_SECONDS = 4;

/** The pause after a round trip: the flood, which may share a CPU with the two, needs it, too. */
const PAUSE_MS = 2;

/** Round trips between two clients, before and during a flood between two others. */
export async function measureNeighbour(
  { server, wire, startFlood, events: count }: Target,
): Promise<Sample> {
  const join = (event: string) =>
    connect({ server, wire: wire.on!(event) }, { event, subscribers: 1 });
  using ping = await join("ping");
  using pong = await join("pong");
  await timeRoundTrips(ping, pong, WARM_UP_SECONDS);
  const alone = await timeRoundTrips(ping, pong, ALONE_SECONDS);

  await using flood = await startFlood();
  await timeRoundTrips(ping, pong, WARM_UP_SECONDS);
  const before = await flood.received();
  let during = new Float64Array();
  const { cpuMicros, seconds } = await meter(server, async () => {
    during = await timeRoundTrips(ping, pong, MEASURED_SECONDS, count ?? Infinity);
  });
  const flooded = await flood.received() - before;

  await flood.finish();
  await ping.finish();
  await pong.finish();
  return {
    aloneMicros: percentile(alone, 0.5),
    p50Micros: percentile(during, 0.5),
    p99Micros: percentile(during, 0.99),
    worstMicros: percentile(during, 1),
    floodPerSecond: flooded / seconds,
    cpuMicros: cpuMicros && cpuMicros / flooded,
    busyPercent: cpuMicros && cpuMicros / seconds / 1e4,
  };
}

/** How long round trips take, one after the other, at most `count`; the shortest first. */
async function timeRoundTrips(
  there: Traffic,
  back: Traffic,
  seconds: number,
  count = Infinity,
): Promise<Float64Array<ArrayBuffer>> {
  const micros: number[] = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end && micros.length < count) {
    const start = performance.now();
    await there.publish(1);
    await back.publish(1);
    micros.push((performance.now() - start) * 1000);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return new Float64Array(micros).sort();
}
