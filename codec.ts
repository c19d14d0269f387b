/**
 * Owns the encoding of an event: makes a line of a name and attributes, and refuses what JSON would
 * lose. Must not know sockets or time.
 *
 * @module
 */

import { DEFAULT_MAX_DEPTH, MAX_NAME_BYTES } from "./validate.ts";
import { quote } from "./printable.ts";

const encoder = new TextEncoder();

/** Characters that JSON allows raw in a string but that naive line readers take for a line end. */
const LINE_SEPARATORS = /[\u0085\u2028\u2029]/g;

/** How deep the attributes may nest: the line around them takes two levels. */
const MAX_VALUE_DEPTH = DEFAULT_MAX_DEPTH - 2;

/** `name` if it can name an event, otherwise a `TypeError` or `RangeError`. */
export function checkName<N extends string>(name: N): N {
  if (typeof name !== "string") {
    throw new TypeError(`Invalid event name: expected a string, got ${Deno.inspect(name)}`);
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

/** `attributes` if they are an object with members, otherwise a `TypeError`. */
export function checkAttributes<A extends object>(attributes: A): A {
  if (kindOf(attributes) !== "Object") {
    throw new TypeError(
      `Invalid event attributes: expected an object, got ${Deno.inspect(attributes)}`,
    );
  }
  return attributes;
}

/** What `value` is: `Object` for plain objects and instances of most classes, or `Array`, `Map`… */
function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** The line of an event, without its newline, as text. */
export function encodeText(name: string, attributes: object): string {
  checkName(name);
  for (const [key, value] of Object.entries(checkAttributes(attributes))) {
    const reason = whyNotJson(value, []);
    if (reason) throw new TypeError(`Cannot encode attribute ${quote(key)}: ${reason}`);
  }
  // The copy has no prototype with a toJSON() that could turn the attributes into something else.
  return encodeJson({ event: name, __dict__: { ...attributes } });
}

/** JSON without any character that a line reader could take for the end of the line. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value).replace(
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
): Uint8Array<ArrayBuffer> {
  const line = encoder.encode(`${encodeText(name, attributes)}\n`);
  if (line.length - 1 > maxLineBytes) {
    throw new RangeError(
      `Cannot send event ${quote(name)}: its ${
        line.length - 1
      } bytes exceed maxLineBytes ${maxLineBytes}`,
    );
  }
  return line;
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
  const kind = kindOf(json);
  if (kind !== "Object" && kind !== "Array") {
    return `JSON has no ${kind}, send an array or a plain object`;
  }
  parents.push(value);
  let reason = "";
  // An index loop, so that the holes of a sparse array are seen as what they are.
  const values: unknown[] = Array.isArray(json) ? json : Object.values(json);
  for (let i = 0; i < values.length && reason === ""; i++) {
    reason = whyNotJson(values[i], parents);
  }
  parents.pop();
  return reason;
}
