/**
 * Owns the benchmark of requests: asks, answers, and counts how long it took. Must not know how results
 * are shown.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import {
  type Connector,
  LoadClients,
  LoadEvents,
  type LoadOptions,
  untilStalled,
} from "./bench_load.ts";
import { messageOf } from "./errors.ts";
import { Histogram } from "./histogram.ts";
import { Pace } from "./pacer.ts";
import { countOf } from "./units.ts";

/** The queue of those who answer: each request goes to one of them. */
const QUEUE = "bench";

/** What is asked for. */
export interface RequestLoadOptions extends LoadOptions {
  /** How many requests wait for their answers at a time, at most, in all. */
  readonly parallel: number;
}

/** What a benchmark of requests has found. */
export interface RequestsResult {
  /** How many requests were made. */
  readonly requests: number;
  /** How many got the right answer. */
  readonly answered: number;
  /** How long it all took, in milliseconds. */
  readonly elapsedMs: number;
  /** From when a request was due, or else was made, until its answer had come. */
  readonly latency: Histogram;
  /** What went wrong, for people. */
  readonly faults: readonly string[];
}

/** Runs it; `onAnswered` is called for each answer. */
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
        if (answer.getAttribute("n") !== n) throw new Error("The answer was not the one to it");
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

/** Answers each request with its number, until the connection ends. */
async function respond(client: EbsocketClient): Promise<void> {
  for await (const event of client) {
    const answer = new EbsocketEvent(event.event, { n: event.getAttribute("n") });
    // One that cannot be sent is missed by who asked.
    client.reply(event, answer).catch(() => {});
  }
}
