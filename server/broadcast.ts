/**
 * Sends to all clients of a system. All lines of one turn share the same bytes.
 *
 * @module
 */

import { Member, SubscriberGroup } from "./subscriber_group.ts";
import type { EbsocketConnection } from "../net/connection.ts";
import { WriteCoalescer } from "./coalescer.ts";
import { afterHandlers, handlersEnd } from "../net/turn.ts";
import { Block } from "../net/send_queue.ts";

/** Sends lines to a set of clients. */
export class Broadcast {
  readonly #group = new SubscriberGroup<EbsocketConnection>();
  readonly #members = new Map<EbsocketConnection, Member<EbsocketConnection>>();
  readonly #coalescer: WriteCoalescer<EbsocketConnection>;
  /** Number of lines sent. */
  #lines = 0;
  #isScheduled = false;

  /** Creates a broadcast without clients. */
  constructor(options: { maxBatchDelay: number; maxPendingBytes: number }) {
    this.#coalescer = new WriteCoalescer({ ...options, onQueued() {}, onFlushed() {} });
  }

  /** Adds a client. It receives lines sent from now on. */
  add(connection: EbsocketConnection): void {
    const member = new Member(connection, this.#group);
    this.#group.enroll(member);
    this.#members.set(connection, member);
    connection.feedFrom(this);
  }

  /** Removes a client. */
  delete(connection: EbsocketConnection): void {
    const member = this.#members.get(connection);
    if (!member) return;
    this.settle(connection);
    this.#group.dismiss(member);
    this.#members.delete(connection);
  }

  /**
   * Sends a line to all clients.
   *
   * @param line The encoded line.
   * @param except The client that does not receive the line.
   * @returns The number of open clients that receive the line.
   */
  send(line: Uint8Array, except?: EbsocketConnection): number {
    let count = 0;
    for (const connection of this.#members.keys()) {
      if (connection !== except && connection.open) count++;
    }
    if (count === 0) return 0;
    const left = except && this.#members.get(except) || null;
    this.#coalescer.add(this.#group, new Block(line), 0, line.length, 1, left);
    this.#lines++;
    if (this.#coalescer.hasEnough(this.#group)) this.#endTurn();
    else this.#endTurnSoon();
    return count;
  }

  /** Queues the held lines of one client, because another line is about to follow. */
  settle(connection: EbsocketConnection): void {
    if (this.#group.size === 0) return;
    const member = this.#members.get(connection);
    if (member) this.#coalescer.flushFor(member);
  }

  /** Queues all held lines. */
  flush(): void {
    this.#coalescer.flushAll();
  }

  async #endTurnSoon(): Promise<void> {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    await afterHandlers(handlersEnd(), () => this.#lines);
    this.#isScheduled = false;
    this.#endTurn();
  }

  #endTurn(): void {
    this.#coalescer.endBlock(this, false);
  }
}
