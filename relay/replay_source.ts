/**
 * What all replays of a relay share: the log, and lines of it that several clients ask for at about
 * the same time.
 *
 * @module
 */

import { extract, type LineForm } from "../history/extract.ts";
import type { KeptBlock } from "../history/kept_block.ts";
import { type LineChoice, NameFilter } from "../history/name_filter.ts";
import { Block, MAX_BATCH_BYTES, Piece } from "../net/piece.ts";
import { REST } from "../protocol/pattern.ts";
import { TextMap, TextSet } from "../protocol/text_map.ts";
import type { Keeper } from "./history_routing.ts";

/** Bytes of events that a client is sent at a time, unless a single one is longer. */
const PIECE_BYTES = 65_536;

/** Number of pieces that are remembered, and the longest one, in bytes. */
const MAX_PIECES = 32;
const MAX_PIECE_BYTES = 2 * PIECE_BYTES;

/** Number of filters that are remembered, and characters of all their patterns together. */
const MAX_FILTERS = 1000;
const MAX_FILTER_LENGTH = 1_048_576;

/** Number of damaged parts of the log that are remembered, so that these are reported once. */
const MAX_DAMAGES = 1000;

/** A part of a block as a client receives it. */
export interface Part {
  /** The events, or `null` if there are none. */
  readonly piece: Piece | null;
  /** The offset up to which they have been looked at. */
  readonly to: number;
}

/** A part of a block, and what it was made for. */
interface KnownPart extends Part {
  readonly filter: NameFilter;
  readonly form: LineForm;
  readonly from: number;
  readonly stop: number;
}

/** The history as the replays of a relay see it. */
export class ReplaySource {
  readonly keeper: Keeper;
  /**
   * Bytes queued for a client from which on a replay waits, and bytes of the log of which the rest
   * is queued in one go.
   */
  readonly maxQueuedBytes: number;
  /** About how many bytes of events to send at a time. */
  readonly pieceBytes: number;

  /** The filters, by their patterns, and the number of characters of these. */
  #filters = new TextMap<NameFilter>();
  #filterLength = 0;
  /** The latest parts that other clients may need, too. */
  #parts: KnownPart[] = [];
  /** The last offsets of damaged parts, in the order in which they were found. */
  readonly #damages = new Set<number>();
  readonly #onFault: (fault: string) => void;

  /**
   * Creates a source.
   *
   * @param maxPendingBytes The limit of the send queues of the clients.
   * @param onFault Called when a part of the log turns out to be damaged.
   */
  constructor(keeper: Keeper, maxPendingBytes: number, onFault: (fault: string) => void) {
    this.keeper = keeper;
    this.#onFault = onFault;
    this.maxQueuedBytes = Math.min(MAX_BATCH_BYTES, maxPendingBytes / 4);
    this.pieceBytes = Math.min(PIECE_BYTES, maxPendingBytes / 8);
  }

  /** Returns a filter. Clients with the same patterns share one. */
  filterOf(patterns: Iterable<string>): NameFilter {
    const set = new TextSet(patterns);
    const sorted = set.has(REST) ? [REST] : [...set].sort();
    const key = JSON.stringify(sorted);
    const known = this.#filters.get(key);
    if (known) return known;
    const filter = new NameFilter(sorted);
    if (key.length > MAX_FILTER_LENGTH) return filter;
    const isTooLong = this.#filterLength + key.length > MAX_FILTER_LENGTH;
    if (this.#filters.size >= MAX_FILTERS || isTooLong) this.#forgetFilters();
    this.#filters.set(key, filter);
    this.#filterLength += key.length;
    return filter;
  }

  /** Returns the events of a block from offset `from` to `to`, or the first of them. */
  partOf(block: KeptBlock, from: number, to: number, choice: LineChoice, form: LineForm): Part {
    const stop = Math.min(to, block.last);
    const { filter, excluded } = choice;
    const isShared = form.member.length === 0 && !block.hasSender(excluded);
    const known = isShared &&
      this.#parts.find((part) =>
        part.from === from && part.stop === stop && part.filter === filter && part.form === form
      );
    if (known) return known;
    const { bytes, events, to: end } = extract(block, from, stop, choice, form, this.pieceBytes);
    const piece = events > 0 ? new Piece(new Block(bytes), 0, bytes.length, events) : null;
    const part = { piece, to: end, filter, form, from, stop };
    if (!isShared || bytes.length > MAX_PIECE_BYTES) return part;
    if (this.#parts.length >= MAX_PIECES) this.#parts.shift();
    this.#parts.push(part);
    return part;
  }

  /** Reports that the events up to `to` are damaged, or were deleted, unless that is remembered. */
  noteDamage(from: number, to: number): void {
    if (this.#damages.has(to)) return;
    if (this.#damages.size === MAX_DAMAGES) {
      const [oldest] = this.#damages;
      this.#damages.delete(oldest!);
    }
    this.#damages.add(to);
    this.#onFault(`the events ${from} to ${to} are damaged or missing, and left out`);
  }

  /** Forgets what is shared, when no replay needs it or when it may have changed. */
  clear(): void {
    this.#parts = [];
    this.#forgetFilters();
  }

  #forgetFilters(): void {
    this.#filters.clear();
    this.#filterLength = 0;
  }
}
