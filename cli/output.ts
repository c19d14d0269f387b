/**
 * Owns standard output as the tools use it: in order, and at the pace of whoever reads it. Must not
 * know what is written.
 *
 * @module
 */

import { messageOf, StartError } from "./errors.ts";
import { writeOut } from "./stdio.ts";

const encoder = new TextEncoder();

/** Nobody reads the output any more, as behind `| head -1`: the command ends, and says nothing. */
export class OutputClosed extends Error {}

/** The output takes no more, as a file on a disk that is full. */
export class OutputFailed extends StartError {}

/**
 * Writes `text` and a line end to standard output.
 *
 * @throws {OutputClosed | OutputFailed} If that cannot be done.
 */
export async function print(text: string): Promise<void> {
  await new Output().write(`${text}\n`);
}

/** Writes to standard output. */
export class Output {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  #last: Promise<void> = Promise.resolve();

  /** Makes one that hands bytes to `write`, which may take only some of them. */
  constructor(write: (bytes: Uint8Array) => Promise<number> = writeOut) {
    this.#write = write;
  }

  /**
   * Writes `data` behind all that came before, and waits until it is written.
   *
   * @throws {OutputClosed} If nobody can ever read it.
   * @throws {OutputFailed} If it cannot be written for any other reason, which the message tells.
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
