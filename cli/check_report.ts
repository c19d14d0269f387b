/**
 * Owns what a check says: one line for each bad line, and the sums. Must not know where the lines come
 * from, nor the rules of the protocol.
 *
 * @module
 */

import type { EventDefinitions } from "../schema/definitions.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { type CheckedLine, formatFault, type LineFault } from "./file_checker.ts";
import type { Output } from "./output.ts";
import { tell } from "./stdio.ts";
import { countOf } from "./units.ts";

/** How much is written at once, in characters, unless it is all. */
const PIECE_LENGTH = 65_536;

/** What has been found in all files so far. */
export class CheckReport {
  readonly #output: Output;
  readonly #events: EventDefinitions<object> | null;
  #good = 0;
  #control = 0;
  #bad = 0;
  #unreadable = 0;

  /** Makes one that also compares events with the definitions, if there are some. */
  constructor(output: Output, events: EventDefinitions<object> | null) {
    this.#output = output;
    this.#events = events;
  }

  /** Whether nothing bad has been found. */
  get isGood(): boolean {
    return this.#bad === 0 && this.#unreadable === 0;
  }

  /** The sums, in one line. */
  get summary(): string {
    const parts = [countOf(this.#good, "good event")];
    if (this.#control > 0) parts.push(countOf(this.#control, "control line"));
    parts.push(countOf(this.#bad, "bad line"));
    if (this.#unreadable > 0) parts.push(countOf(this.#unreadable, "unreadable file"));
    return parts.join(", ");
  }

  /** Takes lines of one file, and writes what is wrong with them. */
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

  /** Says that a file cannot be read, and why. */
  unreadable(file: string, why: string): void {
    this.#unreadable++;
    tell(`error: Cannot read ${file}: ${why}`);
  }

  /** Why the attributes of an event do not fit its definition, if they do not. */
  #invalidEvent({ kind, bytes }: CheckedLine): LineFault | null {
    if (!this.#events || kind !== "event") return null;
    const { event, __dict__ } = EbsocketEvent.fromBytes(bytes.subarray(0, -1));
    const { issues } = this.#events.check(event, __dict__);
    return issues ? { reason: "bad-attributes", column: 1, text: issues.join("; ") } : null;
  }
}
