/**
 * Admission of peers to a server: which peers become clients, which are rejected, and the budgets
 * they share.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import { Compaction } from "../net/compaction.ts";
import type { ConnectionSink, EbsocketConnection } from "../net/connection.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { ConnectionLimits, type ConnectionOptions } from "../net/connection_options.ts";
import { encodeClose, type Hello } from "../protocol/control.ts";
import type { CloseReason } from "../errors.ts";
import type { AuthGate } from "./auth_gate.ts";
import { checkDuration, checkGiven, checkLimit, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import { ByteBudget } from "../net/send_queue.ts";
import { ReadBuffers } from "../net/read_buffers.ts";
import { checkTokenText } from "../protocol/token.ts";
import { addTicking, removeTicking, type Ticking } from "../net/ticker.ts";

/** Default of `maxTotalPendingBytes`. */
export const DEFAULT_MAX_TOTAL_PENDING_BYTES = 536_870_912;

/** Default of `helloTimeout`, in milliseconds. */
export const DEFAULT_HELLO_TIMEOUT = 5000;

/**
 * Most peers that may receive the reason of their rejection at the same time. This can take a
 * second for each. In a flood, the others are disconnected without a reason, or they would use up
 * the file descriptors that the limit protects.
 */
const MAX_LINGERING = 256;

/** Receiver of the input of all connections of a server. */
export interface ServerSink extends ConnectionSink {
  /** Called when a peer has connected and was admitted. */
  onOpen(connection: EbsocketConnection): void;
  /** Called with the hello of a peer that had to send a token, right after `onOpen`. */
  onHello?(connection: EbsocketConnection, hello: Hello): void;
  /**
   * Called when a peer is rejected, or disconnects before it was admitted. `isSilent` is set if the
   * peer disconnected without a byte in either direction.
   */
  onRefuse?(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void;
  /** Called before each accept. Returns a promise to wait for, or `null`. */
  whenReady?(): Promise<void> | null;
}

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
}

/** The peers of one server. */
export class Admission implements Ticking {
  /** Longest time that closing may take, in milliseconds. */
  readonly shutdownTimeout: number;

  readonly #sink: ServerSink;
  readonly #onFailure: (error: unknown) => void;
  readonly #limits: ConnectionLimits;
  readonly #maxClients: number;
  readonly #maxPerAddress: number;
  readonly #maxTotal: number;
  readonly #token: string | undefined;
  readonly #helloTimeout: number;
  readonly #retryAfter: number;

  readonly #total: ByteBudget;
  readonly #buffers: ReadBuffers;
  readonly #members: ConnectionSink;
  /** All connections that have not ended, including rejected ones. */
  readonly #connections = new Set<LineConnection>();
  #mayCompact = true;
  #clients = 0;
  /** Number of peers that are receiving the reason of their rejection. */
  #lingering = 0;
  readonly #byAddress = new Map<string, number>();
  #gate: AuthGate | null = null;
  #lastId = 0;

  /**
   * Admits peers to `sink`.
   *
   * @param sink Receives the clients and their lines.
   * @param options The limits, and the token if one is needed.
   * @param onFailure Called with errors thrown by `sink` that have no other handler.
   * @throws {TypeError} If the token is not a string.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(sink: ServerSink, options: ServeOptions, onFailure: (error: unknown) => void) {
    this.#sink = sink;
    this.#onFailure = onFailure;
    this.#maxClients = checkLimit("maxClients", options.maxClients ?? Infinity, 1);
    const perAddress = options.maxClientsPerAddress ?? Infinity;
    this.#maxPerAddress = checkLimit("maxClientsPerAddress", perAddress, 1);
    const total = options.maxTotalPendingBytes ?? DEFAULT_MAX_TOTAL_PENDING_BYTES;
    this.#maxTotal = checkLimit("maxTotalPendingBytes", total, 1);
    checkGiven(options, ["token"]);
    const { token } = options;
    this.#token = token === undefined ? undefined : checkTokenText(token);
    const helloTimeout = options.helloTimeout ?? DEFAULT_HELLO_TIMEOUT;
    this.#helloTimeout = checkDuration("helloTimeout", helloTimeout, 1, MAX_TIMER_MS);
    this.shutdownTimeout = checkDuration("shutdownTimeout", options.shutdownTimeout ?? 5000, 0);
    this.#retryAfter = checkDuration("retryAfter", options.retryAfter ?? 0, 0, MAX_TIMER_MS);
    this.#total = new ByteBudget(this.#maxTotal, () => this.#closeSlow());
    this.#buffers = new ReadBuffers(this.#maxTotal / 4, () => this.#giveUpLines());
    this.#limits = new ConnectionLimits(options, this.#total, this.#buffers);
    this.#members = {
      onLines: (connection, lines) => sink.onLines(connection, lines),
      onEnd: (connection) => sink.onEnd?.(connection),
      onClose: (connection, info) => {
        this.#clients--;
        this.#onGone(connection);
        sink.onClose(connection, info);
      },
    };
  }

  /** Bytes queued for all clients together. */
  get pendingBytes(): number {
    return this.#total.bytes;
  }

