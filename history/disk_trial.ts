/**
 * Finds out whether a disk that has failed takes more events.
 *
 * @module
 */

import type { LogFile } from "./log_folder.ts";

/** Bytes that the disk has to take. */
const TRIAL_BYTES = 524_288;

/** Most random bytes at a time. */
const RANDOM_BYTES = 65_536;

/**
 * Cuts off what is not whole at the end of a file, and makes sure that more events fit. Otherwise, a
 * full disk would take the start of a segment again and again, and the next events never.
 *
 * @param size The size of what is whole, in bytes.
 * @throws {Error} If the disk does not take them.
 */
export async function tryDisk(file: LogFile, size: number): Promise<void> {
  await file.truncate(size);
  const bytes = new Uint8Array(TRIAL_BYTES); // which no file system may compress
  for (let at = 0; at < TRIAL_BYTES; at += RANDOM_BYTES) {
    crypto.getRandomValues(bytes.subarray(at, at + RANDOM_BYTES));
  }
  try {
    await file.append(bytes);
    await file.sync();
  } finally {
    await file.truncate(size);
  }
}
