/**
 * The paths of sparklines in SVG.
 *
 * @module
 */

import { HISTORY_MS, type Point } from "./history.ts";

/** The size of a sparkline, in units of its view box. */
export const WIDTH = 300;
export const HEIGHT = 40;

/** The smallest distance of a line from the upper and lower edge, so that no half of it is cut. */
const MARGIN = 1;

/** A sparkline: its line, the area below it, and the largest value. */
export interface Sparkline {
  readonly line: string;
  readonly area: string;
  readonly max: number;
}

/**
 * Returns the sparkline of the five minutes until `now`. It begins at zero, and has a gap wherever a
 * value is unknown.
 */
export function sparklineOf(points: readonly Point[], now: number): Sparkline {
  const max = points.reduce((max, [, value]) => Math.max(max, value ?? 0), 0);
  let line = "";
  let area = "";
  let start: string | null = null;
  let end = "";
  for (const [at, value] of points) {
    if (value === null) {
      if (start !== null) area += `L${end} ${HEIGHT}Z`;
      start = null;
      continue;
    }
    const x = round(WIDTH * (1 - (now - at) / HISTORY_MS));
    const y = round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (max > 0 ? value / max : 0));
    line += `${start === null ? "M" : "L"}${x} ${y}`;
    area += start === null ? `M${x} ${HEIGHT}L${x} ${y}` : `L${x} ${y}`;
    start ??= x;
    end = x;
  }
  if (start !== null) area += `L${end} ${HEIGHT}Z`;
  return { line, area, max };
}

/** Returns a coordinate with at most one digit after the point. */
function round(value: number): string {
  return String(Math.round(10 * value) / 10);
}
