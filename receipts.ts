/**
 * Owns what a publisher is told of its events: for how many clients each was queued for which it has
 * asked, and that nobody was there to hear a request. Must not know how they get to the clients.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Batch, Recipient } from "./audience.ts";
import { encodeReceipt } from "./routing.ts";

/** An event of which somebody wants to know for how many it was queued. */
export class Delivery {
  readonly #ack: string | null;
  readonly #request: string | null;
  readonly #batches: Batch[] = [];
  /** How many of these go to audiences of which the publisher is one, who does not count. */
  #ours = 0;

  /** Makes one for an event with these names, or `null`: of its receipt, and as a request. */
  constructor(ack: string | null, request: string | null) {
    this.#ack = ack;
    this.#request = request;
  }

  /** The event is among the lines of `batch`, which is for its publisher, too, or not. */
  add(batch: Batch, isOurs: boolean): void {
    this.#batches.push(batch);
    if (isOurs) this.#ours++;
  }

  /** Adds what the publisher is told now that all has been queued to `lines`; mostly nothing. */
  report(lines: Uint8Array[]): void {
    let clients = 0;
    for (const { accepted } of this.#batches) clients += accepted;
    // What is sent to a publisher that does not take it ends it: then nobody reads this.
    clients -= this.#ours;
    if (this.#ack !== null) lines.push(encodeReceipt({ id: this.#ack, clients }));
    if (this.#request !== null && clients === 0) {
      lines.push(encodeReceipt({ id: this.#request, clients }));
    }
  }
}

/** Tells a publisher all that it is to be told of the events of a block. */
export function answer(publisher: Recipient, deliveries: readonly Delivery[]): void {
  const lines: Uint8Array[] = [];
  for (const delivery of deliveries) delivery.report(lines);
  if (lines.length > 0) publisher.send(concat(lines), 0);
}
