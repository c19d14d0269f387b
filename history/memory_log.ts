/**
 * A log in memory. It ends with the relay, so each one has an epoch of its own.
 *
 * @module
 */

import { LF } from "../protocol/ascii.ts";
import { randomId } from "../protocol/random_id.ts";
import { countLines } from "./extract.ts";
import { KeptBlock } from "./kept_block.ts";
import type { EventLog } from "./log.ts";
import { lowest } from "./lowest.ts";
import type { HistoryRules } from "./options.ts";

/** Memory of a block, in bytes, unless a line is longer. */
const BLOCK_BYTES = 393_216;

/**
 * Share of this memory from which on a block ends with the next run of lines that does not fit. So a
 * run is mostly not split, which takes longer than to copy it, because its lines have to be counted.
 */
const FULL = 2 / 3;

/** Least number of blocks in the permitted size, since whole blocks are dropped. */
const MIN_BLOCKS = 16;

/** Least time between two marks, in milliseconds. It is the precision of ages. */
const MARK_MS = 10;

/** A block and what the log knows of it. */
interface Entry {
  readonly block: KeptBlock;
  /** Number of bytes of all blocks before it, including those that were dropped. */
  readonly before: number;
  /** Pairs of an offset and the time at which it was added: the first, and then now and then. */
  readonly marks: number[];
}

/** The limits of a log in memory. */
export type LogLimits = Pick<HistoryRules, "keepAge" | "keepBytes" | "keepCount">;

/** Keeps events in memory. */
export class MemoryLog implements EventLog {
  readonly epoch: string = randomId(4);
  readonly keepsLater = false;
  readonly isBroken = false;
  readonly isFull = false;
  head: number;
  bytes = 0;
  /** The least offset of an event that is needed: too many bytes drop none from there on. */
  needed = Infinity;

  readonly #limits: LogLimits;
  readonly #blockBytes: number;
  /** The blocks in order. The oldest events of the first one may have been dropped. */
  readonly #entries: Entry[] = [];
  /** Number of bytes ever added. */
  #added = 0;
  /** The offset up to which events were dropped although their block is left. */
  #dropped: number;
  /** The memory of a block that was dropped, for the next one. New memory costs more than a copy. */
  #spare: Uint8Array<ArrayBuffer> | null = null;
  /** Whether blocks that are dropped are no longer read. */
  readonly #reusesMemory: boolean;

  /**
   * Creates a log without events. The first one gets the offset after `head`.
   *
   * @param reusesMemory Whether blocks that are dropped are not read any more.
   */
  constructor(limits: LogLimits, head = 0, reusesMemory = true) {
    this.#limits = limits;
    this.#reusesMemory = reusesMemory;
    this.head = this.#dropped = head;
    this.#blockBytes = Math.min(BLOCK_BYTES, Math.ceil(limits.keepBytes / MIN_BLOCKS));
  }

  get synced(): number {
    return this.head;
  }

  get added(): number {
    return this.head;
  }

  watch(): void {}

  whenRoom(): Promise<void> {
    return Promise.resolve();
  }

  throughOf(epoch: string): number | undefined {
    return epoch === this.epoch ? this.head : undefined;
  }

  get events(): number {
    return this.head - this.first + 1;
  }

  get evicted(): number {
    return this.first - 1;
  }

