/**
 * A listener for Ebsocket connections: it binds, accepts, backs off after accept errors, and
 * closes.
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

import { abortable } from "@std/async/abortable";
import { delay } from "@std/async/delay";
import { inspect } from "./protocol/printable.ts";
import { type Address, checkAddress, formatAddress } from "./protocol/address.ts";
import { getLocalIp, toAddress } from "./net/platform.ts";
import { Admission } from "./server/admission.ts";
import type { ServeOptions, ServerSink } from "./server/options.ts";
import { EbsocketConnection } from "./net/connection.ts";
import type { LineConnection } from "./net/line_connection.ts";
import { ConnectionClosedError } from "./errors.ts";
import { nextTurn } from "./net/turn.ts";
import { checkGiven } from "./protocol/option_checks.ts";
import { SilentPeer } from "./net/tls.ts";
import {
  type ConnectionListener,
  listen,
  openConnection,
  type TlsServerOptions,
} from "./net/transport.ts";
import { afterRunning } from "./net/ticker.ts";
import { checkWebOptions, type WebOptions, type WebRules } from "./web/options.ts";

export { EbsocketConnection };
export type { Address, ConnectionListener, ServeOptions, ServerSink, TlsServerOptions, WebOptions };
export type { Transport } from "./protocol/address.ts";
export type { Hello } from "./protocol/control.ts";
export type { ProducerClaim } from "./protocol/producer.ts";
export type { ConnectionSink, Duplex, Socket } from "./net/connection.ts";
export type { ConnectionOptions } from "./net/connection_options.ts";
export type { CloseInfo, CloseReason, Farewell } from "./errors.ts";
export { ConnectionClosedError, EbsocketError, FramingError } from "./errors.ts";
export type { LineBlock, LineSplitterOptions } from "./protocol/line_splitter.ts";

/**
 * Shortest and longest pause after a failed accept, in milliseconds. The pause doubles in between.
 */
const MIN_BACKOFF = 5;
const MAX_BACKOFF = 1000;

/**
 * Connections accepted in a row before other sockets get a turn. Accepting from a full backlog
 * never waits, so without this limit thousands of new peers would delay existing clients until all
 * of them are admitted.
 */
const ACCEPTS_PER_TURN = 64;

/** Options of {@link EbsocketServer}. */
export interface ServerOptions {
  /**
   * Host name or address to bind to. `0.0.0.0` and `::` stand for all addresses of this machine.
   * `localhost` binds 127.0.0.1 and ::1 with the same port. If IPv6 is missing, or only one of the
   * two addresses is permitted, it binds that one, and `address` contains it. For any other name,
   * the first resolved address is used.
   *
   * @default {getLocalIp()}
   */
  readonly hostname?: string;
  /**
   * Port, from 0 to 65535. With 0, the operating system chooses a free port.
   *
   * @default {0}
   */
  readonly port?: number;
  /**
   * Path of a Unix socket to listen on, instead of `hostname` and `port`. Only the user that runs
   * the program can connect (mode 0600). A socket file left by a dead server is replaced. The file
   * is removed when the server closes. `address` is then the path with port 0.
   */
  readonly path?: string;
  /** TLS settings. With them, the server accepts only TLS connections. */
  readonly tls?: TlsServerOptions;
  /**
   * Called for each peer that was rejected during its TLS handshake. The handshake failed, took
   * longer than 5 s, or lacked a valid client certificate although `tls.clientCa` is set. A relay
   * also reports this to its observer.
   */
  readonly onHandshakeError?: (address: Address, error: Error) => void;
  /** Listener to accept from, instead of binding to `hostname` and `port`. */
  readonly listener?: ConnectionListener;
  /**
   * Also answers HTTP on the same port, and takes browsers as clients, over WebSocket. Names the
   * other pages and the host names that are permitted besides the server's own; `{}` permits none.
   * A relay with the option `web` has a page and more to answer.
   *
   * @default {undefined}
   */
  readonly web?: WebOptions;
  /** Closes the server when aborted. */
  readonly signal?: AbortSignal;
  /** Called with each accept error. The server continues after a pause. */
  readonly onAcceptError?: (error: unknown) => void;
}

/** Accept errors that concern a single, vanished peer. The next peer can be accepted at once. */
const PEER_GONE = [
  Deno.errors.NotConnected,
  Deno.errors.ConnectionAborted,
  Deno.errors.ConnectionReset,
  Deno.errors.BrokenPipe,
];

