/**
 * The `serve` command, which answers requests with the output of a shell command.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import { EventFormatError } from "../errors.ts";
import { encodeJson } from "../protocol/encoder.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import { printable, quote } from "../protocol/printable.ts";
import { RawEvent } from "../protocol/raw_event.ts";
import { encoder } from "../protocol/utf8.ts";
import { DEFAULT_MAX_DEPTH } from "../protocol/validator.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  connect,
  CONNECTION_GROUP,
  CONNECTION_NOTES,
  lackRequests,
  readTarget,
  reportNews,
  whereIs,
} from "./connect.ts";
import { messageOf, StartError, UsageError } from "./errors.ts";
import { inOneLine, isJson } from "./event_args.ts";
import { flag } from "./flags.ts";
import { type Execution, Executor, SHELL } from "./shell_command.ts";
import { Log } from "./log.ts";
import { patternNote } from "./pattern.ts";
import { stopSignal } from "./signals.ts";
import { writeOut } from "./stdio.ts";
import { formatTime } from "../protocol/units.ts";

/** The default time limit of a command, in milliseconds; equal to the default of `req`. */
const DEFAULT_TIMEOUT = 5000;

/** The output limit of a command, in bytes; equal to a relay's default line limit. */
const MAX_OUTPUT_BYTES = 1_048_576;

/** The maximum nesting depth of an answer. The line around it takes two levels. */
const MAX_DEPTH = DEFAULT_MAX_DEPTH - 2;

/** The `serve` command. */
export const serve: Command = defineCommand({
  name: "serve",
  summary: "Answer requests with the output of a command",
  about: "Answer each request with the output of a command.",
  usage: "[options] [HOST:PORT] NAME --exec CMD",
  examples: [
    "ebsockets serve time.now --exec date",
    "ebsockets req time.now             # in another terminal",
    'ebsockets serve disk.free --exec "df -h /"',
    "ebsockets serve --queue workers 'resize.*' --exec ./resize.sh",
    `ebsockets serve user.find --exec "jq -c '{name: .__dict__.id | tostring}'"`,
  ],
  groups: [{
    title: "Options",
    flags: [
      flag.text(
        "exec",
        "CMD",
        "The command to run for each request, as typed into a shell (required)",
      ),
      flag.text(
        "queue",
        "NAME",
        "Share the requests with all members of this queue; each goes to one member",
      ),
      flag.duration("timeout", `Kill the command if it takes longer (default ${DEFAULT_TIMEOUT})`),
      flag.integer(
        "jobs",
        "Run this many commands at a time; more requests are queued (default: one per core)",
      ),
    ],
  }, CONNECTION_GROUP],
  exits: {
    0: "Stopped by Ctrl+C after all received requests were answered",
    1: "The relay is unreachable",
    130: "Ended at once by a second Ctrl+C (143: a second SIGTERM)",
  },
  notes:
    `NAME may be a pattern, as for sub. For each request, a shell runs CMD unchanged (sh -c; on Windows,
cmd /c). Text from other clients never becomes part of CMD. The line of the event is its standard
input.

If CMD succeeds and prints one JSON object, that object becomes the attributes of the answer,
unchanged. Otherwise the attributes are "output", "code" and, after a failure, "error". Code 124 means
that CMD timed out, 126 or 127 that it could not be started. Standard error of CMD appears here. Its
output must be UTF-8. The answer has the name of the request. It is sent when CMD exits, even if CMD
leaves processes running in the background.

Reconnects automatically. Ctrl+C, or closing the terminal, answers the received requests, then ends.
A second Ctrl+C ends at once.

${CONNECTION_NOTES} Also --allow-run=sh, or cmd on Windows.`,
  async run(args) {
    const [target, words] = readTarget(args);
    const [pattern] = words;
    const { exec, queue, timeout = DEFAULT_TIMEOUT } = args.values;
    const { jobs = navigator.hardwareConcurrency } = args.values;
    if (pattern === undefined) throw new UsageError("serve needs the NAME of requests");
    if (exec === undefined) {
      throw new UsageError(
        "serve needs --exec CMD, the command to run for each request, such as --exec date",
      );
    }
    if (words[1] !== undefined) {
      throw new UsageError(
        `Unknown argument ${quote(words[1])}; quote a command of several words, such as ` +
          '--exec "df -h /"',
      );
    }
    const note = patternNote(pattern);
    checkPermission();
    const log = new Log(writeOut);
    const onNews = (text: string) => log.add(`${new Date().toISOString()} ${text}`);
    if (note) onNews(note);
    const executor = new Executor(exec, { timeout, maxOutputBytes: MAX_OUTPUT_BYTES });
    // A second signal ends the process at once. The running commands are killed with it.
    globalThis.addEventListener("unload", () => executor.killAll());
    let requests: AsyncIterable<EbsocketEvent>;
    try {
      const signal = stopSignal({ hangup: true });
      await using client = await connect(target, {
        raw: true,
        reconnect: { maxQueuedEvents: Infinity, maxQueuedBytes: Infinity },
        prepare: (client) => requests = client.serve(pattern, queue === undefined ? {} : { queue }),
        lack: lackRequests,
        signal,
      });
      log.add(`Serving ${printable(pattern)} at ${whereIs(client)}; Ctrl+C ends it`);
      let running = 0;
      const work = async () => {
        for await (const request of requests) {
          if (request.id === null) continue; // An event that is not a request needs no answer.
          running++;
          await answer(client, request as RawEvent, executor, onNews)
            // A failure must not stop later requests.
            .catch((error) => onNews(`cannot answer: ${messageOf(error)}`));
          running--;
        }
      };
      signal.addEventListener("abort", () => {
        onNews(`stopping (${running} running); a second signal ends at once`);
        client.drain({ timeout: Infinity });
      });
      const onChange = (text: string) => onNews(text[0]!.toLowerCase() + text.slice(1));
      const news = reportNews(client, target, onChange, onNews);
      // The client holds the requests back until a worker is free.
      await Promise.all([news, ...Array.from({ length: jobs }, work)]);
      return 0;
    } finally {
      await log.flush();
    }
  },
});

