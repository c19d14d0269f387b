/**
 * Converts the arguments of a command that sends an event: the relay, the name and the attributes.
 *
 * @module
 */

import { encodeJson } from "../protocol/encoder.ts";
import { MAX_MAX_LINE_BYTES } from "../protocol/option_checks.ts";
import { printable, quote } from "../protocol/printable.ts";
import { RawEvent } from "../protocol/raw_event.ts";
import { encoder } from "../protocol/utf8.ts";
import { type ConnectionFlag, readTarget, type Target } from "./connect.ts";
import { messageOf, UsageError } from "./errors.ts";
import { FileChecker } from "./input_lines.ts";
import type { Arguments } from "./flags.ts";
import { shellWord } from "./hints.ts";
import { nameNote } from "./pattern.ts";
import { PROGRAM } from "./program.ts";
import { printErr } from "./stdio.ts";
import { couldBeName, isPlace } from "./target.ts";

/** The hint for options that other programs have for the parts of an event. */
export const EVENT_INSTEAD: Readonly<Record<string, string>> = {
  "the event is NAME and KEY=TEXT without an option, such as message content=hi":
    "topic t subject name event message m data d payload",
};

/** The positional arguments of an event. */
export interface EventWords {
  /** The relay. */
  readonly target: Target;
  /** The name of the event. */
  readonly name: string;
  /** Its attributes, as arguments. */
  readonly members: readonly string[];
}

/**
 * Returns the positional arguments of the command `command`, which needs `what`. After `--`, only
 * the position of an argument decides its meaning.
 *
 * @throws {UsageError} If an argument is missing or misplaced.
 */
export function readEventWords(
  command: string,
  what: string,
  args: Arguments<ConnectionFlag>,
): EventWords {
  const { words, wordsBeforeDashes } = args;
  const place = wordsBeforeDashes > 0 && isPlace(words[0]!) ? words[0]! : null;
  const at = place === null ? 0 : 1;
  for (const word of words.slice(at + 1, wordsBeforeDashes)) {
    if (isPlace(word) && couldBeName(word)) throw new UsageError(explainBadAttribute(word));
  }
  const [target, [name, ...members]] = readTarget(args);
  if (name === undefined) {
    const hint = place !== null && couldBeName(place)
      ? `: ${quote(place)} is the relay, unless it follows --`
      : "";
    throw new UsageError(`${command} needs ${what}${hint}`);
  }
  if (at < wordsBeforeDashes) checkName(command, name, place);
  return { target, name, members };
}

/** Throws a `UsageError` if an argument is probably not meant as a name. */
function checkName(command: string, name: string, place: string | null): void {
  const asIt = "if it is the NAME, put -- before it";
  if (name.startsWith("{")) {
    const how = command === "pub"
      ? `to send lines of JSON, use ${PROGRAM} pub - < FILE`
      : `use ${PROGRAM} ${command} NAME KEY=TEXT`;
    throw new UsageError(`${quote(name)} is in the place of the NAME; ${how}; ${asIt}`);
  }
  if (!name.includes("=")) return;
  throw new UsageError(
    place !== null && couldBeName(place)
      ? `${quote(place)} is read as the relay, and ${quote(name)} as the NAME; ` +
        `if the first is the NAME, use ${PROGRAM} ${command} -- ${place} ${shellWord(name)}`
      : `${quote(name)} is in the place of the NAME; use ${PROGRAM} ${command} message ` +
        `content=hi; ${asIt}`,
  );
}

/**
 * Returns the event `name`, and prints a note if that looks like a pattern. Each of `words` is an
 * attribute: `key=text`, or `key:=json`, which is kept as written.
 *
 * @throws {UsageError} If an argument is not an attribute, or the event is invalid.
 */
export function toEvent(name: string, words: readonly string[]): RawEvent {
  const members = new Map<string, string>();
  for (const [i, word] of words.entries()) {
    const [key, json] = toMember(word, words[i - 1]);
    if (members.has(key)) {
      throw new UsageError(`The attribute ${quote(key)} is given more than once`);
    }
    members.set(key, json);
  }
  const attributes = [...members].map(([key, json]) => `${encodeJson(key)}:${json}`).join(",");
  const dict = members.size === 0 ? "" : `,"__dict__":{${attributes}}`;
  const line = encoder.encode(`{"event":${encodeJson(name)}${dict}}\n`);
  const [checked] = new FileChecker(MAX_MAX_LINE_BYTES).push(line);
  const fault = checked!.fault;
  if (fault) throw new UsageError(`Invalid event: ${fault.text}`);
  const note = nameNote(name);
  if (note) printErr(note);
  return RawEvent.fromLine(line);
}

/**
 * Returns the error text for an argument that is not an attribute.
 *
 * @param previous The argument before it, if any.
 */
export function explainBadAttribute(word: string, previous?: string): string {
  const complaint = `${quote(word)} is neither KEY=TEXT nor KEY:=JSON`;
  if (word === "" || /^:?=/.test(word)) return complaint;
  if (word.startsWith("{")) {
    return `${complaint}; each member is one argument, such as ${memberOf(word)}`;
  }
  const [, key, value = ""] = /^([\w.-]+):(?!\/\/)(.+)$/s.exec(word) ?? [];
  if (key !== undefined) return `${complaint}; try ${toWord(key, value)}`;
  if (previous?.includes("=")) {
    const [, start, text] = /^(.*?=)(.*)$/s.exec(previous)!;
    return `${complaint}; to join it to the argument before it, use quotes: ` +
      `${start}"${printable(`${text} ${word}`)}"`;
  }
  return `${complaint}; try content=${shellWord(word)}`;
}

/**
 * Returns the first member of a JSON object as an argument, if JSON.parse() keeps its value
 * unchanged.
 */
function memberOf(text: string): string {
  try {
    const [[key, value]] = Object.entries(JSON.parse(text)) as [[string, unknown]];
    const json = JSON.stringify(value);
    if (text.includes(json)) {
      return shellWord(typeof value === "string" ? `${key}=${value}` : `${key}:=${json}`);
    }
  } catch {
    // Not JSON, or an empty object.
  }
  return "a:=1";
}

/** Returns an attribute as an argument, with its value as JSON if it is valid JSON. */
function toWord(key: string, value: string): string {
  return shellWord(`${key}${isJson(value) ? ":=" : "="}${value}`);
}

/** Returns whether a text is JSON. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function toMember(word: string, previous: string | undefined): [key: string, json: string] {
  const [, key = "", sign = "", value = ""] = /^(.*?)(:?=)(.*)$/s.exec(word) ?? [];
  if (key === "") throw new UsageError(explainBadAttribute(word, previous));
  if (sign === "=") return [key, encodeJson(value)];
  try {
    JSON.parse(value);
  } catch (error) {
    // A shell removes the quotation marks of JSON unless they are inside other quotes.
    const hint = /^[[{]/.test(value)
      ? `quote it, such as ${key}:='{"a":["b"]}'`
      : `for text, use ${key}=TEXT`;
    throw new UsageError(
      `The value of ${quote(key)} is not JSON: ${messageOf(error)}; ${printable(hint)}`,
    );
  }
  return [key, inOneLine(value)];
}

/** Returns JSON without line breaks, which it allows between values, but not within one. */
export function inOneLine(json: string): string {
  return json.trim().replaceAll(/[\r\n]/g, " ");
}
