/**
 * The `req` command, which sends a request and prints the answers.
 *
 * @module
 */

import { type Command, defineCommand } from "./command.ts";
import { advised, CONNECTION_GROUP, CONNECTION_NOTES } from "./connect.ts";
import { eventView, RAW_FLAG } from "./event_view.ts";
import { flag } from "./flags.ts";
import { EVENT_INSTEAD, readEventWords, toEventLine } from "./event_args.ts";
import { Output } from "./output.ts";
import { adviseOnName } from "./pattern.ts";
import { Requester } from "./requester.ts";
import { stopSignal } from "./signals.ts";
import { tell } from "./stdio.ts";

/** The default time-out, in milliseconds. */
const DEFAULT_TIMEOUT = 5000;

/** The `req` command. */
export const req: Command = defineCommand({
  name: "req",
  summary: "Send a request and print the answer",
  about: "Send an event as a request, and print the first answer.",
  usage: "[options] [HOST:PORT] NAME [KEY=TEXT|KEY:=JSON...]",
  examples: [
    "ebsockets req time.now    # after: ebsockets serve time.now --exec date",
    "ebsockets req user.find id:=7 | jq -r .__dict__.name",
    "ebsockets req --count 10 --timeout 500 who.is.there",
  ],
  groups: [{
    title: "Options",
    flags: [
      flag.duration("timeout", `Time to wait for answers (default ${DEFAULT_TIMEOUT})`),
      flag.integer("count", "Print this many answers, or those that arrive in time (default 1)"),
      flag.text("to", "ID", "Send the request only to this client, such as c7"),
      RAW_FLAG,
    ],
    instead: EVENT_INSTEAD,
  }, CONNECTION_GROUP],
  exits: {
    0: "An answer arrived",
    1: "No client receives the request, or none answers in time (see standard error)",
    130: "Interrupted by Ctrl+C (143: SIGTERM)",
  },
  notes: `After --, an argument is a name even if it begins with - or looks like HOST:PORT.

${CONNECTION_NOTES}`,
  async run(args) {
    const { target, name, members } = readEventWords("req", "the NAME of an event", args);
    const { timeout = DEFAULT_TIMEOUT, count = 1, to, raw } = args.values;
    const line = toEventLine(name, members);
    const note = adviseOnName(name);
    if (note) tell(note);
    const view = eventView(raw);
    const output = new Output();
    const signal = stopSignal();
    await using requester = await advised(
      target,
      signal,
      (secrets) => Requester.open(target.where, { secrets, signal }),
    );
    let written = Promise.resolve();
    const answers = await requester.ask({
      name,
      line,
      to,
      count,
      timeout,
      signal,
      onAnswer(line) {
        written = output.write(view(line));
        written.catch(() => {}); // Awaited at the end.
      },
    });
    await written;
    if (answers < count && count > 1) {
      tell(`${answers} of ${count} answers arrived within ${timeout} ms`);
    }
    return 0;
  },
});
