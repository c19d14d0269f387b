/**
 * Owns the way of lines from a connection to standard output: at the pace of whoever reads there, and not
 * more of them than were asked for. Must not know what they say.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Output } from "./output.ts";

/** From how much that waits to be written on there is no room for more, in bytes. */
const MAX_WAITING_BYTES = 1_048_576;

/** All lines that were asked for have been printed. */
export class AllPrinted extends Error {}

/** What a printer needs to know. */
export interface PrinterOptions {
  /** How many lines are to be printed; without it, all. */
  readonly count?: number | undefined;
  /** Is called when there is room again. */
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

  /** Makes one that prints to `output`. */
  constructor(output: Output, { count = Infinity, onRoom }: PrinterOptions) {
    this.#output = output;
    this.#missing = count;
    this.#onRoom = onRoom;
  }

  /**
   * Is aborted when nothing more can be printed: because that was all, which is {@link AllPrinted}, or
   * with the error of the output.
   */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Adds lines, each with its end. Returns whether there is room for more. */
  add(line: Uint8Array): boolean {
    if (this.#missing === 0) return false;
    this.#missing--;
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#printing ??= this.#print();
    return this.#waitingBytes < MAX_WAITING_BYTES;
  }

  /** Waits until all has been printed that can be. */
  async flush(): Promise<void> {
    await this.#printing;
  }

  async #print(): Promise<void> {
    try {
      await null; // What else comes in this turn is written with it.
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
