/**
 * Owns how a socket is made, both ways: listens and dials, over TCP, TLS and Unix sockets. Must not
 * know what is said over it, or who may connect beyond what TLS says.
 *
 * @module
 */

import { type Address, checkAddress, formatAddress } from "../protocol/address.ts";
import { toAddress } from "./local_address.ts";
import { type Socket, tune } from "./connection.ts";
import { isLocalhost, listenOnLocalhost, type TcpListener } from "./localhost_listener.ts";
import {
  checkClientOptions,
  secureClient,
  type TlsClientOptions,
  TlsServer,
  type TlsServerOptions,
} from "./tls.ts";
import { UnixListener } from "./unix_listener.ts";

export type { Socket, TlsClientOptions, TlsServerOptions };

/**
 * How many connections may wait to be accepted: the most that Linux allows by default. With fewer,
 * many clients that come at once wait a second or more for their second attempt.
 */
const BACKLOG = 4096;

/**
 * How many TLS handshakes may be under way. Then the oldest makes way for the next, once it has had
 * this time, in milliseconds: enough for one that succeeds, even around the world, while one that is
 * stuck would hold its place for 5 s.
 */
const MAX_HANDSHAKES = 1000;
const FAIR_TIME = 1000;

/** Makes connections in its own way, over whatever carries bytes whole and in order. */
export interface Dialer {
  /** What the other end is called in messages and statuses. */
  readonly address: Address;
  /** Makes a connection; gives up when `signal` is aborted. */
  dial(signal?: AbortSignal): Promise<Socket>;
}

/** Where to dial to: an address, the path of a Unix socket, or a dialer of the program's own. */
export type Destination = Address | { readonly path: string } | Dialer;

/** Where to listen: at an address, or at the path of a Unix socket. */
export type Place = Exclude<Destination, Dialer>;

/** What a server needs of a listener; every `Deno.Listener` has it. */
export interface ConnectionListener {
  /** Where it listens. */
  readonly addr: Deno.Addr;
  /** Waits for the next connection. */
  accept(): Promise<Socket>;
  /** Stops listening. */
  close(): void;
}

/** Options of {@link listen}. */
export interface ListenOptions {
  /** Speaks TLS. */
  readonly tls?: TlsServerOptions | undefined;
  /** A peer was sent away because its TLS handshake has failed, or took too long. */
  readonly onRefuse?: (address: Address, error: Error) => void;
}

/** Options of {@link dial}. */
export interface DialOptions {
  /** Speaks TLS: with what Deno trusts, or with options. */
  readonly tls?: true | TlsClientOptions;
  /** Gives the attempt up when aborted. Has no effect once connected. */
  readonly signal?: AbortSignal;
}

/**
 * Listens, at once. On `localhost` that is on 127.0.0.1 and on ::1, with the same port, as far as the
 * machine has them and Deno permits it.
 *
 * @throws {TypeError} If an option is wrong, or two do not go together.
 * @throws {RangeError} If the port is no integer from 0 to 65535.
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
 * Makes a connection, its TLS handshake included.
 *
 * @throws {TypeError} If an argument is wrong, or two do not go together.
 * @throws {RangeError} If the port is no integer from 1 to 65535.
 * @throws {EbsocketError} With the code `tls-failed`, if the TLS handshake fails.
 * @throws {Deno.errors.NotCapable} Without permission for the address.
 */
export async function dial(
  where: Destination,
  { tls, signal }: DialOptions = {},
): Promise<Socket> {
  const place = checkDestination(where, tls);
  if (isDialer(place)) return await place.dial(signal);
  if (isPath(place)) {
    const conn = await connect(
      (abort) => Deno.connect({ transport: "unix", ...place, ...abort }),
      signal,
    );
    // The system knows the path by which the socket was made, which may not be the one asked for.
    return Object.defineProperty(conn, "remoteAddr", { value: { transport: "unix", ...place } });
  }
  const [hostname, port] = place;
  const options = tls === undefined ? null : checkClientOptions(tls);
  const conn = await connect((abort) => Deno.connect({ hostname, port, ...abort }), signal);
  if (options) tune(conn); // TLS hides it from those who would do it later.
  return options ? await secureClient(conn, hostname, options, signal) : conn;
}

/**
 * Connects unless `signal` is aborted. Deno 2.9.6 looks at a signal once more when the connection has
 * been made, and if it is aborted by then, throws and leaves the socket open for ever. So it gets one
 * that does not throw, and what comes too late is closed here.
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
 * `where` if it can be dialled to, with TLS or without.
 *
 * @throws {TypeError} If an argument is wrong, or two do not go together.
 * @throws {RangeError} If the port is no integer from 1 to 65535.
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

/** The address of a destination: a Unix socket has its path and port 0. */
export function addressOf(where: Destination): Address {
  if (isDialer(where)) return where.address;
  return isPath(where) ? [where.path, 0] : where;
}

/**
 * Accepts connections whose TLS handshake is over. Handshakes are many at a time; connections are
 * taken from the operating system only while somebody waits in {@link accept}.
 */
class TlsListener implements ConnectionListener {
  readonly addr: Deno.NetAddr;
  readonly #listener: TcpListener;
  readonly #security: TlsServer;
  readonly #onRefuse: (address: Address, error: Error) => void;
  /** What gives each handshake under way up, the oldest first, and when it began. */
  readonly #handshakes = new Map<AbortController, number>();
  /** Runs until the oldest of them has had its time. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #secured: Socket[] = [];
  #failure: unknown = null;
  #isAccepting = false;
  #isOpen = true;
  #news = Promise.withResolvers<void>();

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

  async accept(): Promise<Socket> {
    for (;;) {
      if (!this.#isOpen) throw new Deno.errors.BadResource("The listener is closed");
      const socket = this.#secured.shift();
      if (socket) return socket;
      const failure = this.#failure;
      this.#failure = null;
      if (failure) throw failure;
      if (!this.#isAccepting && this.#makeRoom()) this.#acceptNext();
      await this.#news.promise;
    }
  }

  /** Whether there is room for one more handshake, if need be since the oldest was given up. */
  #makeRoom(): boolean {
    if (this.#handshakes.size < MAX_HANDSHAKES) return true;
    const [[oldest, since]] = this.#handshakes as unknown as [[AbortController, number]];
    const wait = since + FAIR_TIME - performance.now();
    if (wait > 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#tell(), wait);
      return false;
    }
    oldest.abort(new Error("TLS handshake failed: it was slow, and too many others were waiting"));
    return true;
  }

  async #acceptNext(): Promise<void> {
    this.#isAccepting = true;
    try {
      this.#secure(await this.#listener.accept());
    } catch (error) {
      this.#failure = error;
    }
    this.#isAccepting = false;
    this.#tell();
  }

  async #secure(conn: Deno.TcpConn): Promise<void> {
    tune(conn);
    const attempt = new AbortController();
    this.#handshakes.set(attempt, performance.now());
    try {
      const socket = await this.#security.secure(conn, attempt.signal);
      if (!this.#isOpen) return socket.close();
      this.#secured.push(socket);
    } catch (error) {
      if (this.#isOpen) this.#onRefuse(toAddress(conn.remoteAddr), error as Error);
    } finally {
      this.#handshakes.delete(attempt);
      this.#tell();
    }
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** Stops listening, and closes connections that nobody has taken. */
  close(): void {
    this.#isOpen = false;
    this.#listener.close();
    clearTimeout(this.#timer);
    for (const attempt of this.#handshakes.keys()) attempt.abort();
    for (const socket of this.#secured) socket.close();
    this.#tell();
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
