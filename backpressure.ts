/**
 * Owns the decision who is slowed down when a reader lags behind: the publishers are, for a bounded
 * time, so that a burst reaches everyone who keeps reading. Must not know what the lines say.
 *
 * A reader lags from the moment that half of what may wait for it does (`room()` says so) until a
 * quarter does. Meanwhile the lines of a publisher are kept, one block of each, and it is not read
 * from; unless the reader takes nothing at all for {@link MAX_STANDSTILL_MS}, or needs more than
 * {@link MAX_HOLD_MS} to catch up. From then on its queue may fill up, which closes it with
 * `slow-consumer`.
 *
 * @module
 */

import type { EbsocketConnection } from "./connection.ts";
import type { LineBlock } from "./framing.ts";

/**
 * For how long one reader that takes nothing may hold up everyone, in milliseconds. Less would hit
 * readers that are merely slow: a full socket takes something only once a third of its buffer is
 * free again, which at 1 MB/s is most of a second.
 */
const MAX_STANDSTILL_MS = 1000;

/** For how long one reader that takes something may, until it has caught up. */
const MAX_HOLD_MS = 5000;

/** How often the readers that lag are looked at, in milliseconds. */
const CHECK_MS = 50;

/** A reader that lags. */
interface Laggard {
  bytesOut: number;
  /** For how long it has taken nothing, in milliseconds. */
  standstill: number;
  /** For how long it has held up others, in milliseconds. */
  held: number;
}

/** Pauses and resumes the publishers of one relay. */
export class Backpressure {
  readonly #pass: (publisher: EbsocketConnection, lines: LineBlock) => void;
  readonly #laggards = new Map<EbsocketConnection, Laggard>();
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
    this.#laggards.set(reader, { bytesOut: reader.bytesOut, standstill: 0, held: 0 });
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
    room.then(() => {
      this.#laggards.delete(reader);
      this.#release();
    });
  }

  #isHolding(): boolean {
    for (const laggard of this.#laggards.values()) if (mayHold(laggard)) return true;
    return false;
  }

  /** Counts the time of each laggard. */
  #check(): void {
    for (const [reader, laggard] of this.#laggards) {
      const isMoving = reader.bytesOut > laggard.bytesOut;
      laggard.bytesOut = reader.bytesOut;
      laggard.standstill = isMoving ? 0 : laggard.standstill + CHECK_MS;
      if (this.#parked.size > 0) laggard.held += CHECK_MS;
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

function mayHold({ standstill, held }: Laggard): boolean {
  return standstill < MAX_STANDSTILL_MS && held < MAX_HOLD_MS;
}
