/**
 * The picture of memory over time: a line for each process, and a mark for each fault.
 *
 * @module
 */

import type { Series } from "./memory.ts";

/** Something that was done at a moment. */
export interface Mark {
  /** Seconds since the beginning. */
  readonly at: number;
  readonly what: string;
}

const WIDTH = 860;
const HEIGHT = 360;
const LEFT = 56;
const RIGHT = 120;
const TOP = 72;
const BOTTOM = 44;
const COLOURS = ["#e8590c", "#1971c2", "#2f9e44", "#9c36b5", "#7f93ab", "#c92a2a"];

const STYLE = `
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f; }
  .headline { font-size: 17px; font-weight: 600; }
  .quiet { font-size: 11px; fill: #57606a; }
  .grid { stroke: #d8dee4; }
  .mark { stroke: #adb5bd; stroke-dasharray: 2 3; }
  polyline { fill: none; stroke-width: 1.6; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .quiet { fill: #9198a1; }
    .grid { stroke: #30363d; }
    .mark { stroke: #484f58; }
  }`;

/** The picture, as SVG. Names must need no escaping. */
export function drawMemory(series: readonly Series[], marks: readonly Mark[]): string {
  const samples = series.flatMap(({ samples }) => samples);
  const end = Math.max(1, ...samples.map(({ at }) => at));
  const step = stepFor(Math.max(1, ...samples.map(({ bytes }) => bytes / 1e6)));
  const top = Math.ceil(Math.max(1, ...samples.map(({ bytes }) => bytes / 1e6)) / step) * step;
  const x = (at: number) => round(LEFT + (WIDTH - LEFT - RIGHT) * at / end);
  const y = (megabytes: number) =>
    round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * megabytes / top);
  const parts = [
    `<style>${STYLE}\n</style>`,
    text(16, 26, "Resident memory over time", "headline"),
    text(16, 46, "Megabytes by seconds; dotted where something was done", "quiet"),
  ];
  for (let value = 0; value <= top; value += step) {
    parts.push(
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}"/>`,
      text(LEFT - 8, y(value) + 4, `${value}`, "quiet", "end"),
    );
  }
  for (let at = 0; at <= end; at += stepFor(end)) {
    parts.push(text(x(at), HEIGHT - BOTTOM + 16, `${at}`, "quiet", "middle"));
  }
  for (const { at, what } of marks) {
    parts.push(
      `<line class="mark" x1="${x(at)}" x2="${x(at)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}">` +
        `<title>${what}</title></line>`,
    );
  }
  for (const [i, { name, samples }] of series.entries()) {
    const colour = COLOURS[i % COLOURS.length];
    const points = samples.map(({ at, bytes }) => `${x(at)},${y(bytes / 1e6)}`).join(" ");
    const legend = TOP + 10 + 18 * i;
    parts.push(
      `<polyline stroke="${colour}" points="${points}"/>`,
      `<rect x="${WIDTH - RIGHT + 12}" y="${legend - 9}" width="10" height="10" fill="${colour}"/>`,
      text(WIDTH - RIGHT + 28, legend, name, "name"),
    );
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" ` +
    `aria-label="Resident memory over time">\n${parts.join("\n")}\n</svg>\n`;
}

/** A round step that makes five to ten of `most`. */
function stepFor(most: number): number {
  const decade = 10 ** Math.floor(Math.log10(most));
  return [0.1, 0.2, 0.5, 1].map((part) => part * decade).find((step) => most / step <= 10)!;
}

function text(x: number, y: number, content: string, kind: string, anchor = "start"): string {
  return `<text class="${kind}" x="${x}" y="${y}" text-anchor="${anchor}">${content}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
