/**
 * The port through which a history counts the events of clients over all their connections, so that each
 * event is taken once.
 *
 * @module
 */

import type { CloseReason } from "../errors.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { ProducerAnswer, ProducerClaim } from "../protocol/producer.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** Why the earlier one of two connections of a client ends, in words. */
export const REPLACED = "its client has connected again";

/** The relay, as its counter sees it. */
export interface CounterSink {
  /** Called with a client of which nothing more is to be taken, and whose connection is to end. */
  onEnded(client: LineConnection, reason: CloseReason, detail: string): void;
}

/**
 * The answer to a producer. `"uncounted"` if its events are not counted, and `"ended"` if its connection
 * has ended or is about to.
 */
export type CountedAnswer = ProducerAnswer | "uncounted" | "ended";

/** Counts the events of clients. */
export interface ProducerCounter {
  /** The number of producers that are known after a restart of the relay. */
  readonly size: number;
  /**
   * Counts the events of a client from now on. Answers at once, or when it is known what has become of
   * the events of its earlier connections, which end.
   */
  greet(client: Client, claim: ProducerClaim): CountedAnswer | Promise<CountedAnswer>;
  /** Forgets a client that has left, and of which no event is to be taken any more. */
  forget(client: Client): void;
  /** Notes that events are kept up to an offset, which those that wait are not at once. */
  kept?(offset: number): void;
  /** Notes that events cannot be kept. */
  fail(): void;
}
