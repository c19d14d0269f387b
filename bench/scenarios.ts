/**
 * Owns the scenarios: which traffic a server gets in each, and what is measured of it. Must not know
 * which servers there are, or how figures are shown.
 *
 * @module
 */

import { BATCH_EVENTS, type ClientPair } from "./client_pair.ts";
import { messageEvents, type MessageOptions } from "./fixtures.ts";
import { FrameRing } from "./frame_ring.ts";
import type { ServerProcess } from "./server_process.ts";
import { percentile } from "./stats.ts";
import type { Stream } from "./subscriber.ts";
import { dial, Traffic, type TrafficOptions } from "./traffic.ts";
import type { Wire } from "./wire.ts";
import { within } from "./within.ts";

/** For how long a server is warmed up, and measured, in seconds. */
const WARM_UP_SECONDS = 0.4;
const MEASURED_SECONDS = 0.8;

/** Two more compilers have to warm up where client libraries are measured. */
const CLIENT_SECONDS = 2;
const CLIENT_WARM_UP_BATCHES = 20;

/** The most events in flight, by number and by bytes, so that queues stay far below all bounds. */
const IN_FLIGHT = 4096;
const IN_FLIGHT_BYTES = 1_048_576;

/** Distinct events in all streams of a run, by number and by bytes. */
const RING_EVENTS = 16_384;
const RING_BYTES = 8_388_608;

/** A long run, and how many times as many events follow in the same process. */
const LONG_EVENTS = 1_000_000;
const LONG_TIMES_MORE = 10;

/** A server that does less than this would take more than some 20 s for a long run. */
const LONG_LEAST_PER_SECOND = 500_000;

const PACED_PER_SECOND = 1000;
const STALLED_SECONDS = 4;
const IDLE_CONNECTIONS = 10_000;
const DIALS_AT_ONCE = 64;
const IDLE_SETTLE_MS = 1500;
const ACCEPT_MS = 30_000;

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
  busyPercent?: number | null;
  p50Micros?: number | null;
  p99Micros?: number | null;
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
  /** Starts a publisher and a subscriber that use its client library. */
  readonly startClients: () => Promise<ClientPair>;
  /** How many events to publish, if that is given. */
  readonly events: number | null;
}

/** One scenario. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Whether clients get their own events too. */
  readonly echo: boolean;
  /** Whether it is about client libraries, and so only for servers with one. */
  readonly withLibrary?: boolean;
  /** The figures that it gives, in the order in which they are shown. */
  readonly figures: readonly (keyof Sample)[];
  measure(target: Target): Promise<Sample>;
}

const COST = ["cpuMicros", "eventsPerSecond", "busyPercent"] as const;
const FAN_OUT = ["cpuMicros", "deliveryMicros", "eventsPerSecond", "busyPercent"] as const;
const LATENCY = ["p50Micros", "p99Micros", "cpuMicros"] as const;

/** All scenarios. */
export const SCENARIOS: readonly Scenario[] = [
  fanOut("1", "1 publisher, 1 subscriber", 1),
  fanOut("4", "1 publisher, 4 subscribers", 4),
  fanOut("50", "1 publisher, 50 subscribers", 50),
  fanOut("500", "1 publisher, 500 subscribers", 500),
  {
    name: "chat",
    title: "16 clients, each of which sends and gets the events of all",
    echo: true,
    figures: COST,
    measure: (target) => measureCost(target, { publishers: 16, subscribers: 16, chat: true }),
  },
  {
    name: "16k",
    title: "1 publisher, 1 subscriber, events of 16 KiB",
    echo: false,
    figures: COST,
    measure: (target) => measureCost(target, { subscribers: 1, bytes: 16_384 }),
  },
  {
    name: "single",
    title: "One event at a time to 50 subscribers",
    echo: false,
    figures: LATENCY,
    measure: measureSingle,
  },
  {
    name: "paced",
    title: "1,000 events/s to 50 subscribers",
    echo: false,
    figures: LATENCY,
    measure: (target) => measurePaced(target, { subscribers: 50 }, 1),
  },
  {
    name: "stalled",
    title: "1,000 events/s of 4 KiB to 50 subscribers, one of which does not read",
    echo: false,
    figures: ["p50Micros", "p99Micros"],
    measure: (target) =>
      measurePaced(target, { subscribers: 49, stalled: 1, bytes: 4096 }, STALLED_SECONDS),
  },
  {
    name: "long",
    title: "1 publisher, 1 subscriber: 1 million events, then 10 million more",
    echo: false,
    figures: ["earlierPerSecond", "laterPerSecond", "warmMib", "earlierMib", "laterMib"],
    measure: measureLong,
  },
  {
    name: "clients",
    title: "1 publisher and 1 subscriber that use the client library",
    echo: false,
    withLibrary: true,
    figures: [
      "eventsPerCpuSecond",
      "totalMicros",
      "publisherMicros",
      "relayMicros",
      "subscriberMicros",
      "eventsPerSecond",
    ],
    measure: measureClients,
  },
  {
    name: "idle",
    title: "10,000 idle subscribers",
    echo: false,
    figures: ["kibPerConnection", "connectsPerSecond"],
    measure: measureIdle,
  },
];

function fanOut(name: string, title: string, subscribers: number): Scenario {
  const measure = (target: Target) => measureCost(target, { subscribers });
  return { name, title, echo: false, figures: FAN_OUT, measure };
}

