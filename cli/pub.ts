/**
 * Owns the command that sends events. Must not know how the relay says what becomes of them.
 *
 * @module
 */

import { printable, quote } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { advised, CONNECTION_GROUP, CONNECTION_NOTES, type Target } from "./connect.ts";
import { StartError, UsageError } from "./errors.ts";
import { toEventLine } from "./event_args.ts";
import { EVENT_INSTEAD, readEventWords } from "./event_words.ts";
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

const encoder = new TextEncoder();

/** The command that sends events. */
export const pub: Command = defineCommand({
  name: "pub",
  summary: "Send an event, or all that come from standard input",
  about: "Send an event, or all the events that standard input has, one line each.",
  usage: "[options] [HOST:PORT] NAME|- [KEY=TEXT|KEY:=JSON...]",
  examples: [
    `ebsockets pub message content="Hello there" priority:=2 tags:='["a","b"]'`,
    "ebsockets pub - < events.jsonl",
    "ebsockets pub --confirm done       # prints how many have got it",
  ],
  groups: [{
    title: "Options",
    flags: [
      { kind: "text", name: "to", value: "ID", text: "Only to this client, such as c7" },
      {
        kind: "switch",
        name: "confirm",
        text: "Print of each event how many clients it has reached",
      },
    ],
    instead: EVENT_INSTEAD,
  }, CONNECTION_GROUP],
  exits: {
    0: "The relay has taken all events",
    1: "It has not, or cannot be reached, a line was no event, or there is no client of --to",
    130: "Ctrl+C came before (143: SIGTERM)",
  },
  notes:
    `Lines from standard input are sent as they are. The first that is no event ends the command, which
says where it is, and how many were sent before. Behind -- a word is a name even if it looks like
HOST:PORT or begins with -.

With --confirm there is a line of output for each event: the number of clients, and the name.

${CONNECTION_NOTES}`,
  async run(args) {
    const what = "the NAME of an event, or - for input";
    const { target, name, members } = readEventWords("pub", what, args);
    const { to, confirm } = args.values;
    const isInput = name === "-";
    if (isInput && members[0] !== undefined) {
      const surplus = quote(members[0]);
      throw new UsageError(`Unknown argument ${surplus}; ${PROGRAM} pub - < FILE reads a file`);
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
    // Who types the events, or is told of each, sees how far it is.
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
    if (isInput && isTerminal("stdin")) tell("Type events, a line each; Ctrl+D ends it");
    let fault: string | null = null;
    if (line) await publisher.send([line]);
    else fault = await sendLines(Deno.stdin, publisher, () => progress.done = publisher.sent);
    await publisher.finish();
    await printer.flush();
    printer.ended.throwIfAborted();
    if (fault) throw new StartError(`${fault}; events sent before it: ${publisher.sent}`);
    if (to !== undefined && lost > 0) {
      const count = publisher.sent > 1 ? `${lost} of ${publisher.sent} events were` : "it was";
      throw new StartError(
        `There is no client ${quote(to)}, so that ${count} for nobody; ` +
          `${PROGRAM} top shows which there are`,
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
