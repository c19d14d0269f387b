/**
 * Owns what goes to all clients of a system: what is sent to them in one turn shares one piece of bytes.
 * Must not know events, or what a program does with its clients.
 *
 * @module
 */

import { Audience, Listener } from "./audience.ts";
import type { EbsocketConnection } from "./connection.ts";
import { Holdback } from "./holdback.ts";
import { afterHandlers, handlersEnd } from "./heartbeat.ts";
import { Block } from "./outbound.ts";

/** Sends lines to all of some clients. */
export class Broadcast {
  readonly #audience = new Audience<EbsocketConnection>();
  readonly #listeners = new Map<EbsocketConnection, Listener<EbsocketConnection>>();
  readonly #holdback: Holdback<EbsocketConnection>;
  /** How many lines have been sent. */
  #lines = 0;
  #isScheduled = false;

  /** Makes one without clients. */
  constructor(options: { maxBatchDelay: number; maxPendingBytes: number }) {
    this.#holdback = new Holdback({ ...options, onQueued() {}, onFlushed() {} });
  }

  /** Takes a new client, which gets what is sent from now on. */
  add(connection: EbsocketConnection): void {
    const listener = new Listener(connection, this.#audience);
    this.#audience.enroll(listener);
    this.#listeners.set(connection, listener);
    connection.feedFrom(this);
  }

  /** Sends nothing more to a client. */
  delete(connection: EbsocketConnection): void {
    const listener = this.#listeners.get(connection);
    if (!listener) return;
    this.settle(connection);
    this.#audience.dismiss(listener);
    this.#listeners.delete(connection);
  }

  /** Sends a line to all clients, but for one. Returns how many are there to get it. */
  send(line: Uint8Array, except?: EbsocketConnection): number {
    let count = 0;
    for (const connection of this.#listeners.keys()) {
      if (connection !== except && connection.open) count++;
    }
    if (count === 0) return 0;
    const left = except && this.#listeners.get(except) || null;
    this.#holdback.add(this.#audience, new Block(line), 0, line.length, 1, left);
    this.#lines++;
    if (this.#holdback.hasEnough(this.#audience)) this.#endTurn();
    else this.#endTurnSoon();
    return count;
  }

  /** Queues what waits for one client: something else is about to follow. */
  settle(connection: EbsocketConnection): void {
    if (this.#audience.size === 0) return;
    const listener = this.#listeners.get(connection);
    if (listener) this.#holdback.flushFor(listener);
  }

  /** Queues all that waits. */
  flush(): void {
    this.#holdback.flushAll();
  }

  async #endTurnSoon(): Promise<void> {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    await afterHandlers(handlersEnd(), () => this.#lines);
    this.#isScheduled = false;
    this.#endTurn();
  }

  #endTurn(): void {
    this.#holdback.endBlock(this, false);
  }
}
