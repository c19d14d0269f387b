/**
 * The form in which commands print events: text on a terminal, otherwise the lines unchanged.
 *
 * @module
 */

import { bold, cyan, dim, setColorEnabled, yellow } from "@std/fmt/colors";
import { printable } from "../protocol/printable.ts";
import { TextMap } from "../protocol/text_map.ts";
import { decoder, encoder } from "../protocol/utf8.ts";
import { flag, type Switch } from "./flags.ts";
import { isScreen, isTerminal } from "./terminal.ts";

/**
 * One step through JSON outside strings: a bracket, a comma or colon, white space, or anything
 * else.
 */
const STEP = /[{}[\],:]|\s+|[^\s"{}[\],:]+/y;

/**
 * The keys of an envelope that are shown, in this order. The others matter only to a client and its
 * relay. `to` is left out because an event with `to` reaches only its recipient.
 */
const MARKS: readonly (readonly [key: string, mark: string])[] = [
  ["id", "request"],
  ["reply_to", "answer to"],
  ["from", "from"],
];

/** Keys and names that are clear without quotes. */
const PLAIN_WORD = /^[\p{L}\p{N}_.:/$@+-]+$/u;

/** The option that prints lines unchanged on a terminal, too. */
export const RAW_FLAG: Switch<"raw"> = flag.switch(
  "raw",
  "Print lines unchanged (default if stdout is not a terminal)",
);

/** Converts the line of an event, with its `\n`, into the bytes for standard output. */
export type EventView = (line: Uint8Array) => Uint8Array;

/** Returns the view for standard output; raw if `isRaw` is set or stdout is not a terminal. */
export function eventView(isRaw: boolean): EventView {
  if (isRaw || !isTerminal("stdout")) return (line) => line;
  setColorEnabled(isScreen("stdout"));
  return (line) => encoder.encode(`${formatEvent(decoder.decode(line), new Date())}\n`);
}

/**
 * Returns `12:00:00.000 time.now [request r1, from c3] zone="UTC"`: the time, the name of the
 * event, its role as a request or answer and its sender, if known, and the attributes. The text
 * contains no control characters that could affect a terminal.
 *
 * @param line A valid line; it is not checked.
 */
export function formatEvent(line: string, time: Date): string {
  let name = "";
  let attributes: Member[] = [];
  const envelope = new TextMap<string>();
  for (const [key, value] of membersOf(line)) {
    const word = key.includes("\\") ? JSON.parse(key) : key.slice(1, -1);
    if (word === "event") name = formatWord(value);
    else if (word === "__dict__") attributes = membersOf(value);
    else envelope.set(word, formatWord(value));
  }
  const marks = MARKS.filter(([key]) => envelope.has(key))
    .map(([key, mark]) => `${mark} ${envelope.get(key)}`);
  return [
    dim(formatTime(time)),
    bold(name),
    ...(marks.length > 0 ? [yellow(`[${marks.join(", ")}]`)] : []),
    ...attributes.map(([key, value]) => `${cyan(formatWord(key))}=${printable(value)}`),
  ].join(" ");
}

/** A member of an object; both parts as written. */
type Member = readonly [key: string, value: string];

/** Returns the members of an object, in the order in which they were written. */
function membersOf(object: string): Member[] {
  const members: Member[] = [];
  let depth = 0;
  let key = "";
  let value = "";
  for (const token of tokensOf(object)) {
    const isOpening = token === "{" || token === "[";
    const isClosing = token === "}" || token === "]";
    if (isClosing) depth--;
    const isEnd = depth === 0 ? isClosing : depth === 1 && token === ",";
    if (isEnd && key !== "") {
      members.push([key, value]);
      key = value = "";
    } else if (depth === 1 && key === "" && token.startsWith('"')) {
      key = token;
    } else if (depth >= 1 && key !== "" && !isBetween(token, depth, value)) {
      value += token;
    }
    if (isOpening) depth++;
  }
  return members;
}

/**
 * Yields the strings of a JSON text and the steps between them. Strings are scanned by hand, since
 * a regular expression cannot match strings of any length.
 */
function* tokensOf(json: string): Generator<string> {
  for (let start = 0, end: number; start < json.length; start = end) {
    if (json[start] === '"') {
      end = start + 1;
      while (json[end] !== '"') end += json[end] === "\\" ? 2 : 1;
      end++;
    } else {
      STEP.lastIndex = start;
      STEP.test(json);
      end = STEP.lastIndex;
    }
    yield json.slice(start, end);
  }
}

/** Returns whether a token is only a separator: white space, or the colon after a key. */
function isBetween(token: string, depth: number, value: string): boolean {
  return /^\s/.test(token) || depth === 1 && value === "" && token === ":";
}

/** Returns a string without its quotes if it is clear without them; anything else unchanged. */
function formatWord(json: string): string {
  const inner = json.slice(1, -1);
  return json.startsWith('"') && PLAIN_WORD.test(inner) ? inner : printable(json);
}

function formatTime(time: Date): string {
  const digits = (value: number, length: number) => `${value}`.padStart(length, "0");
  const [hours, minutes, seconds] = [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((value) => digits(value, 2));
  return `${hours}:${minutes}:${seconds}.${digits(time.getMilliseconds(), 3)}`;
}
