/**
 * Owns how a person is shown an event: its line, taken apart, with every value as it was written. Must
 * not know where it comes from.
 *
 * Works on lines that are valid, and trusts them.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Paint } from "./terminal.ts";

/** One step through JSON outside of strings: a bracket, a comma or colon, white space, or anything else. */
const STEP = /[{}[\],:]|\s+|[^\s"{}[\],:]+/y;

/**
 * What a person is told of an envelope, in this order. The rest is between a client and its relay: that
 * it wants a receipt, or counts, and that this event is for us alone, which says itself.
 */
const MARKS: readonly (readonly [key: string, mark: string])[] = [
  ["id", "request"],
  ["reply_to", "answer to"],
  ["from", "from"],
];

/** Keys and names that need no quotes to be told from what is around them. */
const PLAIN_WORD = /^[\p{L}\p{N}_.:/$@+-]+$/u;

/**
 * `12:00:00.000 time.now [request r1, from c3] zone="UTC"`: the time, the name of the event, whether it
 * asks or answers and who has sent it, as far as that is known, and the attributes. Nothing in the line
 * can disturb a terminal.
 */
export function formatEvent(line: string, time: Date, paint: Paint): string {
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
    paint.dim(formatTime(time)),
    paint.bold(name),
    ...(marks.length > 0 ? [paint.yellow(`[${marks.join(", ")}]`)] : []),
    ...attributes.map(([key, value]) => `${paint.cyan(formatWord(key))}=${printable(value)}`),
  ].join(" ");
}

/** A member of an object, both parts as they were written. */
type Member = readonly [key: string, value: string];

/** The members of an object, in the order in which they were written. */
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

/** The strings of a text of JSON, and the steps between them. No pattern takes strings of any length. */
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

/** Whether a token only stands between two others: white space, or the colon behind a key. */
function isBetween(token: string, depth: number, value: string): boolean {
  return /^\s/.test(token) || depth === 1 && value === "" && token === ":";
}

/** A string without its quotes, if nothing is lost by that; anything else as it is. */
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
