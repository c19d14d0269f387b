/**
 * Owns the writing of log lines: in order, without ever making the relay wait for who reads them.
 * Must not know what they say.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";

/**
 * How much may wait to be written, in characters. Beyond that, lines are dropped and counted: a log
 * that nobody reads, or a disk that is full, must neither stop the relay nor fill its memory.
 */
const MAX_WAITING = 1_048_576;

/** How long after a failed write the next one is tried, in milliseconds. */
const RETRY_MS = 1000;

/** How long the last lines may take to be written, in milliseconds. */
const FLUSH_MS = 1000;

/**
 * How much is written at once, in bytes, unless a line is longer. Of a write that fails, Deno does not
 * tell how much the disk has taken: so much may be in the log twice.
 */
const MAX_PIECE_BYTES = 4096;

const LF = 0x0a;
const NEWLINE = Uint8Array.of(LF);

const encoder = new TextEncoder();

/** What a log can be told beside where to write. */
export interface LogOptions {
  /** The line to write where `lines` of them were lost. */
  readonly describeLoss?: (lines: number) => string;
  /**
   * How long after a failed write the next one is tried, in milliseconds.
   *
   * @default {1_000}
   */
  readonly retryAfter?: number;
}

/**
 * Writes lines to a stream such as standard output.
 *
 * A write that fails is tried again every second, for instance until the disk has room again. What
 * waits meanwhile is written then, and what was too much is counted; the lines of the failed write,
 * and perhaps an empty or cut one, may be there twice. Only when nobody can ever read
 * the log again, because the other end of a pipe was closed, is all that follows dropped.
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

  /** Makes a log that hands bytes to `write`, which may take only some of them. */
  constructor(
    write: (bytes: Uint8Array) => Promise<number>,
    { describeLoss = (lines) => `${lines} log lines were lost`, retryAfter = RETRY_MS }:
      LogOptions = {},
  ) {
    this.#write = write;
    this.#describeLoss = describeLoss;
    this.#retryAfter = retryAfter;
  }

  /** Adds a line, which must have no line break. */
  add(line: string): void {
    if (this.#isBroken) return;
    if (this.#waiting.length + line.length > MAX_WAITING) {
      this.#lost++;
      return;
    }
    this.#waiting += `${line}\n`;
    this.#writing ??= this.#run();
  }

  /** Waits until all lines have been written, for `timeout` milliseconds at most. */
  async flush(timeout = FLUSH_MS): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeout);
    this.#endPause();
    await Promise.race([this.#writing, promise]);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    while (this.#waiting !== "" && !this.#isBroken) await this.#writeAll(this.#takeWaiting());
    this.#writing = null;
  }

  /** What waits, with a line about those that there was no room for: they came after these. */
  #takeWaiting(): Uint8Array {
    const lost = this.#lost > 0 ? `${this.#describeLoss(this.#lost)}\n` : "";
    const text = this.#waiting + lost;
    this.#waiting = "";
    this.#lost = 0;
    return encoder.encode(text);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let start = 0, end; start < bytes.length && !this.#isBroken; start = end) {
      end = pieceEnd(bytes, start);
      await this.#writePiece(bytes.subarray(start, end));
    }
  }

  /** Writes whole lines, again and again until it succeeds or nobody can ever read them. */
  async #writePiece(lines: Uint8Array): Promise<void> {
    let piece = lines;
    while (!this.#isBroken && !await this.#tryToWrite(piece)) {
      await this.#pause();
      piece = concat([NEWLINE, lines]); // The failed attempt may have ended within a line.
    }
  }

  /** Writes all of `piece`; `false` if that has failed. */
  async #tryToWrite(piece: Uint8Array): Promise<boolean> {
    try {
      for (let written = 0; written < piece.length;) {
        written += await this.#write(piece.subarray(written));
      }
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) this.#break();
      return false;
    }
  }

  /** Whoever read the log has gone for good. The relay goes on without. */
  #break(): void {
    this.#isBroken = true;
    this.#waiting = "";
  }

  /** Waits until it is time to try again, or somebody wants all to be written now. */
  async #pause(): Promise<void> {
    if (this.#isBroken) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#retryAfter);
    this.#endPause = resolve;
    await promise;
    clearTimeout(timer);
  }
}

/** Where to end a piece of whole lines that begins at `start`. */
function pieceEnd(bytes: Uint8Array, start: number): number {
  if (bytes.length - start <= MAX_PIECE_BYTES) return bytes.length;
  const end = bytes.lastIndexOf(LF, start + MAX_PIECE_BYTES - 1);
  return (end >= start ? end : bytes.indexOf(LF, start)) + 1;
}
