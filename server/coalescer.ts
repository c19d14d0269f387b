/**
 * Coalesces small writes: it decides when the lines of each group go out, and keeps them in order.
 *
 * A write per client for every few lines may cost more than everything else. Lines are therefore
 * held until enough have accumulated or a short time has passed, in two cases. If many clients send
 * to many, there is no time to write each event separately, so events are gathered; see
 * `net/write_demand.ts`. If a publisher has more input ready and a group receives only a part of
 * it, the part is held until the input has ended.
 *
 * Urgent lines and lines for a single client are not held. They take along all held lines that they
 * would overtake.
 *
 * @module
 */

import type { Member, Recipient, SubscriberGroup } from "./subscriber_group.ts";
import { SHORT_BYTES } from "../net/turn.ts";
import { gatherTime, noteDemand } from "../net/write_demand.ts";
import { type Block, MAX_BATCH_BYTES } from "../net/piece.ts";
import { SliceListCache } from "./slice_list.ts";

/**
 * Size from which lines are no longer held, in bytes. It is three quarters of one write, because
 * another block adds a little. A client's lines must also fit into its send queue at once. Half of
 * that queue may be in use before the client lags, and one read brings up to a quarter. So the size
 * is at most an eighth of the queue.
 */
const ENOUGH_BYTES = 0.75 * MAX_BATCH_BYTES;

/** Most bytes of lines that may be held, and most bytes of the blocks that contain them. */
const MAX_HELD_BYTES = 33_554_432;
const MAX_HELD_BLOCK_BYTES = 8_388_608;

/** Options and callbacks of a {@link WriteCoalescer}. */
export interface WriteCoalescerOptions<R extends Recipient> {
  /**
   * Longest time to hold lines, in milliseconds. It may take longer if the relay is too busy to
   * check.
   */
  readonly maxBatchDelay: number;
  /** Most bytes that may be queued for each client. */
  readonly maxPendingBytes: number;
  /** Called with each client for which lines were just queued. */
  readonly onQueued: (recipient: R) => void;
  /** Called when held lines were queued at a time other than the end of a block. */
  readonly onFlushed: () => void;
}

/** Holds lines for the groups of one relay and releases them. */
export class WriteCoalescer<R extends Recipient> {
  readonly #onQueued: (recipient: R) => void;
  readonly #onFlushed: () => void;
  readonly #maxDelay: number;
  readonly #enoughBytes: number;
  /** Number of the current block. */
  #block = 1;
  /** Groups with lines of this block. */
  readonly #touched: SubscriberGroup<R>[] = [];
  /** Members with lines for them alone. */
  readonly #addressed: Member<R>[] = [];
  /** Groups with lines of earlier blocks. */
  readonly #held = new Set<SubscriberGroup<R>>();
  #bytes = 0;
  /**
   * The block of the last added lines, and the total size of the blocks that contain held lines.
   */
  #source: Block | null = null;
  #blockBytes = 0;
  /** Publisher of the last block with more input to come. It may have sent the held lines. */
  #busy: object | null = null;
  /** Time until which lines are gathered, by the clock of `performance.now()`. */
  #gatherUntil = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = 0;
  readonly #memo = new SliceListCache();

  /** Creates a coalescer that holds no lines. */
  constructor({ maxBatchDelay, maxPendingBytes, onQueued, onFlushed }: WriteCoalescerOptions<R>) {
    this.#onQueued = onQueued;
    this.#onFlushed = onFlushed;
    this.#maxDelay = maxBatchDelay;
    this.#enoughBytes = Math.min(ENOUGH_BYTES, maxPendingBytes / 8);
  }

