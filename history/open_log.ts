/**
 * Opens a log on disk: finds where it ends, and cuts off what a crash has left unfinished.
 *
 * @module
 */

import { randomId } from "../protocol/random_id.ts";
import { DiskLog, segmentBytesFor, withEpoch } from "./disk_log.ts";
import { foreignAmong, nameAside, readHead, segmentsAmong } from "./log_files.ts";
import { type LogFile, type LogFolder, UNFINISHED } from "./log_folder.ts";
import type { HistoryRules } from "./options.ts";
import { MAX_PRODUCERS, Producers } from "./producers.ts";
import { Segment } from "./segment.ts";
import { decodeProducers, FORMAT_VERSION, itemAt, MAX_HEAD_BYTES } from "./segment_format.ts";
import { scanSegment } from "./segment_scan.ts";

/**
 * Size of a segment per producer that it may have to name, in bytes: at least twice the length of its
 * count, and mostly eight times. Other segments would be full of counts.
 */
const BYTES_PER_PRODUCER = 256;

/** What was opened. */
export interface OpenedLog {
  readonly log: DiskLog;
  /** The producers of its events. */
  readonly producers: Producers;
  readonly findings: Findings;
}

/** How a log was found. */
export interface Findings {
  /** Number of bytes at the end that were no whole block, and were cut off. */
  tornBytes: number;
  /** Number of damaged bytes between events of the last segment. */
  damagedBytes: number;
  /** The new names of segments that begin with a damaged line, and are not read. */
  readonly unreadable: string[];
  /** Whether the log had ended in order. */
  isClosed: boolean;
}

/**
 * Opens the log in a folder, or begins one there.
 *
 * @throws {Error} If the folder cannot be used. The message says why.
 */
export async function openLog(
  folder: LogFolder,
  rules: HistoryRules,
): Promise<OpenedLog> {
  await folder.open();
  await checkFiles(folder); // Nothing may be changed in a folder of others.
  await folder.lock();
  try {
    return await resumeLog(folder, rules);
  } catch (error) {
    folder.close();
    throw error;
  }
}

/**
 * Opens the log in a folder that is open.
 *
 * @throws {Error} If the folder cannot be used. The message says why.
 */
export async function resumeLog(
  folder: LogFolder,
  rules: HistoryRules,
): Promise<OpenedLog> {
  const findings: Findings = { tornBytes: 0, damagedBytes: 0, unreadable: [], isClosed: true };
  const segments: Segment[] = [];
  const names = await folder.list();
  const damaged: string[] = [];
  for (const name of segmentsAmong(names)) {
    const segment = await readStart(folder, name);
    if (segment) segments.push(segment);
    else damaged.push(name);
  }
  for (const name of names) if (name.endsWith(UNFINISHED)) await folder.remove(name);
  for (const name of damaged) {
    const aside = nameAside(name, names);
    await folder.rename(name, aside); // so that no other takes its place
    findings.unreadable.push(aside);
  }
  segments.reduceRight((later, segment) => { // A segment may have no block that can be read.
    segment.since = Math.min(segment.since, later);
    return segment.since;
  }, Infinity);
  const max = Math.floor(segmentBytesFor(rules) / BYTES_PER_PRODUCER);
  const producers = new Producers(Math.min(max, MAX_PRODUCERS));
  const last = segments.at(-1);
  if (!last) {
    const state = { epoch: randomId(4), before: [], head: 0, lastAt: 0, file: null };
    const log = new DiskLog({ folder, rules, segments, producers, ...state });
    await log.begin();
    return { log, producers, findings };
  }
  const file = await folder.file(last.name);
  const { head, lastAt, isIntact } = await findEnd(file, last, producers, findings);
  const { epoch, before } = last.head;
  // Otherwise, clients may have received events that are lost.
  const isWhole = isIntact && findings.unreadable.length === 0;
  if (findings.damagedBytes > 0 || findings.unreadable.length > 0) producers.hasForgotten = true;
  if (!isWhole) file.close();
  const state = isWhole
    ? { epoch, before, file }
    : { epoch: randomId(4), before: withEpoch(before, { epoch, offset: head }), file: null };
  const log = new DiskLog({ folder, rules, segments, head, lastAt, producers, ...state });
  await log.begin();
  return { log, producers, findings };
}

/** Throws if the folder contains a file that is not of a log. */
async function checkFiles(folder: LogFolder): Promise<void> {
  const foreign = foreignAmong(await folder.list());
  if (foreign === undefined) return;
  const advice = "name an empty folder, or one that a relay has made";
  throw new Error(`Cannot keep the history in ${folder.path}: it contains ${foreign}; ${advice}`);
}

/** Reads the beginning of a segment. Returns `null` if it is damaged. */
async function readStart(
  folder: LogFolder,
  name: string,
): Promise<Segment | null> {
  const file = await folder.file(name);
  try {
    const found = await readHead(file);
    if (!found) return null;
    const { head, end, bytes } = found;
    if (head.version > FORMAT_VERSION) {
      const known = `this relay knows version ${FORMAT_VERSION}`;
      throw new Error(
        `Cannot keep the history in ${folder.path}: ${name} has version ${head.version}, ${known}`,
      );
    }
    const segment = new Segment(folder, name, head, end, file.size);
    segment.since = await timeOf(file, end, bytes);
    return segment;
  } finally {
    file.close();
  }
}

/** Returns the time of the first block. Its head may be read although its events are damaged. */
async function timeOf(file: LogFile, at: number, bytes: Uint8Array): Promise<number> {
  const item = itemAt(bytes, at);
  if (item.kind === "block") return item.head.at;
  if (item.kind !== "cut") return Infinity;
  const more = await file.read(at, MAX_HEAD_BYTES + item.missing + bytes.length - at);
  const whole = itemAt(more, 0);
  return whole.kind === "block" ? whole.head.at : Infinity;
}

/**
 * Finds the last event and the producers, and cuts off what follows it, including the line which says that the relay has
 * ended in order, because the log goes on now.
 */
async function findEnd(
  file: LogFile,
  segment: Segment,
  producers: Producers,
  findings: Findings,
): Promise<{ head: number; lastAt: number; isIntact: boolean }> {
  let head = segment.first - 1;
  let lastAt = 0;
  const blocks = scanSegment(file, segment.start);
  for (;;) {
    const { value, done } = await blocks.next();
    if (!done) {
      if (value.kind === "block" || value.kind === "end") {
        producers.restore(decodeProducers(value.producers), value.kind === "end");
      }
      if (value.kind !== "block") continue;
      head = value.head.first + value.head.events - 1;
      lastAt = value.head.at;
      continue;
    }
    const { end, blocksEnd, isClosed, damagedBytes } = value;
    findings.tornBytes = file.size - end;
    findings.damagedBytes = damagedBytes;
    findings.isClosed = isClosed;
    if (file.size > blocksEnd) await file.truncate(blocksEnd);
    segment.size = blocksEnd;
    return { head, lastAt, isIntact: isClosed && damagedBytes === 0 };
  }
}
