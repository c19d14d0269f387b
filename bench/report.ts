/**
 * The results in words and tables.
 *
 * @module
 */

import type { Library, Peer } from "./peers_list.ts";
import { medianOf, peersIn, type Results, valuesOf } from "./results.ts";
import type { Sample } from "./sample.ts";
import type { Scenario } from "./scenarios.ts";
import { format, summarise } from "./stats.ts";
import { table } from "./table.ts";
import { aboutGoals, aboutWebsocket } from "./websocket.ts";

/** A peer that is here. */
export interface Present {
  readonly peer: Peer;
  readonly version: string;
  /** Those of its client libraries that are here, and wanted. */
  readonly libraries: readonly PresentLibrary[];
}

/** A client library that is here. */
export interface PresentLibrary {
  readonly library: Library;
  readonly version: string;
}

/** The figures that all others are compared with. */
const REFERENCES = ["nats-server", "copier"];

/** How a figure is shown, and whether beside it stands how many times that of the others it is. */
interface Figure {
  readonly heading: string;
  readonly digits: number;
  readonly compared?: boolean;
}

const FIGURES: Record<keyof Sample, Figure> = {
  cpuMicros: { heading: "server CPU µs/event", digits: 2, compared: true },
  deliveryMicros: { heading: "server CPU µs/delivery", digits: 3 },
  eventsPerSecond: { heading: "events/s", digits: 0 },
  busyPercent: { heading: "server CPU busy %", digits: 0 },
  eventsPerCpuSecond: { heading: "events per CPU second", digits: 0, compared: true },
  totalMicros: { heading: "CPU µs/event", digits: 2 },
  publisherMicros: { heading: "of it publisher", digits: 2 },
  relayMicros: { heading: "of it server", digits: 2 },
  subscriberMicros: { heading: "of it subscriber", digits: 2 },
  requestsPerSecond: { heading: "requests/s", digits: 0, compared: true },
  requestMicros: { heading: "CPU µs/request", digits: 2, compared: true },
  requesterMicros: { heading: "of it requester", digits: 2 },
  responderMicros: { heading: "of it responder", digits: 2 },
  earlierPerSecond: { heading: "events/s at first", digits: 0 },
  laterPerSecond: { heading: "events/s then", digits: 0, compared: true },
  warmMib: { heading: "MiB before", digits: 0 },
  earlierMib: { heading: "MiB at first", digits: 0 },
  laterMib: { heading: "MiB then", digits: 0 },
  p50Micros: { heading: "p50 µs", digits: 0, compared: true },
  p99Micros: { heading: "p99 µs", digits: 0, compared: true },
  worstMicros: { heading: "worst µs", digits: 0, compared: true },
  lateMicros: { heading: "sent late, p99 µs", digits: 0 },
  driverPercent: { heading: "driver CPU busy %", digits: 0 },
  aloneMicros: { heading: "p50 µs without the flood", digits: 0 },
  floodPerSecond: { heading: "flood events/s", digits: 0 },
  kibPerConnection: { heading: "KiB per connection", digits: 1, compared: true },
  connectsPerSecond: { heading: "connects/s", digits: 0, compared: true },
};

/** The page about all scenarios. */
export function writeReport(results: Results, scenarios: Scenario[], present: Present[]): string {
  const peers = present.map(({ peer }) => peer.name);
  const parts = [
    INTRODUCTION,
    aboutRun(results),
    aboutPeers(results, present),
    ...aboutLibraries(present),
    ...aboutWebsocket(results, peers),
    ...aboutGoals(results, peers),
    ...scenarios.map((scenario) => aboutScenario(results, scenario, peers)),
    READING,
  ];
  return `${parts.join("\n\n")}\n`;
}

const INTRODUCTION = `# Results

Written by \`deno task bench:peers\`. Do not edit.

![CPU time per event, by scenario and server](results.svg)`;

