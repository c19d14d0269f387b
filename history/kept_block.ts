/**
 * A block of the history: consecutive events as whole lines, and an index of them that is made when
 * a reader first needs it.
 *
 * @module
 */

import { LF } from "../protocol/ascii.ts";
import { readString } from "../protocol/envelope.ts";
import { hashBytes } from "../protocol/seeded_hash.ts";
import { LineValidator, MAX_MAX_DEPTH } from "../protocol/validator.ts";
import { lowest } from "./lowest.ts";

/** The sender of an event if it does not matter. */
export const NO_SENDER = 0;

/** Finds the names in lines. A relay has checked the lines, so the depth does not matter. */
const validator = new LineValidator(MAX_MAX_DEPTH);

/** Initial number of lines in an index, and number of lines that are added to it at a time. */
const MIN_LINES = 64;
const LINES_AT_A_TIME = 256;

/**
 * Number of names of a block that are kept as texts. The others are read from the bytes when they are
 * needed, since as texts they would take several times as much memory as the events.
 */
export const MAX_NAMES = 256;

/** The place of a name in the bytes of a block. */
interface NamePlace {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Consecutive events of the history. Lines are only ever added, at the end.
 *
 * A block covers all offsets from {@link first} to {@link last}. In a log without gaps, each of them
 * is that of an event. In the log of a cluster, some are of none.
 */
export class KeptBlock {
  /** The least offset that the block covers. */
  readonly first: number;
  /** The number of events. */
  count = 0;
  /**
   * The first names in the index, by their numbers. The one with the number {@link MAX_NAMES} is any
   * other name, that of the line for which {@link nameOf} was called last.
   */
  readonly names: string[] = [];

  /** The memory for the lines. */
  readonly memory: Uint8Array<ArrayBuffer>;
  #size = 0;
  /**
   * The start of each line in the index, and the number of its name. Other names have the sum of
   * {@link MAX_NAMES} and the place of their first byte.
   */
  #starts = new Uint32Array(0);
  #nameIds = new Uint32Array(0);
  /** Number of lines whose starts are in the index, and where the next one starts. */
  #found = 0;
  #foundTo = 0;
  /** Number of lines whose names are in the index. */
  #named = 0;
  /** Whether no more lines are added. */
  #isClosed = false;
  /** Where {@link names} are, by the hashes of their bytes. Of two with the same hash, the last one. */
  #places: Map<number, NamePlace> | null = null;
  /** Pairs of a line and the sender of this line and those after it. */
  readonly #senders: number[] = [];
  /** Pairs of a line and its offset, where this is not the one after the line before. */
  readonly #jumps: number[] = [];
  #last: number;
  /** The offset after that of the last event. */
  #next: number;

  /** Creates a block without events, which has room for as many bytes as `memory` has. */
  constructor(first: number, memory: Uint8Array<ArrayBuffer>) {
    this.first = first;
    this.memory = memory;
    this.#last = first - 1;
    this.#next = first;
  }

