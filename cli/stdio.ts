/**
 * Owns writing to the standard streams, also where they are non-blocking: any program that shares a pipe
 * or a terminal can make it so, and then a write fails with EAGAIN instead of waiting. (Of reads, Deno
 * takes care.) Must not know what is written.
 *
 * @module
 */

import { MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { Log } from "./log.ts";

/** How long to wait before another attempt, in milliseconds: at first, and at most. */
const MIN_WAIT_MS = 1;
const MAX_WAIT_MS = 50;

/** What a pipe takes as a whole or not at all, in bytes: PIPE_BUF, of which POSIX promises 512. */
const MAX_PIECE_BYTES = ["linux", "windows"].includes(Deno.build.os) ? 4096 : 512;

/** What Deno keeps of a text without a line end until it can be written, in bytes. */
const KEPT_BYTES = 1024;

const LF = 0x0a;

const isTerminal = Deno.stdout.isTerminal();

/**
 * Writes some of `bytes` to standard output, once there is room; resolves to how many.
 *
 * Deno writes through a buffer for lines (`LineWriter` of Rust), and of a write that would block it does
 * not tell how much was taken. So this hands over only what is taken as a whole, or not at all.
 */
export async function writeOut(bytes: Uint8Array): Promise<number> {
  const piece = bytes.subarray(0, isTerminal ? terminalPiece(bytes) : pipePiece(bytes));
  return await patiently(Deno.stdout, piece, isKept(piece));
}

/** Writes some of `bytes` to standard error, once there is room; resolves to how many. */
async function writeErr(bytes: Uint8Array): Promise<number> {
  try {
    return await patiently(Deno.stderr, bytes);
  } catch {
    return bytes.length; // Nobody can be told that nobody can be told.
  }
}

const errors = new Log(writeErr);

/** Writes a line to standard error. It never fails, and never keeps the program waiting. */
export function tell(line: string): void {
  errors.add(line);
}

/** Waits until all that was told has been written, or nobody can read it. */
export async function allTold(): Promise<void> {
  await errors.flush(MAX_TIMER_MS);
}

/** Writes some of `bytes` once there is room; `isTaken` says whether they are kept where there is none. */
async function patiently(
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

/** How much of `bytes` a pipe takes at once: whole lines, or a part of a long one. */
function pipePiece(bytes: Uint8Array): number {
  if (bytes.length <= MAX_PIECE_BYTES && bytes.at(-1) === LF) return bytes.length;
  const end = bytes.lastIndexOf(LF, MAX_PIECE_BYTES - 1) + 1;
  return end > 0 ? end : Math.min(bytes.length, MAX_PIECE_BYTES);
}

/** The same for a terminal, which takes parts of lines: a line without its end, or the end alone. */
function terminalPiece(bytes: Uint8Array): number {
  const end = bytes.indexOf(LF);
  return end < 0 ? bytes.length : Math.max(1, end);
}

/** Whether Deno keeps a piece that it could not write, and writes it before the next one. */
function isKept(piece: Uint8Array): boolean {
  return piece.length < KEPT_BYTES && !piece.includes(LF);
}
