/**
 * The properties of the terminal: whether there is one, and its size.
 *
 * @module
 */

import { inEnvironment } from "./credentials.ts";

/** Returns whether a stream is a terminal, and not a pipe or a file. */
export function isTerminal(stream: "stdin" | "stdout" | "stderr"): boolean {
  return Deno[stream].isTerminal();
}

/**
 * Returns whether any standard stream is a terminal, which means that the program was started in
 * one.
 */
export function hasTerminal(): boolean {
  return isTerminal("stdin") || isTerminal("stdout") || isTerminal("stderr");
}

/**
 * Returns whether output on a stream can be overwritten and coloured. This is true for a terminal,
 * unless its type is `dumb`, as in an editor. The type is known only if Deno permits reading the
 * environment.
 */
export function isScreen(stream: "stdout" | "stderr"): boolean {
  return isTerminal(stream) && inEnvironment("TERM") !== "dumb";
}

/** The size of a screen. */
export interface Size {
  /** In characters; `Infinity` if lines may have any length. */
  readonly columns: number;
  /** In lines; `Infinity` if there may be any number. */
  readonly rows: number;
}

/** The size of a terminal that does not report one: the traditional size. */
const DEFAULT_SIZE: Size = { columns: 80, rows: 24 };

/** Returns the size of the terminal. Some terminals report 0. */
export function sizeOfTerminal(): Size {
  try {
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || DEFAULT_SIZE.columns, rows: rows || DEFAULT_SIZE.rows };
  } catch {
    return DEFAULT_SIZE;
  }
}
