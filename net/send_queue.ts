/**
 * The send queue of one peer: a bounded queue from which the writer takes batches.
 *
 * The queue holds pieces of blocks. Blocks never change and are shared by the queues of all
 * recipients. Event numbers are written only into the next batch, so numbering costs each recipient
 * the memory of one batch at most. Small pieces that accumulate are joined, so that one write
 * carries many of them, and memory use stays close to the counted bytes. Queues with the same
 * accumulated pieces share the joined copy, as do queues with the same numbers.
 *
 * @module
 */

import { LF, OPEN_BRACE } from "../protocol/ascii.ts";
import { copyNumbered, memberBytes, numbersLength } from "../protocol/envelope.ts";

/**
 * Most bytes per write: enough to make the system call worthwhile, and few enough that no peer
 * delays the others for long. It is twice the size Redis uses (`NET_MAX_WRITES_PER_EVENT`), because
 * a call costs more here. With 50 subscribers this saves a sixth.
 */
export const MAX_BATCH_BYTES = 131_072;

/** Largest small block, in bytes. For these, the overhead of about 500 bytes per block matters. */
const SMALL_BLOCK_BYTES = 4096;

/**
 * Least number of small blocks to join at the end of an epoch, and the number of blocks in an
 * epoch.
 */
const MIN_SMALL_BLOCKS = 32;
const EPOCH_BLOCKS = 64;

/**
 * Share of the room left for all queues that one batch of joined pieces may take, and its lower
 * bound in bytes. Joining never causes an excess by itself. With the default limit, a full batch is
 * allowed while a quarter of it is left.
 */
const BATCH_SHARE = 1 / 1024;
const MIN_JOINED_BYTES = 4096;

/**
 * The bytes queued for many peers together, and their limit. Without one, ten thousand slow peers
 * could fill the memory although each stays within its own limit.
 */
export class ByteBudget {
  /** Number of queued bytes. Bytes shared by several queues count once, as they do in memory. */
  bytes = 0;
  readonly #maxBytes: number;
  readonly #onExcess: () => void;
  #isTold = false;

  /** Creates a budget that calls `onExcess` after a turn in which `maxBytes` was exceeded. */
  constructor(maxBytes: number, onExcess: () => void) {
    this.#maxBytes = maxBytes;
    this.#onExcess = onExcess;
  }

