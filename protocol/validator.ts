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

import { EventFormatError } from "../errors.ts";
import { checkLimit } from "./option_checks.ts";
import { quote } from "./printable.ts";

/** What a line is. `empty` is a keep-alive. */
export type LineKind = "event" | "control" | "empty" | "invalid";

/**
 * How deep a line may nest by default, the outermost object included. Real events nest a handful
 * deep; programs that recurse over a value overflow their stack at some thousands.
 */
export const DEFAULT_MAX_DEPTH = 64;

/** How deep a line can be allowed to nest. */
export const MAX_MAX_DEPTH = 1000;

/** The longest name of an event, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 255;

const TAB = 0x09;
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

const NOTHING = new Uint8Array(0);

/** 1 for every byte that may stand in a string as it is: ASCII but controls, `"` and `\`. */
const PLAIN = new Uint8Array(256).fill(1, SPACE, 0x80);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;

/** Bit 7 of each of four bytes. */
const HIGH_BITS = 0x80808080;

/** From how many bytes on the rest of a string is taken in longer steps. */
const LONG_STRING_BYTES = 256;

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
const PROTOCOL_KEYS = [
  "event",
  "control",
  "__dict__",
  "id",
  "reply_to",
  "from",
  "to",
  "seq",
  "ack",
];
const PROTOCOL_KEY_BYTES = PROTOCOL_KEYS.map((key) => encoder.encode(key));
const NO_KEY = -1;
const EVENT = 0;
const CONTROL = 1;
const DICT = 2;

/** The keys of the envelope: what a line says of itself beside its name and attributes. */
export const ID = 3;
export const REPLY_TO = 4;
export const FROM = 5;
export const TO = 6;
export const SEQ = 7;
export const ACK = 8;

/** Any of the keys in the envelope. */
export type EnvelopeKey =
  | typeof ID
  | typeof REPLY_TO
  | typeof FROM
  | typeof TO
  | typeof SEQ
  | typeof ACK;

/** The bits of those that must be strings as long as a name; the relay writes the others. */
const STRINGS = 1 << ID | 1 << REPLY_TO | 1 << TO | 1 << ACK;

const ENVELOPE = STRINGS | 1 << FROM | 1 << SEQ;

/** The only protocol key that begins with a byte: no two begin alike. */
const KEY_BY_FIRST_BYTE = new Int8Array(256).fill(NO_KEY);
PROTOCOL_KEY_BYTES.forEach(([first], key) => KEY_BY_FIRST_BYTE[first!] = key);

/**
 * Checks the lines of a block, one at a time.
 *
 * A position that a private method returns is the byte after what it has read, or -1 when
 * `#fail()` has noted what was wrong.
 */
export class LineValidator {
  /** Where the `\n` of the line checked last is; not set when it was invalid. */
  end = 0;

  /** Whether some key of the line checked last is spelled with a backslash. */
  hasEscapedKey = false;

  /** Where the value of `event` or `control` in the line checked last is, without its quotes. */
  nameStart = 0;
  nameEnd = 0;
  /** Whether that name is spelled with a backslash. */
  hasEscapedName = false;

  /** How deep a line may nest. */
  readonly maxDepth: number;
  /** For each open bracket, what closes the one around it; 0 for the outermost. */
  readonly #closers: Uint8Array;

  #bytes: Uint8Array = NOTHING;
  /** The same bytes, to read four at a time. */
  #words: DataView = new DataView(NOTHING.buffer);

  /** Where the head is that the lines of the block are compared with, see {@link #remember}. */
  #headStart = 0;
  /** How long the head is; 0 while there is none. */
  #headLength = 0;
  /** What `#seen` is at its end. */
  #headSeen = 0;
  /** Where the name is in the head, counted from its start. */
  #headNameStart = 0;
  #headNameEnd = 0;
  #headNameEscaped = false;
  readonly #headKeys = new Int32Array(PROTOCOL_KEYS.length);
  readonly #headValues = new Int32Array(PROTOCOL_KEYS.length);

  #start = 0;
  /** Bit k is set once protocol key k has been seen. */
  #seen = 0;
  /** Where each key that has been seen begins, with its quote, counted from the start of the line. */
  readonly #keys = new Int32Array(PROTOCOL_KEYS.length);
  /** Where the value of each begins. */
  readonly #values = new Int32Array(PROTOCOL_KEYS.length);
  /** Whether the string read last has a backslash. */
  #escaped = false;
  #shapeFault = "";
  /** What is wrong with the envelope, if the line turns out to be an event. */
  #envelopeFault = "";

