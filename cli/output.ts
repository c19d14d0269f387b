/**
 * Owns standard output as the tools use it: in order, and at the pace of whoever reads it. Must not
 * know what is written.
 *
 * @module
 */

const encoder = new TextEncoder();

/** Nobody reads the output any more, as behind `| head -1`: the command ends, and says nothing. */
export class OutputClosed extends Error {}

/** Writes to standard output. */
export class Output {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  #last: Promise<void> = Promise.resolve();

  /** Makes one that hands bytes to `write`, which may take only some of them. */
  constructor(write: (bytes: Uint8Array) => Promise<number> = (bytes) => Deno.stdout.write(bytes)) {
    this.#write = write;
  }

  /**
   * Writes `data` behind all that came before, and waits until it is written.
   *
   * @throws {OutputClosed} If nobody can ever read it.
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
      throw error;
    }
  }
}
