/**
 * Checks an input line by line, and continues after a bad line. Reports the line number, kind and
 * fault.
 *
 * @module
 */

import { LineSplitter } from "../framing.ts";
import { type LineKind, LineValidator } from "../protocol/validator.ts";
import { LF } from "../protocol/ascii.ts";

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

  /** The number of bytes of the unfinished line. */
  get unfinishedBytes(): number {
    return this.#splitter.unfinishedBytes;
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
