/**
 * Owns the command that asks and prints the answer. Must not know how requests travel.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { type Command, defineCommand } from "./command.ts";
import { advised, CONNECTION_GROUP, CONNECTION_NOTES } from "./connect.ts";
import { toEventLine } from "./event_args.ts";
import { eventView, RAW_FLAG } from "./event_view.ts";
import { EVENT_INSTEAD, readEventWords } from "./event_words.ts";
import { Output } from "./output.ts";
import { adviseOnName } from "./pattern.ts";
import { Requester } from "./requester.ts";
import { stopSignal } from "./signals.ts";
import { tell } from "./stdio.ts";

/** How long an answer may take by default, in milliseconds. */
const DEFAULT_TIMEOUT = 5000;

/** The command that asks and prints the answer. */
export const req: Command = defineCommand({
  name: "req",
  summary: "Send a request and print the answer",
  about: "Send an event that asks for an answer, and print the first answer that comes.",
  usage: "[options] [HOST:PORT] NAME [KEY=TEXT|KEY:=JSON...]",
  examples: [
    "ebsockets req time.now    # after: ebsockets serve time.now --exec date",
    "ebsockets req user.find id:=7 | jq -r .__dict__.name",
    "ebsockets req --count 10 --timeout 500 who.is.there",
  ],
  groups: [{
    title: "Options",
    flags: [
      {
        kind: "duration",
        name: "timeout",
        value: "MS",
        least: 1,
        most: MAX_TIMER_MS,
        text: `How long to wait for answers (default ${DEFAULT_TIMEOUT})`,
      },
      {
        kind: "integer",
        name: "count",
        value: "N",
        least: 1,
        text: "Print so many answers, or those that come in time (default 1)",
      },
      { kind: "text", name: "to", value: "ID", text: "Ask this client alone, such as c7" },
      RAW_FLAG,
    ],
    instead: EVENT_INSTEAD,
  }, CONNECTION_GROUP],
  exits: {
    0: "An answer has come",
    1: "None has, which standard error explains: nobody hears the request, or answers in time",
    130: "Ctrl+C came before (143: SIGTERM)",
  },
  notes: `Behind -- a word is a name even if it looks like HOST:PORT, or begins with -.

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
        written.catch(() => {}); // It is waited for at the end.
      },
    });
    await written;
    if (answers < count && count > 1) {
      tell(`${answers} of ${count} answers came within ${timeout} ms`);
    }
    return 0;
  },
});
