/**
 * The last event of each name on disk: a file that is written anew now and then. What came after it
 * is found in the log.
 *
 * @module
 */

import type { DiskLog } from "./disk_log.ts";
import { type KeptBlock, NO_SENDER } from "./kept_block.ts";
import { LastValues } from "./last_values.ts";
import type { LogFolder } from "./log_folder.ts";
import type { NameFilter } from "./name_filter.ts";
import {
  decodeSegmentHead,
  encodeBlock,
  encodeEnd,
  encodeSegmentHead,
  FORMAT_VERSION,
  itemAt,
} from "./segment_format.ts";
import { stamp, unstamp } from "./stamped_lines.ts";

/** The name of the file. */
export const LAST_FILE = "last.ndjson";

/** Bytes of events that are written at a time. */
const PART_BYTES = 262_144;

/** Writes the last events of names, of those events that are on the disk. */
export async function saveLast(
  folder: LogFolder,
  log: DiskLog,
  filter: NameFilter,
): Promise<void> {
  const { epoch, synced } = log;
  const values = await loadLast(folder, log, filter, synced);
  const file = await folder.create(LAST_FILE, partsOf(values, epoch, synced));
  file.close();
}

/**
 * Yields the parts of the file, in the format of a segment. `first` is here the offset up to which the
 * file is right, since each event has its own. The last part proves that the file is whole.
 */
function* partsOf(values: LastValues, epoch: string, through: number): Generator<Uint8Array> {
  yield encodeSegmentHead({ version: FORMAT_VERSION, epoch, first: through, before: [] });
  let lines: Uint8Array[] = [];
  let bytes = 0;
  const block = (): Uint8Array => {
    const head = { first: through, events: lines.length, bytes, at: Date.now() };
    const encoded = encodeBlock(head, lines);
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
  yield encodeEnd(through);
}

/**
 * Finds the last event of each name up to an offset: in the file, and in the log after it, whatever
 * its age.
 */
export async function loadLast(
  folder: LogFolder,
  log: DiskLog,
  filter: NameFilter,
  to: number = log.head,
): Promise<LastValues> {
  let values = new LastValues();
  let through = await readFile(folder, log, filter, values);
  if (through === null) {
    values = new LastValues();
    through = 0;
  }
  for (let offset = Math.max(log.oldest, through + 1); offset <= to;) {
    const block = await log.read(offset);
    addBlock(block, offset, to, filter, values);
    offset = Math.max(offset, block.last) + 1;
  }
  return values;
}

/** Reads the file. Returns the offset up to which it is right, or `null` if it cannot be used. */
async function readFile(
  folder: LogFolder,
  log: DiskLog,
  filter: NameFilter,
  values: LastValues,
): Promise<number | null> {
  if (!(await folder.list()).includes(LAST_FILE)) return null;
  const file = await folder.file(LAST_FILE);
  const bytes = await file.read(0, file.size).finally(() => file.close());
  const found = decodeSegmentHead(bytes);
  // Events after the common part of an earlier epoch are lost, and perhaps one of them is in the file.
  const common = found && log.throughOf(found.head.epoch);
  if (!found || common === undefined || common! < found.head.first) return null;
  for (let at = found.end;;) {
    const item = itemAt(bytes, at);
    if (item.kind === "end" && item.offset === found.head.first) return item.offset;
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
