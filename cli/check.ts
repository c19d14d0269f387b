/**
 * The `check` command, which checks files of event lines against the protocol.
 *
 * @module
 */

import type { EventDefinitions } from "../define.ts";
import { EbsocketEvent } from "../event.ts";
import { MAX_MAX_LINE_BYTES } from "../protocol/option_checks.ts";
import { printable } from "../protocol/printable.ts";
import { type Command, defineCommand } from "./command.ts";
import { explainReadError, UsageError } from "./errors.ts";
import { type CheckedLine, FileChecker, formatFault, type LineFault } from "./input_lines.ts";
import { flag } from "./flags.ts";
import { loadDefinitions } from "./schema.ts";
import { Output, OutputClosed, OutputFailed, printErr } from "./stdio.ts";
import { countOf } from "../protocol/units.ts";

/** The size of a read, in bytes. */
const CHUNK_BYTES = 65_536;

/** The size of a write, in characters, except for the last one. */
const PIECE_LENGTH = 65_536;

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
      flag.file(
        "schema",
        "Also check the attributes of each event against this module, which exports the " +
          'result of defineEvents() as default or "events"',
      ),
      flag.integer("max-line-bytes", "Maximum line length, in bytes (default 1048576)", {
        max: MAX_MAX_LINE_BYTES,
      }),
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
    printErr(report.summary);
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
    report.unreadable(name, explainReadError(error, file));
  }
}

/** Collects and prints the findings for all files. */
export class CheckReport {
  readonly #output: Output;
  readonly #events: EventDefinitions<object> | null;
  #good = 0;
  #control = 0;
  #bad = 0;
  #unreadable = 0;

  /** Creates a report. Also checks events against `events`, unless that is `null`. */
  constructor(output: Output, events: EventDefinitions<object> | null) {
    this.#output = output;
    this.#events = events;
  }

  /** Whether no fault has been found. */
  get isGood(): boolean {
    return this.#bad === 0 && this.#unreadable === 0;
  }

  /** The totals, in one line. */
  get summary(): string {
    const parts = [countOf(this.#good, "good event")];
    if (this.#control > 0) parts.push(countOf(this.#control, "control line"));
    parts.push(countOf(this.#bad, "bad line"));
    if (this.#unreadable > 0) parts.push(countOf(this.#unreadable, "unreadable file"));
    return parts.join(", ");
  }

  /** Adds lines of one file, and writes their faults to the output. */
  async add(file: string, lines: Iterable<CheckedLine>): Promise<void> {
    let text = "";
    for (const line of lines) {
      const fault = line.fault ?? this.#invalidEvent(line);
      if (fault) text += `${formatFault(file, line.number, fault)}\n`;
      if (text.length >= PIECE_LENGTH) {
        await this.#output.write(text);
        text = "";
      }
      if (fault) this.#bad++;
      else if (line.kind === "event") this.#good++;
      else if (line.kind === "control") this.#control++;
    }
    if (text !== "") await this.#output.write(text);
  }

  /** Reports a file that cannot be read, with the reason. */
  unreadable(file: string, why: string): void {
    this.#unreadable++;
    printErr(`error: Cannot read ${file}: ${why}`);
  }

  /** Returns the mismatch between the attributes of an event and its definition, or `null`. */
  #invalidEvent({ kind, bytes }: CheckedLine): LineFault | null {
    if (!this.#events || kind !== "event") return null;
    const { event, __dict__ } = EbsocketEvent.fromBytes(bytes.subarray(0, -1));
    const { issues } = this.#events.check(event, __dict__);
    return issues ? { reason: "bad-attributes", column: 1, text: issues.join("; ") } : null;
  }
}
