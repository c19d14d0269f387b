/**
 * The report of a check: one line for each bad line, and the totals.
 *
 * @module
 */

import type { EventDefinitions } from "../schema/definitions.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { type CheckedLine, formatFault, type LineFault } from "./file_checker.ts";
import type { Output } from "./output.ts";
import { tell } from "./stdio.ts";
import { countOf } from "./units.ts";

/** The size of a write, in characters, except for the last one. */
const PIECE_LENGTH = 65_536;

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
    tell(`error: Cannot read ${file}: ${why}`);
  }

  /** Returns the mismatch between the attributes of an event and its definition, or `null`. */
  #invalidEvent({ kind, bytes }: CheckedLine): LineFault | null {
    if (!this.#events || kind !== "event") return null;
    const { event, __dict__ } = EbsocketEvent.fromBytes(bytes.subarray(0, -1));
    const { issues } = this.#events.check(event, __dict__);
    return issues ? { reason: "bad-attributes", column: 1, text: issues.join("; ") } : null;
  }
}
