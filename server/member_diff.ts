/**
 * Owns how what one client gets differs from what the others of its group get: lines that it alone
 * does not get, and lines that it alone gets. Must not know why.
 *
 * The client goes on sharing with the others what is the same, however many lines differ, and for how
 * many clients: only short pieces are copied.
 *
 * @module
 */

import { type Block, Piece } from "../net/send_queue.ts";
import { SliceList } from "./slice_list.ts";

/** Lines that go out together. */
export class Batch {
  /** For how many clients they were queued; `null` while they wait. */
  accepted: number | null = null;
}

/** A place in what the group gets. */
export interface Position {
  /** How many bytes are before it. */
  readonly bytes: number;
  /** How many events are before it. */
  readonly events: number;
}

/** Where the two part, and where they meet again. */
interface Divergence {
  readonly from: Position;
  /** Where the client goes on: behind what it does not get. */
  to: Position;
  /** What it gets instead. */
  readonly own: SliceList;
}

/**
 * From which length on a part of what others get is not copied, in bytes. A line for one client may cost
 * two such parts, so that this is also how much more than itself it may have copied.
 */
const MIN_LONG_BYTES = 512;

/** The differences for one client, in order. */
export class MemberDiff {
  /** The lines for this client alone, for whoever waits for what becomes of them. */
  batch: Batch | null = null;

  /** How many bytes the lines for this client alone have. */
  bytes = 0;

  readonly #bends: Divergence[] = [];

  /** The client does not get what the others get from one place to another. */
  skip(from: Position, to: Position): void {
    const last = this.#bends.at(-1);
    if (last?.to.bytes === from.bytes) last.to = to;
    else this.#bends.push({ from, to, own: new SliceList() });
  }

  /** The client alone gets an event, at the place at which the others have arrived. */
  insert(at: Position, block: Block, start: number, end: number): void {
    let bend = this.#bends.at(-1);
    if (bend?.to.bytes !== at.bytes) {
      this.#bends.push(bend = { from: at, to: at, own: new SliceList() });
    }
    bend!.own.add(block, start, end, 1);
    this.bytes += end - start;
  }

  /** What the client gets when all others get `pieces`. */
  apply(pieces: readonly Piece[]): Piece[] {
    const all = new Cursor(pieces);
    const own: Piece[] = [];
    for (const bend of this.#bends) {
      all.take(bend.from, own);
      own.push(...bend.own.take());
      all.take(bend.to, null);
    }
    all.take(null, own);
    return joinShort(own);
  }
}

/** A place in pieces, which goes on and never back. */
class Cursor {
  readonly #pieces: readonly Piece[];
  /** Which piece is next, and where it begins. */
  #next = 0;
  #begin: Position = { bytes: 0, events: 0 };
  #at: Position = { bytes: 0, events: 0 };

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  /** Goes on to a place, or to the end, and adds what is passed to `taken`. */
  take(to: Position | null, taken: Piece[] | null): void {
    while (this.#next < this.#pieces.length) {
      const piece = this.#pieces[this.#next]!;
      const begin = this.#begin;
      const end = { bytes: begin.bytes + piece.length, events: begin.events + piece.events };
      const isPassed = to === null || end.bytes <= to.bytes;
      this.#take(isPassed ? end : to, piece, taken);
      if (!isPassed) return;
      this.#next++;
      this.#begin = end;
    }
  }

  #take(to: Position, piece: Piece, taken: Piece[] | null): void {
    const { bytes, events } = this.#at;
    this.#at = to;
    const length = to.bytes - bytes;
    if (!taken || length === 0) return;
    if (length === piece.length) return void taken.push(piece);
    const start = piece.start + bytes - this.#begin.bytes;
    taken.push(new Piece(piece.block, start, start + length, to.events - events));
  }
}

/** The same, but with one piece in the place of short ones that follow one another. */
function joinShort(pieces: readonly Piece[]): Piece[] {
  const few: Piece[] = [];
  const short = new SliceList();
  for (const piece of pieces) {
    const { block, start, end, events, length } = piece;
    if (length < MIN_LONG_BYTES) {
      short.add(block, start, end, events);
      continue;
    }
    few.push(...short.take(), piece);
  }
  few.push(...short.take());
  return few;
}
