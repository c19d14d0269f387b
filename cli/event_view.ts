/**
 * The form in which commands print events: text on a terminal, otherwise the lines unchanged.
 *
 * @module
 */

import { formatEvent } from "./event_format.ts";
import type { Switch } from "./flags.ts";
import { isColored, isTerminal, paint } from "./terminal.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** The option that prints lines unchanged on a terminal, too. */
export const RAW_FLAG = {
  kind: "switch",
  name: "raw",
  text: "Print lines unchanged (default if stdout is not a terminal)",
} as const satisfies Switch;

/** Converts the line of an event, with its `\n`, into the bytes for standard output. */
export type EventView = (line: Uint8Array) => Uint8Array;

/** Returns the view for standard output; raw if `isRaw` is set or stdout is not a terminal. */
export function eventView(isRaw: boolean): EventView {
  if (isRaw || !isTerminal("stdout")) return (line) => line;
  const colors = paint(isColored("stdout"));
  return (line) => encoder.encode(`${formatEvent(decoder.decode(line), new Date(), colors)}\n`);
}
