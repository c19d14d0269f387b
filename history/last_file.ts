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
import { LAST_FILE } from "./log_files.ts";
import { type LogFolder, openIfThere } from "./log_folder.ts";
import { NameFilter } from "./name_filter.ts";
import {
  decodeSegmentHead,
  encodeBlock,
  encodeEnd,
  encodeSegmentHead,
  FORMAT_VERSION,
  MAX_HEAD_BYTES,
  type SegmentHead,
} from "./segment_format.ts";
import { scanSegment } from "./segment_scan.ts";
import { Slice } from "./slice.ts";
import { stamp, unstamp } from "./stamped_lines.ts";

/** Bytes of events that are written at a time. */
const PART_BYTES = 262_144;

/** How long others wait while this reads, in milliseconds. Senders may wait for all of it. */
const SLICE_MS = 5;

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
  const { values, isSaved } = await load(folder, log, patterns);
  const { epoch, head } = log;
  if (!isSaved && head > 0) {
    await save(folder, epoch, patterns, values, head).catch(() => {}); // It is tried again.
  }
  return values;
}

/**
 * Writes the last events of names, of those events that are on the disk.
 *
 * @param onProgress Called after each part, because this may take seconds.
 */
export async function saveLast(
  folder: LogFolder,
  log: DiskLog,
  patterns: readonly string[],
  onProgress: () => void = () => {},
): Promise<void> {
  const { epoch, synced } = log;
  const { values } = await load(folder, log, patterns, synced, onProgress);
  await save(folder, epoch, patterns, values, synced, onProgress);
}

/**
 * Removes the file, because later events than those in it are about to be dropped, and nobody wants
 * to know the last ones at present. It would have old ones when somebody does again.
 */
export async function removeLast(folder: LogFolder): Promise<void> {
  await folder.remove(LAST_FILE);
}

async function save(
  folder: LogFolder,
  epoch: string,
  patterns: readonly string[],
  values: LastValues,
  through: number,
  onProgress: () => void = () => {},
): Promise<void> {
  const head = {
    version: FORMAT_VERSION,
    epoch,
    first: through,
    before: [],
    patterns: sumOf(patterns),
  };
  const file = await folder.create(LAST_FILE, partsOf(values, head, onProgress));
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
function* partsOf(
  values: LastValues,
  head: SegmentHead,
  onProgress: () => void,
): Generator<Uint8Array> {
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
    if (bytes < PART_BYTES) continue;
    yield block();
    onProgress();
  }
  yield block();
  yield encodeEnd(first);
}

/** Finds the last event of each name: in the file, and in the log after it, whatever its age. */
export async function loadLast(
  folder: LogFolder,
  log: DiskLog,
  patterns: readonly string[],
): Promise<LastValues> {
  return (await load(folder, log, patterns)).values;
}

async function load(
  folder: LogFolder,
  log: DiskLog,
  patterns: readonly string[],
  to: number = log.head,
  onProgress: () => void = () => {},
): Promise<Loaded> {
  const slice = new Slice(SLICE_MS);
  const rest = async () => {
    onProgress();
    if (slice.isOver()) await slice.next();
  };
  const filter = new NameFilter(patterns);
  const saved = await readFile(folder, log, patterns, filter, rest);
  const isSaved = saved?.isForThese ?? false;
  const values = isSaved ? saved!.values : new LastValues();
  // A file for other patterns lacks names, whose events may be anywhere in the log.
  const next = isSaved ? saved!.through + 1 : 0;
  for (let offset = Math.max(log.oldest, next); offset <= to;) {
    const block = await log.read(offset);
    addBlock(block, offset, to, filter, values);
    offset = Math.max(offset, block.last) + 1;
    await rest();
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
  rest: () => Promise<void>,
): Promise<Saved | null> {
  const file = await openIfThere(folder, LAST_FILE);
  if (!file) return null;
  try {
    const found = decodeSegmentHead(await file.read(0, MAX_HEAD_BYTES));
    if (!found) return null;
    const { epoch, first: through, patterns: sum } = found.head;
    // Events after the common part of an earlier epoch are lost, and perhaps one of them is in the file.
    const common = log.throughOf(epoch);
    if (common === undefined || common < through) return null;
    const values = new LastValues();
    for await (const part of scanSegment(file, found.end)) {
      if (part.kind === "end" && part.offset === through) {
        return { values, through, isForThese: sum === sumOf(patterns) };
      }
      if (part.kind !== "block") return null;
      addLines(part.lines, filter, values);
      await rest();
    }
    return null;
  } finally {
    file.close();
  }
}

function addLines(lines: Uint8Array, filter: NameFilter, values: LastValues): void {
  for (const value of unstamp(lines, 0, lines.length)) {
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