  /** Most bytes that may be joined for one batch. */
  get maxJoinedBytes(): number {
    const share = (this.#maxBytes - this.bytes) * BATCH_SHARE;
    return Math.max(MIN_JOINED_BYTES, Math.min(share, MAX_BATCH_BYTES));
  }

  /** Adds `bytes` to the total, or subtracts them if negative. */
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

/** Number of blocks created so far. */
let made = 0;

/** Blocks that can be found again by their memory. */
const kept = new WeakMap<ArrayBufferLike, Block>();

/**
 * Bytes held by one or more queues. They count in the budget from the first queue that holds them
 * to the last.
 */
export class Block {
  readonly bytes: Uint8Array;
  /**
   * Time of creation, counted in blocks. At the end of an epoch, queues join their small pieces.
   * Queues with the same pieces then join the same ones and share the result.
   */
  readonly epoch: number = Math.floor(made++ / EPOCH_BLOCKS);
  #total: ByteBudget | null = null;
  #holders = 0;

  /** Creates a block of bytes that never change. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
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

  /** The budget in which the block counts while it is held. */
  get total(): ByteBudget | null {
    return this.#total;
  }

  hold(total: ByteBudget | null): void {
    if (this.#holders++ > 0) return;
    this.#total = total;
    total?.add(this.bytes.length);
  }

  release(): void {
    if (--this.#holders > 0) return;
    this.#total?.add(-this.bytes.length);
    if (latest?.block === this) latest = null;
    if (joined?.whole.block === this) joined = null;
  }
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
    this.length = end - start + (number > 0 ? numbersLength(number, events) : 0);
  }

  /** Returns the same piece with numbers from `number` on. */
  numbered(number: number): Piece {
    return new Piece(this.block, this.start, this.end, this.events, number);
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
    return this.#lines ??= this.events || countLines(this.bytes);
  }

  /** The bytes of the piece, without numbers. */
  get bytes(): Uint8Array {
    const { block: { bytes }, start, end } = this;
    return end - start === bytes.length ? bytes : bytes.subarray(start, end);
  }
}

/**
 * The piece that was last queued by its bytes, while any queue holds it. The next queue probably
 * receives it too.
 */
let latest: Piece | null = null;

function toPiece(bytes: Uint8Array, total: ByteBudget | null): Piece {
  const isSame = latest?.block.bytes === bytes && latest.block.total === total;
  return isSame ? latest! : latest = new Piece(new Block(bytes));
}

/** Returns the number of bytes to write for pieces. */
export function sizeOf(pieces: readonly Piece[]): number {
  let size = 0;
  for (const { length } of pieces) size += length;
  return size;
}

/** Returns the number of lines that end before `end`. */
function countLines(bytes: Uint8Array, end = bytes.length): number {
  let lines = 0;
  for (let i = bytes.indexOf(LF); i >= 0 && i < end; i = bytes.indexOf(LF, i + 1)) lines++;
  return lines;
}

/** A queue of pieces, which together are complete lines. */
export class SendQueue {
  /** Most bytes that may be queued. */
  readonly maxBytes: number;

  readonly #total: ByteBudget | null;
  #isAbandoned = false;
  /** Once `batch()` was called, the first piece has no numbers left to write. */
  #pieces: Piece[] = [];
  /** Number of bytes of the first piece that were written. */
  #offset = 0;
  /**
   * End of the part of the first piece that `batch()` has returned and that may be being written.
   */
  #given = 0;
  /** Whether the last written bytes end within a line. */
  #isInLine = false;
  #bytes = 0;
  /** Number of small pieces at the end that have not been joined. */
  #small = 0;
  #epoch = 0;

  constructor(maxBytes: number, total: ByteBudget | null = null) {
    this.maxBytes = maxBytes;
    this.#total = total;
  }

  /** Bytes queued. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of queued lines, including a partly written one. */
  get lines(): number {
    let lines = 0;
    for (const piece of this.#pieces) lines += piece.lines;
    return this.#offset === 0 ? lines : lines - countLines(this.#pieces[0]!.bytes, this.#offset);
  }

  /** Adds complete lines. Returns `false` and adds nothing if they exceed the limit. */
  offer(lines: Uint8Array): boolean {
    if (!this.#fits(lines.length)) return false;
    this.append(lines);
    return true;
  }

  /** Adds pieces that are complete lines together. Returns `false` as {@link offer} does. */
  offerPieces(pieces: readonly Piece[]): boolean {
    if (!this.#fits(sizeOf(pieces))) return false;
    for (const piece of pieces) this.#add(piece);
    return true;
  }

  #fits(length: number): boolean {
    return this.#bytes + length <= this.maxBytes || this.#bytes === 0;
  }

  /** Adds complete lines regardless of the limit, for a last line. */
  append(lines: Uint8Array): void {
    this.#add(toPiece(lines, this.#total));
  }

  #add(piece: Piece): void {
    const { block, length } = piece;
    block.hold(this.#total);
    if (block.epoch > this.#epoch) {
      this.#joinSmall();
      this.#epoch = block.epoch;
    }
    this.#pieces.push(piece);
    this.#bytes += length;
    this.#small = length <= SMALL_BLOCK_BYTES ? this.#small + 1 : 0;
  }

  /**
   * Joins the small pieces at the end into one if there are many. Spares the first piece, which may
   * be being written.
   */
  #joinSmall(): void {
    const count = this.#small = Math.min(this.#small, Math.max(0, this.#pieces.length - 1));
    if (count < MIN_SMALL_BLOCKS) return;
    const at = this.#pieces.length - count;
    const parts = this.#pieces.slice(at);
    const shared = joined?.isAll(parts, this.#total) ? joined : join(parts, 0, sizeOf(parts))!;
    this.#replace(at, count, [shared.whole]);
    this.#small = 0;
  }

  /** Replaces `count` pieces, from index `at` on, with others. */
  #replace(at: number, count: number, pieces: readonly Piece[]): void {
    for (const { block } of pieces) block.hold(this.#total);
    for (const piece of this.#pieces.splice(at, count, ...pieces)) this.#drop(piece);
  }

  /**
   * Replaces each piece with the result of `replace`, which must hold the same bytes or be the same
   * piece.
   */
  replaceEach(replace: (piece: Piece) => Piece): void {
    if (this.#isAbandoned) return;
    for (const [i, piece] of this.#pieces.entries()) {
      const other = replace(piece);
      if (other !== piece) this.#replace(i, 1, [other]);
    }
  }

  /** Removes the queued bytes from the budget, because they will never be written. */
  abandon(): void {
    if (this.#isAbandoned) return;
    for (const { block } of this.#pieces) block.release();
    this.#isAbandoned = true;
  }

  /** Frees the pieces after {@link abandon}. `bytes` still returns their size. */
  clear(): void {
    this.#pieces = [];
  }

  #drop({ block }: Piece): void {
    if (!this.#isAbandoned) block.release();
  }

  /**
   * Returns the next bytes to write, at most {@link MAX_BATCH_BYTES}. They stay queued until
   * `consume()`.
   */
  batch(): Uint8Array {
    this.#prepare();
    const { bytes } = this.#pieces[0]!;
    this.#given = Math.min(bytes.length, this.#offset + MAX_BATCH_BYTES);
    const isWhole = this.#offset === 0 && this.#given === bytes.length;
    return isWhole ? bytes : bytes.subarray(this.#offset, this.#given);
  }

  /**
   * Joins the pieces at the front, as many as fit into a batch, into one piece with its numbers
   * written. Does nothing if the first piece suffices.
   */
  #prepare(): void {
    const pieces = this.#pieces;
    const first = pieces[0]!;
    const isWritten = first.number === 0;
    const limit = this.#total?.maxJoinedBytes ?? MAX_BATCH_BYTES;
    const isAlone = pieces.length === 1 || first.length - this.#offset > limit / 2;
    if (isWritten && isAlone) return;
    let shared = joined?.isWorth(pieces, this.#offset, this.#total) ? joined : null;
    if (!shared) {
      const { count, size } = this.#countUpTo(limit);
      if (isWritten && count === 1) return;
      shared = join(pieces.slice(0, count), this.#offset, size);
    }
    if (!shared) {
      this.#split(first);
      return this.#prepare();
    }
    const { parts, whole, rest } = shared;
    this.#replace(0, parts.length, rest ? [whole, rest] : [whole]);
    this.#offset = 0;
  }

  /**
   * Returns the number and size of the pieces at the front that fit into `limit` bytes. The last
   * one may fit only in part if it has numbers.
   */
  #countUpTo(limit: number): { count: number; size: number } {
    let count = 0;
    let size = -this.#offset;
    for (const { length, number } of this.#pieces) {
      const fits = size + length <= limit;
      if (!fits && number === 0) break;
      count++;
      size = fits ? size + length : limit;
      if (!fits) break;
    }
    return { count, size };
  }

  /**
   * Splits the first line of the first piece, which is too long to be copied for each recipient.
   * Its number then goes between the two parts.
   */
  #split({ block, start, end, events, number }: Piece): void {
    const behind = block.bytes.indexOf(OPEN_BRACE, start) + 1;
    const next = block.bytes.indexOf(LF, behind) + 1;
    const pieces = [
      new Piece(block, start, behind),
      new Piece(new Block(memberBytes("seq", number))),
      new Piece(block, behind, next),
    ];
    if (next < end) pieces.push(new Piece(block, next, end, events - 1, number + 1));
    this.#replace(0, 1, pieces);
  }

  /** Removes the first `n` bytes, which have been written. */
  consume(n: number): void {
    this.#bytes -= n;
    this.#offset += n;
    const { bytes } = this.#pieces[0]!;
    if (this.#offset < bytes.length) return;
    this.#isInLine = bytes[bytes.length - 1] !== LF;
    this.#drop(this.#pieces.shift()!);
    this.#offset = 0;
    this.#given = 0;
  }

  /**
   * Drops everything except the rest of a line that was begun or is being written. The next added
   * bytes then start a line.
   *
   * @returns The number of dropped lines and bytes.
   */
  cut(): { lines: number; bytes: number } {
    const { lines, bytes } = this;
    const dropped = this.#pieces;
    this.#pieces = [];
    this.#bytes = -this.#offset;
    for (const piece of this.#begun(dropped)) {
      piece.block.hold(this.#total);
      this.#pieces.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#pieces.length === 0) this.#bytes = this.#offset = this.#given = 0;
    for (const piece of dropped) this.#drop(piece);
    return { lines: lines - this.lines, bytes: bytes - this.#bytes };
  }

  /** Returns the pieces that hold the rest of the line that was begun. */
  #begun(pieces: readonly Piece[]): Piece[] {
    const written = Math.max(this.#offset, this.#given);
    const begun: Piece[] = [];
    if (written === 0 && !this.#isInLine) return begun;
    let from = Math.max(0, written - 1);
    for (const piece of pieces) {
      const end = piece.bytes.indexOf(LF, from) + 1;
      // Not a copy, so that the total does not grow even if everything queued is in one block.
      begun.push(end > 0 ? new Piece(piece.block, piece.start, piece.start + end) : piece);
      if (end > 0) break;
      from = 0;
    }
    const isDone = begun.length === 1 && begun[0]!.length <= this.#offset;
    return isDone ? [] : begun;
  }
}

/** Result of the last join for any queue, while any queue holds it. */
let joined: Joined | null = null;

/** Pieces that were joined. */
class Joined {
  readonly parts: readonly Piece[];
  /** Number of bytes of the first piece that had been written before. */
  readonly offset: number;
  /** The resulting piece, without numbers. */
  readonly whole: Piece;
  /** The part of the last piece that did not fit, or `null`. */
  readonly rest: Piece | null;

  constructor(parts: readonly Piece[], offset: number, whole: Piece, rest: Piece | null) {
    this.parts = parts;
    this.offset = offset;
    this.whole = whole;
    this.rest = rest;
  }

  /** Whether a queue begins with exactly these parts. */
  #isNext(pieces: readonly Piece[], offset: number, total: ByteBudget | null): boolean {
    return this.offset === offset && this.whole.block.total === total &&
      this.parts.length <= pieces.length && this.parts.every((part, i) => part.equals(pieces[i]!));
  }

  /**
   * Whether a queue begins with these parts, and reusing them is better than a separate copy that
   * joins more.
   */
  isWorth(pieces: readonly Piece[], offset: number, total: ByteBudget | null): boolean {
    const isMost = this.rest !== null || this.parts.length === pieces.length ||
      this.whole.length > MAX_BATCH_BYTES / 2;
    return isMost && this.#isNext(pieces, offset, total);
  }

  /** Whether these parts are all of the pieces, and all of them were joined. */
  isAll(pieces: readonly Piece[], total: ByteBudget | null): boolean {
    return this.rest === null && this.parts.length === pieces.length &&
      this.#isNext(pieces, 0, total);
  }
}

/**
 * Joins pieces into one of at most `size` bytes, starting at `offset` in the first. If the last
 * piece has numbers, only as many of its lines as fit are joined. Returns `null` if not even one
 * line fits.
 */
function join(parts: readonly Piece[], offset: number, size: number): Joined | null {
  const bytes = new Uint8Array(size);
  const isCounted = offset === 0 && parts.every(({ events }) => events > 0);
  let at = 0;
  let count = 0;
  let rest: Piece | null = null;
  for (const [i, part] of parts.entries()) {
    const { block, start, end, events, number } = part;
    if (number === 0) {
      const text = i === 0 && offset > 0 ? part.bytes.subarray(offset) : part.bytes;
      bytes.set(text, at);
      at += text.length;
      count += events;
      continue;
    }
    const { lines, read, written } = copyNumbered(part.bytes, number, bytes, at);
    at += written;
    count += lines;
    if (lines === events) continue;
    if (at === 0) return null;
    if (lines === 0) parts = parts.slice(0, -1);
    else rest = new Piece(block, start + read, end, events - lines, number + lines);
  }
  const whole = new Piece(new Block(bytes.subarray(0, at)), 0, at, isCounted ? count : 0);
  return joined = new Joined(parts, offset, whole, rest);
}
