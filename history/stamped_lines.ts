/**
 * The last events of names as lines that have their offsets in them.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { readNumber, readString } from "../protocol/envelope.ts";
import { LineValidator, MAX_MAX_DEPTH, OFFSET } from "../protocol/validator.ts";
import { addedLength, STAMPED, writeLine } from "./extract.ts";
import { NO_SENDER } from "./kept_block.ts";
import type { LastValue } from "./last_values.ts";

/** Returns an event as a line with its offset. */
export function stamp({ offset, line }: Pick<LastValue, "offset" | "line">): Uint8Array {
  const stamped = new Uint8Array(line.length + addedLength(offset, STAMPED));
  writeLine(stamped, 0, line, 0, line.length, offset, STAMPED);
  return stamped;
}

/** Yields the events in such lines, from `start` to `end`. The lines must be valid. */
export function* unstamp(bytes: Uint8Array, start: number, end: number): Generator<LastValue> {
  const validator = new LineValidator(MAX_MAX_DEPTH).open(bytes);
  for (let at = start; at < end; at = validator.end + 1) {
    validator.validate(at);
    const name = readString(bytes, validator.nameStart - 1);
    const offset = readNumber(bytes, validator.valueAt(OFFSET))!;
    const member = validator.keyAt(OFFSET);
    const line = concat([
      bytes.subarray(at, member),
      bytes.subarray(member + addedLength(offset, STAMPED), validator.end + 1),
    ]);
    yield { name, offset, line, sender: NO_SENDER };
  }
}
