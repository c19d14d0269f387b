/**
 * Liveness of a peer: which side owes the other a sign of life, and since when. It uses neither
 * sockets nor timers; its caller passes in the elapsed time.
 *
 * @module
 */

import type { ConnectionLimits } from "./connection_options.ts";

/** The deadlines of a connection. */
export type Deadlines = Pick<
  ConnectionLimits,
  "keepAliveInterval" | "keepAliveTimeout" | "writeTimeout" | "lineTimeout"
>;

/** Observed activity of a peer. */
export interface PeerActivity {
  /** Bytes received from the peer. */
  readonly bytesIn: number;
  /** Bytes accepted by the peer. */
  readonly bytesOut: number;
  /** Bytes queued for the peer. */
  readonly pendingBytes: number;
  /** Bytes received of an unfinished line. */
  readonly unfinishedBytes: number;
  /** Whether the peer is being read. */
  readonly reading: boolean;
}

/** Result of a check: nothing to do, something must be sent, or the peer has missed a deadline. */
export type Liveness = "fine" | "send" | "silent" | "stuck" | "unfinished";

/**
 * Longest time that one check may add to a peer's debt, in milliseconds. It is about the time
 * between two checks. A longer gap is our own standstill: a stopped process, a sleeping machine, or
 * a busy event loop. Activity of the peer during the gap has not been seen yet.
 */
const MAX_STEP_MS = 250;

/** How early a keep-alive is sent, in milliseconds, because checks and writes take time. */
const EARLY_MS = 500;

/** Tracks the deadlines of one connection. */
export class KeepAlive {
  /** How long the peer has accepted none of the queued bytes. */
  stalledMs = 0;
  /** How long we have sent nothing, and how long the peer has failed its other duties. */
  #quiet = 0;
  #silent = 0;
  #unfinished = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  /** The peer's keep-alive interval, or 0 if it has promised none. */
  #promised = 0;
  /** Whether the peer must give a sign of life, because it was asked for one. */
  #isAsked = false;

  /** Sets the peer's keep-alive interval, in milliseconds. */
  setPeerInterval(ms: number): void {
    this.#promised = ms;
  }

  /** Whether the peer has promised an interval. */
  get hasPromise(): boolean {
    return this.#promised > 0;
  }

  /** Notes that the peer was asked for a sign of life. */
  expectAnswer(): void {
    this.#isAsked = true;
    this.#silent = 0;
  }

  /** Notes that the peer has finished a line. */
  lineEnded(): void {
    this.#unfinished = 0;
  }

  /**
   * Checks the deadlines.
   *
   * @param elapsed The time since the last check, in milliseconds.
   * @param signs The current activity of the peer.
   * @param deadlines The limits to apply.
   */
  check(elapsed: number, signs: PeerActivity, deadlines: Deadlines): Liveness {
    const step = Math.min(elapsed, MAX_STEP_MS);
    const heard = signs.bytesIn !== this.#bytesIn || !signs.reading;
    const took = signs.bytesOut !== this.#bytesOut;
    this.#bytesIn = signs.bytesIn;
    this.#bytesOut = signs.bytesOut;
    this.#silent = heard ? 0 : this.#silent + step;
    if (heard) this.#isAsked = false;
    this.stalledMs = took || signs.pendingBytes === 0 ? 0 : this.stalledMs + step;
    this.#unfinished = signs.unfinishedBytes === 0 || !signs.reading ? 0 : this.#unfinished + step;
    this.#quiet = took || signs.pendingBytes > 0 ? 0 : this.#quiet + elapsed;

    if (this.stalledMs >= deadlines.writeTimeout) return "stuck";
    if (this.#unfinished >= deadlines.lineTimeout) return "unfinished";
    const owes = this.#promised > 0 || this.#isAsked;
    if (owes && this.#silent >= this.#promised + deadlines.keepAliveTimeout) return "silent";
    return this.#quiet + EARLY_MS >= deadlines.keepAliveInterval ? "send" : "fine";
  }
}
