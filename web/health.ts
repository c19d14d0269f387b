/**
 * The health of a relay, for the checks of service managers and load balancers.
 *
 * These look at the status alone: 200, or 503 from a relay that should get no new clients. The
 * reasons are for people, so they are plain text, one on each line.
 *
 * @module
 */

import type { HttpResponse } from "../protocol/http_response.ts";
import type { RelayStats } from "../protocol/report.ts";

/**
 * Longest mean delay of the event loop of a healthy relay, in milliseconds. At this delay, a request
 * and its reply take two seconds longer, and clients begin to give up.
 */
export const MAX_LOOP_DELAY_MS = 1000;

/**
 * Largest share of `maxTotalPendingBytes` that a healthy relay queues. At the limit itself, it
 * closes its slowest clients.
 */
const MAX_QUEUED_SHARE = 0.9;

/** The figures that show the health of a relay. */
export interface HealthSigns {
  /** The current statistics. */
  readonly stats: Pick<RelayStats, "pendingBytes" | "loopDelayMeanMs" | "cluster" | "history">;
  /** The limit of the bytes queued for all clients together. */
  readonly maxTotalPendingBytes: number;
  /** Whether the relay is shutting down. */
  readonly isClosing: boolean;
}

/** Returns the reasons why new clients should not connect to a relay. A healthy relay has none. */
export function faultsOfHealth({ stats, maxTotalPendingBytes, isClosing }: HealthSigns): string[] {
  const { pendingBytes, loopDelayMeanMs } = stats;
  const faults: string[] = [];
  if (isClosing) faults.push("The relay is shutting down");
  if (loopDelayMeanMs > MAX_LOOP_DELAY_MS) {
    faults.push(
      `The event loop is ${Math.round(loopDelayMeanMs)} ms late on average in the last ten ` +
        `seconds, expected at most ${MAX_LOOP_DELAY_MS}: the process has too much to do`,
    );
  }
  const maxQueued = Math.floor(MAX_QUEUED_SHARE * maxTotalPendingBytes);
  if (pendingBytes > maxQueued) {
    faults.push(
      `${pendingBytes} bytes are queued for all clients together, expected at most ${maxQueued}: ` +
        `clients read too slowly, and will be closed at ${maxTotalPendingBytes}`,
    );
  }
  return faults;
}

/** Returns the response to a health check. */
export function healthResponse(signs: HealthSigns): HttpResponse {
  const faults = faultsOfHealth(signs);
  const isWell = faults.length === 0;
  return {
    kind: "response",
    status: isWell ? 200 : 503,
    headers: { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" },
    body: `${isWell ? "ok" : faults.join("\n")}\n${noteOf(signs)}`,
  };
}

/**
 * Returns what people should know although new clients may connect. If the backplane is down, all
 * relays are alone, and turning the clients of all away would be worse. If the disk of the history is
 * full, live events still arrive, and neither a restart nor another relay would help.
 */
function noteOf({ stats: { cluster, history } }: HealthSigns): string {
  const notes: string[] = [];
  if (cluster?.isAlone) {
    notes.push(
      "The relay does not reach the others of its cluster; events go to its own clients\n",
    );
  }
  if (history?.isBroken) {
    notes.push(
      "The history cannot be written; events go on, but are neither kept nor acknowledged\n",
    );
  }
  return notes.join("");
}
