/**
 * The `log` command, which shows, checks and repairs the history of a relay on disk.
 *
 * @module
 */

import { setColorEnabled } from "@std/fmt/colors";
import type { LogFolder } from "../history/log_folder.ts";
import { printable } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { explainNoReadOrWrite, explainReadError, StartError, UsageError } from "./errors.ts";
import { checkWords, flag } from "./flags.ts";
import { formatLogFault, formatLogSummary, formatSurvey } from "./log_view.ts";
import { Output, OutputClosed, OutputFailed, print, printErr } from "./stdio.ts";
import { isScreen, isTerminal, sizeOfTerminal } from "./terminal.ts";

/** The `log` command. */
export const log: Command = defineCommand({
  name: "log",
  summary: "Show, check or repair the history of a relay on disk",
  about: "Show what is in the folder of a relay's history, check it, or repair it.",
  usage: "[options] DIR",
  hints: "files",
  examples: [
    "ebsockets log /var/lib/relay            # also while a relay uses it",
    "ebsockets log --verify /var/lib/relay   # one line for each fault",
    "ebsockets log --json /var/lib/relay | jq .last",
  ],
  groups: [{
    title: "Options",
    flags: [
      flag.switch("verify", "Check all of it, and print each fault on one line"),
      flag.switch(
        "repair",
        "Move damaged parts to files that end in .damaged, note which events are missing, " +
          "and end the history in order",
      ),
      flag.switch("json", "Print what is in the folder as one line of JSON"),
    ],
  }],
  exits: {
    0: "The history was shown, is whole, or was repaired",
    1: "With --verify, something is wrong; or DIR cannot be used (see standard error)",
  },
  notes:
    `DIR is the folder of --history. Only --repair changes it, and not while a relay uses it. It
deletes nothing: the bytes that it leaves out are in the files that end in .damaged. A relay on the
repaired history names the missing events to clients that ask for them.

The whole history is read, file by file. Run --repair as the user of the relay, since the files that
it writes are for its own user alone.

Minimum permissions: --allow-read=DIR; with --repair, also --allow-write=DIR.`,
  async run({ values: { verify, repair, json }, words }) {
    const [path] = words;
    if (path === undefined || path === "") {
      throw new UsageError("log needs a DIR, the folder of --history");
    }
    checkWords(words, 1);
    const chosen = Object.entries({ verify, repair, json }).filter(([, isChosen]) => isChosen);
    if (chosen.length > 1) {
      const [one, other] = chosen.map(([name]) => `--${name}`);
      throw new UsageError(`${one} and ${other} exclude each other`);
    }
    if (repair) await repairFolder(path);
    else if (verify) return await verifyFolder(path);
    else await showFolder(path, json);
    return 0;
  },
});

async function showFolder(path: string, isJson: boolean): Promise<void> {
  const survey = await within(path, "read", async () => {
    const { surveyLog } = await import("../history/survey_log.ts");
    const faults = surveyLog(await folderAt(path, true), true);
    for (;;) {
      const { value, done } = await faults.next();
      if (done) return value;
    }
  });
  setColorEnabled(isScreen("stdout"));
  const columns = isTerminal("stdout") ? sizeOfTerminal().columns : Infinity;
  // JSON.stringify() leaves some characters unescaped that affect a terminal.
  await print(
    isJson
      ? printable(JSON.stringify(survey))
      : formatSurvey(survey, path, Date.now(), columns).join("\n"),
  );
}

/** Resolves to the exit code. */
async function verifyFolder(path: string): Promise<number> {
  const output = new Output();
  const survey = await within(path, "read", async () => {
    const { surveyLog } = await import("../history/survey_log.ts");
    const faults = surveyLog(await folderAt(path, true), false);
    for (;;) {
      const { value, done } = await faults.next();
      if (done) return value;
      await output.write(`${formatLogFault(value)}\n`);
    }
  });
  printErr(formatLogSummary(survey));
  return survey.faults === 0 ? 0 : 1;
}

async function repairFolder(path: string): Promise<void> {
  const output = new Output();
  const isWhole = await within(path, "repair", async () => {
    const { repairLog } = await import("../history/repair_log.ts");
    let steps = 0;
    for await (const step of repairLog(await folderAt(path, false))) {
      const text = typeof step === "string" ? printable(step) : formatLogFault(step);
      await output.write(`${text}\n`);
      steps++;
    }
    return steps === 0;
  });
  if (isWhole) await print("Nothing to repair: the history is whole, and has ended in order");
}

async function folderAt(path: string, isReadOnly: boolean): Promise<LogFolder> {
  const { DiskFolder } = await import("../history/log_folder.ts");
  return new DiskFolder(path, isReadOnly);
}

/**
 * Calls a function that works on the folder.
 *
 * @throws {StartError} If it cannot. The message says why, and what to do.
 */
async function within<T>(path: string, verb: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof OutputClosed || error instanceof OutputFailed) throw error;
    throw new StartError(`Cannot ${verb} the history in ${path}: ${explain(error, path, verb)}`);
  }
}

function explain(error: unknown, path: string, verb: string): string {
  if (error instanceof Deno.errors.NotFound) {
    return "there is no such folder; name the folder of --history";
  }
  if (error instanceof Deno.errors.NotADirectory) {
    return "it is no folder; name the folder of --history";
  }
  if (error instanceof Deno.errors.NotCapable && verb === "repair") {
    return explainNoReadOrWrite(path);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "the system does not permit it; run it as the user of the relay";
  }
  return explainReadError(error, path);
}
