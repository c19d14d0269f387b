/**
 * One file of a log on disk: finds and reads its events. It is looked through when a reader first
 * needs it.
 *
 * @module
 */

import { KeptBlock, NO_SENDER } from "./kept_block.ts";
import type { LogFolder } from "./log_folder.ts";
import { lowest } from "./lowest.ts";
import { itemAt, type SegmentHead } from "./segment_format.ts";
import { scanSegment } from "./segment_scan.ts";

/** Bytes of blocks that are read together. A reader looks at that much in one step. */
const CHUNK_BYTES = 65_536;

/** Successive blocks. */
interface Chunk {
  readonly first: number;
  last: number;
  readonly position: number;
  end: number;
}

/** What is known of the blocks of a segment. */
interface Index {
  readonly chunks: Chunk[];
  /** Pairs of the first offset of a block and the time at which it was written. */
  readonly times: number[];
  /** The position up to which the file was looked through. */
  end: number;
}

/** A file of a log. */
export class Segment {
  readonly name: string;
  readonly head: SegmentHead;
  /** Where its first block begins. */
  readonly start: number;
  /** Size of the file, in bytes. */
  size: number;
  /** When its first block was written, in milliseconds since 1970; `Infinity` without one. */
  since = Infinity;
  /** When it was begun or opened, by `performance.now()`. The events before it are older. */
  readonly begun: number = performance.now();
  readonly #folder: LogFolder;
  readonly #index: Index;
  #looking: Promise<void> | null = null;

  constructor(folder: LogFolder, name: string, head: SegmentHead, start: number, size: number) {
    this.#folder = folder;
    this.name = name;
    this.head = head;
    this.start = start;
    this.size = size;
    this.#index = { chunks: [], times: [], end: start };
  }

  /** The offset of its first event. */
  get first(): number {
    return this.head.first;
  }

  /** Returns what is known of the blocks, after a look at those that are new. */
  async #indexed(): Promise<Index> {
    if (this.#index.end < this.size) {
      this.#looking ??= this.#look().finally(() => this.#looking = null);
      await this.#looking;
    }
    return this.#index;
  }

  async #look(): Promise<void> {
    const { chunks, times } = this.#index;
    const { size } = this;
    const file = await this.#folder.file(this.name);
    try {
      for await (const part of scanSegment(file, this.#index.end)) {
        if (part.kind !== "block") continue;
        const { head, position, end } = part;
        times.push(head.first, head.at);
        const last = head.first + head.events - 1;
        const chunk = chunks.at(-1);
        const isNext = chunk && chunk.end === position && chunk.last + 1 === head.first;
        if (isNext && end - chunk.position <= CHUNK_BYTES) {
          chunk.last = last;
          chunk.end = end;
        } else {
          chunks.push({ first: head.first, last, position, end });
        }
        this.#index.end = end;
      }
      this.#index.end = Math.max(this.#index.end, size); // What follows is damaged, or the end line.
    } finally {
      file.close();
    }
  }

  /** Returns events from an offset on, those before them, too, or `null` if there are none. */
  async read(offset: number): Promise<KeptBlock | null> {
    const { chunks } = await this.#indexed();
    const chunk = chunks[lowest(chunks.length, (i) => chunks[i]!.last >= offset)];
    if (!chunk) return null;
    const file = await this.#folder.file(this.name);
    try {
      const { position, end } = chunk; // which may grow
      return toBlock(chunk, await file.read(position, end - position));
    } finally {
      file.close();
    }
  }

  /** Returns the offset of the first event that may have been written at `at` or later, or `null`. */
  async offsetAt(at: number): Promise<number | null> {
    const { times } = await this.#indexed();
    // The events of a block are as old as the one before it, or younger.
    const next = lowest(times.length / 2, (i) => times[2 * i + 1]! >= at);
    return 2 * next < times.length ? times[2 * next]! : null;
  }
}

/** Returns the events in the bytes of a chunk, which become the memory of the block. */
function toBlock({ first }: Chunk, bytes: Uint8Array<ArrayBuffer>): KeptBlock | null {
  const block = new KeptBlock(first, bytes);
  for (let at = 0; at < bytes.length;) {
    const item = itemAt(bytes, at);
    if (item.kind !== "block") break; // It has been damaged since.
    block.add(bytes, item.start, item.linesEnd, item.head.events, NO_SENDER);
    at = item.end;
  }
  return block.count > 0 ? block : null;
}
