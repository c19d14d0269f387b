/**
 * The port of a client: everything that it needs of its surroundings in order to reach a server.
 *
 * A door chooses the implementation: `client.ts` the sockets of Deno, `web.ts` WebSocket alone. So
 * the parts of a client depend on neither.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { CloseInfo } from "../errors.ts";
import type { ConnectionLimits } from "../net/connection_options.ts";
import type { Dialer } from "../net/connection.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { TlsClientOptions } from "../net/tls_options.ts";

/**
 * Where to connect: a URL that begins with `ws:` or `wss:`, an address, the path of a Unix socket, or
 * a custom dialer. The client of `./web` takes URLs alone.
 */
export type Destination = string | URL | Address | { readonly path: string } | Dialer;

/** The receiver of a connection's input. */
export interface ConnectionSink {
  /** Called with complete lines. */
  onLines(connection: unknown, lines: LineBlock): void;
  /** Called when the connection has ended. This is the last call. */
  onClose(connection: unknown, info: CloseInfo): void;
}

/** A connection to a server, as far as a client uses it. */
export interface ClientConnection extends
  Pick<
    LineConnection,
    | "abort"
    | "address"
    | "bytesHandedOff"
    | "bytesIn"
    | "bytesOut"
    | "close"
    | "cork"
    | "countUnsent"
    | "flush"
    | "notePeerClose"
    | "open"
    | "pause"
    | "pendingBytes"
    | "reading"
    | "resume"
    | "room"
    | "send"
    | "setPeerKeepAlive"
  > {
  /**
   * How many bytes of events the server may send beyond those read. Unset if the connection slows
   * the server down by itself.
   */
  readonly window?: number;
  /** The shortest keep-alive interval that it can promise, in milliseconds. */
  readonly minKeepAliveMs?: number;
  /** Starts to read, and enables {@link send}. */
  start(sink: ConnectionSink, limits: ConnectionLimits): void;
}

/** The ways to connect. */
export interface ClientPort {
  /**
   * Checks the TLS options of a client.
   *
   * @throws {TypeError} If an option is invalid. The message names the option.
   */
  checkTls(tls: true | TlsClientOptions): void;
  /**
   * Returns `where` if it is a valid destination, with or without TLS.
   *
   * @throws {TypeError} If an argument is invalid or conflicts with another one.
   * @throws {RangeError} If the port is not an integer from 1 to 65535.
   */
  check(where: Destination, tls: true | TlsClientOptions | undefined): Destination;
  /** Returns the address of a valid destination. */
  addressOf(where: Destination): Address;
  /** Connects to a valid destination. Gives up when `signal` is aborted. */
  connect(
    where: Destination,
    tls: true | TlsClientOptions | undefined,
    signal: AbortSignal,
  ): Promise<ClientConnection>;
}

let port: ClientPort | null = null;

/** Makes all clients that are created from now on use `it`. */
export function usePort(it: ClientPort): void {
  port = it;
}

/** Makes clients use `it` if no other port was chosen. */
export function offerPort(it: ClientPort): void {
  port ??= it;
}

/** Returns the port of new clients. */
export function currentPort(): ClientPort {
  if (!port) throw new TypeError("Cannot create a client: no door of this package was imported");
  return port;
}
