/**
 * Owns the step from the text of a valid line to its value. Must not know what the line is for.
 *
 * @module
 */

/** Finds nearly every text without strings that look like integers, and is quick. */
const MAY_BE_INTEGER = /"[1-9]\d\d/;

/**
 * The quote before a string of three to ten digits that is a value. No quote that begins a string has a
 * backslash before it, and every quote within a string has.
 */
const INTEGER = /(?<!\\)"(?=[1-9]\d{2,9}"[ \t\r]*[,}\]])/g;

/** What {@link parse} puts in front of such a string. Nobody else can know it. */
const MARK = `${crypto.randomUUID()}:`;

/**
 * What `JSON.parse` makes of a text, in a time that its length bounds.
 *
 * V8 keeps one copy of all strings of up to ten characters that it reads as values, in a table by their
 * hashes; and what looks like an integer is hashed by its number alone, so that a line of 1 MiB with
 * chosen ones took it seconds, and others that are like them did so later (see `text_map.ts`). So such
 * strings are read with a mark in front, which makes them too long for that table.
 */
function parse(text: string): unknown {
  const marked = MAY_BE_INTEGER.test(text) ? text.replace(INTEGER, `"${MARK}`) : text;
  const value = JSON.parse(marked);
  return marked === text ? value : unmark(value);
}

/** Takes the marks off all strings in a value. Keys have none. */
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

/** What may stand between two values in valid JSON, brackets aside. */
const FILLER = /[\s,:]*/y;
/** A number or a literal. */
const SCALAR = /[^\s,\]}]+/y;

/**
 * The value of a line that `LineValidator` has accepted.
 *
 * `JSON.parse` reads all lines but those with a backslash in a key. Releases of V8 in use today look
 * such a key up by its raw text: once a program has parsed `{"a":[],"\\":0}`, they take the second
 * key of `{"a":1,"\n":0}` for a backslash (Chromium issue 521080746). One peer could thus change
 * what a program reads from another.
 */
export function parseLine(text: string, hasEscapedKey: boolean): Record<string, unknown> {
  return (hasEscapedKey ? new Reader(text).value() : parse(text)) as Record<string, unknown>;
}

/** The values of such lines; `escaped` has the index of each that has an escaped key. */
export function parseLines(
  lines: readonly string[],
  escaped: readonly number[],
): Record<string, unknown>[] {
  const plain = [...lines];
  for (const i of escaped) plain[i] = "null";
  // One call for all lines takes less time than one for each.
  const values = parse(`[${plain.join(",")}]`) as Record<string, unknown>[];
  for (const i of escaped) values[i] = parseLine(lines[i]!, true);
  return values;
}

/** How long a slice of a text may be of which V8 makes a copy. */
const MAX_SHORT_LENGTH = 12;

const FAR_INDEX = 4_294_967_290;

const PLAIN_MEMBER = { configurable: true, enumerable: true, writable: true };

/** Reads valid JSON value by value; only strings, numbers and literals are left to `JSON.parse`. */
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
    // A far index makes V8 keep index keys in a table. Without it, `{"499":0}` gets an array of
    // 6 KiB, and a line of 1 MiB with many of them fills the heap. JSON.parse takes care of that.
    object[FAR_INDEX] = 0;
    delete object[FAR_INDEX];
    this.#position++;
    while (this.#hasMore("}")) {
      const key = this.#string();
      // Unlike an assignment, this makes a plain member of "__proto__" too.
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

  /** Steps to the next item, or over the `closer`. */
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
    do { // A quote behind an odd number of backslashes does not end the string.
      end = this.#text.indexOf('"', end + 1);
      backslashes = 0;
      while (this.#text[end - 1 - backslashes] === "\\") backslashes++;
    } while (backslashes % 2 === 1);
    this.#position = end + 1;
    const inner = this.#text.slice(start + 1, end);
    // Short strings are not left to JSON.parse, see parse(). Of a long one it makes a copy, while a
    // slice would hold the whole text.
    const isPlain = inner.length <= MAX_SHORT_LENGTH && !inner.includes("\\");
    return isPlain ? inner : JSON.parse(`"${inner}"`);
  }

  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.#position;
    pattern.test(this.#text);
    this.#position = pattern.lastIndex;
  }
}
