/**
 * Encodes a name and attributes as a line, and rejects values that JSON would lose.
 *
 * @module
 */

import { LF } from "./ascii.ts";
import { checkName } from "./names.ts";
import { escapeUnit, inspect, quote } from "./printable.ts";
import { encoder } from "./utf8.ts";
import { DEFAULT_MAX_DEPTH } from "./validator.ts";

/** Characters that JSON allows unescaped in a string but that naive readers take for a line end. */
const LINE_SEPARATORS = /[\u0085\u2028\u2029]/g;

/** The most bytes of UTF-8 that a UTF-16 code unit needs. */
const MAX_UNIT_BYTES = 3;

/**
 * The largest block of a {@link LineEncoder}, in bytes. It is small enough for a client that sends
 * nothing more, and large enough that a block costs much less than its lines.
 */
const MAX_BLOCK_BYTES = 16_384;

/** The longest line that shares a block, in UTF-16 code units. A longer one gets its own memory. */
const MAX_SHARING_LENGTH = 1024;

/** How deep the attributes may nest. The enclosing line takes two levels. */
const MAX_VALUE_DEPTH = DEFAULT_MAX_DEPTH - 2;

/** Throws a `TypeError` if the argument of an untyped caller is not an event. */
export function checkEvent(event: { event: string; __dict__: object }): void {
  if (typeof event?.event === "string" && typeof event.__dict__ === "object") return;
  throw new TypeError(`Cannot send ${inspect(event)}: expected an EbsocketEvent`);
}

/** Returns `attributes` if it is an object with members, otherwise throws a `TypeError`. */
export function checkAttributes<A extends object>(attributes: A): A {
  if (tagOf(attributes) !== "[object Object]") {
    throw new TypeError(`Invalid event attributes: expected an object, got ${inspect(attributes)}`);
  }
  return attributes;
}

/** Returns `[object Object]` for plain objects and instances of most classes, or `[object Map]`… */
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value);
}

/** The members of an event's line besides its name and attributes. */
export interface Envelope {
  /** Makes the event a request. Replies repeat it in `reply_to`. */
  readonly id?: string;
  /** The ID of the only recipient. */
  readonly to?: string;
  /** The `id` of the request that the event answers. */
  readonly reply_to?: string;
  /** Requests a receipt with this ID. */
  readonly ack?: string;
}

/** Returns the line of an event as text, without its newline. */
export function encodeText(name: string, attributes: object): string {
  return escapeSeparators(toJson(name, attributes));
}

/** Returns JSON without any character that a reader could take for a line end. */
export function encodeJson(value: unknown): string {
  return escapeSeparators(JSON.stringify(value));
}

/** Returns the JSON of an event. Line separators are not escaped yet. */
function toJson(name: string, attributes: object, envelope?: Envelope): string {
  checkName(name);
  // Unlike the original, the copy has no getters whose values could change after the check, and no
  // inherited toJSON() that could replace the attributes.
  const copy: Record<string, unknown> = { ...checkAttributes(attributes) };
  for (const key of Object.keys(copy)) {
    if (copy[key] === undefined) continue; // JSON.stringify() omits it.
    const reason = whyNotJson(copy[key], []);
    if (reason) throw new TypeError(`Cannot encode attribute ${quote(key)}: ${reason}`);
  }
  return JSON.stringify({ event: name, __dict__: copy, ...envelope });
}

function escapeSeparators(json: string): string {
  return json.replace(LINE_SEPARATORS, escapeUnit);
}

/**
 * Returns the line of an event as bytes, including its newline.
 *
 * @param name The name of the event.
 * @param attributes The attributes of the event.
 * @param maxLineBytes The longest line that the peer accepts, in bytes without its newline.
 * @param envelope The other members of the line.
 * @throws {TypeError} If the name is not a string, or JSON cannot carry an attribute.
 * @throws {RangeError} If the line is longer than `maxLineBytes`, or the name is not 1 to 255
 * bytes.
 */
export function encodeLine(
  name: string,
  attributes: object,
  maxLineBytes = Infinity,
  envelope?: Envelope,
): Uint8Array<ArrayBuffer> {
  const line = encoder.encode(`${escapeSeparators(toJson(name, attributes, envelope))}\n`);
  checkLength(name, line.length - 1, maxLineBytes);
  return line;
}

