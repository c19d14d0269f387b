/**
 * The `check` command, which checks files of event lines against the protocol.
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

/** The size of a read, in bytes. */
const CHUNK_BYTES = 65_536;

/** The `check` command. */
export const check: Command = defineCommand({
  name: "check",
  summary: "Check files of event lines against the protocol",
  about: "Check files of event lines against the protocol, line by line.",
  usage: "[options] FILE...",
  hints: "files",
  examples: [
    "ebsockets check events.jsonl       # such as events.jsonl:3:11: bad-json: ...",
    "ebsockets sub | ebsockets check -  # the events of a relay",
    "ebsockets check --schema events.ts events.jsonl",
  ],
  groups: [{
    title: "Options",
    flags: [
      {
        kind: "file",
        name: "schema",
        value: "FILE",
        text: "Also check the attributes of each event against this module, which exports the " +
          'result of defineEvents() as default or "events"',
      },
      {
        kind: "integer",
        name: "max-line-bytes",
        value: "N",
        least: 1,
        most: LONGEST_LINE_BYTES,
        text: "Maximum line length, in bytes (default 1048576)",
      },
    ],
  }],
  exits: {
    0: "All lines are valid",
    1: "A line is invalid, or a file cannot be read",
  },
  notes: `The file - is standard input. Each bad line is reported on one line, such as
  events.jsonl:3:11: bad-json: expected ":", found "}"
The column is in bytes, from 1. Column 1 is also used for a line that is wrong as a whole.

Minimum permissions: --allow-read for the files.`,
  async run({ values, words }) {
    if (words.length === 0) throw new UsageError("check needs a FILE, or - for standard input");
    const events = values.schema === undefined ? null : await loadDefinitions(values.schema);
    const report = new CheckReport(new Output(), events);
    for (const file of words) await checkFile(file, values["max-line-bytes"], report);
    tell(report.summary);
    return report.isGood ? 0 : 1;
  },
});

/** Checks one file. A file that cannot be read is reported, and does not end the command. */
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
