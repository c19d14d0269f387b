/**
 * Owns what a token may be, and where a client gets it from. Must not know what it is good for.
 *
 * @module
 */

/** The longest token, in bytes of UTF-8. */
const MAX_TOKEN_BYTES = 1024;

/** A token, or a function that gives one, and is called at every attempt to connect. */
export type Token = string | (() => string | Promise<string>);

/** The same of a token, or of a function, which is called only when the token is needed. */
export function checkToken(token: Token): Token {
  if (typeof token === "function") return token;
  return checkTokenText(token);
}

/** `token` if it can be one, otherwise a `TypeError` or `RangeError` that does not show it. */
export function checkTokenText(token: string): string {
  if (typeof token !== "string") {
    throw new TypeError(`Invalid token: expected a string, got ${typeof token}`);
  }
  const fault = faultOfToken(token);
  if (fault) throw new RangeError(`Invalid token: it must have ${fault}`);
  return token;
}

/** What is wrong with a token, if something is. Does not say the token. */
export function faultOfToken(token: string): string | null {
  const { length } = new TextEncoder().encode(token);
  return length >= 1 && length <= MAX_TOKEN_BYTES
    ? null
    : `from 1 to ${MAX_TOKEN_BYTES} bytes, not ${length}`;
}