/**
 * A listener for connections.
 *
 * Accept errors never stop the server. If it runs out of file descriptors, for example, it retries
 * after 5 ms and doubles the delay each time, up to 1 s. A peer that disconnects before it is
 * accepted causes no delay.
 *
 * @example Three ways to specify the address
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
  /**
   * Address the server listens on, with the actual port. The host is `localhost` if the server
   * listens on both loopback addresses.
   */
  readonly address: Address;
  /** Resolves when the server is closed. */
  readonly closed: Promise<void>;

  readonly #listener: ConnectionListener;
  readonly #onAcceptError: (error: unknown) => void;
  readonly #isTls: boolean;
  /** The rules for browsers, or `null` to refuse HTTP. */
  readonly #webRules: WebRules | null;
  /** Aborted when the server is closed. */
  readonly #closing = new AbortController();
  /** Admission of the connected peers, or `null` before {@link serve}. */
  #admission: Admission | null = null;
  /** Error that a sink threw and that closed the server. */
  #failure: { error: unknown } | null = null;
  /**
   * The pending accept. The next caller waits for it, because a listener accepts one connection at
   * a time.
   */
  #turn: Promise<unknown> = Promise.resolve();
  #backoff = MIN_BACKOFF;

  /**
   * Binds immediately.
   *
   * @param where A port of {@link getLocalIp}, a `[hostname, port]` pair, or options.
   * @throws {TypeError} If an option has the wrong type or conflicts with another one, or if an
   * address or option is present but `undefined`, as an unset environment variable is.
   * @throws {RangeError} If the port is not an integer from 0 to 65535.
   * @throws {Deno.errors.AddrInUse} If the port is taken.
   * @throws {Deno.errors.NotCapable} Without `--allow-net` for the address.
   */
  constructor(where: number | Address | ServerOptions) {
    const options = toOptions(where);
    this.#isTls = options.tls !== undefined;
    this.#webRules = this.#webRulesOf(options.web);
    this.#listener = bind(options, (address, error) => {
      options.onHandshakeError?.(address, error);
      const isSilent = error.cause instanceof SilentPeer;
      this.#admission?.refused(address, "unauthorized", error.message, isSilent);
    });
    this.#onAcceptError = options.onAcceptError ?? (() => {});
    this.address = toAddress(this.#listener.addr);
    const closing = this.#closing.signal;
    this.closed = new Promise((resolve) => closing.addEventListener("abort", () => resolve()));
    const { signal } = options;
    if (signal?.aborted) this.close();
    signal?.addEventListener("abort", this.close, { signal: closing });
  }

  #webRulesOf(web: WebOptions | undefined): WebRules | null {
    return web === undefined ? null : checkWebOptions(web, this.#isTls);
  }

  get #isOpen(): boolean {
    return !this.#closing.signal.aborted;
  }

  /**
   * Accepts the next peer.
   *
   * @returns The connection, not yet started, and the peer's address.
   * @throws {ConnectionClosedError} If the server is closed, or closes during the call.
   */
  async acceptConnection(): Promise<[connection: EbsocketConnection, address: Address]> {
    const connection = await this.#next();
    if (connection) return [connection, connection.address];
    throw new ConnectionClosedError(
      `Cannot accept on ${formatAddress(this.address)}: the server is closed`,
    );
  }

  /** Resolves to the next connection, or to `null` once the server is closed. */
  #next(): Promise<LineConnection | null> {
    const accepted = this.#turn.then(() => this.#accept());
    this.#turn = accepted.catch(() => {});
    return accepted;
  }

  async #accept(): Promise<LineConnection | null> {
    while (this.#isOpen) {
      try {
        const conn = await this.#listener.accept();
        this.#backoff = MIN_BACKOFF;
        return openConnection(conn);
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) this.close(); // by the owner of the listener
        if (!this.#isOpen) break;
        this.#onAcceptError(error);
        if (PEER_GONE.some((known) => error instanceof known)) continue;
        await this.#orClosed(delay(this.#backoff, { signal: this.#closing.signal }));
        this.#backoff = Math.min(2 * this.#backoff, MAX_BACKOFF);
      }
    }
    return null;
  }

  /** Waits for `wait`, which rejects when the server is closed. */
  async #orClosed(wait: Promise<void>): Promise<void> {
    await wait.catch((error) => {
      if (this.#isOpen) throw error;
    });
  }

  /** Yields accepted connections and their addresses until the server is closed. */
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
   * Serves all peers until the server is closed, then closes their connections with `shutdown`. A
   * server can serve only once.
   *
   * @param sink Receives the connections and their lines.
   * @returns A promise that resolves when the last connection has ended.
   * @throws {TypeError} If the server already belongs to a system or a relay, or the token is not a
   * string.
   * @throws {RangeError} If an option is out of range.
   */
  serve(sink: ServerSink, options: ServeOptions = {}): Promise<void> {
    const webRules = this.#webRulesOf(options.web) ?? this.#webRules;
    const admission = new Admission(sink, options, webRules, (error) => {
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
      await this.#orClosed(abortable(admission.prepare(), this.#closing.signal));
      for (let accepted = 1;; accepted++) {
        if (accepted % ACCEPTS_PER_TURN === 0) await nextTurn();
        const connection = await this.#next();
        if (!connection) break;
        admission.admit(connection);
        const ready = sink.whenReady?.();
        if (ready) await this.#orClosed(abortable(ready, this.#closing.signal));
      }
      if (this.#failure) throw this.#failure.error;
    } finally {
      this.close(); // if the sink failed
      const endDeadline = afterRunning(admission.shutdownTimeout, () => this.abort());
      await admission.close();
      endDeadline();
    }
  }

  /** Bytes queued for all clients of {@link serve}. */
  get pendingBytes(): number {
    return this.#admission?.pendingBytes ?? 0;
  }

  /** Stops listening. Accepted connections stay open. */
  readonly close = (): void => {
    if (!this.#isOpen) return;
    this.#closing.abort();
    try {
      this.#listener.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error; // Its owner has closed it.
    }
  };

  /** Stops listening and immediately closes all connections of {@link serve}. */
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
