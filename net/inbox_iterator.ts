/**
 * The async iterator of an inbox, which holds the claim on the inbox while it runs.
 *
 * @module
 */

import type { Inbox } from "./inbox.ts";

/**
 * Iterates over the items of an inbox up to its end. It follows the rules of an async generator,
 * which would itself await several promises per item. The first `next()` claims the inbox, the end
 * releases it, and calls are answered in order.
 */
export class InboxIterator<T> implements AsyncGenerator<T, void, void> {
  readonly #inbox: Inbox<T>;
  /** Claims the inbox. `null` once it was called, or if it never will be. */
  #open: (() => Disposable | Promise<Disposable>) | null;
  readonly #abandon: () => void;
  readonly #onItem: (item: T) => void;
  /** Result of `#open`, until the end. */
  #claim: Disposable | null = null;
  /** Resolves when the last call has been answered; `null` when no call is pending. */
  #answered: Promise<void> | null = null;

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
    this.#open = open;
    this.#abandon = abandon;
    this.#onItem = onItem;
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#claim && !this.#answered && !this.#inbox.isLate()) {
      const value = this.#inbox.take();
      if (value !== undefined) {
        this.#onItem(value);
        return Promise.resolve({ done: false, value });
      }
    }
    return this.#inTurn(() => this.#wait());
  }

  return(value: void | PromiseLike<void>): Promise<IteratorResult<T, void>> {
    return this.#inTurn(async () => {
      this.#end();
      return { done: true, value: await value };
    });
  }

  throw(error: unknown): Promise<IteratorResult<T, void>> {
    return this.#inTurn(() => {
      this.#end();
      throw error;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Answers a call after all earlier calls have been answered. */
  async #inTurn<R>(answer: () => Promise<R>): Promise<R> {
    const before = this.#answered;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answered = promise;
    try {
      if (before) await before;
      return await answer();
    } finally {
      if (this.#answered === promise) this.#answered = null;
      resolve();
    }
  }

  /** Waits for the next item. */
  async #wait(): Promise<IteratorResult<T, void>> {
    const open = this.#open;
    this.#open = null;
    if (open) this.#claim = await open();
    const value = this.#claim ? await this.#inbox.next() : undefined;
    if (value !== undefined) {
      this.#onItem(value);
      return { done: false, value };
    }
    this.#end();
    return { done: true, value: undefined };
  }

  #end(): void {
    if (this.#open) this.#abandon();
    this.#open = null;
    this.#claim?.[Symbol.dispose]();
    this.#claim = null;
  }
}
