/**
 * Owns the part of a stream of lines that some clients get: pieces of the blocks that have come in. Long
 * ones stay where they are, however many shares have them; short ones are joined when they go out.
 * Must not know lines, or who gets them.
 *
 * @module
 */

import { Block, Piece } from "../net/send_queue.ts";

/** How many numbers there are for each piece: where it begins and ends, and how many events it has. */
const STRIDE = 3;

/** How many numbers there is room for at first: as many as V8 keeps in the object itself. */
const MIN_NUMBERS = 5 * STRIDE;

/** The most that stays for the next time: enough for a share of short lines that goes out in time. */
const MAX_KEPT_NUMBERS = 4096 * STRIDE;

/** From which length on a piece is not copied, in bytes. What one takes besides, some 100, counts for less. */
const MIN_LONG_BYTES = 4096;

const NOTHING: readonly Piece[] = [];
const NO_NUMBERS = new Int32Array(0);

/** Pieces of blocks, in order. */
export class SliceList {
  /** How many bytes there are. */
  size = 0;

  readonly #blocks: Block[] = [];
  /** Where the numbers of the pieces of each block begin. */
  readonly #firsts: number[] = [];
  /** The block of the piece that was added last. */
  #block: Block | null = null;
  #numbers = new Int32Array(MIN_NUMBERS);
  #count = 0;
  /** What {@link peek} has given, until more is added. */
  #shown: readonly Piece[] | null = null;

  /** Adds the bytes of a block from `start` to `end`, which are `events` events. */
  add(block: Block, start: number, end: number, events: number): void {
    this.size += end - start;
    this.#shown = null;
    if (block !== this.#block) {
      this.#block = block;
      this.#blocks.push(block);
      this.#firsts.push(this.#count);
    } else if (start === this.#numbers[this.#count - 2]) {
      this.#numbers[this.#count - 2] = end; // one piece with the one before
      this.#numbers[this.#count - 1]! += events;
      return;
    }
    if (this.#count === this.#numbers.length) this.#grow();
    this.#numbers[this.#count++] = start;
    this.#numbers[this.#count++] = end;
    this.#numbers[this.#count++] = events;
  }

  #grow(): void {
    const numbers = new Int32Array(2 * this.#count);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }

  /** All that was added, in a few pieces. It stays. */
  peek(): readonly Piece[] {
    return this.#shown ??= this.size > 0 ? this.#pieces() : NOTHING;
  }

  /**
   * All that was added, in a few pieces; nothing is left. What was taken before with the same `memo` is
   * used again if it was the very same.
   */
  take(memo: SliceListCache | null = null): readonly Piece[] {
    if (this.size === 0) return NOTHING;
    const pieces = this.#isWhole() ? this.#pieces() : this.#remembered(memo);
    this.#shown = null;
    this.size = 0;
    this.#block = null;
    this.#blocks.length = 0;
    this.#firsts.length = 0;
    this.#count = 0;
    if (this.#numbers.length > MAX_KEPT_NUMBERS) this.#numbers = new Int32Array(MIN_NUMBERS);
    return pieces;
  }

  /** Whether it is all of one block. */
  #isWhole(): boolean {
    return this.#count === STRIDE && this.size === this.#block!.bytes.length;
  }

  #remembered(memo: SliceListCache | null): readonly Piece[] {
    const numbers = this.#numbers.subarray(0, this.#count);
    const known = memo?.find(this.#blocks, this.#firsts, numbers);
    if (known) return known;
    const pieces = this.#pieces();
    memo?.keep(this.#blocks, this.#firsts, numbers, pieces);
    return pieces;
  }

  #pieces(): Piece[] {
    const pieces: Piece[] = [];
    /** Where the short pieces begin that come one after the other, how long they are, and their events. */
    let from = 0;
    let size = 0;
    let short = 0;
    let k = 0;
    for (let i = 0; i < this.#count; i += STRIDE) {
      while (this.#firsts[k + 1]! <= i) k++;
      const block = this.#blocks[k]!;
      const [start, end, events] = [
        this.#numbers[i]!,
        this.#numbers[i + 1]!,
        this.#numbers[i + 2]!,
      ];
      if (end - start < MIN_LONG_BYTES && !this.#isWhole()) {
        size += end - start;
        short += events;
        continue;
      }
      if (size > 0) pieces.push(this.#join(from, i, size, short));
      pieces.push(new Piece(block, start, end, events));
      from = i + STRIDE;
      size = short = 0;
    }
    if (size > 0) pieces.push(this.#join(from, this.#count, size, short));
    return pieces;
  }

  /** Makes one piece, of `size` bytes and with `events` events, of those whose numbers are from `i` to `to`. */
  #join(i: number, to: number, size: number, events: number): Piece {
    const joined = new Uint8Array(size);
    let at = 0;
    let k = 0;
    for (; i < to; i += STRIDE) {
      while (this.#firsts[k + 1]! <= i) k++;
      const start = this.#numbers[i]!;
      const end = this.#numbers[i + 1]!;
      joined.set(this.#blocks[k]!.bytes.subarray(start, end), at);
      at += end - start;
    }
    return new Piece(new Block(joined), 0, size, events);
  }
}

/**
 * The share that was taken last, for those that are taken next: clients that do not hear the same often
 * hear the same of a block.
 */
export class SliceListCache {
  #blocks: readonly Block[] = [];
  #firsts: readonly number[] = [];
  #numbers: Int32Array = NO_NUMBERS;
  #pieces: readonly Piece[] = NOTHING;

  /** The pieces of the last share, if it had the very same. */
  find(
    blocks: readonly Block[],
    firsts: readonly number[],
    numbers: Int32Array,
  ): readonly Piece[] | null {
    const isSame = isEqual(blocks, this.#blocks) && isEqual(firsts, this.#firsts) &&
      isEqual(numbers, this.#numbers);
    return isSame ? this.#pieces : null;
  }

  /** Keeps the pieces of a share. */
  keep(
    blocks: readonly Block[],
    firsts: readonly number[],
    numbers: Int32Array,
    pieces: readonly Piece[],
  ): void {
    this.#blocks = blocks.slice();
    this.#firsts = firsts.slice();
    this.#numbers = numbers.slice();
    this.#pieces = pieces;
  }

  /** Lets go of all that is kept: it holds blocks in memory. */
  clear(): void {
    this.#blocks = [];
    this.#firsts = [];
    this.#numbers = NO_NUMBERS;
    this.#pieces = NOTHING;
  }
}

function isEqual<T>(one: ArrayLike<T>, two: ArrayLike<T>): boolean {
  if (one.length !== two.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== two[i]) return false;
  return true;
}
