/**
 * Owns when the lines of an audience go out, and that they stay in order. Must not know whom a line is
 * for, or why.
 *
 * A write for each client and each few lines may cost more than all the rest. So lines are kept until
 * enough has piled up, or a short time has passed, in two cases. Where many talk to many, there is no time to
 * write each event by itself: then they are gathered, see `heartbeat.ts`. And where a publisher has more
 * to say of which an audience gets only a part, that is kept until it has said all. What has to go out at
 * once, or is for one client alone, takes along what it would overtake, and is not kept.
 *
 * @module
 */

import type { Audience, Listener, Recipient } from "./audience.ts";
import { gatherTime, noteDemand, SHORT_BYTES } from "./heartbeat.ts";
import { type Block, MAX_BATCH_BYTES } from "./outbound.ts";
import { ShareMemo } from "./share.ts";

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

/** What {@link Holdback} needs to know. */
export interface HoldbackOptions<R extends Recipient> {
  /** For how long lines are kept at most, in milliseconds; longer while the relay is too busy to look. */
  readonly maxBatchDelay: number;
  /** How many bytes may wait for each client. */
  readonly maxPendingBytes: number;
  /** Called with each client for which lines have just been queued. */
  readonly onQueued: (recipient: R) => void;
  /** Called when lines have been queued that were kept, at another time than the end of a block. */
  readonly onFlushed: () => void;
}

/** Keeps what waits for the audiences of one relay, and lets it go. */
export class Holdback<R extends Recipient> {
  readonly #onQueued: (recipient: R) => void;
  readonly #onFlushed: () => void;
  readonly #maxDelay: number;
  readonly #enoughBytes: number;
  /** Which block is being passed on. */
  #block = 1;
  /** The audiences that have got lines of this block. */
  readonly #touched: Audience<R>[] = [];
  /** The clients that have got lines for them alone. */
  readonly #addressed: Listener<R>[] = [];
  /** Those that have lines of earlier blocks. */
  readonly #held = new Set<Audience<R>>();
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
  readonly #memo = new ShareMemo();

  /** Makes one that keeps nothing yet. */
  constructor({ maxBatchDelay, maxPendingBytes, onQueued, onFlushed }: HoldbackOptions<R>) {
    this.#onQueued = onQueued;
    this.#onFlushed = onFlushed;
    this.#maxDelay = maxBatchDelay;
    this.#enoughBytes = Math.min(ENOUGH_BYTES, maxPendingBytes / 8);
  }

  /**
   * Adds the `count` whole lines of a block from `start` to `end` to what an audience gets, but not the
   * member `left`, if that is not `null`.
   */
  add(
    audience: Audience<R>,
    block: Block,
    start: number,
    end: number,
    count: number,
    left: Listener<R> | null,
  ): void {
    if (this.#bytes > MAX_HELD_BYTES) this.flushAll();
    const before = audience.size;
    audience.add(block, start, end, count, left);
    this.#note(audience, block, audience.size - before);
  }

  /** Adds one whole line of a block to what one client gets. */
  addFor(listener: Listener<R>, block: Block, start: number, end: number): void {
    if (this.#bytes > MAX_HELD_BYTES) this.flushAll();
    const { audience } = listener;
    const before = audience.size;
    audience.addFor(listener, block, start, end);
    this.#addressed.push(listener);
    this.#note(audience, block, audience.size - before);
  }

  /** Notes that an audience has got so many bytes more. */
  #note(audience: Audience<R>, block: Block, bytes: number): void {
    this.#bytes += bytes;
    if (block !== this.#source) this.#blockBytes += block.bytes.length;
    this.#source = block;
    if (audience.block === this.#block) return;
    audience.block = this.#block;
    this.#touched.push(audience);
  }

  /** Whether so much waits for an audience that it is not worth keeping any longer. */
  hasEnough({ size }: Audience<R>): boolean {
    return size >= this.#enoughBytes;
  }

  /** Lets go of what waits for an audience. */
  flush(audience: Audience<R>): void {
    this.#flush(audience);
    this.#memo.clear();
  }

  /** Lets go of what waits for one client, and mostly not of what waits for the others that hear the same. */
  flushFor(listener: Listener<R>): void {
    const { audience } = listener;
    const { size } = audience;
    if (size === 0) return;
    audience.flushFor(listener, this.#onQueued);
    this.#bytes -= size - audience.size;
    if (audience.size === 0) this.#held.delete(audience);
  }

  #flush(audience: Audience<R>): void {
    this.#held.delete(audience);
    if (audience.size === 0) return;
    this.#bytes -= audience.size;
    audience.flush(this.#onQueued, this.#memo);
  }

  /**
   * Lets go of what waits at the end of a block: of all that is not worth keeping when `hasMore` says
   * that more is coming from the publisher, otherwise of what it has sent; unless events are gathered.
   */
  endBlock(publisher: object, hasMore: boolean): void {
    const now = performance.now();
    const isGathering = this.#isGathering(now);
    let writes = 0;
    for (const audience of this.#touched) {
      const isOver = audience.isUrgent || this.hasEnough(audience);
      const isKept = (hasMore || isGathering) && !isOver;
      if (!isKept) writes += this.#release(audience);
      else if (audience.size > 0) this.#held.add(audience);
    }
    if (!hasMore) { for (const listener of this.#addressed) this.flushFor(listener); }
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
    for (const audience of this.#touched) writes += this.#release(audience);
    writes += this.#releaseAll();
    this.#memo.clear();
    this.#written(writes);
  }

  /** Lets go of what waits for an audience. Returns how many short writes that takes. */
  #release(audience: Audience<R>): number {
    const { members, size } = audience;
    this.#flush(audience);
    return size > 0 && size < SHORT_BYTES ? members.size : 0;
  }

  #releaseAll(): number {
    let writes = 0;
    for (const audience of this.#held) writes += this.#release(audience);
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
