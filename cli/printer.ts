/**
 * Prints lines to standard output, at the pace of its reader and up to a given count.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Output } from "./output.ts";

/** The size of the output queue, in bytes, from which on there is no room for more. */
const MAX_WAITING_BYTES = 1_048_576;

/** All requested lines have been printed. */
export class AllPrinted extends Error {}

/** The options of a printer. */
export interface PrinterOptions {
  /** The number of lines to print; without it, all. */
  readonly count?: number | undefined;
  /** Called when there is room again. */
  readonly onRoom: () => void;
}

/** Prints lines. */
export class Printer {
  readonly #output: Output;
  readonly #onRoom: () => void;
  readonly #ended = new AbortController();
  #missing: number;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #printing: Promise<void> | null = null;

  /** Creates a printer that prints to `output`. */
  constructor(output: Output, { count = Infinity, onRoom }: PrinterOptions) {
    this.#output = output;
    this.#missing = count;
    this.#onRoom = onRoom;
  }

  /**
   * The signal that is aborted when nothing more can be printed. Its reason is {@link AllPrinted}
   * after the last requested line, or else the error of the output.
   */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Adds a line with its line end. Returns whether there is room for more. */
  add(line: Uint8Array): boolean {
    if (this.#missing === 0) return false;
    this.#missing--;
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#printing ??= this.#print();
    return this.#waitingBytes < MAX_WAITING_BYTES;
  }

  /** Waits until all lines that can be printed have been printed. */
  async flush(): Promise<void> {
    await this.#printing;
  }

  async #print(): Promise<void> {
    try {
      await null; // Lines added later in this turn are written with it.
      while (this.#waiting.length > 0) {
        const lines = concat(this.#waiting);
        this.#waiting = [];
        await this.#output.write(lines);
        this.#waitingBytes -= lines.length;
        this.#onRoom();
      }
      if (this.#missing === 0) this.#ended.abort(new AllPrinted());
    } catch (error) {
      this.#missing = 0;
      this.#ended.abort(error);
    }
    this.#printing = null;
  }
}
