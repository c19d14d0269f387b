/**
 * Owns the pace at which each client may send: over it, a client is read from more slowly; far over
 * it, it is closed. Must not know sockets, or what the lines say.
 *
 * The rule is the generic cell rate algorithm (ITU-T I.371) in its virtual scheduling form: for each
 * client one time, that at which all it has sent would be paid for. One second's worth may come in a
 * burst. What comes at once because we did not read before is no burst of the client's: it may have
 * sent it at any time since.
 *
 * @module
 */

import { checkLimit } from "../protocol/option_checks.ts";
import { addTicking, removeTicking, type Ticking } from "../net/ticker.ts";

/**
 * How many lines a second may come that are no events, beside an empty one for each event. A control line
 * counts as often as it costs the time of a short one.
 */
const MAX_CHATTER_PER_SECOND = 100;

/** How much may come at once after a pause, in milliseconds of the allowance. */
const BURST_MS = 1000;

/** From when on a client is far over its allowance, in milliseconds of it. */
const FAR_OVER_MS = 10_000;

/** How often those that have to wait are looked at, in milliseconds. */
const CHECK_MS = 50;

/** For how long at least we must not have run to have stood still, in milliseconds. */
const STANDSTILL_MS = 1000;

/** How much a client may send. */
export interface RateOptions {
  /**
   * How many events a client may send each second, from 1. One second's worth may come at once. Over
   * that the client is read from more slowly; when ten seconds' worth has come, it is closed with
   * `rate-limited`.
   *
   * @default {Infinity}
   */
  readonly maxEventsPerSecond?: number;
  /**
   * How many bytes a client may send each second, from 1, with the same rule.
   *
   * @default {Infinity}
   */
  readonly maxBytesPerSecond?: number;
}

/** What a client has sent. What is left out is none. */
export interface Sent {
  /** How many events. */
  readonly events?: number;
  /** How many bytes. */
  readonly bytes?: number;
  /** How many lines without any byte. */
  readonly empty?: number;
  /** How many short control lines would have cost as much as those that it has sent. */
  readonly control?: number;
}

/** What follows from that: nothing, that a client must not be read from, or that it is to be closed. */
export type Verdict = "within" | "over" | "far over";

/** When what a client has sent is paid for, by `performance.now()`: each of two allowances by itself. */
interface Account {
  sent: number;
  chatter: number;
}

/** Holds the clients of one server to their allowance. */
export class RateLimiter<Client> implements Ticking {
  readonly maxEventsPerSecond: number;
  readonly maxBytesPerSecond: number;

  readonly #onRelease: (client: Client) => void;
  readonly #accounts = new Map<Client, Account>();
  readonly #held = new Set<Client>();
  #timer: ReturnType<typeof setInterval> | undefined;
  /** When we were last seen to run. */
  #ranAt = performance.now();
  /**
   * Until when what all clients send, and what one of them does, may have waited for us: by so much
   * longer than that may it have been on its way.
   */
  #excused = -Infinity;
  readonly #excusedOf = new Map<Client, number>();

  /**
   * Makes one that calls `onRelease` when a client may be read from again.
   *
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(
    { maxEventsPerSecond = Infinity, maxBytesPerSecond = Infinity }: RateOptions,
    onRelease: (client: Client) => void,
  ) {
    this.maxEventsPerSecond = checkLimit("maxEventsPerSecond", maxEventsPerSecond, 1);
    this.maxBytesPerSecond = checkLimit("maxBytesPerSecond", maxBytesPerSecond, 1);
    this.#onRelease = onRelease;
  }

  /** Watches from now on whether we stand still. */
  start(): void {
    this.#ranAt = performance.now();
    addTicking(this);
  }

  /** Watches no longer. */
  stop(): void {
    removeTicking(this);
  }

  /** Time passes. */
  tick(): void {
    this.#notice(performance.now());
  }

  /** Sees that we run, and excuses all clients if we had stood still. */
  #notice(now: number): void {
    const gap = now - this.#ranAt;
    this.#ranAt = now;
    if (gap >= STANDSTILL_MS) this.excuse(gap);
  }

  /**
   * Says that for `ms` milliseconds until now, nothing was read from a client, or from any, for reasons
   * that are not its own: what it has sent in that time may come at once. The excuse wears off as fast
   * as time passes.
   */
  excuse(ms: number, client?: Client): void {
    const now = performance.now();
    const before = client === undefined ? this.#excused : this.#excusedOf.get(client) ?? -Infinity;
    const until = Math.max(before + ms, now) + ms; // What there was before was no use meanwhile.
    if (client === undefined) this.#excused = until;
    else this.#excusedOf.set(client, until);
  }

  /** How much longer than usual what a client sends now may have been on its way, in milliseconds. */
  #excuseOf(client: Client, now: number): number {
    const own = this.#excusedOf.get(client);
    if (own !== undefined && own <= now) this.#excusedOf.delete(client);
    return Math.max(this.#excused - now, (own ?? now) - now, 0);
  }

  /**
   * Counts what a client has sent. Says what follows: nothing (`"within"`), that it must not be read from
   * until it is released (`"over"`), or that it is to be closed (`"far over"`).
   */
  spend(client: Client, { events = 0, bytes = 0, empty = 0, control = 0 }: Sent): Verdict {
    const sent = Math.max(events / this.maxEventsPerSecond, bytes / this.maxBytesPerSecond);
    const chatter = (Math.max(empty - events, 0) + control) / MAX_CHATTER_PER_SECOND;
    if (sent === 0 && chatter === 0) return "within";
    const now = performance.now();
    this.#notice(now);
    const earliest = now - BURST_MS - this.#excuseOf(client, now);
    let account = this.#accounts.get(client);
    if (!account) this.#accounts.set(client, account = { sent: -Infinity, chatter: -Infinity });
    account.sent = Math.max(account.sent, earliest) + 1000 * sent;
    account.chatter = Math.max(account.chatter, earliest) + 1000 * chatter;
    const left = paidAt(account) - now;
    if (left > FAR_OVER_MS) return "far over";
    if (left < 1) return "within"; // sums of fractions may be a little off
    this.#held.add(client);
    this.#timer ??= setInterval(() => this.#release(), CHECK_MS);
    return "over";
  }

  /** Whether a client has to wait. */
  holds(client: Client): boolean {
    return this.#held.has(client);
  }

  /** Forgets a client that has gone. */
  forget(client: Client): void {
    this.#accounts.delete(client);
    this.#excusedOf.delete(client);
    this.#held.delete(client);
    this.#stop();
  }

  #release(): void {
    const now = performance.now();
    for (const client of this.#held) {
      if (paidAt(this.#accounts.get(client)!) > now) continue;
      this.#held.delete(client);
      this.#onRelease(client);
    }
    this.#stop();
  }

  #stop(): void {
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function paidAt({ sent, chatter }: Account): number {
  return Math.max(sent, chatter);
}
