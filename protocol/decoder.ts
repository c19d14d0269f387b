/**
 * Owns the step from a block of whole lines to the events and control lines in it, for everyone who
 * wants events rather than bytes. Must not know where the lines come from.
 *
 * @module
 */

import type { ControlLine } from "./control.ts";
import type { EventFormatError } from "../errors.ts";
import { type EbsocketEvent, toEvent } from "./event.ts";
import { parseLines } from "./json_parser.ts";
import { type LineKind, LineValidator } from "./validator.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Decodes blocks of lines. One decoder can serve many connections: it keeps nothing but its fault. */
export class BlockDecoder {
  readonly #validator: LineValidator;

  /** What was wrong with the line at which the last `decode()` stopped, or `null`. */
  fault: EventFormatError | null = null;
  /** How many lines the last `decode()` has looked at, empty ones included. */
  lines = 0;

  constructor(maxDepth?: number) {
    this.#validator = new LineValidator(maxDepth);
  }

  /** How deep a line may nest. */
  get maxDepth(): number {
    return this.#validator.maxDepth;
  }

  /** The events and control lines of `block`, in order, up to the first invalid line. */
  decode(block: Uint8Array): (EbsocketEvent | ControlLine)[] {
    const kinds: LineKind[] = [];
    const escaped: number[] = [];
    const validator = this.#validator;
    this.fault = null;
    this.lines = 0;
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
      end = validator.end + 1;
    }

    // One call for all lines: it costs about as much as it does for one.
    const lines = decoder.decode(block.subarray(0, end)).split("\n");
    return parseLines(lines.filter(isNotEmpty), escaped)
      .map((line, i) => kinds[i] === "event" ? toEvent(line) : line as ControlLine);
  }
}

function isNotEmpty(line: string): boolean {
  return line !== "" && line !== "\r";
}
