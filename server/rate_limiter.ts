/**
 * The sending rate of each client. A client over its rate is read more slowly, and closed if it is
 * far over.
 *
 * The algorithm is the generic cell rate algorithm (ITU-T I.371) in its virtual scheduling form.
 * For each client it keeps one time: when everything the client has sent will be paid for. One
 * second's allowance may arrive in a burst. Input that arrives at once because the server did not
 * read is not a burst, because the client may have sent it at any time since.
 *
 * @module
 */

import { checkLimit } from "../protocol/option_checks.ts";
import { addTicking, removeTicking, type Ticking } from "../net/ticker.ts";

/**
 * Lines per second that may be neither events nor the one empty line allowed for each event. A long
 * control line counts as several short ones, according to its cost.
 */
const MAX_CHATTER_PER_SECOND = 100;

/** Allowance that may be used at once after a pause, in milliseconds. */
const BURST_MS = 1000;

/** Allowance from which on a client is far over its rate, in milliseconds. */
const FAR_OVER_MS = 10_000;

/** Interval at which paused clients are checked, in milliseconds. */
const CHECK_MS = 50;

/** Shortest gap that counts as a standstill of this process, in milliseconds. */
const STANDSTILL_MS = 1000;

/** Limits on the sending rate of a client. */
export interface RateOptions {
  /**
   * Events that a client may send per second, from 1. Bursts of one second's allowance are
   * accepted. Beyond that the client is read more slowly. After ten seconds' allowance it is closed
   * with `rate-limited`.
   *
   * @default {Infinity}
   */
  readonly maxEventsPerSecond?: number;
  /**
   * Bytes that a client may send per second, from 1, with the same rule.
   *
   * @default {Infinity}
   */
  readonly maxBytesPerSecond?: number;
}

/** Input of a client. Omitted counts are 0. */
export interface Sent {
  /** Number of events. */
  readonly events?: number;
  /** Number of bytes. */
  readonly bytes?: number;
  /** Number of empty lines. */
  readonly empty?: number;
  /** Cost of the control lines, as a number of short control lines. */
  readonly control?: number;
}

/** Result: the client may continue, must not be read, or must be closed. */
export type Verdict = "within" | "over" | "far over";

/** The input of one client, as times by `performance.now()`. */
interface Account {
  /** Times at which its input is paid for, for each of the two allowances. */
  sent: number;
  chatter: number;
  /** Time until which its input may have been delayed by this process. */
  excused: number;
}

/** Applies the rate limits to the clients of one server. */
export class RateLimiter<Client> implements Ticking {
  readonly maxEventsPerSecond: number;
  readonly maxBytesPerSecond: number;

  readonly #onRelease: (client: Client) => void;
  readonly #accounts = new Map<Client, Account>();
  readonly #paused = new Set<Client>();
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Time at which this process was last seen to run. */
  #ranAt = performance.now();
  /** The same time for the input of all clients. It may have been in transit that much longer. */
  #excused = -Infinity;

  /**
   * Creates a limiter that reads its limits from the options.
   *
   * @param onRelease Called when a client may be read again.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    { maxEventsPerSecond = Infinity, maxBytesPerSecond = Infinity }: RateOptions,
    onRelease: (client: Client) => void,
  ) {
    this.maxEventsPerSecond = checkLimit("maxEventsPerSecond", maxEventsPerSecond, 1);
    this.maxBytesPerSecond = checkLimit("maxBytesPerSecond", maxBytesPerSecond, 1);
    this.#onRelease = onRelease;
  }

  /** Starts to watch for standstills of this process. */
  start(): void {
    this.#ranAt = performance.now();
    addTicking(this);
  }

  /** Stops watching for standstills. */
  stop(): void {
    removeTicking(this);
  }

  /** Called by the shared timer. */
  tick(): void {
    this.#notice(performance.now());
  }

  /** Notes that this process runs, and excuses all clients after a standstill. */
  #notice(now: number): void {
    const gap = now - this.#ranAt;
    this.#ranAt = now;
    if (gap >= STANDSTILL_MS) this.excuse(gap);
  }

  /**
   * Notes that input was not read for `ms` milliseconds until now, for reasons outside the client's
   * control. Input sent in that time may arrive at once. The excuse wears off as time passes.
   *
   * @param ms The length of the pause, in milliseconds.
   * @param client The client that was not read, or all clients if omitted.
   */
  excuse(ms: number, client?: Client): void {
    const now = performance.now();
    const account = client === undefined ? null : this.#accountOf(client);
    const before = account ? account.excused : this.#excused;
    const until = Math.max(before + ms, now) + ms; // An earlier excuse was unusable meanwhile.
    if (account) account.excused = until;
    else this.#excused = until;
  }

  #accountOf(client: Client): Account {
    let account = this.#accounts.get(client);
    if (!account) {
      account = { sent: -Infinity, chatter: -Infinity, excused: -Infinity };
      this.#accounts.set(client, account);
    }
    return account;
  }

  /**
   * Counts input of a client.
   *
   * @returns `"within"` if the client may continue, `"over"` if it must not be read until it is
   * released, or `"far over"` if it must be closed.
   */
  spend(client: Client, { events = 0, bytes = 0, empty = 0, control = 0 }: Sent): Verdict {
    const sent = Math.max(events / this.maxEventsPerSecond, bytes / this.maxBytesPerSecond);
    const chatter = (Math.max(empty - events, 0) + control) / MAX_CHATTER_PER_SECOND;
    if (sent === 0 && chatter === 0) return "within";
    const now = performance.now();
    this.#notice(now);
    const account = this.#accountOf(client);
    const excuse = Math.max(this.#excused - now, account.excused - now, 0);
    const earliest = now - BURST_MS - excuse;
    account.sent = Math.max(account.sent, earliest) + 1000 * sent;
    account.chatter = Math.max(account.chatter, earliest) + 1000 * chatter;
    const debt = paidAt(account) - now;
    if (debt > FAR_OVER_MS) return "far over";
    if (debt < 1) return "within"; // sums of fractions may be slightly off
    this.#paused.add(client);
    this.#timer ??= setInterval(() => this.#release(), CHECK_MS);
    return "over";
  }

  /** Whether a client must not be read now. */
  isPaused(client: Client): boolean {
    return this.#paused.has(client);
  }

  /** Removes a client that has disconnected. */
  forget(client: Client): void {
    this.#accounts.delete(client);
    this.#paused.delete(client);
    this.#stop();
  }

  #release(): void {
    const now = performance.now();
    for (const client of this.#paused) {
      if (paidAt(this.#accounts.get(client)!) > now) continue;
      this.#paused.delete(client);
      this.#onRelease(client);
    }
    this.#stop();
  }

  #stop(): void {
    if (this.#paused.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function paidAt({ sent, chatter }: Account): number {
  return Math.max(sent, chatter);
}
