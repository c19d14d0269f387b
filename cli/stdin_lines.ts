/**
 * Reads events from an input, up to the first line that is not an event.
 *
 * @module
 */

import { LineSplitter } from "../framing.ts";
import { MAX_MAX_LINE_BYTES } from "../protocol/option_checks.ts";
import { RawDecoder, RawEvent } from "../protocol/raw_event.ts";
import { encoder } from "../protocol/utf8.ts";
import { explainReadError, messageOf, StartError } from "./errors.ts";
import { FileChecker, formatFault, type LineFault } from "./file_checker.ts";

const NEWLINE = encoder.encode("\n");

/** The part of `Deno.stdin` that is needed here. */
export interface Input {
  /** Reads into `buffer`. Resolves to the number of bytes, or to `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
}

/** A line of the input is not an event, or the input cannot be read. */
export class InputError extends StartError {}

/**
 * Yields the events of the input, all that a read completes at once. The last line needs no line
 * end.
 *
 * @throws {InputError} After the events before it, for the first line that is not an event, or if
 * the input cannot be read. The message gives the position.
 */
export async function* readEvents(input: Input): AsyncGenerator<RawEvent[], void, void> {
  const splitter = new LineSplitter({ maxLineBytes: MAX_MAX_LINE_BYTES });
  const decoder = new RawDecoder();
  let linesBefore = 0;
  for (let hasEnded = false; !hasEnded; linesBefore += decoder.lines) {
    const length = await read(input, splitter.space());
    hasEnded = length === null;
    if (hasEnded && splitter.unfinishedBytes === 0) return;
    const { bytes } = length === null ? splitter.push(NEWLINE) : splitter.fill(length);
    const lines = decoder.decode(bytes);
    const controlAt = lines.findIndex((line) => !(line instanceof RawEvent));
    yield (controlAt < 0 ? lines : lines.slice(0, controlAt)) as RawEvent[];
    if (decoder.fault || controlAt >= 0) throw new InputError(locateFault(bytes, linesBefore));
    if (splitter.fault) throw new InputError(messageOf(splitter.fault));
  }
}

async function read(input: Input, space: Uint8Array): Promise<number | null> {
  try {
    return await input.read(space);
  } catch (error) {
    throw new InputError(`Cannot read standard input: ${explainReadError(error, "-")}`);
  }
}

const CONTROL: LineFault = {
  reason: "bad-event",
  column: 1,
  text: "a control line is not an event and is not sent",
};

/** Returns the position and the fault of the first line in a block that is not an event. */
function locateFault(block: Uint8Array, linesBefore: number): string {
  for (const { number, kind, fault } of new FileChecker(MAX_MAX_LINE_BYTES).push(block)) {
    const wrong = kind === "control" ? CONTROL : fault;
    if (wrong) return formatFault("standard input", linesBefore + number, wrong);
  }
  return "";
}
