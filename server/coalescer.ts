/**
 * Owns when the lines of an group go out, and that they stay in order. Must not know whom a line is
 * for, or why.
 *
 * A write for each client and each few lines may cost more than all the rest. So lines are kept until
 * enough has piled up, or a short time has passed, in two cases. Where many talk to many, there is no time to
 * write each event by itself: then they are gathered, see `heartbeat.ts`. And where a publisher has more
 * to say of which an group gets only a part, that is kept until it has said all. What has to go out at
 * once, or is for one client alone, takes along what it would overtake, and is not kept.
 *
 * @module
 */

import type { Member, Recipient, SubscriberGroup } from "./subscriber_group.ts";
import { gatherTime, noteDemand, SHORT_BYTES } from "../net/turn.ts";
import { type Block, MAX_BATCH_BYTES } from "../net/send_queue.ts";
import { SliceListCache } from "./slice_list.ts";

/**
 * How large a share is not kept any longer, in bytes: three quarters of what one write hands over, as
 * one more block adds a little. But what then comes for a client must fit into its queue at once, in
 * which a half may be taken before it lags, and a quarter is what is read at once: hence no more than
 * an eighth of that.
 */
const ENOUGH_BYTES = 0.75 * MAX_BATCH_BYTES;

/** How many bytes of lines may be kept, and of the blocks in which they are. */
const MAX_HELD_BYTES = 33_554_432;
const MAX_HELD_BLOCK_BYTES = 8_388_608;

/** What {@link WriteCoalescer} needs to know. */
export interface WriteCoalescerOptions<R extends Recipient> {
  /** For how long lines are kept at most, in milliseconds; longer while the relay is too busy to look. */
  readonly maxBatchDelay: number;
  /** How many bytes may wait for each client. */
  readonly maxPendingBytes: number;
  /** Called with each client for which lines have just been queued. */
  readonly onQueued: (recipient: R) => void;
  /** Called when lines have been queued that were kept, at another time than the end of a block. */
  readonly onFlushed: () => void;
}

/** Keeps what waits for the groups of one relay, and lets it go. */
export class WriteCoalescer<R extends Recipient> {
  readonly #onQueued: (recipient: R) => void;
  readonly #onFlushed: () => void;
  readonly #maxDelay: number;
  readonly #enoughBytes: number;
  /** Which block is being passed on. */
  #block = 1;
  /** The groups that have got lines of this block. */
  readonly #touched: SubscriberGroup<R>[] = [];
  /** The clients that have got lines for them alone. */
  readonly #addressed: Member<R>[] = [];
  /** Those that have lines of earlier blocks. */
  readonly #held = new Set<SubscriberGroup<R>>();
  #bytes = 0;
  /** The block from which lines were added last, and how many bytes those have from which lines are kept. */
  #source: Block | null = null;
  #blockBytes = 0;
  /** Whose block was full last: who may have sent the lines that are held. */
  #busy: object | null = null;
  /** Until when lines are gathered, by the clock of `performance.now()`. */
  #gatherUntil = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = 0;
  readonly #memo = new SliceListCache();

  /** Makes one that keeps nothing yet. */
  constructor({ maxBatchDelay, maxPendingBytes, onQueued, onFlushed }: WriteCoalescerOptions<R>) {
    this.#onQueued = onQueued;
    this.#onFlushed = onFlushed;
    this.#maxDelay = maxBatchDelay;
    this.#enoughBytes = Math.min(ENOUGH_BYTES, maxPendingBytes / 8);
  }

