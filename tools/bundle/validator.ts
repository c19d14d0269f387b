/**
 * Takes the place of `protocol/validator.ts` in `client.js`, for one event in bytes.
 *
 * @module
 */

import { LF } from "../../protocol/ascii.ts";
import { EventFormatError } from "../../errors.ts";
import { decoder, NOTHING } from "../../protocol/utf8.ts";
import type { LineKind, LineValidator as Original } from "../../protocol/validator.ts";
import { readLine } from "./line.ts";

export const DEFAULT_MAX_DEPTH: number = 64;
export const MAX_MAX_DEPTH: number = 1000;

/** Checks one line. */
export class LineValidator
  implements Pick<Original, "end" | "fault" | "hasEscapedKey" | "validate"> {
  end = 0;
  /** The parser of such lines reads all others as well. */
  readonly hasEscapedKey: boolean = true;
  fault: EventFormatError = new EventFormatError("bad-json", "");
  #block: Uint8Array = NOTHING;

  open(block: Uint8Array): this {
    this.#block = block;
    return this;
  }

  validate(start: number): LineKind {
    this.end = this.#block.indexOf(LF, start);
    try {
      return "event" in readLine(decoder.decode(this.#block.subarray(start, this.end)))
        ? "event"
        : "control";
    } catch (error) {
      this.fault = error as EventFormatError;
      return "invalid";
    }
  }
}
