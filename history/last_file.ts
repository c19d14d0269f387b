/**
 * The last event of each name on disk: a file that is written anew now and then. What came after it
 * is found in the log.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { readNumber, readString } from "../protocol/envelope.ts";
import { LineValidator, MAX_MAX_DEPTH, OFFSET } from "../protocol/validator.ts";
import { addedLength, type LineForm, writeLine } from "./extract.ts";
import { type KeptBlock, NO_SENDER } from "./kept_block.ts";
import { LastValues } from "./last_values.ts";
import type { EventLog } from "./log.ts";
import type { LogFolder } from "./log_folder.ts";
import type { NameFilter } from "./name_filter.ts";
import {
  decodeSegmentHead,
  encodeBlock,
  encodeSegmentHead,
  FORMAT_VERSION,
  itemAt,
} from "./segment_format.ts";
import { NOTHING } from "../protocol/utf8.ts";

/** The name of the file. */
export const LAST_FILE = "last.ndjson";

const STAMPED: LineForm = { hasOffset: true, member: NOTHING };

/** Writes the last events of names up to an offset. */
export async function saveLast(
  folder: LogFolder,
  values: LastValues,
  epoch: string,
  through: number,
): Promise<void> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (const { offset, line } of values) {
    const part = new Uint8Array(line.length + addedLength(offset, STAMPED));
    writeLine(part, 0, line, 0, line.length, offset, STAMPED);
    parts.push(part);
    bytes += part.length;
  }
  const head = { version: FORMAT_VERSION, epoch, first: through, before: [] };
  const block = { first: through, events: parts.length, bytes, at: Date.now() };
  const file = await folder.create(
    LAST_FILE,
    concat([encodeSegmentHead(head), encodeBlock(block, parts)]),
  );
  file.close();
}

/** Finds the last event of each name: in the file, and in the log after it. */
export async function loadLast(
  folder: LogFolder,
  log: EventLog,
  filter: NameFilter,
): Promise<LastValues> {
  const values = new LastValues();
  const through = await readFile(folder, log, filter, values);
  for (let offset = Math.max(log.first, through + 1); offset <= log.head;) {
    const block = await log.read(offset);
    addBlock(block, offset, filter, values);
    offset = block.last + 1;
  }
  return values;
}

/** Reads the file. Returns the offset up to which it is right, or 0. */
async function readFile(
  folder: LogFolder,
  log: EventLog,
  filter: NameFilter,
  values: LastValues,
): Promise<number> {
  const size = (await folder.list()).find(({ name }) => name === LAST_FILE)?.size;
  if (size === undefined) return 0;
  const file = await folder.file(LAST_FILE);
  const bytes = await file.read(0, size);
  file.close();
  const found = decodeSegmentHead(bytes);
  if (!found) return 0;
  const item = itemAt(bytes, found.end);
  // Events after the common part of an earlier epoch are lost, and perhaps one of them is in the file.
  const common = log.throughOf(found.head.epoch);
  if (item.kind !== "block" || common === undefined || common < found.head.first) return 0;
  const validator = new LineValidator(MAX_MAX_DEPTH).open(bytes);
  for (let at = item.start; at < item.end; at = validator.end + 1) {
    validator.validate(at);
    const name = readString(bytes, validator.nameStart - 1);
    if (!filter.matches(name)) continue;
    const offset = readNumber(bytes, validator.valueAt(OFFSET))!;
    const member = validator.keyAt(OFFSET);
    const line = concat([
      bytes.subarray(at, member),
      bytes.subarray(member + addedLength(offset, STAMPED), validator.end + 1),
    ]);
    values.set({ name, offset, line, sender: NO_SENDER });
  }
  return found.head.first;
}

function addBlock(block: KeptBlock, from: number, filter: NameFilter, values: LastValues): void {
  const { bytes } = block;
  for (let line = Math.max(0, from - block.first); line < block.count; line++) {
    const name = block.names[block.nameOf(line)]!;
    if (!filter.matches(name)) continue;
    const text = bytes.slice(block.startOf(line), block.startOf(line + 1));
    values.set({ name, offset: block.first + line, line: text, sender: NO_SENDER });
  }
}
