/**
 * Owns the bytes that wait for one peer: a queue with a bound, from which the writer takes batches.
 * Must not know sockets, or who else gets the same bytes.
 *
 * Blocks are shared between the queues of all recipients and never changed. What has piled up in
 * small pieces is joined, so that one write carries many of them, and so that it takes hardly more memory
 * than is counted; queues in which the same pieces have piled up share that, too.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";

/**
 * How much one write hands over, in bytes: enough for a system call to pay off, little enough that
 * no peer holds the others up for long. Twice what Redis hands over (`NET_MAX_WRITES_PER_EVENT`),
 * because a call costs more here; with 50 subscribers that saves a sixth.
 */
export const MAX_BATCH_BYTES = 131_072;

/** Up to how many bytes a block is small: what it takes beside them, some 500, counts. */
const SMALL_BLOCK_BYTES = 4096;

/** How many small blocks are worth being joined when an epoch ends, and how many blocks make an epoch. */
const MIN_SMALL_BLOCKS = 32;
const EPOCH_BLOCKS = 64;

const LF = 0x0a;

/**
 * What waits in many queues together, and its bound: without one, ten thousand peers that read
 * slowly could fill the memory although each keeps to its own.
 */
export class PendingTotal {
  /** How many bytes wait. What several queues share counts once, as it does in memory. */
  bytes = 0;
  readonly #maxBytes: number;
  readonly #onExcess: () => void;
  #isTold = false;

  /** Makes a total that calls `onExcess` after a turn in which it has exceeded `maxBytes`. */
  constructor(maxBytes: number, onExcess: () => void) {
    this.#maxBytes = maxBytes;
    this.#onExcess = onExcess;
  }

  /** Counts `bytes` more, or fewer. */
  add(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes <= this.#maxBytes || this.#isTold) return;
    this.#isTold = true;
    queueMicrotask(() => {
      this.#isTold = false;
      this.#onExcess();
    });
  }
}

/** How many blocks there have been. */
let made = 0;

/** Bytes that wait in one or more queues. They count in the total from the first to the last. */
class Block {
  readonly bytes: Uint8Array;
  readonly total: PendingTotal | null;
  /**
   * The time in which it was made, counted in blocks. Queues join their small blocks when such a time
   * ends: those that have the same blocks then join the same ones, and share what comes of it.
   */
  readonly epoch = Math.floor(made++ / EPOCH_BLOCKS);
  #holders = 0;

  constructor(bytes: Uint8Array, total: PendingTotal | null) {
    this.bytes = bytes;
    this.total = total;
  }

