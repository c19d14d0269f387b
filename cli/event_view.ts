/**
 * Owns how the commands that print events show them: as text to a person, and otherwise as they came.
 * Must not know where events come from, or how they are written.
 *
 * @module
 */

import { formatEvent } from "./event_format.ts";
import type { Switch } from "./flags.ts";
import { isColored, isTerminal, paint } from "./terminal.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** The option with which also a person gets events as they came. */
export const RAW_FLAG = {
  kind: "switch",
  name: "raw",
  text: "Print the lines as they came, which is what happens where no terminal is",
} as const satisfies Switch;

/** What becomes of the line of an event, with its `\n`, on the way to standard output. */
export type EventView = (line: Uint8Array) => Uint8Array;

/** The view for whoever reads standard output, which is raw if that was asked for. */
export function eventView(isRaw: boolean): EventView {
  if (isRaw || !isTerminal("stdout")) return (line) => line;
  const colors = paint(isColored("stdout"));
  return (line) => encoder.encode(`${formatEvent(decoder.decode(line), new Date(), colors)}\n`);
}
