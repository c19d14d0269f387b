/**
 * Owns what `for await` does with an inbox: it gives the items, and holds the claim while it does.
 * Must not know whose inbox it is.
 *
 * @module
 */

import type { Inbox } from "./inbox.ts";

/**
 * The items of an inbox up to its end, with the rules of an async generator, which itself would wait
 * for several promises per item: the inbox is claimed by the first `next()` and released at the end,
 * and calls are answered in their order.
 */
export class InboxIterator<T> implements AsyncGenerator<T, void, void> {
  readonly #inbox: Inbox<T>;
  /** Claims the inbox; `null` once it has been called, or never will be. */
  #open: (() => Disposable | Promise<Disposable>) | null;
  readonly #abandon: () => void;
  readonly #onItem: (item: T) => void;
  /** What `#open` gave, until the end. */
  #claim: Disposable | null = null;
  /** Resolves when the last call has been answered; `null` when all have been. */
  #answered: Promise<void> | null = null;

  /**
   * Makes an iterator that calls `open` to claim the inbox, which may take its time, or fail; or
   * `abandon`, if it is ended before anybody has wanted an item; and `onItem` with each that it gives.
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

  /** Answers a call once those before it have been answered. */
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

  /** The next item once there is one. */
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
