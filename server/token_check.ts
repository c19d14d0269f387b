/**
 * The comparison of tokens. It takes the same time wherever two tokens differ, so that the time
 * reveals nothing.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";

/** The token of one server. */
export class TokenCheck {
  readonly #digest: Uint8Array;

  /** Keeps no more than a digest of the token. */
  constructor(token: string) {
    this.#digest = digest(token);
  }

  /** Returns whether a peer has given the token. */
  isRight(token: string | undefined): boolean {
    return token !== undefined && timingSafeEqual(digest(token), this.#digest);
  }
}

/** All digests have the same length, as required by the comparison in constant time. */
function digest(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}
