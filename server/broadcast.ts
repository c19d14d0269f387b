/**
 * Sends to the clients of a system. The lines to all clients in one turn share the same bytes, and
 * lines to one client are sent along with them.
 *
 * @module
 */

import { Member, SubscriberGroup } from "./subscriber_group.ts";
import type { EbsocketConnection } from "../net/connection.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { WriteCoalescer } from "./coalescer.ts";
import { afterHandlers, handlersEnd } from "../net/handlers.ts";
import { Block } from "../net/piece.ts";

/**
 * Most clients for which it is cheaper to queue the lines to all than to note where a line to one
 * client belongs among them.
 */
const FEW_CLIENTS = 16;

/** Sends lines to a set of clients. */
export class Broadcast {
  readonly #group = new SubscriberGroup<LineConnection>();
  readonly #members = new Map<EbsocketConnection, Member<LineConnection>>();
  readonly #coalescer: WriteCoalescer<LineConnection>;
  readonly #maxPendingBytes: number;
  /** Number of lines sent. */
  #lines = 0;
  #isScheduled = false;

  /** Creates a broadcast without clients. */
  constructor(options: { maxBatchDelay: number; maxPendingBytes: number }) {
    this.#coalescer = new WriteCoalescer({ ...options, onQueued() {}, onFlushed() {} });
    this.#maxPendingBytes = options.maxPendingBytes;
  }

  /** Adds a client. It receives lines sent from now on. */
  add(connection: LineConnection): void {
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
    const excluded = except && this.#members.get(except) || null;
    this.#coalescer.add(this.#group, new Block(line), 0, line.length, 1, excluded);
    this.#added();
    return count;
  }

  /**
   * Sends a line to one client, after the lines sent to all so far and in the same write.
   *
   * @param connection The client.
   * @param line The encoded line.
   * @returns Whether the line was queued. `false` if the connection is not open, or if its send queue
   * is full, which closes it.
   */
  sendTo(connection: EbsocketConnection, line: Uint8Array): boolean {
    if (this.#group.size > 0 && this.#members.size <= FEW_CLIENTS) this.flush();
    const member = this.#members.get(connection);
    const pendingBytes = connection.pendingBytes + this.#group.size + line.length;
    // The connection itself decides whether the line is too much.
    const isDirect = this.#group.size === 0 || pendingBytes > this.#maxPendingBytes;
    if (!member || isDirect || !connection.open) return connection.send(line);
    this.#coalescer.addFor(member, new Block(line), 0, line.length);
    this.#added();
    return true;
  }

  #added(): void {
    this.#lines++;
    if (this.#coalescer.hasEnough(this.#group)) this.#endTurn();
    else if (!this.#isScheduled) this.#endTurnSoon();
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
    this.#isScheduled = true;
    await afterHandlers(handlersEnd(), () => this.#lines);
    this.#isScheduled = false;
    this.#endTurn();
  }

  #endTurn(): void {
    this.#coalescer.endBlock(this, false);
  }
}
