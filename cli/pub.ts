/**
 * The `pub` command, which sends events.
 *
 * @module
 */

import { printable, quote } from "../protocol/printable.ts";
import { encoder } from "../protocol/utf8.ts";
import { type Command, defineCommand } from "./command.ts";
import { advised, CONNECTION_GROUP, CONNECTION_NOTES, type Target } from "./connect.ts";
import { StartError, UsageError } from "./errors.ts";
import { EVENT_INSTEAD, readEventWords, toEventLine } from "./event_args.ts";
import { flag } from "./flags.ts";
import { sendLines } from "./stdin_lines.ts";
import { Output } from "./output.ts";
import { adviseOnName } from "./pattern.ts";
import { Printer } from "./printer.ts";
import { PROGRAM } from "./program.ts";
import { Progress } from "./progress.ts";
import { Publisher, type PublisherOptions } from "./publisher.ts";
import { stopSignal } from "./signals.ts";
import { tell } from "./stdio.ts";
import { isScreen, isTerminal } from "./terminal.ts";

/** The `pub` command. */
export const pub: Command = defineCommand({
  name: "pub",
  summary: "Send an event, or all events from standard input",
  about: "Send an event, or all events from standard input, one on each line.",
  usage: "[options] [HOST:PORT] NAME|- [KEY=TEXT|KEY:=JSON...]",
  examples: [
    `ebsockets pub message content="Hello there" priority:=2 tags:='["a","b"]'`,
    "ebsockets pub - < events.jsonl",
    "ebsockets pub --confirm done       # prints how many clients got it",
  ],
  groups: [{
    title: "Options",
    flags: [
      flag.text("to", "ID", "Send only to this client, such as c7"),
      flag.switch("confirm", "Print how many clients each event has reached"),
    ],
    instead: EVENT_INSTEAD,
  }, CONNECTION_GROUP],
  exits: {
    0: "The relay accepted all events",
    1: "An event was refused or invalid, the relay is unreachable, or no client has the --to ID",
    130: "Interrupted by Ctrl+C (143: SIGTERM)",
  },
  notes:
    `Lines from standard input are sent unchanged. The first line that is not an event ends the command,
which reports its position and the number of events sent before it. After --, an argument is a name
even if it begins with - or looks like HOST:PORT.

With --confirm, each event prints one line: the number of clients and the name.

${CONNECTION_NOTES}`,
  async run(args) {
    const what = "the NAME of an event, or - for standard input";
    const { target, name, members } = readEventWords("pub", what, args);
    const { to, confirm } = args.values;
    const isInput = name === "-";
    if (isInput && members[0] !== undefined) {
      const surplus = quote(members[0]);
      throw new UsageError(
        `Unknown argument ${surplus}; to send a file, use ${PROGRAM} pub - < FILE`,
      );
    }
    const line = isInput ? null : toEventLine(name, members);
    const note = adviseOnName(name);
    if (note) tell(note);
    const printer = new Printer(new Output(), { onRoom() {} });
    let lost = 0;
    const onReached = (name: string, clients: number) => {
      if (clients === 0) lost++;
      if (confirm) printer.add(toText(name, clients));
    };
    // Not shown if the user types the events, or if each event prints a line.
    using progress = new Progress("event", {
      isShown: isInput && !isTerminal("stdin") && !confirm && isScreen("stderr"),
    });
    await using publisher = await open(target, {
      to,
      onReached: confirm || to !== undefined ? onReached : undefined,
      onRefused(text) {
        progress.clear();
        tell(`error: ${text}`);
      },
    });
    if (isInput && isTerminal("stdin")) tell("Type events, one on each line; Ctrl+D ends");
    let fault: string | null = null;
    if (line) await publisher.send([line]);
    else fault = await sendLines(Deno.stdin, publisher, () => progress.done = publisher.sent);
    await publisher.finish();
    await printer.flush();
    printer.ended.throwIfAborted();
    if (fault) throw new StartError(`${fault}; events sent before it: ${publisher.sent}`);
    if (to !== undefined && lost > 0) {
      const count = publisher.sent > 1 ? `${lost} of ${publisher.sent} events` : "the event";
      throw new StartError(
        `No client ${quote(to)}: ${count} had no recipient; ${PROGRAM} top lists the clients`,
      );
    }
    return publisher.refused === 0 ? 0 : 1;
  },
});

async function open(target: Target, options: PublisherOptions): Promise<Publisher> {
  const signal = stopSignal();
  return await advised(
    target,
    signal,
    (secrets) => Publisher.open(target.where, options, { secrets, signal }),
  );
}

function toText(name: string, clients: number): Uint8Array {
  return encoder.encode(`${clients} ${printable(name)}\n`);
}
