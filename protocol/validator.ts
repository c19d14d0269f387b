/**
 * Validates lines in one pass over their bytes: JSON (RFC 8259), UTF-8 (RFC 3629), the nesting
 * limit, and the shape of events and control lines. Creates strings and objects only to measure a
 * name with escapes and to report a fault.
 *
 * It accepts every line that `JSON.parse` accepts, except lines that violate the shape rules of
 * `PROTOCOL.md`.
 *
 * The result of `validate()` decides which members describe the line:
 *
 * | result | members |
 * | --- | --- |
 * | `event`, `control` | `end`, name, `hasEscapedKey`, `hasEnvelope`, `has()`, `keyAt()`, `valueAt()` |
 * | `empty` | `end` |
 * | `invalid` | `fault`, `faultAt` |
 *
 * @module
 */

import * as ascii from "./ascii.ts";
import { EventFormatError } from "../errors.ts";
import * as json from "./json_bytes.ts";
import { MAX_NAME_BYTES, NAME_RULE } from "./names.ts";
import { checkLimit } from "./option_checks.ts";
import { decoder, encoder, NOTHING } from "./utf8.ts";

/** The kind of a line. `empty` is a keep-alive. */
export type LineKind = "event" | "control" | "empty" | "invalid";

/**
 * The default for how deep a line may nest, counting the outermost object. Real events nest a
 * handful of levels. Programs that recurse over a value overflow their stack at some thousands.
 */
export const DEFAULT_MAX_DEPTH = 64;

/** The highest nesting limit. */
export const MAX_MAX_DEPTH = 1000;

const { HIGH_BITS, isEqual, skipLiteral, skipNumber, skipPlain, skipSpace, special } = json;
const { LF, CR, SPACE, QUOTE, COMMA, MINUS, ZERO, NINE, COLON } = ascii;
const { OPEN_BRACKET, BACKSLASH, LOWER_U, OPEN_BRACE, CLOSE_BRACE } = ascii;

/** 1 for each byte that may stand unescaped in a string: ASCII except controls, `"` and `\`. */
const PLAIN = new Uint8Array(256).fill(1, SPACE, 0x80);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;

/** The length after which the rest of a string is skipped in longer steps. */
const LONG_STRING_BYTES = 256;

/** 1 for each byte that may follow a backslash, except `u`. */
const ESCAPE = new Uint8Array(256);
for (const char of `"\\/bfnrt`) ESCAPE[char.charCodeAt(0)] = 1;

/** 1 for each hexadecimal digit. */
const HEX = new Uint8Array(256);
for (const char of "0123456789abcdefABCDEF") HEX[char.charCodeAt(0)] = 1;

/** The keys with a meaning at the top level of a line. Each may occur once. */
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
  "offset",
  "past",
];
const PROTOCOL_KEY_BYTES = PROTOCOL_KEYS.map((key) => encoder.encode(key));
const NO_KEY = -1;
const EVENT = 0;
const CONTROL = 1;
const DICT = 2;

/** The keys of the envelope: the members of a line besides its name and attributes. */
export const ID = 3;
export const REPLY_TO = 4;
export const FROM = 5;
export const TO = 6;
export const SEQ = 7;
export const ACK = 8;
export const OFFSET = 9;
export const PAST = 10;

/** Any key of the envelope. */
export type EnvelopeKey = 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

/** The keys that only a relay may write. */
export const RELAY_KEYS = [FROM, SEQ, OFFSET, PAST] as const;

/**
 * The bits of the keys whose values must be strings no longer than a name. Only the relay writes
 * the others.
 */
const STRINGS = 1 << ID | 1 << REPLY_TO | 1 << TO | 1 << ACK;

const ENVELOPE = RELAY_KEYS.reduce((bits, key) => bits | 1 << key, STRINGS);

/** The protocol key that begins with each byte. No two begin with the same byte. */
const KEY_BY_FIRST_BYTE = new Int8Array(256).fill(NO_KEY);
PROTOCOL_KEY_BYTES.forEach(([first], key) => KEY_BY_FIRST_BYTE[first!] = key);

/**
 * Checks the lines of a block, one at a time.
 *
 * A position returned by a private method is that of the next unread byte. It is -1 after `#fail()`
 * has recorded a fault.
 */
export class LineValidator {
  /** The position of the `\n` of the last line. Not set if the line was invalid. */
  end = 0;

  /** Whether a key of the last line has a backslash. */
  hasEscapedKey = false;

  /** The position of the value of `event` or `control` in the last line, without its quotes. */
  nameStart = 0;
  nameEnd = 0;

  /**
   * The position of the fault in the last line, which was `invalid`, counted in bytes from 0. Also
   * 0 if the line is wrong as a whole.
   */
  faultAt = 0;

