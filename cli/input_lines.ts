/**
 * Reads the lines of an input: checks every line and reports its fault, or yields the events up to
 * the first line that is not an event.
 *
 * @module
 */

import { LineSplitter } from "../framing.ts";
import { LF } from "../protocol/ascii.ts";
import { MAX_MAX_LINE_BYTES } from "../protocol/option_checks.ts";
import { RawDecoder, RawEvent } from "../protocol/raw_event.ts";
import { type LineKind, LineValidator } from "../protocol/validator.ts";
import { explainReadError, messageOf, StartError } from "./errors.ts";

const NEWLINE = Uint8Array.of(LF);

/** The fault of a line. */
export interface LineFault {
  /** The kind of fault: the close reason of a relay. */
  readonly reason: string;
  /** The position, in bytes from 1. */
  readonly column: number;
  /** The expected and the found text. */
  readonly text: string;
}

/** A line of an input. */
export interface CheckedLine {
  /** The line number, from 1. */
  readonly number: number;
  /** The kind of line. */
  readonly kind: LineKind;
  /** The fault of an invalid line; otherwise `null`. */
  readonly fault: LineFault | null;
  /** The line with its `\n`; empty if it was too long. */
  readonly bytes: Uint8Array;
}

/** Checks the lines of one input. It never holds more than a chunk and one line. */
export class FileChecker {
  readonly #maxLineBytes: number;
  readonly #validator = new LineValidator();
  #splitter: LineSplitter;
  /** Whether the rest of an overlong line is still being skipped. */
  #isSkipping = false;
  #number = 0;

  /** Creates a checker that rejects lines longer than `maxLineBytes`. */
  constructor(maxLineBytes?: number) {
    this.#splitter = new LineSplitter(maxLineBytes === undefined ? {} : { maxLineBytes });
    this.#maxLineBytes = this.#splitter.maxLineBytes;
  }

  /** Yields the lines that `chunk` completes. The chunk may be reused once all have been taken. */
  *push(chunk: Uint8Array): Generator<CheckedLine> {
    for (let rest = chunk; rest.length > 0;) {
      if (this.#isSkipping) {
        const end = rest.indexOf(LF);
        if (end < 0) return;
        this.#isSkipping = false;
        rest = rest.subarray(end + 1);
        continue;
      }
      const before = this.#number;
      yield* this.#check(this.#splitter.push(rest).bytes);
      if (!this.#splitter.fault) return;
      rest = afterLines(rest, this.#number - before);
      yield this.#tooLong();
    }
  }

  /** Yields the unfinished line at the end of the input, if any. */
  *end(): Generator<CheckedLine> {
    const { unfinishedBytes } = this.#splitter;
    if (unfinishedBytes === 0) return;
    const [line] = this.#check(this.#splitter.push(NEWLINE).bytes);
    if (!line || line.fault) {
      if (line) yield line;
      return;
    }
    const text = "the line has no newline at its end, so a relay would ignore it";
    yield {
      ...line,
      kind: "invalid",
      fault: { reason: "truncated", column: unfinishedBytes + 1, text },
    };
  }

  *#check(block: Uint8Array): Generator<CheckedLine> {
    const validator = this.#validator.open(block);
    for (let start = 0, end; start < block.length; start = end) {
      end = block.indexOf(LF, start) + 1;
      const kind = validator.validate(start);
      yield {
        number: ++this.#number,
        kind,
        fault: kind === "invalid" ? toFault(validator) : null,
        bytes: block.subarray(start, end),
      };
    }
  }

  #tooLong(): CheckedLine {
    this.#splitter = new LineSplitter({ maxLineBytes: this.#maxLineBytes });
    this.#isSkipping = true;
    const fault = {
      reason: "line-too-long",
      column: this.#maxLineBytes + 1,
      text: `the line has more than ${this.#maxLineBytes} bytes`,
    };
    return { number: ++this.#number, kind: "invalid", fault, bytes: new Uint8Array(0) };
  }
}

/** Returns the rest of a chunk, after its first `count` lines. */
function afterLines(chunk: Uint8Array, count: number): Uint8Array {
  let start = 0;
  for (let i = 0; i < count; i++) start = chunk.indexOf(LF, start) + 1;
  return chunk.subarray(start);
}

function toFault(validator: LineValidator): LineFault {
  const { fault, faultAt } = validator;
  return {
    reason: fault.code,
    column: faultAt + 1,
    // The column gives the position.
    text: fault.message.replace("Cannot decode line: ", "").replace(/ at byte \d+,/, ","),
  };
}

/** Returns the text with which the tools report a fault. */
export function formatFault(
  input: string,
  line: number,
  { reason, column, text }: LineFault,
): string {
  return `${input}:${line}:${column}: ${reason}: ${text}`;
}

/** The part of `Deno.stdin` that is needed here. */
export type Input = Pick<typeof Deno.stdin, "read">;

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
