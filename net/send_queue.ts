/**
 * Owns the bytes that wait for one peer: a queue with a bound, from which the writer takes batches.
 * Must not know sockets, or who else gets the same bytes.
 *
 * What waits are pieces of blocks. Blocks are shared between the queues of all recipients and never
 * changed. Numbers are written only into the batch that is written next, so that they cost each
 * recipient the memory of one batch at most. What has piled up in small pieces is joined, so that one
 * write carries many of them, and so that it takes hardly more memory than is counted. Queues in which
 * the same pieces have piled up share what is joined, and so do those with the same numbers.
 *
 * @module
 */

import { copyNumbered, memberBytes, numbersLength } from "../protocol/envelope.ts";

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

/**
 * How much of the room that is left for all queues together one batch may take, for which pieces are
 * joined: what is joined never makes for an excess by itself. Above the least, it is a whole batch while
 * a quarter of the default is left.
 */
const BATCH_SHARE = 1 / 1024;
const MIN_JOINED_BYTES = 4096;

const LF = 0x0a;
const OPEN_BRACE = 0x7b;

/**
 * What waits in many queues together, and its bound: without one, ten thousand peers that read
 * slowly could fill the memory although each keeps to its own.
 */
export class ByteBudget {
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

  /** How many bytes may be joined for one batch. */
  get maxJoinedBytes(): number {
    const share = (this.#maxBytes - this.bytes) * BATCH_SHARE;
    return Math.max(MIN_JOINED_BYTES, Math.min(share, MAX_BATCH_BYTES));
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

/** The blocks that were kept to be found again, by their memory. */
const kept = new WeakMap<ArrayBufferLike, Block>();

/** Bytes that wait in one or more queues. They count in the total from the first to the last. */
export class Block {
  readonly bytes: Uint8Array;
  /**
   * The time in which it was made, counted in blocks. Queues join their small pieces when such a time
   * ends: those that have the same pieces then join the same ones, and share what comes of it.
   */
  readonly epoch: number = Math.floor(made++ / EPOCH_BLOCKS);
  #total: ByteBudget | null = null;
  #holders = 0;

  /** Makes one of bytes that never change. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** A block of all the memory that `bytes` are in: the one of which they are a part, if that was kept. */
  static of(bytes: Uint8Array): Block {
    const { buffer } = bytes;
    if (bytes.length === buffer.byteLength) return new Block(bytes);
    return kept.get(buffer) ?? new Block(new Uint8Array(buffer));
  }

  /** Lets {@link Block.of} find it again by any part of its bytes. */
  keep(): void {
    kept.set(this.bytes.buffer, this);
  }

  /** Whose total it counts in, while it waits. */
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

/** A part of a block that is to be written: whole lines, or what a queue makes of them. Never changes. */
export class Piece {
  readonly block: Block;
  /** Where it begins and ends in its block. */
  readonly start: number;
  readonly end: number;
  /** How many events it has, and nothing else; 0 if it is something else. */
  readonly events: number;
  /** Which number the first event is to get, the next one the next; 0 if they get none. */
  readonly number: number;
  /** How many bytes are written for it. */
  readonly length: number;
  /** Counted when it is asked for first. */
  #lines: number | undefined;

  /** Makes one of the bytes of `block` from `start` to `end`, all of it by default. */
  constructor(block: Block, start = 0, end = block.bytes.length, events = 0, number = 0) {
    this.block = block;
    this.start = start;
    this.end = end;
    this.events = events;
    this.number = number;
    this.length = end - start + (number > 0 ? numbersLength(number, events) : 0);
  }

  /** The same piece, with numbers from `number` on. */
  numbered(number: number): Piece {
    return new Piece(this.block, this.start, this.end, this.events, number);
  }

  /** Whether the same bytes are written for another. */
  equals({ block, start, end, number }: Piece): boolean {
    return this.block === block && this.start === start && this.end === end &&
      this.number === number;
  }

  /**
   * How many lines end in it. Thousands of queues may hold it, and all may be closed in one turn: it is
   * counted once at most.
   */
  get lines(): number {
    return this.#lines ??= this.events || countLines(this.bytes);
  }

  /** Its bytes, without numbers. */
  get bytes(): Uint8Array {
    const { block: { bytes }, start, end } = this;
    return end - start === bytes.length ? bytes : bytes.subarray(start, end);
  }
}

/** What was queued last by its bytes, while any queue holds it: the next queue most likely gets it too. */
let latest: Piece | null = null;

function toPiece(bytes: Uint8Array, total: ByteBudget | null): Piece {
  const isSame = latest?.block.bytes === bytes && latest.block.total === total;
  return isSame ? latest! : latest = new Piece(new Block(bytes));
}

/** How many bytes are written for pieces. */
export function sizeOf(pieces: readonly Piece[]): number {
  let size = 0;
  for (const { length } of pieces) size += length;
  return size;
}

/** How many lines end before `end`. */
function countLines(bytes: Uint8Array, end = bytes.length): number {
  let lines = 0;
  for (let i = bytes.indexOf(LF); i >= 0 && i < end; i = bytes.indexOf(LF, i + 1)) lines++;
  return lines;
}

/** A queue of pieces of blocks, which are whole lines together. */
export class SendQueue {
  /** The most that may wait, in bytes. */
  readonly maxBytes: number;

  readonly #total: ByteBudget | null;
  #isAbandoned = false;
  /** The first has no numbers any more once `batch()` has been called. */
  #pieces: Piece[] = [];
  /** How much of the first piece has been written. */
  #offset = 0;
  /** How much of the first piece has been given out by `batch()` and may be being written. */
  #given = 0;
  /** Whether what was written last is only the beginning of a line. */
  #isInLine = false;
  #bytes = 0;
  /** How many small pieces there are at the end that have not been joined. */
  #small = 0;
  #epoch = 0;

  constructor(maxBytes: number, total: ByteBudget | null = null) {
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
    for (const piece of this.#pieces) lines += piece.lines;
    return this.#offset === 0 ? lines : lines - countLines(this.#pieces[0]!.bytes, this.#offset);
  }

  /** Adds whole lines; `false` if that would exceed the bound, and nothing is added. */
  offer(lines: Uint8Array): boolean {
    if (!this.#fits(lines.length)) return false;
    this.append(lines);
    return true;
  }

  /** Adds pieces that are whole lines together; `false` as {@link offer}. */
  offerPieces(pieces: readonly Piece[]): boolean {
    if (!this.#fits(sizeOf(pieces))) return false;
    for (const piece of pieces) this.#add(piece);
    return true;
  }

  #fits(length: number): boolean {
    return this.#bytes + length <= this.maxBytes || this.#bytes === 0;
  }

  /** Adds whole lines, whatever the bound: for a last word. */
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

  /** Makes one piece of the small ones at the end, if they are many. The first may be being written. */
  #joinSmall(): void {
    const count = this.#small = Math.min(this.#small, Math.max(0, this.#pieces.length - 1));
    if (count < MIN_SMALL_BLOCKS) return;
    const at = this.#pieces.length - count;
    const parts = this.#pieces.slice(at);
    const shared = joined?.isAll(parts, this.#total) ? joined : join(parts, 0, sizeOf(parts))!;
    this.#replace(at, count, [shared.whole]);
    this.#small = 0;
  }

  /** Puts pieces in the place of others. */
  #replace(at: number, count: number, pieces: readonly Piece[]): void {
    for (const { block } of pieces) block.hold(this.#total);
    for (const piece of this.#pieces.splice(at, count, ...pieces)) this.#drop(piece);
  }

  /** Puts what `replace` gives in the place of each piece. It is to have the same bytes, or be the same. */
  replaceEach(replace: (piece: Piece) => Piece): void {
    if (this.#isAbandoned) return;
    for (const [i, piece] of this.#pieces.entries()) {
      const other = replace(piece);
      if (other !== piece) this.#replace(i, 1, [other]);
    }
  }

  /** What waits will never be taken: it counts in the total no longer. */
  abandon(): void {
    if (this.#isAbandoned) return;
    for (const { block } of this.#pieces) block.release();
    this.#isAbandoned = true;
  }

  /** Lets go of what waits, after {@link abandon}; `bytes` still tells how much it was. */
  letGo(): void {
    this.#pieces = [];
  }

  #drop({ block }: Piece): void {
    if (!this.#isAbandoned) block.release();
  }

  /** The next bytes to write, at most {@link MAX_BATCH_BYTES}; they stay until `consume()`. */
  batch(): Uint8Array {
    this.#prepare();
    const { bytes } = this.#pieces[0]!;
    this.#given = Math.min(bytes.length, this.#offset + MAX_BATCH_BYTES);
    const isWhole = this.#offset === 0 && this.#given === bytes.length;
    return isWhole ? bytes : bytes.subarray(this.#offset, this.#given);
  }

  /**
   * Makes one piece, with its numbers written, of those at the front, as many as fit into a batch; unless
   * the first will do.
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

  /** How many pieces at the front fit into `limit` bytes, and how long they are. A part of one with numbers may do. */
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
   * Takes the first line of the first piece apart, so that its number can be written between two parts
   * of it: it is too long to be copied for each recipient.
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

  /** Removes the first `n` bytes: they have been written. */
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
   * Drops all but the rest of the line that has been begun, or that is being written, so that what
   * is added next begins a line. Returns how much was dropped.
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

  /** Of what waits, the pieces that hold the rest of the line that has been begun. */
  #begun(pieces: readonly Piece[]): Piece[] {
    const written = Math.max(this.#offset, this.#given);
    const begun: Piece[] = [];
    if (written === 0 && !this.#isInLine) return begun;
    let from = Math.max(0, written - 1);
    for (const piece of pieces) {
      const end = piece.bytes.indexOf(LF, from) + 1;
      // No copy: where all waits in one block, none is left, and the total does not grow.
      begun.push(end > 0 ? new Piece(piece.block, piece.start, piece.start + end) : piece);
      if (end > 0) break;
      from = 0;
    }
    const isDone = begun.length === 1 && begun[0]!.length <= this.#offset;
    return isDone ? [] : begun;
  }
}

/** What was joined last, for whichever queue, and into what, while any queue holds that. */
let joined: Joined | null = null;

/** Pieces that were joined. */
class Joined {
  readonly parts: readonly Piece[];
  /** How much of the first one had been written before. */
  readonly offset: number;
  /** What came of them: one piece, without numbers. */
  readonly whole: Piece;
  /** What of the last one is not in that. */
  readonly rest: Piece | null;

  constructor(parts: readonly Piece[], offset: number, whole: Piece, rest: Piece | null) {
    this.parts = parts;
    this.offset = offset;
    this.whole = whole;
    this.rest = rest;
  }

  /** Whether a queue begins with just these. */
  #isNext(pieces: readonly Piece[], offset: number, total: ByteBudget | null): boolean {
    return this.offset === offset && this.whole.block.total === total &&
      this.parts.length <= pieces.length && this.parts.every((part, i) => part.equals(pieces[i]!));
  }

  /** Whether a queue begins with these, and using them is better than joining more of it, in a copy of its own. */
  isWorth(pieces: readonly Piece[], offset: number, total: ByteBudget | null): boolean {
    const isMost = this.rest !== null || this.parts.length === pieces.length ||
      this.whole.length > MAX_BATCH_BYTES / 2;
    return isMost && this.#isNext(pieces, offset, total);
  }

  /** Whether these are all of the pieces, and all of them have been joined. */
  isAll(pieces: readonly Piece[], total: ByteBudget | null): boolean {
    return this.rest === null && this.parts.length === pieces.length &&
      this.#isNext(pieces, 0, total);
  }
}

/**
 * Joins pieces, the first from `offset` on, into one of at most `size` bytes; of the last one, if that has
 * numbers, as many lines as fit. `null` if not even one does.
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
