/**
 * Receives events until it is stopped, and reconnects after a lost connection.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import { printable } from "../protocol/printable.ts";
import { checkReconnectOptions, isFinal, Retries } from "../client/retry.ts";
import type { Refusal } from "../protocol/control.ts";
import { advised, type Target } from "./connect.ts";
import { describeEnd, StartError } from "./errors.ts";
import { type HelloExtras, Subscription } from "./subscription.ts";
import type { ReceivedLine, WireOptions } from "./raw_connection.ts";

/** Receives the events and the news of a listener. */
export interface ListenerSink {
  /** An event arrived over the connection of `subscription`. */
  onEvent(event: ReceivedLine, subscription: Subscription): void;
  /** The connection changed in a way that the user should know about. */
  onNews(text: string): void;
  /** The first connection was made. Without this method, {@link onNews} reports it. */
  onStart?(subscription: Subscription): void;
  /** The relay refused a line that was sent over a connection. */
  onRefusal?(refusal: Refusal): void;
  /** The listener was stopped. It closes the connection once the promise resolves. */
  onStop?(subscription: Subscription): Promise<void>;
}

/** Receives events. */
export class Listener {
  readonly #target: Target;
  readonly #wishes: HelloExtras;
  readonly #sink: ListenerSink;
  #subscription: Subscription | null = null;
  #isPaused = false;

  /** Creates a listener that has not started. */
  constructor(target: Target, wishes: HelloExtras, sink: ListenerSink) {
    this.#target = target;
    this.#wishes = wishes;
    this.#sink = sink;
  }

  /** Stops reading for now. */
  pause(): void {
    this.#isPaused = true;
    this.#subscription?.wire.pause();
  }

  /** Resumes reading. */
  resume(): void {
    this.#isPaused = false;
    this.#subscription?.wire.resume();
  }

  /**
   * Receives events until `signal` is aborted. Rejects with its reason then.
   *
   * @throws {StartError} If the first attempt to connect fails, or reconnecting is pointless.
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
      this.#sink.onNews(`${lost}; reconnecting`);
      subscription = await retries.run(() => this.#open(options), signal, delay);
      this.#sink.onNews(
        `Reconnected to ${subscription.wire.place}${
          nameOf(subscription)
        }; events sent meanwhile were missed`,
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
