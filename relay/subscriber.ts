/**
 * The state that a relay keeps for one client, besides its connection.
 *
 * @module
 */

import { memberBytes } from "../protocol/envelope.ts";
import { Member, type Recipient } from "../server/subscriber_group.ts";
import { Subscriptions } from "./subscriptions.ts";

/** A client of a relay, with its subscriptions. */
export class Subscriber<R extends Recipient = Recipient> extends Member<R> {
  /** The client's subscriptions. */
  subscriptions: Subscriptions = Subscriptions.NONE_YET;
  #signature: Uint8Array | null = null;

  /**
   * The member that the relay inserts into the client's requests and direct events, such as
   * `"from":"c3",`.
   */
  get signature(): Uint8Array {
    return this.#signature ??= memberBytes("from", `c${this.recipient.id}`);
  }
}
