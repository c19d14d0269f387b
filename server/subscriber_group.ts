/**
 * Clients with equal subscriptions, and the lines they receive next. All members share the same
 * pieces.
 *
 * @module
 */

import { Batch, MemberDiff, type Position } from "./member_diff.ts";
import type { Block, Piece } from "../net/piece.ts";
import { SliceList, SliceListCache } from "./slice_list.ts";

/** A recipient of lines, such as a connection. */
export interface Recipient {
  /** Number of the client: 1 for the first one. */
  readonly id: number;
  /** Whether lines can still be queued. */
  readonly open: boolean;
  /** Bytes queued. */
  readonly pendingBytes: number;
  /** Number of events queued so far. */
  readonly eventsOut: number;
  /** Queues `count` events as complete lines. Returns `false` if that is not possible. */
  send(lines: Uint8Array, count: number): boolean;
  /** Queues `count` events as pieces, which other recipients may share. */
  sendPieces(pieces: readonly Piece[], count: number): boolean;
}

/**
 * How the members of a group receive the events that a relay keeps in its history: as any others,
 * with their offsets, or not with the group, because they come from the history.
 */
export type GroupKind = "plain" | "stamped" | "catching-up";

/** A client and its current group. */
export class Member<R extends Recipient = Recipient> {
  readonly recipient: R;
  /** Whether its events are numbered. */
  isNumbered = false;
  /**
   * Whether it has joined its first queue, and this has not been confirmed to it yet. Until then, it may
   * drop the events of queues.
   */
  isJoining = false;
  /** The clients with the same subscriptions, including this one. */
  group: SubscriberGroup<R>;

  constructor(recipient: R, group: SubscriberGroup<R>) {
    this.recipient = recipient;
    this.group = group;
  }
}

const START: Position = { bytes: 0, events: 0 };

/** Clients with equal subscriptions. */
export class SubscriberGroup<R extends Recipient = Recipient> {
  /** How its members receive kept events. */
  readonly kind: GroupKind;
  /** All members. */
  readonly members = new Set<Member<R>>();
  /** The block and the line that were added last, as noted by the caller. */
  block = 0;
  line = 0;
  /** Whether the held lines must go out at once. */
  isUrgent = false;

  readonly #slices = new SliceList();
  #events = 0;
  /** Members whose lines differ from those of the group. */
  #diffs = new Map<Member<R>, MemberDiff>();
  /** Bytes held for single members. */
  #ownBytes = 0;
  #batch: Batch | null = null;

  /** Creates a group without members. */
  constructor(kind: GroupKind = "plain") {
    this.kind = kind;
  }

  /** Bytes held. */
  get size(): number {
    return this.#slices.size + this.#ownBytes;
  }

  /** Whether a receipt depends on held lines for more than one member. */
  get isAwaited(): boolean {
    return this.#batch !== null;
  }

  /** Adds a member, which does not receive the held lines. No receipt may depend on those. */
  enroll(member: Member<R>): void {
    this.members.add(member);
    if (this.#slices.size > 0) this.#diffOf(member).skip(START, this.#position());
  }

  /** Removes a member, for which no lines may be held. */
  dismiss(member: Member<R>): void {
    this.members.delete(member);
    this.#diffs.delete(member);
  }

  /** Returns the batch of the held lines, for a receipt. */
  batch(): Batch {
    return this.#batch ??= new Batch();
  }

  /** Returns the batch of the lines held for one member, for a receipt. */
  batchOf(member: Member<R>): Batch {
    if (this.members.size === 1) return this.batch();
    return this.#diffOf(member).batch ??= new Batch();
  }

  /**
   * Adds complete lines for all members.
   *
   * @param block The block that contains the lines.
   * @param start The start of the lines in the block.
   * @param end The end of the lines in the block.
   * @param count The number of lines.
   * @param excluded The member that does not receive the lines, or `null`.
   */
  add(
    block: Block,
    start: number,
    end: number,
    count: number,
    excluded: Member<R> | null = null,
  ): void {
    const from = excluded && this.#position();
    this.#slices.add(block, start, end, count);
    this.#events += count;
    if (excluded) this.#diffOf(excluded).skip(from!, this.#position());
  }

  /** Adds one complete line for a single member. */
  addFor(member: Member<R>, block: Block, start: number, end: number): void {
    if (this.members.size === 1) return this.add(block, start, end, 1);
    this.#diffOf(member).insert(this.#position(), block, start, end);
    this.#ownBytes += end - start;
  }

  #position(): Position {
    return { bytes: this.#slices.size, events: this.#events };
  }

  #diffOf(member: Member<R>): MemberDiff {
    let diff = this.#diffs.get(member);
    if (!diff) this.#diffs.set(member, diff = new MemberDiff());
    return diff;
  }

  /**
   * Queues the held lines for the members.
   *
   * @param onQueued Called with each recipient whose lines were queued.
   * @param memo The cache shared by all groups that are flushed together.
   */
  flush(onQueued: (recipient: R) => void, memo: SliceListCache = new SliceListCache()): void {
    if (this.size === 0) return;
    const batch = this.#batch;
    const pieces = this.#slices.take(memo);
    const diffs = this.#diffs.size > 0 ? this.#diffs : null;
    // V8 frees the content of a cleared map only with a full collection of garbage.
    if (diffs) this.#diffs = new Map();
    this.#events = 0;
    this.#ownBytes = 0;
    this.#batch = null;
    this.isUrgent = false;
    let accepted = 0;
    // If lines are held only for single members, the others, possibly thousands, are skipped.
    const reached = pieces.length > 0 ? this.members : diffs?.keys() ?? [];
    for (const member of reached) {
      const diff = diffs?.get(member);
      const own = diff ? diff.apply(pieces) : pieces;
      // A publisher that is excluded from all lines receives no event. Its receipts account for
      // that.
      const isAccepted = own.length === 0 || sendTo(member, own);
      if (diff?.batch) diff.batch.accepted = isAccepted ? 1 : 0;
      if (!isAccepted) continue;
      accepted++;
      onQueued(member.recipient);
    }
    if (batch) batch.accepted = accepted;
  }

  /** Queues the held lines for one member. The others receive them with later lines. */
  flushFor(member: Member<R>, onQueued: (recipient: R) => void): void {
    if (this.#batch || this.members.size === 1) return this.flush(onQueued);
    const diff = this.#diffs.get(member);
    const pieces = this.#slices.peek();
    const own = diff ? diff.apply(pieces) : pieces;
    this.#ownBytes -= diff?.bytes ?? 0;
    this.#diffs.delete(member);
    if (this.#slices.size > 0) this.#diffOf(member).skip(START, this.#position());
    const isAccepted = own.length === 0 || sendTo(member, own);
    if (diff?.batch) diff.batch.accepted = isAccepted ? 1 : 0;
    if (isAccepted) onQueued(member.recipient);
  }
}

/** Queues pieces for a member, numbered if it requested that. Returns whether that was possible. */
export function sendTo({ recipient, isNumbered }: Member, pieces: readonly Piece[]): boolean {
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
