/**
 * The health of a relay: its figures, and five minutes of each as a sparkline.
 *
 * @module
 */

/// <reference lib="dom" />

import {
  countRefusals,
  describeCluster,
  describeFaults,
  describeHistory,
  type Snapshot,
} from "../protocol/snapshot.ts";
import {
  countOf,
  formatByteRate,
  formatBytes,
  formatDuration,
  formatExact,
  formatRate,
  formatTime,
} from "../protocol/units.ts";
import { byId, element, setText } from "./dom.ts";
import { type Figure, History } from "./history.ts";
import { HEIGHT, sparklineOf, WIDTH } from "./sparkline.ts";

const SVG = "http://www.w3.org/2000/svg";

/** A figure on the page. */
interface Tile {
  readonly title: string;
  readonly figure: Figure;
  /** The format of the figure and of its largest value. */
  readonly format: (value: number | null) => string;
  /** Returns more about the figure. */
  readonly more?: (snapshot: Snapshot) => string;
}

const bytes = (value: number | null): string => value === null ? "-" : formatBytes(value);
const time = (value: number | null): string => value === null ? "-" : formatTime(value);

const TILES: readonly Tile[] = [
  {
    title: "Clients",
    figure: "clients",
    format: formatExact,
    more: ({ relay }) => `${formatExact(relay.clientsTotal)} since the start`,
  },
  {
    title: "Events in",
    figure: "eventsIn",
    format: formatRate,
    more: ({ relay }) => `${formatRate(relay.eventsUnheardPerSecond)} unheard`,
  },
  { title: "Events out", figure: "eventsOut", format: formatRate },
  {
    title: "Waiting",
    figure: "pending",
    format: bytes,
    more: ({ relay }) => `${formatBytes(relay.largestPendingBytes)} for one client`,
  },
  { title: "Bytes in", figure: "bytesIn", format: formatByteRate },
  { title: "Bytes out", figure: "bytesOut", format: formatByteRate },
  {
    title: "Loop delay",
    figure: "loopDelay",
    format: time,
    more: ({ relay }) => `longest ${formatTime(relay.loopDelayMaxMs)}`,
  },
  {
    title: "Memory",
    figure: "memory",
    format: bytes,
    more: ({ relay }) => `${formatBytes(relay.heapUsedBytes)} of JavaScript`,
  },
];

/** The part of the page with the health of the relay. */
export class Health {
  readonly #history = new History();
  readonly #tiles = TILES.map((tile) => new TileView(byId("tiles"), tile));

  /** Shows a snapshot that was taken at `at`, in milliseconds. */
  show(snapshot: Snapshot, at: number): void {
    this.#history.add(at, snapshot);
    const facts = factsOf(snapshot).map((fact) => element("span", "", fact));
    byId("health-facts").replaceChildren(...facts);
    for (const tile of this.#tiles) tile.show(snapshot, this.#history, at);
  }

  /** Notes that there is no connection at `at`. */
  lose(at: number): void {
    this.#history.addGap(at);
  }
}

/** A figure on the page. */
class TileView {
  readonly #tile: Tile;
  readonly #value = element("dd", "value", "-");
  readonly #more = element("dd", "more");
  readonly #area = document.createElementNS(SVG, "path");
  readonly #line = document.createElementNS(SVG, "path");

  constructor(list: HTMLElement, tile: Tile) {
    this.#tile = tile;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    this.#area.setAttribute("class", "area");
    this.#line.setAttribute("class", "line");
    svg.append(this.#area, this.#line);
    const curve = element("dd", "curve");
    curve.append(svg);
    const group = element("div");
    group.append(element("dt", "", tile.title), this.#value, this.#more, curve);
    list.append(group);
  }

  show(snapshot: Snapshot, history: History, at: number): void {
    const { figure, format, more } = this.#tile;
    const points = history.points(figure);
    const { line, area, max } = sparklineOf(points, at);
    setText(this.#value, format(points.at(-1)![1]));
    setText(this.#more, [`peak ${format(max)}`, more?.(snapshot)].filter(Boolean).join(" · "));
    this.#area.setAttribute("d", area);
    this.#line.setAttribute("d", line);
  }
}

/** Returns the facts about a relay that are not curves. */
function factsOf({ relay, version }: Snapshot): string[] {
  const since = new Date(Date.now() - relay.uptimeMs);
  const faults = describeFaults(relay);
  const refusals = countRefusals(relay);
  const started = since.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return [
    `Up ${formatDuration(relay.uptimeMs)}, since ${started}`,
    ...(version === null ? [] : [`Version ${version}`]),
    ...(faults === "" ? [] : [`Closed for a fault: ${faults}`]),
    ...(refusals === 0 ? [] : [`Refused: ${countOf(refusals, "peer")}`]),
    ...describeCluster(relay),
    ...describeHistory(relay),
    ...(relay.eventsRefused === 0 ? [] : [`Refused: ${countOf(relay.eventsRefused, "event")}`]),
  ];
}
