/**
 * Owns the listener: binds, accepts, backs off when accepting fails, closes. Must not know events
 * or what becomes of a connection.
 *
 * @example Accept one connection
 * ```ts
 * import { EbsocketServer } from "@ebsockets/relay/server";
 *
 * await using server = new EbsocketServer(["127.0.0.1", 0]);
 * using peer = await Deno.connect({ hostname: "127.0.0.1", port: server.address[1] });
 * const [connection, address] = await server.acceptConnection();
 * console.log(`${address[0]} has connected`);
 * await connection.close();
 * ```
 *
 * @module
 */

import { inspect } from "./protocol/printable.ts";
import { type Address, checkAddress, formatAddress } from "./protocol/address.ts";
import { getLocalIp, toAddress } from "./net/local_address.ts";
import { Admission, type ServeOptions, type ServerSink } from "./server/admission.ts";
import { EbsocketConnection, openConnection } from "./net/connection.ts";
import { ConnectionClosedError } from "./errors.ts";
import { nextTurn } from "./net/turn.ts";
import { checkGiven } from "./protocol/option_checks.ts";
import { SilentPeer } from "./net/tls.ts";
import { type ConnectionListener, listen, type TlsServerOptions } from "./net/transport.ts";
import { afterRunning } from "./net/ticker.ts";

export { EbsocketConnection };
export type { Address, ConnectionListener, ServeOptions, ServerSink, TlsServerOptions };
export type { Hello } from "./protocol/greeting.ts";
export type { ConnectionSink, Duplex, Socket } from "./net/connection.ts";
export type { ConnectionOptions } from "./net/connection_options.ts";
export type { CloseInfo, CloseReason, Farewell } from "./errors.ts";
export { ConnectionClosedError, EbsocketError } from "./errors.ts";
export type { LineBlock, LineSplitterOptions } from "./protocol/line_splitter.ts";

/** The first and the longest pause after a failed accept, in milliseconds; it doubles in between. */
const MIN_BACKOFF = 5;
const MAX_BACKOFF = 1000;

/**
 * How many connections are accepted before all others have their turn. Accepting from a full backlog
 * waits for nothing: without a pause, thousands of newcomers would hold the clients up for as long
 * as it takes to admit them all.
 */
const ACCEPTS_PER_TURN = 64;

/** Options of {@link EbsocketServer}. */
export interface ServerOptions {
  /**
   * The host name or address to bind to; `0.0.0.0` and `::` are all of this machine's. `localhost` is
   * both 127.0.0.1 and ::1, with the same port: without IPv6, or with the permission for one of them
   * alone, it is that one, which `address` then tells. Of the addresses of any other name, it is the
   * first.
   *
   * @default {getLocalIp()}
   */
  readonly hostname?: string;
  /**
   * The port, from 0 to 65535; 0 lets the system choose a free one.
   *
   * @default {0}
   */
  readonly port?: number;
  /**
   * The path of a Unix socket to listen on, instead of `hostname` and `port`. Only the user that the
   * program runs as can connect (mode 0600). A file that a dead server has left is replaced; the file
   * is removed when the server is closed. `address` is then the path, and port 0.
   */
  readonly path?: string;
  /** Speaks TLS, and nothing else. */
  readonly tls?: TlsServerOptions;
  /**
   * Gets each peer that was sent away because its TLS handshake has failed, took longer than 5 s, or
   * showed no valid client certificate where `tls.clientCa` asks for one. A relay tells its observer,
   * too.
   */
  readonly onHandshakeError?: (address: Address, error: Error) => void;
  /** Accepts from this listener, instead of binding to `hostname` and `port`. */
  readonly listener?: ConnectionListener;
  /** Closes the server when aborted. */
  readonly signal?: AbortSignal;
  /** Gets each error with which accepting failed. The server goes on, after a pause. */
  readonly onAcceptError?: (error: unknown) => void;
}

