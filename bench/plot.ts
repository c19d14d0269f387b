/**
 * The picture of the results: a panel for each highlight, with a bar for each peer on one
 * logarithmic scale.
 *
 * @module
 */

import { type Highlight, HIGHLIGHTS } from "./highlights.ts";
import { medianOf, type Results } from "./results.ts";
import { format, formatShort } from "./stats.ts";

/** Ours, and the one that is no real server but the limit; all others look alike. */
const CLASSES: Record<string, string> = {
  "ebsockets": "ours",
  "ebsockets-ws": "ours",
  "copier": "limit",
};

const COLUMNS = 2;
const PANEL_WIDTH = 408;
const COLUMN_GAP = 32;
const MARGIN = 16;
const HEADER = 64;

/** Within a panel: the title, the names on the left, the values on the right, the scale below. */
const TITLE = 22;
const ROW = 19;
const BAR = 13;
const NAMES = 104;
const VALUES = 46;
const SCALE = 40;

const WIDTH = 2 * MARGIN + COLUMNS * PANEL_WIDTH + (COLUMNS - 1) * COLUMN_GAP;
const BAR_WIDTH = PANEL_WIDTH - NAMES - VALUES;

const SUBTITLE = "µs on a logarithmic scale: the shorter, the better. " +
  "Of the server alone, except with client libraries and requests.";

const STYLE = `
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f; }
  .headline { font-size: 17px; font-weight: 600; }
  .title { font-size: 13px; font-weight: 600; }
  .quiet { fill: #57606a; }
  .tick { font-size: 10px; fill: #57606a; }
  text.ours { fill: #bc4c00; font-weight: 700; }
  rect { fill: #7f93ab; }
  rect.ours { fill: #e8590c; }
  rect.limit { fill: #c3ccd6; }
  line { stroke: #d8dee4; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .quiet, .tick { fill: #9198a1; }
    text.ours { fill: #ff9a57; }
    rect { fill: #6b7f97; }
    rect.limit { fill: #48535f; }
    line { stroke: #30363d; }
  }`;

/** The picture, as SVG. */
export function drawResults(results: Results, peers: string[]): string {
  const panels = HIGHLIGHTS.map((highlight) => ({
    highlight,
    bars: peers.flatMap((peer) => {
      const value = medianOf(results, highlight.scenario, peer, highlight.figure);
      return value ? [{ peer, value }] : [];
    }),
  })).filter(({ bars }) => bars.length > 0);
  const scale = new LogScale(panels.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const panelHeight = TITLE + peers.length * ROW + SCALE;
  const height = HEADER + Math.ceil(panels.length / COLUMNS) * panelHeight;
  const parts = [
    `<style>${STYLE}\n</style>`,
    text(MARGIN, 26, "CPU time per event", "headline"),
    text(MARGIN, 46, SUBTITLE, "quiet"),
    ...panels.flatMap(({ highlight, bars }, i) => {
      const left = MARGIN + i % COLUMNS * (PANEL_WIDTH + COLUMN_GAP);
      return drawPanel(
        highlight,
        bars,
        scale,
        left,
        HEADER + Math.floor(i / COLUMNS) * panelHeight,
      );
    }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" ` +
    `aria-label="CPU time per event, by scenario and server">\n${parts.join("\n")}\n</svg>\n`;
}

/** A value of a peer. */
interface Bar {
  readonly peer: string;
  readonly value: number;
}

/** Values to widths, whole decades. */
class LogScale {
  readonly #low: number;
  readonly #high: number;

  constructor(values: number[]) {
    this.#low = Math.floor(Math.log10(Math.min(1, ...values)));
    this.#high = Math.ceil(Math.log10(Math.max(10, ...values)));
  }

  width(value: number): number {
    return BAR_WIDTH * (Math.log10(value) - this.#low) / (this.#high - this.#low);
  }

  decades(): number[] {
    return Array.from({ length: this.#high - this.#low + 1 }, (_, i) => 10 ** (this.#low + i));
  }
}

function drawPanel(
  { label, about }: Highlight,
  bars: Bar[],
  scale: LogScale,
  left: number,
  top: number,
): string[] {
  const zero = left + NAMES;
  const bottom = top + TITLE + bars.length * ROW;
  return [
    `<text class="title" x="${left}" y="${top + 10}">${label}` +
    `<tspan class="quiet" dx="8" font-weight="400">${about}</tspan></text>`,
    ...scale.decades().flatMap((value) =>
      drawDecade(value, zero + scale.width(value), top, bottom)
    ),
    ...bars.flatMap((bar, i) => drawBar(bar, scale.width(bar.value), zero, top + TITLE + i * ROW)),
  ];
}

function drawDecade(value: number, x: number, top: number, bottom: number): string[] {
  const label = value < 1 ? `${Number(value.toPrecision(1))}` : format(value);
  return [
    `<line x1="${round(x)}" x2="${round(x)}" y1="${top + TITLE - 3}" y2="${bottom}"/>`,
    text(x, bottom + 12, label, "tick", "middle"),
  ];
}

function drawBar({ peer, value }: Bar, width: number, zero: number, y: number): string[] {
  const kind = CLASSES[peer] ?? "other";
  const base = y + BAR - 2;
  return [
    text(zero - 8, base, peer, kind, "end"),
    `<rect class="${kind}" x="${zero}" y="${y}" width="${round(width)}" height="${BAR}" rx="2"/>`,
    text(zero + width + 5, base, formatShort(value), kind),
  ];
}

function text(x: number, y: number, content: string, kind: string, anchor = "start"): string {
  return `<text class="${kind}" x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">` +
    `${content}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
