/**
 * Decodes blocks of whole lines into events and control lines.
 *
 * @module
 */

import type { ControlLine } from "./control.ts";
import type { EventFormatError } from "../errors.ts";
import { type EbsocketEvent, toEvent } from "./event.ts";
import { parseLines } from "./json_parser.ts";
import { decoder } from "./utf8.ts";
import { type LineKind, LineValidator } from "./validator.ts";

/**
 * Decodes blocks of lines. One decoder can serve many connections, because it keeps only the fault
 * and the counts of its last call.
 */
export class BlockDecoder {
  protected readonly validator: LineValidator;

  /** The fault of the line at which the last `decode()` stopped, or `null`. */
  fault: EventFormatError | null = null;
  /** The number of lines that the last `decode()` checked, including empty ones. */
  lines = 0;
  /** The size of the events that the last `decode()` returned, with their line ends, in bytes. */
  eventBytes = 0;

  constructor(maxDepth?: number) {
    this.validator = new LineValidator(maxDepth);
  }

  /** How deep a line may nest. */
  get maxDepth(): number {
    return this.validator.maxDepth;
  }

  /** Returns the events and control lines of `block`, in order, up to the first invalid line. */
  decode(block: Uint8Array): (EbsocketEvent | ControlLine)[] {
    const kinds: LineKind[] = [];
    const escaped: number[] = [];
    const { validator } = this;
    this.fault = null;
    this.lines = 0;
    this.eventBytes = 0;
    validator.open(block);
    let end = 0;
    while (end < block.length) {
      const kind = validator.validate(end);
      this.lines++;
      if (kind === "invalid") {
        this.fault = validator.fault;
        break;
      }
      if (kind !== "empty") {
        if (validator.hasEscapedKey) escaped.push(kinds.length);
        kinds.push(kind);
      }
      if (kind === "event") this.eventBytes += validator.end + 1 - end;
      end = validator.end + 1;
    }

    // One call for all lines costs about as much as a call for a single line.
    const lines = decoder.decode(block.subarray(0, end)).split("\n");
    return parseLines(lines.filter(isNotEmpty), escaped)
      .map((line, i) => kinds[i] === "event" ? toEvent(line) : line as ControlLine);
  }
}

function isNotEmpty(line: string): boolean {
  return line !== "" && line !== "\r";
}
