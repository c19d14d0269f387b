/**
 * The two benchmarks: of events, which tracks those that arrive and measures latency, and of
 * requests, which answers them and measures round trips.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import { EbsocketEvent } from "../event.ts";
import {
  type Connector,
  LoadClients,
  LoadEvents,
  type LoadOptions,
  Pace,
  untilStalled,
} from "./bench_load.ts";
import { messageOf } from "./errors.ts";
import { Histogram } from "./histogram.ts";
import { countOf } from "../protocol/units.ts";

/** The time between connecting and the first event that is due, in milliseconds. */
const LEAD_MS = 50;

/**
 * How far publishers without a rate run ahead of the slowest subscriber, in bytes. By default, a
 * relay closes a client once 8 MiB are queued for it.
 */
const WINDOW_BYTES = 2 ** 21;

/** The queue of the responders. Each request goes to one of them. */
const QUEUE = "bench";

/** The result of a benchmark of events. */
export interface EventsResult {
  /** The number of events that the publishers sent. */
  readonly sent: number;
  /** The time until the last event was handed to the system or to the client, in milliseconds. */
  readonly sendMs: number;
  /** The number of events that all subscribers together should have received. */
  readonly expected: number;
  /** The number of events received. */
  readonly received: number;
  /** The number of received events that were out of order or duplicates. */
  readonly misplaced: number;
  /** The time until the last event arrived, in milliseconds. */
  readonly receiveMs: number;
  /** The time from when each event was due until it arrived, or `null` without a rate. */
  readonly latency: Histogram | null;
  /** What went wrong, for a person. */
  readonly faults: readonly string[];
}

/** Runs the benchmark of events. Calls `onReceived` for each event that arrives. Resolves to the result. */
export async function benchEvents(
  connect: Connector,
  options: LoadOptions,
  onReceived: () => void,
): Promise<EventsResult> {
  const { rate, publishers: senders } = options;
  const events = new LoadEvents(options.size);
  const shares = Array.from(
    { length: senders },
    (_, sender) => Math.ceil((options.events - sender) / senders),
  );
  const latency = rate === null ? null : new Histogram();
  await using clients = new LoadClients(connect);
  const subscribers = await clients.open("Subscriber", options.subscribers, [events.pattern]);
  const publishers = await clients.open("Publisher", senders, []);
  const start = performance.now() + LEAD_MS;
  const paces = rate === null
    ? []
    : shares.map((_, sender) => new Pace({ perSecond: rate, senders, sender, start }));
  const window = rate === null
    ? new Window(Math.ceil(WINDOW_BYTES / options.size), options.subscribers)
    : null;
  let sent = 0;
  let sentAt = start;
  let receivedAt = start;

  const publish = async (client: EbsocketClient, sender: number): Promise<void> => {
    for (let n = 0; n < shares[sender]!; n++) {
      await paces[sender]?.wait(n);
      await client.sendEvent(events.make(sender, n));
      sent++;
      sentAt = performance.now();
      await window?.send();
    }
    await client.flush();
    sentAt = performance.now();
  };
  const receive = async (client: EbsocketClient, receiver: number): Promise<void> => {
    const tally = tallies[receiver]!;
    for await (const event of client) {
      const [sender, n] = events.read(event) ?? [-1, -1];
      if (!tally.add(sender, n)) continue;
      window?.receive(receiver);
      receivedAt = performance.now();
      latency?.add(receivedAt - paces[sender]!.due(n));
      onReceived();
      if (tally.isComplete) break;
    }
    window?.leave(receiver);
  };

  await new Promise((resolve) => setTimeout(resolve, LEAD_MS));
  const tallies = subscribers.map(() => new Tally(shares));
  const total = (of: "received" | "misplaced") =>
    tallies.reduce((sum, tally) => sum + tally[of], 0);
  const faults: string[] = [];
  const work = Promise.all([
    ...publishers.map((client, sender) =>
      publish(client, sender).catch((error) => {
        // The connection itself reports why it ended.
        if (client.connected) faults.push(messageOf(error));
      })
    ),
    ...subscribers.map(receive),
  ]);
  const done = () => sent + total("received") + total("misplaced");
  const trouble = await untilStalled(work, clients.refusal, done);
  return {
    sent,
    sendMs: sentAt - start,
    expected: sent * options.subscribers,
    received: total("received"),
    misplaced: total("misplaced"),
    receiveMs: receivedAt - start,
    latency,
    faults: [...faults, ...await clients.faults(), ...(trouble === null ? [] : [trouble])],
  };
}

/** The options of a load of requests. */
export interface RequestLoadOptions extends LoadOptions {
  /** The maximum number of requests in flight, for all requesters together. */
  readonly parallel: number;
}

/** The result of a benchmark of requests. */
export interface RequestsResult {
  /** The number of requests sent. */
  readonly requests: number;
  /** The number of requests that received the right answer. */
  readonly answered: number;
  /** The total time, in milliseconds. */
  readonly elapsedMs: number;
  /** The time from when a request was due, or without a rate was sent, until its answer arrived. */
  readonly latency: Histogram;
  /** What went wrong, for a person. */
  readonly faults: readonly string[];
}

