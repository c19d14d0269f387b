/**
 * Owns the command that answers requests with what another command prints. Must not know how that is
 * done.
 *
 * @module
 */

import { formatAddress } from "../address.ts";
import type { EbsocketClient } from "../client.ts";
import { MAX_TIMER_MS } from "../limits.ts";
import { faultOfPattern } from "../pattern.ts";
import { printable, quote } from "../printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { connect, CONNECTION_GROUP, CONNECTION_NOTES, readTarget } from "./connect.ts";
import { StartError, UsageError } from "./errors.ts";
import { Executor } from "./execute.ts";
import { Log } from "./log.ts";
import { Service } from "./service.ts";
import { stopSignal } from "./signals.ts";
import { describe } from "./wire.ts";

/** How long a command may take by default, in milliseconds: as long as `req` waits for it. */
const DEFAULT_TIMEOUT = 5000;

/** How much a command may print, in bytes: the longest line of a relay by default. */
const MAX_OUTPUT_BYTES = 1_048_576;

/** How long the last log lines may take to be written, in milliseconds. */
const LOG_TIMEOUT = 1000;

/** The command that answers requests. */
export const serve: Command = defineCommand({
  name: "serve",
  summary: "Answer requests with what a command prints",
  about: "Answer each request with what a command prints.",
  usage: "[options] [HOST:PORT] NAME -- COMMAND [ARGUMENT...]",
  groups: [{
    title: "Options",
    flags: [
      {
        kind: "text",
        name: "queue",
        value: "NAME",
        text: "Share the requests with all who serve with this queue: one of them gets each",
      },
      {
        kind: "integer",
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
  notes: `For example:
  serve time.now -- date -u
  serve --queue workers 'resize.*' -- ./resize.sh
  serve user.find -- jq -c '{name: .__dict__.id | tostring}'

NAME may be a pattern, as for sub. COMMAND is run for each request, as it is: no shell looks at
it, and it gets nothing from the request but the line of the event on its standard input.

If it succeeds and prints one JSON object, that becomes the attributes of the answer. Otherwise
they are "output", "code" and, if something went wrong, "error". Code 124 says that it took too
long, 126 or 127 that it could not be started. Its standard error is not touched.

A lost connection is made again. Ctrl+C answers what has come, then ends; a second one ends at
once. The exit code is 0, or 1 if the relay cannot be reached.

${CONNECTION_NOTES} Also --allow-run=COMMAND.`,
  async run(args) {
    const [target, words] = readTarget(args);
    const named = args.wordsBeforeDashes - (args.words.length - words.length);
    const [pattern, command, ...commandArgs] = words;
    const { queue, timeout = DEFAULT_TIMEOUT, jobs = navigator.hardwareConcurrency } = args.values;
    if (named < 1 || pattern === undefined) {
      throw new UsageError("serve needs the NAME of requests");
    }
    const fault = faultOfPattern(pattern);
    if (fault) throw new UsageError(`${quote(pattern)} is no name or pattern: ${fault}`);
    if (named > 1) throw new UsageError(`Unknown argument ${quote(command!)}; COMMAND follows --`);
    if (command === undefined) throw new UsageError("serve needs a COMMAND behind --");
    checkPermission(command);
    const log = new Log((bytes) => Deno.stdout.write(bytes));
    const onNews = (text: string) => log.add(`${new Date().toISOString()} ${text}`);
    const signal = stopSignal();
    const executor = new Executor(command, commandArgs, {
      timeout,
      maxOutputBytes: MAX_OUTPUT_BYTES,
    });
    // A second signal ends the process at once, and what it has started.
    globalThis.addEventListener("unload", () => executor.killAll());
    await using client = await connect(target, {
      patterns: [pattern],
      queue,
      reconnect: true,
      signal,
    });
    log.add(`Serving ${printable(pattern)} at ${whereIs(client)}; Ctrl+C ends it`);
    tellStatus(client, onNews);
    const service = new Service(client, { executor, jobs, onNews });
    await service.run(signal);
    if (!signal.aborted) {
      await log.flush(LOG_TIMEOUT);
      const why = describe(await client.closed);
      throw new StartError(`The connection to ${whereIs(client)} ended with ${why}`);
    }
    onNews(`stopping (${service.running} running); once more ends it at once`);
    // Without a connection nothing more will come anyway.
    const options = queue === undefined ? {} : { queue };
    if (client.connected) await client.unsubscribe([pattern], options).catch(() => {});
    await service.finish();
    await client.close();
    await log.flush(LOG_TIMEOUT);
    return 0;
  },
});

/** Makes sure that the command may be run at all. */
function checkPermission(command: string): void {
  const { state } = Deno.permissions.querySync({ name: "run", command });
  if (state === "granted") return;
  const name = printable(command);
  throw new StartError(
    `Cannot run ${name}: Deno does not permit it; run it with -A or --allow-run=${name}`,
  );
}

/** Tells when the connection is lost, and is there again. */
async function tellStatus(client: EbsocketClient, onNews: (text: string) => void): Promise<void> {
  for await (const status of client.status()) {
    if (status.type === "disconnected") {
      onNews(`lost the connection to ${whereIs(client)} (${describe(status.info)}); trying again`);
    } else if (status.type === "reconnected") {
      onNews(`back at ${whereIs(client)}`);
    }
  }
}

function whereIs(client: EbsocketClient): string {
  return printable(formatAddress(client.address!));
}
