/**
 * Owns the decision who is slowed down when a reader lags behind: the publishers that it hears are, for
 * a bounded time, so that a burst reaches everyone who keeps reading. Must not know what the lines say,
 * or who hears them.
 *
 * A reader lags from the moment that half of what may wait for it does (`room()` says so) until a
 * quarter does. Meanwhile the lines of a publisher that it hears are kept, one block of each, and it is
 * not read from; unless the reader has taken nothing at all for `maxHold` milliseconds, or already for
 * {@link STOOD_STILL_MS} before it began to lag, or has held others up for {@link MAX_TOTAL_HOLD_MS} in
 * all. From then on its queue may fill up, which closes it with `slow-consumer`.
 *
 * @module
 */

import type { EbsocketConnection } from "../net/connection.ts";
import { nextTurn, turnIsOver } from "../net/turn.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";

/**
 * For how long one reader that takes something may hold up others in all, in milliseconds. Without a
 * bound, one slow reader could set the pace for all, for ever. It gets it back as slowly as
 * {@link REGAIN} says, and not by catching up, or it could begin anew each time.
 */
const MAX_TOTAL_HOLD_MS = 60_000;

/** How much of the time that passes a reader may hold others up again: a second of each minute. */
const REGAIN = 1 / 60;

/** From when on a reader that takes nothing is not waited for once it begins to lag. */
const STOOD_STILL_MS = 750;

/** How often the readers that lag are looked at, in milliseconds. */
const CHECK_MS = 25;

/** A reader that lags, or has. */
interface Laggard {
  /** Whether so much waits for it that others have to wait. */
  lags: boolean;
  /** How many bytes it had taken when it was last looked at. */
  bytesOut: number;
  /** For how long it has taken nothing since it began to lag, in milliseconds of our own running. */
  stuck: number;
  /** For how long it has held up others, less what it has got back, in milliseconds. */
  held: number;
  /** When that was noted, by the clock of `performance.now()`. */
  heldAt: number;
  /** How many publishers wait for it. */
  waiting: number;
}

/** What a publisher that waits has sent last, since when it waits, and for whom. */
interface Parked {
  readonly lines: LineBlock;
  /** By the clock of `performance.now()`. */
  readonly since: number;
  awaited: readonly EbsocketConnection[];
}

/** What {@link Backpressure} needs to know. */
export interface BackpressureOptions {
  /** For how long a reader that takes nothing may hold others up, in milliseconds. */
  readonly maxHold: number;
  /** For how long one that takes something may in all, in milliseconds. */
  readonly maxTotalHold?: number;
  /** How many bytes of lines may be kept; beyond that, nobody is waited for. */
  readonly maxParkedBytes: number;
  /**
   * Passes lines on, and calls `observe()` for every reader. Is also told for how long the publisher was
   * held up, in milliseconds.
   */
  pass(publisher: EbsocketConnection, lines: LineBlock, held: number): void;
  /** Which of some readers lines have to wait for, since they would get some of them. */
  hearers(
    publisher: EbsocketConnection,
    lines: LineBlock,
    readers: readonly EbsocketConnection[],
  ): readonly EbsocketConnection[];
  /** A publisher may be read from again. */
  onRelease(publisher: EbsocketConnection): void;
}

/** Pauses and resumes the publishers of one relay. */
export class Backpressure {
  readonly #options: BackpressureOptions;
  readonly #maxTotalHold: number;
  readonly #records = new WeakMap<EbsocketConnection, Laggard>();
  /** Those that lag, or have not caught up since. */
  readonly #laggards = new Map<EbsocketConnection, Laggard>();
  /** Those of them that others may have to wait for. */
  readonly #holding = new Set<EbsocketConnection>();
  /** The publishers that are not being read from. */
  readonly #parked = new Map<EbsocketConnection, Parked>();
  #parkedBytes = 0;
  /** Whether more will be released in a moment. */
  #isReleasing = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Makes one for which nobody lags yet. */
  constructor(options: BackpressureOptions) {
    this.#options = options;
    this.#maxTotalHold = options.maxTotalHold ?? MAX_TOTAL_HOLD_MS;
  }

  /** Whether a publisher has to wait. */
  holds(publisher: EbsocketConnection): boolean {
    return this.#parked.has(publisher);
  }

