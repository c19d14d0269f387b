/**
 * The requests of this relay's clients that only clients of one other relay can answer. They fail when
 * that relay is gone.
 *
 * @module
 */

import type { LineConnection } from "../net/line_connection.ts";
import { encodeRefusal } from "../protocol/control.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** Most requests that are remembered. Beyond it, the oldest are forgotten. */
const MAX_REQUESTS = 65_536;

/** How long a request is remembered, in milliseconds. */
const MAX_AGE_MS = 60_000;

/** A request that has not been answered. */
interface OpenRequest {
  readonly relay: string;
  readonly client: Client;
  readonly id: string;
  readonly since: number;
}

/** The open requests of one relay. */
export class OpenRequests {
  /** By the client and the ID, oldest first. */
  readonly #requests = new TextMap<OpenRequest>();

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#requests.size === 0;
  }

  /** Adds a request that was passed on to one other relay alone. */
  add(relay: string, client: Client, id: string): void {
    const now = performance.now();
    for (const [key, { since }] of this.#requests) {
      if (this.#requests.size < MAX_REQUESTS && now - since < MAX_AGE_MS) break;
      this.#requests.delete(key);
    }
    const key = keyOf(client.id, id);
    this.#requests.delete(key); // The order is that of the time.
    this.#requests.set(key, { relay, client, id, since: now });
  }

  /** Removes a request that was answered. */
  answered(client: string, id: string): void {
    this.#requests.delete(keyOf(client, id));
  }

  /** Fails the requests that a relay had which is gone. */
  fail(relay: string): void {
    const detail = `relay ${relay}, which had the request, is gone`;
    const oldest = performance.now() - MAX_AGE_MS;
    for (const [key, { client: { recipient }, id, since, ...request }] of this.#requests) {
      if (request.relay !== relay) continue;
      this.#requests.delete(key);
      if (since < oldest) continue;
      recipient.send(encodeRefusal({ id, reason: "relay-gone", detail }), 0);
    }
  }
}

function keyOf(client: string, id: string): string {
  return `${client} ${id}`;
}
