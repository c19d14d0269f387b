/**
 * The `sub` command, which prints events.
 *
 * @module
 */

import { type Command, defineCommand } from "./command.ts";
import { CONNECTION_GROUP, CONNECTION_NOTES, readTarget } from "./connect.ts";
import { eventView, RAW_FLAG } from "./event_view.ts";
import { flag } from "./flags.ts";
import { Listener } from "./listener.ts";
import { Output } from "./output.ts";
import { adviseOnPattern } from "./pattern.ts";
import { AllPrinted, Printer } from "./printer.ts";
import { stopSignal } from "./signals.ts";
import { tell } from "./stdio.ts";

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
    instead: Object.fromEntries(
      ["topic", "t", "subject", "name", "event", "pattern"].map((name) => [
        name,
        "patterns need no option, such as 'chat.*'",
      ]),
    ),
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
    for (const note of patterns.map(adviseOnPattern)) if (note) tell(note);
    const { raw, count, from, queue } = args.values;
    const view = eventView(raw);
    const printer = new Printer(new Output(), { count, onRoom: () => listener.resume() });
    const listener = new Listener(target, { patterns, ...(queue !== undefined && { queue }) }, {
      onEvent(event) {
        if (from !== undefined && event.from !== from) return;
        if (!printer.add(view(event.bytes))) listener.pause();
      },
      onNews: tell,
    });
    const stop = stopSignal();
    try {
      return await listener.run(AbortSignal.any([stop, printer.ended]));
    } catch (error) {
      if (error instanceof AllPrinted) return 0;
      await printer.flush();
      if (error === stop.reason && count === undefined) return 0;
      throw error;
    }
  },
});