/** The shape of the traffic. */
interface Shape extends MessageOptions {
  readonly publishers?: number;
  readonly subscribers: number;
  readonly chat?: boolean;
  readonly stalled?: number;
}

function connect(
  { server, wire }: Target,
  { publishers = 1, bytes, ...shape }: Shape,
  onDelivered?: TrafficOptions["onDelivered"],
): Promise<Traffic> {
  const users = publishers === 1 ? ["alice"] : USERS.slice(0, publishers);
  const streams = users.map((user) =>
    toStream(wire, publishers, bytes ? { user, bytes } : { user })
  );
  const { frameBytes } = streams[0]!.published;
  const reply = wire.acknowledge(shape.subscribers + (shape.stalled ?? 0));
  return Traffic.connect({
    port: server.port,
    wire,
    streams,
    replies: reply.length > 0 ? FrameRing.from(Array(1000).fill(reply)) : null,
    ...shape,
    inFlight: Math.min(IN_FLIGHT, Math.floor(IN_FLIGHT_BYTES / frameBytes)),
    ...onDelivered && { onDelivered },
  });
}

/** Names that differ in one letter. */
const USERS = [..."abcdefghijklmnop"].map((letter) => `user${letter}`);

function toStream(wire: Wire, publishers: number, options: MessageOptions): Stream {
  const most = Math.min(RING_EVENTS, Math.floor(RING_BYTES / (options.bytes ?? 1)));
  const events = messageEvents(Math.floor(most / publishers), options);
  return {
    published: FrameRing.from(events.map((event) => wire.publish(event))),
    delivered: FrameRing.from(events.map((event) => wire.deliver(event))),
  };
}

/** As much as the server takes. */
async function measureCost(target: Target, shape: Shape): Promise<Sample> {
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

/** The CPU time of the server and the wall time that `work` takes. */
async function meter(
  server: ServerProcess,
  work: () => Promise<void>,
): Promise<{ cpuMicros: number | null; seconds: number }> {
  const cpu = server.meterCpu();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  return { cpuMicros: cpu(), seconds };
}

/** Whether throughput and memory stay what they are; nothing if it would take too long. */
async function measureLong(target: Target): Promise<Sample> {
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

/** From an object in one program to an object in another: whatever any of the three spends. */
async function measureClients({ server, startClients, events }: Target): Promise<Sample> {
  await using clients = await startClients();
  const perSecond = await warmUpClients(clients);
  const batches = Math.ceil((events ?? perSecond * CLIENT_SECONDS) / BATCH_EVENTS);
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
    await clients.publish(CLIENT_WARM_UP_BATCHES);
    const now = performance.now();
    const perSecond = CLIENT_WARM_UP_BATCHES * BATCH_EVENTS / (now - before) * 1000;
    if (now - start > CLIENT_SECONDS * 1000) return perSecond;
  }
}

/** The next event when everyone has the last one. Each delivery is timed. */
async function measureSingle(target: Target): Promise<Sample> {
  const watch = new Stopwatch();
  using traffic = await connect(target, { subscribers: 50 }, watch.onDelivered);
  const publish = async (seconds: number) => {
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
      watch.sent();
      await traffic.publish(1);
    }
  };
  await publish(WARM_UP_SECONDS);
  watch.restart();
  const { cpuMicros } = await meter(target.server, () => publish(MEASURED_SECONDS));
  await traffic.finish();
  return { ...watch.figures(), cpuMicros: cpuMicros && cpuMicros / watch.events };
}

/** Events at a steady pace, whether or not they arrive. */
async function measurePaced(target: Target, shape: Shape, seconds: number): Promise<Sample> {
  const watch = new Stopwatch();
  using traffic = await connect(target, shape, watch.onDelivered);
  const publish = async (count: number) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const wait = start + i * 1000 / PACED_PER_SECOND - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      watch.sent();
      await traffic.send();
    }
    await traffic.settle();
  };
  await publish(WARM_UP_SECONDS * PACED_PER_SECOND);
  watch.restart();
  const events = target.events ?? seconds * PACED_PER_SECOND;
  const { cpuMicros } = await meter(target.server, () => publish(events));
  await traffic.finish();
  return { ...watch.figures(), cpuMicros: cpuMicros && cpuMicros / watch.events };
}

/** The time from just before an event is written to when a subscriber has read it. */
class Stopwatch {
  readonly #sentAt: number[] = [];
  #first = 0;
  #micros: number[] = [];

  /** How many events were sent since the restart. */
  get events(): number {
    return this.#sentAt.length - this.#first;
  }

  /** The next event is about to be written. */
  sent(): void {
    this.#sentAt.push(performance.now());
  }

  /** Forgets the times, not the events. */
  restart(): void {
    this.#first = this.#sentAt.length;
    this.#micros = [];
  }

  readonly onDelivered = (from: number, to: number): void => {
    const now = performance.now();
    for (let i = from; i < to; i++) this.#micros.push((now - this.#sentAt[i]!) * 1000);
  };

  figures(): Pick<Sample, "p50Micros" | "p99Micros"> {
    const sorted = new Float64Array(this.#micros).sort();
    return { p50Micros: percentile(sorted, 0.5), p99Micros: percentile(sorted, 0.99) };
  }
}

/** Connections that have subscribed, and get nothing. */
async function measureIdle({ server, wire }: Target): Promise<Sample> {
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
