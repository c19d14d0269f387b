/**
 * Owns what a client tells of its connection, and everyone who listens to that. Must not know how
 * connections are made.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { CloseInfo, ConnectError } from "../errors.ts";
import type { EventOf, OpenEvents } from "../protocol/event.ts";
import { Inbox } from "../net/inbox.ts";
import { InboxIterator } from "../net/inbox_iterator.ts";

/**
 * What happens to the connection of a client, in the order in which it happens: `connecting` before
 * every attempt; `connected` when the first connection has been made, or nothing if `connectTo()`
 * fails; after that `disconnected` and `reconnected` in turns, with a `connecting` for every attempt
 * between them; `closed` once, at the end for good. A `gap` or `refused` may come at any time before.
 *
 * Each event that may have been lost is in one `unconfirmed`, and each that was certainly not sent is
 * in `unsent`, or among the `dropped`.
 *
 * @typeParam M The event map of the client.
 */
export type ClientStatus<M extends object = OpenEvents> =
  | ConnectingStatus
  | ConnectedStatus
  | DisconnectedStatus<M>
  | ReconnectedStatus
  | GapStatus
  | RefusedStatus
  | ClosedStatus<M>;

/** An attempt to connect begins. */
export interface ConnectingStatus {
  /** Tells it from the others. */
  readonly type: "connecting";
  /** Where to. */
  readonly address: Address;
  /** Which attempt this is since there was a connection, from 1. */
  readonly attempt: number;
  /** Why the attempt before has failed, if there was one. */
  readonly error: ConnectError | null;
}

/** The first connection has been made. */
export interface ConnectedStatus {
  /** Tells it from the others. */
  readonly type: "connected";
  /** Where to. */
  readonly address: Address;
  /** What the server calls this client, or `null` if it has not said. */
  readonly id: string | null;
}

/** The connection has ended, and another will be made. */
export interface DisconnectedStatus<M extends object = OpenEvents> {
  /** Tells it from the others. */
  readonly type: "disconnected";
  /** Where it went to. */
  readonly address: Address;
  /** Why it ended. What it counts as unsent is sent over the next connection, or `unconfirmed`. */
  readonly info: CloseInfo;
  /**
   * The events that were handed to the operating system, and of which nobody knows whether they
   * arrived. They will not be sent again. Where the server does not acknowledge events, those that
   * the operating system had taken whole are not known and not in here.
   */
  readonly unconfirmed: readonly EventOf<M>[];
  /** Whether the server has acknowledged events, and `unconfirmed` is complete. */
  readonly acknowledged: boolean;
  /** How many events wait for the next connection. */
  readonly waiting: number;
  /** How long it is until the next attempt, in milliseconds. */
  readonly retryInMs: number;
}

/** There is a connection again. */
export interface ReconnectedStatus {
  /** Tells it from the others. */
  readonly type: "reconnected";
  /** Where to. */
  readonly address: Address;
  /** What the server calls this client now, or `null` if it has not said. */
  readonly id: string | null;
  /** How long there was none, in milliseconds. */
  readonly afterMs: number;
  /** How many events had waited for it. They are sent now. */
  readonly waiting: number;
  /** How many events the client has dropped so far, as its `overflow` policy demands. */
  readonly dropped: number;
}

/**
 * Events that the relay had queued for this client have not arrived, as `sequence` shows; or more came
 * with the greeting of a connection than may wait, and were dropped.
 */
export interface GapStatus {
  /** Tells it from the others. */
  readonly type: "gap";
  /** How many are missing before the event that came last, or comes next. */
  readonly missed: number;
}

/** The relay has not done something, and nobody waits for an answer to that. */
export interface RefusedStatus {
  /** Tells it from the others. */
  readonly type: "refused";
  /** The name of the event that it has not passed on; `null` if it was something else. */
  readonly event: string | null;
  /** Why, as a short constant string such as `bad-attributes`. */
  readonly reason: string;
  /** Why, for a person; empty where the relay says no more. */
  readonly detail: string;
}

/** The end for good. */
export interface ClosedStatus<M extends object = OpenEvents> {
  /** Tells it from the others. */
  readonly type: "closed";
  /** Where the client was, or was to be, connected to. */
  readonly address: Address;
  /** Why it ended. */
  readonly info: CloseInfo;
  /** The events of which nobody knows whether they arrived, as in {@link DisconnectedStatus}. */
  readonly unconfirmed: readonly EventOf<M>[];
  /** The events that waited for a connection and were not sent. */
  readonly unsent: readonly EventOf<M>[];
  /** How many events the client has dropped, as its `overflow` policy demands. */
  readonly dropped: number;
}

/** How many statuses wait for a reader that falls behind; then the oldest are dropped. */
const MAX_UNREAD = 100;

/** Passes each status on to everyone who listens. */
export class StatusFeed<M extends object> {
  #current: ClientStatus<M> | null = null;
  readonly #readers = new Set<Inbox<ClientStatus<M>>>();

  /** Tells everyone; after `closed`, that was all. */
  push(status: ClientStatus<M>): void {
    // What has happened to events says nothing about how things are now.
    if (status.type !== "gap" && status.type !== "refused") this.#current = status;
    for (const reader of this.#readers) tell(reader, status);
    if (status.type === "closed") this.#readers.clear();
  }

  /** Nothing is going on any more; whoever listens waits for what comes next. */
  forget(): void {
    this.#current = null;
  }

  /** What the status is and what it becomes, up to `closed`. */
  read(): AsyncGenerator<ClientStatus<M>, void, void> {
    const reader = new Inbox<ClientStatus<M>>({}, () => {});
    if (this.#current?.type !== "closed") this.#readers.add(reader);
    if (this.#current) tell(reader, this.#current);
    const leave = () => void this.#readers.delete(reader);
    return new InboxIterator(reader, () => ({ [Symbol.dispose]: leave }), leave);
  }
}

function tell<M extends object>(
  reader: Inbox<ClientStatus<M>>,
  status: ClientStatus<M>,
): void {
  if (reader.length >= MAX_UNREAD) reader.take();
  reader.push([status], 0);
  if (status.type === "closed") reader.end();
}
