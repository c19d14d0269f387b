/**
 * Records memory over time, and judges it.
 *
 * @module
 */

import { median } from "../../bench/stats.ts";
import { residentBytes } from "../../tests/support/usage.ts";

/** Resident memory at a moment. */
export interface Sample {
  /** Seconds since the beginning. */
  readonly at: number;
  readonly bytes: number;
}

/** The memory of one process, or of one after the other. */
export interface Series {
  readonly name: string;
  readonly samples: Sample[];
}

/** Whether memory grows. */
export interface Verdict {
  /** The median of the second third of the samples, in bytes. */
  readonly before: number;
  /** The median of the last third. */
  readonly after: number;
  readonly isFlat: boolean;
}

/** How much more the last third may have than the second, in bytes. A longer soak shows smaller leaks. */
export const MAX_GROWTH = 8e6;

/** How much memory a process has; `null` if it is just not there. */
export function sample(pid: number): number | null {
  try {
    return residentBytes(pid);
  } catch {
    return null;
  }
}

/** Compares the last third of samples with the one before it; the first is for warming up. */
export function judge(samples: readonly Sample[]): Verdict {
  const third = Math.floor(samples.length / 3);
  const medianOf = (from: number, to?: number) =>
    median(samples.slice(from, to).map(({ bytes }) => bytes)) ?? 0;
  const before = medianOf(third, samples.length - third);
  const after = medianOf(samples.length - third);
  return { before, after, isFlat: third > 0 && after - before <= MAX_GROWTH };
}
