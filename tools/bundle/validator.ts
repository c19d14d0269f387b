/**
 * Takes the place of `protocol/validator.ts` in `client.js`. It leaves the syntax to `JSON.parse`,
 * and therefore accepts repeated keys and any depth: a page receives what a relay has checked.
 *
 * @module
 */

import { LF } from "../../protocol/ascii.ts";
import { EventFormatError } from "../../errors.ts";
import { isName } from "../../protocol/names.ts";
import { decoder, NOTHING } from "../../protocol/utf8.ts";
import type { LineKind, LineValidator as Original } from "../../protocol/validator.ts";

export const DEFAULT_MAX_DEPTH: number = 64;
export const MAX_MAX_DEPTH: number = 1000;

/** The members of the original that the decoder of events needs. */
type Members = "end" | "fault" | "hasEscapedKey" | "maxDepth" | "validate";

/** Checks the lines of a block, one at a time. */
export class LineValidator implements Pick<Original, Members> {
  end = 0;
  /** Also `true` for other backslashes, which the parser of such lines reads as well. */
  hasEscapedKey = false;
  fault: EventFormatError = new EventFormatError("bad-json", "");
  readonly maxDepth: number;
  #block: Uint8Array = NOTHING;

  constructor(maxDepth: number = DEFAULT_MAX_DEPTH) {
    this.maxDepth = maxDepth;
  }

  open(block: Uint8Array): this {
    this.#block = block;
    return this;
  }

  validate(start: number): LineKind {
    this.end = this.#block.indexOf(LF, start);
    const text = decoder.decode(this.#block.subarray(start, this.end));
    if (text === "" || text === "\r") return "empty";
    this.hasEscapedKey = text.includes("\\");
    try {
      return kindOf(JSON.parse(text)) ??
        this.#fail("bad-event", "it is neither an event nor a control line");
    } catch (error) {
      return this.#fail("bad-json", (error as Error).message);
    }
  }

  #fail(code: "bad-json" | "bad-event", why: string): LineKind {
    this.fault = new EventFormatError(code, `Cannot decode line: ${why}`);
    return "invalid";
  }
}

/** Returns the kind of a line, or `null` if it is neither an event nor a control line. */
function kindOf(line: unknown): LineKind | null {
  if (!isObject(line)) return null;
  const { event, control, __dict__ = {} } = line;
  const isOne = event === undefined || control === undefined;
  if (!isOne || !isName(event ?? control) || !isObject(__dict__)) return null;
  return event === undefined ? "control" : "event";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
