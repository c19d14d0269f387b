/**
 * The input and the result of one run.
 *
 * @module
 */

import type { ClientPair } from "./client_pair.ts";
import type { Flood } from "./flood.ts";
import type { RequestPair } from "./request_pair.ts";
import type { RoomDriver } from "./room_driver.ts";
import type { ServerProcess } from "./server_process.ts";
import type { Wire } from "./wire.ts";

/** What one run measured; what is not measured in a scenario is absent, what cannot be is `null`. */
export interface Sample {
  cpuMicros?: number | null;
  deliveryMicros?: number | null;
  eventsPerCpuSecond?: number | null;
  totalMicros?: number | null;
  publisherMicros?: number | null;
  relayMicros?: number | null;
  subscriberMicros?: number | null;
  eventsPerSecond?: number;
  requestMicros?: number | null;
  requesterMicros?: number | null;
  responderMicros?: number | null;
  requestsPerSecond?: number;
  busyPercent?: number | null;
  p50Micros?: number | null;
  p99Micros?: number | null;
  worstMicros?: number | null;
  lateMicros?: number | null;
  driverPercent?: number | null;
  aloneMicros?: number | null;
  floodPerSecond?: number;
  earlierPerSecond?: number;
  laterPerSecond?: number;
  warmMib?: number | null;
  earlierMib?: number | null;
  laterMib?: number | null;
  kibPerConnection?: number | null;
  connectsPerSecond?: number;
}

/** A server that runs, and how to get at it. */
export interface Target {
  readonly server: ServerProcess;
  readonly wire: Wire;
  /** Starts a publisher and a subscriber that use its client library, in programs or in pages. */
  readonly startClients: (use: "events" | "pages") => Promise<ClientPair>;
  /** Starts a requester and a responder that use it; `parallel` requests are open at a time. */
  readonly startRequests: (parallel: number) => Promise<RequestPair>;
  /** Starts a flood of events from one client to another. */
  readonly startFlood: () => Promise<Flood>;
  /** Starts the clients of a room; `null` if the program that they are is not here. */
  readonly startRoom: (() => Promise<RoomDriver>) | null;
  /** How many events to publish, or requests to make, if that is given. */
  readonly events: number | null;
}
