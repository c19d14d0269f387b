/**
 * Owns what a publisher is told of its events: for how many clients each was queued for which it has
 * asked, and that nobody was there to hear a request. Must not know how they get to the clients.
 *
 * @module
 */

import type { Batch, Recipient } from "./audience.ts";
import { receiptText } from "./routing.ts";

const encoder = new TextEncoder();

/** An event of which somebody wants to know for how many it was queued. */
export class Delivery {
  readonly #ack: string | null;
  readonly #request: string | null;
  readonly #batches: Batch[] = [];
  /** How many of these go to audiences of which the publisher is one, and does not get the event. */
  #ours = 0;

  /** Makes one for an event with these names, or `null`: of its receipt, and as a request. */
  constructor(ack: string | null, request: string | null) {
    this.#ack = ack;
    this.#request = request;
  }

  /** The event is among the lines of `batch`; its publisher has a share in that, but not the event. */
  add(batch: Batch, isLeftOut: boolean): void {
    this.#batches.push(batch);
    if (isLeftOut) this.#ours++;
  }

  /** The lines that the publisher is told now that all has been queued; mostly none. */
  report(): string {
    // What is sent to a publisher that does not take it ends it: then nobody reads this.
    let clients = -this.#ours;
    for (const { accepted } of this.#batches) clients += accepted;
    let lines = "";
    if (this.#ack !== null) lines += receiptText({ id: this.#ack, clients });
    if (this.#request !== null && clients === 0) {
      lines += receiptText({ id: this.#request, clients });
    }
    return lines;
  }
}

/** Tells a publisher all that it is to be told of the events of a block. */
export function answer(publisher: Recipient, deliveries: readonly Delivery[]): void {
  // Encoded in one go, since each call costs more than most of these lines.
  let lines = "";
  for (const delivery of deliveries) lines += delivery.report();
  if (lines !== "") publisher.send(encoder.encode(lines), 0);
}
