/**
 * Collects the statistics of a relay. Does not depend on sockets or on the form of the output.
 *
 * @module
 */

import { memoryUsage, unrefTimer } from "../net/platform.ts";
import { CLOSE_REASONS, type CloseReason } from "../errors.ts";
import type { RelayClient, RelayStats } from "../protocol/report.ts";

/**
 * Interval between measurements, in milliseconds. Any longer blocking of the loop is always
 * noticed, and ten wake-ups a second cost an idle process next to nothing.
 */
const INTERVAL_MS = 100;

/** The counters of one client. */
export type ClientCounters = Omit<RelayClient, "id" | "address" | "transport">;

type Totals = Record<Exclude<keyof ClientCounters, "pendingBytes">, number>;

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
  /** The totals of the clients that have left. */
  readonly #departed: Totals = { eventsIn: 0, eventsOut: 0, bytesIn: 0, bytesOut: 0 };

  /** The age of the relay, in milliseconds. */
  get uptimeMs(): number {
    return Math.round(performance.now() - this.#start);
  }

  /** Counts a client that has joined. */
  joined(): void {
    this.#clientsTotal++;
  }

  /** Counts a client that has left. Its counters must be final. */
  left(client: ClientCounters, reason: CloseReason): void {
    this.#closes[reason]++;
    if (isSilent(client)) this.#silentPeers++;
    add(this.#departed, client);
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
    const totals = { ...this.#departed };
    let largestPendingBytes = 0;
    for (const client of connected) {
      clients++;
      add(totals, client);
      largestPendingBytes = Math.max(largestPendingBytes, client.pendingBytes);
    }
    const delay = this.#delay.read();
    const { rss, heapUsed } = memoryUsage();
    return {
      uptimeMs: this.uptimeMs,
      clients,
      clientsTotal: this.#clientsTotal,
      ...totals,
      eventsUnheard,
      eventsRefused,
      pendingBytes,
      largestPendingBytes,
      closes: { ...this.#closes },
      refusals: { ...this.#refusals },
      silentPeers: this.#silentPeers,
      loopDelayMaxMs: delay.max,
      loopDelayMeanMs: delay.mean,
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

/** Adds the counters of a client to totals. */
function add(totals: Totals, client: ClientCounters): void {
  totals.eventsIn += client.eventsIn;
  totals.eventsOut += client.eventsOut;
  totals.bytesIn += client.bytesIn;
  totals.bytesOut += client.bytesOut;
}

/** Returns a counter for each reason. Peers cannot make their number grow. */
function zeros(): Record<CloseReason, number> {
  const counters = Object.keys(CLOSE_REASONS).map((reason) => [reason, 0]);
  return Object.fromEntries(counters);
}

/** How long the longest delay is reported, in seconds: as long as the usual pause of a collector. */
const MAX_SECONDS = 60;

/** The seconds whose mean delay is reported. They are few, so that the mean shows the present. */
const MEAN_SECONDS = 10;

/**
 * Measures how late a timer fires. Runs only after {@link start}, so that a program that never
 * reads the delay does not pay for it and is not woken up.
 *
 * The figures are about the last seconds, and reading changes nothing. So any number of readers see
 * every delay, however often each of them reads.
 */
export class LoopDelay {
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #last = 0;
  /** The latest second with an entry. The entry of each second is at its remainder. */
  #second = 0;
  readonly #maxima = new Float64Array(MAX_SECONDS);
  readonly #sums = new Float64Array(MAX_SECONDS);
  readonly #counts = new Float64Array(MAX_SECONDS);

  /** Creates an instance that uses the clock `now`, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Starts measuring, unless it already runs. The timer does not keep the process alive. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#last = this.#now();
    this.#timer = setInterval(() => this.tick(), INTERVAL_MS);
    unrefTimer(this.#timer);
  }

  /** Stops measuring. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Records the current delay. Called by the timer. */
  tick(): void {
    const now = this.#now();
    const delay = Math.max(0, now - this.#last - INTERVAL_MS);
    this.#last = now;
    const i = this.#advance(now) % MAX_SECONDS;
    this.#maxima[i] = Math.max(this.#maxima[i]!, delay);
    this.#sums[i]! += delay;
    this.#counts[i]!++;
  }

  /** Clears the entries of the seconds that have begun, and returns the current second. */
  #advance(now: number): number {
    const second = Math.floor(now / 1000);
    for (let next = Math.max(this.#second, second - MAX_SECONDS) + 1; next <= second; next++) {
      const i = next % MAX_SECONDS;
      this.#maxima[i] = this.#sums[i] = this.#counts[i] = 0;
    }
    return this.#second = second;
  }

  /**
   * Returns the longest delay in the last minute and the mean of the last ten seconds, in
   * milliseconds and rounded so that the mean is never the larger one. Includes a delay that has
   * not ended yet.
   */
  read(): { max: number; mean: number } {
    const now = this.#now();
    if (this.#timer !== undefined && now - this.#last > INTERVAL_MS) this.tick();
    const second = this.#advance(now);
    let sum = 0;
    let count = 0;
    for (let back = 0; back < MEAN_SECONDS; back++) {
      const i = (second - back + MAX_SECONDS) % MAX_SECONDS;
      sum += this.#sums[i]!;
      count += this.#counts[i]!;
    }
    const mean = count === 0 ? 0 : sum / count;
    return { max: Math.ceil(Math.max(...this.#maxima)), mean: Math.round(10 * mean) / 10 };
  }
}
