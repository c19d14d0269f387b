/**
 * Sends the lines of an input to a publisher, up to the first one that is not an event.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import { encoder } from "../protocol/utf8.ts";
import { whyUnreadable } from "./files.ts";
import { FileChecker, formatFault, type LineFault, LONGEST_LINE_BYTES } from "./file_checker.ts";
import type { Publisher } from "./publisher.ts";

/** The size of a read, in bytes. */
const CHUNK_BYTES = 65_536;

/** The part of `Deno.stdin` that is needed here. */
export interface Input {
  /** Reads into `buffer`. Resolves to the number of bytes, or to `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
}

/**
 * Sends all lines, and calls `onProgress` after each chunk. The last line needs no line end.
 * Resolves to the position and fault of the first line that is not an event, or to the reason why
 * no more can be read; otherwise to `null`. All events before that point have been sent.
 *
 * @throws {StartError} If the publisher fails.
 */
export async function sendLines(
  input: Input,
  publisher: Publisher,
  onProgress: () => void,
): Promise<string | null> {
  const checker = new FileChecker(LONGEST_LINE_BYTES);
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (;;) {
    let length: number | null;
    try {
      length = await abortable(input.read(chunk), publisher.failed);
    } catch (error) {
      publisher.failed.throwIfAborted();
      return `Cannot read standard input: ${whyUnreadable(error, "-")}`;
    }
    if (length === null) break;
    const fault = await sendPiece(checker, chunk.subarray(0, length), publisher);
    if (fault !== null) return fault;
    onProgress();
  }
  const hasEnd = checker.unfinishedBytes === 0;
  return hasEnd ? null : await sendPiece(checker, encoder.encode("\n"), publisher);
}

/**
 * Sends the lines that a piece of the input completes. Resolves to the first fault, or to `null`.
 */
async function sendPiece(
  checker: FileChecker,
  piece: Uint8Array,
  publisher: Publisher,
): Promise<string | null> {
  const events: Uint8Array[] = [];
  let bad: string | null = null;
  for (const { number, kind, fault, bytes } of checker.push(piece)) {
    if (kind === "event") events.push(bytes);
    const wrong = kind === "control" ? CONTROL : fault;
    if (!wrong) continue;
    bad = formatFault("standard input", number, wrong);
    break;
  }
  if (events.length > 0) await publisher.send(events);
  return bad;
}

const CONTROL: LineFault = {
  reason: "bad-event",
  column: 1,
  text: "a control line is not an event and is not sent",
};
