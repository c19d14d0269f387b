/**
 * Owns the step from words of a command line to the line of an event. Must not know where it goes.
 *
 * @module
 */

import { encodeJson } from "../protocol/encoder.ts";
import { printable, quote } from "../protocol/printable.ts";
import { shellWord } from "./hints.ts";
import { messageOf, UsageError } from "./errors.ts";
import { FileChecker, LONGEST_LINE_BYTES } from "./file_checker.ts";

const encoder = new TextEncoder();

/**
 * The line of the event `name` with the attributes that `words` tell: `key=text`, or `key:=json`, which
 * stays as it is written.
 *
 * @throws {UsageError} If a word is neither, or what they make is no event.
 */
export function toEventLine(name: string, words: readonly string[]): Uint8Array {
  const members = new Map<string, string>();
  for (const [i, word] of words.entries()) {
    const [key, json] = toMember(word, words[i - 1]);
    if (members.has(key)) throw new UsageError(`The attribute ${quote(key)} is given twice`);
    members.set(key, json);
  }
  const attributes = [...members].map(([key, json]) => `${encodeJson(key)}:${json}`).join(",");
  const dict = members.size === 0 ? "" : `,"__dict__":{${attributes}}`;
  const line = encoder.encode(`{"event":${encodeJson(name)}${dict}}\n`);
  const [checked] = new FileChecker(LONGEST_LINE_BYTES).push(line);
  const fault = checked!.fault;
  if (fault) throw new UsageError(`This makes no event: ${fault.text}`);
  return line;
}

/** What to say of a word that is no attribute; `previous` is the one before it, if there is one. */
export function adviseOnMember(word: string, previous?: string): string {
  const complaint = `${quote(word)} is neither KEY=TEXT nor KEY:=JSON`;
  if (word === "" || /^:?=/.test(word)) return complaint;
  if (word.startsWith("{")) return `${complaint}; each member is a word, such as ${memberOf(word)}`;
  const [, key, value = ""] = /^([\w.-]+):(?!\/\/)(.+)$/s.exec(word) ?? [];
  if (key !== undefined) return `${complaint}, as ${toWord(key, value)} is`;
  if (previous?.includes("=")) {
    const [, start, text] = /^(.*?=)(.*)$/s.exec(previous)!;
    return `${complaint}; in quotes it is part of the word before it: ` +
      `${start}"${printable(`${text} ${word}`)}"`;
  }
  return `${complaint}, as content=${shellWord(word)} is`;
}

/** The first member of an object of JSON as a word, if JSON.parse() keeps its value as it is. */
function memberOf(text: string): string {
  try {
    const [[key, value]] = Object.entries(JSON.parse(text)) as [[string, unknown]];
    const json = JSON.stringify(value);
    if (text.includes(json)) {
      return shellWord(typeof value === "string" ? `${key}=${value}` : `${key}:=${json}`);
    }
  } catch {
    // It is none, or empty.
  }
  return "a:=1";
}

/** An attribute as a word, its value as JSON if it is such. */
function toWord(key: string, value: string): string {
  return shellWord(`${key}${isJson(value) ? ":=" : "="}${value}`);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function toMember(word: string, previous: string | undefined): [key: string, json: string] {
  const [, key = "", sign = "", value = ""] = /^(.*?)(:?=)(.*)$/s.exec(word) ?? [];
  if (key === "") throw new UsageError(adviseOnMember(word, previous));
  if (sign === "=") return [key, encodeJson(value)];
  try {
    JSON.parse(value);
  } catch (error) {
    // A shell removes the quotation marks of JSON, unless they are in others.
    const hint = /^[[{]/.test(value)
      ? `quote it, as in ${key}:='{"a":["b"]}'`
      : `${key}=TEXT is for text`;
    throw new UsageError(
      `The value of ${quote(key)} is no JSON: ${messageOf(error)}; ${printable(hint)}`,
    );
  }
  // Between two values JSON may have line breaks, and within one it has none.
  return [key, value.trim().replaceAll(/[\r\n]/g, " ")];
}
