/**
 * Passes events on that a cluster was to keep, and cannot. Their receipts are incomplete.
 *
 * @module
 */

import type { LineConnection } from "../net/line_connection.ts";
import type { Lines } from "../net/piece.ts";
import type { ClusterRouter } from "./cluster_router.ts";
import { NOT_KEPT } from "./history_routing.ts";
import type { Delivery } from "./receipts.ts";
import type { Route, RouteCache } from "./route_cache.ts";
import type { Routing, Search } from "./router.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** Passes events on that are not kept although they were to be. */
export class UnkeptRouting implements Routing<LineConnection> {
  readonly isIdle = false;
  readonly #router: ClusterRouter;

  constructor(router: ClusterRouter) {
    this.#router = router;
  }

  get routes(): RouteCache<LineConnection> {
    return this.#router.routes;
  }

  begin(source: Client): void {
    this.#router.begin(source);
  }

  passRun(lines: Lines, count: number): void {
    this.#router.passRun(lines, count);
  }

  pass(
    route: Route<LineConnection>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
  ): void {
    delivery?.add(NOT_KEPT, false);
    this.#router.pass(route, line, isRequest, delivery);
  }

  passTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    this.#router.passTo(id, line, isRequest, delivery);
  }

  end(hasMore: boolean): void {
    this.#router.end(hasMore);
  }

  search(source: Client, clients: readonly Client[]): Search<LineConnection> {
    return this.#router.search(source, clients);
  }

  find(id: string): Client | undefined {
    return this.#router.find(id);
  }
}
