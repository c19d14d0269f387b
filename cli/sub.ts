/**
 * Owns the command that prints events. Must not know how they come.
 *
 * @module
 */

import { type Command, defineCommand } from "./command.ts";
import { CONNECTION_GROUP, CONNECTION_NOTES, readTarget } from "./connect.ts";
import { eventView, RAW_FLAG } from "./event_view.ts";
import { Listener } from "./listener.ts";
import { Output } from "./output.ts";
import { adviseOnPattern } from "./pattern.ts";
import { AllPrinted, Printer } from "./printer.ts";
import { stopSignal } from "./signals.ts";
import { tell } from "./stdio.ts";

/** The command that prints events. */
export const sub: Command = defineCommand({
  name: "sub",
  summary: "Print events, all or those that match a pattern",
  about: "Print events as they come: all of them, or those whose names match a pattern.",
  usage: "[options] [HOST:PORT] [PATTERN...]",
  examples: [
    "ebsockets sub                      # all events",
    "ebsockets sub 'chat.*' 'game.>'    # quoted, or the shell may expand them",
    "ebsockets sub --count 1 relay.example:7982 done",
    "ebsockets sub | jq .event          # in a pipe: lines of JSON, as they came",
  ],
  groups: [{
    title: "Options",
    flags: [
      {
        kind: "integer",
        name: "count",
        value: "N",
        least: 1,
        text: "End after so many events (default: when Ctrl+C is pressed)",
      },
      {
        kind: "text",
        name: "from",
        value: "ID",
        text:
          "Only what the relay says is from this client; it says so of requests, and of events " +
          "for one client alone",
      },
      {
        kind: "text",
        name: "queue",
        value: "NAME",
        text: "Share the events with all clients of this queue: one of them gets each",
      },
      RAW_FLAG,
    ],
    instead: Object.fromEntries(
      ["topic", "t", "subject", "name", "event", "pattern"].map((name) => [
        name,
        "patterns are words, such as 'chat.*'",
      ]),
    ),
  }, CONNECTION_GROUP],
  exits: {
    0: "All that was asked for has been printed, or Ctrl+C has ended it without --count",
    1: "The relay cannot be reached",
    130: "Ctrl+C came before all of --count had (143: SIGTERM)",
  },
  notes:
    `A pattern is a name in which * between dots is any one token, and > at the end all the rest.
Behind -- a word is a pattern even if it looks like HOST:PORT.

A lost connection is made again; standard error tells.

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
