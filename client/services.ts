/**
 * Owns the services of a client: loops over the events that match a pattern, each with an inbox of
 * its own. Must not know what they answer.
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
   * A name of 1 to 255 bytes. Of all clients that serve or subscribe with one name, and a pattern
   * that matches, one gets each event. Without it, every client does.
   */
  readonly queue?: string;
  /** Ends the service when aborted: it still gives what has come, and then no more. */
  readonly signal?: AbortSignal;
}

/**
 * Any one of the events of an event map that a pattern matches.
 *
 * @typeParam M The event map.
 * @typeParam P The pattern.
 */
export type MatchingEvent<M extends object, P extends string> = string extends keyof M ? EventOf<M>
  : EventNamed<M, MatchingName<M, P> & keyof M & string>;

/** Starts and ends the services of one client. */
export class Services<M extends object> {
  readonly #incoming: EventDispatcher<M>;
  readonly #hearing: SubscriptionManager;
  readonly #hasEnded: () => boolean;
  readonly #onGiven: (event: EventOf<M>) => void;
  /** Those that are running, by what ends them. */
  readonly #running = new Map<AbortController, Service<M>>();
  /** Those of them that are being read. */
  readonly #read = new Set<AbortController>();

  /**
   * Makes one without services. `hasEnded` says whether nothing will come, and nothing is tried;
   * `onGiven` hears of each event that a service has given to the program.
   */
  constructor(
    incoming: EventDispatcher<M>,
    hearing: SubscriptionManager,
    hasEnded: () => boolean,
    onGiven: (event: EventOf<M>) => void,
  ) {
    this.#incoming = incoming;
    this.#hearing = hearing;
    this.#hasEnded = hasEnded;
    this.#onGiven = onGiven;
  }

  /** The events that match `pattern`, from now on. */
  serve(pattern: string, options: ServiceOptions = {}): AsyncGenerator<EventOf<M>, void, void> {
    checkPattern(pattern);
    checkGiven(options, ["queue"]);
    const { queue, signal } = options;
    if (queue !== undefined) checkWord("queue", queue);
    const service = new Service<M>(pattern, this.#incoming.makeInbox());
    const stop = new AbortController();
    const end = () => stop.abort();
    const started = this.#start(service, queue, stop, signal);
    started.catch(() => {}); // The first next() tells it.
    const open = async () => {
      this.#read.add(stop);
      await started;
      return { [Symbol.dispose]: end };
    };
    return new InboxIterator(service.inbox, open, end, this.#onGiven);
  }

  /** Ends all of them: nothing more will come. */
  end(): void {
    for (const stop of this.#running.keys()) stop.abort();
  }

  /** Lets all of them give what has come, and then end; resolves when those that are read have. */
  async finish(): Promise<void> {
    await Promise.all(
      Array.from(this.#running, ([stop, service]) => {
        if (!this.#read.has(stop)) return stop.abort();
        this.#incoming.detach(service);
        return new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
      }),
    );
  }

  /** Begins a service; resolves when it will get all that it is to. */
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
    const release = () => this.#hearing.release([pattern], queue, service);
    this.#running.set(stop, service);
    signal.addEventListener("abort", () => {
      this.#running.delete(stop);
      this.#read.delete(stop);
      this.#incoming.detach(service);
      if (isHeld) release();
    });
    this.#incoming.attach(service); // The first events may come before the acknowledgement.
    const options = { timeout: Infinity, signal, ...(queue !== undefined && { queue }) };
    try {
      await this.#hearing.subscribe([pattern], options, service);
      isHeld = true;
      if (signal.aborted) release();
    } catch (error) {
      const isOver = signal.aborted || error instanceof ConnectionClosedError;
      stop.abort();
      if (!isOver) throw error;
    }
  }
}
