/**
 * Writes log lines in order, and never makes the relay wait for the reader of the log.
 *
 * @module
 */

import { deadline } from "@std/async/deadline";
import { encoder } from "../protocol/utf8.ts";
import { LF } from "../protocol/ascii.ts";
import { concat } from "@std/bytes/concat";

/**
 * The size of the log's queue, in characters. Lines beyond it are dropped and counted. A log that
 * is not read, or a full disk, must neither stop the relay nor fill its memory.
 */
const MAX_WAITING = 1_048_576;

/** How long to wait after a failed write before the next one, in milliseconds. */
const RETRY_MS = 1000;

/** How long to wait for the last lines to be written, in milliseconds. */
const FLUSH_MS = 1000;

/**
 * The size of a write, in bytes, unless a line is longer. If a write fails, Deno does not report
 * how much was written, so up to this much may be in the log twice.
 */
const MAX_PIECE_BYTES = 4096;

const NEWLINE = Uint8Array.of(LF);

/** The options of a log. */
export interface LogOptions {
  /** Returns the line to write after `lines` lines were lost. */
  readonly describeLoss?: (lines: number) => string;
  /**
   * How long to wait after a failed write before the next one, in milliseconds.
   *
   * @default {1_000}
   */
  readonly retryAfter?: number;
}

/**
 * Writes lines to a stream such as standard output.
 *
 * A failed write is repeated every second, for instance until the disk has room again. The queued
 * lines are written then, and the dropped ones are counted. The lines of the failed write may be in
 * the log twice, perhaps with an empty or truncated line. All lines are dropped only once the log
 * can never be read again because the other end of a pipe was closed.
 */
export class Log {
  readonly #write: (bytes: Uint8Array) => Promise<number>;
  readonly #describeLoss: (lines: number) => string;
  readonly #retryAfter: number;
  #waiting = "";
  #lost = 0;
  #writing: Promise<void> | null = null;
  #isBroken = false;
  #endPause = (): void => {};

  /**
   * Creates a log that passes bytes to `write`, which may take only some of them and resolves to
   * their number.
   */
  constructor(
    write: (bytes: Uint8Array) => Promise<number>,
    { describeLoss = (lines) => `${lines} log lines were lost`, retryAfter = RETRY_MS }:
      LogOptions = {},
  ) {
    this.#write = write;
    this.#describeLoss = describeLoss;
    this.#retryAfter = retryAfter;
  }

  /** Adds a line, which must not contain a line break. */
  add(line: string): void {
    if (this.#isBroken) return;
    if (this.#waiting.length + line.length > MAX_WAITING) {
      this.#lost++;
      return;
    }
    this.#waiting += `${line}\n`;
    this.#writing ??= this.#run();
  }

  /** Waits until all lines have been written, but at most `timeout` milliseconds. */
  async flush(timeout = FLUSH_MS): Promise<void> {
    this.#endPause();
    await deadline(Promise.resolve(this.#writing), timeout).catch(() => {}); // The time is up.
  }

  async #run(): Promise<void> {
    while (this.#waiting !== "") {
      const bytes = this.#takeWaiting();
      for (let start = 0, end; start < bytes.length; start = end) {
        end = pieceEnd(bytes, start);
        await this.#writeLines(bytes.subarray(start, end));
      }
    }
    this.#writing = null;
  }

  /** Returns the queued lines, followed by a line about the dropped ones, which were newer. */
  #takeWaiting(): Uint8Array {
    const lost = this.#lost > 0 ? `${this.#describeLoss(this.#lost)}\n` : "";
    const text = this.#waiting + lost;
    this.#waiting = "";
    this.#lost = 0;
    return encoder.encode(text);
  }

  /** Writes whole lines, and retries until it succeeds or the reader of the log has gone. */
  async #writeLines(lines: Uint8Array): Promise<void> {
    let rest = lines;
    while (rest.length > 0 && !this.#isBroken) {
      try {
        rest = rest.subarray(await this.#write(rest));
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) {
          this.#isBroken = true; // The relay continues without a log.
          this.#waiting = "";
          return;
        }
        await this.#pause();
        rest = concat([NEWLINE, lines]); // The failed attempt may have ended within a line.
      }
    }
  }

  /** Waits until it is time to retry, or until `flush()` is called. */
  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#retryAfter);
    this.#endPause = resolve;
    await promise;
    clearTimeout(timer);
  }
}

/** Returns the end of a piece of whole lines that begins at `start`. */
function pieceEnd(bytes: Uint8Array, start: number): number {
  if (bytes.length - start <= MAX_PIECE_BYTES) return bytes.length;
  const end = bytes.lastIndexOf(LF, start + MAX_PIECE_BYTES - 1);
  return (end >= start ? end : bytes.indexOf(LF, start)) + 1;
}
