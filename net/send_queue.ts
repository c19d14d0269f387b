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

import { concat } from "@std/bytes/concat";
import { OPEN_BRACE } from "../protocol/ascii.ts";
import { memberBytes } from "../protocol/envelope.ts";
import { type Encoding, LINES } from "./encoding.ts";
import { Credit } from "./credit.ts";
import { Block, Fragment, MAX_BATCH_BYTES, Piece, Preamble, SendBudget, sizeOf } from "./piece.ts";

/** Largest small block, in bytes. For these, the overhead of about 500 bytes per block matters. */
const SMALL_BLOCK_BYTES = 4096;

/** Least number of small blocks to join at the end of an epoch. */
const MIN_SMALL_BLOCKS = 32;

/** A queue of pieces, which together are complete lines. */
export class SendQueue {
  /** Bytes queued. */
  bytes = 0;
  /** Most bytes that may be queued. */
  maxBytes: number;

  readonly #budget: SendBudget;
  #encoding: Encoding = LINES;
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
  /** Number of small pieces at the end that have not been joined. */
  #small = 0;
  #epoch = 0;
  /** The events that the peer can take, or `null` if it can take any. */
  #credit: Credit | null = null;
  /** Number of bytes at the front that the credit does not limit any more. */
  #paid = 0;

  /** Creates a queue with a limit of its own, and with a budget that it may share with others. */
  constructor(maxBytes: number, budget: SendBudget | null = null) {
    this.maxBytes = maxBytes;
    this.#budget = budget ?? new SendBudget();
  }

  /** Number of queued lines, including a partly written one. */
  get lines(): number {
    let lines = 0;
    for (const piece of this.#pieces) lines += piece.lines;
    return this.#offset === 0 ? lines : lines - this.#pieces[0]!.linesBefore(this.#offset);
  }

  /** Adds complete lines. Returns `false` and adds nothing if they exceed the limit. */
  offer(lines: Uint8Array): boolean {
    return this.#offer([this.#budget.pieceOf(lines, this.#encoding)]);
  }

  /** Adds pieces that are complete lines together. Returns `false` as {@link offer} does. */
  offerPieces(pieces: readonly Piece[]): boolean {
    const encoding = this.#encoding;
    return this.#offer(
      encoding === LINES ? pieces : pieces.map((piece) => piece.encode(encoding)),
    );
  }

