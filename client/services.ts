/**
 * The services of a client: loops over the events that match a pattern, each with its own inbox.
 *
 * @module
 */

import { checkName } from "../protocol/names.ts";
import { ConnectionClosedError } from "../errors.ts";
import type { EbsocketEvent, EventNamed, EventOf } from "../protocol/event.ts";
import { type Inbox, InboxIterator } from "../net/inbox.ts";
import type { Inboxes } from "./inboxes.ts";
import { checkGiven } from "../protocol/option_checks.ts";
import { matches, type MatchingName } from "../protocol/pattern.ts";
import { quote } from "../protocol/printable.ts";
import { detachLines } from "../protocol/raw_event.ts";
import type { ReceivedRequests } from "./received_requests.ts";
import { checkPattern } from "./subscribe_request.ts";
import type { SubscriptionManager } from "./subscriptions.ts";
import { TextMap } from "../protocol/text_map.ts";

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

/** The maximum number of event names with a cached list of services. */
const MAX_ROUTES = 1000;

/** A loop over the events that match a pattern. They do not go into the main inbox. */
interface Service {
  readonly pattern: string;
  readonly inbox: Inbox<EbsocketEvent>;
  /** Ends the service. */
  readonly stop: AbortController;
  /** Whether the program reads its events. */
  isRead: boolean;
  /** The events for it from the block that is being dispatched. */
  batch: EbsocketEvent[];
}

/** The services of one client. */
export class Services {
  /** Whether no more events will arrive, unless the client connects again. */
  hasEnded = false;
  readonly #inboxes: Inboxes;
  readonly #subscriptions: SubscriptionManager;
  readonly #received: ReceivedRequests;
  /** The services that have not ended. */
  readonly #running = new Set<Service>();
  /** Those among them that get further events. */
  readonly #active = new Set<Service>();
  /** The inboxes of other services whose events are still being read. */
  readonly #ended = new Set<Inbox<EbsocketEvent>>();
  /** The active services by event name, as far as they have been looked up. */
  readonly #routes = new TextMap<readonly Service[]>();

  /** Creates no service yet. */
  constructor(inboxes: Inboxes, subscriptions: SubscriptionManager, received: ReceivedRequests) {
    this.#inboxes = inboxes;
    this.#subscriptions = subscriptions;
    this.#received = received;
  }

  /** Returns the events that match `pattern`, from now on. */
  serve(pattern: string, options: ServiceOptions = {}): AsyncGenerator<EbsocketEvent, void, void> {
    checkPattern(pattern);
    checkGiven(options, ["queue"]);
    const { queue, signal } = options;
    if (queue !== undefined) checkName(queue, "queue");
    const inbox = this.#inboxes.open(`serve(${quote(pattern)})`);
    const stop = new AbortController();
    const service: Service = { pattern, inbox, stop, isRead: false, batch: [] };
    const end = () => {
      stop.abort();
      this.#ended.delete(inbox);
    };
    const started = this.#start(service, queue, signal);
    started.catch(() => {}); // The first next() throws it.
    const open = async () => {
      service.isRead = true;
      await started;
      return { [Symbol.dispose]: end };
    };
    return new InboxIterator(inbox, open, end, (event) => this.#received.onRead(event));
  }

  /** The inboxes with events for the program. */
  get inboxes(): Inbox<EbsocketEvent>[] {
    return [...this.#ended, ...Array.from(this.#active, ({ inbox }) => inbox)];
  }

  // Events

  /** Whether no service gets events. */
  get isEmpty(): boolean {
    return this.#active.size === 0;
  }

  /** Collects an event for the services that it matches. Returns `false` if there are none. */
  take(event: EbsocketEvent): boolean {
    if (this.isEmpty) return false;
    const services = this.#servicesOf(event.event);
    for (const service of services) service.batch.push(event);
    return services.length > 0;
  }

  /** Delivers the collected events. Their lines had about `bytesEach` bytes each. */
  deliver(bytesEach: number): void {
    for (const service of this.#active) {
      if (service.batch.length === 0) continue;
      detachLines(service.batch);
      service.inbox.push(service.batch, service.batch.length * bytesEach);
      service.batch = [];
    }
  }

  #servicesOf(name: string): readonly Service[] {
    let services = this.#routes.get(name);
    if (!services) {
      services = [...this.#active].filter(({ pattern }) => matches(pattern, name));
      if (this.#routes.size >= MAX_ROUTES) this.#routes.clear();
      this.#routes.set(name, services);
    }
    return services;
  }

  // Ends

  /** Ends all services. New ones end at once. */
  end(): void {
    this.hasEnded = true;
    for (const { stop } of this.#running) stop.abort();
  }

  /**
   * Lets all services yield the events that have arrived, and then end.
   *
   * @returns Resolves when the services that are being read have ended.
   */
  async finish(): Promise<void> {
    await Promise.all(
      Array.from(this.#running, (service) => {
        const { isRead, stop } = service;
        if (!isRead) return stop.abort();
        this.#deactivate(service);
        return new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
      }),
    );
  }

  /** Starts a service. Resolves when the relay has acknowledged its subscription. */
  async #start(
    service: Service,
    queue: string | undefined,
    outer: AbortSignal | undefined,
  ): Promise<void> {
    const { pattern, inbox, stop } = service;
    const isOver = this.hasEnded && !this.#subscriptions.isOnline;
    if (outer?.aborted || isOver) return this.#inboxes.close(inbox);
    const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
    let isSubscribed = false;
    const release = () => this.#subscriptions.release([pattern], queue, service);
    this.#running.add(service);
    signal.addEventListener("abort", () => {
      this.#running.delete(service);
      this.#deactivate(service);
      if (isSubscribed) release();
    });
    this.#active.add(service); // The first events may arrive before the acknowledgement.
    this.#routes.clear();
    const options = { timeout: Infinity, signal, ...(queue !== undefined && { queue }) };
    try {
      await this.#subscriptions.subscribe([pattern], options, service);
      isSubscribed = true;
      if (signal.aborted) release();
    } catch (error) {
      const isExpected = signal.aborted || error instanceof ConnectionClosedError;
      stop.abort();
      if (!isExpected) throw error;
    }
  }

  /** Stops dispatching events to a service, and ends its inbox. */
  #deactivate(service: Service): void {
    const { inbox, isRead } = service;
    if (this.#active.delete(service) && isRead) this.#ended.add(inbox);
    this.#routes.clear();
    this.#inboxes.close(inbox);
  }
}
