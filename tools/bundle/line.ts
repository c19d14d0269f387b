/**
 * Reads one line in `client.js`. It leaves the syntax to `JSON.parse`, and therefore accepts repeated
 * keys and any depth: a page receives what a relay has checked.
 *
 * @module
 */

import { EventFormatError } from "../../errors.ts";
import { parseLine } from "../../protocol/json_parser.ts";
import { isName } from "../../protocol/names.ts";

/**
 * Returns the members of a line.
 *
 * @throws {EventFormatError} If it is neither an event nor a control line.
 */
export function readLine(text: string): Record<string, unknown> {
  // The parser for keys with a backslash expects valid JSON.
  const hasBackslash = text.includes("\\");
  let line: Record<string, unknown>;
  try {
    if (hasBackslash) JSON.parse(text);
    line = parseLine(text, hasBackslash);
  } catch (error) {
    throw fault("bad-json", (error as Error).message);
  }
  if (isLine(line)) return line;
  throw fault("bad-event", "it is neither an event nor a control line");
}

function fault(code: "bad-json" | "bad-event", why: string): EventFormatError {
  return new EventFormatError(code, `Cannot decode line: ${why}`);
}

function isLine(line: unknown): boolean {
  if (!isObject(line)) return false;
  const { event, control, __dict__ = {} } = line;
  const isOne = event === undefined || control === undefined;
  return isOne && isName(event ?? control) && isObject(__dict__);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
