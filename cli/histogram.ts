/**
 * A distribution of latencies: counts, percentiles, and bars.
 *
 * Times are rounded up to eight significant bits, as in HdrHistogram (http://hdrhistogram.org). So
 * the memory is bounded for any number of values, and the error is at most 0.8 %.
 *
 * @module
 */

import { bar, pad, widthOf } from "./layout.ts";
import { formatExact, formatTime } from "../protocol/units.ts";

/** The number of bits of a time that are kept after its first bit. */
const KEPT_BITS = 7;

/** The ends of the bars, in milliseconds: 1, 2 and 5 times each power of ten, up to 14 hours. */
const LIMITS = Array.from({ length: 11 }, (_, i) => i - 3)
  .flatMap((power) => [1, 2, 5].map((factor) => Number(`${factor}e${power}`)));

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
  /** The number of latencies of each rounded time, which is in microseconds. */
  readonly #counts = new Map<number, number>();
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
    const rounded = roundUp(Math.round(1000 * time));
    this.#counts.set(rounded, (this.#counts.get(rounded) ?? 0) + 1);
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
    let missing = Math.max(1, Math.ceil(share * this.#count));
    for (const [us, count] of [...this.#counts].sort(([one], [two]) => one - two)) {
      missing -= count;
      if (missing <= 0) return Math.min(this.#max, us / 1000);
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
      p50: this.percentile(0.5),
      p90: this.percentile(0.9),
      p99: this.percentile(0.99),
      p999: this.percentile(0.999),
      max: this.#max,
    };
  }

  /** Returns how many latencies are at most each of the `limits`, and above the limit before it. */
  counts(limits: readonly number[]): number[] {
    const counts = limits.map(() => 0);
    for (const [us, count] of this.#counts) {
      const part = limits.findIndex((limit) => us / 1000 <= limit);
      counts[part < 0 ? limits.length - 1 : part]! += count;
    }
    return counts;
  }
}

function roundUp(us: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(us)) - KEPT_BITS);
  return Math.ceil(us / step) * step;
}

/** Returns one line with the percentiles. */
export function formatPercentiles({ p50, p90, p99, p999, max }: LatencySummary): string {
  const values = { p50, p90, p99, "p99.9": p999, max };
  return Object.entries(values).map(([name, ms]) => `${name} ${formatTime(ms)}`).join("  ");
}

/** Returns the distribution as bars, one line for each of the {@link LIMITS} that is needed. */
export function formatHistogram(histogram: Histogram, width: number): string[] {
  const summary = histogram.summary();
  if (!summary) return [];
  const indexFor = (ms: number) =>
    LIMITS.findIndex((limit) => limit >= Math.min(ms, LIMITS.at(-1)!));
  const limits = LIMITS.slice(indexFor(summary.min), indexFor(summary.max) + 1);
  const counts = histogram.counts(limits);
  const labels = limits.map((limit) => `up to ${formatTime(limit)}`);
  const column = Math.max(...labels.map(widthOf));
  const numbers = counts.map(formatExact);
  const digits = Math.max(...numbers.map(widthOf));
  const room = Math.max(1, width - column - digits - 4);
  const max = Math.max(...counts);
  return labels.map((label, i) => {
    // A bar is visible for any count above 0.
    const share = counts[i]! > 0 ? Math.max(counts[i]! / max, 1 / (8 * room)) : 0;
    const number = pad(numbers[i]!, digits, "right");
    return `${pad(label, column, "right")}  ${number}  ${bar(share, room)}`.trimEnd();
  });
}
