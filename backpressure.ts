/**
 * Owns the decision who is slowed down when a reader lags behind: the publishers are, for a bounded
 * time, so that a burst reaches everyone who keeps reading. Must not know what the lines say.
 *
 * A reader lags from the moment that half of what may wait for it does (`room()` says so) until a
 * quarter does. Meanwhile the lines of a publisher are kept, one block of each, and it is not read
 * from; unless the reader has taken nothing at all for `maxHold` milliseconds, or already for
 * {@link STOOD_STILL_MS} before it began to lag, or has held others up for {@link MAX_TOTAL_HOLD_MS} since nothing waited for it. From then
 * on its queue may fill up, which closes it with `slow-consumer`.
 *
 * @module
 */

import type { EbsocketConnection } from "./connection.ts";
import type { LineBlock } from "./splitter.ts";

/**
 * For how long one reader that takes something may hold up everyone before it has caught up, in
 * milliseconds. Without a bound, one slow reader could set the pace for all, for ever.
 */
const MAX_TOTAL_HOLD_MS = 60_000;

/** From when on a reader that takes nothing is not waited for once it begins to lag. */
const STOOD_STILL_MS = 750;

/** How often the readers that lag are looked at, in milliseconds. */
const CHECK_MS = 25;

/** A reader that lags, or has lagged and not caught up yet. */
interface Laggard {
  /** Whether so much waits for it that others have to wait. */
  lags: boolean;
  /** How many bytes it had taken when it was last looked at. */
  bytesOut: number;
  /** For how long it has taken nothing since it began to lag, in milliseconds of our own running. */
  stuck: number;
  /** For how long it has held up others, in milliseconds. */
  held: number;
}

/** What a publisher that waits has sent last, and since when it waits. */
interface Parked {
  readonly lines: LineBlock;
  /** By the clock of `performance.now()`. */
  readonly since: number;
}

/** Pauses and resumes the publishers of one relay. */
export class Backpressure {
  readonly #pass: (publisher: EbsocketConnection, lines: LineBlock, held: number) => void;
  readonly #maxHold: number;
  readonly #onRelease: (publisher: EbsocketConnection) => void;
  readonly #laggards = new Map<EbsocketConnection, Laggard>();
  /** The publishers that are not being read from. */
  readonly #parked = new Map<EbsocketConnection, Parked>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /**
   * Makes one that passes lines on with `pass`, which is to call `observe()` for every reader, and
   * that calls `onRelease` when a publisher may be read from again. `pass` also gets for how long the
   * publisher was held up, in milliseconds.
   */
  constructor(
    maxHold: number,
    pass: (publisher: EbsocketConnection, lines: LineBlock, held: number) => void,
    onRelease: (publisher: EbsocketConnection) => void,
  ) {
    this.#maxHold = maxHold;
    this.#pass = pass;
    this.#onRelease = onRelease;
  }

  /** Whether a publisher has to wait. */
  holds(publisher: EbsocketConnection): boolean {
    return this.#parked.has(publisher);
  }

  /** Passes lines on, at once or when nobody has to be waited for. */
  deliver(publisher: EbsocketConnection, lines: LineBlock): void {
    if (!this.#isHolding()) return this.#pass(publisher, lines, 0);
    publisher.pause();
    this.#parked.set(publisher, { lines, since: performance.now() });
  }

  /** Looks at a reader for which something has just been queued. */
  observe(reader: EbsocketConnection): void {
    const room = reader.room();
    if (!room) return;
    const laggard = this.#laggards.get(reader) ??
      { lags: false, bytesOut: 0, stuck: 0, held: 0 };
    if (laggard.lags) return;
    laggard.lags = true;
    laggard.bytesOut = reader.bytesOut;
    laggard.stuck = reader.standstill >= STOOD_STILL_MS ? this.#maxHold : 0;
    this.#laggards.set(reader, laggard);
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
    room.then(() => {
      laggard.lags = false;
      this.#release();
    });
  }

  /**
   * Waits no longer for a reader that has gone. What it has sent itself is still passed on. A reader
   * may go while lines are being passed on to it: others follow when that is over.
   */
  forget(reader: EbsocketConnection): void {
    if (this.#laggards.delete(reader)) queueMicrotask(() => this.#release());
  }

  /** Whether some reader may hold the publishers up. One that has stood still long may not. */
  #isHolding(): boolean {
    if (this.#laggards.size === 0) return false;
    for (const { lags, stuck, held } of this.#laggards.values()) {
      // It is looked at again a little later, and must not have held others up for too long by then.
      if (lags && stuck + CHECK_MS <= this.#maxHold && held < MAX_TOTAL_HOLD_MS) return true;
    }
    return false;
  }

  /**
   * Counts the time of each laggard, and forgets those that have caught up. No clock is read: when
   * we stood still ourselves, readers could not show that they did not.
   */
  #check(): void {
    for (const [reader, laggard] of this.#laggards) {
      laggard.stuck = reader.bytesOut > laggard.bytesOut ? 0 : laggard.stuck + CHECK_MS;
      laggard.bytesOut = reader.bytesOut;
      if (laggard.lags && this.#parked.size > 0) laggard.held += CHECK_MS;
      if (!laggard.lags && reader.pendingBytes === 0) this.#laggards.delete(reader);
    }
    this.#release();
  }

  /** Passes on what is kept, a block at a time, while there is nobody to wait for. */
  #release(): void {
    for (const [publisher, { lines, since }] of this.#parked) {
      if (this.#isHolding()) break;
      this.#parked.delete(publisher);
      this.#pass(publisher, lines, performance.now() - since);
      this.#onRelease(publisher);
    }
    if (this.#laggards.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