  /** The lines, each with its `\n`. */
  get bytes(): Uint8Array {
    return this.memory.subarray(0, this.#size);
  }

  /** The size of the lines, in bytes. */
  get size(): number {
    return this.#size;
  }

  /** The number of bytes for which there is room. */
  get room(): number {
    return this.memory.length - this.#size;
  }

  /** The greatest offset that the block covers, mostly that of the last event. */
  get last(): number {
    return this.#last;
  }

  /** Covers the offsets up to this one, which are of no event. */
  cover(offset: number): void {
    this.#last = offset;
  }

  /**
   * Adds `count` events of one sender, the lines from `start` to `end`. There must be room. `lines` may
   * be the memory of the block, in which lines move to the front. `offset` is that of the first one.
   */
  add(
    lines: Uint8Array,
    start: number,
    end: number,
    count: number,
    sender: number,
    offset: number = this.#last + 1,
  ): void {
    if (offset !== this.#next) this.#jumps.push(this.count, offset);
    this.#next = offset + count;
    this.#last = this.#next - 1;
    const before = this.#senders.at(-1) ?? NO_SENDER;
    if (sender !== before) this.#senders.push(this.count, sender);
    if (lines === this.memory) lines.copyWithin(this.#size, start, end);
    else this.memory.set(lines.subarray(start, end), this.#size);
    this.#size += end - start;
    this.count += count;
  }

  /** Returns whether a sender has sent any of the events. `NO_SENDER` has sent none. */
  hasSender(sender: number): boolean {
    return sender !== NO_SENDER && this.#senders.some((each, i) => i % 2 === 1 && each === sender);
  }

  /** Returns the sender of a line, by the number of the line. */
  senderOf(line: number): number {
    const senders = this.#senders;
    const next = lowest(senders.length / 2, (i) => senders[2 * i]! > line);
    return next === 0 ? NO_SENDER : senders[2 * next - 1]!;
  }

  /** Returns the offset of a line, by the number of the line. */
  offsetOf(line: number): number {
    const jumps = this.#jumps;
    if (jumps.length === 0) return this.first + line;
    const next = lowest(jumps.length / 2, (i) => jumps[2 * i]! > line);
    return next === 0 ? this.first + line : jumps[2 * next - 1]! + line - jumps[2 * next - 2]!;
  }

  /** Returns the number of the first line whose offset is not less than this one. */
  lineFrom(offset: number): number {
    const jumps = this.#jumps;
    const next = lowest(jumps.length / 2, (i) => jumps[2 * i + 1]! > offset);
    const [line, first] = next === 0 ? [0, this.first] : jumps.slice(2 * next - 2);
    const end = 2 * next < jumps.length ? jumps[2 * next]! : this.count;
    return Math.max(0, Math.min(line! + offset - first!, end));
  }

  /** Returns where a line starts. The number of lines may be given, for the end of the last one. */
  startOf(line: number): number {
    if (line === 0) return 0;
    if (line === this.count) return this.#size;
    if (line >= this.#found) this.#findLines(line + LINES_AT_A_TIME);
    return this.#starts[line]!;
  }

  /** Whether the names of all lines are in the index. */
  get isIndexed(): boolean {
    return this.#named === this.count;
  }

  /** Adds at most `lines` lines to the index. */
  index(lines: number): void {
    this.#findNames(this.#named + lines);
  }

  /** Returns the number of the name of a line. */
  nameOf(line: number): number {
    if (line >= this.#named) this.#findNames(line + LINES_AT_A_TIME);
    const id = this.#nameIds[line]!;
    if (id < MAX_NAMES) return id;
    this.names[MAX_NAMES] = readString(this.memory, id - MAX_NAMES - 1);
    return MAX_NAMES;
  }

  /** Finds the starts of the lines up to a number. */
  #findLines(to: number): void {
    const end = Math.min(to, this.count);
    this.#starts = grown(this.#starts, end);
    while (this.#found < end) {
      this.#starts[this.#found++] = this.#foundTo;
      this.#foundTo = this.memory.indexOf(LF, this.#foundTo) + 1;
    }
  }

  /** Finds the names of the lines up to a number, and their starts on the way. */
  #findNames(to: number): void {
    const end = Math.min(to, this.count);
    this.#starts = grown(this.#starts, end);
    this.#nameIds = grown(this.#nameIds, end);
    this.#places ??= new Map();
    validator.open(this.memory);
    for (let line = this.#named; line < end; line++) {
      const isFound = line < this.#found;
      const start = isFound ? this.#starts[line]! : this.#foundTo;
      validator.validate(start);
      this.#nameIds[line] = this.#idOf(validator.nameStart, validator.nameEnd);
      if (isFound) continue;
      this.#starts[this.#found++] = start;
      this.#foundTo = validator.end + 1;
    }
    this.#named = end;
    this.#trim();
  }

  /** Returns what the index has for the name from `start` to `end`. */
  #idOf(start: number, end: number): number {
    const hash = hashBytes(this.memory, start, end);
    const known = this.#places!.get(hash);
    if (known && this.#isEqual(known, start, end)) return known.id;
    if (this.names.length >= MAX_NAMES) return MAX_NAMES + start;
    const id = this.names.push(readString(this.memory, start - 1)) - 1;
    this.#places!.set(hash, { id, start, end });
    return id;
  }

  #isEqual(place: NamePlace, start: number, end: number): boolean {
    if (place.end - place.start !== end - start) return false;
    for (let i = place.start; start < end;) {
      if (this.memory[i++] !== this.memory[start++]) return false;
    }
    return true;
  }

  /** Notes that no more lines are added. */
  close(): void {
    this.#isClosed = true;
    this.#trim();
  }

  /** Frees the memory that only a growing index needs. */
  #trim(): void {
    if (!this.#isClosed || !this.isIndexed || this.#places === null) return;
    this.#starts = this.#starts.slice(0, this.count);
    this.#nameIds = this.#nameIds.slice(0, this.count);
    this.#places = null;
  }
}

/** Returns an array with room for `length` numbers that begins with those of another one. */
function grown(numbers: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  if (numbers.length >= length) return numbers;
  const larger = new Uint32Array(Math.max(length, MIN_LINES, 2 * numbers.length));
  larger.set(numbers);
  return larger;
}
