/**
 * The status of a client's connection, and its readers.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { CloseInfo, ConnectError } from "../errors.ts";
import type { EventOf, OpenEvents } from "../protocol/event.ts";
import type { LossReason } from "../protocol/history.ts";
import { Inbox, InboxIterator } from "../net/inbox.ts";

/** The statuses that say nothing about the state of the connection. */
const NEWS: readonly string[] = ["gap", "cluster", "cluster-gap", "refused", "resumed"];

/**
 * The changes of a client's connection, in their order:
 *
 * - `connecting`, before every attempt.
 * - `connected`, when the first connection has been made. Nothing follows if `connectTo()` fails.
 * - `disconnected` and `reconnected` in turns, with a `connecting` for every attempt in between.
 * - `closed`, once, at the final end.
 *
 * A `gap`, `cluster`, `cluster-gap`, `refused` or `resumed` may occur at any time before `closed`.
 *
 * Each event that may have been lost is in exactly one `unconfirmed`. Each event that was certainly
 * not sent is in `unsent` or counted in `dropped`.
 *
 * @typeParam M The event map of the client.
 */
export type ClientStatus<M extends object = OpenEvents> =
  | ConnectingStatus
  | ConnectedStatus
  | DisconnectedStatus<M>
  | ReconnectedStatus<M>
  | ResumedStatus
  | GapStatus
  | ClusterStatus
  | ClusterGapStatus
  | RefusedStatus
  | ClosedStatus<M>;

/** An attempt to connect begins. */
export interface ConnectingStatus {
  /** The type of this status. */
  readonly type: "connecting";
  /** The server's address. */
  readonly address: Address;
  /** The number of the attempt since the last connection, from 1. */
  readonly attempt: number;
  /** The error of the previous attempt, or `null` if this is the first. */
  readonly error: ConnectError | null;
}

/** The first connection has been made. */
export interface ConnectedStatus {
  /** The type of this status. */
  readonly type: "connected";
  /** The server's address. */
  readonly address: Address;
  /** The ID that the server has assigned to this client, or `null` if it has not assigned one. */
  readonly id: string | null;
}

/** The connection has ended, and the client reconnects. */
export interface DisconnectedStatus<M extends object = OpenEvents> {
  /** The type of this status. */
  readonly type: "disconnected";
  /** The server's address. */
  readonly address: Address;
  /**
   * How the connection ended. The events that it counts as unsent are sent on the next connection,
   * or are in `unconfirmed`.
   */
  readonly info: CloseInfo;
  /**
   * The events handed to the operating system that may or may not have arrived. They are not sent
   * again. If the server does not acknowledge events, this does not include those that the
   * operating system had taken completely. If the server is a relay with a history, this has only events
   * for one client, and those for which a call waits: on the next connection, it says which of the
   * others it has, and the client sends the rest.
   */
  readonly unconfirmed: readonly EventOf<M>[];
  /** Whether the server acknowledges events, so that `unconfirmed` is complete. */
  readonly acknowledged: boolean;
  /** The number of events for the next connection, with those that the relay may turn out to have. */
  readonly waiting: number;
  /** The delay before the next attempt, in milliseconds. */
  readonly retryInMs: number;
  /**
   * Whether the delay begins only when the inbox is half empty and, in a browser, the page is
   * visible. This is so after `slow-consumer`, because the program has not read its events.
   */
  readonly waitsForReader: boolean;
}

/** The client is connected again. */
export interface ReconnectedStatus<M extends object = OpenEvents> {
  /** The type of this status. */
  readonly type: "reconnected";
  /** The server's address. */
  readonly address: Address;
  /**
   * The new ID that the server has assigned to this client, or `null` if it has not assigned one.
   */
  readonly id: string | null;
  /** The time without a connection, in milliseconds. */
  readonly afterMs: number;
  /**
   * The events of earlier connections of which the relay cannot say whether it has taken them. They are
   * not sent again. Mostly empty: the relay has taken the events in doubt, or they are sent now. Also
   * empty for a reader that comes later.
   */
  readonly unconfirmed: readonly EventOf<M>[];
  /** The number of events queued in the meantime. They are sent now. */
  readonly waiting: number;
  /** The number of events dropped so far under the `overflow` policy. */
  readonly dropped: number;
}

/**
 * A client with the option `history` has received all events that it has missed, or has learnt that
 * it cannot. This follows each `reconnected`, except where all subscriptions have a queue. It also
 * occurs if the relay drops events before a client that catches up has received them, whenever a
 * relay of a cluster finds that events were dropped before it has read them, and if a position that
 * was passed to `subscribe()` before `connectTo()` is not recovered.
 */
