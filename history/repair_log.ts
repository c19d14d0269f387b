/**
 * Repairs a log on disk. Damaged parts are moved to files of their own, and the log notes which
 * events are missing. Then the log is opened and ended, as a relay does it.
 *
 * A crash meanwhile loses nothing: damaged bytes are kept elsewhere before their file is replaced.
 *
 * @module
 */

import { randomId } from "../protocol/random_id.ts";
import { countOf } from "../protocol/units.ts";
import { withEpoch } from "./disk_log.ts";
import {
  type CheckedPart,
  checkLastFile,
  checkSegment,
  faultOfEpochs,
  hasAllOf,
  LogError,
  type LogFault,
  readStarts,
  type SegmentEnd,
  type SegmentStart,
} from "./log_check.ts";
import { LAST_FILE, nameAside } from "./log_files.ts";
import { type LogFolder, openIfThere } from "./log_folder.ts";
import { resumeLog } from "./open_log.ts";
import { checkHistoryOptions } from "./options.ts";
import {
  encodeEnd,
  encodeGap,
  encodeSegmentHead,
  FORMAT_VERSION,
  type SegmentHead,
} from "./segment_format.ts";

/** Bytes that are copied at a time. */
const COPY_BYTES = 1_048_576;

/** Bytes of a file, from one position to another. */
interface Range {
  readonly position: number;
  readonly end: number;
}

/** A fault that is about to be repaired, or a change that was made, in words. */
export type RepairStep = LogFault | string;

/** The last of the segments that were repaired. */
interface Progress {
  /** How it ends. */
  readonly end: SegmentEnd;
  /** Its first line, or `null` without one. */
  readonly head: SegmentHead | null;
}

/**
 * Repairs the log in a folder. Yields each fault and each change, or nothing if there was nothing to
 * do.
 *
 * @throws {LogError} If the folder is no log, has a newer format, or is in use. It is not changed.
 * @throws {Error} If a file cannot be read or written.
 */
export async function* repairLog(folder: LogFolder): AsyncGenerator<RepairStep, void, void> {
  await readStarts(folder); // Nothing may be changed in a folder of others.
  if (await folder.isInUse()) throw new LogError("a relay uses it; stop the relay first");
  await folder.lock();
  try {
    const starts = await readStarts(folder);
    const { first } = starts[0]!;
    let progress: Progress = { end: { next: first, last: first - 1, isClosed: false }, head: null };
    for (let i = 0; i < starts.length; i++) {
      progress = yield* repairSegment(folder, starts, i, progress);
    }
    yield* repairLastFile(folder, progress.head, first);
    if (!progress.end.isClosed) yield* reopen(folder);
  } finally {
    folder.close();
  }
}

async function* repairSegment(
  folder: LogFolder,
  starts: readonly SegmentStart[],
  i: number,
  { end: before, head: previous }: Progress,
): AsyncGenerator<RepairStep, Progress, void> {
  const start = starts[i]!;
  const { name, head } = start;
  const next = starts[i + 1]?.first ?? null;
  const file = await folder.file(name);
  const { kept, left, faults, events, end } = await sort(checkSegment(file, start, before, next))
    .finally(() => file.close());
  const text = head && previous ? faultOfEpochs(previous, before.last, head) : "";
  if (text !== "") faults.push({ file: name, from: null, to: null, text });
  if (faults.length === 0) return { end, head };
  yield* faults;
  if (!head && kept.length === 0) return { end, head: previous }; // It will not be opened.
  const isUsable = head && text === "";
  const ownHead = { position: 0, end: start.start };
  if (head && !isUsable) left.unshift(ownHead);
  const following = starts.slice(i + 1).find(({ head }) => head)?.head ?? null;
  const newHead = isUsable ? head : headFor(start.first, previous, before.last, following);
  const parts = [isUsable ? ownHead : encodeSegmentHead(newHead), ...kept];
  yield* replace(folder, name, parts, left);
  yield `${name}: written anew, with ${countOf(events, "event")}`;
  return { end, head: newHead };
}

/**
 * Returns a first line for a segment whose own cannot be used. The segment after it may know in which
 * epoch it is. If not, it is a new one, so that no position is taken for another.
 */
