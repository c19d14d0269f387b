/**
 * The `top` command, which shows the state of a relay.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { setColorEnabled } from "@std/fmt/colors";
import type { EbsocketClient } from "../client.ts";
import {
  type CloseInfo,
  ConnectionClosedError,
  EbsocketError,
  RequestTimeoutError,
} from "../errors.ts";
import { printable } from "../protocol/printable.ts";
import type { RelayReport } from "../protocol/report.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  connect,
  CONNECTION_GROUP,
  CONNECTION_NOTES,
  hearNothing,
  readTarget,
  whereIs,
} from "./connect.ts";
import { describeEnd, StartError } from "./errors.ts";
import { checkWords, flag } from "./flags.ts";
import { wrap } from "./layout.ts";
import { print } from "./stdio.ts";
import { Screen } from "./screen.ts";
import { stopSignal } from "./signals.ts";
import { isScreen, isTerminal, type Size, sizeOfTerminal } from "./terminal.ts";
import { type Snapshot, takeSnapshot } from "../protocol/snapshot.ts";
import { formatTop } from "./top_view.ts";

/** The default interval, in milliseconds. */
const DEFAULT_INTERVAL = 1000;

/** The keys that quit. Ctrl+C is a key on terminals that cannot turn it into a signal. */
const QUIT_KEYS = ["q", "Q", "\x03"];

/**
 * The maximum time between two requests, in milliseconds. After 5 s without one, a relay stops
 * counting names.
 */
const MAX_SILENCE = 2000;

/** The `top` command. */
export const top: Command = defineCommand({
  name: "top",
  summary: "Watch a relay: its rates, clients and event names",
  about:
    "Watch a relay: its load, its clients and their subscriptions, and the names of its events.",
  usage: "[options] [HOST:PORT]",
  examples: [
    "ebsockets top",
    "ebsockets top --once relay.example:7982",
    "ebsockets top --json --interval 10000 | jq .relay.eventsInPerSecond",
  ],
  groups: [{
    title: "Options",
    flags: [
      flag.duration("interval", `Interval between updates (default ${DEFAULT_INTERVAL})`, {
        min: 100,
      }),
      flag.switch(
        "once",
        "Measure one interval, print the result, and end (default if stdout is not a terminal)",
      ),
      flag.switch("json", "Like --once, as one line of JSON"),
    ],
  }, CONNECTION_GROUP],
  exits: {
    0: "The state was shown",
    1: "The relay is unreachable, is too old, or was started with --no-inspect",
    130: "Interrupted by Ctrl+C during --once or --json (143: SIGTERM)",
  },
  notes:
    `Shows the 100 busiest clients and event names. WAITING is the number of bytes queued for a client
that reads too slowly. HEARS is the number of clients that get an event of that name, one of each
queue. q or Ctrl+C ends. The command itself receives no events.

${CONNECTION_NOTES}`,
  async run(args) {
    const [target, words] = readTarget(args);
    checkWords(words, 0);
    const { once, json, interval = DEFAULT_INTERVAL } = args.values;
    setColorEnabled(isScreen("stdout"));
    const isLive = !once && !json && isScreen("stdout");
    const quit = new AbortController();
    const signal = AbortSignal.any([stopSignal(), quit.signal]);
    await using client = await connect(target, {
      prepare: hearNothing,
      reconnect: isLive,
      signal,
    });
    const poller = new StatsPoller(client, signal);
    if (isLive) {
      await show(poller, interval, signal, () => quit.abort());
      return 0;
    }
    const snapshot = await measure(poller, interval);
    const columns = isTerminal("stdout") ? sizeOfTerminal().columns : Infinity;
    // JSON.stringify() leaves some characters unescaped that affect a terminal.
    await print(
      json
        ? printable(JSON.stringify(snapshot))
        : formatTop(snapshot, `Relay at ${poller.where}`, { columns, rows: Infinity }).join("\n"),
    );
    return 0;
  },
});

/**
 * Measures one interval. Resolves to the snapshot.
 *
 * @throws {StartError} If the relay does not answer.
 */
async function measure(poller: StatsPoller, interval: number): Promise<Snapshot> {
  const before = await poller.ask();
  await poller.wait(interval);
  const after = await poller.ask();
  if (before && after) return takeSnapshot(before, after);
  throw new StartError(`The relay at ${poller.where} does not answer`);
}

/** Shows the state on the whole screen until `signal` is aborted. A key calls `quit`. */
async function show(
  poller: StatsPoller,
  interval: number,
  signal: AbortSignal,
  quit: () => void,
): Promise<void> {
  // Asks before the screen is taken over, so that a first error stays readable.
  let before: RelayReport | null = null;
  let after = await poller.ask();
  const title = `Relay at ${poller.where}`;
  const toLines = (size: Size) =>
    after
      ? formatTop(takeSnapshot(before, after), title, size)
      : wrap([`${title} does not answer; retrying, Ctrl+C ends it`], size.columns);
  const draw = () => screen.draw(toLines(sizeOfTerminal()));
  using screen = new Screen(undefined, {
    onKey: (key) => QUIT_KEYS.includes(key) && quit(),
    onChange: draw,
  });
  while (!signal.aborted) {
    draw();
    await poller.wait(interval).catch(ignoreAbort);
    [before, after] = [after, await poller.ask().catch(ignoreAbort)];
  }

  function ignoreAbort(error: unknown): null {
    if (!signal.aborted) throw error;
    return null;
  }
}

/** Asks a relay for its state, again and again. */
export class StatsPoller {
  /** The address of the relay, for a person. */
  readonly where: string;
  readonly #client: EbsocketClient;
  readonly #signal: AbortSignal;
  #end: CloseInfo | null = null;

  /** Creates a poller that uses a connected client until the signal is aborted. */
  constructor(client: EbsocketClient, signal: AbortSignal) {
    this.where = whereIs(client);
    this.#client = client;
    this.#signal = signal;
    client.closed.then((info) => this.#end = info);
  }

  /**
   * Resolves to the current state, or to `null` if the relay does not answer at the moment.
   *
   * @throws {StartError} If it does not report its state, or is no longer reachable.
   */
  async ask(): Promise<RelayReport | null> {
    try {
      return await this.#client.inspect({ signal: this.#signal });
    } catch (error) {
      if (this.#end) {
        const why = describeEnd(this.#end);
        throw new StartError(`The connection to the relay at ${this.where} ended with ${why}`);
      }
      if (error instanceof ConnectionClosedError || error instanceof RequestTimeoutError) {
        return null;
      }
      throw this.#explain(error);
    }
  }

  /** Waits, and keeps the relay counting meanwhile. Rejects with the reason of the signal. */
  async wait(ms: number): Promise<void> {
    const end = performance.now() + ms;
    for (let rest = ms; rest > 0; rest = end - performance.now()) {
      await delay(Math.min(rest, MAX_SILENCE), { signal: this.#signal });
      if (rest > MAX_SILENCE) await this.ask();
    }
  }

  #explain(error: unknown): unknown {
    const code = error instanceof EbsocketError ? error.code : null;
    const what = `The relay at ${this.where} does not report its state`;
    if (code === "not-supported") return new StartError(`${what}; upgrade it`);
    if (code !== "not-allowed") return error;
    return new StartError(`${what}: it was started with --no-inspect`);
  }
}
