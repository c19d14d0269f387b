/**
 * Owns the figures of a relay: what is counted, and what is read when somebody asks. Must not know
 * sockets, or where the figures go.
 *
 * @module
 */

import { memoryUsage } from "../net/platform.ts";
import type { CloseReason } from "../errors.ts";
import type { RelayStats } from "../protocol/report.ts";
import { LoopDelay } from "./loop_delay.ts";

/** The counters of one client, as far as they add up. */
export interface ClientCounters {
  /** Events that came from it and were relayed. */
  readonly eventsIn: number;
  /** Events that were queued for it. */
  readonly eventsOut: number;
  /** Bytes that came from it. */
  readonly bytesIn: number;
  /** Bytes that the operating system has taken for it. */
  readonly bytesOut: number;
  /** Bytes that wait for it. */
  readonly pendingBytes: number;
}

/** Whether not a byte has gone to or come from a client, and nothing waits for it. */
export function isSilent({ bytesIn, bytesOut, pendingBytes, eventsOut }: ClientCounters): boolean {
  return bytesIn + bytesOut + pendingBytes + eventsOut === 0;
}

/**
 * Counts for one relay. Nothing is done for an event: each connection counts its own, they are
 * summed up when stats are read, and added to the totals when it ends.
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

  /** A client has joined. */
  joined(): void {
    this.#clientsTotal++;
  }

  /** A client has left; its counters are final. */
  left(client: ClientCounters, reason: CloseReason): void {
    this.#closes[reason]++;
    if (isSilent(client)) this.#silentPeers++;
    this.#eventsIn += client.eventsIn;
    this.#eventsOut += client.eventsOut;
    this.#bytesIn += client.bytesIn;
    this.#bytesOut += client.bytesOut;
  }

  /** A peer has been sent away, or has gone, perhaps without a byte in either direction. */
  refused(reason: CloseReason, isSilent = false): void {
    this.#refusals[reason]++;
    if (isSilent) this.#silentPeers++;
  }

  /**
   * The figures now: `connected` are the clients that have joined and not left, for whom
   * `pendingBytes` wait in all. The other two are counted by whoever passes events on.
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

  /** Measures no longer. The counters can still be read. */
  stop(): void {
    this.#isStopped = true;
    this.#delay.stop();
  }
}

/** A counter for each reason: however peers behave, there are no more. */
function zeros(): Record<CloseReason, number> {
  return {
    "local": 0,
    "eof": 0,
    "truncated": 0,
    "reset": 0,
    "aborted": 0,
    "shutdown": 0,
    "slow-consumer": 0,
    "idle-timeout": 0,
    "line-too-long": 0,
    "too-deep": 0,
    "bad-utf8": 0,
    "bad-json": 0,
    "bad-event": 0,
    "unauthorized": 0,
    "too-many-clients": 0,
    "rate-limited": 0,
    "overloaded": 0,
  };
}
