/**
 * Owns the picture of the results: server CPU time per event as bars on a logarithmic scale. Must
 * not know how it was measured.
 *
 * @module
 */

import { medianOf, type Results } from "./results.ts";
import { format } from "./stats.ts";

/** What is shown, from left to right. */
const GROUPS = [
  { scenario: "1", label: "1 → 1" },
  { scenario: "4", label: "1 → 4" },
  { scenario: "chat", label: "16 chat" },
  { scenario: "50", label: "1 → 50" },
];

/** Ours stands out; the others are distinct at about equal weight, on light and on dark. */
const COLORS: Record<string, string> = {
  copier: "#8a8f98",
  ebsockets: "#e8590c",
  "nats-server": "#4c8dd6",
  redis: "#c2504f",
  mosquitto: "#7a68c4",
  ws: "#2f9e77",
  "socket.io": "#b08a2e",
};

const WIDTH = 860;
const HEIGHT = 420;
const LEFT = 56;
const RIGHT = 12;
const TOP = 72;
const BOTTOM = 36;
const GROUP_GAP = 24;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 15px; font-weight: 600; }
  .value { font-size: 10px; }
  .grid { stroke: #d0d7de; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .grid { stroke: #3d444d; }
  }`;

/** The picture, as SVG. */
export function drawResults(results: Results, peers: string[]): string {
  const values = GROUPS.map(({ scenario }) =>
    peers.map((peer) => medianOf(results, scenario, peer, "cpuMicros"))
  );
  const scale = new LogScale(values.flat().flatMap((value) => value ? [value] : []));
  const parts = [
    `<style>${STYLE}\n</style>`,
    `<text class="title" x="${LEFT}" y="22">Server CPU time per published event, µs ` +
    `(logarithmic; less is better)</text>`,
    ...legend(peers),
    ...scale.decades().flatMap((value) => gridLine(value, scale.y(value))),
    ...values.flatMap((group, i) => drawGroup(i, group, peers, scale)),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" ` +
    `aria-label="Server CPU time per event">\n${parts.join("\n")}\n</svg>\n`;
}

/** Values to heights, whole decades. */
class LogScale {
  readonly #low: number;
  readonly #high: number;

  constructor(values: number[]) {
    this.#low = Math.floor(Math.log10(Math.min(1, ...values)));
    this.#high = Math.ceil(Math.log10(Math.max(10, ...values)));
  }

  y(value: number): number {
    const share = (Math.log10(value) - this.#low) / (this.#high - this.#low);
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);
  }

  decades(): number[] {
    return Array.from({ length: this.#high - this.#low + 1 }, (_, i) => 10 ** (this.#low + i));
  }
}

function legend(peers: string[]): string[] {
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, peers.length);
  return peers.map((peer, i) => {
    const x = LEFT + i * step;
    return `<rect x="${round(x)}" y="38" width="11" height="11" rx="2" fill="${colorOf(peer)}"/>` +
      `<text x="${round(x + 16)}" y="48">${peer}</text>`;
  });
}

function gridLine(value: number, y: number): string[] {
  const label = value < 1 ? `${Number(value.toPrecision(1))}` : format(value);
  return [
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y)}" y2="${round(y)}"/>`,
    `<text x="${LEFT - 8}" y="${round(y + 4)}" text-anchor="end">${label}</text>`,
  ];
}

function drawGroup(
  index: number,
  values: (number | null)[],
  peers: string[],
  scale: LogScale,
): string[] {
  const groupWidth = (WIDTH - LEFT - RIGHT) / GROUPS.length;
  const left = LEFT + index * groupWidth + GROUP_GAP / 2;
  const width = (groupWidth - GROUP_GAP) / Math.max(1, peers.length);
  const bars = values.map((value, i) =>
    value === null || value <= 0
      ? ""
      : drawBar(value, left + i * width, width, scale.y(value), colorOf(peers[i]!))
  );
  const middle = round(left + (groupWidth - GROUP_GAP) / 2);
  const label = `<text x="${middle}" y="${HEIGHT - 12}" text-anchor="middle">` +
    `${GROUPS[index]!.label}</text>`;
  return [...bars.filter(Boolean), label];
}

function drawBar(value: number, x: number, width: number, y: number, color: string): string {
  const digits = value < 1 ? 2 : value < 100 ? 1 : 0;
  return `<rect x="${round(x + 1)}" y="${round(y)}" width="${round(width - 2)}" ` +
    `height="${round(HEIGHT - BOTTOM - y)}" rx="2" fill="${color}"/>` +
    `<text class="value" x="${round(x + width / 2)}" y="${round(y - 4)}" text-anchor="middle">` +
    `${format(value, digits)}</text>`;
}

function colorOf(peer: string): string {
  return COLORS[peer] ?? "#8a8f98";
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
