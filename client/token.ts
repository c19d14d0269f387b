/**
 * Resolves the token of a client.
 *
 * @module
 */

import { abortable } from "../net/waits.ts";
import { checkTokenText, type Token } from "../protocol/token.ts";

/**
 * Resolves to the text of a token. Rejects if its function rejects or returns an invalid token, or
 * if `signal` is aborted.
 */
export async function tokenOf(
  token: Token | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  signal.throwIfAborted();
  if (typeof token !== "function") return token;
  return checkTokenText(await abortable(token(), signal));
}
