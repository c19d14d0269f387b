/**
 * Owns the command that answers requests with what another command prints. Must not know how that is
 * done.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { printable, quote } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { CONNECTION_GROUP, CONNECTION_NOTES, readTarget } from "./connect.ts";
import { describeRefusal, StartError, UsageError } from "./errors.ts";
import { Executor, SHELL } from "./shell_command.ts";
import { Listener } from "./listener.ts";
import { Log } from "./log.ts";
import { adviseOnPattern } from "./pattern.ts";
import { Service } from "./exec_service.ts";
import { stopSignal } from "./signals.ts";
import { writeOut } from "./stdio.ts";

/** How long a command may take by default, in milliseconds: as long as `req` waits for it. */
const DEFAULT_TIMEOUT = 5000;

/** How much a command may print, in bytes: the longest line of a relay by default. */
const MAX_OUTPUT_BYTES = 1_048_576;

/** The command that answers requests. */
export const serve: Command = defineCommand({
  name: "serve",
  summary: "Answer requests with what a command prints",
  about: "Answer each request with what a command prints.",
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
      {
        kind: "text",
        name: "exec",
        value: "CMD",
        text: "What to run for each request, as you would type it into a shell (must be given)",
      },
      {
        kind: "text",
        name: "queue",
        value: "NAME",
        text: "Share the requests with all who serve with this queue: one of them gets each",
      },
      {
        kind: "duration",
        name: "timeout",
        value: "MS",
        least: 1,
        most: MAX_TIMER_MS,
        text: `End the command if it takes longer (default ${DEFAULT_TIMEOUT})`,
      },
      {
        kind: "integer",
        name: "jobs",
        value: "N",
        least: 1,
        text: "Run so many commands at a time; more requests wait (default: one for each core)",
      },
    ],
  }, CONNECTION_GROUP],
  exits: {
    0: "Ctrl+C has ended it, and all that had come is answered",
    1: "The relay cannot be reached",
    130: "A second Ctrl+C has ended it at once (143: a second SIGTERM)",
  },
  notes:
    `NAME may be a pattern, as for sub. CMD is given to a shell for each request (sh -c, on Windows cmd
/c), to the letter: nothing that others send gets into it. The line of the event is its standard
input.

If it succeeds and prints one JSON object, that becomes the attributes of the answer, as it was
written. Otherwise they are "output", "code" and, if something went wrong, "error". Code 124 says
that it took too long, 126 or 127 that it could not be started. Its standard error is shown here.
What it prints is taken for UTF-8. The answer has the name of the request, and goes out when CMD has
exited, whatever it has left running in the background.

A lost connection is made again. Ctrl+C, or the end of the terminal, answers what has come, then ends;
a second Ctrl+C ends at once.

${CONNECTION_NOTES} Also --allow-run=sh, or cmd on Windows.`,
  async run(args) {
    const [target, words] = readTarget(args);
    const [pattern] = words;
    const { exec, queue, timeout = DEFAULT_TIMEOUT } = args.values;
    const { jobs = navigator.hardwareConcurrency } = args.values;
    if (pattern === undefined) throw new UsageError("serve needs the NAME of requests");
    if (exec === undefined) {
      throw new UsageError(
        "serve needs --exec CMD, which says what to run for each request, such as --exec date",
      );
    }
    if (words[1] !== undefined) {
      throw new UsageError(
        `Unknown argument ${quote(words[1])}; a command of several words is quoted, as in ` +
          '--exec "df -h /"',
      );
    }
    const note = adviseOnPattern(pattern);
    checkPermission();
    const log = new Log(writeOut);
    const onNews = (text: string) => log.add(`${new Date().toISOString()} ${text}`);
    if (note) onNews(note);
    const signal = stopSignal({ hangup: true });
    const executor = new Executor(exec, { timeout, maxOutputBytes: MAX_OUTPUT_BYTES });
    // A second signal ends the process at once, and what it has started.
    globalThis.addEventListener("unload", () => executor.killAll());
    const service = new Service({ executor, jobs, onNews, onRoom: () => listener.resume() });
    let isServing = false;
    let isLeaving = false;
    const wishes = { patterns: [pattern], ...(queue !== undefined && { queue }) };
    const listener = new Listener(target, wishes, {
      onStart({ wire }) {
        isServing = true;
        log.add(`Serving ${printable(pattern)} at ${wire.place}; Ctrl+C ends it`);
      },
      onEvent({ bytes, name, id, from }, source) {
        // Nobody waits for an answer to an event that is no request.
        if (id === null || isLeaving) return;
        // A copy, as the line of one that waits would hold the whole block.
        const line = bytes.slice();
        if (!service.take({ line, name, id, from, source })) listener.pause();
      },
      onNews: (text) => onNews(text[0]!.toLowerCase() + text.slice(1)),
      onRefusal: (refusal) => onNews(describeRefusal(refusal.event, refusal)),
      async onStop(subscription) {
        onNews(`stopping (${service.running} running); once more ends it at once`);
        await subscription.leave();
        isLeaving = true;
        await service.finish();
      },
    });
    try {
      return await listener.run(signal);
    } catch (error) {
      if (error !== signal.reason || !isServing) throw error;
      return 0;
    } finally {
      await log.flush();
    }
  },
});

/** Makes sure that commands may be run at all. */
function checkPermission(): void {
  const { state } = Deno.permissions.querySync({ name: "run", command: SHELL });
  if (state === "granted") return;
  throw new StartError(
    `Cannot run commands: Deno does not permit it; run it with -A or --allow-run=${SHELL}`,
  );
}
