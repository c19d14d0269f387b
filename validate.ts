/**
 * Owns the rules for one line: RFC 8259 (JSON), RFC 3629 (UTF-8), the nesting limit, and the shape
 * of an event and of a control line. Works on bytes in one pass and makes no string and no object.
 * Must not know where the bytes come from or what becomes of the line.
 *
 * What it accepts is exactly what `JSON.parse` accepts, less what the shape rules of `PROTOCOL.md`
 * refuse.
 *
 * @module
 */

import { EventFormatError } from "./errors.ts";
import { checkLimit } from "./limits.ts";
import { quote } from "./printable.ts";

/** What a line is. `empty` is a keep-alive. */
export type LineKind = "event" | "control" | "empty" | "invalid";

/**
 * How deep a line may nest by default, the outermost object included. Real events nest a handful
 * deep; programs that recurse over a value overflow their stack at some thousands.
 */
export const DEFAULT_MAX_DEPTH = 64;

/** The longest name of an event, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 255;

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** 1 for every byte that may stand in a string as it is: ASCII but controls, `"` and `\`. */
const PLAIN = new Uint8Array(256).fill(1, SPACE, 0x80);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;

/** 1 for every byte that may follow a backslash, `u` aside. */
const ESCAPE = new Uint8Array(256);
for (const char of `"\\/bfnrt`) ESCAPE[char.charCodeAt(0)] = 1;

/** 1 for every hexadecimal digit. */
const HEX = new Uint8Array(256);
for (const char of "0123456789abcdefABCDEF") HEX[char.charCodeAt(0)] = 1;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const LITERALS = ["true", "false", "null"].map((word) => encoder.encode(word));

/** The keys that mean something at the top level of a line; each may stand there once. */
const PROTOCOL_KEYS = ["event", "__dict__", "control", "id", "reply_to", "from", "to", "seq"]
  .map((key) => encoder.encode(key));
const EVENT = 0;
const DICT = 1;
const CONTROL = 2;

/**
 * Checks lines, one at a time, in a buffer that holds many.
 *
 * A position that a private method returns is the byte after what it has read, or -1 when
 * `#fail()` has noted what was wrong.
 */
export class LineValidator {
  /** Where the `\n` of the line checked last is; not set when it was invalid. */
  end = 0;

  /** Whether some key of the line checked last is spelled with a backslash. */
  hasEscapedKey = false;

  readonly #maxDepth: number;
  /** For each open bracket, the byte that closes it. */
  readonly #closers: Uint8Array;

  #start = 0;
  /** Bit k is set once protocol key k has been seen. */
  #seen = 0;
  /** Whether the string read last has a backslash. */
  #escaped = false;
  /** Where the key read last ends, its closing quote included. */
  #keyEnd = 0;
  #shapeFault = "";

  #faultCode: EventFormatError["code"] = "bad-json";
  #faultText = "";

  constructor(maxDepth: number = DEFAULT_MAX_DEPTH) {
    this.#maxDepth = checkLimit("maxDepth", maxDepth, 2, 1000);
    this.#closers = new Uint8Array(maxDepth + 1);
  }

  /** What was wrong with the line that was `invalid`. */
  get fault(): EventFormatError {
    return new EventFormatError(this.#faultCode, `Cannot decode line: ${this.#faultText}`);
  }

  /** Checks the line of `bytes` that begins at `start`; a `\n` must follow somewhere. */
  validate(bytes: Uint8Array, start: number): LineKind {
    this.#start = start;
    this.#seen = 0;
    this.#shapeFault = "";
    this.hasEscapedKey = false;

    const empty = bytes[start] === CR ? start + 1 : start;
    if (bytes[empty] === LF) {
      this.end = empty;
      return "empty";
    }

    let i = skipSpace(bytes, start);
    i = bytes[i] === OPEN_BRACE ? this.#line(bytes, i + 1) : this.#noObject(bytes, i);
    if (i < 0) return "invalid";
    i = skipSpace(bytes, i);
    if (bytes[i] !== LF) {
      this.#fail("the end of the line", bytes, i);
      return "invalid";
    }
    this.end = i;
    return this.#kind();
  }

  /** The members of the outermost object, from behind its `{`: where the shape rules apply. */
  #line(bytes: Uint8Array, i: number): number {
    i = skipSpace(bytes, i);
    if (bytes[i] === CLOSE_BRACE) return i + 1;
    for (;;) {
      const keyStart = i;
      i = this.#key(bytes, i);
      if (i < 0) return i;
      const key = this.#protocolKey(bytes, keyStart);
      const valueStart = i;
      i = this.#value(bytes, i, 1);
      if (i < 0) return i;
      if (key >= 0) this.#checkShape(key, bytes, valueStart, i);
      i = skipSpace(bytes, i);
      if (bytes[i] === CLOSE_BRACE) return i + 1;
      if (bytes[i] !== COMMA) return this.#fail('"," or "}"', bytes, i);
      i = skipSpace(bytes, i + 1);
    }
  }

