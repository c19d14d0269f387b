/**
 * Goes through a segment, or the file of the last events, and finds faults: damaged parts, missing
 * events, and contradictions to the rest of the log.
 *
 * @module
 */

import { LF } from "../protocol/ascii.ts";
import { countLines } from "./extract.ts";
import { firstOf, foreignAmong, LAST_FILE, readHead, segmentsAmong } from "./log_files.ts";
import { type LogFile, type LogFolder, openIfThere } from "./log_folder.ts";
import { type BlockHead, FORMAT_VERSION, MAX_EPOCHS, type SegmentHead } from "./segment_format.ts";
import { type FoundPart, scanSegment } from "./segment_scan.ts";

/** A folder is no log that can be read. The message has the reason, and advice. */
export class LogError extends Error {}

/** A fault of a log. */
export interface LogFault {
  /** The name of the file. */
  readonly file: string;
  /**
   * The events that cannot be read because of it: from one offset to another. None if `to` is less
   * than `from`; `null` if it is unknown how many, or, for `from`, which.
   */
  readonly from: number | null;
  readonly to: number | null;
  /** The fault, in words. */
  readonly text: string;
}

/** How a segment begins. */
export interface SegmentStart {
  readonly name: string;
  /** The offset of its first event, by its name. */
  readonly first: number;
  /** Its first line, or `null` if that cannot be used. */
  readonly head: SegmentHead | null;
  /** The position after this line; 0 without it. */
  readonly start: number;
  /** Why the first line cannot be used, or an empty text. */
  readonly fault: string;
}

/** A part of a segment that was checked: its bytes from `position` to `end`. */
export type CheckedPart = { readonly position: number; readonly end: number } & CheckedItem;

type CheckedItem =
  /** Its events, as lines, are valid until the next part is taken. */
  | { readonly kind: "block"; readonly head: BlockHead; readonly lines: Uint8Array }
  /** The segment notes that events are missing. */
  | { readonly kind: "gap"; readonly from: number; readonly to: number }
  | { readonly kind: "end" }
  /** Nothing of its bytes can be used. It may have none, where events are missing. */
  | { readonly kind: "fault"; readonly fault: LogFault };

const DAMAGED_HEAD = "its first line is damaged";
const DAMAGED_BYTES = "damaged bytes";

/** How a segment ends. */
export interface SegmentEnd {
  /** The offset of the event after it. */
  readonly next: number;
  /** The offset of the last event that can be read, here or before. */
  readonly last: number;
  /** Whether the relay has ended in order. */
  readonly isClosed: boolean;
}

/**
 * Returns how the segments begin, in order, without those that a relay drops meanwhile.
 *
 * @throws {LogError} If there are none, if other files are there, or if the format of one is newer.
 */
export async function readStarts(folder: LogFolder): Promise<SegmentStart[]> {
  const starts: SegmentStart[] = [];
  const files = await folder.list();
  const segments = segmentsAmong(files);
  if (segments.length === 0) {
    throw new LogError("it contains no history; name the folder of --history");
  }
  const foreign = foreignAmong(files);
  if (foreign !== undefined) {
    throw new LogError(`it contains ${foreign}, which is no file of a history; move that away`);
  }
  for (const name of segments) {
    const file = await openIfThere(folder, name);
    if (!file) continue;
    try {
      starts.push(await readStart(file, name));
    } finally {
      file.close();
    }
  }
  return starts;
}

async function readStart(file: LogFile, name: string): Promise<SegmentStart> {
  const first = firstOf(name);
  const found = await readHead(file);
  if (!found) return { name, first, head: null, start: 0, fault: DAMAGED_HEAD };
  const { head, end } = found;
  checkVersion(head, name);
  if (head.first === first) return { name, first, head, start: end, fault: "" };
  const fault = `its first line says that it begins with event ${head.first}`;
  return { name, first, head: null, start: 0, fault };
}

function checkVersion({ version }: SegmentHead, name: string): void {
  if (version <= FORMAT_VERSION) return;
  const known = `this one knows version ${FORMAT_VERSION}`;
  throw new LogError(`${name} has version ${version}, ${known}; use a newer ebsockets`);
}

/**
 * Yields the parts of a segment, and returns how it ends.
 *
 * @param before How the segment before it ends.
 * @param following The offset of the first event of the segment after it, or `null` without one.
 */
