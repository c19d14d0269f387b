/**
 * Owns the clients that hear the very same events, and what they are to get next: one piece of bytes
 * for all of them. Must not know why they hear the same, or when it is time to send.
 *
 * @module
 */

import { memberBytes } from "./envelope.ts";
import { Share } from "./share.ts";
import { Subscriptions } from "./subscriptions.ts";

const LF = 0x0a;
const OPEN_BRACE = 0x7b;

/** Who gets lines; a connection is. */
export interface Recipient {
  /** Which client it is: 1 for the first that came. */
  readonly id: number;
  /** Whether anything can still be queued for it. */
  readonly open: boolean;
  /** How many bytes wait for it. */
  readonly pendingBytes: number;
  /** How many events have been queued for it. */
  readonly eventsOut: number;
  /** Queues `count` events, as whole lines; `false` if that cannot be done. */
  send(lines: Uint8Array, count: number): boolean;
}

/** One client of a relay, and what it hears. */
export class Listener<R extends Recipient = Recipient> {
  readonly recipient: R;
  /** What it has asked for. */
  subscriptions: Subscriptions = Subscriptions.NONE_YET;
  /** Whether its events are numbered. */
  isNumbered = false;
  /** The clients that hear the same as it does; set from when it is one of them. */
  audience: Audience<R>;
  /** What it is to get that the others are not, made when there is any. */
  direct: Audience<R> | null = null;
  #signature: Uint8Array | null = null;

  constructor(recipient: R, audience: Audience<R>) {
    this.recipient = recipient;
    this.audience = audience;
  }

  /** What stands in front of its events that somebody may answer: `"from":"c3",`. */
  get signature(): Uint8Array {
    return this.#signature ??= memberBytes("from", `c${this.recipient.id}`);
  }
}

/** Lines that go to an audience together. */
export class Batch {
  /** For how many clients they were queued; known once they have been sent. */
  accepted = 0;
}

/** Clients that hear the same events. */
export class Audience<R extends Recipient = Recipient> {
  /** All have equal subscriptions; where events are numbered, there is one. */
  readonly members = new Set<Listener<R>>();
  /** The audiences of single members for which something waits that the others do not get. */
  readonly directs = new Set<Audience<R>>();
  /** In which block lines were added last, and as which line: noted by whoever adds them. */
  block = 0;
  line = 0;
  /** The member that does not get what waits; all that waits is for the same. */
  left: Listener<R> | null = null;

  readonly #isNumbered: boolean;
  readonly #share = new Share();
  #count = 0;
  #batch: Batch | null = null;

  constructor(isNumbered = false) {
    this.#isNumbered = isNumbered;
  }

  /** How many bytes wait. */
  get size(): number {
    return this.#share.size;
  }

  /** Whether somebody waits for what becomes of the lines. */
  get isAwaited(): boolean {
    return this.#batch !== null;
  }

  /** What waits, for somebody who waits for what becomes of it. */
  get batch(): Batch {
    return this.#batch ??= new Batch();
  }

  /** Adds the `count` whole lines of a block that lie from `start` to `end`. */
  add(block: Uint8Array, start: number, end: number, count: number): void {
    if (this.#isNumbered) this.#addNumbered(block, start, end);
    else this.#share.add(block, start, end);
    this.#count += count;
  }

  /** Adds lines, each with its number in front of all else. */
  #addNumbered(block: Uint8Array, start: number, end: number): void {
    let number = this.#count;
    for (const { recipient } of this.members) number += recipient.eventsOut;
    while (start < end) {
      const behind = block.indexOf(OPEN_BRACE, start) + 1;
      const next = block.indexOf(LF, behind) + 1;
      const member = memberBytes("seq", ++number);
      this.#share.add(block, start, behind);
      this.#share.add(member, 0, member.length);
      this.#share.add(block, behind, next);
      start = next;
    }
  }

  /** Queues what waits for the members, and calls `onQueued` with each for whom that was possible. */
  flush(onQueued: (recipient: R) => void): void {
    if (this.#share.size === 0) return;
    const count = this.#count;
    const left = this.left;
    const batch = this.#batch;
    const lines = this.#share.take();
    this.#count = 0;
    this.left = null;
    this.#batch = null;
    let accepted = 0;
    for (const member of this.members) {
      if (member === left || !member.recipient.send(lines, count)) continue;
      accepted++;
      onQueued(member.recipient);
    }
    if (batch) batch.accepted = accepted;
  }
}
