/**
 * Opens what a relay keeps: in memory, or in a folder. Loaded only by relays with a history.
 *
 * @module
 */

import { LastValues } from "./last_values.ts";
import type { EventLog } from "./log.ts";
import { MemoryLog } from "./memory_log.ts";
import type { HistoryRules } from "./options.ts";
import type { Findings } from "./open_log.ts";
import { Producers } from "./producers.ts";

/** What a relay keeps. */
export interface OpenHistory {
  readonly log: EventLog;
  readonly lastValues: LastValues;
  readonly producers: Producers;
  /** Saves what is needed of old parts of the log before they are dropped. */
  readonly onSegment: (onProgress: () => void) => Promise<void>;
  /** Forgets the last events of names that are lost. */
  readonly onReopen: () => Promise<void>;
  /** What was wrong with the log, in words. Empty if it was whole. */
  readonly faults: readonly string[];
}

/**
 * Opens a history.
 *
 * @throws {Error} If the folder cannot be used. The message says why.
 */
export async function openHistory(rules: HistoryRules): Promise<OpenHistory> {
  if (rules.folder === null) {
    const parts = { log: new MemoryLog(rules), lastValues: new LastValues() };
    const producers = new Producers();
    return { ...parts, producers, onSegment: never, onReopen: never, faults: [] };
  }
  const { DiskFolder } = await import("./log_folder.ts");
  const { openLog } = await import("./open_log.ts");
  const { loadLast, openLast, removeLast, saveLast } = await import("./last_file.ts");
  const folder = new DiskFolder(rules.folder);
  const { log, producers, findings } = await openLog(folder, rules);
  const { keepLast } = rules;
  const keepsLast = keepLast.length > 0;
  const lastValues = keepsLast ? await openLast(folder, log, keepLast) : new LastValues();
  // After the last events of names, which have no age, and before anyone reads.
  await log.expire(performance.now());
  return {
    log,
    lastValues,
    producers,
    onSegment: keepsLast
      ? (onProgress) => saveLast(folder, log, keepLast, onProgress)
      : () => removeLast(folder),
    onReopen: keepsLast
      ? async () => lastValues.restore(await loadLast(folder, log, keepLast))
      : never,
    faults: faultsOf(findings),
  };
}

/** Does nothing. */
const never = () => Promise.resolve();

/** What a crash means, in words. */
const CRASHED =
  "the relay before had not ended in order: events that it had not acknowledged may " +
  "be lost, and clients that have received them are told";

function faultsOf({ isClosed, tornBytes, damagedBytes, unreadable }: Findings): string[] {
  return [
    ...(isClosed ? [] : [CRASHED]),
    ...(tornBytes > 0 ? [`${tornBytes} bytes at the end were not whole, and are cut off`] : []),
    ...(damagedBytes > 0 ? [`${damagedBytes} bytes of the last file are damaged`] : []),
    ...unreadable.map((name) => `a damaged file is not read, and was renamed to ${name}`),
  ];
}
