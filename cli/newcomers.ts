/**
 * Delays the report of a new client until it sends a line or stays connected. A health check
 * connects and leaves at once, and is not worth a log line.
 *
 * @module
 */

import type { RelayClient } from "../relay.ts";
import { isSilent } from "../relay/stats.ts";

/** How often silent clients are checked, in milliseconds. */
const LOOK_MS = 50;

/**
 * The number of checks after which even a silent client is reported: about a second. Checks are
 * counted instead of time, since a busy event loop learns late that a client has left.
 */
const MAX_LOOKS = 20;

/**
 * Reports each client once it has sent a byte or has stayed. The timer runs only while a client is
 * unreported.
 */
export class Newcomers {
  readonly #onJoin: (client: RelayClient) => void;
  /** The unreported clients, and how often each has been checked. */
  readonly #unreported = new Map<RelayClient, number>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Creates a list that calls `onJoin` for each client that sends a byte or stays. */
  constructor(onJoin: (client: RelayClient) => void) {
    this.#onJoin = onJoin;
  }

  /** Adds a client that has joined. */
  add(client: RelayClient): void {
    if (!isSilent(client)) return this.#onJoin(client);
    this.#unreported.set(client, 0);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  /** Notes that a client has sent a line. */
  onFirstLine(client: RelayClient): void {
    if (this.#unreported.has(client)) this.#report(client);
  }

  /**
   * Removes a client that has left. Returns whether it has been reported; one that sent a byte is
   * reported now.
   */
  remove(client: RelayClient): boolean {
    const isUnreported = this.#unreported.has(client);
    if (isUnreported && isSilent(client)) {
      this.#forget(client);
      return false;
    }
    if (isUnreported) this.#report(client);
    return true;
  }

  #look(): void {
    for (const [client, looks] of this.#unreported) {
      if (!isSilent(client) || looks + 1 >= MAX_LOOKS) this.#report(client);
      else this.#unreported.set(client, looks + 1);
    }
  }

  #report(client: RelayClient): void {
    this.#forget(client);
    this.#onJoin(client);
  }

  #forget(client: RelayClient): void {
    this.#unreported.delete(client);
    if (this.#unreported.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
