/**
 * Owns the step from a block of whole lines to the events and control lines in it, for everyone who
 * wants events rather than bytes. Must not know where the lines come from.
 *
 * @module
 */

import type { ControlLine } from "./control.ts";
import type { EventFormatError } from "./errors.ts";
import { EbsocketEvent } from "./event.ts";
import { LineValidator } from "./validate.ts";

/** Decodes blocks of lines. One decoder can serve many connections: it keeps nothing but its fault. */
export class BlockDecoder {
  readonly #validator: LineValidator;
  readonly #text = new TextDecoder("utf-8", { ignoreBOM: true });

  /** What was wrong with the line at which the last `decode()` stopped, or `null`. */
  fault: EventFormatError | null = null;

  constructor(maxDepth?: number) {
    this.#validator = new LineValidator(maxDepth);
  }

  /** The events and control lines of `block`, in order, up to the first invalid line. */
  decode(block: Uint8Array): (EbsocketEvent | ControlLine)[] {
    const decoded: (EbsocketEvent | ControlLine)[] = [];
    this.fault = null;
    for (let start = 0; start < block.length; start = this.#validator.end + 1) {
      const kind = this.#validator.validate(block, start);
      if (kind === "empty") continue;
      if (kind === "invalid") {
        this.fault = this.#validator.fault;
        break;
      }
      const text = this.#text.decode(block.subarray(start, this.#validator.end));
      const line = JSON.parse(text);
      decoded.push(kind === "event" ? new EbsocketEvent(line.event, line.__dict__) : line);
    }
    return decoded;
  }
}
