/**
 * Sockets for servers and clients: listening and dialing over TCP, TLS and Unix sockets.
 *
 * @module
 */

import { type Address, checkAddress, formatAddress, type Transport } from "../protocol/address.ts";
import { AcceptQueue } from "./accept_queue.ts";
import { toAddress } from "./platform.ts";
import type { Dialer, Socket } from "./connection.ts";
import { LineConnection } from "./line_connection.ts";
import { isLocalhost, listenOnLocalhost, type TcpListener } from "./localhost_listener.ts";
import {
  checkClientOptions,
  type CheckedClientOptions,
  secureClient,
  TlsServer,
  type TlsServerOptions,
} from "./tls.ts";
import type { TlsClientOptions } from "./tls_options.ts";
import { TlsSocket } from "./tls_socket.ts";
import { UnixListener } from "./unix_listener.ts";

export type { Dialer, Socket, TlsClientOptions, TlsServerOptions };

/**
 * Most connections that may wait to be accepted, which is the highest value that Linux allows by
 * default. With fewer, many clients that connect at once wait a second or more for their second
 * attempt.
 */
const BACKLOG = 4096;

/**
 * Most TLS handshakes at a time. Beyond it, the oldest one is given up for the next, once it has
 * had this time, in milliseconds. The time suffices for a successful handshake even around the
 * world. A stuck handshake would otherwise hold its place for 5 s.
 */
const MAX_HANDSHAKES = 1000;
const FAIR_TIME = 1000;

/** Where to connect: an address, the path of a Unix socket, or a custom dialer. */
export type Destination = Address | { readonly path: string } | Dialer;

/** Where to listen: an address or the path of a Unix socket. */
export type Place = Exclude<Destination, Dialer>;

/** The part of a listener that a server needs. Every `Deno.Listener` implements it. */
export interface ConnectionListener {
  /** Address of the listener. */
  readonly addr: Deno.Addr;
  /** Resolves to the next connection. */
  accept(): Promise<Socket>;
  /** Stops listening. */
  close(): void;
}

/** Options of {@link listen}. */
export interface ListenOptions {
  /** TLS settings. With them, the listener accepts only TLS connections. */
  readonly tls?: TlsServerOptions | undefined;
  /** Called for each peer that is rejected because its TLS handshake failed or took too long. */
  readonly onRefuse?: (address: Address, error: Error) => void;
}

/** Options of {@link dial}. */
export interface DialOptions {
  /** TLS settings, or `true` for Deno's defaults. */
  readonly tls?: true | TlsClientOptions;
  /** Aborts the attempt. Has no effect once connected. */
  readonly signal?: AbortSignal;
}

/**
 * Starts to listen. `localhost` stands for 127.0.0.1 and ::1 with the same port, as far as the
 * machine has both and Deno permits them.
 *
 * @returns The listener.
 * @throws {TypeError} If an option is invalid or conflicts with another one.
 * @throws {RangeError} If the port is not an integer from 0 to 65535.
 * @throws {Deno.errors.AddrInUse} If the address is taken.
 * @throws {Deno.errors.NotCapable} Without permission for the address.
 */
export function listen(
  where: Place,
  { tls, onRefuse = () => {} }: ListenOptions = {},
): ConnectionListener {
  if (isPath(where)) {
    if (tls !== undefined) throw tlsOverUnix();
    return new UnixListener(checkPath(where.path));
  }
  const [hostname, port] = checkAddress(where);
  const security = tls === undefined ? null : new TlsServer(tls);
  const listener = isLocalhost(hostname) ? listenOnLocalhost(port, bind) : bind(hostname, port);
  return security ? new TlsListener(listener, security, onRefuse) : listener;
}

function bind(hostname: string, port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port, tcpBacklog: BACKLOG });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    const address = formatAddress([hostname, port]);
    throw new Deno.errors.AddrInUse(`Cannot listen on ${address}: the port is taken`, {
      cause: error,
    });
  }
}

/**
 * Connects, including the TLS handshake.
 *
 * @returns The connected socket.
 * @throws {TypeError} If an argument is invalid or conflicts with another one.
 * @throws {RangeError} If the port is not an integer from 1 to 65535.
 * @throws {EbsocketError} With the code `tls-failed`, if the TLS handshake fails.
 * @throws {Deno.errors.NotCapable} Without permission for the address.
 */
export async function dial(where: Destination, { tls, signal }: DialOptions = {}): Promise<Socket> {
  const place = checkDestination(where, tls);
  if (isDialer(place)) return await place.dial(signal);
  if (isPath(place)) {
    const conn = await connect(
      (abort) => Deno.connect({ transport: "unix", ...place, ...abort }),
      signal,
    );
    // The system reports the path at which the socket was bound, which may differ from the
    // requested one.
    return Object.defineProperty(conn, "remoteAddr", { value: { transport: "unix", ...place } });
  }
  const [hostname, port] = place;
  const options = tls === undefined ? null : checkClientOptions(tls);
  const conn = await connect((abort) => Deno.connect({ hostname, port, ...abort }), signal);
  tune(conn);
  return options ? await secureClient(conn, hostname, options, signal) : conn;
}

/**
 * Performs the TLS handshake over a TCP connection from {@link dial}, after the protocol above has
 * agreed on it. Closes the connection if the handshake fails.
 *
 * @throws {EbsocketError} With the code `tls-failed`, if the TLS handshake fails.
 */
export function startTls(
  socket: Socket,
  hostname: string,
  options: CheckedClientOptions,
  signal: AbortSignal,
): Promise<Socket> {
  return secureClient(socket as Deno.TcpConn, hostname, options, signal);
}

