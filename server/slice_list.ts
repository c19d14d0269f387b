/**
 * A list of slices of received blocks: the part of a stream of lines that some clients receive.
 * Long slices are shared by all lists that contain them. Short ones are joined when they go out.
 *
 * @module
 */

import { Block, Piece } from "../net/piece.ts";

/** Numbers stored per slice: the index of its block, its start, its end, its number of events. */
const STRIDE = 4;

/** Initial capacity, in numbers. V8 stores arrays of this size within the object. */
const MIN_NUMBERS = 4 * STRIDE;

/**
 * Largest capacity kept for reuse, which suffices for a list of short lines that goes out in time.
 */
const MAX_KEPT_NUMBERS = 4096 * STRIDE;

/**
 * Least length of a slice that is not copied, in bytes. The overhead of a slice, about 100 bytes,
 * matters less than that.
 */
const MIN_LONG_BYTES = 4096;

const NOTHING: readonly Piece[] = [];
const NO_NUMBERS = new Int32Array(0);

/** Slices of blocks, in order. */
export class SliceList {
  /** Total size, in bytes. */
  size = 0;

  readonly #blocks: Block[] = [];
  /** Block of the slice that was added last. */
  #block: Block | null = null;
  #numbers = new Int32Array(MIN_NUMBERS);
  #count = 0;
  /** Result of {@link peek}, until more is added. */
  #shown: readonly Piece[] | null = null;

  /** Adds the bytes of a block from `start` to `end`, which hold `events` events. */
  add(block: Block, start: number, end: number, events: number): void {
    this.size += end - start;
    this.#shown = null;
    if (block !== this.#block) {
      this.#block = block;
      this.#blocks.push(block);
    } else if (start === this.#numbers[this.#count - 2]) {
      this.#numbers[this.#count - 2] = end; // extends the previous slice
      this.#numbers[this.#count - 1]! += events;
      return;
    }
    if (this.#count === this.#numbers.length) this.#grow();
    this.#numbers[this.#count++] = this.#blocks.length - 1;
    this.#numbers[this.#count++] = start;
    this.#numbers[this.#count++] = end;
    this.#numbers[this.#count++] = events;
  }

  #grow(): void {
    const numbers = new Int32Array(2 * this.#count);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }

  /** Returns all slices as a few pieces. The list is kept. */
  peek(): readonly Piece[] {
    return this.#shown ??= this.size > 0 ? this.#pieces() : NOTHING;
  }

  /**
   * Returns all slices as a few pieces and clears the list.
   *
   * @param memo A cache. If the previous list taken with it was identical, returns the same pieces.
   */
  take(memo: SliceListCache | null = null): readonly Piece[] {
    if (this.size === 0) return NOTHING;
    const pieces = this.#isWhole() ? this.#pieces() : this.#remembered(memo);
    this.#shown = null;
    this.size = 0;
    this.#block = null;
    this.#blocks.length = 0;
    this.#count = 0;
    if (this.#numbers.length > MAX_KEPT_NUMBERS) this.#numbers = new Int32Array(MIN_NUMBERS);
    return pieces;
  }

  /** Whether the list is exactly one whole block. */
  #isWhole(): boolean {
    return this.#count === STRIDE && this.size === this.#block!.bytes.length;
  }

  #remembered(memo: SliceListCache | null): readonly Piece[] {
    const numbers = this.#numbers.subarray(0, this.#count);
    const known = memo?.find(this.#blocks, numbers);
    if (known) return known;
    const pieces = this.#pieces();
    memo?.keep(this.#blocks, numbers, pieces);
    return pieces;
  }

  #pieces(): Piece[] {
    const pieces: Piece[] = [];
    /** First number, total size, and events of the current run of short slices. */
    let from = 0;
    let size = 0;
    let short = 0;
    for (let i = 0; i < this.#count; i += STRIDE) {
      const block = this.#blocks[this.#numbers[i]!]!;
      const start = this.#numbers[i + 1]!;
      const end = this.#numbers[i + 2]!;
      const events = this.#numbers[i + 3]!;
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

  /**
   * Joins the slices with numbers from `i` to `to` into one piece of `size` bytes and `events`
   * events.
   */
  #join(i: number, to: number, size: number, events: number): Piece {
    const joined = new Uint8Array(size);
    let at = 0;
    for (; i < to; i += STRIDE) {
      const { bytes } = this.#blocks[this.#numbers[i]!]!;
      const start = this.#numbers[i + 1]!;
      const end = this.#numbers[i + 2]!;
      joined.set(bytes.subarray(start, end), at);
      at += end - start;
    }
    return new Piece(new Block(joined), 0, size, events);
  }
}

/**
 * The list that was taken last. Groups with different subscriptions often receive the same lines of
 * a block and can then share its pieces.
 */
export class SliceListCache {
  #blocks: readonly Block[] = [];
  #numbers: Int32Array = NO_NUMBERS;
  #pieces: readonly Piece[] = NOTHING;

  /** Returns the pieces of the last list if it was identical, otherwise `null`. */
  find(blocks: readonly Block[], numbers: Int32Array): readonly Piece[] | null {
    const isSame = isEqual(blocks, this.#blocks) && isEqual(numbers, this.#numbers);
    return isSame ? this.#pieces : null;
  }

  /** Keeps the pieces of a list. */
  keep(blocks: readonly Block[], numbers: Int32Array, pieces: readonly Piece[]): void {
    this.#blocks = blocks.slice();
    this.#numbers = numbers.slice();
    this.#pieces = pieces;
  }

  /** Releases the kept list, because it holds blocks in memory. */
  clear(): void {
    this.#blocks = [];
    this.#numbers = NO_NUMBERS;
    this.#pieces = NOTHING;
  }
}

function isEqual<T>(one: ArrayLike<T>, two: ArrayLike<T>): boolean {
  if (one.length !== two.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== two[i]) return false;
  return true;
}
