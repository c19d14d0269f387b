/**
 * Parses the text of valid lines with `JSON.parse`, and works around two weaknesses of V8.
 *
 * @module
 */

import { randomId } from "./random_id.ts";

/** A quick test that few texts pass unless they have strings that look like integers. */
const MAY_BE_INTEGER = /"[1-9]\d\d/;

/**
 * Matches the opening quote of a string value of three to ten digits. No opening quote follows a
 * backslash, and every quote within a string does.
 */
const INTEGER = /(?<!\\)"(?=[1-9]\d{2,9}"[ \t\r]*[,}\]])/g;

/** The prefix that {@link parse} gives to such strings. It is unpredictable. */
const MARK = `${randomId(11)}:`;

/**
 * Parses JSON like `JSON.parse`, in a time that is bounded by the length of the text.
 *
 * V8 keeps one copy of each string value of up to ten characters in a table indexed by hash. A
 * string that looks like an integer is hashed by its number alone. A line of 1 MiB with chosen
 * strings took seconds for that reason, and so did later lines with similar strings (see
 * `text_map.ts`). Such strings are parsed with a prefix, which makes them too long for that table.
 */
function parse(text: string): unknown {
  const marked = MAY_BE_INTEGER.test(text) ? text.replace(INTEGER, `"${MARK}`) : text;
  const value = JSON.parse(marked);
  return marked === text ? value : unmark(value);
}

/** Removes the prefix from all strings in a value. Keys never have it. */
function unmark(value: unknown): unknown {
  if (typeof value === "string") return value.startsWith(MARK) ? value.slice(MARK.length) : value;
  if (typeof value !== "object" || value === null) return value;
  const members = value as Record<string, unknown>;
  for (const key of Object.keys(value)) {
    const member = members[key];
    const unmarked = unmark(member);
    if (unmarked !== member) members[key] = unmarked; // "__proto__" is a plain member here
  }
  return value;
}

/** The characters between two values in valid JSON, other than brackets. */
const FILLER = /[\s,:]*/y;
/** A number or a literal. */
const SCALAR = /[^\s,\]}]+/y;

/**
 * Returns the value of a line that `LineValidator` has accepted.
 *
 * `JSON.parse` reads every line except those with a backslash in a key. Current releases of V8 look
 * up such a key by its raw text. Once a program has parsed `{"a":[],"\\":0}`, they take the second
 * key of `{"a":1,"\n":0}` for a backslash (Chromium issue 521080746). A peer could thus change how
 * a program reads the data of another peer.
 *
 * @param text The line as text.
 * @param hasEscapedKey Whether a key has a backslash.
 */
export function parseLine(text: string, hasEscapedKey: boolean): Record<string, unknown> {
  return (hasEscapedKey ? new Reader(text).value() : parse(text)) as Record<string, unknown>;
}

/**
 * Returns the values of such lines.
 *
 * @param lines The lines as text.
 * @param escaped The indexes of the lines in which a key has a backslash.
 */
export function parseLines(
  lines: readonly string[],
  escaped: readonly number[],
): Record<string, unknown>[] {
  const plain = [...lines];
  for (const i of escaped) plain[i] = "null";
  // One call for all lines takes less time than a call for each.
  const values = parse(`[${plain.join(",")}]`) as Record<string, unknown>[];
  for (const i of escaped) values[i] = parseLine(lines[i]!, true);
  return values;
}

/** The longest slice of a text that V8 copies. A longer slice retains the whole text. */
const MAX_SHORT_LENGTH = 12;

const FAR_INDEX = 4_294_967_290;

const PLAIN_MEMBER = { configurable: true, enumerable: true, writable: true };

/** Reads valid JSON value by value. Only strings, numbers and literals are left to `JSON.parse`. */
class Reader {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): unknown {
    this.#skip(FILLER);
    const first = this.#text[this.#position];
    if (first === "{") return this.#object();
    if (first === "[") return this.#array();
    if (first === '"') return this.#string();
    const start = this.#position;
    this.#skip(SCALAR);
    return JSON.parse(this.#text.slice(start, this.#position));
  }

  #object(): object {
    const object: Record<string, unknown> = {};
    // A high index makes V8 store numeric keys in a table. Without it, `{"499":0}` gets an array of
    // 6 KiB, and a line of 1 MiB with many such objects fills the heap. JSON.parse avoids that by
    // itself.
    object[FAR_INDEX] = 0;
    delete object[FAR_INDEX];
    this.#position++;
    while (this.#hasMore("}")) {
      const key = this.#string();
      // Unlike an assignment, this makes "__proto__" a plain member too.
      Object.defineProperty(object, key, { ...PLAIN_MEMBER, value: this.value() });
    }
    return object;
  }

  #array(): unknown[] {
    const items: unknown[] = [];
    this.#position++;
    while (this.#hasMore("]")) items.push(this.value());
    return items;
  }

  /** Moves to the next item. Returns `false` after the `closer`, which it skips. */
  #hasMore(closer: string): boolean {
    this.#skip(FILLER);
    if (this.#text[this.#position] !== closer) return true;
    this.#position++;
    return false;
  }

  #string(): string {
    const start = this.#position;
    let end = start;
    let backslashes: number;
    do { // A quote after an odd number of backslashes does not end the string.
      end = this.#text.indexOf('"', end + 1);
      backslashes = 0;
      while (this.#text[end - 1 - backslashes] === "\\") backslashes++;
    } while (backslashes % 2 === 1);
    this.#position = end + 1;
    const inner = this.#text.slice(start + 1, end);
    // Short strings bypass JSON.parse, see parse(). It copies a long string, while a slice would
    // retain the whole text.
    const isPlain = inner.length <= MAX_SHORT_LENGTH && !inner.includes("\\");
    return isPlain ? inner : JSON.parse(`"${inner}"`);
  }

  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.#position;
    pattern.test(this.#text);
    this.#position = pattern.lastIndex;
  }
}