  get first(): number {
    return Math.max(this.#dropped, this.head - this.#limits.keepCount) + 1;
  }

  append(
    lines: Uint8Array,
    start: number,
    end: number,
    count: number,
    sender: number,
    now: number,
    offset: number = this.head + 1,
  ): number {
    for (let at = offset; start < end;) {
      const entry = this.#entries.at(-1);
      const room = entry ? entry.block.room : 0;
      // The common case, in which nothing is counted or searched.
      const fits = end - start <= room;
      const isFull = room <= (1 - FULL) * this.#blockBytes;
      const cut = fits ? end : isFull ? start : lines.lastIndexOf(LF, start + room - 1) + 1;
      if (cut <= start) {
        this.#open(Math.max(this.#blockBytes, lines.indexOf(LF, start) + 1 - start));
        continue;
      }
      const part = fits ? count : countLines(lines, start, cut);
      this.#add(entry!, lines, start, cut, part, sender, now, at);
      start = cut;
      count -= part;
      at += part;
    }
    this.#shrink();
    return offset;
  }

  count(): void {}

  #open(capacity: number): void {
    this.#entries.at(-1)?.block.close();
    const spare = capacity === this.#blockBytes ? this.#spare : null;
    if (spare) this.#spare = null;
    const block = new KeptBlock(this.head + 1, spare ?? new Uint8Array(capacity));
    this.#entries.push({ block, before: this.#added, marks: [] });
  }

  #add(
    { block, marks }: Entry,
    lines: Uint8Array,
    start: number,
    end: number,
    count: number,
    sender: number,
    now: number,
    offset: number,
  ): void {
    if (marks.length === 0 || now - marks.at(-1)! >= MARK_MS) marks.push(offset, now);
    block.add(lines, start, end, count, sender, offset);
    this.head = offset + count - 1;
    this.#added += end - start;
    this.bytes += end - start;
  }

  /** Goes on after an offset, since those up to it are of no event. */
  cover(offset: number): void {
    const last = this.#entries.at(-1);
    if (last) last.block.cover(offset);
    else this.#dropped = offset;
    this.head = offset;
  }

  /** Drops the oldest blocks while they are too many bytes, or no event of theirs is left. */
  #shrink(): void {
    const entries = this.#entries;
    let begin = 0;
    while (begin < entries.length) {
      const { block } = entries[begin]!;
      const isExcess = this.bytes > this.#limits.keepBytes && begin < entries.length - 1 &&
        block.last < this.needed;
      if (!isExcess && block.last >= this.first) break;
      this.#dropped = Math.max(this.#dropped, block.last);
      this.bytes -= block.size;
      const isUsable = this.#reusesMemory && block.memory.length === this.#blockBytes;
      if (isUsable) this.#spare = block.memory;
      begin++;
    }
    if (begin > 0) entries.splice(0, begin);
  }

  read(offset: number): KeptBlock {
    return this.#entryOf(offset).block;
  }

  /** Returns the entry with an offset. */
  #entryOf(offset: number): Entry {
    return this.#entries[this.#lastIndex(({ block }) => block.first <= offset)]!;
  }

  /** Returns the index of the last entry for which a condition holds that holds for all before it. */
  #lastIndex(condition: (entry: Entry) => boolean): number {
    return lowest(this.#entries.length, (i) => !condition(this.#entries[i]!)) - 1;
  }

  since(time: number): number {
    // The events between two marks are at most so much younger than the first mark.
    const isOver = (at: number) => at + MARK_MS < time;
    const i = this.#lastIndex(({ marks }) => isOver(marks[1]!));
    if (i < 0) return this.first;
    const { marks } = this.#entries[i]!;
    let k = 0;
    while (k < marks.length && isOver(marks[k + 1]!)) k += 2;
    const next = this.#entries[i + 1]?.block.first ?? this.head + 1;
    return Math.max(this.first, k < marks.length ? marks[k]! : next);
  }

  look(): null {
    return null;
  }

  bytesAfter(offset: number): number {
    const next = Math.max(offset + 1, this.first);
    if (next > this.head) return 0;
    const { block, before } = this.#entryOf(next);
    return this.#added - before - block.startOf(block.lineFrom(next));
  }

  expire(now: number): void {
    if (this.#limits.keepAge === Infinity) return;
    this.#dropped = Math.max(this.#dropped, this.since(now - this.#limits.keepAge) - 1);
    this.#shrink();
  }

  /** Does nothing: there is no disk. */
  checkDisk(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
