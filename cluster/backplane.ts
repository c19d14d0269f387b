/**
 * The port through which a relay reaches the other relays of its cluster: messages to one of them,
 * or to all. A message may be lost. `link_stream.ts` makes a reliable stream of them.
 *
 * @module
 */

import type { StreamPort } from "../history/stream_port.ts";

/** Receives the messages and the state of a backplane. */
export interface BackplaneSink {
  /** Called with each message to this relay, or to all. Its bytes must not be kept. */
  onMessage(message: Uint8Array): void;
  /** Called when messages get through again. Earlier messages may be lost. */
  onConnect(): void;
  /** Called when no messages get through. */
  onDisconnect(): void;
  /** Called with each fault of the backplane. The same one may be reported many times. */
  onFault(fault: string): void;
}

/** A way to the other relays. */
export interface Backplane {
  /** The longest message, in bytes. Known once joined. */
  readonly maxMessageBytes: number;
  /** Whether messages get through, as far as is known. */
  readonly isConnected: boolean;
  /**
   * Connects, and starts to receive.
   *
   * @param id The ID of this relay.
   * @param sink Receives the messages.
   * @returns A promise that resolves once messages get through.
   * @throws {EbsocketError} If the backplane cannot be reached, or refuses this relay.
   */
  join(id: string, sink: BackplaneSink): Promise<void>;
  /** Sends a message to all relays. It may come back to this one. Does nothing while disconnected. */
  announce(message: Uint8Array): void;
  /**
   * Sends a message to one relay: `head` and `part` as one, so that no caller has to join them. Their
   * bytes never change. Does nothing while disconnected.
   */
  send(to: string, head: Uint8Array, part: Uint8Array): void;
  /**
   * Returns a promise that resolves when more messages can be sent without piling up, or `null` if
   * they can be sent now. Messages that are sent earlier are more likely to be lost.
   */
  whenReady(): Promise<void> | null;
  /**
   * Returns the stream in which the cluster keeps its history. Called after {@link join}. Without
   * it, the relays cannot have a history.
   *
   * @param minMessageBytes The size that its messages must be permitted to have.
   */
  openStream?(minMessageBytes: number): Promise<StreamPort>;
  /** Stops, after everything has been sent that can be. */
  close(): Promise<void>;
}