  /** Passes lines on, at once or when nobody has to be waited for who would get some of them. */
  deliver(publisher: EbsocketConnection, lines: LineBlock): void {
    if (this.#holding.size === 0) return this.#options.pass(publisher, lines, 0);
    const awaited = this.#awaitedBy(publisher, lines);
    if (awaited.length === 0) return this.#options.pass(publisher, lines, 0);
    publisher.pause();
    this.#parked.set(publisher, { lines, since: performance.now(), awaited });
    this.#parkedBytes += lines.bytes.length;
    this.#count(awaited, 1);
  }

  /** Whom lines have to wait for. */
  #awaitedBy(publisher: EbsocketConnection, lines: LineBlock): readonly EbsocketConnection[] {
    if (this.#holding.size === 0) return [];
    if (this.#parkedBytes + lines.bytes.length > this.#options.maxParkedBytes) return [];
    return this.#options.hearers(publisher, lines, [...this.#holding]);
  }

  /** Notes that one publisher more, or fewer, waits for some readers. */
  #count(awaited: readonly EbsocketConnection[], change: 1 | -1): void {
    for (const reader of awaited) this.#records.get(reader)!.waiting += change;
  }

  /** Looks at a reader for which something has just been queued. */
  observe(reader: EbsocketConnection): void {
    const room = reader.room();
    if (!room) return;
    let laggard = this.#records.get(reader);
    if (!laggard) {
      laggard = { lags: false, bytesOut: 0, stuck: 0, held: 0, heldAt: 0, waiting: 0 };
      this.#records.set(reader, laggard);
    }
    if (laggard.lags) return;
    laggard.lags = true;
    laggard.bytesOut = reader.bytesOut;
    laggard.stuck = reader.stalledMs >= STOOD_STILL_MS ? this.#options.maxHold : 0;
    this.#laggards.set(reader, laggard);
    this.#judge(reader, laggard);
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
    room.then(() => {
      laggard.lags = false;
      this.#holding.delete(reader);
      this.#releaseSoon();
    });
  }

  /**
   * Waits no longer for a reader that has gone. What it has sent itself is still passed on. A reader
   * may go while lines are being passed on to it: others follow when that is over.
   */
  forget(reader: EbsocketConnection): void {
    this.#holding.delete(reader);
    if (this.#laggards.delete(reader)) this.#releaseSoon();
  }

  /** Decides whether others may have to wait for a reader. For one that has stood still long, not. */
  #judge(reader: EbsocketConnection, laggard: Laggard): void {
    const now = performance.now();
    laggard.held = Math.max(0, laggard.held - REGAIN * (now - laggard.heldAt));
    laggard.heldAt = now;
    // It is looked at again a little later, and must not have held others up for too long by then.
    const isPatient = laggard.stuck + CHECK_MS <= this.#options.maxHold;
    if (laggard.lags && isPatient && laggard.held < this.#maxTotalHold) this.#holding.add(reader);
    else this.#holding.delete(reader);
  }

  /**
   * Counts the time of each laggard, and forgets those that have caught up. No clock is read for that:
   * when we stood still ourselves, readers could not show that they did not.
   */
  #check(): void {
    for (const [reader, laggard] of this.#laggards) {
      laggard.stuck = reader.bytesOut > laggard.bytesOut ? 0 : laggard.stuck + CHECK_MS;
      laggard.bytesOut = reader.bytesOut;
      if (this.#holding.has(reader) && laggard.waiting > 0) laggard.held += CHECK_MS;
      if (!laggard.lags && reader.pendingBytes === 0) this.#laggards.delete(reader);
      else this.#judge(reader, laggard);
    }
    this.#release();
  }

  /** Looks once at what is kept, however many readers have caught up or gone in one turn. */
  #releaseSoon(): void {
    this.#releaseAfter(Promise.resolve());
  }

  /** Looks at what is kept once something is over. */
  async #releaseAfter(wait: Promise<void>): Promise<void> {
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    await wait;
    this.#isReleasing = false;
    this.#release();
  }

  /** Passes on what is kept, a block at a time, while there is nobody to wait for. */
  #release(): void {
    let isFirst = true;
    for (const [publisher, parked] of this.#parked) {
      if (parked.awaited.some((reader) => this.#holding.has(reader))) continue;
      if (!isFirst && turnIsOver()) {
        this.#releaseAfter(nextTurn());
        break;
      }
      isFirst = false;
      this.#count(parked.awaited, -1);
      this.#parkedBytes -= parked.lines.bytes.length;
      // Others may have begun to lag meanwhile, by what has just been passed on for instance.
      parked.awaited = this.#awaitedBy(publisher, parked.lines);
      if (parked.awaited.length > 0) {
        this.#parkedBytes += parked.lines.bytes.length;
        this.#count(parked.awaited, 1);
        continue;
      }
      this.#parked.delete(publisher);
      this.#options.pass(publisher, parked.lines, performance.now() - parked.since);
      this.#options.onRelease(publisher);
    }
    if (this.#laggards.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
