/**
 * The `req` command, which sends a request and prints the answers.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import { ConnectionClosedError, EventRefusedError, NoRespondersError } from "../errors.ts";
import { printable, quote } from "../protocol/printable.ts";
import type { RawEvent } from "../protocol/raw_event.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  connect,
  CONNECTION_GROUP,
  CONNECTION_NOTES,
  hearNothing,
  lackRequests,
} from "./connect.ts";
import { describeEnd, describeRefusal, messageOf, StartError } from "./errors.ts";
import { eventView, RAW_FLAG } from "./event_view.ts";
import { flag } from "./flags.ts";
import { EVENT_INSTEAD, readEventWords, toEvent } from "./event_args.ts";
import { PROGRAM } from "./program.ts";
import { stopSignal } from "./signals.ts";
import { Output, printErr } from "./stdio.ts";
import { countOf } from "../protocol/units.ts";

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
    const request = toEvent(name, members);
    const view = eventView(raw);
    const output = new Output();
    const signal = stopSignal();
    await using client = await connect(target, {
      raw: true,
      prepare: hearNothing,
      lack: lackRequests,
      signal,
    });
    let heard = 0;
    let answers = 0;
    const options = {
      count,
      timeout,
      signal,
      onReceipt: (clients: number) => heard = clients,
      ...(to !== undefined && { to }),
    };
    try {
      for await (const answer of client.requestMany(request, options)) {
        answers++;
        await output.write(view((answer as RawEvent).line));
      }
    } catch (error) {
      signal.throwIfAborted();
      throw await toStartError(error, client, name, to, answers);
    }
    if (answers === 0) {
      const although = heard === 0
        ? ""
        : `, although ${countOf(heard, "client")} received it, perhaps only subscribers`;
      const what = `No answer to ${quote(name)} within ${timeout} ms${although}`;
      throw new StartError(`${what}; use --timeout to wait longer`);
    }
    if (answers < count && count > 1) {
      printErr(`${answers} of ${count} answers arrived within ${timeout} ms`);
    }
    return 0;
  },
});

/** Returns the error of the command for an error of the request. It says what to do. */
async function toStartError(
  error: unknown,
  client: EbsocketClient,
  name: string,
  to: string | undefined,
  answers: number,
): Promise<unknown> {
  if (error instanceof NoRespondersError) {
    return new StartError(
      to === undefined
        ? `No client receives ${quote(name)}: start a service for it, such as ${PROGRAM} serve ${
          printable(name)
        } --exec CMD`
        : `No client ${quote(to)}; ${PROGRAM} top lists the clients`,
    );
  }
  if (error instanceof EventRefusedError) {
    return new StartError(describeRefusal(name, { reason: error.code, detail: error.detail }));
  }
  if (error instanceof ConnectionClosedError) {
    const why = describeEnd(await client.closed);
    const which = answers === 0 ? "an answer" : "another answer";
    return new StartError(`The connection ended with ${why} before ${which} arrived`);
  }
  return error instanceof RangeError ? new StartError(messageOf(error)) : error;
}
