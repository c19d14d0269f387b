/**
 * The interface of a log: the kept events of a relay, in order.
 *
 * @module
 */

import type { KeptBlock } from "./kept_block.ts";

/** The kept events of a relay. Offsets have no gaps. The oldest events are dropped first. */
export interface EventLog {
  /** The name of the log. Offsets of different logs have nothing to do with each other. */
  readonly epoch: string;
  /** The least offset that is left, or that of the next event if none is left. */
  readonly first: number;
  /** The offset of the last event, or 0. */
  readonly head: number;
  /** The size of the blocks of the kept events, in bytes. */
  readonly bytes: number;
  /**
   * Adds `count` events of one sender.
   *
   * @param lines Contains the events as whole lines, from `start` to `end`. They are copied.
   * @param sender The sender, or `NO_SENDER` if that does not matter.
   * @param now The current time, by the clock of `performance.now()`.
   * @returns The offset of the first of them.
   */
  append(
    lines: Uint8Array,
    start: number,
    end: number,
    count: number,
    sender: number,
    now: number,
  ): number;
  /** Returns the block that contains the event with this offset, from `first` to `head`. */
  read(offset: number): KeptBlock | Promise<KeptBlock>;
  /**
   * Returns the least offset of an event that may have been added at the time `time` or later, or
   * that of the next event. An earlier event may be among them, by some milliseconds.
   */
  since(time: number): number;
  /** Returns about how many bytes of events follow the event with this offset. */
  bytesAfter(offset: number): number;
  /** Drops the events that have become too old. */
  expire(now: number): void;
}
