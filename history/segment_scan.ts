/**
 * Reads a segment from its first block to its end, and finds what is damaged.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { NOTHING } from "../protocol/utf8.ts";
import type { LogFile } from "./log_folder.ts";
import { type BlockHead, itemAt, MAX_HEAD_BYTES, nextBlock } from "./segment_format.ts";

/** Bytes that are read at a time, unless a block is longer. */
const READ_BYTES = 1_048_576;

/** A part of a segment: the bytes of the file from `position` to `end`. */
export type FoundPart = { readonly position: number; readonly end: number } & FoundItem;

/** What a part of a segment is. */
type FoundItem =
  /**
   * A whole block. Its events, as lines, and the line about producers are valid until the next part is
   * read.
   */
  | {
    readonly kind: "block";
    readonly head: BlockHead;
    readonly lines: Uint8Array;
    readonly producers: Uint8Array;
  }
  | { readonly kind: "end"; readonly offset: number; readonly producers: Uint8Array }
  | { readonly kind: "gap"; readonly from: number; readonly to: number }
  /** Bytes that are nothing of these, or, at the end of the file, not whole. */
  | { readonly kind: "damage" };

/** How a segment ends. */
export interface ScanResult {
  /** Where the last block, or the line after it, ends. What follows is not whole. */
  readonly end: number;
  /** Where the last block ends. */
  readonly blocksEnd: number;
  /** Whether the last line says that the relay has ended in order. */
  readonly isClosed: boolean;
  /** Number of damaged bytes before other parts. */
  readonly damagedBytes: number;
}

/**
 * Yields the parts of a segment, and returns how it ends.
 *
 * @param file The file.
 * @param from The position of the first block.
 */
export async function* scanSegment(
  file: LogFile,
  from: number,
): AsyncGenerator<FoundPart, ScanResult, void> {
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
    const position = base + at;
    if (item.kind === "cut" && await more(item.missing)) continue;
    if (item.kind === "cut" || item.kind === "bad") {
      const isLast = !await skipDamage();
      const next = base + (isLast ? bytes.length : at);
      if (next > position) yield { kind: "damage", position, end: next };
      if (isLast) return { end, blocksEnd, isClosed, damagedBytes };
      damagedBytes += next - position;
      continue;
    }
    at = item.end;
    end = base + at;
    isClosed = item.kind === "end";
    if (item.kind === "block") {
      blocksEnd = end;
      const lines = bytes.subarray(item.start, item.linesEnd);
      const producers = bytes.subarray(item.linesEnd, item.end);
      yield { kind: "block", head: item.head, position, end, lines, producers };
    } else if (item.kind === "end") {
      const producers = bytes.subarray(item.linesEnd, item.end);
      yield { kind: "end", offset: item.offset, position, end, producers };
    } else {
      yield { kind: "gap", from: item.from, to: item.to, position, end };
    }
  }

  /** Goes on at the next block that is whole. Returns whether there is one. */
  async function skipDamage(): Promise<boolean> {
    for (let probe = at;;) {
      const next = nextBlock(bytes, probe);
      const item = next < 0 ? null : itemAt(bytes, next);
      if (item?.kind === "block") {
        at = next;
        return true;
      }
      // The rest is not needed any more. The start of a block may be cut by the end of the bytes.
      at = next < 0 ? Math.max(at, bytes.length - MAX_HEAD_BYTES) : next - 1;
      const missing = item?.kind === "cut" ? item.missing : 1;
      const isCut = item === null || item.kind === "cut";
      if (isCut && await more(missing)) probe = at;
      else if (next < 0) return false;
      else probe = at + 1;
    }
  }
}
