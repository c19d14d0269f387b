/**
 * A log on disk. Events are added in memory, and one write and sync at a time puts all of them on
 * the disk that have come meanwhile. The latest events are read from memory, the others from the
 * files.
 *
 * @module
 */

import type { HistoryPosition } from "../protocol/history.ts";
import { randomId } from "../protocol/random_id.ts";
import { NOTHING } from "../protocol/utf8.ts";
import { tryDisk } from "./disk_trial.ts";
import { KeptBlock } from "./kept_block.ts";
import type { EventLog, LogSink } from "./log.ts";
import type { LogFile, LogFolder } from "./log_folder.ts";
import { MemoryLog } from "./memory_log.ts";
import type { HistoryRules } from "./options.ts";
import type { Producer, Producers } from "./producers.ts";
import { encodeBlock, encodeEnd, FORMAT_VERSION, MAX_EPOCHS } from "./segment_format.ts";
import type { Segment } from "./segment.ts";
import { SegmentList, type SegmentStart } from "./segment_list.ts";
import { WrittenCounts } from "./written_counts.ts";

/** Size from which a new segment begins, in bytes: a share of all, within these bounds. */
const MAX_SEGMENT_BYTES = 16_777_216;
const MIN_SEGMENT_BYTES = 65_536;
const MIN_SEGMENTS = 16;

/** Most bytes of events in one write, unless a single block of memory has more. */
const WRITE_BYTES = 1_048_576;

/** Bytes of the latest events that stay in memory, unless more are not on the disk yet. */
const TAIL_BYTES = 33_554_432;

/** Bytes that wait to be written, from which senders wait. */
const FULL_BYTES = 8_388_608;

/** The same if clients receive all of them at once, when the disk has them. */
const FULL_BYTES_SYNCED_FIRST = WRITE_BYTES;

/**
 * Number of {@link DiskLog.checkDisk}s, one a second, after which a disk that has done nothing is
 * stuck.
 */
const STUCK_CHECKS = 6;

/** What is wrong with it then. */
const STUCK = `the disk has taken nothing for ${STUCK_CHECKS - 1} s`;

/**
 * Interval between attempts to go on after a failure, in milliseconds. It doubles each time that
 * events are kept again, up to the maximum, since clients are closed then, and a new epoch begins.
 */
const RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;

/** Bytes of events that the disk has to take for the interval to be the shortest one again. */
const STEADY_BYTES = 4_194_304;

/** What a log begins with. */
export interface LogState {
  readonly folder: LogFolder;
  readonly rules: HistoryRules;
  readonly segments: Segment[];
  readonly epoch: string;
  /** The offset of the last event. */
  readonly head: number;
  /** When the last event was written, in milliseconds since 1970. */
  readonly lastAt: number;
  /** The last segment, if more can be added to it. */
  readonly file: LogFile | null;
  /** The epochs before this one, each with the last position that they have in common. */
  readonly before: readonly HistoryPosition[];
  readonly producers: Producers;
}

/** Returns the size from which a new segment begins, in bytes. */
export function segmentBytesFor({ keepBytes }: HistoryRules): number {
  const share = Math.floor(keepBytes / MIN_SEGMENTS);
  return Math.max(MIN_SEGMENT_BYTES, Math.min(share, MAX_SEGMENT_BYTES));
}

/** Keeps events on disk. */
export class DiskLog implements EventLog {
  epoch: string;
  synced: number;
  readonly keepsLater = true;
  isBroken = false;

  readonly #folder: LogFolder;
  readonly #rules: HistoryRules;
  readonly #segments: SegmentList;
  /** The latest events. */
  #tail: MemoryLog;
  /** The offset up to which events on the disk have become too old. */
  #expired = 0;
  #isExpiring = false;
  #file: LogFile | null;
  /** The epochs before this one, each with the last position that they have in common. */
  #before: readonly HistoryPosition[];
  /** The last written event, its block, and the size of the block up to it. */
  #written: number;
  #block: KeptBlock | null = null;
  #blockSize = 0;
  #blockCount = 0;
  /** Bytes that were added and have not been written. */
  #waiting = 0;
  #lastAt: number;
  readonly #counts: WrittenCounts;
  readonly #segmentBytes: number;
  /** Whether clients receive events only when the disk has them. */
  readonly #isSyncedFirst: boolean;
  readonly #fullBytes: number;
  #sink: LogSink | null = null;
  #running: Promise<void> | null = null;
  /** Resolves when old files have been dropped, after what is needed of them was saved. */
  #upkeep: Promise<void> = Promise.resolve();
  #isClosed = false;
  #room: PromiseWithResolvers<void> | null = null;
  /** Number of looks at the disk since it has last done something. */
  #idleChecks = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS;
  /** Bytes of events that were written since the last failure, or the start. */
  #steadyBytes = 0;
  #mending: Promise<void> | null = null;

