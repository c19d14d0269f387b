/**
 * Owns the writing of log lines: in order, without ever making the relay wait for who reads them.
 * Must not know what they say.
 *
 * @module
 */

/**
 * How much may wait to be written, in characters. Beyond that, lines are dropped and counted: a log
 * that nobody reads must neither stop the relay nor fill its memory.
 */
const MAX_WAITING = 1_048_576;

const encoder = new TextEncoder();

/** Writes lines to a stream such as standard output. */
export class Log {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  #waiting = "";
  #dropped = 0;
  #writing: Promise<void> | null = null;
  #isBroken = false;

  /** Makes a log that hands bytes to `write`, which may take only some of them. */
  constructor(write: (bytes: Uint8Array) => Promise<number>) {
    this.#write = write;
  }

  /** Adds a line, which must have no line break. */
  add(line: string): void {
    if (this.#isBroken) return;
    if (this.#waiting.length + line.length > MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#waiting += `${line}\n`;
    this.#writing ??= this.#run();
  }

  /** Waits until all lines have been written, for `timeout` milliseconds at most. */
  async flush(timeout: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeout);
    await Promise.race([this.#writing, promise]);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting !== "") {
        const bytes = encoder.encode(this.#waiting);
        this.#waiting = "";
        for (let written = 0; written < bytes.length;) {
          written += await this.#write(bytes.subarray(written));
        }
        if (this.#dropped > 0) {
          this.#waiting =
            `${this.#dropped} log lines were dropped: nobody read them\n${this.#waiting}`;
          this.#dropped = 0;
        }
      }
    } catch {
      this.#isBroken = true; // Whoever read the log has gone. The relay goes on without.
    }
    this.#writing = null;
  }
}
