/**
 * Owns which clients have come and not been told of yet: a health check connects and is gone again, and
 * is no client that anybody wants to read of. Must not know how clients are told of.
 *
 * @module
 */

import type { RelayClient } from "../relay.ts";
import { isSilent } from "../relay/stats.ts";

/** How often it is looked whether a client has been told something, in milliseconds. */
const LOOK_MS = 50;

/**
 * At which look a client without a byte is told of all the same: after about a second. Looks are counted and
 * not time, as a busy event loop learns late who has gone.
 */
const MAX_LOOKS = 20;

/** Tells of each client once there is something to tell. There is a timer only while one is untold. */
export class Newcomers {
  readonly #onJoin: (client: RelayClient) => void;
  /** Those that have not been told of, and how often each has been looked at. */
  readonly #untold = new Map<RelayClient, number>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Makes one that calls `onJoin` for each client that is not silent, or that stays. */
  constructor(onJoin: (client: RelayClient) => void) {
    this.#onJoin = onJoin;
  }

  /** A client has come. */
  add(client: RelayClient): void {
    if (!isSilent(client)) return this.#onJoin(client);
    this.#untold.set(client, 0);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  /** A client has said something. */
  hear(client: RelayClient): void {
    if (this.#untold.has(client)) this.#tell(client);
  }

  /** A client has gone. Returns whether it has been told of, which it is now if it was not silent. */
  remove(client: RelayClient): boolean {
    const isUntold = this.#untold.has(client);
    if (isUntold && isSilent(client)) {
      this.#forget(client);
      return false;
    }
    if (isUntold) this.#tell(client);
    return true;
  }

  #look(): void {
    for (const [client, looks] of this.#untold) {
      if (!isSilent(client) || looks + 1 >= MAX_LOOKS) this.#tell(client);
      else this.#untold.set(client, looks + 1);
    }
  }

  #tell(client: RelayClient): void {
    this.#forget(client);
    this.#onJoin(client);
  }

  #forget(client: RelayClient): void {
    this.#untold.delete(client);
    if (this.#untold.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