  hold(): this {
    if (this.#holders++ === 0) this.total?.add(this.bytes.length);
    return this;
  }

  release(): void {
    if (--this.#holders > 0) return;
    this.total?.add(-this.bytes.length);
    if (latest === this) latest = null;
    if (joined === this) joined = null;
  }
}

/** The block that was made last, while any queue holds it: the next queue most likely gets it too. */
let latest: Block | null = null;

function toBlock(bytes: Uint8Array, total: PendingTotal | null): Block {
  if (latest?.bytes !== bytes || latest.total !== total) latest = new Block(bytes, total);
  return latest;
}

/** A queue of blocks of whole lines. */
export class OutboundQueue {
  /** The most that may wait, in bytes. */
  readonly maxBytes: number;

  readonly #total: PendingTotal | null;
  #isAbandoned = false;
  #blocks: Block[] = [];
  /** How much of the first block has been written. */
  #offset = 0;
  /** How much of the first block has been given out by `batch()` and may be being written. */
  #given = 0;
  #bytes = 0;
  /** How many small blocks there are at the end that have not been joined. */
  #small = 0;
  #epoch = 0;

  constructor(maxBytes: number, total: PendingTotal | null = null) {
    this.maxBytes = maxBytes;
    this.#total = total;
  }

  /** How many bytes wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many lines wait that have not been written to their end. */
  get lines(): number {
    let lines = 0;
    let from = this.#offset;
    for (const { bytes } of this.#blocks) {
      for (let i = bytes.indexOf(LF, from); i >= 0; i = bytes.indexOf(LF, i + 1)) lines++;
      from = 0;
    }
    return lines;
  }

  /** Adds whole lines; `false` if that would exceed the bound, and nothing is added. */
  offer(lines: Uint8Array): boolean {
    if (this.#bytes + lines.length > this.maxBytes && this.#bytes > 0) return false;
    this.append(lines);
    return true;
  }

  /** Adds whole lines, whatever the bound: for a last word. */
  append(lines: Uint8Array): void {
    const block = toBlock(lines, this.#total).hold();
    if (block.epoch !== this.#epoch) this.#joinSmall();
    this.#epoch = block.epoch;
    this.#blocks.push(block);
    this.#bytes += lines.length;
    this.#small = lines.length <= SMALL_BLOCK_BYTES ? this.#small + 1 : 0;
  }

  /** Makes one block of the small ones at the end, if they are many. The first may be being written. */
  #joinSmall(): void {
    const count = this.#small = Math.min(this.#small, Math.max(0, this.#blocks.length - 1));
    if (count < MIN_SMALL_BLOCKS) return;
    const at = this.#blocks.length - count;
    this.#replace(at, this.#blocks.slice(at).map(({ bytes }) => bytes));
    this.#small = 0;
  }

  /** Puts one block in the place of those whose bytes are `parts`. */
  #replace(at: number, parts: readonly Uint8Array[]): void {
    const whole = joinShared(parts, this.#total).hold();
    for (const block of this.#blocks.splice(at, parts.length, whole)) this.#drop(block);
  }

  /** What waits will never be taken: it counts in the total no longer. */
  abandon(): void {
    if (this.#isAbandoned) return;
    for (const block of this.#blocks) block.release();
    this.#isAbandoned = true;
  }

  /** Lets go of what waits, after {@link abandon}; `bytes` still tells how much it was. */
  letGo(): void {
    this.#blocks = [];
  }

  #drop(block: Block): void {
    if (!this.#isAbandoned) block.release();
  }

  /** The next bytes to write, at most {@link MAX_BATCH_BYTES}; they stay until `consume()`. */
  batch(): Uint8Array {
    this.#join();
    const first = this.#blocks[0]!.bytes;
    this.#given = Math.min(first.length, this.#offset + MAX_BATCH_BYTES);
    const isWhole = this.#offset === 0 && this.#given === first.length;
    return isWhole ? first : first.subarray(this.#offset, this.#given);
  }

  /** Makes one block of those at the front, as many as fit into a batch, unless the first will do. */
  #join(): void {
    let size = this.#blocks[0]!.bytes.length - this.#offset;
    if (size > MAX_BATCH_BYTES / 2) return;
    let count = 1;
    for (; count < this.#blocks.length; count++) {
      size += this.#blocks[count]!.bytes.length;
      if (size > MAX_BATCH_BYTES) break;
    }
    if (count === 1) return;
    const parts = this.#blocks.slice(0, count).map(({ bytes }) => bytes);
    if (this.#offset > 0) parts[0] = parts[0]!.subarray(this.#offset);
    this.#replace(0, parts);
    this.#offset = 0;
  }

  /** Removes the first `n` bytes: they have been written. */
  consume(n: number): void {
    this.#bytes -= n;
    this.#offset += n;
    if (this.#offset < this.#blocks[0]!.bytes.length) return;
    this.#drop(this.#blocks.shift()!);
    this.#offset = 0;
    this.#given = 0;
  }

  /**
   * Drops all but the rest of the line that has been begun, or that is being written, so that what
   * is added next begins a line. Returns how much was dropped.
   */
  cut(): { lines: number; bytes: number } {
    const { lines, bytes } = this;
    const dropped = this.#blocks;
    const first = dropped[0]?.bytes;
    const written = Math.max(this.#offset, this.#given);
    const end = first && written > 0 ? first.indexOf(LF, written - 1) + 1 : 0;
    if (first && end > this.#offset) {
      this.#blocks = [new Block(first.subarray(0, end), this.#total).hold()];
      this.#bytes = end - this.#offset;
    } else {
      this.#blocks = [];
      this.#bytes = 0;
      this.#offset = 0;
      this.#given = 0;
    }
    for (const block of dropped) this.#drop(block);
    return { lines: lines - this.lines, bytes: bytes - this.#bytes };
  }
}

/** What was joined last, for whichever queue, and into what, while any queue holds that. */
let joinedParts: readonly Uint8Array[] = [];
let joined: Block | null = null;

/** The parts in one block: that of the last queue, if it had the very same parts. */
function joinShared(parts: readonly Uint8Array[], total: PendingTotal | null): Block {
  const isSame = joined?.total === total && parts.length === joinedParts.length &&
    parts.every((part, i) => part === joinedParts[i]);
  if (!isSame) {
    joined = new Block(concat(parts), total);
    joinedParts = parts;
  }
  return joined!;
}
