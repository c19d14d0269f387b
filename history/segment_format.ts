/**
 * The format of a log on disk: files of lines, which `grep`, `jq` and `relay check` can read.
 *
 *     {"control":"segment","version":1,"epoch":"k3J9x2aQ","first":1041,"before":[],"crc32":"1f0c2d9e"}
 *     {"control":"block","first":1041,"events":2,"bytes":46,"at":1790000000000,"crc32":"9b3e0f11"}
 *     {"event":"a","__dict__":{}}
 *     {"event":"b","__dict__":{}}
 *     {"control":"end","offset":1042,"crc32":"5a77c310"}
 *
 * A segment begins with a line about itself. Each block is what was written at once: its head, and
 * `bytes` bytes of events. `end` is written when the relay ends in order. `crc32` covers the line
 * before it and, in a block, the events. Where a repair has left out damaged events, it notes them:
 *
 *     {"control":"gap","from":1041,"to":1042,"crc32":"c3f1a7d2"}
 *
 * If producers have sent some of the events, `"producers":73` in the head of a block is the length of a
 * line that follows the events, and that the check sum covers, too:
 *
 *     {"control":"producers","counts":[["p7f3aK2x",1041],["Q0c1v-Zr",12,11]]}
 *
 * It has the ID of each, the number of its events that were taken up to this block and, if there is
 * one, the number of the last one that was not kept as it should be. A segment begins with a block
 * without events that has all producers that are known; any other block has those that have changed.
 * The line after `end` has those of which no other event was taken.
 *
 * The file of the last events of names has this format, too, see `last_file.ts`. Its first line has
 * `"patterns":2847362`, a check sum of the patterns of these names.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { crc32 } from "node:zlib";
import { LF } from "../protocol/ascii.ts";
import type { HistoryPosition } from "../protocol/history.ts";
import { isProducerId } from "../protocol/producer.ts";
import { decoder, encoder, NOTHING } from "../protocol/utf8.ts";
import type { ProducerCount } from "./producers.ts";

/** The version of the format. */
export const FORMAT_VERSION = 1;

/** The longest line about a segment, a block or the end, in bytes. */
export const MAX_HEAD_BYTES = 8192;

/** Number of earlier epochs that a segment knows, see `withEpoch()`. */
export const MAX_EPOCHS = 64;

/** The start of the head of a block, which follows the end of a line. */
const BLOCK = encoder.encode('{"control":"block",');

/** What comes before the check sum in a line, and after it. */
const SUM = /,"crc32":"([0-9a-f]{8})"\}$/;

/** The first line of a segment. */
export interface SegmentHead {
  readonly version: number;
  readonly epoch: string;
  /** The offset of its first event. */
  readonly first: number;
  /**
   * The epochs before, each with the last position that it and the present one have in common; the
   * latest last.
   */
  readonly before: readonly HistoryPosition[];
  /** Only in the file of the last events of names: a check sum of the patterns of these names. */
  readonly patterns?: number;
}

/** The head of a block. */
export interface BlockHead {
  /** The offset of its first event. */
  readonly first: number;
  readonly events: number;
  /** Size of the events as lines, in bytes. */
  readonly bytes: number;
  /** When it was written, in milliseconds since 1970. It never decreases. */
  readonly at: number;
}

/** What is at a position of a segment. */
export type Item =
  | {
    readonly kind: "block";
    readonly head: BlockHead;
    /** Where its events start, and where they end. */
    readonly start: number;
    readonly linesEnd: number;
    readonly end: number;
  }
  | {
    readonly kind: "end";
    readonly offset: number;
    /** Where the line about producers starts, if there is one. */
    readonly linesEnd: number;
    readonly end: number;
  }
  | { readonly kind: "gap"; readonly from: number; readonly to: number; readonly end: number }
  /** It is not known before there are more bytes: `missing` at least. */
  | { readonly kind: "cut"; readonly missing: number }
  | { readonly kind: "bad" };

/** Returns the first line of a segment. */
export function encodeSegmentHead({ epoch, first, before, patterns }: SegmentHead): Uint8Array {
  const head = { control: "segment", version: FORMAT_VERSION, epoch, first, before, patterns };
  return seal(head, []);
}

/** Returns a block: its head, the events in `lines`, and the line about producers, if there is one. */
export function encodeBlock(
  head: BlockHead,
  lines: readonly Uint8Array[],
  producers: Uint8Array = NOTHING,
): Uint8Array {
  const { first, events, bytes, at } = head;
  const members = { control: "block", first, events, bytes, ...lengthOf(producers), at };
  return seal(members, [...lines, producers]);
}

/** Returns the line that ends a log in order, and the line about producers, if there is one. */
export function encodeEnd(offset: number, producers: Uint8Array = NOTHING): Uint8Array {
  return seal({ control: "end", offset, ...lengthOf(producers) }, [producers]);
}

function lengthOf({ length }: Uint8Array): { producers?: number } {
  return length > 0 ? { producers: length } : {};
}

/**
 * Returns the line about producers, or nothing if there are none.
 *
 * @param hasForgotten Whether others were forgotten.
 */
