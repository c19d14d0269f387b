/** Logs on disk for the tests that survey and repair them. */

import type { DiskLog } from "../../history/disk_log.ts";
import { NO_SENDER } from "../../history/kept_block.ts";
import type { LogFault } from "../../history/log_check.ts";
import type { LogFolder } from "../../history/log_folder.ts";
import { openLog } from "../../history/open_log.ts";
import { checkHistoryOptions, type HistoryOptions } from "../../history/options.ts";
import { type LogSurvey, surveyLog } from "../../history/survey_log.ts";
import { textOf, utf8 } from "./bytes.ts";
import { until } from "./waiting.ts";

/** Opens a log whose files have some 64 KiB. */
export function open(folder: LogFolder, options: HistoryOptions = {}) {
  const small = { folder: folder.path, keepBytes: 1_048_576 };
  return openLog(folder, checkHistoryOptions({ ...small, ...options }));
}

/** Adds events with these numbers, as one block on the disk. */
export async function add(log: DiskLog, from: number, to: number, padding = 0): Promise<void> {
  let text = "";
  for (let i = from; i <= to; i++) {
    text += `{"event":"e.${i % 3}","__dict__":{"i":${i},"p":"${"x".repeat(padding)}"}}\n`;
  }
  const bytes = utf8(text);
  log.append(bytes, 0, bytes.length, to - from + 1, NO_SENDER, performance.now());
  await until(() => log.synced === log.head);
}

/** Makes a log of three files and 180 events, five in a block, and ends it in order. */
export async function makeLog(folder: LogFolder): Promise<DiskLog> {
  const { log } = await open(folder);
  for (let i = 1; i <= 180; i += 5) await add(log, i, i + 4, 1000);
  await log.close();
  return log;
}

/** Reads a log. */
export async function survey(folder: LogFolder): Promise<LogSurvey & { found: LogFault[] }> {
  const faults = surveyLog(folder, true);
  const found: LogFault[] = [];
  for (;;) {
    const { value, done } = await faults.next();
    if (done) return { ...value, found };
    found.push(value);
  }
}

/** Returns the numbers of all events that can be read, which are their offsets, too. */
export async function numbersIn(log: DiskLog): Promise<number[]> {
  const numbers: number[] = [];
  for (let offset = log.first; offset <= log.head;) {
    const block = await log.read(offset);
    for (const [k, text] of textOf(block.bytes).split("\n").slice(0, -1).entries()) {
      const { i } = JSON.parse(text).__dict__;
      if (i !== block.first + k) throw new Error(`Event ${i} has the offset ${block.first + k}`);
      if (i >= offset) numbers.push(i);
    }
    offset = Math.max(block.last, offset) + 1;
  }
  return numbers;
}

/** The numbers from one to another. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, k) => from + k);
}
