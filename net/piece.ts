/**
 * The bytes in send queues: blocks that never change and are shared by many queues, the pieces of
 * them that are queued, and pieces that were joined for one write.
 *
 * @module
 */

import { ByteBudget } from "./byte_budget.ts";
import { type Encoding, LINES } from "./encoding.ts";

/**
 * Most bytes per write: enough to make the system call worthwhile, and few enough that no peer
 * delays the others for long. It is twice the size Redis uses (`NET_MAX_WRITES_PER_EVENT`), because
 * a call costs more here. With 50 subscribers this saves a sixth.
 */
export const MAX_BATCH_BYTES = 131_072;

/**
 * Share of the room left for all queues that one batch of joined pieces may take, and its lower
 * bound in bytes. Joining never causes an excess by itself. With the default limit, a full batch is
 * allowed while a quarter of it is left.
 */
const BATCH_SHARE = 1 / 1024;
const MIN_JOINED_BYTES = 4096;

/** Number of blocks in an epoch. */
const EPOCH_BLOCKS = 64;

/**
 * The bytes queued for many peers together. Without a limit, ten thousand slow peers could fill the
 * memory although each stays within its own limit. Bytes shared by several queues count once, as
 * they do in memory.
 */
export class SendBudget extends ByteBudget {
  /**
   * The lines that were last queued by their bytes, and the piece made of them, while any queue
   * holds it. The next queue probably receives it too.
   */
  #latestLines: Uint8Array | null = null;
  #latest: Piece | null = null;
  /** Result of the last {@link join}, while any queue holds it. */
  joined: Joined | null = null;

  /** Most bytes that may be joined for one batch. */
  get maxJoinedBytes(): number {
    const share = (this.maxBytes - this.bytes) * BATCH_SHARE;
    return Math.max(MIN_JOINED_BYTES, Math.min(share, MAX_BATCH_BYTES));
  }

  /** Returns a piece of whole `lines` in an encoding, to be queued at once. */
  pieceOf(lines: Uint8Array, encoding: Encoding = LINES): Piece {
    if (this.#latestLines !== lines || this.#latest?.block.encoding !== encoding) {
      this.#latest = new Piece(new Block(encoding.encode(lines, false), encoding));
      this.#latestLines = lines;
    }
    return this.#latest!;
  }

  /**
   * Joins pieces into one of at most `size` bytes, starting at `offset` in the first. If the last
   * piece has numbers, only as many of its lines as fit are joined. Returns `null` if not even one
   * line fits.
   */
  join(parts: readonly Piece[], offset: number, size: number): Joined | null {
    return this.joined = join(parts, offset, size);
  }

  /** Subtracts a block that no queue holds any more. */
  free(block: Block): void {
    this.add(-block.bytes.length);
    if (this.#latest?.block === block) this.#latest = this.#latestLines = null;
    if (this.joined?.whole.block === block) this.joined = null;
  }
}

/** Number of blocks created so far, in all budgets. It serves as a clock. */
let made = 0;

/** Blocks that can be found again by their memory. */
const kept = new WeakMap<ArrayBufferLike, Block>();

/**
 * Bytes held by one or more queues. They count in the budget from the first queue that holds them
 * to the last.
 */
export class Block {
  readonly bytes: Uint8Array;
  /** The encoding of the lines. */
  readonly encoding: Encoding;
  /**
   * Time of creation, counted in blocks. At the end of an epoch, queues join their small pieces.
   * Queues with the same pieces then join the same ones and share the result.
   */
  readonly epoch: number = Math.floor(made++ / EPOCH_BLOCKS);
  #budget: SendBudget | null = null;
  #holders = 0;
  /** Parts of this block in other encodings, while any queue holds them. */
  #encoded: EncodedPart[] | null = null;
  /** The block of which this one is an encoded part. */
  #source: Block | null = null;

  /** Creates a block of bytes that never change. */
  constructor(bytes: Uint8Array, encoding: Encoding = LINES) {
    this.bytes = bytes;
    this.encoding = encoding;
  }

  /**
   * Returns a block of the whole buffer that contains `bytes`. If such a block was kept, returns
   * that one.
   */
  static of(bytes: Uint8Array): Block {
    const { buffer } = bytes;
    if (bytes.length === buffer.byteLength) return new Block(bytes);
    return kept.get(buffer) ?? new Block(new Uint8Array(buffer));
  }

