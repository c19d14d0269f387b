/**
 * Events of clients on their way to the stream of the cluster and back.
 *
 * @module
 */

import type { Unkept } from "../history/outgoing_block.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { CountedClient } from "./counted_client.ts";
import type { Delivery } from "./receipts.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** Most bytes of events that are held together. */
export const MAX_RUN_BYTES = 65_536;

/** Most events that are held together. */
export const MAX_RUN_EVENTS = 1024;

/** The events of a client that were read together, and have not all been passed on. */
export interface HeldBlock {
  readonly source: Client;
  /** Number of its entries that have not been passed on. */
  left: number;
  /**
   * Those that follow events which are not kept, and all while it is not certain that they may be kept.
   * They are written afterwards.
   */
  rest: KeptEvents[];
  /** The client whose producer this relay does not own yet, or `null`. */
  awaited: CountedClient | null;
  readonly passed: PromiseWithResolvers<void>;
}

/** Events of one client in a row, which wait until they come back. */
export interface KeptEvents extends Unkept {
  readonly block: HeldBlock;
  readonly producer: CountedClient | null;
  /** Their number among all that were added, from 1; 0 while they are not. */
  ticket: number;
  /** The receipt that is due for a single event. */
  readonly delivery: Delivery | null;
  /** Queues of a single event that its block has no room to name. */
  readonly moreQueues: readonly string[];
  /** Whether other relays have clients that hear a single event. */
  readonly isHeardElsewhere: boolean;
  /** Passes on the events and the control lines that follow, and are not kept. */
  readonly followers: (() => void)[];
}

/** Notes that events of a producer are not kept as they should be, or perhaps not. */
export function faultIn({ producer, taken = 0 }: KeptEvents): void {
  if (producer) producer.faulted = Math.max(producer.faulted, taken);
}

/** Splits lines into parts that are not too long, each with the number of its events. */
export function partsOf(lines: Uint8Array, events: number): [Uint8Array, number][] {
  if (lines.length <= MAX_RUN_BYTES && events <= MAX_RUN_EVENTS) return [[lines, events]];
  const parts: [Uint8Array, number][] = [];
  let start = 0;
  let count = 0;
  for (let at = 0; at < lines.length;) {
    const end = lines.indexOf(0x0a, at) + 1;
    if (count === MAX_RUN_EVENTS || count > 0 && end - start > MAX_RUN_BYTES) {
      parts.push([lines.subarray(start, at), count]);
      start = at;
      count = 0;
    }
    count++;
    at = end;
  }
  parts.push([lines.subarray(start), count]);
  return parts;
}
