/**
 * The services of a client: loops over the events that match a pattern, each with its own inbox.
 *
 * @module
 */

import { checkWord } from "../protocol/routing.ts";
import { ConnectionClosedError } from "../errors.ts";
import type { EventNamed, EventOf } from "../protocol/event.ts";
import type { SubscriptionManager } from "./subscriptions.ts";
import { type EventDispatcher, Service } from "./dispatcher.ts";
import { InboxIterator } from "../net/inbox_iterator.ts";
import { checkGiven } from "../protocol/option_checks.ts";
import type { MatchingName } from "../protocol/pattern.ts";

import { checkPattern } from "./subscribe_request.ts";

/** Options of {@link EbsocketClient.serve}. */
export interface ServiceOptions {
  /**
   * The queue group, a name of 1 to 255 bytes. Each event goes to one of the clients that serve or
   * subscribe with this name and a matching pattern. Without it, each event goes to every client.
   */
  readonly queue?: string;
  /** Ends the service when aborted. It still yields the events that have arrived. */
  readonly signal?: AbortSignal;
}

/**
 * Any of the events of an event map that match a pattern.
 *
 * @typeParam M The event map.
 * @typeParam P The pattern.
 */
export type MatchingEvent<M extends object, P extends string> = string extends keyof M ? EventOf<M>
  : EventNamed<M, MatchingName<M, P> & keyof M & string>;

/** The services of one client. */
export class Services<M extends object> {
  readonly #dispatcher: EventDispatcher<M>;
  readonly #subscriptions: SubscriptionManager;
  readonly #hasEnded: () => boolean;
  readonly #onGiven: (event: EventOf<M>) => void;
  /** The running services, by the controller that ends them. */
  readonly #running = new Map<AbortController, Service<M>>();
  /** The controllers of the services that are being read. */
  readonly #read = new Set<AbortController>();

  /**
   * Creates a client's services.
   *
   * @param dispatcher The dispatcher of received events.
   * @param subscriptions The subscriptions.
   * @param hasEnded Returns whether no events will arrive and no connection is being made.
   * @param onGiven Called with each event that a service has yielded to the program.
   */
  constructor(
    dispatcher: EventDispatcher<M>,
    subscriptions: SubscriptionManager,
    hasEnded: () => boolean,
    onGiven: (event: EventOf<M>) => void,
  ) {
    this.#dispatcher = dispatcher;
    this.#subscriptions = subscriptions;
    this.#hasEnded = hasEnded;
    this.#onGiven = onGiven;
  }

  /** Returns the events that match `pattern`, from now on. */
  serve(pattern: string, options: ServiceOptions = {}): AsyncGenerator<EventOf<M>, void, void> {
    checkPattern(pattern);
    checkGiven(options, ["queue"]);
    const { queue, signal } = options;
    if (queue !== undefined) checkWord("queue", queue);
    const service = new Service<M>(pattern, this.#dispatcher.makeInbox());
    const stop = new AbortController();
    const end = () => stop.abort();
    const started = this.#start(service, queue, stop, signal);
    started.catch(() => {}); // The first next() throws it.
    const open = async () => {
      this.#read.add(stop);
      await started;
      return { [Symbol.dispose]: end };
    };
    return new InboxIterator(service.inbox, open, end, this.#onGiven);
  }

  /** Ends all services, because no more events will arrive. */
  end(): void {
    for (const stop of this.#running.keys()) stop.abort();
  }

  /**
   * Lets all services yield the events that have arrived, and then end.
   *
   * @returns Resolves when the services that are being read have ended.
   */
  async finish(): Promise<void> {
    await Promise.all(
      Array.from(this.#running, ([stop, service]) => {
        if (!this.#read.has(stop)) return stop.abort();
        this.#dispatcher.detach(service);
        return new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
      }),
    );
  }

  /** Starts a service. Resolves when the relay has acknowledged its subscription. */
  async #start(
    service: Service<M>,
    queue: string | undefined,
    stop: AbortController,
    outer: AbortSignal | undefined,
  ): Promise<void> {
    const { pattern, inbox } = service;
    if (outer?.aborted || this.#hasEnded()) return inbox.end();
    const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
    let isHeld = false;
    const release = () => this.#subscriptions.release([pattern], queue, service);
    this.#running.set(stop, service);
    signal.addEventListener("abort", () => {
      this.#running.delete(stop);
      this.#read.delete(stop);
      this.#dispatcher.detach(service);
      if (isHeld) release();
    });
    this.#dispatcher.attach(service); // The first events may arrive before the acknowledgement.
    const options = { timeout: Infinity, signal, ...(queue !== undefined && { queue }) };
    try {
      await this.#subscriptions.subscribe([pattern], options, service);
      isHeld = true;
      if (signal.aborted) release();
    } catch (error) {
      const isOver = signal.aborted || error instanceof ConnectionClosedError;
      stop.abort();
      if (!isOver) throw error;
    }
  }
}
