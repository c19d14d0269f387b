/**
 * Receipts for publishers. A receipt reports the number of clients for which an event was queued,
 * or that a request had no recipient.
 *
 * @module
 */

import type { Batch } from "../server/member_diff.ts";
import type { Recipient } from "../server/subscriber_group.ts";
import { encodeReceipts, type Receipt } from "../protocol/control.ts";

/** An event whose publisher expects a receipt. */
export class Delivery {
  readonly #ack: string | null;
  readonly #request: string | null;
  readonly #batches: Batch[] = [];
  /** Number of batches for the publisher's group that do not reach the publisher. */
  #excluded = 0;

  /**
   * Creates a delivery.
   *
   * @param ack The ID under which the publisher expects a receipt, or `null`.
   * @param request The ID of the request, or `null` if the event is not a request.
   */
  constructor(ack: string | null, request: string | null) {
    this.#ack = ack;
    this.#request = request;
  }

  /**
   * Adds a batch that contains the event. `isLeftOut` is true if the publisher shares the batch but
   * does not receive the event.
   */
  add(batch: Batch, isLeftOut: boolean): void {
    this.#batches.push(batch);
    if (isLeftOut) this.#excluded++;
  }

  /** Whether the event is a request. */
  get isRequest(): boolean {
    return this.#request !== null;
  }

  /** Whether all batches have been queued. */
  get isDone(): boolean {
    return this.#batches.every(({ accepted }) => accepted !== null);
  }

  /** Returns the receipts for the publisher once all batches have been queued. Usually none. */
  receipts(): Receipt[] {
    // Too low by one if the publisher did not accept its own lines. But then its connection closes.
    let clients = -this.#excluded;
    for (const { accepted } of this.#batches) clients += accepted!;
    const receipts: Receipt[] = [];
    if (this.#ack !== null) receipts.push({ id: this.#ack, clients });
    if (this.#request !== null && clients === 0) receipts.push({ id: this.#request, clients });
    return receipts;
  }
}

/** A publisher and an event for which it expects a receipt. */
interface Entry<R extends Recipient> {
  readonly publisher: R;
  readonly delivery: Delivery;
}

/** The pending receipts of all publishers. */
export class Receipts<R extends Recipient> {
  #open: Entry<R>[] = [];

  /** Adds a receipt that is due once the event has been queued. */
  add(publisher: R, delivery: Delivery): void {
    this.#open.push({ publisher, delivery });
  }

  /** Returns whether receipts for a publisher are pending. */
  has(publisher: R): boolean {
    return this.#open.some((entry) => entry.publisher === publisher);
  }

  /** Sends all receipts that are due, each publisher's in the order of its events. */
  answer(): void {
    if (this.#open.length === 0) return;
    const open: Entry<R>[] = [];
    const due: Entry<R>[] = [];
    const waiting = new Set<R>();
    for (const entry of this.#open) {
      if (!entry.delivery.isDone) waiting.add(entry.publisher);
      if (waiting.has(entry.publisher)) open.push(entry);
      else due.push(entry);
    }
    this.#open = open;
    for (const [publisher, entries] of Map.groupBy(due, ({ publisher }) => publisher)) {
      const receipts = entries.flatMap(({ delivery }) => delivery.receipts());
      if (receipts.length > 0) publisher.send(encodeReceipts(receipts), 0);
    }
  }
}
