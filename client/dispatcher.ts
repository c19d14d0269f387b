/**
 * Dispatches received events: to pending requests, to services, to the invalid events or to the
 * inbox.
 *
 * @module
 */

import type { EbsocketEvent, EventOf } from "../protocol/event.ts";
import type { SubscriptionManager } from "./subscriptions.ts";
import { Inbox, type InboxOptions } from "../net/inbox.ts";
import type { InvalidEvents } from "./invalid_events.ts";
import { matches } from "../protocol/pattern.ts";
import type { PendingRequests } from "./pending_requests.ts";
import { quote } from "../protocol/printable.ts";
import { TextMap } from "../protocol/text_map.ts";

/** The maximum number of event names with a cached list of services. */
const MAX_ROUTES = 1000;

const INBOX_FULL = "the inbox is full, and nothing is heard until it has been read; " +
  "subscribe([]) asks for no events";

/** A reader of the events that match a pattern. They do not go into the client's inbox. */
export class Service<M extends object> {
  readonly pattern: string;
  readonly inbox: Inbox<EventOf<M>>;
  /** The events for it from the block that is being dispatched. */
  batch: EventOf<M>[] = [];

  constructor(pattern: string, inbox: Inbox<EventOf<M>>) {
    this.pattern = pattern;
    this.inbox = inbox;
  }
}

/** Dispatches the received events of one client. */
export class EventDispatcher<M extends object> {
  /** The events that are dispatched to no other reader. */
  readonly inbox: Inbox<EventOf<M>>;
  readonly #options: InboxOptions;
  readonly #table: PendingRequests;
  readonly #subscriptions: SubscriptionManager;
  readonly #invalidEvents: InvalidEvents;
  readonly #onRoom: () => void;
  /** The other inboxes, with their names for messages. */
  readonly #others = new Map<Inbox<EventOf<M>>, string>();
  readonly #services = new Set<Service<M>>();
  /** The services by event name, as far as they have been looked up. */
  readonly #routes = new TextMap<readonly Service<M>[]>();

  /**
   * Creates a dispatcher.
   *
   * @param options The limits of the inboxes.
   * @param table The pending requests.
   * @param subscriptions The subscriptions.
   * @param invalidEvents The invalid events.
   * @param onRoom Called when reading may resume after an inbox has been full.
   */
  constructor(
    options: InboxOptions,
    table: PendingRequests,
    subscriptions: SubscriptionManager,
    invalidEvents: InvalidEvents,
    onRoom: () => void,
  ) {
    this.#options = options;
    this.#table = table;
    this.#subscriptions = subscriptions;
    this.#invalidEvents = invalidEvents;
    this.#onRoom = onRoom;
    this.inbox = this.makeInbox();
  }

  /**
   * Dispatches events. Their lines have `bytes` bytes in total. Returns `false` if reading must
   * pause until there is room.
   */
  push(events: EventOf<M>[], bytes: number): boolean {
    const share = bytes / events.length;
    const isPlain = this.#services.size === 0 && !this.#subscriptions.isFiltering &&
      !this.#invalidEvents.isPossible && !events.some(isAnswer);
    const rest = isPlain ? events : events.filter((event) => !this.#divert(event, share));
    this.inbox.push(rest, rest.length * share);
    this.#invalidEvents.publish(bytes);
    for (const service of this.#services) {
      if (service.batch.length === 0) continue;
      service.inbox.push(service.batch, service.batch.length * share);
      service.batch = [];
    }
    return this.readBlockedBy() === "";
  }

  /** Returns whether an event is dispatched to another reader than the inbox, or dropped. */
  #divert(event: EventOf<M>, bytes: number): boolean {
    const { replyTo } = event;
    const open = event as unknown as EbsocketEvent;
    const subscriptions = this.#subscriptions;
    const isOurs = replyTo !== null && this.#table.asked(replyTo);
    if (!isOurs && subscriptions.isFiltering && !subscriptions.admits(open)) return true;
    const issues = this.#invalidEvents.take(open);
    if (isOurs) {
      if (issues) this.#table.invalidEvent(replyTo, open, issues);
      else this.#table.answer(replyTo, open, bytes);
    }
    if (isOurs || issues) return true;
    if (this.#services.size === 0) return false;
    const services = this.#servicesOf(event.event);
    for (const service of services) service.batch.push(event);
    return services.length > 0;
  }

  #servicesOf(name: string): readonly Service<M>[] {
    let services = this.#routes.get(name);
    if (!services) {
      services = [...this.#services].filter(({ pattern }) => matches(pattern, name));
      if (this.#routes.size >= MAX_ROUTES) this.#routes.clear();
      this.#routes.set(name, services);
    }
    return services;
  }

  // Inboxes

  /** Creates an inbox with the limits of the client's own. */
  makeInbox(): Inbox<EventOf<M>> {
    return new Inbox(this.#options, () => this.#checkRoom());
  }

  /** Pauses reading while `inbox` is full. Messages call it `name`. */
  watchInbox(inbox: Inbox<EventOf<M>>, name: string): void {
    this.#others.set(inbox, name);
  }

  /** Ends an inbox. From now on it does not pause reading. */
  forget(inbox: Inbox<EventOf<M>>): void {
    inbox.end();
    if (this.#others.delete(inbox) && inbox.full) this.#checkRoom();
  }

  /** Returns the reason why reading is paused, or an empty string. */
  readBlockedBy(): string {
    if (this.inbox.full) return INBOX_FULL;
    for (const [inbox, name] of this.#others) {
      if (inbox.full) return `what ${name} gives is not read, and nothing is heard until it is`;
    }
    return "";
  }

  #checkRoom(): void {
    if (this.readBlockedBy() === "") this.#onRoom();
  }

  // Services

  /** Starts dispatching matching events to a service. */
  attach(service: Service<M>): void {
    this.#services.add(service);
    this.#routes.clear();
    this.watchInbox(service.inbox, `serve(${quote(service.pattern)})`);
  }

  /** Stops dispatching events to a service, and ends its inbox. */
  detach(service: Service<M>): void {
    this.#services.delete(service);
    this.#routes.clear();
    this.forget(service.inbox);
  }
}

function isAnswer({ replyTo }: { readonly replyTo: string | null }): boolean {
  return replyTo !== null;
}