  #faultCode: EventFormatError["code"] = "bad-json";
  #faultText = "";
  /** Where it was found, counted from the start of the line. */
  #faultAt = 0;

  constructor(maxDepth: number = DEFAULT_MAX_DEPTH) {
    this.maxDepth = checkLimit("maxDepth", maxDepth, 2, MAX_MAX_DEPTH);
    this.#closers = new Uint8Array(maxDepth + 1);
  }

  /** What was wrong with the line that was `invalid`. */
  get fault(): EventFormatError {
    return new EventFormatError(this.#faultCode, `Cannot decode line: ${this.#faultText}`);
  }

  /**
   * At which byte of the line that was `invalid` it went wrong, from 0; 0 also where the line is wrong
   * as a whole.
   */
  get faultAt(): number {
    return this.#faultAt;
  }

  /** Whether the line checked last has any key of the envelope. */
  get hasEnvelope(): boolean {
    return (this.#seen & ENVELOPE) !== 0;
  }

  /** Whether the line checked last has this key. */
  has(key: EnvelopeKey): boolean {
    return (this.#seen & 1 << key) !== 0;
  }

  /** Where this key of the line checked last begins, with its quote; it must have it. */
  keyAt(key: EnvelopeKey): number {
    return this.#start + this.#keys[key]!;
  }

  /** Where its value begins. */
  valueAt(key: EnvelopeKey): number {
    return this.#start + this.#values[key]!;
  }

  /** Takes the block whose lines are to be checked. It must not change until the next one. */
  open(block: Uint8Array): this {
    this.#bytes = block;
    this.#words = new DataView(block.buffer, block.byteOffset, block.length);
    this.#headLength = 0;
    return this;
  }

  /** Checks the line that begins at `start`; a `\n` must follow somewhere. */
  validate(start: number): LineKind {
    const bytes = this.#bytes;
    this.#start = start;
    this.#seen = 0;
    this.#shapeFault = "";
    this.#envelopeFault = "";
    this.hasEscapedKey = false;

    const empty = bytes[start] === CR ? start + 1 : start;
    if (bytes[empty] === LF) {
      this.end = empty;
      return "empty";
    }

    let i: number;
    if (this.#repeatsHead(start)) {
      this.#recall(start);
      i = this.#scan(bytes, skipSpace(bytes, start + this.#headLength), 2);
    } else {
      i = skipSpace(bytes, start);
      if (bytes[i] !== OPEN_BRACE) {
        this.#shapeFault = `expected an object, found ${kindAt(bytes, i)}`;
      }
      i = this.#scan(bytes, i, 0);
    }
    if (i < 0) return "invalid";
    i = skipSpace(bytes, i);
    if (bytes[i] !== LF) {
      this.#fail("the end of the line", bytes, i);
      return "invalid";
    }
    this.end = i;
    return this.#kind();
  }

  /** The kind of a line that is JSON, by the keys it has. */
  #kind(): LineKind {
    const isEvent = (this.#seen & 1 << EVENT) !== 0;
    const isControl = (this.#seen & 1 << CONTROL) !== 0;
    const fault = this.#shapeFault || (isEvent ? this.#envelopeFault : "");
    if (fault === "" && isEvent !== isControl) return isEvent ? "event" : "control";
    this.#faultCode = "bad-event";
    this.#faultAt = 0;
    this.#faultText = fault ||
      (isEvent ? '"event" and "control" on one line' : 'neither "event" nor "control" is there');
    return "invalid";
  }

  /**
   * Remembers the head of the line being checked: up to `i`, its first attribute's value. Lines of
   * one kind begin alike, and one that repeats the head need not be read up to there. The first
   * line of a block that has an attribute is the one that is remembered.
   */
  #remember(i: number): void {
    if (this.#shapeFault !== "" || this.#envelopeFault !== "" || this.hasEscapedKey) return;
    this.#headStart = this.#start;
    this.#headLength = i - this.#start;
    this.#headSeen = this.#seen;
    this.#headNameStart = this.nameStart - this.#start;
    this.#headNameEnd = this.nameEnd - this.#start;
    this.#headNameEscaped = this.hasEscapedName;
    if ((this.#seen & ENVELOPE) === 0) return;
    this.#headKeys.set(this.#keys);
    this.#headValues.set(this.#values);
  }

  /** Notes what is known of a line at `start` that begins with the head. */
  #recall(start: number): void {
    this.#seen = this.#headSeen;
    this.nameStart = start + this.#headNameStart;
    this.nameEnd = start + this.#headNameEnd;
    this.hasEscapedName = this.#headNameEscaped;
    if ((this.#seen & ENVELOPE) === 0) return;
    this.#keys.set(this.#headKeys);
    this.#values.set(this.#headValues);
  }

  /** Whether the line at `start` begins with the head. */
  #repeatsHead(start: number): boolean {
    const words = this.#words;
    const head = this.#headStart;
    const length = this.#headLength;
    if (length === 0 || start + length > words.byteLength) return false;
    let i = 0;
    for (; i + 4 <= length; i += 4) {
      if (words.getInt32(head + i) !== words.getInt32(start + i)) return false;
    }
    for (; i < length; i++) {
      if (words.getInt8(head + i) !== words.getInt8(start + i)) return false;
    }
    return true;
  }

  /**
   * Reads a JSON value at `i`, or the rest of a line that repeats the head, which is inside of two
   * objects already. Loops, so that no input overflows a stack.
   *
   * All of a line passes through here, hence one long function, with its state in local variables.
   * Every `| 0` says that a position is a small integer, which the compiler cannot tell otherwise.
   */
  #scan(bytes: Uint8Array, i: number, depth: 0 | 2): number {
    const words = this.#words;
    const lastPair = words.byteLength - 8;
    const closers = this.#closers;
    const maxDepth = this.maxDepth;
    let level: number = depth;
    /** What closes the innermost bracket that is open. */
    let closer = depth > 0 ? CLOSE_BRACE : 0;
    closers[1] = CLOSE_BRACE; // in case a head is repeated; otherwise the first bracket decides
    /** The protocol key whose value is being read. */
    let key = depth > 0 ? DICT : NO_KEY;
    /** Whether a key must come next. */
    let isKey = false;

    for (i |= 0;;) {
      const first = bytes[i]!;
      if (first === QUOTE) {
        const start = i = i + 1 | 0;
        this.#escaped = false;
        while (
          i <= lastPair && (special(words.getInt32(i, true)) & HIGH_BITS) === 0 &&
          (special(words.getInt32(i + 4 | 0, true)) & HIGH_BITS) === 0
        ) {
          i = i + 8 | 0;
          if ((i - start | 0) === LONG_STRING_BYTES) i = skipPlain(words, i) | 0;
        }
        while (PLAIN[bytes[i]!] === 1) i = i + 1 | 0;
        if (bytes[i] === QUOTE) i = i + 1 | 0;
        else if ((i = this.#string(bytes, i) | 0) < 0) return i;

        if (isKey) {
          isKey = false;
          const end = i - 1 | 0;
          if (this.#escaped) this.hasEscapedKey = true;
          i = skipSpace(bytes, i) | 0;
          if (bytes[i] !== COLON) return this.#fail('":"', bytes, i);
          i = skipSpace(bytes, i + 1 | 0) | 0;
          if (level === 1) key = this.#protocolKey(bytes, start, end, i);
          else if (level === 2 && key === DICT && this.#headLength === 0) this.#remember(i);
          continue;
        }
        if (level === 1 && key !== NO_KEY) this.#checkString(key, bytes, start, i - 1);
      } else if (isKey) {
        return this.#fail("a key in double quotes", bytes, i);
      } else if (first === OPEN_BRACE || first === OPEN_BRACKET) {
        if (level === maxDepth) return this.#tooDeep(i);
        const outer = closer;
        closer = first + 2; // "{" and "}", "[" and "]" are two apart in ASCII
        i = skipSpace(bytes, i + 1 | 0) | 0;
        if (bytes[i] !== closer) {
          closers[level] = outer;
          level = level + 1 | 0;
          isKey = closer === CLOSE_BRACE;
          continue;
        }
        closer = outer;
        i = i + 1 | 0;
      } else if (first === MINUS || first >= ZERO && first <= NINE) {
        if ((i = this.#number(bytes, i) | 0) < 0) return i;
      } else {
        if ((i = this.#literal(bytes, i) | 0) < 0) return i;
      }

      for (;;) {
        if (level === 0) return i;
        i = skipSpace(bytes, i) | 0;
        const next = bytes[i]!;
        if (next === COMMA) {
          i = skipSpace(bytes, i + 1 | 0) | 0;
          isKey = closer === CLOSE_BRACE;
          break;
        }
        if (next !== closer) {
          return this.#fail(closer === CLOSE_BRACE ? '"," or "}"' : '"," or "]"', bytes, i);
        }
        level = level - 1 | 0;
        closer = closers[level]!;
        i = i + 1 | 0;
      }
    }
  }

  /**
   * The protocol key that lies from `start` to `end`, if it is one. Notes that it is repeated, or
   * that its value, which begins at `i`, is of the wrong type.
   */
  #protocolKey(bytes: Uint8Array, start: number, end: number, i: number): number {
    const key = this.#escaped
      ? PROTOCOL_KEY_BYTES.findIndex((word) => spells(bytes, start, end, word))
      : KEY_BY_FIRST_BYTE[bytes[start]!]!;
    if (key === NO_KEY) return NO_KEY;
    if (!this.#escaped && !matches(bytes, start, end, PROTOCOL_KEY_BYTES[key]!)) return NO_KEY;
    const bit = 1 << key;
    if (this.#seen & bit) this.#shapeFault ||= `"${PROTOCOL_KEYS[key]}" is there twice`;
    this.#seen |= bit;
    this.#keys[key] = start - 1 - this.#start;
    this.#values[key] = i - this.#start;
    if (key === DICT) {
      if (bytes[i] !== OPEN_BRACE) this.#note(key, `an object, found ${kindAt(bytes, i)}`);
    } else if (key === EVENT || key === CONTROL || (STRINGS & bit) !== 0) {
      if (bytes[i] !== QUOTE) this.#note(key, `a string, found ${kindAt(bytes, i)}`);
    }
    return key;
  }

  /** Notes what the value of a protocol key must be and is not. */
  #note(key: number, expected: string): void {
    const fault = `"${PROTOCOL_KEYS[key]}" must be ${expected}`;
    if ((STRINGS & 1 << key) !== 0) this.#envelopeFault ||= fault;
    else this.#shapeFault ||= fault;
  }

  /** Looks at a string that a protocol key has; it lies from `start` to `end`, without its quotes. */
  #checkString(key: number, bytes: Uint8Array, start: number, end: number): void {
    if (key === EVENT || key === CONTROL) {
      this.nameStart = start;
      this.nameEnd = end;
      this.hasEscapedName = this.#escaped;
    } else if ((STRINGS & 1 << key) === 0) return;
    const length = this.#escaped
      ? encoder.encode(JSON.parse(decoder.decode(bytes.subarray(start - 1, end + 1)))).length
      : end - start;
    if (length === 0 || length > MAX_NAME_BYTES) {
      this.#note(key, `a string of 1 to ${MAX_NAME_BYTES} bytes, found ${length}`);
    }
  }

  /** The rest of a string, from a byte on that is not plain. */
  #string(bytes: Uint8Array, i: number): number {
    for (;;) {
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
      while (PLAIN[bytes[i]!] === 1) i++;
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
    this.#faultAt = i - this.#start;
    this.#faultText = `expected ${expected} at byte ${i - this.#start}, found ${found(bytes, i)}`;
    return -1;
  }

  #tooDeep(i: number): -1 {
    this.#faultCode = "too-deep";
    this.#faultAt = i - this.#start;
    this.#faultText = `nesting exceeds maxDepth ${this.maxDepth}`;
    return -1;
  }
}

/** The first byte from `i` on that is no JSON white space. `\n` is none here: it ends the line. */
function skipSpace(bytes: Uint8Array, i: number): number {
  while (bytes[i]! <= SPACE && (bytes[i] === SPACE || bytes[i] === TAB || bytes[i] === CR)) i++;
  return i;
}

/**
 * A number with one of {@link HIGH_BITS} set if, and only if, one of the four bytes of `word` is not
 * {@link PLAIN}. Per byte, the first difference is below 0 for a control character or `"` (which the
 * exclusive or makes 0x20), the second for `\`, and one of them has bit 7 if the byte has. What a
 * byte borrows from the next changes nothing: it is not plain itself.
 */
function special(word: number): number {
  return ((word ^ 0x02020202) - 0x21212121) | ((word ^ 0x5c5c5c5c) - 0x01010101);
}

/** Skips bytes that are plain, 16 at a time: the inside of a long string. */
function skipPlain(words: DataView, i: number): number {
  const last = words.byteLength - 16;
  while (
    i <= last &&
    ((special(words.getInt32(i, true)) | special(words.getInt32(i + 4 | 0, true)) |
        special(words.getInt32(i + 8 | 0, true)) | special(words.getInt32(i + 12 | 0, true))) &
        HIGH_BITS) === 0
  ) i = i + 16 | 0;
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
