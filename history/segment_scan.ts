/**
 * Reads a segment from its first block to its end, and finds what is damaged.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { NOTHING } from "../protocol/utf8.ts";
import type { LogFile } from "./log_folder.ts";
import { type BlockHead, itemAt, nextBlock } from "./segment_format.ts";

/** Bytes that are read at a time, unless a block is longer. */
const READ_BYTES = 1_048_576;

/** A block of a segment. */
export interface FoundBlock {
  readonly head: BlockHead;
  /** Where its head begins in the file, and where its events end. */
  readonly position: number;
  readonly end: number;
  /** Its events as lines, valid until the next block is read. */
  readonly lines: Uint8Array;
}

/** How a segment ends. */
export interface ScanResult {
  /** Where the last block, or the line after it, ends. What follows is not whole. */
  readonly end: number;
  /** Where the last block ends. */
  readonly blocksEnd: number;
  /** Whether the last line says that the relay has ended in order. */
  readonly isClosed: boolean;
  /** Number of bytes between blocks that are damaged. */
  readonly damagedBytes: number;
}

/**
 * Yields the blocks of a segment that are whole, and returns how it ends.
 *
 * @param file The file.
 * @param from The position of the first block.
 */
export async function* scanSegment(
  file: LogFile,
  from: number,
): AsyncGenerator<FoundBlock, ScanResult, void> {
  let bytes: Uint8Array = NOTHING;
  /** The position of the bytes in the file, and of the next item in them. */
  let base = from;
  let at = 0;
  let end = from;
  let blocksEnd = from;
  let isClosed = false;
  let damagedBytes = 0;
  /** Reads at least so many bytes more. Returns whether there were any. */
  const more = async (missing: number): Promise<boolean> => {
    const rest = bytes.subarray(at);
    const next = await file.read(base + bytes.length, Math.max(READ_BYTES, missing));
    bytes = concat([rest, next]);
    base += at;
    at = 0;
    return next.length > 0;
  };
  for (;;) {
    const item = itemAt(bytes, at);
    if (item.kind === "cut") {
      if (await more(item.missing)) continue;
      const isWhole = await skipDamage();
      if (!isWhole) break;
    } else if (item.kind === "bad") {
      if (!await skipDamage()) break;
    } else if (item.kind === "end") {
      at = item.end;
      end = base + at;
      isClosed = true;
    } else {
      const position = base + at;
      at = item.end;
      end = blocksEnd = base + at;
      isClosed = false;
      yield { head: item.head, position, end, lines: bytes.subarray(item.start, item.end) };
    }
  }
  return { end, blocksEnd, isClosed, damagedBytes };

  /** Goes on at the next block that is whole. Returns whether there is one. */
  async function skipDamage(): Promise<boolean> {
    const damaged = base + at;
    for (let probe = at;;) {
      const next = nextBlock(bytes, probe);
      const item = next < 0 ? null : itemAt(bytes, next);
      if (item?.kind === "block") {
        at = next;
        damagedBytes += base + at - damaged;
        return true;
      }
      const before = base;
      const searched = next < 0 ? Math.max(at, bytes.length - 1) : next - 1;
      const missing = item?.kind === "cut" ? item.missing : 1;
      const isCut = item === null || item.kind === "cut";
      if (isCut && await more(missing)) probe = searched - (base - before);
      else if (next < 0) return false;
      else probe = next;
    }
  }
}
