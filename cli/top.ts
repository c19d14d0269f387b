/**
 * Owns the command that watches a relay. Must not know what figures there are, or how they look.
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

/** How often the relay is asked by default, in milliseconds. */
const DEFAULT_INTERVAL = 1000;

/** The keys that end it. Where terminals cannot make a signal of Ctrl+C, it is a key. */
const QUIT_KEYS = ["q", "Q", "\x03"];

/** How much room there is where no screen is. */
const UNLIMITED: Size = { columns: Infinity, rows: Infinity };

/** The command that watches a relay. */
export const top: Command = defineCommand({
  name: "top",
  summary: "Watch a relay: its clients, its rates, the names of its events",
  about:
    "Watch a relay: how busy it is, who its clients are and what they hear, and which events " +
    "there are.",
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
        text: `How often to ask the relay (default ${DEFAULT_INTERVAL})`,
      },
      {
        kind: "switch",
        name: "once",
        text: "Measure for one interval, print what was found, and end, which is what happens " +
          "where no terminal is",
      },
      { kind: "switch", name: "json", text: "The same, as one line of JSON" },
    ],
  }, CONNECTION_GROUP],
  exits: {
    0: "It has shown what there is",
    1: "The relay cannot be reached, or does not tell: it has --no-inspect, or is too old",
    130: "Ctrl+C came before the end of --once or --json (143: SIGTERM)",
  },
  notes:
    `Of clients and of names it shows the 100 with most to tell. WAITING is what the relay holds for
a client that reads too slowly. q or Ctrl+C ends it. It hears no events itself.

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
    // JSON.stringify() leaves some characters as they are that a terminal acts on.
    await print(
      json
        ? printable(JSON.stringify(snapshot))
        : formatTop(snapshot, titleOf(watcher.where), size, style).join("\n"),
    );
    return 0;
  },
});

/** What happens in one interval. */
async function measure(watcher: Watcher, interval: number): Promise<Snapshot> {
  const before = await watcher.ask();
  await watcher.wait(interval);
  const after = await watcher.ask();
  if (before && after) return takeSnapshot(before, after);
  throw new StartError(`The relay at ${watcher.where} does not answer`);
}

/** Shows on the whole screen what happens, until the signal comes, for which a key can ask. */
async function show(
  watcher: Watcher,
  interval: number,
  signal: AbortSignal,
  quit: () => void,
): Promise<void> {
  // An error at first is told where it can still be read afterwards.
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
  return wrap([`${titleOf(where)} does not answer; trying again, Ctrl+C ends it`], size.columns);
}

function titleOf(where: string): string {
  return `Relay at ${where}`;
}

/** Calls `redraw` when the terminal changes its size, until it is disposed of. */
function onResize(redraw: () => void): Disposable {
  if (Deno.build.os === "windows") return { [Symbol.dispose]() {} };
  Deno.addSignalListener("SIGWINCH", redraw);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGWINCH", redraw) };
}