function headFor(
  first: number,
  previous: SegmentHead | null,
  last: number,
  following: SegmentHead | null,
): SegmentHead {
  const version = FORMAT_VERSION;
  if (following) {
    const epochs = [...following.before, { epoch: following.epoch, offset: Infinity }];
    const i = epochs.findIndex(({ offset }) => offset >= first);
    const head = { version, epoch: epochs[i]!.epoch, first, before: epochs.slice(0, i) };
    if (!previous || faultOfEpochs(previous, last, head) === "") return head;
  }
  const end = Math.max(first - 1, last);
  const before = previous && withEpoch(previous.before, { epoch: previous.epoch, offset: end });
  return { version, epoch: randomId(4), first, before: before ?? [] };
}

/**
 * Repairs the file of the last events. It loses those that are damaged. Others of the same names are
 * found in the log, which is read from its start for that.
 */
async function* repairLastFile(
  folder: LogFolder,
  log: SegmentHead | null,
  first: number,
): AsyncGenerator<RepairStep, void, void> {
  const file = await openIfThere(folder, LAST_FILE);
  if (!file) return;
  const { kept, left, faults, events, end: state } = await sort(checkLastFile(file))
    .finally(() => file.close());
  if (faults.length === 0) return;
  yield* faults;
  if (!state || !log || !hasAllOf(log, state)) {
    const aside = nameAside(LAST_FILE, await folder.list());
    await folder.rename(LAST_FILE, aside);
    yield `${LAST_FILE}: renamed to ${aside}`;
    return;
  }
  const { patterns: _, ...known } = state.head; // It lacks names, as one for other patterns does.
  const through = Math.min(known.first, first - 1);
  const head = encodeSegmentHead({ ...known, first: through });
  yield* replace(folder, LAST_FILE, [head, ...kept, encodeEnd(through)], left);
  yield `${LAST_FILE}: written anew, with ${countOf(events, "event")}`;
}

/** Opens the log, and ends it in order. */
async function* reopen(folder: LogFolder): AsyncGenerator<RepairStep, void, void> {
  const rules = checkHistoryOptions({ folder: folder.path });
  const { log, findings } = await resumeLog(folder, rules);
  const { epoch, head } = log;
  await log.close();
  for (const name of findings.unreadable) yield `Renamed a file without readable events to ${name}`;
  yield `Began epoch ${epoch} after event ${head}, because the history had not ended in order`;
}

/** The parts of a file. */
interface Sorted<R> {
  /** The usable parts: bytes of the file, and lines that note missing events. */
  readonly kept: (Range | Uint8Array)[];
  /** The bytes that cannot be used. */
  readonly left: Range[];
  readonly faults: LogFault[];
  /** Number of events that can be read. */
  readonly events: number;
  /** The result of the check of the file. */
  readonly end: R;
}

async function sort<R>(parts: AsyncGenerator<CheckedPart, R, void>): Promise<Sorted<R>> {
  const kept: (Range | Uint8Array)[] = [];
  const left: Range[] = [];
  const faults: LogFault[] = [];
  let events = 0;
  for (;;) {
    const { value: part, done } = await parts.next();
    if (done) return { kept, left, faults, events, end: part };
    const { position, end, kind } = part;
    if (kind !== "fault") {
      kept.push({ position, end });
      if (kind === "block") events += part.head.events;
      continue;
    }
    const { fault } = part;
    faults.push(fault);
    left.push({ position, end });
    const { from, to } = fault;
    if (from !== null && to !== null && to >= from) kept.push(encodeGap(from, to));
  }
}

/** Writes a file anew. The bytes that are left out of it are kept in another file. */
async function* replace(
  folder: LogFolder,
  name: string,
  kept: readonly (Range | Uint8Array)[],
  left: readonly Range[],
): AsyncGenerator<string, void, void> {
  const bytes = left.reduce((sum, { position, end }) => sum + end - position, 0);
  if (bytes > 0) {
    const aside = nameAside(name, await folder.list());
    (await folder.create(aside, copy(folder, name, left))).close();
    yield `${name}: ${countOf(bytes, "byte")} moved to ${aside}`;
  }
  (await folder.create(name, copy(folder, name, kept))).close();
}

/** Yields parts of a file, and other bytes. */
async function* copy(
  folder: LogFolder,
  name: string,
  parts: readonly (Range | Uint8Array)[],
): AsyncGenerator<Uint8Array, void, void> {
  const file = await folder.file(name);
  try {
    for (const part of parts) {
      if (part instanceof Uint8Array) {
        yield part;
        continue;
      }
      for (let at = part.position; at < part.end; at += COPY_BYTES) {
        yield await file.read(at, Math.min(COPY_BYTES, part.end - at));
      }
    }
  } finally {
    file.close();
  }
}
