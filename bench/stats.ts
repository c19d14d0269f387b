/**
 * Turns samples into figures: median, spread, percentile, digits.
 *
 * @module
 */

/** The middle of the `values` that are there; `null` if that is not more than half of them. */
export function median(values: (number | null)[]): number | null {
  const sorted = toSorted(values);
  if (sorted === null) return null;
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}

/** `median (min–max)`, with the number of values where some are missing; `n/a` without a median. */
export function summarise(values: (number | null)[], digits = 0): string {
  const sorted = toSorted(values);
  if (sorted === null) return "n/a";
  const range = `${format(sorted[0]!, digits)}–${format(sorted.at(-1)!, digits)}`;
  const few = sorted.length < values.length ? `; ${sorted.length} of ${values.length}` : "";
  return `${format(median(sorted)!, digits)} (${range}${few})`;
}

/** The value that a `share` of all are at most: 0.99 for the 99th percentile. */
export function percentile(sorted: Float64Array, share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

/** `12,345.60`. */
export function format(value: number, digits = 0): string {
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Two or three digits: `0.20`, `8.8`, `282`. */
export function formatShort(value: number): string {
  return format(value, value < 1 ? 2 : value < 10 ? 1 : 0);
}

function toSorted(values: (number | null)[]): number[] | null {
  const numbers = values.filter((value) => value !== null);
  return 2 * numbers.length > values.length ? numbers.toSorted((a, b) => a - b) : null;
}
