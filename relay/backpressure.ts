/**
 * Decides which publishers are slowed down when a reader lags. Publishers whose events a lagging
 * reader receives are held up for a bounded time, so that a burst reaches every client that keeps
 * reading. Does not depend on the content or the routing of lines.
 *
 * A reader starts to lag when half of its send queue is full, which `room()` reports. It stops when
 * only a quarter is full. Meanwhile its publishers are parked: the relay keeps one block of lines
 * for each publisher and stops reading from it. A reader no longer holds up publishers in these
 * cases:
 *
 * - It has taken nothing for `maxHold` milliseconds.
 * - It had already taken nothing for {@link STOOD_STILL_MS} when it started to lag.
 * - It has held up publishers for {@link MAX_TOTAL_HOLD_MS} in total.
 *
 * From then on its queue may fill up, which closes it with `slow-consumer`.
 *
 * @module
 */

import type { LineConnection } from "../net/line_connection.ts";
import { nextTurn, turnIsOver } from "../net/turn.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";

/**
 * Maximum total time that a reader that still takes bytes may hold up publishers, in milliseconds.
 * Without this bound, one slow reader could set the pace of all clients forever. A reader regains
 * time only at the rate of {@link REGAIN}. Catching up restores nothing, because the reader could
 * then start anew each time.
 */
const MAX_TOTAL_HOLD_MS = 60_000;

/**
 * Share of the elapsed time that a reader regains for holding up publishers: one second a minute.
 */
const REGAIN = 1 / 60;

/**
 * Time without progress after which a reader that starts to lag holds up no publisher, in
 * milliseconds.
 */
const STOOD_STILL_MS = 750;

/** Interval between checks of the lagging readers, in milliseconds. */
const CHECK_MS = 25;

/** A reader that lags or has not caught up since. */
interface Laggard {
  /** Whether its queue is so full that publishers may have to wait. */
  lags: boolean;
  /** Number of bytes that it had taken at the last check. */
  bytesOut: number;
  /**
   * Time without progress since it started to lag, in milliseconds of the relay's own running time.
   */
  stuck: number;
  /** Time that it has held up publishers, less the time regained, in milliseconds. */
  blockedMs: number;
  /** Time of the last update of `blockedMs`, by the clock of `performance.now()`. */
  updatedAt: number;
  /** Number of publishers that wait for it. */
  publishers: number;
}

/**
 * The last block of a waiting publisher, the start of the wait, and the readers that it waits for.
 */
interface Parked {
  readonly lines: LineBlock;
  /** By the clock of `performance.now()`. */
  readonly since: number;
  awaited: readonly LineConnection[];
}

/** The bounds of {@link Backpressure}. */
export interface BackpressureBounds {
  /** Maximum time that a reader that takes nothing may hold up publishers, in milliseconds. */
  readonly maxHold: number;
  /**
   * Maximum total time that a reader that still takes bytes may hold up publishers, in
   * milliseconds.
   *
   * @default {60_000}
   */
  readonly maxTotalHold?: number;
  /** Maximum number of parked bytes. Beyond it, no publisher waits. */
  readonly maxParkedBytes: number;
}

/** Takes the lines that need not wait any longer, and knows their recipients. */
export interface BackpressureSink {
  /**
   * Passes lines on and calls `observe()` for every reader that receives some. `parkedMs` is the
   * time that the publisher was held up, in milliseconds.
   */
  pass(publisher: LineConnection, lines: LineBlock, parkedMs: number): void;
  /**
   * Returns those of `readers` that would receive some of the lines, so that the lines have to wait
   * for them.
   */
  recipientsAmong(
    readers: readonly LineConnection[],
    publisher: LineConnection,
    lines: LineBlock,
  ): readonly LineConnection[];
  /**
   * Returns whether a reader is another relay that is at work. Publishers wait for it without a limit,
   * because it limits by itself how long its clients hold them up.
   */
  isRelayAtWork(reader: LineConnection): boolean;
  /** Called when a publisher may be read from again. */
  onRelease(publisher: LineConnection): void;
}

/** Pauses and resumes the publishers of one relay. */
export class Backpressure {
  readonly #sink: BackpressureSink;
  readonly #maxHold: number;
  readonly #maxTotalHold: number;
  readonly #maxParkedBytes: number;
  readonly #records = new WeakMap<LineConnection, Laggard>();
  /** The readers that lag or have not caught up since. */
  readonly #laggards = new Map<LineConnection, Laggard>();
  /** Those laggards that publishers may have to wait for. */
  readonly #blocking = new Set<LineConnection>();
  /** The publishers that are not being read from. */
  readonly #parked = new Map<LineConnection, Parked>();
  #parkedBytes = 0;
  #isReleasing = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Creates an instance in which no reader lags. */
  constructor(
    sink: BackpressureSink,
    { maxHold, maxTotalHold = MAX_TOTAL_HOLD_MS, maxParkedBytes }: BackpressureBounds,
  ) {
    this.#sink = sink;
    this.#maxHold = maxHold;
    this.#maxTotalHold = maxTotalHold;
    this.#maxParkedBytes = maxParkedBytes;
  }

  /** Whether another release is scheduled. */
  get isReleasing(): boolean {
    return this.#isReleasing;
  }

  /** Returns whether a publisher has to wait. */
  isParked(publisher: LineConnection): boolean {
    return this.#parked.has(publisher);
  }

