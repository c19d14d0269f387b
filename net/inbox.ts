/**
 * A bounded buffer of received items with one reader at a time, and its async iterator.
 *
 * @module
 */

import { clearTimers, nextTurn, turnIsOver } from "./turn.ts";
import { checkLimit } from "../protocol/option_checks.ts";
import { after } from "./timers.ts";

/** Number of items read without waiting between two checks whether other sockets need a turn. */
const ITEMS_PER_CHECK = 16;

/** Options of an {@link Inbox}, shared by client and system. */
export interface InboxOptions {
  /**
   * Most unread items, from 1. At this limit the sockets are no longer read, so TCP slows the
   * senders down. At half of it, reading resumes.
   *
   * @default {10_000}
   */
  readonly maxUnreadEvents?: number;
  /**
   * Most bytes of unread items, as received, from 1. The same two marks apply. Without this limit,
   * items of maximum length would need gigabytes.
   *
   * @default {8_388_608}
   */
  readonly maxUnreadBytes?: number;
}

/** A queue with a high-water and a low-water mark. */
export class Inbox<T> {
  /** Whether the high-water mark was reached, and the low-water mark not since. */
  full = false;
  /** Whether no more items will arrive. */
  ended = false;
  /** Bytes of the unread items as received. An estimate: each counts as their average size. */
  bytes = 0;
  readonly #maxItems: number;
  readonly #maxBytes: number;
  readonly #onRoom: () => void;

  #items: T[] = [];
  /** Number of items already taken from the array. */
  #taken = 0;
  #room: PromiseWithResolvers<void> | null = null;
  #reader = "";
  #free: PromiseWithResolvers<void> | null = null;
  #checks = 0;
  /** Whether a timer for the end of the turn may have been set for the reader of this inbox. */
  #mayHaveTimer = false;
  #mustYield = false;
  #wake: (() => void) | null = null;

  /**
   * Creates an inbox.
   *
   * @param onRoom Called when a full inbox is half empty again.
   */
  constructor(
    { maxUnreadEvents = 10_000, maxUnreadBytes = 8_388_608 }: InboxOptions,
    onRoom: () => void,
  ) {
    this.#maxItems = checkLimit("maxUnreadEvents", maxUnreadEvents, 1);
    this.#maxBytes = checkLimit("maxUnreadBytes", maxUnreadBytes, 1);
    this.#onRoom = onRoom;
  }