  /**
   * Adds the `count` whole lines of a block from `start` to `end` to what an group gets, but not the
   * member `left`, if that is not `null`.
   */
  add(
    group: SubscriberGroup<R>,
    block: Block,
    start: number,
    end: number,
    count: number,
    left: Member<R> | null,
  ): void {
    if (this.#bytes > MAX_HELD_BYTES) this.flushAll();
    const before = group.size;
    group.add(block, start, end, count, left);
    this.#note(group, block, group.size - before);
  }

  /** Adds one whole line of a block to what one client gets. */
  addFor(member: Member<R>, block: Block, start: number, end: number): void {
    if (this.#bytes > MAX_HELD_BYTES) this.flushAll();
    const { group } = member;
    const before = group.size;
    group.addFor(member, block, start, end);
    this.#addressed.push(member);
    this.#note(group, block, group.size - before);
  }

  /** Notes that an group has got so many bytes more. */
  #note(group: SubscriberGroup<R>, block: Block, bytes: number): void {
    this.#bytes += bytes;
    if (block !== this.#source) this.#blockBytes += block.bytes.length;
    this.#source = block;
    if (group.block === this.#block) return;
    group.block = this.#block;
    this.#touched.push(group);
  }

  /** Whether so much waits for an group that it is not worth keeping any longer. */
  hasEnough({ size }: SubscriberGroup<R>): boolean {
    return size >= this.#enoughBytes;
  }

  /** Lets go of what waits for an group. */
  flush(group: SubscriberGroup<R>): void {
    this.#flush(group);
    this.#memo.clear();
  }

  /** Lets go of what waits for one client, and mostly not of what waits for the others that hear the same. */
  flushFor(member: Member<R>): void {
    const { group } = member;
    const { size } = group;
    if (size === 0) return;
    group.flushFor(member, this.#onQueued);
    this.#bytes -= size - group.size;
    if (group.size === 0) this.#held.delete(group);
  }

  #flush(group: SubscriberGroup<R>): void {
    this.#held.delete(group);
    if (group.size === 0) return;
    this.#bytes -= group.size;
    group.flush(this.#onQueued, this.#memo);
  }

  /**
   * Lets go of what waits at the end of a block: of all that is not worth keeping when `hasMore` says
   * that more is coming from the publisher, otherwise of what it has sent; unless events are gathered.
   */
  endBlock(publisher: object, hasMore: boolean): void {
    const now = performance.now();
    const isGathering = this.#isGathering(now);
    let writes = 0;
    for (const group of this.#touched) {
      const isOver = group.isUrgent || this.hasEnough(group);
      const isKept = (hasMore || isGathering) && !isOver;
      if (!isKept) writes += this.#release(group);
      else if (group.size > 0) this.#held.add(group);
    }
    if (!hasMore) { for (const member of this.#addressed) this.flushFor(member); }
    this.#touched.length = this.#addressed.length = 0;
    this.#block++;
    if (this.#held.size === 0) this.#stop();
    else if (!hasMore && !isGathering && this.#busy === publisher) writes += this.#releaseAll();
    else if (this.#blockBytes > MAX_HELD_BLOCK_BYTES) writes += this.#releaseAll();
    else this.#wake(now, isGathering ? this.#gatherUntil - now : this.#maxDelay);
    if (hasMore) this.#busy = publisher;
    this.#memo.clear();
    this.#written(writes);
  }

  /** Notes what it would take to write what has come by itself. Returns whether to gather instead. */
  #isGathering(now: number): boolean {
    let writes = 0;
    for (const { members, size } of this.#touched) if (size < SHORT_BYTES) writes += members.size;
    if (writes > 0) noteDemand(writes, now);
    return now < this.#gatherUntil;
  }

  /** Lets go of all that waits in so many milliseconds, or sooner. */
  #wake(now: number, ms: number): void {
    if (this.#timer !== undefined && this.#due <= now + ms) return;
    clearTimeout(this.#timer);
    this.#due = now + ms;
    this.#timer = setTimeout(() => {
      this.flushAll();
      this.#onFlushed();
    }, ms);
  }

  /** Lets go of all that waits. */
  flushAll(): void {
    let writes = 0;
    for (const group of this.#touched) writes += this.#release(group);
    writes += this.#releaseAll();
    this.#memo.clear();
    this.#written(writes);
  }

  /** Lets go of what waits for an group. Returns how many short writes that takes. */
  #release(group: SubscriberGroup<R>): number {
    const { members, size } = group;
    this.#flush(group);
    return size > 0 && size < SHORT_BYTES ? members.size : 0;
  }

  #releaseAll(): number {
    let writes = 0;
    for (const group of this.#held) writes += this.#release(group);
    this.#stop();
    return writes;
  }

  /** So many short writes have to be done now; from what follows from that, more is gathered first. */
  #written(writes: number): void {
    if (writes > 0) this.#gatherUntil = performance.now() + gatherTime(writes, this.#maxDelay);
  }

  /** Nothing is held any longer. */
  #stop(): void {
    this.#busy = null;
    this.#blockBytes = 0;
    this.#source = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
