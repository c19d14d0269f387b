/**
 * The `bench` command, which measures the throughput and latency of a relay.
 *
 * @module
 */

import { type Connector, type LoadOptions, MIN_SIZE } from "./bench_load.ts";
import { type BenchReport, reportEvents, reportRequests } from "./bench_report.ts";
import { benchEvents, benchRequests } from "./benchmarks.ts";
import { type Command, defineCommand } from "./command.ts";
import { connect, CONNECTION_GROUP, CONNECTION_NOTES, readTarget } from "./connect.ts";
import { UsageError } from "./errors.ts";
import { checkWords, flag } from "./flags.ts";
import { print } from "./stdio.ts";
import { Progress } from "./progress.ts";
import { sizeOfTerminal } from "./terminal.ts";

/** The default load. */
const DEFAULTS = { events: 100_000, size: 128, publishers: 1, subscribers: 1, parallel: 1 };

/** The `bench` command. */
export const bench: Command = defineCommand({
  name: "bench",
  summary: "Measure the throughput and latency of a relay",
  about: "Measure the throughput and latency of a relay, and check that nothing is lost.",
  usage: "[options] [HOST:PORT]",
  examples: [
    "ebsockets bench                                 # at full speed",
    "ebsockets bench --subscribers 10 --events 1000000",
    "ebsockets bench --rate 10000                    # latency of events",
    "ebsockets bench --requests --parallel 32        # round trips",
  ],
  groups: [{
    title: "Load",
    flags: [
      flag.integer("events", `Total number of events to send (default ${DEFAULTS.events})`),
      flag.integer("size", `Length of each line (default ${DEFAULTS.size})`, {
        value: "BYTES",
        min: MIN_SIZE,
        max: 2 ** 20,
      }),
      flag.integer("publishers", `Number of clients that send (default ${DEFAULTS.publishers})`, {
        max: 10_000,
      }),
      flag.integer(
        "subscribers",
        `Number of clients that receive every event (default ${DEFAULTS.subscribers})`,
        { max: 10_000 },
      ),
      flag.integer(
        "rate",
        "Send this many events a second, evenly, and measure latency (default: no limit)",
        { value: "EVENTS" },
      ),
      flag.switch(
        "requests",
        "Send requests, which the subscribers answer in turn, and measure round trips",
      ),
      flag.integer(
        "parallel",
        `With --requests: number of requests in flight (default ${DEFAULTS.parallel})`,
        { max: 100_000 },
      ),
    ],
  }, {
    title: "Output",
    flags: [flag.switch("json", "Print the result as one line of JSON")],
  }, CONNECTION_GROUP],
  exits: {
    0: "Every event arrived once and in order, or every request was answered",
    1: "An event or answer is missing or out of order, or the relay is unreachable",
    130: "Interrupted by Ctrl+C (143: SIGTERM)",
  },
  notes:
    `Latency is measured only with --rate. It counts from the moment an event is due, so it includes
the time for which the relay makes the sender wait. At full speed, latency would only reflect the
length of the queues. There, publishers run at most 2 MiB ahead of the slowest subscriber, because a
relay closes clients that read too slowly. All clients run in one process, which sends, receives and
checks every event. This may take more time than the relay needs.

Event names begin with bench. and a random part. Only the subscribers subscribe to them, but clients
without a subscription receive them as well.

${CONNECTION_NOTES}`,
  async run(args) {
    const [target, words] = readTarget(args);
    checkWords(words, 0);
    const { requests, json, parallel, ...values } = args.values;
    if (parallel !== undefined && !requests) throw new UsageError("--parallel needs --requests");
    const options: LoadOptions = {
      events: values.events ?? DEFAULTS.events,
      size: values.size ?? DEFAULTS.size,
      publishers: values.publishers ?? DEFAULTS.publishers,
      subscribers: values.subscribers ?? DEFAULTS.subscribers,
      rate: values.rate ?? null,
    };
    const connector: Connector = (patterns, queue) =>
      connect(target, {
        prepare: (client) => client.subscribe(patterns, queue === undefined ? {} : { queue }),
      });
    const atOnce = requests ? parallel ?? DEFAULTS.parallel : null;
    const report = await measure(connector, options, atOnce);
    await print(json ? JSON.stringify(report.json) : report.lines.join("\n"));
    return report.isGood ? 0 : 1;
  },
});

/** Runs the benchmark of events, or that of requests if `parallel` says how many at a time. */
async function measure(
  connector: Connector,
  options: LoadOptions,
  parallel: number | null,
): Promise<BenchReport> {
  const width = sizeOfTerminal().columns;
  if (parallel === null) {
    using progress = new Progress("event", { total: options.events * options.subscribers });
    const result = await benchEvents(connector, options, () => progress.done++);
    return reportEvents(options, result, width);
  }
  const load = { ...options, parallel };
  using progress = new Progress("request", { total: options.events });
  return reportRequests(load, await benchRequests(connector, load, () => progress.done++), width);
}