  /**
   * Adds complete lines for a group.
   *
   * @param group The group that receives the lines.
   * @param block The block that contains the lines.
   * @param start The start of the lines in the block.
   * @param end The end of the lines in the block.
   * @param count The number of lines.
   * @param excluded The member that does not receive the lines, or `null`.
   */
  add(
    group: SubscriberGroup<R>,
    block: Block,
    start: number,
    end: number,
    count: number,
    excluded: Member<R> | null,
  ): void {
    if (this.#bytes > MAX_HELD_BYTES) this.flushAll();
    const before = group.size;
    group.add(block, start, end, count, excluded);
    this.#note(group, block, group.size - before);
  }

  /** Adds one complete line for a single client. */
  addFor(member: Member<R>, block: Block, start: number, end: number): void {
    if (this.#bytes > MAX_HELD_BYTES) this.flushAll();
    const { group } = member;
    const before = group.size;
    group.addFor(member, block, start, end);
    this.#addressed.push(member);
    this.#note(group, block, group.size - before);
  }

  /** Notes that `bytes` bytes were added for a group. */
  #note(group: SubscriberGroup<R>, block: Block, bytes: number): void {
    this.#bytes += bytes;
    if (block !== this.#source) this.#blockBytes += block.bytes.length;
    this.#source = block;
    if (group.block === this.#block) return;
    group.block = this.#block;
    this.#touched.push(group);
  }

  /** Returns whether a group has so many bytes that holding them longer gains nothing. */
  hasEnough({ size }: SubscriberGroup<R>): boolean {
    return size >= this.#enoughBytes;
  }

  /** Releases the held lines of a group. */
  flush(group: SubscriberGroup<R>): void {
    this.#flush(group);
    this.#memo.clear();
  }

  /**
   * Releases the held lines of one client. Mostly, the lines of the other group members stay held.
   */
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
   * Releases lines at the end of a block. If events are being gathered, or more input follows, only
   * full or urgent groups are released. Otherwise, all lines of the publisher are.
   *
   * @param publisher The sender of the block.
   * @param hasMore Whether more input of the publisher is probably waiting.
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
    if (!hasMore) {
      for (const member of this.#addressed) this.flushFor(member);
    }
    this.#touched.length = this.#addressed.length = 0;
    this.#block++;
    if (hasMore) this.#busy = publisher;
    if (this.#held.size === 0) this.#stop();
    else if (!hasMore && !isGathering && this.#busy === publisher) writes += this.#releaseAll();
    else if (this.#blockBytes > MAX_HELD_BLOCK_BYTES) writes += this.#releaseAll();
    else this.#wake(now, isGathering ? this.#gatherUntil - now : this.#maxDelay);
    this.#memo.clear();
    this.#written(writes);
  }

  /**
   * Notes the writes that the new lines would need by themselves. Returns whether to gather
   * instead.
   */
  #isGathering(now: number): boolean {
    let writes = 0;
    for (const { members, size } of this.#touched) if (size < SHORT_BYTES) writes += members.size;
    if (writes > 0) noteDemand(writes, now);
    return now < this.#gatherUntil;
  }

  /** Releases all held lines in `ms` milliseconds or sooner. */
  #wake(now: number, ms: number): void {
    if (this.#timer !== undefined && this.#due <= now + ms) return;
    clearTimeout(this.#timer);
    this.#due = now + ms;
    this.#timer = setTimeout(() => {
      this.flushAll();
      this.#onFlushed();
    }, ms);
  }

  /** Releases all held lines. */
  flushAll(): void {
    let writes = 0;
    for (const group of this.#touched) writes += this.#release(group);
    writes += this.#releaseAll();
    this.#memo.clear();
    this.#written(writes);
  }

  /** Releases the held lines of a group. Returns the number of short writes that this needs. */
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

  /**
   * Notes that `writes` short writes must now be done, and derives how long to gather before the
   * next.
   */
  #written(writes: number): void {
    if (writes > 0) this.#gatherUntil = performance.now() + gatherTime(writes, this.#maxDelay);
  }

  /** Resets the state after all held lines were released. */
  #stop(): void {
    this.#busy = null;
    this.#blockBytes = 0;
    this.#source = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
