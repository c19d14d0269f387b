/**
 * A client of a relay of a cluster whose events are counted.
 *
 * | state of a client | next state |
 * | --- | --- |
 * | idle: none of its events was to be kept so far | asked; gone, when it leaves |
 * | asked: its producer is claimed, and its events wait | owned; gone, if it leaves or cannot be counted |
 * | owned: its events are kept | leaving; gone, if the relay is disowned |
 * | leaving: nothing more is taken of it | gone, once its events have been passed on |
 *
 * @module
 */

import { Producer } from "../history/producers.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { ProducerClaim } from "../protocol/producer.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** What becomes of a client that is asked for. */
export type Outcome = "owned" | "uncounted" | "ended";

/** A client whose events are counted. */
export class CountedClient extends Producer {
  readonly client: Client;
  state: "idle" | "asked" | "owned" | "leaving" | "gone" = "idle";
  /** Whether its `welcome` waits, and so it has sent nothing. */
  isWaiting = false;
  /** When its claim has come back from the stream, and how often this relay has looked after it since. */
  claimedAt = Infinity;
  looks = 0;
  /** Number of its entries that have not been passed on. */
  open = 0;
  readonly outcome: PromiseWithResolvers<Outcome> = Promise.withResolvers();

  constructor(client: Client, { id, attempt }: ProducerClaim) {
    super(id);
    this.client = client;
    this.attempt = attempt;
  }

  /** Counts events that were taken. */
  take(count: number): void {
    this.taken += count;
    this.isExact = true;
  }
}

/** Decides whose events a relay keeps. */
export interface ProducerOwner {
  /** Claims the producer of a client, whose events wait. */
  own(client: CountedClient): void;
  /** Releases the producer of a client that leaves, if all its events have been passed on. */
  passed(client: CountedClient): void;
}
