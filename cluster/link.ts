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
  type Reached,
} from "../protocol/cluster.ts";
import type { ClientReport } from "../protocol/report.ts";
import { TextMap, type TextSet } from "../protocol/text_map.ts";
import { Batch } from "../server/member_diff.ts";
import type { LinkStream } from "./link_stream.ts";
import { Member, type Recipient, SubscriberGroup } from "../server/subscriber_group.ts";

/** Most bytes of events queued for another relay. */
export const MAX_LINK_BYTES = 8_388_608;

/** Bytes queued, beyond which a relay counts as behind. */
const BEHIND_BYTES = 1_048_576;

/** How long a relay is silent before it does not count as at work, in milliseconds. */
const SILENT_MS = 3000;

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
  readonly stream: LinkStream;
  readonly connection: LineConnection;
  readonly member: Member<Link>;
  /** Whether the interest of the other relay is known. Until then, its clients hear everything. */
  isSettled = false;
  /** The last version of this relay's interest that the other one knows. */
  known = -1;
  /** Whether it ends. Its last lines may still be read. */
  isEnding = false;
  /** The line that precedes the next event of the other relay. */
  next: Next | null = null;
  /**
   * The patterns of queues of the other relay by the link before this one, until it has reported its
   * own. Without them, events for queues would be lost meanwhile.
   */
  readonly inherited = new TextMap<TextSet>();
  /** Clients of the other relay, as it reported them last. */
  clients: readonly ClientReport[] = [];
  /** The last mark of the other relay that has been read, see {@link encodeMark}. */
  mark = 0;
  /** The offset up to which this relay must have the history before it reads on. */
  after = 0;
  /** The same, as the other relay was told. */
  toldAfter = 0;
  /** What confirmations of the other relay's interest wait for. */
  served: Promise<void> | null = null;
  /** Number of events for which there was no room, in total. */
  eventsLost = 0;

  /** Number of events for which there was no room, and which have not been reported. */
  #unreported = 0;
  /** The events without an answer, oldest first. */
  readonly #asked = new Map<number, Asked>();

  constructor(relay: string, stream: LinkStream, connection: LineConnection) {
    this.relay = relay;
    this.stream = stream;
    this.connection = connection;
    this.member = new Member<Link>(this, new SubscriberGroup<Link>());
    this.member.group.enroll(this.member);
  }

  get open(): boolean {
    return this.connection.open && !this.isEnding;
  }

  get pendingBytes(): number {
    return this.connection.pendingBytes;
  }

  /** Whether the other relay has given a sign of life lately. */
  get isAtWork(): boolean {
    return performance.now() - this.stream.heardAt < SILENT_MS;
  }

  /** Whether others should be preferred. */
  get isBehind(): boolean {
    return this.pendingBytes > BEHIND_BYTES || !this.isAtWork;
  }

  /** Whether there is room for reports of interest. */
  get takesInterest(): boolean {
    return this.open && this.stream.isEstablished && this.pendingBytes <= BEHIND_BYTES;
  }

  send(lines: Uint8Array, count: number): boolean {
    this.eventsOut += count;
    return this.connection.send(lines, count);
  }

  sendPieces(pieces: readonly Piece[], count: number): boolean {
    const { pendingBytes } = this;
    const fits = pendingBytes === 0 || pendingBytes + sizeOf(pieces) <= MAX_LINK_BYTES;
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

  /** Waits until the other relay has read what there is for it now. Resolves to whether it has. */
  async whenPassedOn(): Promise<boolean> {
    try {
      await this.connection.flush();
      return await this.stream.whenTaken();
    } catch {
      return false; // The link has ended.
    }
  }

  /**
   * Notes that the other relay was asked about an event. Returns the batch that its answer completes.
   *
   * @param since The time from which on it is waited for, `Infinity` until {@link await}.
   */
  ask(number: number, since: number = performance.now()): Batch {
    const batch = new Batch();
    this.#asked.set(number, { batch, since, waits: 1, clients: 0 });
    return batch;
  }

  /** Waits for an answer from now on. */
  await(number: number): void {
    const asked = this.#asked.get(number);
    if (!asked) return;
    this.#asked.delete(number); // The order is that in which they are waited for.
    this.#asked.set(number, { ...asked, since: performance.now() });
  }

  /** Waits for another answer, about the same event passed on once more. */
  askAgain(number: number): void {
    const asked = this.#asked.get(number);
    if (asked) asked.waits++;
  }

  /** Takes an answer, which may be incomplete. */
  answer({ number, clients }: Reached, isIncomplete = false): void {
    const asked = this.#asked.get(number);
    if (!asked) return;
    asked.clients += clients;
    asked.batch.isIncomplete ||= isIncomplete;
    if (--asked.waits > 0) return;
    this.#asked.delete(number);
    asked.batch.accepted = asked.clients;
  }

  /** Gives up on answers that have taken too long. Returns whether there were any. */
  expire(now: number = Infinity): boolean {
    let count = 0;
    for (const [number, { batch, since, clients }] of this.#asked) {
      if (since === Infinity && now < Infinity) continue; // It is not waited for yet.
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
