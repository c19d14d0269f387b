/**
 * Owns the way of lines from an input to a publisher, up to the first that is no event. Must not know
 * what the input is.
 *
 * @module
 */

import { abortable } from "../net/waits.ts";
import { whyUnreadable } from "./files.ts";
import { FileChecker, formatFault, type LineFault, LONGEST_LINE_BYTES } from "./file_checker.ts";
import type { Publisher } from "./publisher.ts";

/** How much is read at once, in bytes. */
const CHUNK_BYTES = 65_536;

/** What is needed of an input; `Deno.stdin` has it. */
export interface Input {
  /** Reads into `buffer`; resolves to the number of bytes, or `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
}

/**
 * Sends all lines, and tells after every chunk that it has. The last line counts without its end, too.
 * Returns where the first line is that is no event, and why, or why no more can be read; what came before
 * has been sent.
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
  return hasEnd ? null : await sendPiece(checker, new TextEncoder().encode("\n"), publisher);
}

/** Sends the lines that a piece of the input completes. */
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
  text: "a control line is no event, and is not sent",
};