  /** Goes on with a log. */
  constructor(state: LogState) {
    const { folder, rules, segments, epoch, head, lastAt, file, before, producers } = state;
    this.#folder = folder;
    this.#rules = rules;
    this.#segments = new SegmentList(folder, segments);
    this.epoch = epoch;
    this.#file = file;
    this.#before = before;
    this.#lastAt = lastAt;
    this.#counts = new WrittenCounts(producers);
    this.#segmentBytes = segmentBytesFor(rules);
    this.#isSyncedFirst = rules.sync === "always";
    this.#fullBytes = this.#isSyncedFirst ? FULL_BYTES_SYNCED_FIRST : FULL_BYTES;
    this.#written = this.synced = head;
    this.#tail = this.#newTail(head);
  }

  #newTail(head: number): MemoryLog {
    const limits = { keepAge: Infinity, keepCount: Infinity, keepBytes: TAIL_BYTES };
    const tail = new MemoryLog(limits, head, false);
    tail.needed = head + 1; // What is not on the disk can be read nowhere else.
    return tail;
  }

  /** Makes sure that events can be added. */
  async begin(): Promise<void> {
    if (this.#file) return;
    this.#file = await this.#segments.begin(
      this.#startOf(this.epoch, this.#before, this.added + 1),
    );
  }

  watch(sink: LogSink): void {
    this.#sink = sink;
  }

  get head(): number {
    return this.#isSyncedFirst ? this.synced : this.#tail.head;
  }

  get added(): number {
    return this.#tail.head;
  }

  get events(): number {
    return this.head - this.first + 1;
  }

  get evicted(): number {
    return this.first - 1;
  }

  get first(): number {
    return Math.max(this.oldest, this.#expired + 1, this.head - this.#rules.keepCount + 1);
  }

  /**
   * The offset from which on events are in the files. It may be less than {@link first}, because the
   * limits of number and age hold before a file is removed.
   */
  get oldest(): number {
    return this.#segments.first ?? this.synced + 1;
  }

  get bytes(): number {
    return this.#segments.bytes + this.#waiting;
  }

  throughOf(epoch: string): number | undefined {
    if (epoch === this.epoch) return this.head;
    return this.#before.findLast((each) => each.epoch === epoch)?.offset;
  }

  append(
    lines: Uint8Array,
    start: number,
    end: number,
    count: number,
    sender: number,
    now: number,
  ): number {
    const offset = this.#tail.append(lines, start, end, count, sender, now);
    this.#waiting += end - start;
    this.#running ??= this.#run();
    return offset;
  }

  count(producer: Producer, count: number, taken: number): void {
    this.#counts.add(producer, count, taken, this.added);
  }

  /** Whether senders should wait until some of what they have sent is on the disk. */
  get isFull(): boolean {
    return this.#waiting >= this.#fullBytes;
  }

  async whenRoom(): Promise<void> {
    if (!this.isFull || this.isBroken) return;
    this.#room ??= Promise.withResolvers<void>();
    await this.#room.promise;
  }

  /** Writes until nothing waits. */
  async #run(): Promise<void> {
    await Promise.resolve(); // Events of the same turn go together.
    try {
      while (this.#written < this.added && !this.isBroken) await this.#write();
    } catch (error) {
      if (!this.isBroken) this.#break(error as Error);
    }
    this.#running = null;
  }

  /**
   * Looks whether the disk still works. It is given up if others wait for it. Counts looks and not
   * time: a process that stood still has not given the disk that time.
   */
  checkDisk(): void {
    if (!this.#running || this.isBroken) this.#idleChecks = 0;
    else if (++this.#idleChecks < STUCK_CHECKS) return;
    else if (this.isFull || this.#isSyncedFirst) this.#break(new Error(STUCK));
    else if (this.#idleChecks === STUCK_CHECKS) {
      this.#sink?.onFault(`${STUCK}, and events wait for it`);
    }
  }

  /** Notes that the disk has done something. */
  #onProgress(): void {
    const wasStuck = this.#idleChecks >= STUCK_CHECKS && !this.isBroken;
    if (wasStuck) this.#sink?.onFault(`the disk works again, after ${this.#idleChecks} s`);
    this.#idleChecks = 0;
  }

  /** Writes what waits, or a part of it. */
  async #write(): Promise<void> {
    const parts: Uint8Array[] = [];
    const first = this.#written + 1;
    let events = 0;
    let bytes = 0;
    while (this.#written < this.added && bytes < WRITE_BYTES) {
      const block = this.#tail.read(this.#written + 1);
      if (block !== this.#block) {
        this.#block = block;
        this.#blockSize = this.#blockCount = 0;
      }
      const part = block.bytes.subarray(this.#blockSize);
      parts.push(part);
      bytes += part.length;
      events += block.count - this.#blockCount;
      this.#written += block.count - this.#blockCount;
      this.#blockSize = block.size;
      this.#blockCount = block.count;
    }
    this.#lastAt = Math.max(this.#lastAt, Date.now());
    const at = this.#lastAt;
    const isFull = this.#isSegmentFull(first, bytes);
    const start = isFull ? this.#startOf(this.epoch, this.#before, first) : null;
    const producers = this.#counts.take(this.#written);
    // Before anything is dropped.
    const written = encodeBlock({ first, events, bytes, at }, parts, producers);
    if (start) await this.#endSegment(start);
    const file = this.#file!;
    const segment = this.#segments.last;
    await file.append(written);
    if (this.#rules.sync !== "never") await file.sync();
    // Clients have received these events as ones that are not kept.
    if (this.#isSyncedFirst && this.isBroken) return;
    segment.size = file.size;
    if (segment.since === Infinity) segment.since = at;
    this.#waiting -= bytes;
    this.#steadyBytes += bytes;
    if (this.#steadyBytes >= STEADY_BYTES) this.#retryMs = RETRY_MS;
    this.synced = first + events - 1;
    this.#tail.needed = this.synced + 1;
    this.#onProgress();
    if (!this.isFull) this.#relieve();
    this.#sink?.onSynced();
  }

  #relieve(): void {
    this.#room?.resolve();
    this.#room = null;
  }

  /** Returns whether a new segment has to begin before a block. */
  #isSegmentFull(first: number, bytes: number): boolean {
    const { last } = this.#segments;
    return !this.#file || last.size + bytes > this.#segmentBytes && first > last.first;
  }

  /**
   * Goes on with a new segment. What is needed of old ones is saved while events are written to it,
   * unless this still goes on for the segment before, so that no more than one is in excess.
   */
  async #endSegment(start: SegmentStart): Promise<void> {
    await this.#upkeep;
    this.#file?.close();
    this.#file = null;
    this.#file = await this.#segments.begin(start);
    this.#upkeep = this.#keepUp();
  }

  /** Drops the oldest segments, after what is needed of them was saved. */
  async #keepUp(): Promise<void> {
    try {
      await this.#sink?.onSegment(() => this.#onProgress());
      const { keepBytes } = this.#rules;
      await this.#segments.drop((next) => this.bytes <= keepBytes && next > this.first);
    } catch (error) {
      if (!this.isBroken) this.#break(error as Error);
    }
  }

  /** Returns what a segment begins with: its first line, and what is known of producers. */
  #startOf(epoch: string, before: readonly HistoryPosition[], first: number): SegmentStart {
    const head = { version: FORMAT_VERSION, epoch, first, before };
    const counts = this.#counts.all();
    const at = this.#lastAt;
    const block = counts.length > 0
      ? encodeBlock({ first, events: 0, bytes: 0, at }, [], counts)
      : NOTHING;
    return { head, block, at };
  }

  // Failures

  get #cannot(): string {
    return `cannot write to ${this.#folder.path}`;
  }

  /** Goes on without keeping anything, and tries again to keep events. */
  #break(error: Error): void {
    const isNew = !this.isBroken;
    this.isBroken = true;
    this.#relieve();
    if (isNew) this.#sink?.onBroken(`${this.#cannot}: ${error.message}`);
    if (!this.#isClosed) {
      this.#retry = setTimeout(() => this.#mending = this.#mend(), this.#retryMs);
    }
  }

  /**
   * Begins a new epoch after the last event that is on the disk. What came after it is lost, and some
   * clients may have received it.
   */
  async #mend(): Promise<void> {
    while (this.#running) await this.#running;
    await this.#upkeep;
    try {
      const { size } = this.#segments.last;
      this.#file ??= await this.#segments.openLast();
      await tryDisk(this.#file, size);
      this.#file.close();
      this.#file = null;
      this.#written = this.synced;
      this.#waiting = 0;
      this.#block = null;
      this.#counts.forget();
      this.#tail = this.#newTail(this.synced);
      this.#segments.forget();
      await this.#sink?.onReopen();
      const before = withEpoch(this.#before, { epoch: this.epoch, offset: this.synced });
      const epoch = randomId(4);
      this.#file = await this.#segments.begin(this.#startOf(epoch, before, this.synced + 1));
      // Only now, so that each failure begins one epoch, however many attempts it takes.
      this.epoch = epoch;
      this.#before = before;
      this.isBroken = false;
      this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
      this.#steadyBytes = 0;
      this.#sink?.onMended();
    } catch (error) {
      this.#break(error as Error);
    }
  }

  // Reading

  read(offset: number): KeptBlock | Promise<KeptBlock> {
    if (offset >= this.#tail.first) return this.#tail.read(offset);
    return this.#segments.read(offset, () => {
      const { first, head } = this.#tail;
      return first <= head ? this.#tail.read(first) : new KeptBlock(head + 1, NOTHING.slice());
    });
  }

  async since(time: number): Promise<number> {
    const at = Date.now() - (performance.now() - time);
    const least = this.#leastSince(time);
    const offset = await this.#segments.since(at, this.#tail.since(time));
    return Math.max(this.first, Math.min(Math.max(offset, least), this.head + 1));
  }

  /**
   * Returns an offset before which all events were added before a time, as far as this relay knows by
   * itself. The times in the files are wrong if the clock was wrong, and ahead after it was ahead.
   */
  #leastSince(time: number): number {
    const found = this.#tail.since(time);
    if (found > this.#tail.first) return found;
    return this.#segments.firstBegunBefore(time);
  }

  look(): null {
    return null;
  }

  bytesAfter(offset: number): number {
    if (offset + 1 >= this.#tail.first) return this.#tail.bytesAfter(offset);
    return this.#segments.bytesAfter(offset) + this.#waiting;
  }

  /** Resolves when the events that have become too old are dropped, as far as they can be found. */
  async expire(now: number): Promise<void> {
    if (this.#rules.keepAge === Infinity || this.#isExpiring) return;
    this.#isExpiring = true;
    try {
      const offset = await this.since(now - this.#rules.keepAge);
      // Others may be lost yet, and their offsets given to later events.
      this.#expired = Math.max(this.#expired, Math.min(offset - 1, this.synced));
    } catch {
      // The next attempt may succeed.
    } finally {
      this.#isExpiring = false;
    }
  }

  /** Waits until everything is on the disk and nothing is being read, and notes that the relay has ended in order. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    await this.#mending;
    while (this.#running) await this.#running;
    await this.#upkeep;
    if (!this.isBroken && this.#file) {
      try {
        await this.#file.append(encodeEnd(this.added, this.#counts.final()));
        await this.#file.sync();
      } catch (error) {
        const why = (error as Error).message;
        this.#sink?.onFault(`${this.#cannot}: ${why}; the next start begins a new epoch`);
      }
    }
    await this.#segments.settle();
    this.#file?.close();
    this.#folder.close();
  }
}

/**
 * Returns the epochs before another one, of which the last ended at a position. If they are too many,
 * the first one that has no event of its own is left out, or else the first one.
 */
export function withEpoch(
  before: readonly HistoryPosition[],
  last: HistoryPosition,
): readonly HistoryPosition[] {
  const epochs = [...before, last];
  if (epochs.length <= MAX_EPOCHS) return epochs;
  const empty = epochs.findIndex(({ offset }, i) => offset === (epochs[i - 1]?.offset ?? 0));
  return epochs.toSpliced(Math.max(0, empty), 1);
}
