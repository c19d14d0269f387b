/**
 * Owns the decision who is slowed down when a reader lags behind: the publishers are, for a bounded
 * time, so that a burst reaches everyone who keeps reading. Must not know what the lines say.
 *
 * A reader lags from the moment that half of what may wait for it does (`room()` says so) until a
 * quarter does. Meanwhile the lines of a publisher are kept, one block of each, and it is not read
 * from; unless the reader has taken nothing at all for {@link MAX_STANDSTILL_MS}, also before it began
 * to lag, or needs more than {@link MAX_HOLD_MS} to catch up. From then on its queue may fill up,
 * which closes it with `slow-consumer`.
 *
 * @module
 */

import type { EbsocketConnection } from "./connection.ts";
import type { LineBlock } from "./splitter.ts";

/**
 * For how long one reader that takes nothing may hold up everyone, in milliseconds. Less would hit
 * readers that are merely slow: a full socket takes something only once a third of its buffer is
 * free again, which at 2 MB/s is most of a second.
 */
const MAX_STANDSTILL_MS = 1000;

/** For how long one reader that takes something may, until it has caught up. */
const MAX_HOLD_MS = 5000;

/** How often the readers that lag are looked at, in milliseconds. */
const CHECK_MS = 50;

/** Pauses and resumes the publishers of one relay. */
export class Backpressure {
  readonly #pass: (publisher: EbsocketConnection, lines: LineBlock) => void;
  /** The readers that lag, and for how long each has held up others, in milliseconds. */
  readonly #laggards = new Map<EbsocketConnection, number>();
  /** The publishers that are not being read from, with what they sent last. */
  readonly #parked = new Map<EbsocketConnection, LineBlock>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Makes one that passes lines on with `pass`, which is to call `observe()` for every reader. */
  constructor(pass: (publisher: EbsocketConnection, lines: LineBlock) => void) {
    this.#pass = pass;
  }

  /** Passes lines on, at once or when nobody has to be waited for. */
  deliver(publisher: EbsocketConnection, lines: LineBlock): void {
    if (!this.#isHolding()) return this.#pass(publisher, lines);
    publisher.pause();
    this.#parked.set(publisher, lines);
  }

  /** Looks at a reader for which something has just been queued. */
  observe(reader: EbsocketConnection): void {
    const room = reader.room();
    if (!room || this.#laggards.has(reader)) return;
    this.#laggards.set(reader, 0);
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
    room.then(() => {
      this.#laggards.delete(reader);
      this.#release();
    });
  }

  /** Whether some reader may hold the publishers up. One that has stood still long may not. */
  #isHolding(): boolean {
    if (this.#laggards.size === 0) return false;
    const standstill = performance.now() - MAX_STANDSTILL_MS;
    for (const [reader, held] of this.#laggards) {
      if (held < MAX_HOLD_MS && reader.lastProgress > standstill) return true;
    }
    return false;
  }

  /** Counts the time of each laggard. */
  #check(): void {
    if (this.#parked.size > 0) {
      for (const [reader, held] of this.#laggards) this.#laggards.set(reader, held + CHECK_MS);
    }
    this.#release();
  }

  /** Passes on what is kept, a block at a time, while there is nobody to wait for. */
  #release(): void {
    for (const [publisher, lines] of this.#parked) {
      if (this.#isHolding()) break;
      this.#parked.delete(publisher);
      this.#pass(publisher, lines);
      publisher.resume();
    }
    if (this.#laggards.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
