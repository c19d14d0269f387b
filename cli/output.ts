/**
 * Standard output as the tools use it: in order, and at the pace of its reader.
 *
 * @module
 */

import { encoder } from "../protocol/utf8.ts";
import { messageOf, StartError } from "./errors.ts";
import { writeOut } from "./stdio.ts";

/** The reader of the output has gone, as in `| head -1`. The command ends without a message. */
export class OutputClosed extends Error {}

/** The output cannot be written, as on a full disk. */
export class OutputFailed extends StartError {}

/**
 * Writes `text` and a line end to standard output.
 *
 * @throws {OutputClosed | OutputFailed} If it cannot be written.
 */
export async function print(text: string): Promise<void> {
  await new Output().write(`${text}\n`);
}

/** Writes to standard output. */
export class Output {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  #last: Promise<void> = Promise.resolve();

  /** Creates an output that passes bytes to `write`, which may take only some of them. */
  constructor(write: (bytes: Uint8Array) => Promise<number> = writeOut) {
    this.#write = write;
  }

  /**
   * Writes `data` after all earlier data. Resolves once it is written.
   *
   * @throws {OutputClosed} If the reader has gone.
   * @throws {OutputFailed} If it cannot be written for any other reason, which the message gives.
   */
  write(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    const last = this.#last.then(() => this.#writeAll(bytes));
    this.#last = last;
    return last;
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    try {
      for (let written = 0; written < bytes.length;) {
        written += await this.#write(bytes.subarray(written));
      }
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosed();
      throw new OutputFailed(`Cannot write to standard output: ${messageOf(error)}`);
    }
  }
}
