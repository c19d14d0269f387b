/**
 * Owns the question whether a peer is still there: what it and we owe each other, and since when.
 * Must not know sockets or timers; it is told that time passes.
 *
 * @module
 */

/** The deadlines of a connection, in milliseconds. */
export interface Deadlines {
  /** How long at most nothing is sent: an empty line is, half a second before. */
  readonly keepAliveInterval: number;
  /** How much later than it promised the peer may be heard of. */
  readonly keepAliveTimeout: number;
  /** For how long the peer may take nothing of what waits for it. */
  readonly writeTimeout: number;
  /** How long the peer may take to finish a line. */
  readonly lineTimeout: number;
}

/** What is seen of a peer. */
export interface PeerActivity {
  /** How many bytes have come from it. */
  readonly bytesIn: number;
  /** How many bytes it has taken. */
  readonly bytesOut: number;
  /** How many bytes wait for it. */
  readonly pendingBytes: number;
  /** How many bytes of an unfinished line have come from it. */
  readonly unfinishedBytes: number;
  /** Whether anything is being read from it. */
  readonly reading: boolean;
}

/** What follows from what is seen: nothing, that something should be sent, or what is wrong. */
export type Liveness = "fine" | "send" | "silent" | "stuck" | "unfinished";

/**
 * The most that one look can add to a peer's debt, in milliseconds: about the time between two looks.
 * When more has passed, it was we who stood still (a stopped process, a machine asleep, a busy event
 * loop), and what the peer has done meanwhile has not been seen yet.
 */
const MAX_STEP_MS = 250;

/** How much earlier than it is due something is sent, in milliseconds: looks and writes take time. */
const EARLY_MS = 500;

/** Keeps the times of one connection. */
export class KeepAlive {
  /** How long we have sent nothing, and how long the peer has not done what it should. */
  #quiet = 0;
  #silent = 0;
  #stuck = 0;
  #unfinished = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  /** How often the peer promised to send something; 0 if it did not. */
  #promised = 0;

  /** For how long the peer has taken nothing of what waits for it. */
  get stalledMs(): number {
    return this.#stuck;
  }

  /** The peer promises to send something at least every `ms` milliseconds. */
  expect(ms: number): void {
    this.#promised = ms;
  }

  /** The peer has finished a line. */
  lineEnded(): void {
    this.#unfinished = 0;
  }

  /** Looks at the peer `elapsed` milliseconds after the last time. */
  look(elapsed: number, signs: PeerActivity, deadlines: Deadlines): Liveness {
    const step = Math.min(elapsed, MAX_STEP_MS);
    const heard = signs.bytesIn !== this.#bytesIn || !signs.reading;
    const took = signs.bytesOut !== this.#bytesOut;
    this.#bytesIn = signs.bytesIn;
    this.#bytesOut = signs.bytesOut;
    this.#silent = heard ? 0 : this.#silent + step;
    this.#stuck = took || signs.pendingBytes === 0 ? 0 : this.#stuck + step;
    this.#unfinished = signs.unfinishedBytes === 0 || !signs.reading ? 0 : this.#unfinished + step;
    this.#quiet = took || signs.pendingBytes > 0 ? 0 : this.#quiet + elapsed;

    if (this.#stuck >= deadlines.writeTimeout) return "stuck";
    if (this.#unfinished >= deadlines.lineTimeout) return "unfinished";
    const owes = this.#promised > 0;
    if (owes && this.#silent >= this.#promised + deadlines.keepAliveTimeout) return "silent";
    return this.#quiet + EARLY_MS >= deadlines.keepAliveInterval ? "send" : "fine";
  }
}
