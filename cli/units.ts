/**
 * Formats figures for a person: up to three digits and a unit.
 *
 * @module
 */

/** Decimal steps, for counts. */
const COUNTS = ["", "k", "M", "G", "T"];

/** Binary steps, for bytes. */
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Returns `1.2 k`, `345`, `6.7 M`. */
export function formatCount(count: number): string {
  return formatSteps(count, 1000, COUNTS);
}

/** Returns `1.2 KiB`, `345 B`, `6.7 MiB`. */
export function formatBytes(bytes: number): string {
  return formatSteps(bytes, 1024, BYTES);
}

/** Returns `1.2 k/s`, for a number per second. */
export function formatRate(perSecond: number): string {
  return `${formatCount(perSecond)}/s`;
}

/** Returns `3.4 MiB/s`. */
export function formatByteRate(perSecond: number): string {
  return `${formatBytes(perSecond)}/s`;
}

/** Returns an exact count with commas: `1,234,567`. */
export function formatExact(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** Returns a count with its noun: `1 event`, `1,234 events`. */
export function countOf(count: number, noun: string): string {
  return `${formatExact(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Returns a latency in milliseconds as `85 µs`, `1.24 ms` or `3.1 s`. */
export function formatLatency(ms: number): string {
  if (ms < 0.9995) return `${threeDigits(1000 * ms)} µs`;
  return ms < 999.5 ? `${threeDigits(ms)} ms` : `${threeDigits(ms / 1000)} s`;
}

/** Returns a duration in milliseconds as `45s`, `3m05s`, `2h03m` or `4d07h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  const two = (value: number) => String(value).padStart(2, "0");
  if (days > 0) return `${days}d${two(hours)}h`;
  if (hours > 0) return `${hours}h${two(minutes)}m`;
  return minutes > 0 ? `${minutes}m${two(seconds % 60)}s` : `${seconds}s`;
}

function formatSteps(value: number, factor: number, units: readonly string[]): string {
  let step = 0;
  let scaled = value;
  while (scaled >= factor - 0.5 && step < units.length - 1) {
    scaled /= factor;
    step++;
  }
  const digits = step === 0 && Number.isInteger(value) ? String(value) : twoDigits(scaled);
  return `${digits} ${units[step]}`.trimEnd();
}

/** Returns `0.4`, `9.9`, `10`, `345`. */
function twoDigits(value: number): string {
  return value === 0 ? "0" : value.toFixed(value < 9.95 ? 1 : 0);
}

/** Returns `0.45`, `9.99`, `10.0`, `345`. */
function threeDigits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}
