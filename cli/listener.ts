/**
 * Owns what is heard for as long as somebody wants to hear, also when a connection ends: then it makes
 * the next. Must not know what the events are for.
 *
 * @module
 */

import { printable } from "../protocol/printable.ts";
import { checkReconnectOptions, isFinal, Retries } from "../client/retry.ts";
import type { Refusal } from "../protocol/routing.ts";
import { abortable } from "../net/waits.ts";
import { advised, type Target } from "./connect.ts";
import { describeEnd, StartError } from "./errors.ts";
import { type HelloExtras, Subscription } from "./subscription.ts";
import type { ReceivedLine, WireOptions } from "./raw_connection.ts";

/** Who hears. */
export interface ListenerSink {
  /** An event has come over the connection of `subscription`. */
  onEvent(event: ReceivedLine, subscription: Subscription): void;
  /** Something has happened to the connection that a person wants to know. */
  onNews(text: string): void;
  /** The first connection has been made. Without it, {@link onNews} tells. */
  onStart?(subscription: Subscription): void;
  /** The relay refuses something that was sent over a connection. */
  onRefusal?(refusal: Refusal): void;
  /** The listener was stopped, and ends this connection once the promise has been fulfilled. */
  onStop?(subscription: Subscription): Promise<void>;
}

/** Hears events. */
export class Listener {
  readonly #target: Target;
  readonly #wishes: HelloExtras;
  readonly #sink: ListenerSink;
  #subscription: Subscription | null = null;
  #isPaused = false;

  /** Makes one that has not begun. */
  constructor(target: Target, wishes: HelloExtras, sink: ListenerSink) {
    this.#target = target;
    this.#wishes = wishes;
    this.#sink = sink;
  }

  /** Asks for no more for now. */
  pause(): void {
    this.#isPaused = true;
    this.#subscription?.wire.pause();
  }

  /** Goes on. */
  resume(): void {
    this.#isPaused = false;
    this.#subscription?.wire.resume();
  }

  /**
   * Hears events until `signal` is aborted, and rejects with its reason then.
   *
   * @throws {StartError} If it cannot connect at first, or there is no point in connecting again.
   */
  async run(signal: AbortSignal): Promise<never> {
    try {
      return await advised(this.#target, signal, (secrets) => this.#listen({ secrets, signal }));
    } finally {
      const subscription = this.#subscription;
      if (signal.aborted && subscription) await this.#sink.onStop?.(subscription);
      await subscription?.wire.close();
    }
  }

  async #listen(options: WireOptions): Promise<never> {
    const { signal } = options;
    const retries = new Retries(checkReconnectOptions({}));
    let subscription = await this.#open(options);
    if (this.#sink.onStart) this.#sink.onStart(subscription);
    else this.#sink.onNews(`Listening to ${subscription.wire.place}${nameOf(subscription)}`);
    for (;;) {
      const since = performance.now();
      const info = await abortable(subscription.ended, signal);
      const lost = `Lost the connection to ${subscription.wire.place} (${describeEnd(info)})`;
      if (isFinal(info.reason)) throw new StartError(lost);
      retries.onEnd(performance.now() - since);
      const delay = retries.nextDelay() + (info.retryAfterMs ?? 0);
      this.#sink.onNews(`${lost}; trying again`);
      subscription = await retries.run(() => this.#open(options), signal, delay);
      this.#sink.onNews(
        `Back at ${subscription.wire.place}${
          nameOf(subscription)
        }; what was sent meanwhile has not come`,
      );
    }
  }

  async #open(options: WireOptions): Promise<Subscription> {
    const subscription = await Subscription.open(
      this.#target.where,
      this.#wishes,
      (event, subscription) => this.#sink.onEvent(event, subscription),
      options,
      (refusal) => this.#sink.onRefusal?.(refusal),
    );
    this.#subscription = subscription;
    if (this.#isPaused) subscription.wire.pause();
    return subscription;
  }
}

function nameOf({ wire: { id } }: Subscription): string {
  return id === null ? "" : ` as ${printable(id)}`;
}
