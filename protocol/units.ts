/**
 * Formats figures for a person: up to three digits and a unit.
 *
 * @module
 */

import { format as formatInBytes } from "@std/fmt/bytes";
import { format as formatInUnits } from "@std/fmt/duration";

const compact = new Intl.NumberFormat("en-US", { notation: "compact" });

/** The text of a figure that is unknown. */
const UNKNOWN = "-";

/** Returns `1.2K/s`, for a number per second, or `-` for `null`. */
export function formatRate(perSecond: number | null): string {
  return perSecond === null ? UNKNOWN : `${compact.format(perSecond)}/s`;
}

/** Returns `1.24 KiB`, `345 B`, `6.7 MiB`. */
export function formatBytes(bytes: number): string {
  // The standard library writes "kiB", against IEC 80000-13.
  return formatInBytes(bytes, { binary: true }).replace("ki", "Ki");
}

/** Returns `3.4 MiB/s`, or `-` for `null`. */
export function formatByteRate(perSecond: number | null): string {
  return perSecond === null ? UNKNOWN : `${formatBytes(perSecond)}/s`;
}

/** Returns an exact count with commas: `1,234,567`, or `-` for `null`. */
export function formatExact(count: number | null): string {
  return count === null ? UNKNOWN : Math.round(count).toLocaleString("en-US");
}

/** Returns a count with its noun: `1 event`, `1,234 events`. */
export function countOf(count: number, noun: string): string {
  return `${formatExact(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Returns a short time in milliseconds as `85.4 µs`, `1.24 ms` or `3.1 s`. */
export function formatTime(ms: number): string {
  if (ms < 0.9995) return `${threeDigits(1000 * ms)} µs`;
  return ms < 999.5 ? `${threeDigits(ms)} ms` : `${threeDigits(ms / 1000)} s`;
}

function threeDigits(value: number): number {
  return Number(value.toPrecision(3));
}

/** Returns a duration in milliseconds in its two largest units: `45s`, `3m 5s`, `4d 7h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = formatInUnits(1000 * seconds, { ignoreZero: true }).split(" ");
  return parts.slice(0, 2).join(" ") || "0s";
}
