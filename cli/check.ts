/**
 * Owns the command that checks files of lines. Must not know the rules.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";
import { CheckReport } from "./check_report.ts";
import { type Command, defineCommand } from "./command.ts";
import { UsageError } from "./errors.ts";
import { whyUnreadable } from "./files.ts";
import { FileChecker, LONGEST_LINE_BYTES } from "./file_checker.ts";
import { Output, OutputClosed, OutputFailed } from "./output.ts";
import { loadDefinitions } from "./schema.ts";
import { tell } from "./stdio.ts";

/** How much is read at once, in bytes. */
const CHUNK_BYTES = 65_536;

/** The command that checks files of lines. */
export const check: Command = defineCommand({
  name: "check",
  summary: "Check files of event lines against the protocol",
  about: "Check files of event lines against the protocol, line by line.",
  usage: "[options] FILE...",
  hints: "files",
  examples: [
    "ebsockets check events.jsonl       # such as events.jsonl:3:11: bad-json: ...",
    "ebsockets sub | ebsockets check -  # what comes from a relay",
    "ebsockets check --schema events.ts events.jsonl",
  ],
  groups: [{
    title: "Options",
    flags: [
      {
        kind: "file",
        name: "schema",
        value: "FILE",
        text: "Also check the attributes of each event against this module, which exports what " +
          'defineEvents() gives, by default or as "events"',
      },
      {
        kind: "integer",
        name: "max-line-bytes",
        value: "N",
        least: 1,
        most: LONGEST_LINE_BYTES,
        text: "Longest line, in bytes (default 1048576)",
      },
    ],
  }],
  exits: {
    0: "All lines are good",
    1: "One is not, or a file cannot be read",
  },
  notes: `The file - is standard input. For each bad line there is one of output, such as
  events.jsonl:3:11: bad-json: expected ":", found "}"
with the column in bytes from 1. A line that is wrong as a whole has column 1.

Least permissions: --allow-read for the files.`,
  async run({ values, words }) {
    if (words.length === 0) throw new UsageError("check needs a FILE, or - for standard input");
    const events = values.schema === undefined ? null : await loadDefinitions(values.schema);
    const report = new CheckReport(new Output(), events);
    for (const file of words) await checkFile(file, values["max-line-bytes"], report);
    tell(report.summary);
    return report.isGood ? 0 : 1;
  },
});

/** Checks one file, of which it only says so if it cannot be read. */
async function checkFile(
  file: string,
  maxLineBytes: number | undefined,
  report: CheckReport,
): Promise<void> {
  const checker = new FileChecker(maxLineBytes);
  const name = file === "-" ? "-" : printable(file);
  try {
    using input = file === "-" ? null : await Deno.open(file);
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (let length; (length = await (input ?? Deno.stdin).read(chunk)) !== null;) {
      await report.add(name, checker.push(chunk.subarray(0, length)));
    }
    await report.add(name, checker.end());
  } catch (error) {
    if (error instanceof OutputClosed || error instanceof OutputFailed) throw error;
    report.unreadable(name, whyUnreadable(error, file));
  }
}
