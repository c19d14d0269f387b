/**
 * The files of a log on disk, oldest first: begins and drops them, and finds the events in them.
 *
 * @module
 */

import { BlockCache } from "./block_cache.ts";
import type { KeptBlock } from "./kept_block.ts";
import { nameOfSegment } from "./log_files.ts";
import type { LogFile, LogFolder } from "./log_folder.ts";
import { lowest } from "./lowest.ts";
import { Segment } from "./segment.ts";
import { encodeSegmentHead, type SegmentHead } from "./segment_format.ts";

/**
 * Bytes of parts of files that stay in memory for further readers. Most parts have 64 KiB, but one
 * has at least what was written at once.
 */
const CACHE_BYTES = 4_194_304;

/** What a segment begins with. */
export interface SegmentStart {
  readonly head: SegmentHead;
  /** A block without events that has all producers, or nothing if none are known. */
  readonly block: Uint8Array;
  /** The time of the block, in milliseconds since 1970. */
  readonly at: number;
}

/** The files of a log. */
export class SegmentList {
  readonly #folder: LogFolder;
  readonly #segments: Segment[];
  readonly #cache = new BlockCache(CACHE_BYTES);
  /** What is being read. */
  readonly #reads = new Set<Promise<unknown>>();

  constructor(folder: LogFolder, segments: Segment[]) {
    this.#folder = folder;
    this.#segments = segments;
  }

  /** The offset from which on events are in the files, or `undefined` without one. */
  get first(): number | undefined {
    return this.#segments[0]?.first;
  }

  /** The file that is written, or was written last. */
  get last(): Segment {
    return this.#segments.at(-1)!;
  }

  /** The size of all files, in bytes. */
  get bytes(): number {
    return this.#segments.reduce((sum, { size }) => sum + size, 0);
  }

  /** Begins a new file. */
  async begin({ head, block, at }: SegmentStart): Promise<LogFile> {
    const name = nameOfSegment(head.first);
    const line = encodeSegmentHead(head);
    const file = await this.#folder.create(name, [line, block]);
    if (this.#segments.at(-1)?.name === name) this.#segments.pop(); // It had no events.
    const segment = new Segment(this.#folder, name, head, line.length, file.size);
    if (block.length > 0) segment.since = at;
    this.#segments.push(segment);
    return file;
  }

  /** Opens the file that was written last. */
  async openLast(): Promise<LogFile> {
    return await this.#folder.file(this.last.name);
  }

  /**
   * Removes the oldest files while `isNeeded` does not say that they are, given the offset of the first
   * event after them. The last file with events stays.
   */
  async drop(isNeeded: (next: number) => boolean): Promise<void> {
    while (this.#segments.length > 2 && !isNeeded(this.#segments[1]!.first)) {
      const { name } = this.#segments.shift()!;
      await this.#folder.remove(name);
    }
  }

  // Reading

  /**
   * Returns events from an offset on, those before them, too. Those that are damaged are left out.
   *
   * @param rest Returns the events after all files.
   */
  read(offset: number, rest: () => KeptBlock): Promise<KeptBlock> {
    const known = this.#cache.get(offset);
    if (known) return known;
    const block = this.#reading(this.#readFile(offset, rest));
    this.#cache.add(offset, block);
    return block;
  }

  async #readFile(offset: number, rest: () => KeptBlock): Promise<KeptBlock> {
    for (let i = this.#indexOf(offset); i < this.#segments.length; i++) {
      const segment = this.#segments[i]!;
      try {
        const block = await segment.read(offset);
        if (block) return block;
      } catch (error) {
        if (this.#segments.includes(segment)) throw error;
        i = -1; // It has just been dropped.
      }
    }
    return rest();
  }

  /** Returns a promise, for which {@link settle} waits. */
  #reading<T>(read: Promise<T>): Promise<T> {
    this.#reads.add(read);
    const forget = () => this.#reads.delete(read);
    read.then(forget, forget);
    return read;
  }

  /** Returns the number of the file with an offset. */
  #indexOf(offset: number): number {
    const segments = this.#segments;
    return Math.max(0, lowest(segments.length, (i) => segments[i]!.first > offset) - 1);
  }

  /**
   * Returns the offset of the first event that was written at `at`, in milliseconds since 1970, or
   * later.
   *
   * @param later The answer if it is after all files.
   */
  async since(at: number, later: number): Promise<number> {
    const segments = this.#segments;
    const i = Math.max(0, lowest(segments.length, (k) => segments[k]!.since > at) - 1);
    const segment = segments[i];
    if (!segment) return later;
    // Before the wait, in which files may be dropped and begun.
    const next = segments[i + 1]?.first ?? later;
    try {
      return await this.#reading(segment.offsetAt(at)) ?? next;
    } catch (error) {
      if (segments.includes(segment)) throw error;
      return this.since(at, later); // It has just been dropped.
    }
  }

  /**
   * Returns an offset before which all events are in files that were begun or opened before a time, by
   * the clock of `performance.now()`.
   */
  firstBegunBefore(time: number): number {
    return this.#segments.findLast(({ begun }) => begun < time)?.first ?? 0;
  }

  /** Returns the size of the files with the events after an offset, in bytes. */
  bytesAfter(offset: number): number {
    const segments = this.#segments.slice(this.#indexOf(offset));
    return segments.reduce((sum, { size }) => sum + size, 0);
  }

  /** Forgets what was read, because other events may get the same offsets. */
  forget(): void {
    this.#cache.clear();
  }

  /** Waits until nothing is being read. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#reads);
  }
}
