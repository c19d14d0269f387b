/**
 * Receipts for publishers. A receipt reports the number of clients for which an event was queued,
 * or that a request had no recipient.
 *
 * @module
 */

import type { Batch } from "../server/member_diff.ts";
import type { Recipient } from "../server/subscriber_group.ts";
import { encoder } from "../protocol/utf8.ts";
import { receiptText } from "../protocol/control.ts";

/** An event whose publisher expects a receipt. */
export class Delivery {
  readonly #ack: string | null;
  readonly #request: string | null;
  readonly #batches: Batch[] = [];
  /** Number of batches for the publisher's group that do not reach the publisher. */
  #ours = 0;

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
    if (isLeftOut) this.#ours++;
  }

  /** Whether the event is a request. */
  get isRequest(): boolean {
    return this.#request !== null;
  }

  /** Whether all batches have been queued. */
  get isDone(): boolean {
    return this.#batches.every(({ accepted }) => accepted !== null);
  }

  /** Returns the lines for the publisher once all batches have been queued. Usually empty. */
  report(): string {
    // Too low by one if the publisher did not accept its own lines. But then its connection closes.
    let clients = -this.#ours;
    for (const { accepted } of this.#batches) clients += accepted!;
    let lines = "";
    if (this.#ack !== null) lines += receiptText({ id: this.#ack, clients });
    if (this.#request !== null && clients === 0) {
      lines += receiptText({ id: this.#request, clients });
    }
    return lines;
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
    const waiting = new Set<R>();
    const told = new Map<R, string>();
    for (const entry of this.#open) {
      const { publisher, delivery } = entry;
      if (!delivery.isDone || waiting.has(publisher)) {
        waiting.add(publisher);
        open.push(entry);
      } else {
        told.set(publisher, (told.get(publisher) ?? "") + delivery.report());
      }
    }
    this.#open = open;
    // Encoded in one call, because each call costs more than most of these lines.
    for (const [publisher, lines] of told) {
      if (lines !== "") publisher.send(encoder.encode(lines), 0);
    }
  }
}