  /** Lets {@link Block.of} find this block by any part of its bytes. */
  keep(): void {
    kept.set(this.bytes.buffer, this);
  }

  /** Counts one more holder, whose budget is `budget`. */
  retain(budget: SendBudget): void {
    if (this.#holders++ > 0) return;
    this.#budget = budget;
    budget.add(this.bytes.length);
  }

  /** Notes that a queue with the budget `budget` has no room for this block. */
  pass(budget: SendBudget): void {
    this.retain(budget);
    this.release();
  }

  /** Counts one holder fewer. */
  release(): void {
    if (--this.#holders > 0) return;
    this.#budget!.free(this);
    if (this.#source) this.#source.#forget(this);
  }

  /**
   * Returns the lines from `start` to `end` in another encoding. All queues that need them share
   * the result.
   */
  encode(encoding: Encoding, start: number, end: number, events: number): Piece {
    const known = this.#encoded?.find((each) =>
      each.start === start && each.end === end && each.piece.block.encoding === encoding
    );
    if (known) return known.piece;
    const bytes = encoding.encode(this.bytes.subarray(start, end), events > 0);
    const block = new Block(bytes, encoding);
    block.#source = this;
    const piece = new Piece(block, 0, bytes.length, events);
    (this.#encoded ??= []).push({ start, end, piece });
    return piece;
  }

  #forget(block: Block): void {
    this.#encoded = this.#encoded!.filter(({ piece }) => piece.block !== block);
    if (this.#encoded.length === 0) this.#encoded = null;
  }
}

/** Whole lines in a block. */
export interface Lines {
  readonly block: Block;
  readonly start: number;
  readonly end: number;
}

/** A part of a block in another encoding. */
interface EncodedPart {
  readonly start: number;
  readonly end: number;
  readonly piece: Piece;
}

/**
 * A part of a block to be written: complete lines, or fragments that a queue makes of them. Never
 * changes.
 */
export class Piece {
  readonly block: Block;
  /** Start and end within the block. */
  readonly start: number;
  readonly end: number;
  /** Number of events if the piece holds nothing else, otherwise 0. */
  readonly events: number;
  /** Number of the first event, from which the others are counted up; 0 for no numbers. */
  readonly number: number;
  /** Number of bytes to write, including the numbers. */
  readonly length: number;
  /** Counted on first use. */
  #lines: number | undefined;

  /** Creates a piece of the bytes of `block` from `start` to `end`, by default all of them. */
  constructor(block: Block, start = 0, end = block.bytes.length, events = 0, number = 0) {
    this.block = block;
    this.start = start;
    this.end = end;
    this.events = events;
    this.number = number;
    this.length = end - start;
    if (number > 0) {
      this.length += block.encoding.events!.addedLength(this.bytes, number, events);
    }
  }

  /** Returns the same lines in another encoding. */
  encode(encoding: Encoding): Piece {
    const { block, start, end, events, number } = this;
    const piece = block.encode(encoding, start, end, events);
    return number > 0 ? piece.numbered(number) : piece;
  }

  /** Returns the same piece with numbers from `number` on. */
  numbered(number: number): Piece {
    return new Piece(this.block, this.start, this.end, this.events, number);
  }

  /** Returns the same piece of a block that holds nothing but its bytes. */
  on(block: Block): Piece {
    return new Piece(block, 0, block.bytes.length, this.events, this.number);
  }

  /** Returns whether the same bytes are written for another piece. */
  equals({ block, start, end, number }: Piece): boolean {
    return this.block === block && this.start === start && this.end === end &&
      this.number === number;
  }

  /**
   * Number of lines that end in the piece. Thousands of queues may hold it, and all may close in
   * one turn, so it is counted only once.
   */
  get lines(): number {
    return this.#lines ??= this.events || this.linesBefore(this.end - this.start);
  }

  /** Whether a line ends with the piece. */
  get isLast(): boolean {
    return true;
  }

  /** Returns the number of lines that end before `end`, which counts from the start of the piece. */
  linesBefore(end: number): number {
    return this.block.encoding.countLines(this.bytes, end);
  }

  /**
   * Returns the end of the line that contains the byte at `at`, or 0 if it ends in a later piece.
   * Both count from the start of the piece.
   */
  endOfLine(at: number): number {
    return this.block.encoding.endOfLine(this.bytes, at);
  }

  /** The bytes of the piece, without numbers. */
  get bytes(): Uint8Array {
    const { block: { bytes }, start, end } = this;
    return end - start === bytes.length ? bytes : bytes.subarray(start, end);
  }
}

/** Returns the number of bytes to write for pieces. */
export function sizeOf(pieces: readonly Piece[]): number {
  let size = 0;
  for (const { length } of pieces) size += length;
  return size;
}

/** A part of a line that is queued in several pieces, because it is too long to be copied. */
export class Fragment extends Piece {
  readonly #isLast: boolean;

  /** Creates the part of the bytes of `block` from `start` to `end`, by default all of them. */
  constructor(block: Block, start = 0, end = block.bytes.length, isLast = false) {
    super(block, start, end);
    this.#isLast = isLast;
  }

  override on(block: Block): Piece {
    return new Fragment(block, 0, block.bytes.length, this.#isLast);
  }

  override get isLast(): boolean {
    return this.#isLast;
  }

  override linesBefore(end: number): number {
    return this.#isLast && end === this.length ? 1 : 0;
  }

  override endOfLine(): number {
    return this.#isLast ? this.length : 0;
  }
}

/** Bytes that must precede all lines, and are not one. */
export class Preamble extends Piece {
  override linesBefore(): number {
    return 0;
  }

  override endOfLine(): number {
    return this.length;
  }

  override on(block: Block): Piece {
    return new Preamble(block);
  }
}

/** Pieces that were joined. */
export class Joined {
  readonly parts: readonly Piece[];
  /** Number of bytes of the first piece that had been written before. */
  readonly offset: number;
  /** The resulting piece, without numbers. */
  readonly whole: Piece;
  /** The part of the last piece that did not fit, or `null`. */
  readonly remainder: Piece | null;

  constructor(parts: readonly Piece[], offset: number, whole: Piece, remainder: Piece | null) {
    this.parts = parts;
    this.offset = offset;
    this.whole = whole;
    this.remainder = remainder;
  }

  /** Whether a queue begins with exactly these parts. */
  #isNext(pieces: readonly Piece[], offset: number): boolean {
    return this.offset === offset && this.parts.length <= pieces.length &&
      this.parts.every((part, i) => part.equals(pieces[i]!));
  }

  /**
   * Whether a queue begins with these parts, and reusing them is better than a separate copy that
   * joins more.
   */
  isWorth(pieces: readonly Piece[], offset: number): boolean {
    const isFull = this.remainder !== null || this.parts.length === pieces.length ||
      this.whole.length > MAX_BATCH_BYTES / 2;
    return isFull && this.#isNext(pieces, offset);
  }

  /** Whether these parts are all of the pieces, and all of them were joined. */
  isAll(pieces: readonly Piece[]): boolean {
    return this.remainder === null && this.parts.length === pieces.length &&
      this.#isNext(pieces, 0);
  }
}

function join(parts: readonly Piece[], offset: number, size: number): Joined | null {
  const bytes = new Uint8Array(size);
  const isCounted = offset === 0 && parts.every(({ events }) => events > 0);
  let at = 0;
  let count = 0;
  let remainder: Piece | null = null;
  for (const [i, part] of parts.entries()) {
    const { block, start, end, events, number } = part;
    if (number === 0) {
      const text = i === 0 && offset > 0 ? part.bytes.subarray(offset) : part.bytes;
      bytes.set(text, at);
      at += text.length;
      count += events;
      continue;
    }
    const access = block.encoding.events!;
    const { lines, read, written } = access.copyNumbered(part.bytes, number, bytes, at);
    at += written;
    count += lines;
    if (lines === events) continue;
    if (at === 0) return null;
    if (lines === 0) parts = parts.slice(0, -1);
    else remainder = new Piece(block, start + read, end, events - lines, number + lines);
  }
  const block = new Block(bytes.subarray(0, at), parts[0]!.block.encoding);
  const whole = new Piece(block, 0, at, isCounted ? count : 0);
  return new Joined(parts, offset, whole, remainder);
}
