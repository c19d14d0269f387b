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

import { checkLimit } from "./limits.ts";
import { unwatch, watch, type Watched } from "./watch.ts";

/** How many lines a second may come that are no events, beside one for each event. */
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

/** Holds the clients of one server to their allowance. */
export class Limiter<Client> implements Watched {
  readonly maxEventsPerSecond: number;
  readonly maxBytesPerSecond: number;

  readonly #onRelease: (client: Client) => void;
  /** When what each client has sent is paid for, by `performance.now()`. */
  readonly #paidAt = new Map<Client, number>();
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
    watch(this);
  }

  /** Watches no longer. */
  stop(): void {
    unwatch(this);
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
   * Counts what a client has sent: `lines` lines, `events` of them events. Says what follows: nothing
   * (`"within"`), that it must not be read from until it is released (`"over"`), or that it is to be
   * closed (`"far over"`).
   */
  spend(
    client: Client,
    { lines, events, bytes }: { lines: number; events: number; bytes: number },
  ): "within" | "over" | "far over" {
    const seconds = Math.max(
      events / this.maxEventsPerSecond,
      bytes / this.maxBytesPerSecond,
      (lines - 2 * events) / MAX_CHATTER_PER_SECOND,
      0,
    );
    if (seconds === 0) return "within";
    const now = performance.now();
    this.#notice(now);
    const earliest = now - BURST_MS - this.#excuseOf(client, now);
    const paidAt = Math.max(this.#paidAt.get(client) ?? -Infinity, earliest) + 1000 * seconds;
    this.#paidAt.set(client, paidAt);
    if (paidAt - now > FAR_OVER_MS) return "far over";
    if (paidAt < now + 1) return "within"; // sums of fractions may be a little off
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
    this.#paidAt.delete(client);
    this.#excusedOf.delete(client);
    this.#held.delete(client);
    this.#stop();
  }

  #release(): void {
    const now = performance.now();
    for (const client of this.#held) {
      if (this.#paidAt.get(client)! > now) continue;
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