const READING = `## How to read this

- Every server runs in a process of its own that is started for the run and warmed up before
  anything is measured; the servers take turns within each round. The driver speaks the protocol of
  each over raw TCP, from bytes encoded beforehand, and compares every byte of every delivery with
  what must come: an event that is lost, doubled, reordered or changed ends the benchmark.
- Server CPU is user plus system time of all threads, from \`/proc/PID/task/*/schedstat\`, divided by
  the events _published_. It does not depend on how fast the driver is, as long as it keeps enough
  in flight: a closed loop with at most 4,096 events and 1 MiB.
- Where the server is busy close to 100 %, it and not the driver limits events per second. Where it
  is less, events per second are a lower bound: both sides wait for each other, or the driver is the
  slower one. The cost per event is still what the server spent, though on batches that depend on
  how much has piled up: a server that is served sooner handles smaller ones.
- The copier knows no batching but its 60 KiB read, so a server that gathers more into one write can
  cost less than the copier where writes dominate.
- Over WebSocket, every event is a text message in a frame of its own, in both directions, without
  compression. Clients mask what they send, all with the same key, which costs the server what any
  other would. \`ebsockets-ws\` and \`ebsockets\` are the same program: only the clients differ.
- Latency is the time from just before the write of an event to the read of each single delivery. It
  includes the driver, which must read from all subscribers on one CPU: compare, do not take it for
  the latency of the server alone.
- With a neighbour, two clients send each other an event in turn. Latency is the time of a round
  trip, there and back; the next one begins 2 ms after its end. Both have one connection to publish
  and one to subscribe, as Redis demands. Meanwhile a third client publishes as fast as the server
  takes it, and a fourth receives all of that: the flood. At most 65,536 of its events are in
  flight, about as many as the sockets hold, so the server always has some to read. Server CPU is
  divided by the events of the flood.
- The flood is a process of its own, so that the two wait for others at the server alone. Where
  server and driver have a CPU each, that process shares the CPU of the driver with the policy
  \`SCHED_IDLE\`: it runs only while the driver waits.
- Each client of that scenario subscribes to one subject: an event name of the relay, a subject of
  nats-server, a channel of redis, a topic of mosquitto, a room of \`socket.io\`, a topic of Bun. \`ws\`
  and Deno know none, so the servers that are measured pass messages on within the path of the
  connection. The copier has none either, and takes no part. nats-server would use several CPUs if
  it had them; here every server has one.
- In a room, every client sends events at a steady pace, and gets those of all clients, its own too:
  the relay, nats-server, redis and mosquitto do that by default, and the copier and the servers on
  \`ws\`, \`socket.io\`, Bun and Deno were written so. Nobody waits for the server: all rooms have 1,000
  events a second. Latency is the time from when an event was _due_ to when a client has read it. A
  server that is busy 100 % falls behind, and its latency grows for as long as the clients send,
  here for two seconds. All deliveries are compared with what must come, until the last is there.
- The clients of a room are a program in C, with all sockets in one thread, on the CPU of the
  driver. Where that was busy for more than 90 %, or sent one event in a hundred more than 1 ms
  late, the driver and not the server was the limit. The server is then measured again, and after
  three times the run has no latency: the table says how many runs have one, and n/a where that is
  not more than half. Without a compiler for C, or without Linux, all is n/a.
- \`÷ nats-server\` and \`÷ copier\` divide the median to their left by that of the other server. Less
  than 1 is better for times and memory, more than 1 for figures per second. Trust no ratio where
  the ranges overlap.
- With client libraries, publisher and subscriber are programs of their own. One hands objects to
  the library, the other gets objects back, and checks that each event is there once, in order and
  with the same attributes. Where a library takes only strings and bytes, the programs call
  \`JSON.stringify\` and \`JSON.parse\`, as its users do. At most 4,096 events are in flight. CPU is
  that of all three processes, compilers and garbage collectors included.
- In Chromium, publisher and subscriber are pages in a browser each, which get the library from the
  server. CPU is that of the processes that run pages: the network is the matter of another one,
  whatever the library, and does not count.
- With requests, requester and responder are such programs, too. The answer to each request is
  checked to be its own. Latency is the time from the call to the answer, as the requester sees it.
  CPU is that of all three processes, for a request and its answer.
- A long run is left out (n/a) for servers that would take more than some 20 s. Memory is what is
  resident in the server's process. Of idle connections, the first 1,000 do not count: what a server
  allocates only once is not divided among the others.`;

function aboutRun({ machine, commit, command, repeat, pinned }: Results): string {
  return `- Machine: ${machine}
- Commit: ${commit}
- Command: \`${command}\`
- Each figure: median (min–max) of ${repeat}
- ${
    pinned
      ? "Server on CPU 0, driver and clients on CPU 1"
      : "Server, driver and clients share all CPUs: not pinned"
  }`;
}

function aboutPeers({ skipped }: Results, present: Present[]): string {
  const rows = present.map(({ peer, version }) => [peer.name, version, peer.about]);
  const missing = skipped.map(({ name, install }) => [name, "skipped", `\`${install}\``]);
  return `## Servers\n\n${table(["server", "version", "what it is"], [...rows, ...missing])}`;
}

function aboutLibraries(present: Present[]): string[] {
  const rows = present.flatMap(({ peer, libraries }) =>
    libraries.map(({ library, version }) => [peer.name, library.name, version])
  );
  if (rows.length === 0) return [];
  return [`## Client libraries\n\n${table(["server", "library", "version"], rows)}`];
}

function aboutScenario(
  results: Results,
  { name, title, figures }: Scenario,
  all: string[],
): string {
  const peers = peersIn(results, name, all);
  const references = REFERENCES.filter((reference) => peers.includes(reference));
  const columns = figures.flatMap((figure) => {
    const { heading, digits, compared } = FIGURES[figure];
    const values = (peer: string) => summarise(valuesOf(results, name, peer, figure), digits);
    const ratios = (compared ? references : []).map((reference) => ({
      heading: `÷ ${reference}`,
      cell: (peer: string) => ratio(results, name, figure, peer, reference),
    }));
    return [{ heading, cell: values }, ...ratios];
  });
  const headings = ["server", ...columns.map(({ heading }) => heading)];
  const rows = peers.map((peer) => [peer, ...columns.map(({ cell }) => cell(peer))]);
  return `## ${title}\n\n\`--scenarios ${name}\`\n\n${table(headings, rows)}`;
}

function ratio(
  results: Results,
  scenario: string,
  figure: keyof Sample,
  peer: string,
  reference: string,
): string {
  const value = medianOf(results, scenario, peer, figure);
  const base = medianOf(results, scenario, reference, figure);
  return value === null || !base ? "n/a" : format(value / base, 2);
}