  /**
   * Returns a promise that resolves when the inbox is no longer full, or `null` if it is not full.
   */
  whenRoom(): Promise<void> | null {
    if (!this.full) return null;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Number of unread items. */
  get length(): number {
    return this.#items.length - this.#taken;
  }

  /**
   * Whether the reader has run so long that {@link arrival} should let other sockets have a turn.
   */
  mustYield(): boolean {
    if (this.#mustYield || ++this.#checks % ITEMS_PER_CHECK > 0) return this.#mustYield;
    // With fewer items the reader will soon stop.
    if (this.length < ITEMS_PER_CHECK) return false;
    // After the end, no code clears a timer.
    this.#mayHaveTimer = !this.ended;
    return this.#mustYield = turnIsOver(this.ended ? null : this);
  }

  /** Lets other work of the program run before its reader receives a further item. */
  yieldOnce(): void {
    this.#mustYield = true;
  }

  /**
   * Adds items that took `bytes` bytes on the wire. Never refuses items, so the caller checks
   * `full` afterwards.
   */
  push(items: T[], bytes: number): void {
    if (items.length === 0) return;
    for (const item of items) this.#items.push(item);
    this.bytes += bytes;
    this.full ||= this.length >= this.#maxItems || this.bytes >= this.#maxBytes;
    this.#wakeReader();
  }

  /** Marks the end of the input. */
  end(): void {
    this.ended = true;
    this.#wakeReader();
  }

  /** Reverts {@link end}. Unread items are kept. */
  reopen(): void {
    this.ended = false;
  }

  /** Removes and returns the oldest item, or returns `undefined` if there is none. */
  take(): T | undefined {
    if (this.length === 0) return undefined;
    this.bytes -= this.bytes / this.length;
    const item = this.#items[this.#taken++];
    // Frees the taken items, at a cost of less than two copies of each item.
    if (2 * this.#taken > this.#items.length) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    if (this.#mayHaveTimer && this.length === 0) {
      this.#mayHaveTimer = false;
      clearTimers(this); // No item needs a turn.
    }
    this.#checkRoom();
    return item;
  }

  /** Returns the oldest item for which `isMeant` returns `true`, and leaves it in its place. */
  find(isMeant: (item: T) => boolean): T | undefined {
    for (let at = this.#taken; at < this.#items.length; at++) {
      if (isMeant(this.#items[at]!)) return this.#items[at];
    }
    return undefined;
  }

  /** Removes and returns all items. */
  takeAll(): T[] {
    const items = this.#taken > 0 ? this.#items.slice(this.#taken) : this.#items;
    this.#items = [];
    this.#taken = 0;
    this.bytes = 0;
    this.#checkRoom();
    return items;
  }

  #checkRoom(): void {
    if (!this.full) return;
    if (this.length > this.#maxItems / 2 || this.bytes > this.#maxBytes / 2) return;
    this.full = false;
    this.#room?.resolve();
    this.#room = null;
    this.#onRoom();
  }

  /**
   * Makes the caller the only reader until it disposes of the result.
   *
   * @param reader The name of the caller, for error messages.
   * @returns The claim.
   * @throws {TypeError} If there is already a reader. Each of them would get only a part of the
   * items.
   */
  claim(reader: string): Disposable {
    if (this.#reader) {
      throw new TypeError(`Cannot read with ${reader}: ${this.#reader} is reading already`);
    }
    this.#reader = reader;
    return {
      [Symbol.dispose]: () => {
        this.#reader = "";
        if (this.ended || this.length === 0) clearTimers(this); // No item needs a turn.
        this.#free?.resolve();
        this.#free = null;
      },
    };
  }

  /**
   * Returns a promise that resolves when the current reader has disposed of its claim, or `null` if
   * there is none.
   */
  whenFree(): Promise<void> | null {
    if (!this.#reader) return null;
    this.#free ??= Promise.withResolvers<void>();
    return this.#free.promise;
  }

  /** Waits for the oldest item and removes it. Resolves to `undefined` at the end of the input. */
  async next(signal?: AbortSignal): Promise<T | undefined> {
    await this.arrival(Infinity, signal);
    return this.take();
  }

  /** Waits for an item or the end of the input, for at most `timeout` milliseconds. */
  async arrival(timeout = Infinity, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.mustYield()) await this.#yield(signal);
    if (this.length > 0 || this.ended) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = after(timeout, resolve);
    signal?.addEventListener("abort", this.#wakeReader);
    await promise;
    clearTimeout(timer);
    signal?.removeEventListener("abort", this.#wakeReader);
    signal?.throwIfAborted();
    if (this.#mustYield) await this.#yield(signal);
  }

  async #yield(signal: AbortSignal | undefined): Promise<void> {
    this.#mustYield = false;
    await nextTurn();
    signal?.throwIfAborted();
  }

  #wakeReader = (): void => {
    this.#wake?.();
    this.#wake = null;
  };
}

/**
 * Iterates over the items of an inbox up to its end. The first `next()` claims the inbox, the end
 * releases it, and calls are answered in order. An async generator answers the calls, except those
 * for which an item is there: it would await several promises for each.
 */
export class InboxIterator<T> implements AsyncGenerator<T, void, void> {
  readonly #inbox: Inbox<T>;
  readonly #generator: AsyncGenerator<T, void, void>;
  readonly #onItem: (item: T) => void;
  #abandon: () => void;
  /** Whether the inbox is claimed. */
  #isReading = false;
  /** Number of calls that the generator has not answered yet. */
  #pending = 0;

  /**
   * Creates an iterator.
   *
   * @param inbox The inbox to read.
   * @param open Claims the inbox. May be asynchronous or fail.
   * @param abandon Called if the iterator ends before the first item was requested.
   * @param onItem Called with each returned item.
   */
  constructor(
    inbox: Inbox<T>,
    open: () => Disposable | Promise<Disposable>,
    abandon: () => void = () => {},
    onItem: (item: T) => void = () => {},
  ) {
    this.#inbox = inbox;
    this.#generator = this.#generate(open);
    this.#abandon = abandon;
    this.#onItem = onItem;
  }

  async *#generate(
    open: () => Disposable | Promise<Disposable>,
  ): AsyncGenerator<T, void, void> {
    const claim = await open();
    this.#isReading = true;
    try {
      for (;;) {
        const item = await this.#inbox.next();
        if (item === undefined) return;
        this.#onItem(item);
        yield item;
      }
    } finally {
      this.#isReading = false;
      claim[Symbol.dispose]();
    }
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#isReading && this.#pending === 0 && !this.#inbox.mustYield()) {
      const value = this.#inbox.take();
      if (value !== undefined) {
        this.#onItem(value);
        return Promise.resolve({ done: false, value });
      }
    }
    return this.#answer(this.#generator.next());
  }

  return(value: void | PromiseLike<void>): Promise<IteratorResult<T, void>> {
    this.#abandon();
    return this.#answer(this.#generator.return(value));
  }

  throw(error: unknown): Promise<IteratorResult<T, void>> {
    this.#abandon();
    return this.#answer(this.#generator.throw(error));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Returns a call of the generator, and notes when it is answered. */
  #answer(call: Promise<IteratorResult<T, void>>): Promise<IteratorResult<T, void>> {
    this.#abandon = () => {};
    this.#pending++;
    call.then(this.#onAnswer, this.#onAnswer);
    return call;
  }

  #onAnswer = (): void => {
    this.#pending--;
  };
}
