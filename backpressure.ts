/**
 * Owns the decision who is slowed down when a reader lags behind: the publishers are, for a bounded
 * time, so that a burst reaches everyone who keeps reading. Must not know lines or sockets.
 *
 * A reader lags from the moment that half of what may wait for it does (`room()` says so) until a
 * quarter does. Meanwhile the publishers are not read from, unless the reader takes nothing at all
 * for {@link MAX_STANDSTILL_MS}, or has held the others up for {@link MAX_HOLD_MS}. From then on its
 * queue may fill up, which closes it with `slow-consumer`.
 *
 * @module
 */

import type { EbsocketConnection } from "./connection.ts";

/** For how long one reader that takes nothing may hold up everyone, in milliseconds. */
const MAX_STANDSTILL_MS = 250;

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
  readonly #laggards = new Map<EbsocketConnection, Laggard>();
  /** The publishers that are not being read from. */
  readonly #paused = new Set<EbsocketConnection>();
  #timer: ReturnType<typeof setInterval> | undefined;

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

  /** Slows a publisher down if it has to wait for a reader. */
  hold(publisher: EbsocketConnection): void {
    if (!this.#isHolding()) return;
    publisher.pause();
    this.#paused.add(publisher);
  }

  /** Forgets a publisher that has gone. */
  forget(publisher: EbsocketConnection): void {
    this.#paused.delete(publisher);
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
      if (this.#paused.size > 0) laggard.held += CHECK_MS;
    }
    this.#release();
  }

  /** Lets the publishers go on if there is nobody left to wait for. */
  #release(): void {
    if (this.#laggards.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    if (this.#isHolding()) return;
    for (const publisher of this.#paused) publisher.resume();
    this.#paused.clear();
  }
}

function mayHold({ standstill, held }: Laggard): boolean {
  return standstill < MAX_STANDSTILL_MS && held < MAX_HOLD_MS;
}
