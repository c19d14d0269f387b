/**
 * The `top` command, which shows the state of a relay.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { printable } from "../protocol/printable.ts";
import type { RelayReport } from "../protocol/report.ts";
import { type Command, defineCommand } from "./command.ts";
import { connect, CONNECTION_GROUP, CONNECTION_NOTES, readTarget } from "./connect.ts";
import { StartError } from "./errors.ts";
import { checkWords } from "./flags.ts";
import { print } from "./output.ts";
import { Screen } from "./screen.ts";
import { stopSignal } from "./signals.ts";
import {
  columnsOfTerminal,
  isColored,
  isScreen,
  isTerminal,
  type Paint,
  paint,
} from "./terminal.ts";
import { type Snapshot, takeSnapshot } from "./top_snapshot.ts";
import { formatTop, type Size } from "./top_view.ts";
import { Watcher } from "./stats_poller.ts";
import { wrap } from "./width.ts";

/** The default interval, in milliseconds. */
const DEFAULT_INTERVAL = 1000;

/** The keys that quit. Ctrl+C is a key on terminals that cannot turn it into a signal. */
const QUIT_KEYS = ["q", "Q", "\x03"];

/** The size if there is no screen. */
const UNLIMITED: Size = { columns: Infinity, rows: Infinity };

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
      {
        kind: "duration",
        name: "interval",
        value: "MS",
        least: 100,
        most: MAX_TIMER_MS,
        text: `Interval between updates (default ${DEFAULT_INTERVAL})`,
      },
      {
        kind: "switch",
        name: "once",
        text: "Measure one interval, print the result, and end (default if stdout is not a " +
          "terminal)",
      },
      { kind: "switch", name: "json", text: "Like --once, as one line of JSON" },
    ],
  }, CONNECTION_GROUP],
  exits: {
    0: "The state was shown",
    1: "The relay is unreachable, is too old, or was started with --no-inspect",
    130: "Interrupted by Ctrl+C during --once or --json (143: SIGTERM)",
  },
  notes:
    `Shows the 100 busiest clients and event names. WAITING is the number of bytes queued for a client
that reads too slowly. q or Ctrl+C ends. The command itself receives no events.

${CONNECTION_NOTES}`,
  async run(args) {
    const [target, words] = readTarget(args);
    checkWords(words, 0);
    const { once, json, interval = DEFAULT_INTERVAL } = args.values;
    const isLive = !once && !json && isScreen("stdout");
    const quit = new AbortController();
    const signal = AbortSignal.any([stopSignal(), quit.signal]);
    await using client = await connect(target, { patterns: [], reconnect: isLive, signal });
    const watcher = new Watcher(client, signal);
    if (isLive) {
      await show(watcher, interval, signal, () => quit.abort());
      return 0;
    }
    const snapshot = await measure(watcher, interval);
    const style = paint(isColored("stdout"));
    const size = isTerminal("stdout") ? { ...UNLIMITED, columns: columnsOfTerminal() } : UNLIMITED;
    // JSON.stringify() leaves some characters unescaped that affect a terminal.
    await print(
      json
        ? printable(JSON.stringify(snapshot))
        : formatTop(snapshot, titleOf(watcher.where), size, style).join("\n"),
    );
    return 0;
  },
});

/**
 * Measures one interval. Resolves to the snapshot.
 *
 * @throws {StartError} If the relay does not answer.
 */
async function measure(watcher: Watcher, interval: number): Promise<Snapshot> {
  const before = await watcher.ask();
  await watcher.wait(interval);
  const after = await watcher.ask();
  if (before && after) return takeSnapshot(before, after);
  throw new StartError(`The relay at ${watcher.where} does not answer`);
}

/** Shows the state on the whole screen until `signal` is aborted. A key calls `quit`. */
async function show(
  watcher: Watcher,
  interval: number,
  signal: AbortSignal,
  quit: () => void,
): Promise<void> {
  // Asks before the screen is taken over, so that a first error stays readable.
  let before: RelayReport | null = null;
  let after = await watcher.ask();
  const style = paint(isColored("stdout"));
  const draw = () => screen.draw(toLines(watcher, before, after, screen.size, style));
  using screen = new Screen(undefined, {
    onKey: (key) => QUIT_KEYS.includes(key) && quit(),
    onResume: draw,
  });
  using _ = onResize(draw);
  while (!signal.aborted) {
    draw();
    await watcher.wait(interval).catch(ignoreAbort);
    [before, after] = [after, await watcher.ask().catch(ignoreAbort)];
  }

  function ignoreAbort(error: unknown): null {
    if (!signal.aborted) throw error;
    return null;
  }
}

function toLines(
  { where }: Watcher,
  before: RelayReport | null,
  after: RelayReport | null,
  size: Size,
  style: Paint,
): string[] {
  if (after) return formatTop(takeSnapshot(before, after), titleOf(where), size, style);
  return wrap([`${titleOf(where)} does not answer; retrying, Ctrl+C ends it`], size.columns);
}

function titleOf(where: string): string {
  return `Relay at ${where}`;
}

/** Calls `redraw` when the terminal is resized, until it is disposed of. */
function onResize(redraw: () => void): Disposable {
  if (Deno.build.os === "windows") return { [Symbol.dispose]() {} };
  Deno.addSignalListener("SIGWINCH", redraw);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGWINCH", redraw) };
}
