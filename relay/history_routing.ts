/**
 * What the history needs of the part that keeps the events of clients, whether in a log of this relay
 * or in the stream of its cluster.
 *
 * @module
 */

import type { LastValues } from "../history/last_values.ts";
import type { KeptLog, LogSink } from "../history/log.ts";
import type { HistoryRules } from "../history/options.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { Lines } from "../net/piece.ts";
import { Batch } from "../server/member_diff.ts";
import type { Routing } from "./router.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** The logs of a relay, and what it keeps in them. */
export interface Keeper {
  readonly log: KeptLog;
  readonly lastValues: LastValues;
  readonly rules: HistoryRules;
  /** Whether the senders of events are kept, because a client does not receive its own. */
  readonly keepsSenders: boolean;
}

/** Makes a receipt incomplete, because the event is not kept. */
export const NOT_KEPT = new Batch();
NOT_KEPT.accepted = 0;
NOT_KEPT.isIncomplete = true;

/** Where the events of clients are kept, as the history sees it. */
export interface HistoryRouting extends Routing<LineConnection> {
  /** How far events are kept. */
  readonly synced: number;
  /**
   * Returns how far events have to be kept before those of a client so far are acknowledged, or `null`
   * if all of them are that are to be. `Infinity` if some cannot be, or that is not known yet.
   */
  unkeptOf(source: Client): number | null;
  /** Sets who is told. */
  watch(sink: LogSink): void;
  /** Adds the gathered events to the log. Must be called before it is read. */
  settle(): void;
  /** Passes on the events up to an offset that were held, which are kept now, and sends receipts. */
  kept(offset: number): void;
  /** Passes on the events that were held, which cannot be kept, and sends receipts as incomplete ones. */
  notKept(): void;
  /** Forgets which clients have sent events that could not be kept. These must be closed. */
  mended(): void;
  /**
   * Returns a promise that resolves when the events of a client, or of all, have been passed on, or
   * `null` if they have.
   */
  whenPassed(source?: Client): Promise<void> | null;
  /** Returns a promise that resolves when senders need not wait any more, or `null`. */
  whenRoom(): Promise<void> | null;
}

/** Returns lines that stay what they are while others are passed on. */
export function copyOf({ block, start, end }: Lines): Lines {
  return { block, start, end };
}
