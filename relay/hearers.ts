/**
 * Owns the question which of some clients would get the events of a block. Must not know lines, or why
 * that is asked.
 *
 * @module
 */

import type { Recipient, SubscriberGroup } from "../server/subscriber_group.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Route } from "./route_cache.ts";

/** Those of some clients that have been found to hear something. */
export class Hearers<R extends Recipient> {
  /** Those that hear something, in no order. */
  readonly found = new Set<Subscriber<R>>();

  readonly #clients: ReadonlySet<Subscriber<R>>;
  readonly #everything: SubscriberGroup<R>;
  /** The clients that are asked about, by what they hear. */
  readonly #byAudience: ReadonlyMap<SubscriberGroup<R>, readonly Subscriber<R>[]>;
  #last: Route<R> | null = null;

  /** Asks about some clients; those of the group `everything` hear all events. */
  constructor(clients: readonly Subscriber<R>[], everything: SubscriberGroup<R>) {
    this.#clients = new Set(clients);
    this.#everything = everything;
    this.#byAudience = Map.groupBy(clients, ({ group }) => group);
  }

  /** Whether nobody else can be found. */
  get isComplete(): boolean {
    return this.found.size === this.#clients.size;
  }

  /** An event goes to all that hear its name; of a queue, to another if it can. */
  add(route: Route<R>): void {
    if (route === this.#last) return;
    this.#last = route;
    this.#find(this.#everything);
    for (const group of route.groups) this.#find(group);
    for (const turns of route.queues) {
      if (turns.every((group) => this.#byAudience.has(group))) this.#find(turns.first);
    }
  }

  /** An event goes to one client alone. */
  addOne(client: Subscriber<R> | undefined): void {
    if (client && this.#clients.has(client)) this.found.add(client);
  }

  #find(group: SubscriberGroup<R>): void {
    for (const client of this.#byAudience.get(group) ?? []) this.found.add(client);
  }
}
