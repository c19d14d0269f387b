/**
 * Owns when the lines of an audience go out, and that they stay in order. Must not know whom a line is
 * for, or why.
 *
 * With subscriptions, an audience gets only a few lines of a block, and a write for each client and
 * block would cost more than all the rest. So while a publisher has more to say, small shares are kept
 * until enough has piled up, or a short time has passed. When it has said all, nothing is kept: a
 * single event on a quiet relay goes out at once.
 *
 * @module
 */

import type { Audience, Listener, Recipient } from "./audience.ts";
import { type Block, MAX_BATCH_BYTES } from "./outbound.ts";
import { ShareMemo } from "./share.ts";

/**
 * How large a share is not kept any longer, in bytes: three quarters of what one write hands over, as
 * one more block adds a little. But what then comes for a client must fit into its queue at once, in
 * which a half may be taken before it lags, and a quarter is what is read at once: hence no more than
 * an eighth of that.
 */
const ENOUGH_BYTES = 0.75 * MAX_BATCH_BYTES;

/** For how long a share is kept at most, in milliseconds; longer while the relay is too busy to look. */
const MAX_HOLD_MS = 20;

/** How many blocks may be kept because some lines of them are, and how many bytes of lines. */
const MAX_HELD_BLOCKS = 128;
const MAX_HELD_BYTES = 33_554_432;

/** Keeps what waits for the audiences of one relay, and lets it go. */
export class Holdback<R extends Recipient> {
  readonly #onQueued: (recipient: R) => void;
  readonly #enoughBytes: number;
  /** Which block is being passed on. */
  #block = 1;
  /** The audiences that have got lines of this block. */
  readonly #touched: Audience<R>[] = [];
  /** Those that have lines of earlier blocks. */
  readonly #held = new Set<Audience<R>>();
  #heldBlocks = 0;
  #bytes = 0;
  /** Whose block was full last: who may have sent the lines that are held. */
  #busy: Listener<R> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #memo = new ShareMemo();

  /**
   * Makes one that calls `onQueued` with each client for which lines have just been queued; for each,
   * `maxPendingBytes` may be.
   */
  constructor(onQueued: (recipient: R) => void, maxPendingBytes = Infinity) {
    this.#onQueued = onQueued;
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
    this.#note(audience, audience.size - before);
  }

  /** Adds one whole line of a block to what one client gets. */
  addFor(listener: Listener<R>, block: Block, start: number, end: number): void {
    if (this.#bytes > MAX_HELD_BYTES) this.flushAll();
    const { audience } = listener;
    const before = audience.size;
    audience.addFor(listener, block, start, end);
    this.#note(audience, audience.size - before);
  }

  /** Notes that an audience has got so many bytes more. */
  #note(audience: Audience<R>, bytes: number): void {
    this.#bytes += bytes;
    if (audience.block === this.#block) return;
    audience.block = this.#block;
    this.#touched.push(audience);
  }

  /** Lets go of what waits for an audience. */
  flush(audience: Audience<R>): void {
    this.#flush(audience);
    this.#memo.clear();
  }

  #flush(audience: Audience<R>): void {
    if (audience.size === 0) return;
    this.#bytes -= audience.size;
    this.#held.delete(audience);
    audience.flush(this.#onQueued, this.#memo);
  }

  /**
   * Lets go of what waits at the end of a block: of all that is not worth keeping when `hasMore` says
   * that more is coming from the publisher, otherwise of what it has sent.
   */
  endBlock(publisher: Listener<R>, hasMore: boolean): void {
    for (const audience of this.#touched) {
      const isKept = hasMore && audience.size < this.#enoughBytes && !audience.isAwaited;
      if (!isKept) this.#flush(audience);
      else if (audience.size > 0) this.#held.add(audience);
    }
    this.#memo.clear();
    this.#touched.length = 0;
    this.#block++;
    if (!hasMore && this.#busy === publisher) return this.flushAll();
    if (hasMore) this.#busy = publisher;
    if (this.#held.size === 0) return this.#stop();
    if (++this.#heldBlocks > MAX_HELD_BLOCKS) return this.flushAll();
    this.#timer ??= setTimeout(() => this.flushAll(), MAX_HOLD_MS);
  }

  /** Lets go of all that waits. */
  flushAll(): void {
    for (const audience of this.#touched) this.#flush(audience);
    for (const audience of this.#held) this.#flush(audience);
    this.#memo.clear();
    this.#stop();
  }

  /** Nothing is held any longer. */
  #stop(): void {
    this.#busy = null;
    this.#heldBlocks = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
