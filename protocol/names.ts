/**
 * The rule for the names of events, clients and queues, for the IDs of requests and receipts, and
 * for the length of patterns.
 *
 * @module
 */

import { inspect, quote } from "./printable.ts";
import { byteLength } from "./utf8.ts";

/** The longest name, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 255;

/** A valid name, as messages describe it. */
export const NAME_RULE = `string of 1 to ${MAX_NAME_BYTES} bytes`;

/** The queue of subscriptions without a queue. No queue can have this name. */
export const NO_QUEUE = "";

/** Returns the fault of a name, or an empty string if the name is valid. */
export function faultOfName(name: string): string {
  // No UTF-16 code unit needs more than three bytes, so most names can be checked without encoding.
  if (name !== "" && 3 * name.length <= MAX_NAME_BYTES) return "";
  const length = byteLength(name);
  if (length > 0 && length <= MAX_NAME_BYTES) return "";
  return `expected 1 to ${MAX_NAME_BYTES} bytes, got ${length}`;
}

/** Returns whether a value is a valid name. */
export function isName(value: unknown): value is string {
  return typeof value === "string" && faultOfName(value) === "";
}

/**
 * Returns `name` if it is valid.
 *
 * @param name The name to check.
 * @param kind Describes the name in the error.
 * @throws {TypeError} If it is not a string.
 * @throws {RangeError} If it is not 1 to 255 bytes of UTF-8.
 */
export function checkName<N extends string>(name: N, kind = "event name"): N {
  if (typeof name !== "string") {
    throw new TypeError(`Invalid ${kind}: expected a string, got ${inspect(name)}`);
  }
  const fault = faultOfName(name);
  if (fault) throw new RangeError(`Invalid ${kind} ${quote(name)}: ${fault}`);
  return name;
}