  /** A line that is no object: fine as JSON, perhaps, but never as an event. */
  #noObject(bytes: Uint8Array, i: number): number {
    this.#shapeFault = `expected an object, found ${kindAt(bytes, i)}`;
    return this.#value(bytes, i, 0);
  }

  /** The kind of a line that is JSON, by the keys it has. */
  #kind(): LineKind {
    const isEvent = (this.#seen & 1 << EVENT) !== 0;
    const isControl = (this.#seen & 1 << CONTROL) !== 0;
    if (this.#shapeFault === "" && isEvent !== isControl) return isEvent ? "event" : "control";
    this.#faultCode = "bad-event";
    this.#faultText = this.#shapeFault ||
      (isEvent ? '"event" and "control" on one line' : 'neither "event" nor "control" is there');
    return "invalid";
  }

  /** The number of the protocol key whose `"` is at `i`, or -1. Notes one that is repeated. */
  #protocolKey(bytes: Uint8Array, i: number): number {
    const end = this.#keyEnd - 1;
    const isKey = this.#escaped ? spells : matches;
    let key = PROTOCOL_KEYS.length - 1;
    while (key >= 0 && !isKey(bytes, i + 1, end, PROTOCOL_KEYS[key]!)) key--;
    if (key < 0) return key;
    if (this.#seen & 1 << key) {
      this.#shapeFault ||= `"${decoder.decode(PROTOCOL_KEYS[key])}" is there twice`;
    }
    this.#seen |= 1 << key;
    return key;
  }

  /** Notes a value of the wrong type or size; it lies in `bytes` from `start` to `end`. */
  #checkShape(key: number, bytes: Uint8Array, start: number, end: number): void {
    if (key === DICT) {
      if (bytes[start] !== OPEN_BRACE) {
        this.#shapeFault ||= `"__dict__" must be an object, found ${kindAt(bytes, start)}`;
      }
    } else if (key === EVENT || key === CONTROL) {
      const name = key === EVENT ? "event" : "control";
      if (bytes[start] !== QUOTE) {
        this.#shapeFault ||= `"${name}" must be a string, found ${kindAt(bytes, start)}`;
        return;
      }
      const length = this.#escaped
        ? encoder.encode(JSON.parse(decoder.decode(bytes.subarray(start, end)))).length
        : end - start - 2;
      if (length === 0 || length > MAX_NAME_BYTES) {
        this.#shapeFault ||= `"${name}" must have 1 to ${MAX_NAME_BYTES} bytes, found ${length}`;
      }
    }
  }

  /** Any JSON value at `i`, inside of `floor` open brackets. Loops, so no input overflows a stack. */
  #value(bytes: Uint8Array, i: number, floor: number): number {
    const closers = this.#closers;
    let depth = floor;
    for (;;) {
      const first = bytes[i]!;
      if (first === QUOTE) {
        i = this.#string(bytes, i);
      } else if (first === OPEN_BRACE || first === OPEN_BRACKET) {
        if (++depth > this.#maxDepth) return this.#tooDeep();
        const closer = first + 2; // "{" and "}", "[" and "]" are two apart in ASCII
        i = skipSpace(bytes, i + 1);
        if (bytes[i] !== closer) {
          closers[depth] = closer;
          if (closer === CLOSE_BRACE && (i = this.#key(bytes, i)) < 0) return i;
          continue;
        }
        depth--;
        i++;
      } else if (first === MINUS || first >= ZERO && first <= NINE) {
        i = this.#number(bytes, i);
      } else {
        i = this.#literal(bytes, i);
      }
      if (i < 0) return i;

      for (;;) {
        if (depth === floor) return i;
        i = skipSpace(bytes, i);
        const closer = closers[depth];
        if (bytes[i] === COMMA) {
          i = skipSpace(bytes, i + 1);
          if (closer === CLOSE_BRACE && (i = this.#key(bytes, i)) < 0) return i;
          break;
        }
        if (bytes[i] !== closer) {
          return this.#fail(closer === CLOSE_BRACE ? '"," or "}"' : '"," or "]"', bytes, i);
        }
        depth--;
        i++;
      }
    }
  }

  /** A key with its colon, up to its value. */
  #key(bytes: Uint8Array, i: number): number {
    if (bytes[i] !== QUOTE) return this.#fail("a key in double quotes", bytes, i);
    i = this.#string(bytes, i);
    if (i < 0) return i;
    this.#keyEnd = i;
    if (this.#escaped) this.hasEscapedKey = true;
    i = skipSpace(bytes, i);
    if (bytes[i] !== COLON) return this.#fail('":"', bytes, i);
    return skipSpace(bytes, i + 1);
  }

  /** A string whose `"` is at `i`. */
  #string(bytes: Uint8Array, i: number): number {
    this.#escaped = false;
    i++;
    for (;;) {
      while (PLAIN[bytes[i]!] === 1) i++;
      const byte = bytes[i]!;
      if (byte === QUOTE) return i + 1;
      if (byte === BACKSLASH) {
        this.#escaped = true;
        i++;
        if (ESCAPE[bytes[i]!] === 1) i++;
        else if (bytes[i] === LOWER_U) {
          for (let digits = 4; digits > 0; digits--) {
            if (HEX[bytes[++i]!] !== 1) return this.#fail("four hexadecimal digits", bytes, i);
          }
          i++;
        } else return this.#fail("an escape character", bytes, i);
      } else if (byte >= 0x80) {
        const length = sequenceLength(bytes, i);
        if (length === 0) return this.#fail("UTF-8", bytes, i);
        i += length;
      } else {
        return this.#fail('a character of a string or its closing "', bytes, i);
      }
    }
  }

  #number(bytes: Uint8Array, i: number): number {
    if (bytes[i] === MINUS) i++;
    if (bytes[i] === ZERO) i++;
    else if ((i = this.#digits(bytes, i)) < 0) return i;
    if (bytes[i] === DOT && (i = this.#digits(bytes, i + 1)) < 0) return i;
    if ((bytes[i]! | 0x20) === 0x65) { // "e" or "E"
      i++;
      if (bytes[i] === PLUS || bytes[i] === MINUS) i++;
      i = this.#digits(bytes, i);
    }
    return i;
  }

  /** One decimal digit or more. */
  #digits(bytes: Uint8Array, i: number): number {
    const start = i;
    while (bytes[i]! >= ZERO && bytes[i]! <= NINE) i++;
    return i > start ? i : this.#fail("a digit", bytes, i);
  }

  #literal(bytes: Uint8Array, i: number): number {
    for (const word of LITERALS) {
      if (matches(bytes, i, i + word.length, word)) return i + word.length;
    }
    return this.#fail("a value", bytes, i);
  }

  #fail(expected: string, bytes: Uint8Array, i: number): -1 {
    const isUtf8 = bytes[i]! < 0x80 || sequenceLength(bytes, i) > 0;
    this.#faultCode = isUtf8 ? "bad-json" : "bad-utf8";
    this.#faultText = `expected ${expected} at byte ${i - this.#start}, found ${found(bytes, i)}`;
    return -1;
  }

  #tooDeep(): -1 {
    this.#faultCode = "too-deep";
    this.#faultText = `nesting exceeds maxDepth ${this.#maxDepth}`;
    return -1;
  }
}

/** The first byte from `i` on that is no JSON white space. `\n` is none here: it ends the line. */
function skipSpace(bytes: Uint8Array, i: number): number {
  while (bytes[i] === SPACE || bytes[i] === 0x09 || bytes[i] === CR) i++;
  return i;
}

/** Whether the bytes from `start` to `end` are those of `word`. */
function matches(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
  return true;
}

/** The same for a valid string with escapes. Letters and `_`, all in `word`, have one: `\u00xx`. */
function spells(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  let i = start;
  for (const expected of word) {
    let byte = bytes[i++]!;
    if (byte === BACKSLASH) {
      if (bytes[i] !== LOWER_U || bytes[i + 1] !== ZERO || bytes[i + 2] !== ZERO) return false;
      byte = 16 * hexValue(bytes[i + 3]!) + hexValue(bytes[i + 4]!);
      i += 5;
    }
    if (byte !== expected) return false;
  }
  return i === end;
}

function hexValue(digit: number): number {
  return digit <= NINE ? digit - ZERO : (digit | 0x20) - 0x57; // "a" is ten
}

/** The length of the UTF-8 sequence at `i`, whose first byte is not ASCII; 0 if it is invalid. */
function sequenceLength(bytes: Uint8Array, i: number): number {
  const first = bytes[i]!;
  if (first < 0xc2) return 0; // a continuation byte, or an overlong form
  if (first < 0xe0) return isContinuation(bytes[i + 1]!) ? 2 : 0;
  const second = bytes[i + 1]!;
  if (!isContinuation(second) || !isContinuation(bytes[i + 2]!)) return 0;
  if (first < 0xf0) {
    if (first === 0xe0 && second < 0xa0) return 0; // an overlong form
    return first === 0xed && second > 0x9f ? 0 : 3; // a surrogate
  }
  if (first > 0xf4 || !isContinuation(bytes[i + 3]!)) return 0;
  if (first === 0xf0 && second < 0x90) return 0; // an overlong form
  return first === 0xf4 && second > 0x8f ? 0 : 4; // beyond U+10FFFF
}

function isContinuation(byte: number): boolean {
  return byte >= 0x80 && byte < 0xc0;
}

/** What stands at `i`, for an error message. */
function found(bytes: Uint8Array, i: number): string {
  const byte = bytes[i]!;
  if (byte === LF) return "the end of the line";
  const length = byte < 0x80 ? 1 : sequenceLength(bytes, i);
  if (length === 0) return `byte 0x${byte.toString(16)}`;
  return quote(decoder.decode(bytes.subarray(i, i + length)));
}

/** What kind of JSON value begins at `i`, for an error message. */
function kindAt(bytes: Uint8Array, i: number): string {
  const first = String.fromCharCode(bytes[i]!);
  if (first === "{") return "an object";
  if (first === "[") return "an array";
  if (first === '"') return "a string";
  if (first === "n") return "null";
  return first === "t" || first === "f" ? "a boolean" : "a number";
}
