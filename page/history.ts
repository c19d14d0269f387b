/**
 * The figures of the last five minutes, for sparklines.
 *
 * @module
 */

import type { Snapshot } from "../protocol/snapshot.ts";

/** How long a sample is kept, in milliseconds. */
export const HISTORY_MS = 300_000;

/** The figures with a sparkline, and where each is in a snapshot. */
const FIGURES = {
  clients: ({ relay }: Snapshot) => relay.clients,
  eventsIn: ({ relay }: Snapshot) => relay.eventsInPerSecond,
  eventsOut: ({ relay }: Snapshot) => relay.eventsOutPerSecond,
  bytesIn: ({ relay }: Snapshot) => relay.bytesInPerSecond,
  bytesOut: ({ relay }: Snapshot) => relay.bytesOutPerSecond,
  pending: ({ relay }: Snapshot) => relay.pendingBytes,
  loopDelay: ({ relay }: Snapshot) => relay.loopDelayMeanMs,
  memory: ({ relay }: Snapshot) => relay.rssBytes,
} satisfies Record<string, (snapshot: Snapshot) => number | null>;

/** The name of a figure with a sparkline. */
export type Figure = keyof typeof FIGURES;

/** A value of a figure and its time, in milliseconds. `null` where the value is unknown. */
export type Point = readonly [at: number, value: number | null];

/** A snapshot's figures and its time. */
interface Sample {
  readonly at: number;
  readonly values: Readonly<Record<Figure, number | null>>;
}

/** The figures of a relay over time. */
export class History {
  #samples: Sample[] = [];

  /** Adds a snapshot that was taken at `at`, in milliseconds, later than all others. */
  add(at: number, snapshot: Snapshot): void {
    const values = Object.fromEntries(
      Object.entries(FIGURES).map(([figure, read]) => [figure, read(snapshot)]),
    ) as Sample["values"];
    this.#samples = this.#samples.filter((sample) => sample.at > at - HISTORY_MS);
    this.#samples.push({ at, values });
  }

  /** Adds a time without values, such as while there is no connection. */
  addGap(at: number): void {
    const values = Object.fromEntries(
      Object.keys(FIGURES).map((figure) => [figure, null]),
    ) as Sample["values"];
    if (this.#samples.length > 0) this.#samples.push({ at, values });
  }

  /** Returns the values of a figure, the oldest first. */
  points(figure: Figure): Point[] {
    return this.#samples.map(({ at, values }) => [at, values[figure]]);
  }
}
