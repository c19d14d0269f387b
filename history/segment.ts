/**
 * One file of a log on disk: finds and reads its events. It is looked through when a reader first
 * needs it.
 *
 * @module
 */

import { KeptBlock, NO_SENDER } from "./kept_block.ts";
import type { LogFolder } from "./log_folder.ts";
import { lowest } from "./lowest.ts";
import { type BlockHead, type Item, itemAt, type SegmentHead } from "./segment_format.ts";
import { scanSegment } from "./segment_scan.ts";
import { Slice } from "./slice.ts";

/** Bytes of blocks that are read together. A reader looks at that much in one step. */
const CHUNK_BYTES = 65_536;

/**
 * Number of segments whose index stays in memory. One of 16 MiB takes about 25 KB, so all take about
 * 13 MB.
 */
const MAX_INDEXES = 512;

/** Successive blocks. */
interface Chunk {
  readonly first: number;
  last: number;
  readonly position: number;
  end: number;
  /** When its last block was written, in milliseconds since 1970. */
  at: number;
}

/** What is known of the blocks of a segment. */
interface Index {
  readonly chunks: Chunk[];
  /** The position up to which the file was looked through. */
  end: number;
  /** Resolves when a look has ended that goes on now. */
  looking: Promise<void> | null;
}

/** When a block was written, and what is the offset of its first event. */
type Written = Pick<BlockHead, "first" | "at">;

type FoundBlock = Extract<Item, { kind: "block" }>;

/** The segments that have an index, the one that was used last at the end. All logs share the room. */
const indexed = new Set<Segment>();

/** The blocks of the chunk that was asked for a time last. That is mostly the next one, too. */
let timed: { readonly chunk: Chunk; readonly end: number; readonly blocks: Written[] } | null =
  null;

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
    indexed.delete(this);
    indexed.add(this);
    if (indexed.size > MAX_INDEXES) {
      const [oldest] = indexed;
      indexed.delete(oldest!);
      oldest!.#forget();
    }
    const index = this.#index;
    if (index.end < this.size) {
      index.looking ??= this.#look(index).finally(() => index.looking = null);
      await index.looking;
    }
    return index;
  }

  #forget(): void {
    this.#index = newIndex(this.start);
  }

  async #look(index: Index): Promise<void> {
    const { chunks } = index;
    const { size } = this;
    const file = await this.#folder.file(this.name);
    const slice = new Slice();
    try {
      for await (const part of scanSegment(file, index.end)) {
        if (slice.isOver()) await slice.next();
        if (part.kind !== "block" || part.head.events === 0) continue;
        const { head, position, end } = part;
        const last = head.first + head.events - 1;
        const chunk = chunks.at(-1);
        const isNext = chunk && chunk.end === position && chunk.last + 1 === head.first;
        if (isNext && end - chunk.position <= CHUNK_BYTES) {
          chunk.last = last;
          chunk.end = end;
          chunk.at = head.at;
        } else {
          chunks.push({ first: head.first, last, position, end, at: head.at });
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
      const block = await toBlock(chunk, await this.#bytesOf(chunk));
      if (block.last === last) return block;
      if (isAgain) return block.count > 0 ? block : null;
      if (this.#index === index) this.#forget(); // It has been damaged since.
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
    const { chunks } = await this.#indexed();
    const chunk = chunks[lowest(chunks.length, (i) => chunks[i]!.at >= at)];
    if (!chunk) return null;
    const blocks = await this.#writtenIn(chunk);
    // The events of a block are as old as the one before it, or younger.
    const next = blocks[lowest(blocks.length, (i) => blocks[i]!.at >= at)];
    return next?.first ?? chunk.first; // It may have been damaged since.
  }

  /** Returns when each block of a chunk was written. */
  async #writtenIn(chunk: Chunk): Promise<readonly Written[]> {
    const { end } = chunk; // which may grow
    if (timed?.chunk === chunk && timed.end === end) return timed.blocks;
    const blocks: Written[] = [];
    for await (const { head } of blocksIn(await this.#bytesOf(chunk))) {
      blocks.push({ first: head.first, at: head.at });
    }
    timed = { chunk, end, blocks };
    return blocks;
  }
}

function newIndex(start: number): Index {
  return { chunks: [], end: start, looking: null };
}

/**
 * Returns the events in the bytes of a chunk, which become the memory of the block. Those after damage
 * are missing.
 */
async function toBlock({ first }: Chunk, bytes: Uint8Array<ArrayBuffer>): Promise<KeptBlock> {
  const block = new KeptBlock(first, bytes);
  for await (const { head, start, linesEnd } of blocksIn(bytes)) {
    block.add(bytes, start, linesEnd, head.events, NO_SENDER);
  }
  return block;
}

/** Yields the blocks in the bytes of a chunk, up to damage. The bytes of each may change then. */
async function* blocksIn(bytes: Uint8Array): AsyncGenerator<FoundBlock, void, void> {
  const slice = new Slice();
  for (let at = 0; at < bytes.length;) {
    if (slice.isOver()) await slice.next();
    const item = itemAt(bytes, at);
    if (item.kind !== "block") return;
    at = item.end;
    yield item;
  }
}