/** Runs the command for a request, and sends its output. */
async function answer(
  client: EbsocketClient,
  request: RawEvent,
  executor: Executor,
  onNews: (text: string) => void,
): Promise<void> {
  const since = performance.now();
  const execution = await executor.run(request.line);
  const took = formatTime(performance.now() - since);
  const name = request.event;
  const what = `${printable(name)} for ${printable(request.from ?? "an unknown client")}`;
  onNews(
    execution.fault === null
      ? `answered ${what} in ${took}`
      : `failed at ${what} in ${took}: ${execution.fault}`,
  );
  const reply = async (attributes: string): Promise<void> => {
    const line = `{"event":${encodeJson(name)},"__dict__":${attributes}}`;
    if (await client.reply(request, RawEvent.fromLine(encoder.encode(line)))) return;
    onNews(`cannot send the answer to ${what}: the connection of the request has ended`);
  };
  try {
    await reply(toAttributes(execution));
  } catch (error) {
    const fault = describeFault(error);
    onNews(`cannot send the answer to ${what}: ${fault}`);
    await reply(JSON.stringify({ output: "", code: 0, error: fault }));
  }
}

/** Returns why an answer cannot be sent: it is too long or nests too deeply. */
function describeFault(error: unknown): string {
  if (error instanceof EventFormatError && error.code === "too-deep") {
    return `it nests deeper than ${MAX_DEPTH} levels`;
  }
  return messageOf(error).replace(/^.*: (?=its \d+ bytes )/, "");
}

/**
 * Returns the attributes of the answer to an execution, as JSON: the object that the command has
 * printed, unchanged, or else its output, its exit code and its fault.
 */
export function toAttributes({ output, code, fault }: Execution): string {
  if (fault === null && output.trimStart().startsWith("{") && isJson(output)) {
    return inOneLine(output);
  }
  return encodeJson({ output, code, ...(fault !== null && { error: fault }) });
}

/** Throws a `StartError` without the permission to run commands. */
function checkPermission(): void {
  const { state } = Deno.permissions.querySync({ name: "run", command: SHELL });
  if (state === "granted") return;
  throw new StartError(
    `Cannot run commands: Deno does not permit it; run it with -A or --allow-run=${SHELL}`,
  );
}
