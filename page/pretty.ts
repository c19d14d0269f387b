/**
 * Values as text for a person.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";

/** Returns the JSON of a value in indented lines, made safe to show. */
export function prettyJson(value: unknown): string {
  return JSON.stringify(value, null, 2).split("\n").map(printable).join("\n");
}

/** Returns the time of day of `at`, in milliseconds since 1970: `11:30:21`. */
export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString("en-GB");
}

/** Returns the message of an error, made safe to show. */
export function messageOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error));
}
