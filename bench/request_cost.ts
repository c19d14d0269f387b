/**
 * The cost and the time of a request and its answer, from object to object and back, through a
 * client library and its server.
 *
 * @module
 */

import { meter } from "./measured_process.ts";
import type { RequestPair } from "./request_pair.ts";
import type { Sample, Target } from "./sample.ts";
import { percentile } from "./stats.ts";

/** For how long it is warmed up, and measured, in seconds: two more compilers take part. */
const SECONDS = 2;

/** How many requests are made at first, for each that is open at a time. */
const FIRST_REQUESTS = 50;

/** Requests and answers, `parallel` of them at a time: whatever any of the three programs spends. */
export async function measureRequests(
  { server, startRequests, events }: Target,
  parallel: number,
): Promise<Sample> {
  await using clients = await startRequests(parallel);
  const perSecond = await warmUp(clients, FIRST_REQUESTS * parallel);
  const count = events ?? Math.ceil(perSecond * SECONDS);
  const requester = clients.requester.meterCpu();
  const responder = clients.responder.meterCpu();
  let micros: Float64Array = new Float64Array();
  const { cpuMicros: serving, seconds } = await meter(server, async () => {
    micros = await clients.request(count);
  });
  const [requesting, responding] = [requester(), responder()];
  const total = requesting && serving && responding && requesting + serving + responding;
  micros.sort();
  return {
    requestsPerSecond: count / seconds,
    p50Micros: percentile(micros, 0.5),
    p99Micros: percentile(micros, 0.99),
    requestMicros: total && total / count,
    requesterMicros: requesting && requesting / count,
    relayMicros: serving && serving / count,
    responderMicros: responding && responding / count,
  };
}

/** Makes requests for a while, more at a time as it goes; returns requests per second in the end. */
async function warmUp(clients: RequestPair, first: number): Promise<number> {
  const start = performance.now();
  for (let count = first;; count *= 2) {
    const before = performance.now();
    await clients.request(count);
    const now = performance.now();
    if (now - start > SECONDS * 1000) return count / (now - before) * 1000;
  }
}
