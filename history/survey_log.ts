/**
 * Reads a log on disk from its first file to its last, part by part, without changing it.
 *
 * @module
 */

import type { HistoryPosition } from "../protocol/history.ts";
import { KeptBlock, NO_SENDER } from "./kept_block.ts";
import { LAST_FILE } from "./log_files.ts";
import {
  type CheckedPart,
  checkLastFile,
  checkSegment,
  faultOfEpochs,
  hasAllOf,
  type LogFault,
  readStarts,
  type SegmentEnd,
  type SegmentStart,
} from "./log_check.ts";
import { DAMAGED, type LogFolder, openIfThere } from "./log_folder.ts";
import { type NameCount, NameCounts } from "./name_counts.ts";
import type { SegmentHead } from "./segment_format.ts";

/** Number of names that are listed. */
const LISTED_NAMES = 20;

/** The content of the folder of a log. */
export interface LogSurvey {
  /** The name of the log, or `null` if its first lines are damaged. */
  readonly epoch: string | null;
  /** The epochs before this one, each with the last position that they have in common. */
  readonly before: readonly HistoryPosition[];
  /** The offset of the first event, and of the last one. `last` is less if there is none. */
  readonly first: number;
  readonly last: number;
  /** Number of events that can be read. */
  readonly events: number;
  /** Number of events that are missing since a repair. */
  readonly missing: number;
  /** Number of the files with events, and their size in bytes. */
  readonly files: number;
  readonly bytes: number;
  /** When the first and the last events were written, in milliseconds since 1970. */
  readonly oldest: number | null;
  readonly newest: number | null;
  /** Whether a relay uses the folder. */
  readonly isInUse: boolean;
  /** Whether the last relay has ended in order. */
  readonly isClosed: boolean;
  /** Number of faults, and of the bytes that cannot be used because of them. */
  readonly faults: number;
  readonly damagedBytes: number;
  /** The most frequent names. */
  readonly names: readonly NameCount[];
  /** Number of other names, and of the events whose names were too rare to be counted. */
  readonly otherNames: number;
  readonly uncounted: number;
  /** The last events of names, up to an offset; `null` without their file. */
  readonly lastValues: {
    readonly names: number;
    readonly bytes: number;
    readonly offset: number;
  } | null;
  /** The names of files with damaged parts, which a relay or a repair has put aside. */
  readonly putAside: readonly string[];
}

/**
 * Yields the faults of a log, and returns its content. While a relay uses the folder, it
 * ignores an unfinished end of the last file, which is being written.
 *
 * @param countsNames Whether the names of the events are counted, which takes longer.
 * @throws {LogError} If the folder is no log, or has a newer format.
 */
export async function* surveyLog(
  folder: LogFolder,
  countsNames: boolean,
): AsyncGenerator<LogFault, LogSurvey, void> {
  return yield* new Surveyor(folder, countsNames).run();
}

/** The sums over all segments. */
class Tally {
  files = 0;
  bytes = 0;
  events = 0;
  missing = 0;
  oldest: number | null = null;
  newest: number | null = null;
  readonly names = new NameCounts();

  /** @param first The offset of the first event. */
  constructor(readonly first: number) {}
}

class Surveyor {
  readonly #folder: LogFolder;
  readonly #countsNames: boolean;
  #wasInUse = false;
  /** Unset before the first segment. */
  #tally: Tally | null = null;
  /** The first line of the last segment so far, and how this segment ends. */
  #head: SegmentHead | null = null;
  #end: SegmentEnd = { next: 1, last: 0, isClosed: false };
  #faults = 0;
  #damagedBytes = 0;

  constructor(folder: LogFolder, countsNames: boolean) {
    this.#folder = folder;
    this.#countsNames = countsNames;
  }

  async *run(): AsyncGenerator<LogFault, LogSurvey, void> {
    this.#wasInUse = await this.#folder.isInUse();
    const starts = await readStarts(this.#folder);
    for (const [i, start] of starts.entries()) {
      yield* this.#segment(start, starts[i + 1]?.first ?? null);
    }
    const lastValues = yield* this.#lastFile();
    const { names: counts, ...tally } = this.#tally ?? new Tally(1);
    const names = counts.top(LISTED_NAMES);
    const files = await this.#folder.list();
    return {
      epoch: this.#head?.epoch ?? null,
      before: this.#head?.before ?? [],
      ...tally,
      last: this.#end.next - 1,
      isInUse: await this.#isInUse(),
      isClosed: this.#end.isClosed,
      faults: this.#faults,
      damagedBytes: this.#damagedBytes,
      names,
      otherNames: counts.size - names.length,
      uncounted: counts.others,
      lastValues,
      putAside: files.filter((name) => name.endsWith(DAMAGED)).sort(),
    };
  }

  /** Whether a relay uses the folder, or did when this began. */
  async #isInUse(): Promise<boolean> {
    return !this.#end.isClosed && (this.#wasInUse || await this.#folder.isInUse());
  }

  async *#segment(
    start: SegmentStart,
    following: number | null,
  ): AsyncGenerator<LogFault, void, void> {
    const file = await openIfThere(this.#folder, start.name);
    if (!file) { // A relay has just dropped it, as all before it.
      this.#tally = null;
      return;
    }
    try {
      if (!this.#tally) {
        this.#tally = new Tally(start.first);
        this.#end = { next: start.first, last: start.first - 1, isClosed: false };
      }
      const { name, head } = start;
      const text = head && this.#head ? faultOfEpochs(this.#head, this.#end.last, head) : "";
      if (text !== "") yield this.#found({ file: name, from: null, to: null, text }, 0);
      this.#head = head ?? this.#head;
      this.#tally.files++;
      this.#tally.bytes += file.size;
      this.#end = yield* this.#count(checkSegment(file, start, this.#end, following), this.#tally);
    } finally {
      file.close();
    }
  }

  async *#count(
    parts: AsyncGenerator<CheckedPart, SegmentEnd, void>,
    tally: Tally,
  ): AsyncGenerator<LogFault, SegmentEnd, void> {
    for (;;) {
      const { value: part, done } = await parts.next();
      if (done) return part;
      if (part.kind === "block") {
        tally.events += part.head.events;
        tally.oldest ??= part.head.at;
        tally.newest = part.head.at;
        if (this.#countsNames) tally.names.add(toBlock(part.lines, part.head.events));
      } else if (part.kind === "gap") {
        tally.missing += part.to - part.from + 1;
      } else if (part.kind === "fault") {
        const isBeingWritten = part.fault.to === null && await this.#isInUse();
        if (!isBeingWritten) yield this.#found(part.fault, part.end - part.position);
      }
    }
  }

  async *#lastFile(): AsyncGenerator<LogFault, LogSurvey["lastValues"], void> {
    const file = await openIfThere(this.#folder, LAST_FILE);
    if (!file) return null;
    const parts = checkLastFile(file);
    try {
      for (;;) {
        const { value: part, done } = await parts.next();
        if (!done) {
          if (part.kind === "fault") yield this.#found(part.fault, part.end - part.position);
          continue;
        }
        if (!part || !this.#head || !hasAllOf(this.#head, part)) return null;
        return { names: part.names, bytes: part.bytes, offset: part.head.first };
      }
    } finally {
      file.close();
    }
  }

  #found(fault: LogFault, bytes: number): LogFault {
    this.#faults++;
    this.#damagedBytes += bytes;
    return fault;
  }
}

function toBlock(lines: Uint8Array, events: number): KeptBlock {
  const block = new KeptBlock(1, new Uint8Array(lines.length));
  block.add(lines, 0, lines.length, events, NO_SENDER);
  return block;
}