export function encodeProducers(
  producers: readonly ProducerCount[],
  hasForgotten: boolean,
): Uint8Array {
  if (producers.length === 0 && !hasForgotten) return NOTHING;
  const counts = producers.map(({ id, taken, faulted }) =>
    faulted > 0 ? [id, taken, faulted] : [id, taken]
  );
  const forgotten = hasForgotten || undefined;
  return encoder.encode(`${JSON.stringify({ control: "producers", forgotten, counts })}\n`);
}

/** The content of the line about producers. */
interface ProducersLine {
  readonly forgotten?: true;
  readonly counts: readonly [id: string, taken: number, faulted?: number][];
}

/**
 * Returns the producers in their line, and whether others were forgotten. Those with invalid IDs are
 * left out: they may be very long as JSON, and no client can come back as one of them.
 */
export function decodeProducers(
  line: Uint8Array,
): { counts: ProducerCount[]; hasForgotten: boolean } {
  if (line.length === 0) return { counts: [], hasForgotten: false };
  const { forgotten = false, counts } = JSON.parse(decoder.decode(line)) as ProducersLine;
  return {
    counts: counts.filter(([id]) => isProducerId(id))
      .map(([id, taken, faulted = 0]) => ({ id, taken, faulted })),
    hasForgotten: forgotten,
  };
}

/** Returns the line that notes the offsets of missing events. */
export function encodeGap(from: number, to: number): Uint8Array {
  return seal({ control: "gap", from, to }, []);
}

/** Returns a line with its check sum, and what follows it. */
function seal(members: object, lines: readonly Uint8Array[]): Uint8Array {
  const text = JSON.stringify(members).slice(0, -1);
  let sum = crc32(text);
  for (const part of lines) sum = crc32(part, sum);
  const head = encoder.encode(`${text},"crc32":"${sum.toString(16).padStart(8, "0")}"}\n`);
  return concat([head, ...lines]);
}

/** A line without its check sum, and the sum of it and what it has to be. */
interface Sealed {
  readonly members: Record<string, unknown>;
  /** The sum of the line so far. */
  readonly sum: number;
  /** The sum that it has to be, with all that it covers. */
  readonly expected: number;
  /** The position after the line. */
  readonly end: number;
}

/** Returns the line at a position, `null` if none ends in the bytes, or that it is not one. */
function openLine(bytes: Uint8Array, at: number): Sealed | null | "bad" {
  const window = bytes.subarray(at, at + MAX_HEAD_BYTES);
  const length = window.indexOf(LF);
  if (length < 0) return window.length < MAX_HEAD_BYTES ? null : "bad";
  const text = decoder.decode(window.subarray(0, length));
  const found = SUM.exec(text);
  if (!found) return "bad";
  const covered = text.slice(0, found.index);
  try {
    const members = Object(JSON.parse(`${covered}}`));
    const end = at + length + 1;
    return { members, sum: crc32(covered), expected: parseInt(found[1]!, 16), end };
  } catch {
    return "bad";
  }
}

/** Returns the first line of a segment, or `null` if it is damaged. */
export function decodeSegmentHead(bytes: Uint8Array): { head: SegmentHead; end: number } | null {
  const line = openLine(bytes, 0);
  if (line === null || line === "bad" || line.sum !== line.expected) return null;
  const { control, version, epoch, first, before, patterns } = line.members;
  if (control !== "segment" || !isCount(version) || typeof epoch !== "string") return null;
  if (!isCount(first) || !Array.isArray(before) || !before.every(isPosition)) return null;
  const head = { version, epoch, first, before, ...(isCount(patterns) && { patterns }) };
  return { head, end: line.end };
}

function isPosition(value: unknown): value is HistoryPosition {
  const { epoch, offset } = Object(value) as Record<string, unknown>;
  return typeof epoch === "string" && isCount(offset);
}

/** Returns what is at a position behind the first line. `bytes` may end anywhere. */
export function itemAt(bytes: Uint8Array, at: number): Item {
  const line = openLine(bytes, at);
  if (line === null) return { kind: "cut", missing: 1 };
  if (line === "bad") return { kind: "bad" };
  const { control, offset, from, to, producers = 0 } = line.members;
  if (!isCount(producers)) return { kind: "bad" };
  const { first, events, bytes: size, at: time } = line.members;
  const isBlock = control === "block" && isCount(first) && isCount(events) && isCount(size) &&
    isCount(time);
  if (!isBlock && control !== "end" && control !== "gap") return { kind: "bad" };
  const start = line.end;
  const linesEnd = isBlock ? start + size : start;
  const end = linesEnd + producers;
  if (end > bytes.length) return { kind: "cut", missing: end - bytes.length };
  if (crc32(bytes.subarray(start, end), line.sum) !== line.expected) return { kind: "bad" };
  if (isBlock) {
    return { kind: "block", head: { first, events, bytes: size, at: time }, start, linesEnd, end };
  }
  if (control === "end" && isCount(offset)) return { kind: "end", offset, linesEnd, end };
  if (control === "gap" && isCount(from) && isCount(to)) return { kind: "gap", from, to, end };
  return { kind: "bad" };
}

/** Returns the next position from which a block might begin, or -1. */
export function nextBlock(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(LF, from) + 1; at > 0; at = bytes.indexOf(LF, at) + 1) {
    if (BLOCK.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}
