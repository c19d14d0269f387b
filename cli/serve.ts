/**
 * The `serve` command, which answers requests with the output of a shell command.
 *
 * @module
 */

import { printable, quote } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { CONNECTION_GROUP, CONNECTION_NOTES, readTarget } from "./connect.ts";
import { describeRefusal, StartError, UsageError } from "./errors.ts";
import { flag } from "./flags.ts";
import { Executor, SHELL } from "./shell_command.ts";
import { Listener } from "./listener.ts";
import { Log } from "./log.ts";
import { adviseOnPattern } from "./pattern.ts";
import { Service } from "./exec_service.ts";
import { stopSignal } from "./signals.ts";
import { writeOut } from "./stdio.ts";

/** The default time limit of a command, in milliseconds; equal to the default of `req`. */
const DEFAULT_TIMEOUT = 5000;

/** The output limit of a command, in bytes; equal to a relay's default line limit. */
const MAX_OUTPUT_BYTES = 1_048_576;

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
    const note = adviseOnPattern(pattern);
    checkPermission();
    const log = new Log(writeOut);
    const onNews = (text: string) => log.add(`${new Date().toISOString()} ${text}`);
    if (note) onNews(note);
    const signal = stopSignal({ hangup: true });
    const executor = new Executor(exec, { timeout, maxOutputBytes: MAX_OUTPUT_BYTES });
    // A second signal ends the process at once. The running commands are killed with it.
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
        // An event that is not a request needs no answer.
        if (id === null || isLeaving) return;
        // A copy, since a queued line would otherwise keep its whole block in memory.
        const line = bytes.slice();
        if (!service.take({ line, name, id, from, source })) listener.pause();
      },
      onNews: (text) => onNews(text[0]!.toLowerCase() + text.slice(1)),
      onRefusal: (refusal) => onNews(describeRefusal(refusal.event, refusal)),
      async onStop(subscription) {
        onNews(`stopping (${service.running} running); a second signal ends at once`);
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

/** Throws a `StartError` without the permission to run commands. */
function checkPermission(): void {
  const { state } = Deno.permissions.querySync({ name: "run", command: SHELL });
  if (state === "granted") return;
  throw new StartError(
    `Cannot run commands: Deno does not permit it; run it with -A or --allow-run=${SHELL}`,
  );
}
