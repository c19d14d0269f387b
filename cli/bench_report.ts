/**
 * The report of a benchmark, as text and as one JSON object.
 *
 * @module
 */

import type { LoadOptions } from "./bench_load.ts";
import type { EventsResult, RequestLoadOptions, RequestsResult } from "./benchmarks.ts";
import { formatHistogram, formatPercentiles, type Histogram } from "./histogram.ts";
import { formatTable } from "./layout.ts";
import { countOf, formatByteRate, formatExact, formatTime } from "../protocol/units.ts";

/** The titles of the numbers in the report of events. */
const NUMBERS = ["events", "per second", "bytes", "took"];

/** The report of a benchmark. */
export interface BenchReport {
  /** For a person. */
  readonly lines: readonly string[];
  /** For programs. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Whether nothing was lost and nothing went wrong. */
  readonly isGood: boolean;
}

/** Returns the report of a benchmark of events, in lines of at most `width` columns. */
export function reportEvents(
  options: LoadOptions,
  result: EventsResult,
  width: number,
): BenchReport {
  const { latency, ...figures } = result;
  const { sent, sendMs, received, receiveMs, misplaced, expected, faults } = figures;
  const unsent = options.events - sent;
  // Events that were handed over only in part may have arrived.
  const lost = Math.max(0, expected - received);
  const lines = [
    `${countOf(options.events, "event")} of ${countOf(options.size, "byte")}, from ` +
    `${countOf(options.publishers, "publisher")} to ${countOf(options.subscribers, "subscriber")}` +
    atRate(options.rate),
    "",
    ...formatTable(
      [{ title: "" }, ...NUMBERS.map((title) => ({ title, kind: "number" as const }))],
      [
        ["sent", ...throughput(sent, sendMs, options.size)],
        ["received", ...throughput(received, receiveMs, options.size)],
      ],
      width,
    ),
    "",
    ...(unsent > 0 ? [`Not sent: ${formatExact(unsent)} of ${formatExact(options.events)}`] : []),
    lost === 0
      ? `Nothing was lost: ${countOf(received, "event")} arrived, all in order`
      : `Lost: ${formatExact(lost)} of ${formatExact(expected)}`,
    ...(misplaced > 0 ? [`Out of order or duplicate: ${formatExact(misplaced)}`] : []),
    ...faults,
    "",
    ...(latency ? formatLatencies("Latency, from when each event was due", latency, width) : [
      "Latency needs --rate; at full speed it only reflects the length of the queues",
    ]),
  ];
  return {
    lines,
    json: {
      mode: "events",
      ...options,
      ...figures,
      unsent,
      lost,
      sentPerSecond: perSecond(sent, sendMs),
      receivedPerSecond: perSecond(received, receiveMs),
      latencyMs: latency?.summary() ?? null,
    },
    isGood: unsent === 0 && lost === 0 && misplaced === 0 && faults.length === 0,
  };
}

/** Returns the report of a benchmark of requests, in lines of at most `width` columns. */
export function reportRequests(
  options: RequestLoadOptions,
  result: RequestsResult,
  width: number,
): BenchReport {
  const { latency, ...figures } = result;
  const { answered, elapsedMs, faults } = figures;
  const lost = options.events - answered;
  const lines = [
    `${countOf(options.events, "request")} of ${countOf(options.size, "byte")}, ` +
    `${formatExact(options.parallel)} at a time, from ` +
    `${countOf(options.publishers, "requester")} to ${countOf(options.subscribers, "responder")}` +
    atRate(options.rate),
    "",
    `${formatExact(perSecond(answered, elapsedMs))} answers a second, in ${formatTime(elapsedMs)}`,
    lost === 0
      ? "Every request was answered"
      : `Not answered: ${formatExact(lost)} of ${formatExact(options.events)}`,
    ...faults,
    "",
    ...formatLatencies(
      `Round trip, from when each request was ${options.rate === null ? "sent" : "due"}`,
      latency,
      width,
    ),
  ];
  return {
    lines,
    json: {
      mode: "requests",
      ...options,
      ...figures,
      lost,
      answeredPerSecond: perSecond(answered, elapsedMs),
      latencyMs: latency.summary(),
    },
    isGood: lost === 0 && faults.length === 0,
  };
}

function formatLatencies(title: string, latency: Histogram, width: number): string[] {
  const summary = latency.summary();
  if (!summary) return [];
  return [`${title}:`, formatPercentiles(summary), "", ...formatHistogram(latency, width)];
}

/** Returns the cells of a row: events, events a second, bytes a second, and duration. */
function throughput(events: number, ms: number, size: number): string[] {
  const rate = perSecond(events, ms);
  // Each line also has a line end.
  const bytes = rate * (size + 1);
  return [formatExact(events), formatExact(rate), formatByteRate(bytes), formatTime(ms)];
}

function perSecond(events: number, ms: number): number {
  return ms > 0 ? Math.round(1000 * events / ms) : 0;
}

function atRate(rate: number | null): string {
  return rate === null ? "" : `, ${formatExact(rate)} a second`;
}
