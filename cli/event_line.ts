/**
 * Owns the step from words of a command line to the line of an event. Must not know where it goes.
 *
 * @module
 */

import { encodeJson } from "../codec.ts";
import { quote } from "../printable.ts";
import { messageOf, UsageError } from "./errors.ts";
import { LineChecker, LONGEST_LINE_BYTES } from "./line_checker.ts";

const encoder = new TextEncoder();

/**
 * The line of the event `name` with the attributes that `words` tell: `key=text`, or `key:=json`, which
 * stays as it is written.
 *
 * @throws {UsageError} If a word is neither, or what they make is no event.
 */
export function toEventLine(name: string, words: readonly string[]): Uint8Array {
  const members = new Map<string, string>();
  for (const word of words) {
    const [key, json] = toMember(word);
    if (members.has(key)) throw new UsageError(`The attribute ${quote(key)} is given twice`);
    members.set(key, json);
  }
  const attributes = [...members].map(([key, json]) => `${encodeJson(key)}:${json}`).join(",");
  const dict = members.size === 0 ? "" : `,"__dict__":{${attributes}}`;
  const line = encoder.encode(`{"event":${encodeJson(name)}${dict}}\n`);
  const [checked] = new LineChecker(LONGEST_LINE_BYTES).push(line);
  const fault = checked!.fault;
  if (fault) throw new UsageError(`This makes no event: ${fault.text}`);
  return line;
}

function toMember(word: string): [key: string, json: string] {
  const [, key = "", sign = "", value = ""] = /^(.*?)(:?=)(.*)$/s.exec(word) ?? [];
  if (key === "") {
    throw new UsageError(`${quote(word)} is neither KEY=TEXT nor KEY:=JSON`);
  }
  if (sign === "=") return [key, encodeJson(value)];
  try {
    JSON.parse(value);
  } catch (error) {
    throw new UsageError(
      `The value of ${quote(key)} is no JSON: ${messageOf(error)}; ${key}=TEXT is for text`,
    );
  }
  // Between two values JSON may have line breaks, and within one it has none.
  return [key, value.trim().replaceAll(/[\r\n]/g, " ")];
}
