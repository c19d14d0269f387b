/**
 * Owns the check of an input line by line: which line it is, what it is, and where it went wrong. Goes
 * on behind a bad one. Must not know where the input comes from.
 *
 * @module
 */

import { LineSplitter } from "../protocol/line_splitter.ts";
import { type LineKind, LineValidator } from "../protocol/validator.ts";

/** The longest line that any relay takes, in bytes: the one it goes to knows its own limit. */
export const LONGEST_LINE_BYTES: number = 2 ** 30;

const LF = 0x0a;
const NEWLINE = Uint8Array.of(LF);

/** What is wrong with a line. */
export interface LineFault {
  /** Which failure it is; the reason with which a relay would close the connection. */
  readonly reason: string;
  /** Where it is, in bytes from 1. */
  readonly column: number;
  /** What was expected, and what is there. */
  readonly text: string;
}

/** A line of an input. */
export interface CheckedLine {
  /** Which line of the input it is, from 1. */
  readonly number: number;
  /** What it is. */
  readonly kind: LineKind;
  /** What is wrong with it, if it is invalid. */
  readonly fault: LineFault | null;
  /** The line with its `\n`; empty if it was too long. */
  readonly bytes: Uint8Array;
}

/** Checks the lines of one input. It never holds more than a chunk and one line. */
export class FileChecker {
  readonly #maxLineBytes: number;
  readonly #validator = new LineValidator();
  #splitter: LineSplitter;
  /** Whether the rest of a line that is too long has yet to come. */
  #isSkipping = false;
  #number = 0;

  /** Makes one that takes no line that is longer than `maxLineBytes`. */
  constructor(maxLineBytes?: number) {
    this.#splitter = new LineSplitter(maxLineBytes === undefined ? {} : { maxLineBytes });
    this.#maxLineBytes = this.#splitter.maxLineBytes;
  }

  /** How many bytes there are of a line that has no end yet. */
  get unfinishedBytes(): number {
    return this.#splitter.unfinishedBytes;
  }

  /** The lines that the next chunk completes. The chunk may be reused once all have been taken. */
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
      rest = behindLines(rest, this.#number - before);
      yield this.#tooLong();
    }
  }

  /** What is left at the end of the input: a line without an end. */
  *end(): Generator<CheckedLine> {
    const { unfinishedBytes } = this.#splitter;
    if (unfinishedBytes === 0) return;
    const [line] = this.#check(this.#splitter.push(NEWLINE).bytes);
    if (!line || line.fault) {
      if (line) yield line;
      return;
    }
    const text = "the line has no newline at its end, and would not count";
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
        fault: kind === "invalid" ? faultOf(validator) : null,
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

/** The rest of a chunk, behind its first `count` lines. */
function behindLines(chunk: Uint8Array, count: number): Uint8Array {
  let start = 0;
  for (let i = 0; i < count; i++) start = chunk.indexOf(LF, start) + 1;
  return chunk.subarray(start);
}

function faultOf(validator: LineValidator): LineFault {
  const { fault, faultAt } = validator;
  return {
    reason: fault.code,
    column: faultAt + 1,
    // The column tells where.
    text: fault.message.replace("Cannot decode line: ", "").replace(/ at byte \d+,/, ","),
  };
}

/** The words in which the tools tell of a fault. */
export function formatFault(
  input: string,
  line: number,
  { reason, column, text }: LineFault,
): string {
  return `${input}:${line}:${column}: ${reason}: ${text}`;
}
