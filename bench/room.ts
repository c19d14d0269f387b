/**
 * A busy room as its clients see it: the time that events take to reach all of them while each
 * sends some, whether or not the server keeps up.
 *
 * @module
 */

import { messageEvents } from "./fixtures.ts";
import { type MeasuredProcess, meter } from "./measured_process.ts";
import type { RoomDriver, RoomFrames, RoomTimes } from "./room_driver.ts";
import type { Sample, Target } from "./sample.ts";
import { percentile } from "./stats.ts";
import { bytesOf, type Socket, type Wire } from "./wire.ts";

/** How many clients there are, and how many events all of them together send in a second. */
export interface RoomShape {
  readonly clients: number;
  readonly perSecond: number;
}

/** For how long the clients send, before and while the server is measured. */
const WARM_UP_SECONDS = 0.5;
const MEASURED_SECONDS = 2;

/** The driver is the limit if it was busier, or if one event in a hundred was sent later than this. */
const BUSIEST_PERCENT = 90;
const LATEST_MICROS = 1000;

/**
 * How often a server is measured at most, until the driver is not the limit. A server that is busy
 * all the time is the limit itself: the driver is late because it has to wait for it.
 */
const ATTEMPTS = 3;
const SATURATED_PERCENT = 95;

/** The digits of a client's number. */
const MARK_DIGITS = 4;

/** Events of all clients at a steady pace, each to all of them; n/a where the driver is not here. */
export async function measureRoom(
  { server, wire, startRoom, events: count }: Target,
  { clients, perSecond }: RoomShape,
): Promise<Sample> {
  if (!startRoom) return {};
  await using room = await startRoom();
  const senders = await join(room, wire, clients);
  const warmUp = Math.ceil(WARM_UP_SECONDS * perSecond);
  const events = Math.min(count ?? Infinity, MEASURED_SECONDS * perSecond);
  await room.load(toFrames(wire, senders, 1 + warmUp + ATTEMPTS * events));

  // The client that came last sends it, so when all have it, the server knows all clients.
  await room.run(1, perSecond);
  await room.run(warmUp, perSecond);
  let sample = await measureRound(server, room, events, perSecond);
  const isSpoiled = () => {
    return sample.p50Micros === null && (sample.busyPercent ?? 0) < SATURATED_PERCENT;
  };
  for (let i = 1; i < ATTEMPTS && isSpoiled(); i++) {
    sample = await measureRound(server, room, events, perSecond);
  }
  await room.finish();
  const { cpuMicros = null } = sample;
  return { ...sample, deliveryMicros: cpuMicros && cpuMicros / clients };
}

async function measureRound(
  server: MeasuredProcess,
  room: RoomDriver,
  events: number,
  perSecond: number,
): Promise<Sample> {
  const driverCpu = room.process.meterCpu();
  const { cpuMicros, seconds } = await meter(server, () => room.run(events, perSecond));
  const toPercent = (micros: number | null) => micros && micros / seconds / 1e4;
  const driverPercent = toPercent(driverCpu());
  return {
    ...toLatency(await room.times(), driverPercent),
    cpuMicros: cpuMicros && cpuMicros / events,
    busyPercent: toPercent(cpuMicros),
  };
}

/** The figures about time; those that the driver has spoiled are left out. */
export function toLatency(
  { latencies, lateness }: RoomTimes,
  driverPercent: number | null,
): Sample {
  const sorted = Float64Array.from(latencies).sort();
  const lateMicros = percentile(Float64Array.from(lateness).sort(), 0.99);
  const isLimit = (driverPercent ?? 0) > BUSIEST_PERCENT || (lateMicros ?? 0) > LATEST_MICROS;
  const figure = (share: number) => isLimit ? null : percentile(sorted, share);
  return {
    p50Micros: figure(0.5),
    p99Micros: figure(0.99),
    worstMicros: figure(1),
    driverPercent,
    lateMicros,
  };
}

/** Connects all clients; the number of the connection through which each sends, the last one first. */
async function join(room: RoomDriver, wire: Wire, clients: number): Promise<number[]> {
  const sockets: Socket[] = [];
  const add = async (role: "both" | "subscriber" | "publisher") => {
    const socket = await room.connect();
    await wire.join(socket, role);
    sockets.push(socket);
  };
  for (let i = 0; i < clients; i++) await add(wire.separatePublishers ? "subscriber" : "both");
  for (let i = 0; wire.separatePublishers && i < clients; i++) await add("publisher");
  for (const socket of sockets) await wire.settle(socket);
  return sockets.map((_, i) => i).slice(-clients).reverse();
}

/** What the clients send, in turns: each event has the number of its sender, and one of its own. */
function toFrames(wire: Wire, senders: readonly number[], count: number): RoomFrames {
  const clients = senders.length;
  const streams = senders.map((_, i) => {
    const user = `${i}`.padStart(MARK_DIGITS, "0");
    return messageEvents(Math.ceil(count / clients), { user });
  });
  const events = Array.from(
    { length: count },
    (_, i) => streams[i % clients]![Math.floor(i / clients)]!,
  );
  const delivered = events.map((event) => wire.deliver(event));
  return {
    clients,
    senders,
    published: events.map((event) => wire.publish(event)),
    delivered,
    markAt: findMark(delivered[0]!),
    markDigits: MARK_DIGITS,
    ack: wire.acknowledge(clients),
    farewell: wire.farewell,
  };
}

/** Where the first client's number is in a frame. */
function findMark(frame: Uint8Array): number {
  const before = '"user":"';
  const text = new TextDecoder("latin1").decode(frame);
  return text.indexOf(`${before}${"0".repeat(MARK_DIGITS)}`) + bytesOf(before).length;
}
