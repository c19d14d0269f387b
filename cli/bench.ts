/**
 * Owns the command that measures a relay. Must not know how, or how results are told.
 *
 * @module
 */

import { benchEvents } from "./bench_events.ts";
import { type Connector, LEAST_SIZE, type LoadOptions } from "./bench_load.ts";
import { type BenchReport, reportEvents, reportRequests } from "./bench_report.ts";
import { benchRequests } from "./bench_requests.ts";
import { type Command, defineCommand } from "./command.ts";
import { connect, CONNECTION_GROUP, CONNECTION_NOTES, readTarget } from "./connect.ts";
import { UsageError } from "./errors.ts";
import { checkWords } from "./flags.ts";
import { print } from "./output.ts";
import { Progress } from "./progress.ts";
import { columnsOfTerminal } from "./terminal.ts";

/** What is measured by default. */
const DEFAULTS = { events: 100_000, size: 128, publishers: 1, subscribers: 1, parallel: 1 };

/** The command that measures a relay. */
export const bench: Command = defineCommand({
  name: "bench",
  summary: "Measure how much a relay passes on, and how fast",
  about: "Measure how much a relay passes on, and how fast, and check that nothing is lost.",
  usage: "[options] [HOST:PORT]",
  examples: [
    "ebsockets bench                                 # as fast as it can",
    "ebsockets bench --subscribers 10 --events 1000000",
    "ebsockets bench --rate 10000                    # how late events are",
    "ebsockets bench --requests --parallel 32        # how long answers take",
  ],
  groups: [{
    title: "Load",
    flags: [
      {
        kind: "integer",
        name: "events",
        value: "N",
        least: 1,
        text: `How many events to send in all (default ${DEFAULTS.events})`,
      },
      {
        kind: "integer",
        name: "size",
        value: "BYTES",
        least: LEAST_SIZE,
        most: 2 ** 20,
        text: `How long the line of each is (default ${DEFAULTS.size})`,
      },
      {
        kind: "integer",
        name: "publishers",
        value: "N",
        least: 1,
        most: 10_000,
        text: `How many clients send them (default ${DEFAULTS.publishers})`,
      },
      {
        kind: "integer",
        name: "subscribers",
        value: "N",
        least: 1,
        most: 10_000,
        text: `How many clients receive all of them (default ${DEFAULTS.subscribers})`,
      },
      {
        kind: "integer",
        name: "rate",
        value: "EVENTS",
        least: 1,
        text: "Send so many a second, evenly, and measure latencies (default: as many as possible)",
      },
      {
        kind: "switch",
        name: "requests",
        text: "Send requests, which the subscribers answer in turn, and measure round trips",
      },
      {
        kind: "integer",
        name: "parallel",
        value: "N",
        least: 1,
        most: 100_000,
        text:
          `With --requests: how many wait for their answers at a time (default ${DEFAULTS.parallel})`,
      },
    ],
  }, {
    title: "Output",
    flags: [{ kind: "switch", name: "json", text: "Print the result as one line of JSON" }],
  }, CONNECTION_GROUP],
  exits: {
    0: "Every event came once and in order, or every request got its answer",
    1: "Not so, or the relay cannot be reached",
    130: "Ctrl+C came before (143: SIGTERM)",
  },
  notes:
    `Latencies are measured with --rate, from when an event was due, not from when it was sent: had
the relay made the sender wait, that counts too. At full speed they would only tell how long the
queues are; there the publishers run at most 2 MiB ahead of the slowest subscriber, since a relay
closes clients that read too slowly. All clients are in one process, which sends, receives and
checks every event: it may need more time for that than the relay.

The names of the events begin with bench. and something random. Only the subscribers ask for
them, but clients of the relay that hear everything get them as well.

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
    const connector: Connector = (patterns, queue) => connect(target, { patterns, queue });
    const width = columnsOfTerminal();
    const report = requests
      ? await measureRequests(connector, options, parallel ?? DEFAULTS.parallel, width)
      : await measureEvents(connector, options, width);
    await print(json ? JSON.stringify(report.json) : report.lines.join("\n"));
    return report.isGood ? 0 : 1;
  },
});

async function measureEvents(
  connector: Connector,
  options: LoadOptions,
  width: number,
): Promise<BenchReport> {
  using progress = new Progress("event", { total: options.events * options.subscribers });
  const result = await benchEvents(connector, options, () => progress.done++);
  return reportEvents(options, result, width);
}

async function measureRequests(
  connector: Connector,
  loadOptions: LoadOptions,
  parallel: number,
  width: number,
): Promise<BenchReport> {
  const options = { ...loadOptions, parallel };
  using progress = new Progress("request", { total: options.events });
  const result = await benchRequests(connector, options, () => progress.done++);
  return reportRequests(options, result, width);
}
