/**
 * Owns the encoding of an event: makes a line of a name and attributes, and refuses what JSON would
 * lose. Must not know sockets or time.
 *
 * @module
 */

import { DEFAULT_MAX_DEPTH, MAX_NAME_BYTES } from "./validator.ts";
import { inspect, quote } from "./printable.ts";

const encoder = new TextEncoder();

/** Characters that JSON allows raw in a string but that naive line readers take for a line end. */
const LINE_SEPARATORS = /[\u0085\u2028\u2029]/g;

const LF = 0x0a;

/** No UTF-16 unit needs more bytes of UTF-8. */
const MAX_UNIT_BYTES = 3;

/**
 * How large the blocks of a {@link LineEncoder} become, in bytes: little enough for a client that
 * has nothing more to send, and enough that a block costs much less than the lines in it.
 */
const MAX_BLOCK_BYTES = 16_384;

/** The longest line that shares a block, in UTF-16 units; longer ones are worth one of their own. */
const MAX_SHARING_LENGTH = 1024;

/** How deep the attributes may nest: the line around them takes two levels. */
const MAX_VALUE_DEPTH = DEFAULT_MAX_DEPTH - 2;

/** `name` if it can name an event, otherwise a `TypeError` or `RangeError`. */
export function checkName<N extends string>(name: N): N {
  if (typeof name !== "string") {
    throw new TypeError(`Invalid event name: expected a string, got ${inspect(name)}`);
  }
  // No UTF-16 unit needs more than three bytes, so most names need not be encoded to be measured.
  if (name !== "" && 3 * name.length <= MAX_NAME_BYTES) return name;
  const length = encoder.encode(name).length;
  if (length === 0 || length > MAX_NAME_BYTES) {
    throw new RangeError(
      `Invalid event name ${quote(name)}: expected 1 to ${MAX_NAME_BYTES} bytes, got ${length}`,
    );
  }
  return name;
}

/** Makes sure that somebody who does not listen to the compiler has given an event. */
export function checkEvent(event: { event: string; __dict__: object }): void {
  if (typeof event?.event === "string" && typeof event.__dict__ === "object") return;
  throw new TypeError(`Cannot send ${inspect(event)}: expected an EbsocketEvent`);
}

/** `attributes` if they are an object with members, otherwise a `TypeError`. */
export function checkAttributes<A extends object>(attributes: A): A {
  if (tagOf(attributes) !== "[object Object]") {
    throw new TypeError(
      `Invalid event attributes: expected an object, got ${inspect(attributes)}`,
    );
  }
  return attributes;
}

/** `[object Object]` for plain objects and instances of most classes, or `[object Map]`… */
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value);
}

/** What the line of an event says beside its name and attributes. */
export interface Envelope {
  /** What answers to it are to call it: it is a request. */
  readonly id?: string;
  /** The client that is to get it, alone. */
  readonly to?: string;
  /** The `id` of the request that it answers. */
  readonly reply_to?: string;
  /** What a receipt for it is to be called. */
  readonly ack?: string;
}

/** The line of an event, without its newline, as text. */
export function encodeText(name: string, attributes: object): string {
  return escapeSeparators(toJson(name, attributes));
}

/** JSON without any character that a line reader could take for the end of the line. */
export function encodeJson(value: unknown): string {
  return escapeSeparators(JSON.stringify(value));
}

/** The JSON of an event, with separators as they are. */
function toJson(name: string, attributes: object, envelope?: Envelope): string {
  checkName(name);
  // The copy has no getter that could give something else once it has been checked, and no
  // prototype with a toJSON() that could turn the attributes into something else.
  const copy: Record<string, unknown> = { ...checkAttributes(attributes) };
  for (const key of Object.keys(copy)) {
    if (copy[key] === undefined) continue; // JSON.stringify() leaves it out.
    const reason = whyNotJson(copy[key], []);
    if (reason) throw new TypeError(`Cannot encode attribute ${quote(key)}: ${reason}`);
  }
  return JSON.stringify({ event: name, __dict__: copy, ...envelope });
}

function escapeSeparators(json: string): string {
  return json.replace(
    LINE_SEPARATORS,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * The line of an event with its newline, as bytes. Longer than `maxLineBytes`, which a peer with the
 * same limit would refuse, it is a `RangeError`.
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
 * Encodes the lines for one connection, one behind the other into blocks of memory: to allocate
 * memory for each line costs more than all the rest. Not for several connections: a slow one would
 * hold whole blocks for the few lines that it has in each.
 */
export class LineEncoder {
  #block = new ArrayBuffer(0);
  /** How much of the block holds lines that are kept. */
  #used = 0;

  /** What {@link encodeLine} gives. The next call overwrites it, unless it is {@link keep}t. */
  encode(
    name: string,
    attributes: object,
    maxLineBytes: number,
    envelope?: Envelope,
  ): Uint8Array<ArrayBuffer> {
    const json = toJson(name, attributes, envelope);
    let line = this.#write(json);
    // To look for separators takes longer than to encode, and ASCII has none.
    const isAscii = line.length === json.length + 1;
    if (!isAscii) line = this.#write(escapeSeparators(json));
    checkLength(name, line.length - 1, maxLineBytes);
    return line;
  }

  /** Keeps the line that was encoded last: it never changes. */
  keep(line: Uint8Array<ArrayBuffer>): void {
    if (line.buffer === this.#block) this.#used += line.length;
  }

  #write(text: string): Uint8Array<ArrayBuffer> {
    if (text.length > MAX_SHARING_LENGTH) return encoder.encode(`${text}\n`);
    const most = MAX_UNIT_BYTES * text.length + 1;
    if (this.#used + most > this.#block.byteLength) {
      const size = Math.min(2 * this.#block.byteLength, MAX_BLOCK_BYTES);
      this.#block = new ArrayBuffer(Math.max(size, most));
      this.#used = 0;
    }
    const room = new Uint8Array(this.#block, this.#used);
    const { written } = encoder.encodeInto(text, room);
    room[written] = LF;
    return new Uint8Array(this.#block, this.#used, written + 1);
  }
}

function checkLength(name: string, length: number, maxLineBytes: number): void {
  if (length <= maxLineBytes) return;
  throw new RangeError(
    `Cannot send event ${quote(name)}: its ${length} bytes exceed maxLineBytes ${maxLineBytes}`,
  );
}

/** What keeps `value` from surviving JSON, or an empty string. `parents` are the objects around it. */
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
  // An index loop, so that the holes of a sparse array are seen as what they are.
  for (let i = 0; i < values.length && reason === ""; i++) {
    // A member that is undefined is left out. In an array it would become null.
    if (values[i] !== undefined || isArray) reason = whyNotJson(values[i], parents);
  }
  parents.pop();
  return reason;
}
