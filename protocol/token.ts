/**
 * The rules for tokens.
 *
 * @module
 */

import { byteLength } from "./utf8.ts";

/** The longest token, in bytes of UTF-8. */
const MAX_TOKEN_BYTES = 1024;

/** A token, or a function that returns one. The function is called at each attempt to connect. */
export type Token = string | (() => string | Promise<string>);

/** Returns `token` if it is valid. A function is not called here, only when the token is needed. */
export function checkToken(token: Token): Token {
  if (typeof token === "function") return token;
  return checkTokenText(token);
}

/**
 * Returns `token` if it is valid. The errors do not reveal it.
 *
 * @throws {TypeError} If it is not a string.
 * @throws {RangeError} If its length is out of range.
 */
export function checkTokenText(token: string): string {
  if (typeof token !== "string") {
    throw new TypeError(`Invalid token: expected a string, got ${typeof token}`);
  }
  const fault = faultOfToken(token);
  if (fault) throw new RangeError(`Invalid token: it must have ${fault}`);
  return token;
}

/**
 * Returns the fault of a token, or `null` if the token is valid. The text does not reveal the
 * token.
 */
export function faultOfToken(token: string): string | null {
  const length = byteLength(token);
  return length >= 1 && length <= MAX_TOKEN_BYTES
    ? null
    : `from 1 to ${MAX_TOKEN_BYTES} bytes, not ${length}`;
}
