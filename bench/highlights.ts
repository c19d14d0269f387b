/**
 * The figures that the picture and the README show.
 *
 * @module
 */

import type { Sample } from "./sample.ts";

/** A figure of a scenario: CPU time of the server for each event, or of all programs, in µs. */
export interface Highlight {
  readonly scenario: string;
  readonly figure: keyof Sample;
  readonly label: string;
  /** The label in words. */
  readonly about: string;
}

/** The figures, in the order in which they are shown. */
export const HIGHLIGHTS: readonly Highlight[] = [
  { scenario: "1", figure: "cpuMicros", label: "1 → 1", about: "1 publisher, 1 subscriber" },
  { scenario: "4", figure: "cpuMicros", label: "1 → 4", about: "1 publisher, 4 subscribers" },
  { scenario: "50", figure: "cpuMicros", label: "1 → 50", about: "1 publisher, 50 subscribers" },
  { scenario: "500", figure: "cpuMicros", label: "1 → 500", about: "1 publisher, 500 subscribers" },
  { scenario: "chat", figure: "cpuMicros", label: "16 ↔ 16", about: "each sends to all" },
  {
    scenario: "room-1000",
    figure: "cpuMicros",
    label: "1,000 ↔ 1,000",
    about: "each sends an event a second to all",
  },
  {
    scenario: "clients",
    figure: "totalMicros",
    label: "client libraries",
    about: "publisher + server + subscriber",
  },
  {
    scenario: "pages",
    figure: "totalMicros",
    label: "in Chromium",
    about: "publisher + server + subscriber",
  },
  {
    scenario: "requests",
    figure: "requestMicros",
    label: "requests",
    about: "requester + server + responder",
  },
];

/** A scenario whose latency is shown, too. */
export interface LatencyHighlight {
  readonly scenario: string;
  readonly label: string;
}

/** The rooms, in the order in which they are shown. */
export const ROOMS: readonly LatencyHighlight[] = [
  { scenario: "room-500", label: "500 ↔ 500, ms" },
  { scenario: "room-1000", label: "1,000 ↔ 1,000, ms" },
];