/**
 * Encodes the lines of one connection one after another into blocks of memory. Memory allocated for
 * each line would cost more than all other steps. Connections must not share an encoder: a slow
 * connection would retain whole blocks for a few lines in each.
 */
export class LineEncoder {
  #block = new ArrayBuffer(0);
  /** The number of bytes of the block that hold kept lines. */
  #used = 0;

  /**
   * Returns the same line as {@link encodeLine}. The next call overwrites it, unless {@link keep}
   * is called first.
   */
  encode(
    name: string,
    attributes: object,
    maxLineBytes: number,
    envelope?: Envelope,
  ): Uint8Array<ArrayBuffer> {
    const json = toJson(name, attributes, envelope);
    let line = this.#write(json);
    // A search for separators takes longer than encoding. ASCII has none.
    const isAscii = line.length === json.length + 1;
    if (!isAscii) line = this.#write(escapeSeparators(json));
    checkLength(name, line.length - 1, maxLineBytes);
    return line;
  }

  /**
   * Returns a copy of a line, for which the same applies. A queued copy does not keep the block
   * that the line came in.
   */
  copy(line: Uint8Array): Uint8Array<ArrayBuffer> {
    if (line.length > MAX_SHARING_LENGTH) return new Uint8Array(line);
    this.#makeRoom(line.length);
    const copy = new Uint8Array(this.#block, this.#used, line.length);
    copy.set(line);
    return copy;
  }

  /** Keeps the last encoded line, which then never changes. */
  keep(line: Uint8Array): void {
    if (line.buffer === this.#block) this.#used += line.length;
  }

  #write(text: string): Uint8Array<ArrayBuffer> {
    if (text.length > MAX_SHARING_LENGTH) return encoder.encode(`${text}\n`);
    this.#makeRoom(MAX_UNIT_BYTES * text.length + 1);
    const room = new Uint8Array(this.#block, this.#used);
    const { written } = encoder.encodeInto(text, room);
    room[written] = LF;
    return new Uint8Array(this.#block, this.#used, written + 1);
  }

  /** Begins another block if this one has less room than `bytes`. */
  #makeRoom(bytes: number): void {
    if (this.#used + bytes <= this.#block.byteLength) return;
    const size = Math.min(2 * this.#block.byteLength, MAX_BLOCK_BYTES);
    this.#block = new ArrayBuffer(Math.max(size, bytes));
    this.#used = 0;
  }
}

function checkLength(name: string, length: number, maxLineBytes: number): void {
  if (length <= maxLineBytes) return;
  throw new RangeError(
    `Cannot send event ${quote(name)}: its ${length} bytes exceed maxLineBytes ${maxLineBytes}`,
  );
}

/**
 * Returns why `value` does not survive JSON, or an empty string. `parents` are the enclosing
 * objects.
 */
function whyNotJson(value: unknown, parents: object[]): string {
  switch (typeof value) {
    case "string":
    case "boolean":
      return "";
    case "number":
      return Number.isFinite(value) ? "" : `JSON has no ${value}`;
    case "bigint":
      return `JSON has no bigint, send ${value}n as a string`;
    case "object":
      return value === null ? "" : whyNotJsonObject(value, parents);
    default:
      return `JSON has no ${typeof value}, leave it out or send null`;
  }
}

function whyNotJsonObject(value: object, parents: object[]): string {
  if (parents.includes(value)) return "it contains itself";
  if (parents.length >= MAX_VALUE_DEPTH) {
    return `it nests deeper than ${MAX_VALUE_DEPTH} levels`;
  }
  const json = "toJSON" in value && typeof value.toJSON === "function" ? value.toJSON("") : value;
  if (typeof json !== "object") return whyNotJson(json, parents);
  if (json === null) return "it has no JSON form";
  const tag = tagOf(json);
  if (tag !== "[object Object]" && tag !== "[object Array]") {
    return `JSON has no ${tag.slice("[object ".length, -1)}, send an array or a plain object`;
  }
  parents.push(value);
  let reason = "";
  const isArray = Array.isArray(json);
  const values: unknown[] = isArray ? json : Object.values(json);
  // An index loop, because it also visits the holes of a sparse array.
  for (let i = 0; i < values.length && reason === ""; i++) {
    // A member that is undefined is omitted. In an array it would become null.
    if (values[i] !== undefined || isArray) reason = whyNotJson(values[i], parents);
  }
  parents.pop();
  return reason;
}
