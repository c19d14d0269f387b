/**
 * Owns what has arrived and has not been read: a bounded buffer with one reader at a time. Must not
 * know what it holds or where that comes from.
 *
 * @module
 */

import { clearTimers, nextTurn, turnIsOver } from "./turn.ts";
import { after, checkLimit } from "../protocol/option_checks.ts";

/** After how many items that were there already a reader asks whether others should have their turn. */
const ITEMS_BETWEEN_LOOKS = 16;

/** Options of an {@link Inbox}, shared by client and system. */
export interface InboxOptions {
  /**
   * How many items may wait unread, from 1. At this mark the sockets are no longer read, so that
   * TCP slows the senders down; at half of it they are read again.
   *
   * @default {10_000}
   */
  readonly maxUnreadEvents?: number;
  /**
   * How many bytes the items that wait unread may have had on the wire, from 1, with the same two
   * marks: without it, items of the greatest length would need gigabytes.
   *
   * @default {8_388_608}
   */
  readonly maxUnreadBytes?: number;
}

/** A queue of items with a high and a low mark. */
export class Inbox<T> {
  readonly #maxItems: number;
  readonly #maxBytes: number;
  readonly #onRoom: () => void;

  #items: T[] = [];
  /** How many of the items have been taken. */
  #taken = 0;
  /** An estimate: every unread item counts as their average. */
  #bytes = 0;
  #full = false;
  #ended = false;
  #room: PromiseWithResolvers<void> | null = null;
  #reader = "";
  #free: PromiseWithResolvers<void> | null = null;
  #looks = 0;
  #isLate = false;
  #wake: (() => void) | null = null;

  /** Makes an inbox that calls `onRoom` when it has been full and is half empty again. */
  constructor(
    { maxUnreadEvents = 10_000, maxUnreadBytes = 8_388_608 }: InboxOptions,
    onRoom: () => void,
  ) {
    this.#maxItems = checkLimit("maxUnreadEvents", maxUnreadEvents, 1);
    this.#maxBytes = checkLimit("maxUnreadBytes", maxUnreadBytes, 1);
    this.#onRoom = onRoom;
  }

  /** Whether the high mark has been reached, and the low mark not since. */
  get full(): boolean {
    return this.#full;
  }

  /** Whether nothing more will come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** A promise that resolves when the inbox is no longer full; `null` if it is not full now. */
  whenRoom(): Promise<void> | null {
    if (!this.#full) return null;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** How many items wait. */
  get length(): number {
    return this.#items.length - this.#taken;
  }

  /** How many bytes they had on the wire, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the reader has been at work for so long that {@link arrival} lets others have their turn. */
  isLate(): boolean {
    if (this.#isLate || ++this.#looks % ITEMS_BETWEEN_LOOKS > 0) return this.#isLate;
    // With fewer items, the reader will not be back; and after the end, nobody clears a timer.
    return this.#isLate = this.length >= ITEMS_BETWEEN_LOOKS &&
      turnIsOver(this.#ended ? null : this);
  }

  /** Adds items that had `bytes` on the wire. Never refuses: the caller asks `full` afterwards. */
  push(items: T[], bytes: number): void {
    if (items.length === 0) return;
    for (const item of items) this.#items.push(item);
    this.#bytes += bytes;
    this.#full ||= this.length >= this.#maxItems || this.#bytes >= this.#maxBytes;
    this.#wakeReader();
  }

  /** Says that nothing more will come. */
  end(): void {
    this.#ended = true;
    this.#wakeReader();
  }

  /** Says that more may come after all. What has not been read stays. */
  reopen(): void {
    this.#ended = false;
  }

  /** The oldest item, or `undefined` if there is none. */
  take(): T | undefined {
    if (this.length === 0) return undefined;
    this.#bytes -= this.#bytes / this.length;
    const item = this.#items[this.#taken++];
    // Lets go of what has been taken, at a cost of less than two copies of each item.
    if (2 * this.#taken > this.#items.length) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    this.#checkRoom();
    return item;
  }

  /** All items. */
  takeAll(): T[] {
    const items = this.#taken > 0 ? this.#items.slice(this.#taken) : this.#items;
    this.#items = [];
    this.#taken = 0;
    this.#bytes = 0;
    this.#checkRoom();
    return items;
  }

  #checkRoom(): void {
    if (!this.#full) return;
    if (this.length > this.#maxItems / 2 || this.#bytes > this.#maxBytes / 2) return;
    this.#full = false;
    this.#room?.resolve();
    this.#room = null;
    this.#onRoom();
  }

  /**
   * Makes the caller the only reader until it disposes of what it gets.
   *
   * @throws {TypeError} If there is a reader already: both would get half of the items.
   */
  claim(reader: string): Disposable {
    if (this.#reader) {
      throw new TypeError(`Cannot read with ${reader}: ${this.#reader} is reading already`);
    }
    this.#reader = reader;
    return {
      [Symbol.dispose]: () => {
        this.#reader = "";
        if (this.#ended || this.length === 0) clearTimers(); // Nothing is left that would need a turn.
        this.#free?.resolve();
        this.#free = null;
      },
    };
  }

  /** A promise that resolves when the reader there is has disposed of its claim; `null` without one. */
  whenFree(): Promise<void> | null {
    if (!this.#reader) return null;
    this.#free ??= Promise.withResolvers<void>();
    return this.#free.promise;
  }

  /** The oldest item once there is one, or `undefined` at the end. */
  async next(signal?: AbortSignal): Promise<T | undefined> {
    await this.arrival(Infinity, signal);
    return this.take();
  }

  /** Waits until there is an item or the end, for `timeout` milliseconds at most. */
  async arrival(timeout = Infinity, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.isLate()) {
      this.#isLate = false;
      await nextTurn();
      signal?.throwIfAborted();
    }
    if (this.length > 0 || this.#ended) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = after(timeout, resolve);
    signal?.addEventListener("abort", this.#wakeReader);
    await promise;
    clearTimeout(timer);
    signal?.removeEventListener("abort", this.#wakeReader);
    signal?.throwIfAborted();
  }

  #wakeReader = (): void => {
    this.#wake?.();
    this.#wake = null;
  };
}