  /** How deep a line may nest. */
  readonly maxDepth: number;
  /** For each open bracket, the closing bracket of the level around it. 0 for the outermost. */
  readonly #closers: Uint8Array;

  #bytes: Uint8Array = NOTHING;
  /** A view of the same bytes that reads four at a time. */
  #words: DataView = new DataView(NOTHING.buffer);

  /**
   * The position of the head with which the lines of the block are compared, see {@link #remember}.
   */
  #headStart = 0;
  /** The length of the head. 0 while there is no head. */
  #headLength = 0;
  /** The value of `#seen` at the end of the head. */
  #headSeen = 0;
  /** The position of the name, relative to the head. */
  #headNameStart = 0;
  #headNameEnd = 0;
  readonly #headKeys = new Int32Array(PROTOCOL_KEYS.length);
  readonly #headValues = new Int32Array(PROTOCOL_KEYS.length);

  #start = 0;
  /** Bit k is set once protocol key k has been seen. */
  #seen = 0;
  /** The position of each seen key, including its quote, relative to the start of the line. */
  readonly #keys = new Int32Array(PROTOCOL_KEYS.length);
  /** The position of the value of each key. */
  readonly #values = new Int32Array(PROTOCOL_KEYS.length);
  /** Whether the last string has a backslash. */
  #escaped = false;
  #shapeFault = "";
  /** The fault of the envelope, which counts only if the line is an event. */
  #envelopeFault = "";

  #faultCode: EventFormatError["code"] = "bad-json";
  #faultText = "";

  constructor(maxDepth: number = DEFAULT_MAX_DEPTH) {
    this.maxDepth = checkLimit("maxDepth", maxDepth, 2, MAX_MAX_DEPTH);
    this.#closers = new Uint8Array(maxDepth + 1);
  }

