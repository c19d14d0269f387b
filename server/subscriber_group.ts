/**
 * Owns the clients that hear the very same events, and what they are to get next: the same pieces for
 * all of them. Must not know why they hear the same, or when it is time to send.
 *
 * @module
 */

import { Batch, MemberDiff, type Position } from "./member_diff.ts";
import type { Block, Piece } from "../net/send_queue.ts";
import { SliceList, SliceListCache } from "./slice_list.ts";

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
  /** Does the same with pieces that others may get as well. */
  sendPieces(pieces: readonly Piece[], count: number): boolean;
}

/** One client, and those that it hears the same as. */
export class Member<R extends Recipient = Recipient> {
  readonly recipient: R;
  /** Whether its events are numbered. */
  isNumbered = false;
  /** The clients that hear the same as it does, itself included. */
  group: SubscriberGroup<R>;

  constructor(recipient: R, group: SubscriberGroup<R>) {
    this.recipient = recipient;
    this.group = group;
  }
}

const START: Position = { bytes: 0, events: 0 };

/** Clients that hear the same events. */
export class SubscriberGroup<R extends Recipient = Recipient> {
  /** All have equal subscriptions. */
  readonly members = new Set<Member<R>>();
  /** In which block lines were added last, and as which line: noted by whoever adds them. */
  block = 0;
  line = 0;
  /** Whether what waits has to go out at once. */
  isUrgent = false;

  readonly #share = new SliceList();
  #events = 0;
  /** The members that do not get just what all get. */
  readonly #detours = new Map<Member<R>, MemberDiff>();
  /** How many bytes wait for single members. */
  #ownBytes = 0;
  #batch: Batch | null = null;

  /** How many bytes wait. */
  get size(): number {
    return this.#share.size + this.#ownBytes;
  }

  /** Whether somebody waits for what becomes of lines that are for more than one member. */
  get isAwaited(): boolean {
    return this.#batch !== null;
  }

  /** Takes a new member. It gets nothing of what waits; nobody may wait for what becomes of that. */
  enroll(member: Member<R>): void {
    this.members.add(member);
    if (this.#share.size > 0) this.#detourOf(member).skip(START, this.#position());
  }

  /** Lets a member go. Nothing may wait for it. */
  dismiss(member: Member<R>): void {
    this.members.delete(member);
    this.#detours.delete(member);
  }

  /** What waits, for somebody who waits for what becomes of it. */
  batch(): Batch {
    return this.#batch ??= new Batch();
  }

  /** The same for what waits for one member. */
  batchOf(member: Member<R>): Batch {
    if (this.members.size === 1) return this.batch();
    return this.#detourOf(member).batch ??= new Batch();
  }

  /** Adds the `count` whole lines of a block from `start` to `end`, for all but one member, or none. */
  add(
    block: Block,
    start: number,
    end: number,
    count: number,
    left: Member<R> | null = null,
  ): void {
    const from = left && this.#position();
    this.#share.add(block, start, end, count);
    this.#events += count;
    if (left) this.#detourOf(left).skip(from!, this.#position());
  }

  /** Adds one whole line for one member alone. */
  addFor(member: Member<R>, block: Block, start: number, end: number): void {
    if (this.members.size === 1) return this.add(block, start, end, 1);
    this.#detourOf(member).insert(this.#position(), block, start, end);
    this.#ownBytes += end - start;
  }

  #position(): Position {
    return { bytes: this.#share.size, events: this.#events };
  }

  #detourOf(member: Member<R>): MemberDiff {
    let detour = this.#detours.get(member);
    if (!detour) this.#detours.set(member, detour = new MemberDiff());
    return detour;
  }

  /**
   * Queues what waits for the members, and calls `onQueued` with each for whom that was possible. `memo`
   * is that of all groups that are flushed together.
   */
  flush(onQueued: (recipient: R) => void, memo: SliceListCache = new SliceListCache()): void {
    if (this.size === 0) return;
    const batch = this.#batch;
    const pieces = this.#share.take(memo);
    const detours = this.#detours.size > 0 ? new Map(this.#detours) : null;
    this.#events = 0;
    this.#ownBytes = 0;
    this.#batch = null;
    this.isUrgent = false;
    this.#detours.clear();
    let accepted = 0;
    // Thousands may hear nothing but what is for one of them: then the others are not looked at.
    const reached = pieces.length > 0 ? this.members : detours?.keys() ?? [];
    for (const member of reached) {
      const detour = detours?.get(member);
      const own = detour ? detour.apply(pieces) : pieces;
      // A publisher that is left out of all lines has none of the events, which its receipts allow for.
      const isAccepted = own.length === 0 || send(member, own);
      if (detour?.batch) detour.batch.accepted = isAccepted ? 1 : 0;
      if (!isAccepted) continue;
      accepted++;
      onQueued(member.recipient);
    }
    if (batch) batch.accepted = accepted;
  }

  /** Queues what waits for one member. The others get it with what comes. */
  flushFor(member: Member<R>, onQueued: (recipient: R) => void): void {
    if (this.#batch || this.members.size === 1) return this.flush(onQueued);
    const detour = this.#detours.get(member);
    const pieces = this.#share.peek();
    const own = detour ? detour.apply(pieces) : pieces;
    this.#ownBytes -= detour?.bytes ?? 0;
    this.#detours.delete(member);
    if (this.#share.size > 0) this.#detourOf(member).skip(START, this.#position());
    const isAccepted = own.length === 0 || send(member, own);
    if (detour?.batch) detour.batch.accepted = isAccepted ? 1 : 0;
    if (isAccepted) onQueued(member.recipient);
  }
}

/** Queues pieces for a member, with numbers if it wants them. */
function send({ recipient, isNumbered }: Member, pieces: readonly Piece[]): boolean {
  let count = 0;
  for (const { events } of pieces) count += events;
  if (!isNumbered) return recipient.sendPieces(pieces, count);
  let next = recipient.eventsOut + 1;
  const numbered = pieces.map((piece) => {
    const first = next;
    next += piece.events;
    return piece.numbered(first);
  });
  return recipient.sendPieces(numbered, count);
}
