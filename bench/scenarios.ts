/**
 * The scenarios: the traffic of each, and its figures.
 *
 * @module
 */

import { measureClients } from "./client_cost.ts";
import { measureCost, measureLong } from "./cost.ts";
import { measureIdle } from "./idle.ts";
import { measurePaced, measureSingle } from "./latency.ts";
import { measureNeighbour } from "./neighbour.ts";
import type { LibraryUse } from "./peers_list.ts";
import { measureRequests } from "./request_cost.ts";
import { measureRoom } from "./room.ts";
import type { Sample, Target } from "./sample.ts";

const STALLED_SECONDS = 4;

/** One scenario. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Whether clients get their own events too. */
  readonly echo: boolean;
  /** What it does with client libraries, if that is what it is about: only for those that do it. */
  readonly libraryUse?: LibraryUse;
  /** Whether clients hear only some of the events: only for servers that let them choose. */
  readonly subjects?: boolean;
  /** Whether its clients are the program for rooms, which has to be made first. */
  readonly room?: boolean;
  /** The figures that it gives, in the order in which they are shown. */
  readonly figures: readonly (keyof Sample)[];
  measure(target: Target): Promise<Sample>;
}

const COST = ["cpuMicros", "eventsPerSecond", "busyPercent"] as const;
const FAN_OUT = ["cpuMicros", "deliveryMicros", "eventsPerSecond", "busyPercent"] as const;
const LATENCY = ["p50Micros", "p99Micros", "cpuMicros"] as const;
const ROOM = [
  "p50Micros",
  "p99Micros",
  "worstMicros",
  "deliveryMicros",
  "busyPercent",
  "driverPercent",
  "lateMicros",
] as const;
const CLIENTS = [
  "eventsPerCpuSecond",
  "totalMicros",
  "publisherMicros",
  "relayMicros",
  "subscriberMicros",
  "eventsPerSecond",
] as const;
const REQUESTS = [
  "requestsPerSecond",
  "p50Micros",
  "p99Micros",
  "requestMicros",
  "requesterMicros",
  "relayMicros",
  "responderMicros",
] as const;

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
    name: "neighbour",
    title: "Two clients that wait for each other, while a third publishes all it can to a fourth",
    echo: false,
    subjects: true,
    figures: [
      "p50Micros",
      "p99Micros",
      "worstMicros",
      "aloneMicros",
      "floodPerSecond",
      "cpuMicros",
      "busyPercent",
    ],
    measure: measureNeighbour,
  },
  room("room-100", 100, 10),
  room("room-500", 500, 2),
  room("room-1000", 1000, 1),
  {
    name: "long",
    title: "1 publisher, 1 subscriber: 1 million events, then 10 million more",
    echo: false,
    figures: ["earlierPerSecond", "laterPerSecond", "warmMib", "earlierMib", "laterMib"],
    measure: measureLong,
  },
  clients("clients", "1 publisher and 1 subscriber that use the client library", "events"),
  clients("pages", "1 publisher and 1 subscriber in Chromium that use the client library", "pages"),
  requests("request", "One request at a time, and its answer, through the client library", 1),
  requests("requests", "50 requests at a time, and their answers, through the client library", 50),
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

/** A room whose clients send `each` events a second. */
function room(name: string, clients: number, each: number): Scenario {
  return {
    name,
    title: `A room: ${clients.toLocaleString("en-US")} clients, each of which sends ${
      each === 1 ? "an event" : `${each} events`
    } a second and gets the events of all`,
    echo: true,
    room: true,
    figures: ROOM,
    measure: (target) => measureRoom(target, { clients, perSecond: clients * each }),
  };
}

function clients(name: string, title: string, libraryUse: "events" | "pages"): Scenario {
  const measure = (target: Target) => measureClients(target, libraryUse);
  return { name, title, echo: false, libraryUse, figures: CLIENTS, measure };
}

function requests(name: string, title: string, parallel: number): Scenario {
  const measure = (target: Target) => measureRequests(target, parallel);
  return { name, title, echo: false, libraryUse: "requests", figures: REQUESTS, measure };
}
