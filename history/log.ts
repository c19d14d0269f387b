/**
 * The interface of a log: the kept events of a relay, in order.
 *
 * @module
 */

import type { KeptBlock } from "./kept_block.ts";
import type { Producer } from "./producers.ts";

/** Who is told what happens to a log. */
export interface LogSink {
  /** Called when {@link EventLog.synced} has grown. */
  onSynced(): void;
  /**
   * Called when a part of the log is complete, before older ones may be dropped. What is needed of
   * them must be on the disk when the promise resolves.
   *
   * @param onProgress To be called now and then until it does, as long as the disk works.
   */
  onSegment(onProgress: () => void): Promise<void>;
  /** Called with what is wrong with the disk, while events are still to be kept. */
  onFault(fault: string): void;
  /** Called when events cannot be kept any more. `fault` says why. */
  onBroken(fault: string): void;
  /**
   * Called before events are kept again. What is known of events that are lost must be forgotten when
   * the promise resolves.
   */
  onReopen(): Promise<void>;
  /** Called when events are kept again, in a new epoch. */
  onMended(): void;
}

/**
 * The kept events of a relay, as those see them that read them. Offsets increase. The oldest events
 * are dropped first.
 */
export interface KeptLog {
  /** The name of the log. Offsets of different logs have nothing to do with each other. */
  readonly epoch: string;
  /** The least offset that is left, or that of the next event if none is left. */
  readonly first: number;
  /** The offset of the last event that clients may receive, or 0. */
  readonly head: number;
  /** Number of kept events, as far as is known. */
  readonly events: number;
  /** Number of events that were dropped because of a limit, as far as is known. */
  readonly evicted: number;
  /** The size of the blocks of the kept events, in bytes. */
  readonly bytes: number;
  /** The offset up to which events count as kept, and may be acknowledged. */
  readonly synced: number;
  /** Whether no event is kept at the moment. Then none may be added. */
  readonly isBroken: boolean;
  /**
   * Returns the last offset that events of an epoch and of this log have in common: that of the last
   * event in the present epoch. Returns `undefined` if they have none.
   */
  throughOf(epoch: string): number | undefined;
  /**
   * Returns the block that contains the event with this offset, from `first` to `head`. If it is
   * damaged or was deleted, returns the next one, or one without events at its place.
   */
  read(offset: number): KeptBlock | Promise<KeptBlock>;
  /**
   * Returns the least offset of an event that may have been added at the time `time` or later, or
   * that of the next event. An earlier event may be among them, by some milliseconds.
   */
  since(time: number): number | Promise<number>;
  /**
   * Returns a promise that resolves when enough is known to answer a reader that has a position, or
   * only the offset of one, or `null` if it is.
   */
  look(position: { readonly epoch?: string; readonly offset: number }): Promise<void> | null;
  /** Returns about how many bytes of events follow the event with this offset. */
  bytesAfter(offset: number): number;
  /** Drops the events that have become too old. */
  expire(now: number): void;
  /** Looks whether the disk still works. To be called each second. */
  checkDisk(): void;
  /** Ends the log in order. */
  close(): Promise<void>;
}

/** A log to which one relay adds events. Offsets have no gaps. */
export interface EventLog extends KeptLog {
  /**
   * The offset of the last event that was added, or 0. It is greater than {@link head} while events
   * have to be on the disk before clients receive them, and are not yet.
   */
  readonly added: number;
  /** Whether events count as kept some time after they were added, see {@link LogSink.onSynced}. */
  readonly keepsLater: boolean;
  /** Sets who is told. */
  watch(sink: LogSink): void;
  /** Whether senders should wait for {@link whenRoom}. */
  readonly isFull: boolean;
  /** Resolves when senders need not wait any more. */
  whenRoom(): Promise<void>;
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
  /**
   * Notes whose events were added last.
   *
   * @param producer Their producer, which has sent no others since the first of them.
   * @param count The number of these events.
   * @param taken The number of the last of them among all events of the producer.
   */
  count(producer: Producer, count: number, taken: number): void;
}
