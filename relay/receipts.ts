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
  /** The ID of the request, or `null` if the event is not a request. */
  readonly request: string | null;
  readonly #ack: string | null;
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
    this.request = request;
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
    return this.request !== null;
  }

  /** Whether the number of clients may be too low, because a relay did not tell its part. */
  get isIncomplete(): boolean {
    return this.#batches.some(({ isIncomplete }) => isIncomplete);
  }

  /** The number of clients for which the event was queued. All batches must have been. */
  get clients(): number {
    // Too low by one if the publisher did not accept its own lines. But then its connection closes.
    return this.#batches.reduce((sum, { accepted }) => sum + accepted!, -this.#excluded);
  }

  /** Whether all batches have been queued. */
  get isDone(): boolean {
    return this.#batches.every(({ accepted }) => accepted !== null);
  }

  /** Waits for no further answer. */
  giveUp(): void {
    for (const batch of this.#batches) {
      if (batch.accepted !== null) continue;
      batch.accepted = 0;
      batch.isIncomplete = true;
    }
  }

  /** Returns the receipts for the publisher once all batches have been queued. Usually none. */
  receipts(): Receipt[] {
    const { clients, isIncomplete } = this;
    const incomplete = isIncomplete && { isIncomplete };
    const receipts: Receipt[] = [];
    if (this.#ack !== null) receipts.push({ id: this.#ack, clients, ...incomplete });
    // A request that may have reached a client of another relay may still be answered.
    const isUnheard = clients === 0 && !isIncomplete;
    if (this.request !== null && isUnheard) receipts.push({ id: this.request, clients });
    return receipts;
  }
}

/** The pending receipts of all publishers. */
export class Receipts<P> {
  readonly #send: (publisher: P, deliveries: readonly Delivery[]) => void;
  /** The events of each publisher, in their order. */
  readonly #open = new Map<P, Delivery[]>();

  /**
   * Creates an instance without pending receipts.
   *
   * @param send Sends the receipts of events that have been queued.
   */
  constructor(send: (publisher: P, deliveries: readonly Delivery[]) => void) {
    this.#send = send;
  }

  /** Adds a receipt that is due once the event has been queued. */
  add(publisher: P, delivery: Delivery): void {
    const deliveries = this.#open.get(publisher);
    if (deliveries) deliveries.push(delivery);
    else this.#open.set(publisher, [delivery]);
  }

  /** Returns the number of pending receipts of a publisher. */
  count(publisher: P): number {
    return this.#open.get(publisher)?.length ?? 0;
  }

  /** Answers a publisher that leaves now. Events that wait for other relays are incomplete. */
  settle(publisher: P): void {
    for (const delivery of this.#open.get(publisher) ?? []) delivery.giveUp();
    this.answer();
  }

  /** Sends all receipts that are due, each publisher's in the order of its events. */
  answer(): void {
    for (const [publisher, deliveries] of this.#open) {
      const open = deliveries.findIndex((delivery) => !delivery.isDone);
      if (open === 0) continue;
      if (open < 0) this.#open.delete(publisher);
      this.#send(publisher, open < 0 ? deliveries : deliveries.splice(0, open));
    }
  }
}

/** Sends receipts to a client. */
export function sendReceipts(client: Recipient, deliveries: readonly Delivery[]): void {
  const receipts = deliveries.flatMap((delivery) => delivery.receipts());
  if (receipts.length > 0) client.send(encodeReceipts(receipts), 0);
}
