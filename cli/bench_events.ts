/**
 * The benchmark of events: sends them, counts those that arrive, and measures latency.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import { printable } from "../protocol/printable.ts";
import {
  type Connector,
  LoadClients,
  LoadEvents,
  type LoadOptions,
  untilStalled,
} from "./bench_load.ts";
import { Histogram } from "./histogram.ts";
import { Pace } from "./pacer.ts";
import { divide, Tally } from "./sequence_check.ts";
import { Window } from "./flow_window.ts";

/** The time between connecting and the first event that is due, in milliseconds. */
const LEAD_MS = 50;

/**
 * How far publishers without a rate run ahead of the slowest subscriber, in bytes. By default, a
 * relay closes a client once 8 MiB are queued for it.
 */
const WINDOW_BYTES = 2 ** 21;

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

/** Runs the benchmark. Calls `onReceived` for each event that arrives. Resolves to the result. */
export async function benchEvents(
  connect: Connector,
  options: LoadOptions,
  onReceived: () => void,
): Promise<EventsResult> {
  const { rate, publishers: senders } = options;
  const events = new LoadEvents(options.size);
  const shares = divide(options.events, senders);
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
        if (client.connected) faults.push(printable(error.message));
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