export async function* checkSegment(
  file: LogFile,
  { name, start, fault }: SegmentStart,
  before: SegmentEnd,
  following: number | null,
): AsyncGenerator<CheckedPart, SegmentEnd, void> {
  let { next, last } = before;
  let isClosed = false;
  /** The bytes from one position to another cannot be used, for these reasons. */
  let position = start;
  let end = start;
  const reasons = new Set(fault === "" ? [] : [fault]);
  for await (const part of scanSegment(file, start)) {
    end = part.end;
    const reason = part.position === 0 && part.kind === "damage" ? fault : faultOf(part, next);
    if (reason !== "") {
      reasons.add(reason);
      continue;
    }
    const first = part.kind === "block" ? part.head.first : part.kind === "gap" ? part.from : next;
    yield* faultBefore(part.position, first);
    position = part.end;
    isClosed = part.kind === "end";
    if (part.kind === "block") {
      yield part;
      next = part.head.first + part.head.events;
      last = next - 1;
    } else if (part.kind === "gap") {
      yield part;
      next = part.to + 1;
    } else {
      yield { kind: "end", position: part.position, end: part.end };
    }
  }
  const missing = `missing: the next file begins with event ${following}`;
  yield* faultBefore(end, following, missing);
  return { next: Math.max(next, following ?? 0), last, isClosed };

  /** Yields the fault before a position, if any. The event with this offset follows there. */
  function* faultBefore(
    end: number,
    offset: number | null,
    missing = "missing",
  ): Generator<CheckedPart> {
    if (reasons.size === 0 && (offset === null || offset <= next)) return;
    const text = [...reasons].join(", ") || missing;
    const to = offset === null ? null : offset - 1;
    yield { kind: "fault", position, end, fault: { file: name, from: next, to, text } };
    reasons.clear();
  }
}

/** Returns why a part cannot be used if the event with the offset `next` is expected, or "". */
function faultOf(part: FoundPart, next: number): string {
  switch (part.kind) {
    case "damage":
      return DAMAGED_BYTES;
    case "end":
      return part.offset === next - 1 ? "" : "a last line with the offset of another event";
    case "gap":
      return part.from >= next && part.to >= part.from ? "" : "a note of a gap that there is not";
    case "block":
      if (!hasItsEvents(part)) return WRONG_COUNT;
      return part.head.first >= next ? "" : "a block with offsets that events before it have";
  }
}

const WRONG_COUNT = "a block with another number of events than its head says";

/** Returns whether a block has as many lines as its head says. */
function hasItsEvents({ head, lines }: { head: BlockHead; lines: Uint8Array }): boolean {
  if (lines.length > 0 && lines.at(-1) !== LF) return false;
  return countLines(lines, 0, lines.length) === head.events;
}

/** The content of the file of the last events. */
export interface LastFileState {
  /** Its first line. `first` is the offset up to which it is right. */
  readonly head: SegmentHead;
  /** The position after this line. */
  readonly start: number;
  /** Number of names, and the size of their last events, in bytes. */
  readonly names: number;
  readonly bytes: number;
}

/**
 * Yields the parts of the file of the last events, and returns its content, or `null` if its first
 * line is damaged.
 *
 * @throws {LogError} If its format is newer.
 */
export async function* checkLastFile(
  file: LogFile,
): AsyncGenerator<CheckedPart, LastFileState | null, void> {
  const found = await readHead(file);
  if (!found) {
    yield faultIn(0, file.size, DAMAGED_HEAD);
    return null;
  }
  const { head, end: start } = found;
  checkVersion(head, LAST_FILE);
  let names = 0;
  let bytes = 0;
  let end = start;
  let isWhole = false;
  for await (const part of scanSegment(file, start)) {
    end = part.end;
    isWhole = part.kind === "end" && part.offset === head.first;
    if (part.kind === "block" && hasItsEvents(part)) {
      names += part.head.events;
      bytes += part.lines.length;
      yield part;
    } else if (!isWhole) {
      yield faultIn(part.position, end, part.kind === "block" ? WRONG_COUNT : DAMAGED_BYTES);
    }
  }
  if (!isWhole) yield faultIn(end, end, "its last line is missing");
  return { head, start, names, bytes };
}

/** Returns whether a log goes on with the events up to which the file of the last events is right. */
export function hasAllOf({ epoch, before }: SegmentHead, last: LastFileState): boolean {
  const { epoch: wanted, first: offset } = last.head;
  return epoch === wanted || before.some((each) => each.epoch === wanted && each.offset >= offset);
}

function faultIn(position: number, end: number, text: string): CheckedPart {
  const fault = { file: LAST_FILE, from: null, to: null, text };
  return { kind: "fault", position, end, fault };
}

/**
 * Returns the fault of the epochs of a segment, or an empty text.
 *
 * @param previous The first line of the segment before.
 * @param last The offset of the last event before.
 */
export function faultOfEpochs(previous: SegmentHead, last: number, head: SegmentHead): string {
  const { epoch, before, first } = head;
  if (epoch === previous.epoch) {
    const isSame = JSON.stringify(before) === JSON.stringify(previous.before);
    return isSame ? "" : `epoch ${epoch} has other epochs before it than in the file before`;
  }
  const common = before.findLast((each) => each.epoch === previous.epoch)?.offset;
  if (common === undefined) {
    if (before.length === MAX_EPOCHS) return ""; // It may have been dropped.
    return `epoch ${epoch} does not go on with ${previous.epoch}, that of the file before`;
  }
  if (last <= common && common < Math.max(first, last + 1)) return "";
  return `epoch ${epoch} goes on with ${previous.epoch} after event ${common}`;
}