/** Errors of accept that are about one peer, who is gone; the next can be accepted at once. */
const PEER_GONE = [
  Deno.errors.NotConnected,
  Deno.errors.ConnectionAborted,
  Deno.errors.ConnectionReset,
  Deno.errors.BrokenPipe,
];

/**
 * A listener for connections.
 *
 * No accept error ends it: out of file descriptors, say, it tries again after 5 ms, then after
 * twice as long each time, up to 1 s. A peer that is gone before it was accepted costs no pause.
 *
 * @example Three ways to say where
 * ```ts
 * import { EbsocketServer, getLocalIp } from "@ebsockets/relay";
 *
 * // A port alone, as in `new EbsocketServer(7982)`, is a port of `getLocalIp()`.
 * console.log("others would reach it at", getLocalIp());
 * await using loopback = new EbsocketServer(["127.0.0.1", 0]);
 * await using brief = new EbsocketServer({ hostname: "::1", signal: AbortSignal.timeout(10) });
 * console.log(loopback.address, brief.address);
 * await brief.closed;
 * ```
 */
export class EbsocketServer {
  /** Where it listens, with the real port: the real address, or `localhost` for both of that. */
  readonly address: Address;
  /** Resolves when the server has been closed. */
  readonly closed: Promise<void>;

  readonly #listener: ConnectionListener;
  readonly #onAcceptError: (error: unknown) => void;
  readonly #resolveClosed: () => void;
  /** The peers that are being served, if any are. */
  #admission: Admission | null = null;
  /** What a sink has thrown that closed the server. */
  #failure: { error: unknown } | null = null;
  #isOpen = true;
  /** The accept under way; the next caller waits for it, since a listener takes one at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #backoff = MIN_BACKOFF;
  #endWait = (): void => {};

  /**
   * Binds at once.
   *
   * @throws {TypeError} If an option is of the wrong type, or two do not go together; also if an
   * address or an option is there without a value, as an unset environment variable is.
   * @throws {RangeError} If the port is no integer from 0 to 65535.
   * @throws {Deno.errors.AddrInUse} If the port is taken.
   * @throws {Deno.errors.NotCapable} Without `--allow-net` for the address.
   */
  constructor(where: number | Address | ServerOptions) {
    const options = toOptions(where);
    this.#listener = bind(options, (address, error) => {
      options.onHandshakeError?.(address, error);
      const isSilent = error.cause instanceof SilentPeer;
      this.#admission?.refused(address, "unauthorized", error.message, isSilent);
    });
    this.#onAcceptError = options.onAcceptError ?? (() => {});
    this.address = toAddress(this.#listener.addr);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    const { signal } = options;
    if (signal?.aborted) this.close();
    signal?.addEventListener("abort", this.close);
    promise.then(() => signal?.removeEventListener("abort", this.close));
  }

  /**
   * Waits for the next peer and gives its connection, not yet started, and address.
   *
   * @throws {ConnectionClosedError} If the server is closed, before or meanwhile.
   */
  async acceptConnection(): Promise<[connection: EbsocketConnection, address: Address]> {
    const connection = await this.#next();
    if (connection) return [connection, connection.address];
    throw new ConnectionClosedError(
      `Cannot accept on ${formatAddress(this.address)}: the server is closed`,
    );
  }

  /** Waits for the next connection; `null` if the server is closed, before or meanwhile. */
  #next(): Promise<EbsocketConnection | null> {
    const accepted = this.#turn.then(() => this.#accept());
    this.#turn = accepted.catch(() => {});
    return accepted;
  }

  async #accept(): Promise<EbsocketConnection | null> {
    while (this.#isOpen) {
      try {
        const conn = await this.#listener.accept();
        this.#backoff = MIN_BACKOFF;
        return openConnection(conn);
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) this.close(); // by whoever owns the listener
        if (!this.#isOpen) break;
        this.#onAcceptError(error);
        if (!PEER_GONE.some((known) => error instanceof known)) await this.#pause();
      }
    }
    return null;
  }

  /** Waits for the back-off time, or until the server is closed. */
  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#backoff);
    this.#backoff = Math.min(2 * this.#backoff, MAX_BACKOFF);
    await this.#orClosed(promise);
    clearTimeout(timer);
  }

  /** Waits for `promise`, or until the server is closed. (A race would leave a trace on `closed`.) */
  async #orClosed(promise: Promise<void>): Promise<void> {
    if (!this.#isOpen) return;
    const wait = Promise.withResolvers<void>();
    promise.then(wait.resolve);
    this.#endWait = wait.resolve;
    await wait.promise;
  }

  /** Accepts one connection after the other, until the server is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<
    [connection: EbsocketConnection, address: Address]
  > {
    for (;;) {
      const connection = await this.#next();
      if (!connection) return;
      yield [connection, connection.address];
    }
  }

  /**
   * Serves every peer until the server is closed, then closes their connections with `shutdown`.
   * Resolves when the last of them has ended. A server can serve once.
   *
   * @throws {TypeError} If the server has been given to a system or a relay already, or the token is
   * no string.
   * @throws {RangeError} If an option is out of its range.
   */
  serve(sink: ServerSink, options: ServeOptions = {}): Promise<void> {
    const admission = new Admission(sink, options, (error) => {
      this.#failure ??= { error };
      this.close();
    });
    if (this.#admission) {
      throw new TypeError(`Cannot serve on ${formatAddress(this.address)} twice`);
    }
    this.#admission = admission;
    return this.#serve(sink, admission);
  }

  async #serve(sink: ServerSink, admission: Admission): Promise<void> {
    try {
      await admission.prepare();
      for (let accepted = 1;; accepted++) {
        if (accepted % ACCEPTS_PER_TURN === 0) await nextTurn();
        const connection = await this.#next();
        if (!connection) break;
        admission.admit(connection);
        const ready = sink.whenReady?.();
        if (ready) await this.#orClosed(ready);
      }
      if (this.#failure) throw this.#failure.error;
    } finally {
      this.close(); // in case the sink has failed
      const endDeadline = afterRunning(admission.shutdownTimeout, () => this.abort());
      await admission.close();
      endDeadline();
    }
  }

  /** How many bytes wait for all the clients that are being served. */
  get pendingBytes(): number {
    return this.#admission?.pendingBytes ?? 0;
  }

  /** Stops listening. Connections that were accepted are not touched. */
  readonly close = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#listener.close();
    this.#endWait();
    this.#resolveClosed();
  };

  /** Stops listening, and closes at once all connections that {@link serve} has accepted. */
  abort(): void {
    this.close();
    this.#admission?.abort();
  }

  /** Stops listening. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return this.closed;
  }
}

function toOptions(where: number | Address | ServerOptions): ServerOptions {
  if (typeof where === "number") return { port: where };
  if (Array.isArray(where)) {
    const [hostname, port] = checkAddress(where as unknown as Address);
    return { hostname, port };
  }
  if (typeof where === "object" && where !== null) {
    const options = where as ServerOptions;
    checkGiven(options, ["hostname", "port", "path", "tls", "listener"]);
    return options;
  }
  throw new TypeError(
    `Invalid address: expected a port, [hostname, port] or options, got ${inspect(where)}`,
  );
}

function bind(
  options: ServerOptions,
  onRefuse: (address: Address, error: Error) => void,
): ConnectionListener {
  const { hostname = getLocalIp(), port = 0, path, tls, listener } = options;
  const clash = listener ? ["path", "tls"] as const : ["hostname", "port"] as const;
  for (const name of listener || path !== undefined ? clash : []) {
    if (options[name] === undefined) continue;
    throw new TypeError(`Invalid ${name}: it does not go with ${listener ? "listener" : "path"}`);
  }
  return listener ?? listen(path === undefined ? [hostname, port] : { path }, { tls, onRefuse });
}
