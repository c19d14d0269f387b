/**
 * The link to one other relay: its queue, and its pending answers.
 *
 * A link never closes because it is slow. An event for which there is no room is counted, and a
 * line with the count takes its place, so that the other relay can inform its clients.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { LineConnection } from "../net/line_connection.ts";
import { type Piece, sizeOf } from "../net/piece.ts";
import {
  encodeLost,
  encodeNext,
  encodeReached,
  type Next,
  type QueueInterest,
  type Reached,
} from "../protocol/cluster.ts";
import type { ClientReport } from "../protocol/report.ts";
import { Batch } from "../server/member_diff.ts";
import { Member, type Recipient, SubscriberGroup } from "../server/subscriber_group.ts";

/** Most bytes of events queued for another relay. */
export const MAX_LINK_BYTES = 8_388_608;

/** Bytes queued, beyond which a relay counts as behind. */
const BEHIND_BYTES = 1_048_576;

/** How long an answer is waited for, in milliseconds. */
const ANSWER_MS = 1000;

/** An event of which the other relay was asked how many clients it was queued for. */
interface Asked {
  readonly batch: Batch;
  readonly since: number;
  /** The number of answers that are still to come. There are more once it was handed back. */
  waits: number;
  /** The number of clients in the answers so far. */
  clients: number;
}

/** One other relay. */
export class Link implements Recipient {
  readonly id = 0;
  eventsOut = 0;
  /** Number of events received. */
  eventsIn = 0;
  /** The ID of the other relay. */
  readonly relay: string;
  readonly connection: LineConnection;
  readonly member: Member<Link>;
  /** Whether the interest of the other relay is known. Until then, its clients hear everything. */
  isSettled = false;
  /** The last change of this relay's interest that the other one has confirmed. */
  held = 0;
  /** The line that precedes the next event of the other relay. */
  next: Next | null = null;
  /**
   * The queues of the other relay by the link before this one, until it has reported its own. Without
   * them, events for queues would be lost meanwhile.
   */
  inherited: readonly QueueInterest[] = [];
  /** Clients of the other relay, as it reported them last. */
  clients: readonly ClientReport[] = [];
  /** Number of events for which there was no room, in total. */
  eventsLost = 0;

  /** Number of events for which there was no room, and which have not been reported. */
  #unreported = 0;
  /** The events without an answer, oldest first. */
  readonly #asked = new Map<number, Asked>();

  constructor(relay: string, connection: LineConnection) {
    this.relay = relay;
    this.connection = connection;
    this.member = new Member<Link>(this, new SubscriberGroup<Link>());
    this.member.group.enroll(this.member);
  }

  get open(): boolean {
    return this.connection.open;
  }

  get pendingBytes(): number {
    return this.connection.pendingBytes;
  }

  /** Whether so much is queued that others should be preferred. */
  get isBehind(): boolean {
    return this.pendingBytes > BEHIND_BYTES;
  }

  send(lines: Uint8Array, count: number): boolean {
    this.eventsOut += count;
    return this.connection.send(lines, count);
  }

  sendPieces(pieces: readonly Piece[], count: number): boolean {
    const fits = this.pendingBytes + sizeOf(pieces) <= MAX_LINK_BYTES;
    if (!fits || !this.open) {
      this.eventsLost += count;
      this.#unreported += count;
      return false;
    }
    if (this.#unreported > 0) {
      this.connection.send(encodeLost(this.#unreported), 0);
      this.#unreported = 0;
    }
    this.eventsOut += count;
    return this.connection.sendPieces(pieces, count);
  }

  /** Reports events for which there was no room, once there is. */
  reportLost(): void {
    if (this.#unreported === 0 || !this.open || this.isBehind) return;
    this.connection.send(encodeLost(this.#unreported), 0);
    this.#unreported = 0;
  }

  /** Notes that the other relay was asked about an event. Returns the batch that its answer completes. */
  ask(number: number): Batch {
    const batch = new Batch();
    this.#asked.set(number, { batch, since: performance.now(), waits: 1, clients: 0 });
    return batch;
  }

  /** Waits for another answer, about the same event passed on once more. */
  askAgain(number: number): void {
    const asked = this.#asked.get(number);
    if (asked) asked.waits++;
  }

  /** Takes an answer. */
  answer({ number, clients }: Reached): void {
    const asked = this.#asked.get(number);
    if (!asked) return;
    asked.clients += clients;
    if (--asked.waits > 0) return;
    this.#asked.delete(number);
    asked.batch.accepted = asked.clients;
  }

  /** Gives up on answers that have taken too long. Returns whether there were any. */
  expire(now: number = Infinity): boolean {
    let count = 0;
    for (const [number, { batch, since, clients }] of this.#asked) {
      if (now - since < ANSWER_MS) break;
      this.#asked.delete(number);
      batch.accepted = clients;
      batch.isIncomplete = true;
      count++;
    }
    return count > 0;
  }

  /** Returns an event of a queue of which there is no member any more. */
  handBack(line: Uint8Array, queues: readonly string[], number: number | undefined): void {
    this.send(concat([encodeNext({ number, queues, back: true }), line]), 1);
  }

  /** Reports for how many clients events of the other relay were queued. */
  report(answers: readonly Reached[]): void {
    if (answers.length > 0) this.connection.send(encodeReached(answers), 0);
  }
}
