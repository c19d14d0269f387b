/**
 * Turns the shape of a load into traffic: the publishers, their events, and the number in flight.
 *
 * @module
 */

import { messageEvents, type MessageOptions } from "./fixtures.ts";
import { FrameRing } from "./frame_ring.ts";
import type { Stream } from "./subscriber.ts";
import { Traffic, type TrafficOptions } from "./traffic.ts";
import type { Wire } from "./wire.ts";

/** For how long a server is warmed up, and measured, in seconds. */
export const WARM_UP_SECONDS = 0.4;
export const MEASURED_SECONDS = 0.8;

/** The most events in flight, by number and by bytes, so that queues stay far below all bounds. */
const IN_FLIGHT = 4096;
const IN_FLIGHT_BYTES = 1_048_576;

/** The same for a flood: about as many as the sockets hold, so that the server always has some. */
const FLOOD_IN_FLIGHT = 65_536;

/** Distinct events in all streams of a run, of a flood, and by bytes. */
const RING_EVENTS = 16_384;
const FLOOD_RING_EVENTS = 81_920;
const RING_BYTES = 8_388_608;

/** The shape of the traffic. */
export interface Shape extends MessageOptions {
  readonly publishers?: number;
  readonly subscribers: number;
  readonly chat?: boolean;
  readonly stalled?: number;
  /** Whether so many may be in flight that the server never waits for the publisher. */
  readonly flood?: boolean;
}

/** Connects publishers and subscribers with distinct events to publish. */
export function connect(
  { server, wire }: { server: { readonly port: number }; wire: Wire },
  { publishers = 1, bytes, event, flood = false, ...shape }: Shape,
  onDelivered?: TrafficOptions["onDelivered"],
): Promise<Traffic> {
  const users = publishers === 1 ? ["alice"] : USERS.slice(0, publishers);
  const ringEvents = flood ? FLOOD_RING_EVENTS : RING_EVENTS;
  const most = Math.min(ringEvents, Math.floor(RING_BYTES / (bytes ?? 1)));
  const count = Math.floor(most / publishers);
  const streams = users.map((user) =>
    toStream(wire, count, { user, ...bytes && { bytes }, ...event && { event } })
  );
  const { frameBytes } = streams[0]!.published;
  const reply = wire.acknowledge(shape.subscribers + (shape.stalled ?? 0));
  return Traffic.connect({
    port: server.port,
    wire,
    streams,
    replies: reply.length > 0 ? FrameRing.from(Array(1000).fill(reply)) : null,
    ...shape,
    inFlight: flood
      ? FLOOD_IN_FLIGHT
      : Math.min(IN_FLIGHT, Math.floor(IN_FLIGHT_BYTES / frameBytes)),
    ...onDelivered && { onDelivered },
  });
}

/** Names that differ in one letter. */
const USERS = [..."abcdefghijklmnop"].map((letter) => `user${letter}`);

function toStream(wire: Wire, count: number, options: MessageOptions): Stream {
  const events = messageEvents(count, options);
  return {
    published: FrameRing.from(events.map((event) => wire.publish(event))),
    delivered: FrameRing.from(events.map((event) => wire.deliver(event))),
  };
}
