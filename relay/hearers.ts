/**
 * Finds the clients, among given candidates, that would receive events of a block. Does not depend
 * on lines.
 *
 * @module
 */

import type { Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Route } from "./route_cache.ts";

/** Candidates, and those of them that would receive an event. */
export class Hearers<R extends Recipient> {
  /** The candidates that would receive an event, in no particular order. */
  readonly found = new Set<Subscriber<R>>();

  readonly #clients: ReadonlySet<Subscriber<R>>;
  readonly #everything: SubscriberGroup<R>;
  /** The candidates by subscriber group. */
  readonly #byGroup: ReadonlyMap<SubscriberGroup<R>, readonly Subscriber<R>[]>;
  #last: Route<R> | null = null;

  /** Creates a search among `clients`. Members of the group `everything` receive all events. */
  constructor(clients: readonly Subscriber<R>[], everything: SubscriberGroup<R>) {
    this.#clients = new Set(clients);
    this.#everything = everything;
    this.#byGroup = Map.groupBy(clients, ({ group }) => group);
  }

  /** Whether all candidates have been found. */
  get isComplete(): boolean {
    return this.found.size === this.#clients.size;
  }

  /**
   * Adds an event for all subscribers of its name. A queue group counts only if all of its clients
   * are candidates; otherwise another client can take the event.
   */
  add(route: Route<R>): void {
    if (route === this.#last) return;
    this.#last = route;
    this.#find(this.#everything);
    for (const group of route.groups) this.#find(group);
    for (const turns of route.queues) {
      if (turns.every((group) => this.#byGroup.has(group))) this.#find(turns.first);
    }
  }

  /** Adds an event for one client alone. */
  addOne(client: Subscriber<R> | undefined): void {
    if (client && this.#clients.has(client)) this.found.add(client);
  }

  #find(group: SubscriberGroup<R>): void {
    for (const client of this.#byGroup.get(group) ?? []) this.found.add(client);
  }
}
