/**
 * Owns what a publisher is told of its events: for how many clients each was queued for which it has
 * asked, and that nobody was there to hear a request. Must not know how they get to the clients.
 *
 * @module
 */

import type { Batch } from "../server/member_diff.ts";
import type { Recipient } from "../server/subscriber_group.ts";
import { receiptText } from "../protocol/routing.ts";

const encoder = new TextEncoder();

/** An event of which somebody wants to know for how many it was queued. */
export class Delivery {
  readonly #ack: string | null;
  readonly #request: string | null;
  readonly #batches: Batch[] = [];
  /** How many of these go to groups of which the publisher is one, and does not get the event. */
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

  /** Whether somebody is asked for an answer. */
  get isRequest(): boolean {
    return this.#request !== null;
  }

  /** Whether all has been queued. */
  get isDone(): boolean {
    return this.#batches.every(({ accepted }) => accepted !== null);
  }

  /** The lines that the publisher is told once all has been queued; mostly none. */
  report(): string {
    // What is sent to a publisher that does not take it ends it: then nobody reads this.
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

/** Whom to tell of an event. */
interface Entry<R extends Recipient> {
  readonly publisher: R;
  readonly delivery: Delivery;
}

/** What publishers are to be told of their events. */
export class Receipts<R extends Recipient> {
  #open: Entry<R>[] = [];

  /** A publisher is to be told of an event once it has been queued. */
  add(publisher: R, delivery: Delivery): void {
    this.#open.push({ publisher, delivery });
  }

  /** Whether a publisher is to be told of something. */
  has(publisher: R): boolean {
    return this.#open.some((entry) => entry.publisher === publisher);
  }

  /** Tells all publishers what there is to tell, each in the order of its events. */
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
    // Encoded in one go, since each call costs more than most of these lines.
    for (const [publisher, lines] of told) {
      if (lines !== "") publisher.send(encoder.encode(lines), 0);
    }
  }
}
