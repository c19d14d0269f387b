/**
 * Owns the step from the text of a valid line to its value. Must not know what the line is for.
 *
 * @module
 */

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
  return (hasEscapedKey ? new Reader(text).value() : JSON.parse(text)) as Record<string, unknown>;
}

/** The values of such lines; `escaped` has the index of each that has an escaped key. */
export function parseLines(
  lines: readonly string[],
  escaped: readonly number[],
): Record<string, unknown>[] {
  const plain = [...lines];
  for (const i of escaped) plain[i] = "null";
  // One call for all lines takes less time than one for each.
  const values = JSON.parse(`[${plain.join(",")}]`);
  for (const i of escaped) values[i] = parseLine(lines[i]!, true);
  return values;
}

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
    return JSON.parse(this.#text.slice(start, end + 1));
  }

  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.#position;
    pattern.test(this.#text);
    this.#position = pattern.lastIndex;
  }
}
