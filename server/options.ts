/**
 * The types of a server: its options, and the receivers of its clients.
 *
 * @module
 */

import type { CloseReason } from "../errors.ts";
import type { ConnectionSink, EbsocketConnection } from "../net/connection.ts";
import type { ConnectionOptions } from "../net/connection_options.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { Address } from "../protocol/address.ts";
import type { Hello } from "../protocol/control.ts";
import type { HttpRequest } from "../protocol/http.ts";
import type { WebAnswer } from "../web/answer.ts";
import type { WebOptions } from "../web/options.ts";

/** Options of {@link EbsocketServer.serve}. */
export interface ServeOptions extends ConnectionOptions {
  /**
   * Most clients that may be connected, from 1. Further clients are closed with `too-many-clients`.
   * Without this limit, the number of file descriptors that the system allows is the limit.
   *
   * @default {Infinity}
   */
  readonly maxClients?: number;
  /**
   * Most clients that may be connected from one IP address, from 1. Does not apply to Unix sockets.
   *
   * @default {Infinity}
   */
  readonly maxClientsPerAddress?: number;
  /**
   * Most bytes that may be queued for all clients together, from 1. Bytes queued for several
   * clients count once. Beyond the limit, the clients with the largest send queues are closed with
   * `slow-consumer`.
   *
   * A quarter of this limit applies to unfinished lines. Beyond it, the oldest unfinished lines are
   * dropped and their clients closed with `overloaded`. In a relay, an eighth applies to input held
   * from publishers that wait for a slow reader. Beyond it, no publisher waits.
   *
   * @default {536_870_912}
   */
  readonly maxTotalPendingBytes?: number;
  /**
   * Token that clients need, from 1 to 1,024 bytes. The first line of a client must be a `hello`
   * with this token. Until then the client receives nothing. Without a token, every peer that can
   * connect is admitted.
   */
  readonly token?: string;
  /**
   * Time in which a client must send its token, in milliseconds, from 1.
   *
   * @default {5_000}
   */
  readonly helloTimeout?: number;
  /**
   * Longest time to send queued events after the server is closed, in milliseconds, from 0, or
   * `Infinity`. Connections that are not finished by then are closed immediately.
   *
   * @default {5_000}
   */
  readonly shutdownTimeout?: number;
  /**
   * Time that clients are asked to wait before they reconnect after the server is closed, in
   * milliseconds, from 0.
   *
   * @default {0}
   */
  readonly retryAfter?: number;
  /**
   * Also answers HTTP on the same port, and takes browsers as clients, over WebSocket. Names the
   * other pages and the host names that are permitted besides the server's own; `{}` permits none.
   *
   * @default The option `web` of the server.
   */
  readonly web?: WebOptions;
}

/** Receiver of the input of all connections of a server. */
export interface ServerSink extends ConnectionSink {
  /** Called when a peer has become a client, before anything else. */
  onOpen(connection: EbsocketConnection): void;
  /** Called with the hello of a peer that had to send a token, right after `onOpen`. */
  onHello?(connection: EbsocketConnection, hello: Hello): void;
  /**
   * Called when a peer is rejected, or disconnects before it was admitted. `isSilent` is set if the
   * peer disconnected without a byte in either direction.
   */
  onRefuse?(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void;
  /** Called after each accept. Returns a promise to wait for before the next one, or `null`. */
  whenReady?(): Promise<void> | null;
}

/** A sink within this package, which also takes part in the decisions about browsers. */
export interface AdmissionSink extends ServerSink {
  /** Called before the first accept, which waits for the promise. */
  prepare?(): Promise<void>;
  /**
   * Called when a peer has connected that may become a client. Lines can be sent to it. On a server
   * with `web`, they are held until the peer turns out to be a client or not.
   */
  onConnect?(connection: LineConnection): void;
  /** Called when a peer is no client: it speaks HTTP or TLS. The last call for it. */
  onWithdraw?(connection: LineConnection): void;
  /**
   * Answers an HTTP request on a server with `web`, whose peer waits for it.
   *
   * @param request The request, which the rules for browsers permit.
   * @param isAuthorized Whether it has the token as a bearer, or none is required.
   * @returns The answer, or `null` if there is nothing at that path.
   */
  onRequest?(request: HttpRequest, isAuthorized: boolean): Promise<WebAnswer | null>;
}