export interface ResumedStatus {
  /** The type of this status. */
  readonly type: "resumed";
  /** Whether no event is missing. */
  readonly recovered: boolean;
  /**
   * Why events are missing, or `null` if none are:
   *
   * - `epoch`: the relay has begun a new history.
   * - `evicted`: the relay no longer keeps them, or they are damaged.
   * - `ahead`: the relay has never had the event at the client's position.
   */
  readonly reason: LossReason | null;
  /**
   * The number of kept events that were received while the client caught up. If events are missing,
   * those before the loss, which is reported at once.
   */
  readonly events: number;
}

/**
 * Events were lost: the relay queued them for this client, but they did not arrive, as `sequence`
 * shows. Or more events arrived during the greeting of a connection than the limits allow, and were
 * dropped.
 */
export interface GapStatus {
  /** The type of this status. */
  readonly type: "gap";
  /** The number of events missing before the last or the next event. */
  readonly missed: number;
}

/**
 * The relay is one of a cluster, and has lost the way to the other relays, or found it again. Alone,
 * it passes events on among its own clients, and keeps a limited amount for the others.
 */
export interface ClusterStatus {
  /** The type of this status. */
  readonly type: "cluster";
  /** Whether the relay reaches the other relays. */
  readonly state: "together" | "alone";
}

/**
 * Events that clients of another relay sent are missing. They may have been for this client or for
 * others.
 */
export interface ClusterGapStatus {
  /** The type of this status. */
  readonly type: "cluster-gap";
  /** The ID of the relay whose clients sent them. */
  readonly relay: string;
  /** At most how many events are missing, or `null` if that is not known. */
  readonly missed: number | null;
}

/** The relay has refused something, and no call is waiting for the result. */
export interface RefusedStatus {
  /** The type of this status. */
  readonly type: "refused";
  /** The name of the refused event. `null` if it was something else. */
  readonly event: string | null;
  /** The reason, a short constant string such as `bad-attributes`. */
  readonly reason: string;
  /** The reason in words. Empty if the relay has sent no more. */
  readonly detail: string;
}

/** The client has stopped for good. */
export interface ClosedStatus<M extends object = OpenEvents> {
  /** The type of this status. */
  readonly type: "closed";
  /** The address that the client was or should have been connected to. */
  readonly address: Address;
  /** How the connection ended. */
  readonly info: CloseInfo;
  /** The events that may or may not have arrived, as in {@link DisconnectedStatus}. */
  readonly unconfirmed: readonly EventOf<M>[];
  /** The events that were queued for a connection and not sent. */
  readonly unsent: readonly EventOf<M>[];
  /** The number of events dropped under the `overflow` policy. */
  readonly dropped: number;
}

/**
 * The maximum number of statuses queued for a slow reader. After that the oldest are dropped. One
 * read from the relay can bring thousands of refusals, which are small.
 */
const MAX_UNREAD = 100;
const MAX_UNREAD_REFUSALS = 10_000;

/** Passes each status to all readers. */
export class StatusFeed {
  #current: ClientStatus | null = null;
  /** That the relay is alone, if it is. */
  #alone: ClusterStatus | null = null;
  readonly #readers = new Set<Inbox<ClientStatus>>();

  /** Passes a status to all readers. After `closed` there are no more. */
  push(status: ClientStatus): void {
    // Lost and refused events do not describe the current state.
    if (!NEWS.includes(status.type)) this.#current = status;
    // Not for each further reader.
    if (status.type === "reconnected") this.#current = { ...status, unconfirmed: [] };
    if (status.type === "cluster") this.#alone = status.state === "alone" ? status : null;
    if (status.type === "connecting") this.#alone = null; // The next relay may be another one.
    for (const reader of this.#readers) deliver(reader, status);
    if (status.type === "closed") this.#readers.clear();
  }

  /** Clears the current status after a failed attempt. Readers wait for the next one. */
  clear(): void {
    this.#current = null;
  }

  /** Returns the current status, that the relay is alone if it is, and all further ones until `closed`. */
  read(): AsyncGenerator<ClientStatus, void, void> {
    const reader = new Inbox<ClientStatus>({}, () => {});
    if (this.#current?.type !== "closed") this.#readers.add(reader);
    if (this.#current) deliver(reader, this.#current);
    if (this.#alone && this.#current?.type !== "closed") deliver(reader, this.#alone);
    const leave = () => void this.#readers.delete(reader);
    return new InboxIterator(reader, () => ({ [Symbol.dispose]: leave }), leave);
  }
}

function deliver(reader: Inbox<ClientStatus>, status: ClientStatus): void {
  const max = status.type === "refused" ? MAX_UNREAD_REFUSALS : MAX_UNREAD;
  if (reader.length >= max) reader.take();
  reader.push([status], 0);
  if (status.type === "closed") reader.end();
}
