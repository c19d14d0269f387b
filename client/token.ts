/**
 * Owns where a client gets its token from. Must not know what it is good for.
 *
 * @module
 */

import { abortable } from "../net/waits.ts";
import { checkTokenText, type Token } from "../protocol/token.ts";

/** The text of a token; rejects if its function does, gives no token, or `signal` is aborted. */
export async function tokenOf(
  token: Token | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  signal.throwIfAborted();
  if (typeof token !== "function") return token;
  return checkTokenText(await abortable(token(), signal));
}