  /** The fault of the last line, which was `invalid`. */
  get fault(): EventFormatError {
    return new EventFormatError(this.#faultCode, `Cannot decode line: ${this.#faultText}`);
  }

  /** Whether the last line has any key of the envelope. */
  get hasEnvelope(): boolean {
    return (this.#seen & ENVELOPE) !== 0;
  }

  /** Returns whether the last line has this key. */
  has(key: EnvelopeKey): boolean {
    return (this.#seen & 1 << key) !== 0;
  }

  /**
   * Returns the position of this key in the last line, including its quote. The line must have the
   * key.
   */
  keyAt(key: EnvelopeKey): number {
    return this.#start + this.#keys[key]!;
  }

  /** Returns the position of the key's value. */
  valueAt(key: EnvelopeKey): number {
    return this.#start + this.#values[key]!;
  }

  /** Sets the block whose lines are checked next. It must not change until another block is set. */
  open(block: Uint8Array): this {
    this.#bytes = block;
    this.#words = new DataView(block.buffer, block.byteOffset, block.length);
    this.#headLength = 0;
    return this;
  }

  /** Checks the line that begins at `start` and returns its kind. A `\n` must follow somewhere. */
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
        this.#shapeFault = `expected an object, found ${json.kindAt(bytes, i)}`;
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

  /** Returns the kind of a line that is valid JSON, according to its keys. */
  #kind(): LineKind {
    const isEvent = (this.#seen & 1 << EVENT) !== 0;
    const isControl = (this.#seen & 1 << CONTROL) !== 0;
    const fault = this.#shapeFault || (isEvent ? this.#envelopeFault : "");
    if (fault === "" && isEvent !== isControl) return isEvent ? "event" : "control";
    this.#faultCode = "bad-event";
    this.faultAt = 0;
    this.#faultText = fault ||
      (isEvent ? '"event" and "control" on one line' : 'neither "event" nor "control" is there');
    return "invalid";
  }

  /**
   * Remembers the head of the current line, up to `i`, where the value of its first attribute
   * begins. Lines of one kind begin alike, so a line that repeats the head is read only from there
   * on. The first line of a block that has an attribute provides the head.
   */
  #remember(i: number): void {
    if (this.#shapeFault !== "" || this.#envelopeFault !== "" || this.hasEscapedKey) return;
    this.#headStart = this.#start;
    this.#headLength = i - this.#start;
    this.#headSeen = this.#seen;
    this.#headNameStart = this.nameStart - this.#start;
    this.#headNameEnd = this.nameEnd - this.#start;
    if ((this.#seen & ENVELOPE) === 0) return;
    this.#headKeys.set(this.#keys);
    this.#headValues.set(this.#values);
  }

  /** Restores the state after the head, for a line at `start` that begins with it. */
  #recall(start: number): void {
    this.#seen = this.#headSeen;
    this.nameStart = start + this.#headNameStart;
    this.nameEnd = start + this.#headNameEnd;
    if ((this.#seen & ENVELOPE) === 0) return;
    this.#keys.set(this.#headKeys);
    this.#values.set(this.#headValues);
  }

  /** Returns whether the line at `start` begins with the head. */
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
   * Reads a JSON value at `i`, or the rest of a line that repeats the head, which is already inside
   * two objects. Loops, so that no input overflows the stack.
   *
   * This is one long function with its state in local variables because every line passes through
   * it. Each `| 0` marks a position as a small integer, which the compiler cannot infer.
   */
  #scan(bytes: Uint8Array, i: number, depth: 0 | 2): number {
    const words = this.#words;
    const lastPair = words.byteLength - 8;
    const closers = this.#closers;
    const maxDepth = this.maxDepth;
    let level: number = depth;
    /** The closing bracket of the innermost open bracket. */
    let closer = depth > 0 ? CLOSE_BRACE : 0;
    closers[1] = CLOSE_BRACE; // for a repeated head; otherwise the first bracket decides
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
        if ((i = skipNumber(bytes, i) | 0) < 0) return this.#fail("a digit", bytes, ~i);
      } else {
        const start = i;
        if ((i = skipLiteral(bytes, i) | 0) < 0) return this.#fail("a value", bytes, start);
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
   * Returns the protocol key from `start` to `end`, or `NO_KEY`. Records a fault if the key is
   * repeated, or if its value, which begins at `i`, has the wrong type.
   */
  #protocolKey(bytes: Uint8Array, start: number, end: number, i: number): number {
    const key = this.#escaped
      ? PROTOCOL_KEY_BYTES.findIndex((word) => json.spells(bytes, start, end, word))
      : KEY_BY_FIRST_BYTE[bytes[start]!]!;
    if (key === NO_KEY) return NO_KEY;
    if (!this.#escaped && !isEqual(bytes, start, end, PROTOCOL_KEY_BYTES[key]!)) return NO_KEY;
    const bit = 1 << key;
    if (this.#seen & bit) this.#shapeFault ||= `"${PROTOCOL_KEYS[key]}" is there twice`;
    this.#seen |= bit;
    this.#keys[key] = start - 1 - this.#start;
    this.#values[key] = i - this.#start;
    if (key === DICT) {
      if (bytes[i] !== OPEN_BRACE) this.#note(key, `an object, found ${json.kindAt(bytes, i)}`);
    } else if (key === EVENT || key === CONTROL || (STRINGS & bit) !== 0) {
      if (bytes[i] !== QUOTE) this.#note(key, `a string, found ${json.kindAt(bytes, i)}`);
    }
    return key;
  }

  /** Records that the value of a protocol key is not the expected one. */
  #note(key: number, expected: string): void {
    const fault = `"${PROTOCOL_KEYS[key]}" must be ${expected}`;
    if ((STRINGS & 1 << key) !== 0) this.#envelopeFault ||= fault;
    else this.#shapeFault ||= fault;
  }

  /**
   * Checks the string value of a protocol key. It lies from `start` to `end`, without its quotes.
   */
  #checkString(key: number, bytes: Uint8Array, start: number, end: number): void {
    if (key === EVENT || key === CONTROL) {
      this.nameStart = start;
      this.nameEnd = end;
    } else if ((STRINGS & 1 << key) === 0) return;
    const length = this.#escaped
      ? encoder.encode(JSON.parse(decoder.decode(bytes.subarray(start - 1, end + 1)))).length
      : end - start;
    if (length === 0 || length > MAX_NAME_BYTES) {
      this.#note(key, `a ${NAME_RULE}, found ${length}`);
    }
  }

  /** Reads the rest of a string, from the first byte that is not plain. */
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
        const length = json.sequenceLength(bytes, i);
        if (length === 0) return this.#fail("UTF-8", bytes, i);
        i += length;
      } else {
        return this.#fail('a character of a string or its closing "', bytes, i);
      }
      while (PLAIN[bytes[i]!] === 1) i++;
    }
  }

  #fail(expected: string, bytes: Uint8Array, i: number): -1 {
    const isUtf8 = bytes[i]! < 0x80 || json.sequenceLength(bytes, i) > 0;
    this.#faultCode = isUtf8 ? "bad-json" : "bad-utf8";
    this.faultAt = i - this.#start;
    this.#faultText = `expected ${expected} at byte ${i - this.#start}, found ${
      json.found(bytes, i)
    }`;
    return -1;
  }

  #tooDeep(i: number): -1 {
    this.#faultCode = "too-deep";
    this.faultAt = i - this.#start;
    this.#faultText = `nesting exceeds maxDepth ${this.maxDepth}`;
    return -1;
  }
}
