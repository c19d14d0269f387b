/**
 * The port for protocols that wrap the lines of a connection, such as WebSocket.
 *
 * @module
 */

import type { CloseReason } from "../errors.ts";
import type { Transport } from "../protocol/address.ts";
import type { Encoding } from "./encoding.ts";

/** The reason why a peer's input cannot be decoded any further. */
export interface DecodeFault {
  readonly reason: CloseReason;
  readonly message: string;
}

/** Wraps and unwraps the lines of one connection. */
export interface Codec {
  /** The name of the protocol. */
  readonly transport: Transport;
  /** The encoding of the lines that are sent. */
  readonly encoding: Encoding;
  /** The fault in the input, if there is one. The lines before it count. */
  readonly fault: DecodeFault | null;
  /** How the peer has said that its input has ended, for people; `null` while it has not. */
  readonly ended: string | null;
  /**
   * How many unused bytes must precede the bytes that are received next, because decoded lines may
   * be longer: 0 or 1.
   */
  readonly headroom: number;
  /**
   * Decodes received bytes in place.
   *
   * @param bytes The {@link headroom}, followed by the received bytes.
   * @returns The number of bytes at the front of `bytes` that are now bytes of lines.
   */
  decode(bytes: Uint8Array): number;
  /** Returns the bytes that answer the input decoded last, if it needs an answer. */
  takeAnswer(): Uint8Array | null;
  /** Returns the bytes that ask an idle peer for a sign of life, or `null` to send an empty line. */
  readonly probe: Uint8Array | null;
  /** Returns how much input since the last call was no lines, as a number of frames. */
  takeChatter(): number;
  /**
   * Whether the peer says farewell as well before a connection that we close may end. Firefox, for
   * example, takes an earlier end for a fault (RFC 6455, section 7.1.1).
   */
  readonly expectsFarewell: boolean;
  /** Returns the last bytes of a connection that ends for `reason`, or `null`. */
  farewell(reason: CloseReason): Uint8Array | null;
}