  /**
   * Prepares for the first peer and must be awaited before it. Loads the code for tokens only if
   * there is one.
   */
  async prepare(): Promise<void> {
    if (this.#token === undefined) return;
    const { AuthGate } = await import("./auth_gate.ts");
    this.#gate = new AuthGate(this.#token, this.#helloTimeout, this.#limits, {
      onPass: (connection, hello, rest) => {
        // An error of the sink has no other handler here.
        try {
          this.#pass(connection, hello, rest);
        } catch (error) {
          this.#onFailure(error);
        }
      },
      onRefuse: ({ address }, reason, detail, isSilent) =>
        this.refused(address, reason, detail, isSilent),
      onGone: (connection) => this.#onGone(connection),
    });
  }

  #pass(connection: LineConnection, hello: Hello, rest: LineBlock): void {
    const excess = this.#excess();
    if (excess) {
      connection.close("too-many-clients", excess);
      return this.refused(connection.address, "too-many-clients", excess);
    }
    connection.switchSink(this.#members, this.#limits);
    this.#open(connection);
    this.#sink.onHello?.(connection, hello);
    if (rest.bytes.length > 0) this.#sink.onLines(connection, rest);
  }

  /** Admits a peer, hands it to the authentication gate, or rejects it. */
  admit(connection: LineConnection): void {
    this.#connections.add(connection);
    addTicking(this);
    // Peers at the gate take no place yet, so that strangers cannot keep out clients that have the
    // token.
    const excess = this.#excessOf(connection) ?? (this.#gate ? null : this.#excess());
    if (excess) return this.#refuse(connection, excess);
    this.#count(connection, 1);
    if (this.#gate) return this.#gate.start(connection);
    connection.start(this.#members, this.#limits);
    this.#open(connection);
  }

  #open(connection: LineConnection): void {
    this.#clients++;
    connection.id = ++this.#lastId;
    this.#sink.onOpen(connection);
  }

  /** Returns the reason to reject one more client, or `null` if there is room. */
  #excess(): string | null {
    return this.#clients >= this.#maxClients
      ? `the server takes no more than ${this.#maxClients}`
      : null;
  }

  /**
   * Returns the same for the address of `connection`. Peers of one address count from when they
   * connect.
   */
  #excessOf({ address: [hostname] }: LineConnection): string | null {
    return (this.#byAddress.get(hostname) ?? 0) >= this.#maxPerAddress
      ? `the server takes no more than ${this.#maxPerAddress} from one address`
      : null;
  }

  #refuse(connection: LineConnection, detail: string): void {
    if (this.#lingering < MAX_LINGERING) {
      this.#lingering++;
      connection.start({
        onLines() {},
        onClose: () => {
          this.#lingering--;
          this.#forget(connection);
        },
      }, this.#limits);
      connection.close("too-many-clients", detail);
    } else {
      this.#forget(connection);
      connection.abort("too-many-clients", detail);
    }
    this.refused(connection.address, "too-many-clients", detail);
  }

  /** Reports a peer that was rejected or disconnected before it became a client. */
  refused(address: Address, reason: CloseReason, detail: string, isSilent = false): void {
    this.#sink.onRefuse?.(address, reason, detail, isSilent);
  }

  #onGone(connection: LineConnection): void {
    this.#forget(connection);
    this.#count(connection, -1);
  }

  #forget(connection: LineConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) removeTicking(this);
  }

  /** Counts one peer more, or one fewer, for its address. */
  #count(connection: LineConnection, change: 1 | -1): void {
    const [hostname, port] = connection.address;
    if (this.#maxPerAddress === Infinity || port === 0) return;
    const count = (this.#byAddress.get(hostname) ?? 0) + change;
    if (count > 0) this.#byAddress.set(hostname, count);
    else this.#byAddress.delete(hostname);
  }

  /**
   * Makes room when the queued bytes exceed the limit. First releases blocks that are mostly
   * unused. Then closes the connections with the largest send queues until three quarters of the
   * limit are in use.
   */
  #closeSlow(): void {
    if (this.#mayCompact) this.#compact();
    if (this.#total.bytes <= this.#maxTotal) return;
    const most = [...this.#connections].sort((a, b) => b.pendingBytes - a.pendingBytes);
    for (const connection of most) {
      const before = this.#total.bytes;
      if (before <= 0.75 * this.#maxTotal) break;
      const { pendingBytes } = connection;
      connection.closeSlow(
        `${pendingBytes} of ${before} bytes were waiting for it, more than for others`,
      );
      if (this.#total.bytes === before) break; // All of it is shared.
    }
  }

  /**
   * Releases blocks that are mostly unused. If that gains little, it is not repeated before the
   * next tick.
   */
  #compact(): void {
    const compaction = new Compaction();
    for (const connection of this.#connections) {
      connection.replaceEach((piece) => {
        compaction.note(piece);
        return piece;
      });
    }
    for (const connection of this.#connections) {
      connection.replaceEach((piece) => compaction.replace(piece));
    }
    this.#mayCompact = this.#total.bytes <= 0.75 * this.#maxTotal;
  }

  /**
   * Gives up unfinished lines until three quarters of their limit are in use. The oldest lines go
   * first, because a peer in the middle of sending a line will soon finish. Short lines are spared,
   * since closing them would gain nothing. The most recent line is spared as well, because a single
   * line may be as long as the limit.
   */
  #giveUpLines(): void {
    const { bytes, maxBytes } = this.#buffers;
    const all = [...this.#connections].filter(({ unfinishedBytes }) => unfinishedBytes > 0);
    const held = all.reduce((sum, { unfinishedBytes }) => sum + unfinishedBytes, 0);
    const isLong = ({ unfinishedBytes }: LineConnection) =>
      unfinishedBytes >= held / all.length / 2;
    // The bytes of closing connections stay until those have ended.
    const order = (one: LineConnection, other: LineConnection) =>
      Number(one.open) - Number(other.open) || one.lineBegan - other.lineBegan;
    let excess = bytes - 0.75 * maxBytes;
    for (const connection of all.filter(isLong).sort(order).slice(0, -1)) {
      if (excess <= 0) break;
      excess -= connection.bufferBytes;
      const detail = `the server holds ${held} bytes of unfinished lines, too many; try again`;
      if (connection.open) connection.close("overloaded", detail);
      else connection.abort("overloaded", detail);
    }
  }

  /** Advances the deadlines of all connections. */
  tick(elapsed: number): void {
    this.#mayCompact = true;
    this.#connections.forEach((connection) => connection.tick(elapsed));
  }

  /**
   * Sends the queued lines and `shutdown` to every peer. Resolves when the last connection has
   * ended.
   */
  async close(): Promise<void> {
    const detail = "";
    const retry = this.#retryAfter > 0 ? { retryAfterMs: this.#retryAfter } : {};
    const lastWord = encodeClose({ reason: "shutdown", detail, ...retry });
    await Promise.all(
      [...this.#connections].map((each) => each.closeWith("shutdown", detail, lastWord)),
    );
  }

  /** Closes all connections immediately. */
  abort(): void {
    for (const connection of this.#connections) connection.abort();
  }
}
