/**
 * Owns what the tools know of the terminal in front of them: whether there is one, how wide it is, and
 * colours. Must not know what is written to it.
 *
 * @module
 */

import { inEnvironment } from "./credentials.ts";

/** Makes text stand out, or leaves it as it is. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

/** The codes of ECMA-48 ("SGR") that begin and end each way to stand out. */
const CODES: Readonly<Record<keyof Paint, readonly [begin: number, end: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** Colours if `isColored`, otherwise none. */
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

/** Whether a person is at the other end of a stream, and not a program or a file. */
export function isTerminal(stream: "stdin" | "stdout" | "stderr"): boolean {
  return Deno[stream].isTerminal();
}

/** Whether any of the standard streams leads to a terminal, so that somebody has started the program there. */
export function hasTerminal(): boolean {
  return isTerminal("stdin") || isTerminal("stdout") || isTerminal("stderr");
}

/**
 * Whether what is written there can be written over: in a terminal, unless its type is `dumb`, as in an
 * editor. Its type is only known where Deno permits to look into the environment.
 */
export function isScreen(stream: "stdout" | "stderr"): boolean {
  return isTerminal(stream) && inEnvironment("TERM") !== "dumb";
}

/** Whether to write colours there: to a screen, unless `NO_COLOR` is set. */
export function isColored(stream: "stdout" | "stderr"): boolean {
  return isScreen(stream) && !Deno.noColor;
}

/** How much room a terminal has where nobody says: what they had for decades. */
const DEFAULT_SIZE = { columns: 80, rows: 24 };

/** How much room the terminal has, in characters. Some do not know it, and say 0. */
export function sizeOfTerminal(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    return { columns: columns || DEFAULT_SIZE.columns, rows: rows || DEFAULT_SIZE.rows };
  } catch {
    return DEFAULT_SIZE;
  }
}

/** How wide the terminal is, in columns. */
export function columnsOfTerminal(): number {
  return sizeOfTerminal().columns;
}
