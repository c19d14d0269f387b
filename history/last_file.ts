/**
 * The last event of each name on disk: a file that is written anew now and then. What came after it
 * is found in the log.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import type { DiskLog } from "./disk_log.ts";
import { type KeptBlock, NO_SENDER } from "./kept_block.ts";
import { LastValues } from "./last_values.ts";
import type { LogFolder } from "./log_folder.ts";
import { NameFilter } from "./name_filter.ts";
import {
  decodeSegmentHead,
  encodeBlock,
  encodeEnd,
  encodeSegmentHead,
  FORMAT_VERSION,
  itemAt,
  type SegmentHead,
} from "./segment_format.ts";
import { stamp, unstamp } from "./stamped_lines.ts";

/** The name of the file. */
export const LAST_FILE = "last.ndjson";

/** Bytes of events that are written at a time. */
const PART_BYTES = 262_144;

/** The last events of names, and whether the file has them up to where the log was read from. */
interface Loaded {
  readonly values: LastValues;
  readonly isSaved: boolean;
}

/** What the file has, and the offset up to which it is right for the patterns that it was made for. */
interface Saved {
  readonly values: LastValues;
  readonly through: number;
  /** Whether it was made for the patterns that are asked for. */
  readonly isForThese: boolean;
}

/**
 * Finds the last event of each name as the relay starts. If this takes the whole log, writes the file,
 * so that it is not read again while events are written.
 */
export async function openLast(
  folder: LogFolder,
  log: DiskLog,
  patterns: readonly string[],
): Promise<LastValues> {
  const { values, isSaved } = await load(folder, log, patterns, log.head);
  if (!isSaved && log.head > 0) {
    await save(folder, log.epoch, patterns, values, log.head).catch(() => {}); // It is tried again.
  }
  return values;
}

/** Writes the last events of names, of those events that are on the disk. */
export async function saveLast(
  folder: LogFolder,
  log: DiskLog,
  patterns: readonly string[],
): Promise<void> {
  const { epoch, synced } = log;
  const values = await loadLast(folder, log, patterns, synced);
  await save(folder, epoch, patterns, values, synced);
}

async function save(
  folder: LogFolder,
  epoch: string,
  patterns: readonly string[],
  values: LastValues,
  through: number,
): Promise<void> {
  const head = {
    version: FORMAT_VERSION,
    epoch,
    first: through,
    before: [],
    patterns: sumOf(patterns),
  };
  const file = await folder.create(LAST_FILE, partsOf(values, head));
  file.close();
}

/** Returns a check sum of patterns, in whatever order. A line has no room for all of them. */
function sumOf(patterns: readonly string[]): number {
  return crc32(JSON.stringify([...patterns].sort()));
}

/**
 * Yields the parts of the file, in the format of a segment. `first` is here the offset up to which the
 * file is right, since each event has its own. The last part proves that the file is whole.
 */
function* partsOf(values: LastValues, head: SegmentHead): Generator<Uint8Array> {
  const { first } = head;
  yield encodeSegmentHead(head);
  let lines: Uint8Array[] = [];
  let bytes = 0;
  const block = (): Uint8Array => {
    const encoded = encodeBlock({ first, events: lines.length, bytes, at: Date.now() }, lines);
    lines = [];
    bytes = 0;
    return encoded;
  };
  for (const value of values) {
    const part = stamp(value);
    lines.push(part);
    bytes += part.length;
    if (bytes >= PART_BYTES) yield block();
  }
  yield block();
  yield encodeEnd(first);
}

/**
 * Finds the last event of each name up to an offset: in the file, and in the log after it, whatever
 * its age.
 */
export async function loadLast(
  folder: LogFolder,
  log: DiskLog,
  patterns: readonly string[],
  to: number = log.head,
): Promise<LastValues> {
  return (await load(folder, log, patterns, to)).values;
}

async function load(
  folder: LogFolder,
  log: DiskLog,
  patterns: readonly string[],
  to: number,
): Promise<Loaded> {
  const filter = new NameFilter(patterns);
  const saved = await readFile(folder, log, patterns, filter);
  const isSaved = saved?.isForThese ?? false;
  const values = isSaved ? saved!.values : new LastValues();
  // A file for other patterns lacks names, whose events may be anywhere in the log.
  const next = isSaved ? saved!.through + 1 : 0;
  for (let offset = Math.max(log.oldest, next); offset <= to;) {
    const block = await log.read(offset);
    addBlock(block, offset, to, filter, values);
    offset = Math.max(offset, block.last) + 1;
  }
  return { values: saved && !isSaved ? merge(saved.values, values) : values, isSaved };
}

/** Returns the last events in both. */
function merge(one: LastValues, other: LastValues): LastValues {
  const values = new LastValues();
  const all = [...one, ...other].sort((a, b) => a.offset - b.offset);
  for (const value of all) values.set(value);
  return values;
}

/** Reads the file. Returns `null` if it is not there, or cannot be used. */
async function readFile(
  folder: LogFolder,
  log: DiskLog,
  patterns: readonly string[],
  filter: NameFilter,
): Promise<Saved | null> {
  if (!(await folder.list()).includes(LAST_FILE)) return null;
  const file = await folder.file(LAST_FILE);
  const bytes = await file.read(0, file.size).finally(() => file.close());
  const found = decodeSegmentHead(bytes);
  if (!found) return null;
  const { epoch, first: through, patterns: sum } = found.head;
  // Events after the common part of an earlier epoch are lost, and perhaps one of them is in the file.
  const common = log.throughOf(epoch);
  if (common === undefined || common < through) return null;
  const values = new LastValues();
  for (let at = found.end;;) {
    const item = itemAt(bytes, at);
    if (item.kind === "end" && item.offset === through) {
      return { values, through, isForThese: sum === sumOf(patterns) };
    }
    if (item.kind !== "block") return null;
    addLines(bytes, item.start, item.linesEnd, filter, values);
    at = item.end;
  }
}

function addLines(
  bytes: Uint8Array,
  start: number,
  end: number,
  filter: NameFilter,
  values: LastValues,
): void {
  for (const value of unstamp(bytes, start, end)) {
    if (filter.matches(value.name)) values.set(value);
  }
}

function addBlock(
  block: KeptBlock,
  from: number,
  to: number,
  filter: NameFilter,
  values: LastValues,
): void {
  const { bytes } = block;
  const end = block.lineFrom(to + 1);
  for (let line = block.lineFrom(from); line < end; line++) {
    const name = block.names[block.nameOf(line)]!;
    if (!filter.matches(name)) continue;
    const text = bytes.slice(block.startOf(line), block.startOf(line + 1));
    values.set({ name, offset: block.offsetOf(line), line: text, sender: NO_SENDER });
  }
}
