/**
 * How the lines of one member differ from those of its group: lines it does not receive, and lines
 * only it receives.
 *
 * The member keeps sharing the common lines with the group, however many lines differ and for
 * however many members. Only short pieces are copied.
 *
 * @module
 */

import { type Block, Piece } from "../net/piece.ts";
import { SliceList } from "./slice_list.ts";

/** Lines that are queued together. */
export class Batch {
  /** Number of clients for which they were queued, or `null` while they are held. */
  accepted: number | null = null;
  /** Whether `accepted` may be too low, because another relay did not tell its part. */
  isIncomplete = false;
}

/** A position in the lines of the group. */
export interface Position {
  /** Number of bytes before the position. */
  readonly bytes: number;
  /** Number of events before the position. */
  readonly events: number;
}

/** A place where the member's lines leave those of the group. */
interface Divergence {
  readonly from: Position;
  /** Where the member's lines rejoin, after the lines it does not receive. */
  to: Position;
  /** Lines that the member receives instead. */
  readonly own: SliceList;
}

/**
 * Least length of a common piece that is not copied, in bytes. One line for a single member may
 * split off two shorter pieces. So this is also the most that is copied in addition to the line
 * itself.
 */
const MIN_LONG_BYTES = 512;

/** The differences of one member, in order. */
export class MemberDiff {
  /** The lines for this member alone, for a receipt. */
  batch: Batch | null = null;

  /** Size of the lines for this member alone, in bytes. */
  bytes = 0;

  readonly #divergences: Divergence[] = [];

  /** Excludes the member from the lines of the group between two positions. */
  skip(from: Position, to: Position): void {
    const last = this.#divergences.at(-1);
    if (last?.to.bytes === from.bytes) last.to = to;
    else this.#divergences.push({ from, to, own: new SliceList() });
  }

  /** Inserts an event for the member alone at the current end of the group's lines. */
  insert(at: Position, block: Block, start: number, end: number): void {
    let divergence = this.#divergences.at(-1);
    if (divergence?.to.bytes !== at.bytes) {
      this.#divergences.push(divergence = { from: at, to: at, own: new SliceList() });
    }
    divergence!.own.add(block, start, end, 1);
    this.bytes += end - start;
  }

  /** Returns the member's pieces, given those of the group. */
  apply(pieces: readonly Piece[]): Piece[] {
    const all = new Cursor(pieces);
    const own: Piece[] = [];
    for (const divergence of this.#divergences) {
      all.take(divergence.from, own);
      own.push(...divergence.own.take());
      all.take(divergence.to, null);
    }
    all.take(null, own);
    return joinShort(own);
  }
}

/** A position in pieces that only moves forward. */
class Cursor {
  readonly #pieces: readonly Piece[];
  /** The next piece, and where it begins. */
  #next = 0;
  #begin: Position = { bytes: 0, events: 0 };
  #at: Position = { bytes: 0, events: 0 };

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  /** Moves to a position, or to the end if it is `null`, and adds the passed pieces to `taken`. */
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

/** Returns the pieces with consecutive short ones joined into one. */
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
