/**
 * The properties of the terminal: whether there is one, its size, and colours.
 *
 * @module
 */

import { inEnvironment } from "./credentials.ts";

/** Styles text, or leaves it unchanged. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

/** The codes of ECMA-48 ("SGR") that begin and end each style. */
const CODES: Readonly<Record<keyof Paint, readonly [begin: number, end: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** Returns a painter with colours if `isColored`; otherwise one that leaves text unchanged. */
export function paint(isColored: boolean): Paint {
  const style = (name: keyof Paint) => (text: string): string => {
    const [begin, end] = CODES[name];
    return isColored ? `\x1b[${begin}m${text}\x1b[${end}m` : text;
  };
  return {
    bold: style("bold"),
    dim: style("dim"),
    red: style("red"),
    green: style("green"),
    yellow: style("yellow"),
    cyan: style("cyan"),
  };
}

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
 * Returns whether output on a stream can be overwritten. This is true for a terminal, unless its
 * type is `dumb`, as in an editor. The type is known only if Deno permits reading the environment.
 */
export function isScreen(stream: "stdout" | "stderr"): boolean {
  return isTerminal(stream) && inEnvironment("TERM") !== "dumb";
}

/** Returns whether to use colours on a stream: on a screen, unless `NO_COLOR` is set. */
export function isColored(stream: "stdout" | "stderr"): boolean {
  return isScreen(stream) && !Deno.noColor;
}

/** The size of a terminal that does not report one: the traditional size. */
const DEFAULT_SIZE = { columns: 80, rows: 24 };

/** Returns the size of the terminal, in characters. Some terminals report 0. */
export function sizeOfTerminal(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || DEFAULT_SIZE.columns, rows: rows || DEFAULT_SIZE.rows };
  } catch {
    return DEFAULT_SIZE;
  }
}

/** Returns the width of the terminal, in columns. */
export function columnsOfTerminal(): number {
  return sizeOfTerminal().columns;
}