  /** Stops holding up a publisher. Returns its waiting lines, which the caller passes on, or `null`. */
  unpark(publisher: LineConnection): LineBlock | null {
    const parked = this.#parked.get(publisher);
    if (!parked) return null;
    this.#parked.delete(publisher);
    this.#parkedBytes -= parked.lines.bytes.length;
    this.#count(parked.awaited, -1);
    return parked.lines;
  }

  /** Passes lines on, at once or as soon as none of their recipients holds up publishers. */
  deliver(publisher: LineConnection, lines: LineBlock): void {
    if (this.#blocking.size === 0) return this.#sink.pass(publisher, lines, 0);
    const awaited = this.#awaitedBy(publisher, lines);
    if (awaited.length === 0) return this.#sink.pass(publisher, lines, 0);
    publisher.pause();
    this.#parked.set(publisher, { lines, since: performance.now(), awaited });
    this.#parkedBytes += lines.bytes.length;
    this.#count(awaited, 1);
  }

  /** Returns the readers that the lines have to wait for. */
  #awaitedBy(publisher: LineConnection, lines: LineBlock): readonly LineConnection[] {
    if (this.#blocking.size === 0) return [];
    if (this.#parkedBytes + lines.bytes.length > this.#maxParkedBytes) return [];
    return this.#sink.recipientsAmong([...this.#blocking], publisher, lines);
  }

  /** Adds or removes one waiting publisher in the count of each reader. */
  #count(awaited: readonly LineConnection[], change: 1 | -1): void {
    for (const reader of awaited) this.#records.get(reader)!.publishers += change;
  }

  /** Checks a reader after lines have been queued for it. */
  observe(reader: LineConnection): void {
    const room = reader.room();
    if (!room || reader.isOutOfCredit) return;
    let laggard = this.#records.get(reader);
    if (!laggard) {
      laggard = { lags: false, bytesOut: 0, stuck: 0, blockedMs: 0, updatedAt: 0, publishers: 0 };
      this.#records.set(reader, laggard);
    }
    if (laggard.lags) return;
    laggard.lags = true;
    laggard.bytesOut = reader.bytesOut;
    laggard.stuck = reader.stalledMs >= STOOD_STILL_MS ? this.#maxHold : 0;
    this.#laggards.set(reader, laggard);
    this.#judge(reader, laggard);
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
    room.then(() => {
      laggard.lags = false;
      this.#blocking.delete(reader);
      this.#releaseLater();
    });
  }

  /**
   * Stops waiting for a reader that has left. Lines that it sent itself are still passed on. A
   * reader may leave while lines are being passed on to it, so the release of other publishers
   * follows afterwards.
   */
  forget(reader: LineConnection): void {
    this.#blocking.delete(reader);
    if (this.#laggards.delete(reader)) this.#releaseLater();
  }

  /**
   * Decides whether publishers may have to wait for a reader. They do not wait for a reader that
   * has stood still for long, or has said that it can take no more events.
   */
  #judge(reader: LineConnection, laggard: Laggard): void {
    const now = performance.now();
    laggard.blockedMs = Math.max(0, laggard.blockedMs - REGAIN * (now - laggard.updatedAt));
    laggard.updatedAt = now;
    // The next check comes a little later. The reader must not have held up publishers for too long
    // by then.
    const isPatient = laggard.stuck + CHECK_MS <= this.#maxHold;
    const isInTime = isPatient && laggard.blockedMs < this.#maxTotalHold;
    const mayBlock = laggard.lags && !reader.isOutOfCredit &&
      (isInTime || this.#sink.isRelayAtWork(reader));
    if (mayBlock) this.#blocking.add(reader);
    else this.#blocking.delete(reader);
  }

  /**
   * Adds to the time of each laggard, and forgets those that have caught up. Counts checks and
   * reads no clock, because readers cannot show progress while this process stands still.
   */
  #check(): void {
    for (const [reader, laggard] of this.#laggards) {
      laggard.stuck = reader.bytesOut > laggard.bytesOut ? 0 : laggard.stuck + CHECK_MS;
      laggard.bytesOut = reader.bytesOut;
      if (this.#blocking.has(reader) && laggard.publishers > 0) laggard.blockedMs += CHECK_MS;
      if (!laggard.lags && reader.pendingBytes === 0) this.#laggards.delete(reader);
      else this.#judge(reader, laggard);
    }
    this.#release();
  }

  /**
   * Schedules one release, however many readers have caught up or left in one turn. It follows
   * `wait`, if given.
   */
  async #releaseLater(wait?: Promise<void>): Promise<void> {
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    await wait;
    this.#isReleasing = false;
    this.#release();
  }

  /** Passes parked blocks on, one at a time, while no reader holds them up. */
  #release(): void {
    let isFirst = true;
    for (const [publisher, parked] of this.#parked) {
      if (parked.awaited.some((reader) => this.#blocking.has(reader))) continue;
      if (!isFirst && turnIsOver()) {
        this.#releaseLater(nextTurn());
        break;
      }
      isFirst = false;
      this.#count(parked.awaited, -1);
      this.#parkedBytes -= parked.lines.bytes.length;
      // More readers may lag by now, for example because of the block that was just passed on.
      parked.awaited = this.#awaitedBy(publisher, parked.lines);
      if (parked.awaited.length > 0) {
        this.#parkedBytes += parked.lines.bytes.length;
        this.#count(parked.awaited, 1);
        continue;
      }
      this.#parked.delete(publisher);
      this.#sink.pass(publisher, parked.lines, performance.now() - parked.since);
      this.#sink.onRelease(publisher);
    }
    if (this.#laggards.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
