/**
 * Owns the question which of some clients would get the events of a block. Must not know lines, or why
 * that is asked.
 *
 * @module
 */

import type { Audience, Listener, Recipient } from "./audience.ts";
import type { Route } from "./route_cache.ts";

/** Those of some clients that have been found to hear something. */
export class Hearers<R extends Recipient> {
  /** Those that hear something, in no order. */
  readonly found = new Set<Listener<R>>();

  readonly #clients: ReadonlySet<Listener<R>>;
  readonly #everything: Audience<R>;
  /** The clients that are asked about, by what they hear. */
  readonly #byAudience: ReadonlyMap<Audience<R>, readonly Listener<R>[]>;
  #last: Route<R> | null = null;

  /** Asks about some clients; those of the audience `everything` hear all events. */
  constructor(clients: readonly Listener<R>[], everything: Audience<R>) {
    this.#clients = new Set(clients);
    this.#everything = everything;
    this.#byAudience = Map.groupBy(clients, ({ audience }) => audience);
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
    for (const audience of route.audiences) this.#find(audience);
    for (const turns of route.queues) {
      if (turns.every((audience) => this.#byAudience.has(audience))) this.#find(turns.first);
    }
  }

  /** An event goes to one client alone. */
  addOne(client: Listener<R> | undefined): void {
    if (client && this.#clients.has(client)) this.found.add(client);
  }

  #find(audience: Audience<R>): void {
    for (const client of this.#byAudience.get(audience) ?? []) this.found.add(client);
  }
}