/** Runs the benchmark of requests. Calls `onAnswered` for each answer. Resolves to the result. */
export async function benchRequests(
  connect: Connector,
  options: RequestLoadOptions,
  onAnswered: () => void,
): Promise<RequestsResult> {
  const { rate, parallel } = options;
  const events = new LoadEvents(options.size);
  const latency = new Histogram();
  await using clients = new LoadClients(connect);
  const responders = await clients.open(
    "Responder",
    options.subscribers,
    [events.pattern],
    QUEUE,
  );
  const requesters = await clients.open("Requester", options.publishers, []);
  const start = performance.now();
  const pace = rate === null ? null : new Pace({ perSecond: rate, start });
  const failures = new Map<string, number>();
  let requests = 0;
  let finished = 0;

  const ask = async (client: EbsocketClient, sender: number): Promise<void> => {
    while (requests < options.events) {
      const n = requests++;
      await pace?.wait(n);
      const since = pace?.due(n) ?? performance.now();
      try {
        const answer = await client.request(events.make(sender, n));
        if (answer.getAttribute("n") !== n) throw new Error("Reply belongs to a different request");
        latency.add(performance.now() - since);
        onAnswered();
      } catch (error) {
        const why = messageOf(error);
        failures.set(why, (failures.get(why) ?? 0) + 1);
        if (!client.connected) return;
      } finally {
        finished++;
      }
    }
  };

  for (const client of responders) void respond(client);
  const workers = Array.from({ length: parallel }, (_, i) => {
    const sender = i % requesters.length;
    return ask(requesters[sender]!, sender);
  });
  const trouble = await untilStalled(Promise.all(workers), clients.refusal, () => finished);
  return {
    requests,
    answered: latency.count,
    elapsedMs: performance.now() - start,
    latency,
    faults: [
      ...await clients.faults(),
      ...failures.entries().map(([why, count]) => `${why} (${countOf(count, "time")})`),
      ...(trouble === null ? [] : [trouble]),
    ],
  };
}

/** Answers each request with its number until the connection ends. */
async function respond(client: EbsocketClient): Promise<void> {
  for await (const event of client) {
    const answer = new EbsocketEvent(event.event, { n: event.getAttribute("n") });
    // If an answer cannot be sent, its requester reports the missing answer.
    client.reply(event, answer).catch(() => {});
  }
}

/**
 * Lets senders run ahead of the slowest receiver by a number of events, and then makes them wait.
 */
export class Window {
  readonly #size: number;
  readonly #received: number[];
  #sent = 0;
  /** The count of the slowest receiver at the last check. */
  #slowest = 0;
  /** The count that every receiver must reach before the senders go on. */
  #wanted = Infinity;
  #opening = Promise.withResolvers<void>();

  /** Creates a window of `size` events, from 1, for `receivers` receivers. */
  constructor(size: number, receivers: number) {
    this.#size = size;
    this.#received = new Array(receivers).fill(0);
  }

  /**
   * Notes that an event was sent to all receivers. Returns a promise that resolves when there is
   * room for the next event, or `null` if there is room now.
   */
  send(): Promise<void> | null {
    this.#sent++;
    if (this.#wanted < Infinity) return this.#opening.promise;
    if (this.#sent - this.#slowest < this.#size) return null;
    this.#slowest = Math.min(...this.#received);
    if (this.#sent - this.#slowest < this.#size) return null;
    // Half of the window, so that the senders do not wait after every single event.
    this.#wanted = this.#sent - Math.floor(this.#size / 2);
    this.#opening = Promise.withResolvers();
    return this.#opening.promise;
  }

  /** Notes that an event has arrived at a receiver. */
  receive(receiver: number): void {
    if (++this.#received[receiver]! === this.#wanted) this.#openIfAllAreThere();
  }

  /** Notes that a receiver will get no more events. The senders no longer wait for it. */
  leave(receiver: number): void {
    this.#received[receiver] = Infinity;
    this.#openIfAllAreThere();
  }

  #openIfAllAreThere(): void {
    if (!this.#received.every((count) => count >= this.#wanted)) return;
    this.#wanted = Infinity;
    this.#opening.resolve();
  }
}

/** The events that one receiver got from all senders, each of which numbers its own from 0. */
export class Tally {
  /** The number of events that arrived before any later one of the same sender. */
  received = 0;
  /** The number of events that arrived after a later one of the same sender, or twice. */
  misplaced = 0;
  readonly #counts: readonly number[];
  readonly #next: number[];
  /** The number of senders whose last event is outstanding. */
  #open: number;

  /** Creates a tally for senders that send `counts` events each. */
  constructor(counts: readonly number[]) {
    this.#counts = counts;
    this.#next = counts.map(() => 0);
    this.#open = counts.filter((count) => count > 0).length;
  }

  /** Counts event `n` of a sender. Returns `false` if the number is invalid. */
  add(sender: number, n: number): boolean {
    const count = this.#counts[sender] ?? 0;
    if (!(Number.isInteger(n) && n >= 0 && n < count)) return false;
    if (n >= this.#next[sender]!) {
      this.received++;
      this.#next[sender] = n + 1;
      if (n + 1 === count) this.#open--;
    } else {
      this.misplaced++;
    }
    return true;
  }

  /** Whether the last event of every sender has arrived. Events still missing then are lost. */
  get isComplete(): boolean {
    return this.#open === 0;
  }
}