/**
 * Creates the connection for a socket. TCP sends each write at once, since batches are made here
 * and not by Nagle's algorithm. The operating system probes silent peers.
 */
export function openConnection(socket: Socket): LineConnection {
  if ("setNoDelay" in socket) tune(socket as Deno.TcpConn);
  return new LineConnection(socket, toAddress(socket.remoteAddr), transportOf(socket));
}

function transportOf(socket: Socket): Transport {
  if (socket instanceof TlsSocket || "handshake" in socket) return "tls";
  if ("path" in socket.remoteAddr) return "unix";
  return "setNoDelay" in socket ? "tcp" : "other";
}

/** Configures TCP to send each write at once and to probe silent peers. */
function tune(conn: Deno.TcpConn): void {
  try {
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
  } catch {
    // The peer has already disconnected. The first read will report it.
  }
}

/**
 * Connects unless `signal` is aborted. Deno 2.9.6 checks the signal once more after it has
 * connected. If it is aborted by then, Deno throws and leaks the socket. So it gets a signal that
 * does not throw, and late connections are closed here.
 */
async function connect<C extends Deno.Conn>(
  open: (abort: { signal?: AbortSignal }) => Promise<C>,
  signal: AbortSignal | undefined,
): Promise<C> {
  if (!signal) return await open({});
  signal.throwIfAborted();
  const silent = AbortSignal.any([signal]);
  Object.defineProperty(silent, "throwIfAborted", { value: () => {} });
  let conn: C;
  try {
    conn = await open({ signal: silent });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
  if (!signal.aborted) return conn;
  conn.close();
  throw signal.reason;
}

/**
 * Returns `where` if it is a valid destination, with or without TLS.
 *
 * @throws {TypeError} If an argument is invalid or conflicts with another one.
 * @throws {RangeError} If the port is not an integer from 1 to 65535.
 */
export function checkDestination(
  where: Destination,
  tls: true | TlsClientOptions | undefined,
): Destination {
  if (isDialer(where)) {
    checkAddress(where.address, 0);
    if (tls !== undefined) throw new TypeError("Invalid tls: it does not go with a dialer");
    return where;
  }
  if (!isPath(where)) return checkAddress(where, 1);
  if (tls !== undefined) throw tlsOverUnix();
  return { path: checkPath(where.path) };
}

/** Returns the address of a destination. A Unix socket has its path and port 0. */
export function addressOf(where: Destination): Address {
  if (isDialer(where)) return where.address;
  return isPath(where) ? [where.path, 0] : where;
}

/**
 * Accepts connections and completes their TLS handshakes. Many handshakes run at a time.
 * Connections are taken from the operating system only while {@link accept} is pending.
 */
class TlsListener implements ConnectionListener {
  readonly addr: Deno.NetAddr;
  readonly #listener: TcpListener;
  readonly #security: TlsServer;
  readonly #onRefuse: (address: Address, error: Error) => void;
  /** Pending handshakes, oldest first: the controller that aborts each one, and its start time. */
  readonly #handshakes = new Map<AbortController, number>();
  /** Runs until the oldest handshake has had its time. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #secured = new AcceptQueue<Socket>();
  #isAccepting = false;

  constructor(
    listener: TcpListener,
    security: TlsServer,
    onRefuse: (address: Address, error: Error) => void,
  ) {
    this.addr = listener.addr;
    this.#listener = listener;
    this.#security = security;
    this.#onRefuse = onRefuse;
  }

  accept(): Promise<Socket> {
    return this.#secured.next(() => {
      if (!this.#isAccepting && this.#makeRoom()) this.#acceptNext();
    });
  }

  /**
   * Returns whether there is room for another handshake. May give up the oldest one to make room.
   */
  #makeRoom(): boolean {
    if (this.#handshakes.size < MAX_HANDSHAKES) return true;
    const [[oldest, since]] = this.#handshakes as unknown as [[AbortController, number]];
    const wait = since + FAIR_TIME - performance.now();
    if (wait > 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#secured.wake(), wait);
      return false;
    }
    this.#handshakes.delete(oldest);
    oldest.abort(new Error("TLS handshake failed: it was slow, and too many others were waiting"));
    return true;
  }

  async #acceptNext(): Promise<void> {
    this.#isAccepting = true;
    try {
      this.#secure(await this.#listener.accept());
    } catch (error) {
      this.#secured.fail(error);
    }
    this.#isAccepting = false;
    this.#secured.wake();
  }

  async #secure(conn: Deno.TcpConn): Promise<void> {
    tune(conn);
    const attempt = new AbortController();
    this.#handshakes.set(attempt, performance.now());
    try {
      this.#secured.add(await this.#security.secure(conn, attempt.signal));
    } catch (error) {
      if (this.#secured.isOpen) this.#onRefuse(toAddress(conn.remoteAddr), error as Error);
    } finally {
      this.#handshakes.delete(attempt);
      this.#secured.wake();
    }
  }

  /** Stops listening and closes connections that have not been accepted. */
  close(): void {
    this.#secured.close();
    this.#listener.close();
    clearTimeout(this.#timer);
    for (const attempt of this.#handshakes.keys()) attempt.abort();
  }
}

function isDialer(where: Destination): where is Dialer {
  return typeof where === "object" && where !== null && "dial" in where;
}

function isPath(where: Destination): where is { readonly path: string } {
  return typeof where === "object" && where !== null && "path" in where;
}

function checkPath(path: string): string {
  if (typeof path === "string" && path !== "") return path;
  throw new TypeError(`Invalid path: expected the path of a socket, got ${Deno.inspect(path)}`);
}

function tlsOverUnix(): TypeError {
  return new TypeError("Invalid tls: it goes with a host name and port, not with path");
}
