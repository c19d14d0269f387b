/**
 * The numbers and times that options have as values.
 *
 * @module
 */

import { quote } from "../protocol/printable.ts";
import { UsageError } from "./errors.ts";

/** The integers from `min` to `max`. */
export interface IntegerRange {
  /** The placeholder of the value in the help. */
  readonly value: string;
  readonly min: number;
  /** Without it, any safe integer is valid. */
  readonly max?: number;
  /** How an error states the range, if that depends on other options. */
  readonly words?: string;
}

/** The placeholders of times, and the unit of a time that is written without one. */
const TIME_VALUES = {
  MS: { unit: "ms", noun: "milliseconds" },
  SECONDS: { unit: "s", noun: "seconds" },
} as const;

/** The times from `min` to `max`, in the unit that the placeholder names. */
export interface TimeRange {
  /** The placeholder of the value in the help. */
  readonly value: keyof typeof TIME_VALUES;
  readonly min: number;
  readonly max: number;
}

/**
 * Returns the integer that is the value of the option `name`.
 *
 * @throws {UsageError} If the text is no integer, or out of its range.
 */
export function toInteger(name: string, text: string, range: IntegerRange): number {
  const { min, max = Number.MAX_SAFE_INTEGER } = range;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  const hasMax = range.max !== undefined || value > max;
  const { words = hasMax ? `from ${min} to ${max}` : `of at least ${min}` } = range;
  throw new UsageError(`--${name} must be an integer ${words}, not ${quote(text)}`);
}

/**
 * Returns the time that is the value of the option `name`, in the unit of its placeholder.
 *
 * @throws {UsageError} If the text is no time, or out of its range.
 */
export function toTime(name: string, text: string, { value, min, max }: TimeRange): number {
  const { unit, noun } = TIME_VALUES[value];
  const time = /^\d+(\.\d+)?$/.test(text) ? Number(text) : timeOf(text) / UNITS[unit];
  if (time >= min && time <= max) return time;
  const [from, to] = [min, max].map((limit) => formatTime(limit * UNITS[unit]));
  const range = `a time from ${from} to ${to}, or a number of ${noun}`;
  throw new UsageError(`--${name} must be ${range}, not ${quote(text)}`);
}

/** The units of a time, in milliseconds. */
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The greatest number that is easy to read in a unit. Beyond it, the largest unit is better. */
const MAX_READABLE = 9999;

/** Returns a time in the largest unit in which it is an integer, or else in the largest unit at all. */
function formatTime(ms: number): string {
  if (ms === 0) return "0";
  const units = Object.entries(UNITS).reverse();
  const [unit, size] = units.find(([, size]) => ms % size === 0)!;
  if (ms / size <= MAX_READABLE) return `${ms / size}${unit}`;
  const [largest, per] = units.find(([, size]) => ms >= size)!;
  return `${Math.floor(10 * ms / per) / 10}${largest}`;
}

/** Returns a time with a unit, such as `10m`, in milliseconds. `NaN` if it is none. */
export function timeOf(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  return Number(number) * UNITS[unit as keyof typeof UNITS];
}
