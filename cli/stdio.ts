/**
 * Writes to the standard streams, even if they are non-blocking. Any program that shares a pipe or
 * terminal can make it so, and a write then fails with EAGAIN instead of waiting. Deno handles this
 * for reads only.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { LF } from "../protocol/ascii.ts";
import { encoder } from "../protocol/utf8.ts";
import { messageOf, StartError } from "./errors.ts";
import { Log } from "./log.ts";

/** How long to wait before another attempt, in milliseconds: at first, and at most. */
const MIN_WAIT_MS = 1;
const MAX_WAIT_MS = 50;

/**
 * The size up to which a pipe takes a write whole or not at all, in bytes: PIPE_BUF. POSIX
 * guarantees 512.
 */
const MAX_PIECE_BYTES = ["linux", "windows"].includes(Deno.build.os) ? 4096 : 512;

/** How many bytes of a text without a line end Deno keeps if it cannot write them. */
const KEPT_BYTES = 1024;

const isTerminal = Deno.stdout.isTerminal();

/**
 * Writes some of `bytes` to standard output once there is room. Resolves to the number of bytes
 * taken.
 *
 * Deno writes through a line buffer (Rust's `LineWriter`). If a write would block, Deno does not
 * report how much was taken. So this function passes only pieces that are taken whole or not at
 * all.
 */
export async function writeOut(bytes: Uint8Array): Promise<number> {
  const piece = bytes.subarray(0, isTerminal ? terminalPiece(bytes) : pipePiece(bytes));
  return await writeWhenReady(Deno.stdout, piece, isKept(piece));
}

/**
 * Writes some of `bytes` to standard error once there is room. Resolves to the number of bytes
 * taken.
 */
async function writeErr(bytes: Uint8Array): Promise<number> {
  try {
    return await writeWhenReady(Deno.stderr, bytes);
  } catch {
    return bytes.length; // There is no way to report a failure of standard error.
  }
}

const errors = new Log(writeErr);

/** Writes a line to standard error. It never fails, and never makes the program wait. */
export function printErr(line: string): void {
  errors.add(line);
}

/** Waits until all lines for standard error have been written, or cannot be. */
export async function flushErr(): Promise<void> {
  await errors.flush(MAX_TIMER_MS);
}

/**
 * Writes some of `bytes` once there is room. Resolves to the number of bytes taken.
 *
 * @param isTaken Whether the stream keeps the bytes if there is no room.
 */
async function writeWhenReady(
  stream: typeof Deno.stdout | typeof Deno.stderr,
  bytes: Uint8Array,
  isTaken = false,
): Promise<number> {
  for (let wait = MIN_WAIT_MS;; wait = Math.min(2 * wait, MAX_WAIT_MS)) {
    try {
      return await stream.write(bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      if (isTaken) return bytes.length;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

/** Returns how many of `bytes` a pipe takes at once: whole lines, or a part of a long one. */
function pipePiece(bytes: Uint8Array): number {
  if (bytes.length <= MAX_PIECE_BYTES && bytes.at(-1) === LF) return bytes.length;
  const end = bytes.lastIndexOf(LF, MAX_PIECE_BYTES - 1) + 1;
  return end > 0 ? end : Math.min(bytes.length, MAX_PIECE_BYTES);
}

/**
 * Returns the same for a terminal, which takes parts of lines: a line without its end, or the end
 * by itself.
 */
function terminalPiece(bytes: Uint8Array): number {
  const end = bytes.indexOf(LF);
  return end < 0 ? bytes.length : Math.max(1, end);
}

/**
 * Returns whether Deno keeps a piece that it could not write, and writes it before the next one.
 */
function isKept(piece: Uint8Array): boolean {
  return piece.length < KEPT_BYTES && !piece.includes(LF);
}

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
  /** What is to be written after the write under way, together. */
  #waiting: Uint8Array[] = [];
  #last: Promise<void> = Promise.resolve();

  /** Creates an output that passes bytes to `write`, which may take only some of them. */
  constructor(write: (bytes: Uint8Array) => Promise<number> = writeOut) {
    this.#write = write;
  }

  /**
   * Writes `data` after all earlier data, together with what comes before that is written. Resolves
   * once it is written.
   *
   * @throws {OutputClosed} If the reader has gone.
   * @throws {OutputFailed} If it cannot be written for any other reason, which the message gives.
   */
  write(data: Uint8Array | string): Promise<void> {
    this.#waiting.push(typeof data === "string" ? encoder.encode(data) : data);
    if (this.#waiting.length === 1) {
      this.#last = this.#last.then(() => this.#writeAll(concat(this.#waiting.splice(0))));
    }
    return this.#last;
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
