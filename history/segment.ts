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
  /** Resolves when a look has ended that goes on now. */
  looking: Promise<void> | null;
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
  #index: Index;

  constructor(folder: LogFolder, name: string, head: SegmentHead, start: number, size: number) {
    this.#folder = folder;
    this.name = name;
    this.head = head;
    this.start = start;
    this.size = size;
    this.#index = newIndex(start);
  }

  /** The offset of its first event. */
  get first(): number {
    return this.head.first;
  }

  /** Returns what is known of the blocks, after a look at those that are new. */
  async #indexed(): Promise<Index> {
    const index = this.#index;
    if (index.end < this.size) {
      index.looking ??= this.#look(index).finally(() => index.looking = null);
      await index.looking;
    }
    return index;
  }

  async #look(index: Index): Promise<void> {
    const { chunks, times } = index;
    const { size } = this;
    const file = await this.#folder.file(this.name);
    try {
      for await (const part of scanSegment(file, index.end)) {
        if (part.kind !== "block" || part.head.events === 0) continue;
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
        index.end = end;
      }
      index.end = Math.max(index.end, size); // What follows is damaged, or the end line.
    } finally {
      file.close();
    }
  }

  /** Returns events from an offset on, those before them, too, or `null` if there are none. */
  async read(offset: number): Promise<KeptBlock | null> {
    for (let isAgain = false;; isAgain = true) {
      const index = await this.#indexed();
      const { chunks } = index;
      const chunk = chunks[lowest(chunks.length, (i) => chunks[i]!.last >= offset)];
      if (!chunk) return null;
      const { last } = chunk; // which may grow
      const block = toBlock(chunk, await this.#bytesOf(chunk));
      if (block.last === last) return block;
      if (isAgain) return block.count > 0 ? block : null;
      if (this.#index === index) this.#index = newIndex(this.start); // It has been damaged since.
    }
  }

  async #bytesOf({ position, end }: Chunk): Promise<Uint8Array<ArrayBuffer>> {
    const file = await this.#folder.file(this.name);
    try {
      return await file.read(position, end - position);
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

function newIndex(start: number): Index {
  return { chunks: [], times: [], end: start, looking: null };
}

/**
 * Returns the events in the bytes of a chunk, which become the memory of the block. Those after damage
 * are missing.
 */
function toBlock({ first }: Chunk, bytes: Uint8Array<ArrayBuffer>): KeptBlock {
  const block = new KeptBlock(first, bytes);
  for (let at = 0; at < bytes.length;) {
    const item = itemAt(bytes, at);
    if (item.kind !== "block") break;
    block.add(bytes, item.start, item.linesEnd, item.head.events, NO_SENDER);
    at = item.end;
  }
  return block;
}