  #offer(pieces: readonly Piece[]): boolean {
    const fits = this.bytes === 0 || this.bytes + sizeOf(pieces) <= this.maxBytes;
    if (fits) { for (const piece of pieces) this.#add(piece); }
    else for (const { block } of pieces) block.pass(this.#budget);
    return fits;
  }

  /** Adds complete lines regardless of the limit, for a last line. */
  append(lines: Uint8Array): void {
    this.#add(this.#budget.pieceOf(lines, this.#encoding));
  }

  /** Adds encoded bytes that are not a line, such as a frame that controls the connection. */
  appendEncoded(bytes: Uint8Array): void {
    this.#add(new Piece(new Block(bytes, this.#encoding)));
  }

  /** Adds `preamble`, which may be empty, and encodes the lines that follow. */
  wrap(encoding: Encoding, preamble: Uint8Array): void {
    if (preamble.length > 0) this.#add(new Preamble(new Block(preamble)));
    this.#encoding = encoding;
  }

  #add(piece: Piece): void {
    const { block, length } = piece;
    block.retain(this.#budget);
    if (block.epoch > this.#epoch) {
      this.#joinSmall();
      this.#epoch = block.epoch;
    }
    this.#pieces.push(piece);
    this.bytes += length;
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
    const { joined } = this.#budget;
    const shared = joined?.isAll(parts) ? joined : this.#budget.join(parts, 0, sizeOf(parts))!;
    this.#replace(at, count, [shared.whole]);
    this.#small = 0;
  }

  /** Replaces `count` pieces, from index `at` on, with others. */
  #replace(at: number, count: number, pieces: readonly Piece[]): void {
    for (const { block } of pieces) block.retain(this.#budget);
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

  /**
   * Sets how many bytes of further events the peer can take, counted as plain lines, or removes the
   * limit with `Infinity`. What is queued already does not count, and neither do control lines.
   */
  limit(window: number): void {
    this.#credit = window === Infinity ? null : new Credit(window);
    this.#paid = this.bytes;
  }

  /**
   * Notes that the peer has read that many bytes of events. Returns how many of them it had not read
   * before.
   */
  grant(bytes: number): number {
    return this.#credit?.grant(bytes) ?? 0;
  }

  /** Whether there are bytes to write that the peer can take. */
  get isReady(): boolean {
    if (this.bytes === 0) return false;
    if (!this.#credit || this.#credit.isLeft || this.#paid > 0) return true;
    const { block, start } = this.#pieces[0]!;
    return block.encoding.events!.isControl(block.bytes, start + this.#offset);
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
    if (this.#credit) {
      this.#given = Math.min(this.#given, this.#offset + this.#pay(this.#credit));
    }
    const isWhole = this.#offset === 0 && this.#given === bytes.length;
    return isWhole ? bytes : bytes.subarray(this.#offset, this.#given);
  }

  /** Takes the next lines from the credit. Returns the number of bytes that may be written. */
  #pay(credit: Credit): number {
    if (this.#paid > 0) return this.#paid;
    const { bytes, block: { encoding } } = this.#pieces[0]!;
    const access = encoding.events!;
    let at = this.#offset;
    while (at < this.#given) {
      const end = encoding.endOfLine(bytes, at, at);
      if (!access.isControl(bytes, at)) {
        if (!credit.isLeft) break;
        credit.spend(access.plainLength(bytes, at, end));
      }
      at = end;
    }
    return this.#paid = at - this.#offset;
  }

  /**
   * Joins the pieces at the front, as many as fit into a batch, into one piece with its numbers
   * written. Does nothing if the first piece suffices.
   */
  #prepare(): void {
    const pieces = this.#pieces;
    const first = pieces[0]!;
    const isWritten = first.number === 0;
    const { maxJoinedBytes: limit, joined } = this.#budget;
    const isAlone = pieces.length === 1 || first.length - this.#offset > limit / 2;
    if (isWritten && (isAlone || !this.#canJoin(first))) return;
    let shared = joined?.isWorth(pieces, this.#offset) ? joined : null;
    if (!shared) {
      const { count, size } = this.#countUpTo(limit);
      if (isWritten && count === 1) return;
      shared = this.#budget.join(pieces.slice(0, count), this.#offset, size);
    }
    if (!shared) {
      this.#split(first);
      return this.#prepare();
    }
    const { parts, whole, remainder } = shared;
    this.#replace(0, parts.length, remainder ? [whole, remainder] : [whole]);
    this.#offset = 0;
  }

  /** Whether the first piece may be joined with others. */
  #canJoin(first: Piece): boolean {
    if (first instanceof Fragment || first instanceof Preamble) return false;
    return this.#offset === 0 || first.block.encoding.isSelfDelimiting;
  }

  /**
   * Returns the number and size of the pieces at the front that fit into `limit` bytes. The last
   * one may fit only in part if it has numbers.
   */
  #countUpTo(limit: number): { count: number; size: number } {
    let count = 0;
    let size = -this.#offset;
    for (const piece of this.#pieces) {
      const { length, number } = piece;
      const fits = size + length <= limit;
      if (!fits && number === 0 || piece instanceof Fragment) break;
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
    const { bytes, encoding } = block;
    const member = memberBytes("seq", number);
    const { length, longer } = encoding.events!.headOf(bytes, start, member.length);
    const text = start + length;
    const behind = bytes.indexOf(OPEN_BRACE, text) + 1;
    const next = encoding.endOfLine(bytes, start, start);
    const before = bytes.subarray(text, behind);
    const isShort = before.length <= SMALL_BLOCK_BYTES; // it may begin with any amount of space
    const fragments = [
      new Fragment(new Block(concat(isShort ? [longer, before, member] : [longer]), encoding)),
      ...isShort ? [] : [
        new Fragment(block, text, behind),
        new Fragment(new Block(member, encoding)),
      ],
      new Fragment(block, behind, next, true),
    ];
    const rest = next < end ? [new Piece(block, next, end, events - 1, number + 1)] : [];
    this.#replace(0, 1, [...fragments, ...rest]);
    this.#credit?.spend(encoding.events!.plainLength(bytes, start, next) + member.length);
    this.#paid = sizeOf(fragments);
  }

  /** Removes the first `n` bytes, which have been written. */
  consume(n: number): void {
    this.bytes -= n;
    this.#offset += n;
    if (this.#credit) this.#paid = Math.max(0, this.#paid - n);
    const first = this.#pieces[0]!;
    if (this.#offset < first.length) return;
    this.#isInLine = !first.isLast;
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
    this.bytes = -this.#offset;
    for (const piece of this.#begun(dropped)) {
      piece.block.retain(this.#budget);
      this.#pieces.push(piece);
      this.bytes += piece.length;
    }
    if (this.#pieces.length === 0) this.bytes = this.#offset = this.#given = 0;
    this.#paid = this.bytes;
    for (const piece of dropped) this.#drop(piece);
    return { lines: lines - this.lines, bytes: bytes - this.bytes };
  }

  /** Returns the pieces that hold the rest of the line that was begun, or of the preamble. */
  #begun(pieces: readonly Piece[]): Piece[] {
    if (pieces[0] instanceof Preamble) return [pieces[0]];
    const written = Math.max(this.#offset, this.#given);
    const begun: Piece[] = [];
    if (written === 0 && !this.#isInLine) return begun;
    let from = Math.max(0, written - 1);
    for (const piece of pieces) {
      const end = piece.endOfLine(from);
      // Not a copy, so that the total does not grow even if everything queued is in one block.
      const isPart = end > 0 && end < piece.length;
      begun.push(isPart ? new Piece(piece.block, piece.start, piece.start + end) : piece);
      if (end > 0) break;
      from = 0;
    }
    const isDone = begun.length === 1 && begun[0]!.length <= this.#offset;
    return isDone ? [] : begun;
  }
}
