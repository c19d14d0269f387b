/**
 * The `sub` command, which prints events.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { ConnectionClosedError, EbsocketError } from "../errors.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import { matches } from "../protocol/pattern.ts";
import type { RawEvent } from "../protocol/raw_event.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  connect,
  CONNECTION_GROUP,
  CONNECTION_NOTES,
  explainConnectError,
  idOf,
  PATIENT_MS,
  readTarget,
  reportNews,
  subscribeIfPossible,
  type Target,
  whereIs,
} from "./connect.ts";
import { StartError } from "./errors.ts";
import { type EventView, eventView, RAW_FLAG } from "./event_view.ts";
import { flag } from "./flags.ts";
import { patternNote } from "./pattern.ts";
import { stopSignal } from "./signals.ts";
import { Output, printErr } from "./stdio.ts";

/** The `sub` command. */
export const sub: Command = defineCommand({
  name: "sub",
  summary: "Print events, all or those that match a pattern",
  about: "Print events as they arrive: all of them, or those whose names match a pattern.",
  usage: "[options] [HOST:PORT] [PATTERN...]",
  examples: [
    "ebsockets sub                      # all events",
    "ebsockets sub 'chat.*' 'game.>'    # quoted, or the shell may expand them",
    "ebsockets sub --count 1 relay.example:7982 done",
    "ebsockets sub | jq .event          # in a pipe: lines of JSON, unchanged",
  ],
  groups: [{
    title: "Options",
    flags: [
      flag.integer("count", "End after this many events (default: end on Ctrl+C)"),
      flag.text(
        "from",
        "ID",
        "Only events from this client (requests and direct events; other events carry no sender)",
      ),
      flag.text(
        "queue",
        "NAME",
        "Share the events with all members of this queue; each goes to one member",
      ),
      RAW_FLAG,
    ],
    instead: {
      "patterns need no option, such as 'chat.*'": "topic t subject name event pattern",
    },
  }, CONNECTION_GROUP],
  exits: {
    0: "All requested events were printed, or Ctrl+C was pressed without --count",
    1: "The relay is unreachable",
    130: "Interrupted by Ctrl+C before --count was reached (143: SIGTERM)",
  },
  notes:
    `In a pattern, * between dots matches any one token, and > at the end matches the rest. After --, an
argument is a pattern even if it looks like HOST:PORT.

Reconnects automatically and reports it on standard error.

${CONNECTION_NOTES}`,
  async run(args) {
    const [target, patterns] = readTarget(args);
    for (const note of patterns.map(patternNote)) if (note) printErr(note);
    const { raw, count, from, queue } = args.values;
    const options = { view: eventView(raw), count: count ?? Infinity, from, queue };
    const stop = stopSignal();
    try {
      await print(target, patterns, options, stop);
      return 0;
    } catch (error) {
      if (error === stop.reason && count === undefined) return 0;
      throw error;
    }
  },
});

interface PrintOptions {
  readonly view: EventView;
  readonly count: number;
  readonly from: string | undefined;
  readonly queue: string | undefined;
}

/** Prints the events that match the patterns. Resolves once `count` events have been printed. */
async function print(
  target: Target,
  patterns: readonly string[],
  { view, count, from, queue }: PrintOptions,
  signal: AbortSignal,
): Promise<void> {
  const wanted = patterns.length > 0 ? patterns : [">"];
  await using client = await connect(target, {
    raw: true,
    reconnect: true,
    welcomeTimeout: PATIENT_MS,
    signal,
    // From the start, because the other members of the queue receive the rest.
    ...(queue !== undefined && { prepare: (client) => client.subscribe(wanted, { queue }) }),
    lack: (place) => `Cannot use --queue: ${place} does not support queues`,
  });
  const news = reportNews(client, target, printErr);
  // Before the subscription is in force, and without one, other events arrive as well.
  const isWanted = (event: EbsocketEvent) =>
    (patterns.length === 0 || event.to !== null ||
      patterns.some((pattern) => matches(pattern, event.event))) &&
    (from === undefined || event.from === from);
  const printAll = async () => {
    if (queue === undefined && (patterns.length > 0 || client.hearsNothing)) {
      await subscribeIfPossible(client, wanted, signal);
    }
    printErr(`Listening to ${whereIs(client)}${idOf(client)}`);
    const output = new Output();
    for (let missing = count; missing > 0;) {
      const events = await client.recvEvents({ signal });
      if (events.length === 0) return await news; // The client has stopped for good.
      const lines = events.filter(isWanted).slice(0, missing)
        .map((event) => view((event as RawEvent).line));
      missing -= lines.length;
      await output.write(concat(lines));
    }
  };
  try {
    await Promise.race([printAll(), news]);
  } catch (error) {
    if (error instanceof ConnectionClosedError) return await news;
    throw error instanceof EbsocketError
      ? new StartError(explainConnectError(error, target))
      : error;
  }
}
