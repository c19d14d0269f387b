/**
 * Collects the statistics of a relay. Does not depend on sockets or on the form of the output.
 *
 * @module
 */

import { memoryUsage } from "../net/platform.ts";
import { CLOSE_REASONS, type CloseReason } from "../errors.ts";
import type { RelayStats } from "../protocol/report.ts";
import { LoopDelay } from "./loop_delay.ts";

/** The counters of one client that can be summed up. */
export interface ClientCounters {
  /** Number of events received from the client and relayed. */
  readonly eventsIn: number;
  /** Number of events queued for the client. */
  readonly eventsOut: number;
  /** Number of bytes received from the client. */
  readonly bytesIn: number;
  /** Number of bytes that the operating system has accepted for the client. */
  readonly bytesOut: number;
  /** Number of bytes in the client's send queue. */
  readonly pendingBytes: number;
}

/** Returns whether no byte has gone to or come from a client, and nothing was queued for it. */
export function isSilent({ bytesIn, bytesOut, pendingBytes, eventsOut }: ClientCounters): boolean {
  return bytesIn + bytesOut + pendingBytes + eventsOut === 0;
}

/**
 * Collects the statistics of one relay. Costs nothing for an event, because each connection counts
 * its own. The counters are summed up when the statistics are read, and added to the totals when a
 * connection ends.
 */
export class StatsCollector {
  readonly #start = performance.now();
  readonly #delay = new LoopDelay();
  readonly #closes = zeros();
  readonly #refusals = zeros();
  #isStopped = false;
  #clientsTotal = 0;
  #silentPeers = 0;
  #eventsIn = 0;
  #eventsOut = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  /** Counts a client that has joined. */
  joined(): void {
    this.#clientsTotal++;
  }

  /** Counts a client that has left. Its counters must be final. */
  left(client: ClientCounters, reason: CloseReason): void {
    this.#closes[reason]++;
    if (isSilent(client)) this.#silentPeers++;
    this.#eventsIn += client.eventsIn;
    this.#eventsOut += client.eventsOut;
    this.#bytesIn += client.bytesIn;
    this.#bytesOut += client.bytesOut;
  }

  /**
   * Counts a peer that was turned away or left before it became a client. `isSilent` is true if not
   * a single byte went in either direction.
   */
  refused(reason: CloseReason, isSilent = false): void {
    this.#refusals[reason]++;
    if (isSilent) this.#silentPeers++;
  }

  /**
   * Returns the current statistics.
   *
   * @param connected The clients that have joined and not left.
   * @param pendingBytes Total number of bytes in their send queues.
   * @param eventsUnheard Number of events without a recipient.
   * @param eventsRefused Number of events that did not match their definitions.
   */
  read(
    connected: Iterable<ClientCounters>,
    pendingBytes: number,
    eventsUnheard = 0,
    eventsRefused = 0,
  ): RelayStats {
    if (!this.#isStopped) this.#delay.start();
    let clients = 0;
    let eventsIn = this.#eventsIn;
    let eventsOut = this.#eventsOut;
    let bytesIn = this.#bytesIn;
    let bytesOut = this.#bytesOut;
    let largestPendingBytes = 0;
    for (const client of connected) {
      clients++;
      eventsIn += client.eventsIn;
      eventsOut += client.eventsOut;
      bytesIn += client.bytesIn;
      bytesOut += client.bytesOut;
      largestPendingBytes = Math.max(largestPendingBytes, client.pendingBytes);
    }
    const delay = this.#delay.take();
    const { rss, heapUsed } = memoryUsage();
    return {
      uptimeMs: Math.round(performance.now() - this.#start),
      clients,
      clientsTotal: this.#clientsTotal,
      eventsIn,
      eventsOut,
      eventsUnheard,
      eventsRefused,
      bytesIn,
      bytesOut,
      pendingBytes,
      largestPendingBytes,
      closes: { ...this.#closes },
      refusals: { ...this.#refusals },
      silentPeers: this.#silentPeers,
      loopDelayMaxMs: Math.round(delay.max),
      loopDelayMeanMs: Math.round(10 * delay.mean) / 10,
      rssBytes: rss,
      heapUsedBytes: heapUsed,
    };
  }

  /** Stops measuring. The counters can still be read. */
  stop(): void {
    this.#isStopped = true;
    this.#delay.stop();
  }
}

/** Returns a counter for each reason. Peers cannot make their number grow. */
function zeros(): Record<CloseReason, number> {
  const counters = Object.keys(CLOSE_REASONS).map((reason) => [reason, 0]);
  return Object.fromEntries(counters);
}
