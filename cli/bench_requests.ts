/**
 * The benchmark of requests: sends them, answers them, and measures round trips.
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
import { countOf } from "./units.ts";

/** The queue of the responders. Each request goes to one of them. */
const QUEUE = "bench";

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

/** Runs the benchmark. Calls `onAnswered` for each answer. Resolves to the result. */
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
