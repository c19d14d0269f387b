/**
 * A distribution of latencies: counts, percentiles, and bars.
 *
 * Its buckets are narrow for short times and wide for long ones, as in HdrHistogram
 * (http://hdrhistogram.org). The size is fixed for any number of values, and the error is at most
 * 0.8 %.
 *
 * @module
 */

import { bar } from "./progress.ts";
import { formatExact, formatLatency } from "./units.ts";
import { pad, widthOf } from "./width.ts";

/** The number of buckets for each doubling. */
const STEPS = 128;

/** The number of doublings between the shortest and the longest time with a bucket. */
const DOUBLINGS = 32;

/**
 * The longest time with a bucket, in microseconds (about 71 minutes). Longer times are counted
 * there, too.
 */
const MAX_US = 2 ** 32 - 1;

/** The reported percentiles. */
const SHARES = { p50: 0.5, p90: 0.9, p99: 0.99, p999: 0.999 };

/** The summary of a distribution, in milliseconds. */
export interface LatencySummary {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Counts latencies. All times are in milliseconds. */
export class Histogram {
  /**
   * Each time below `2 * STEPS` microseconds has its own bucket; after that, each doubling has
   * `STEPS`.
   */
  readonly #counts = new Float64Array(STEPS * (DOUBLINGS - Math.log2(STEPS) + 1));
  #count = 0;
  #sum = 0;
  #min = Infinity;
  #max = 0;

  /** The number of latencies counted. */
  get count(): number {
    return this.#count;
  }

  /** Counts a latency. A negative one, which a stepping clock may cause, counts as 0. */
  add(ms: number): void {
    const time = Math.max(0, ms);
    this.#counts[indexOf(Math.min(MAX_US, Math.round(1000 * time)))]!++;
    this.#count++;
    this.#sum += time;
    this.#min = Math.min(this.#min, time);
    this.#max = Math.max(this.#max, time);
  }

  /**
   * Returns the time that a `share` of all latencies, such as 0.99, did not exceed. Returns 0 if
   * there are none.
   */
  percentile(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      seen += this.#counts[index]!;
      if (seen >= wanted) return Math.min(this.#max, endOf(index) / 1000);
    }
    return this.#max;
  }

  /** Returns the summary, or `null` if nothing was counted. */
  summary(): LatencySummary | null {
    if (this.#count === 0) return null;
    return {
      count: this.#count,
      min: this.#min,
      mean: this.#sum / this.#count,
      p50: this.percentile(SHARES.p50),
      p90: this.percentile(SHARES.p90),
      p99: this.percentile(SHARES.p99),
      p999: this.percentile(SHARES.p999),
      max: this.#max,
    };
  }

  /** Returns how many latencies are at most each of the `limits`, and above the limit before it. */
  counts(limits: readonly number[]): number[] {
    const counts = new Array<number>(limits.length).fill(0);
    let part = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      while (part < limits.length - 1 && startOf(index) / 1000 > limits[part]!) part++;
      counts[part]! += this.#counts[index]!;
    }
    return counts;
  }
}

/** Returns one line with the percentiles. */
export function formatPercentiles(
  { p50, p90, p99, p999, max }: LatencySummary,
): string {
  const values = { p50, p90, p99, "p99.9": p999, max };
  return Object.entries(values).map(([name, ms]) => `${name} ${formatLatency(ms)}`).join("  ");
}

/** Returns the distribution as bars, one line for each step of 1, 2 or 5 times a power of ten. */
export function formatHistogram(histogram: Histogram, width: number): string[] {
  const summary = histogram.summary();
  if (!summary) return [];
  const limits = limitsFor(summary.min, summary.max);
  const counts = histogram.counts(limits);
  const labels = limits.map((limit) => `up to ${formatLimit(limit)}`);
  const column = Math.max(...labels.map(widthOf));
  const numbers = counts.map(formatExact);
  const digits = Math.max(...numbers.map(widthOf));
  const room = Math.max(1, width - column - digits - 4);
  const most = Math.max(...counts);
  return labels.map((label, i) =>
    `${pad(label, column, "right")}  ${pad(numbers[i]!, digits, "right")}  ${
      barOf(counts[i]!, most, room)
    }`.trimEnd()
  );
}

/** Returns a bar that is visible for any count above 0. */
function barOf(count: number, most: number, width: number): string {
  return bar(count > 0 ? Math.max(count / most, 1 / (8 * width)) : 0, width);
}

/**
 * Returns the powers of ten times 1, 2 and 5 from the first that is at least `min` to the first
 * that is at least `max`.
 */
function limitsFor(min: number, max: number): number[] {
  const limits: number[] = [];
  for (let power = -3; power < 8; power++) {
    for (const factor of [1, 2, 5]) {
      // Divides because 10 ** -3 times 5 is not 0.005.
      const limit = power < 0 ? factor / 10 ** -power : factor * 10 ** power;
      if (limit >= min) limits.push(limit);
      if (limit >= max) return limits;
    }
  }
  return limits;
}

/** Returns `20 µs`, `5 ms`, `1 s`. */
function formatLimit(ms: number): string {
  if (ms < 1) return `${Math.round(1000 * ms)} µs`;
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}

function indexOf(us: number): number {
  if (us < 2 * STEPS) return us;
  const shift = Math.floor(Math.log2(us)) - Math.log2(STEPS);
  return STEPS * shift + Math.floor(us / 2 ** shift);
}

/** Returns the shortest time in a bucket, in microseconds. */
function startOf(index: number): number {
  if (index < 2 * STEPS) return index;
  const shift = Math.floor(index / STEPS) - 1;
  return (index - STEPS * shift) * 2 ** shift;
}

/** Returns the longest time in a bucket, in microseconds. */
function endOf(index: number): number {
  return index === indexOf(MAX_US) ? Infinity : startOf(index + 1) - 1;
}
