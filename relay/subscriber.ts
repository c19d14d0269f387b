/**
 * Owns what the relay knows of one client beyond its connection. Must not know who else there is.
 *
 * @module
 */

import { memberBytes } from "../protocol/envelope.ts";
import { Member, type Recipient } from "../server/subscriber_group.ts";
import { Subscriptions } from "./subscriptions.ts";

/** One client of a relay, and what it hears. */
export class Subscriber<R extends Recipient = Recipient> extends Member<R> {
  /** What it has asked for. */
  subscriptions: Subscriptions = Subscriptions.NONE_YET;
  #signature: Uint8Array | null = null;

  /** What stands in front of its events that somebody may answer: `"from":"c3",`. */
  get signature(): Uint8Array {
    return this.#signature ??= memberBytes("from", `c${this.recipient.id}`);
  }
}
