/**
 * The files in the folder of a log: which there are, and how a segment begins.
 *
 * @module
 */

import { DAMAGED, LOCK, type LogFile } from "./log_folder.ts";
import { decodeSegmentHead, MAX_HEAD_BYTES, type SegmentHead } from "./segment_format.ts";

/** The name of the file with the last events of names. */
export const LAST_FILE = "last.ndjson";

/** Number of digits of the names of segments, which are the offset of the first event. */
const DIGITS = 20;

const NAME = new RegExp(`^\\d{${DIGITS}}\\.ndjson$`);

/** What follows the name of a file that is not finished, or was put aside. */
const SUFFIX = /\.tmp$|(\.\d+)?\.damaged$/;

/** Returns the name of the segment that begins with an offset. */
export function nameOfSegment(first: number): string {
  return `${String(first).padStart(DIGITS, "0")}.ndjson`;
}

/** Returns the offset in the name of a segment. */
export function firstOf(name: string): number {
  return Number(name.slice(0, DIGITS));
}

/** Returns the names of segments among those of files, in order. */
export function segmentsAmong(names: readonly string[]): string[] {
  return names.filter((name) => NAME.test(name)).sort();
}

/** Returns the name of a file that is not of a log, or `undefined`. */
export function foreignAmong(names: readonly string[]): string | undefined {
  return names.find((name) => {
    const own = name.replace(SUFFIX, "");
    return name !== LOCK && own !== LAST_FILE && !NAME.test(own);
  });
}

/** Returns a name for the damaged file `name`, or a part of it, that no file has. */
export function nameAside(name: string, names: readonly string[]): string {
  for (let i = 1;; i++) {
    const aside = i === 1 ? name + DAMAGED : `${name}.${i}${DAMAGED}`;
    if (!names.includes(aside)) return aside;
  }
}

/** Returns the first line of a segment, the position after it, and the bytes that were read. */
export async function readHead(
  file: LogFile,
): Promise<{ head: SegmentHead; end: number; bytes: Uint8Array } | null> {
  const bytes = await file.read(0, 2 * MAX_HEAD_BYTES);
  const found = decodeSegmentHead(bytes);
  return found && { ...found, bytes };
}
