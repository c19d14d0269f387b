/**
 * Owns the peers of a server that serves: who is admitted, who is sent away, and what waits for all
 * of them together. Must not know listeners, or what the clients say.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import { Compaction } from "../net/compaction.ts";
import type { ConnectionSink, EbsocketConnection } from "../net/connection.ts";
import { ConnectionLimits, type ConnectionOptions } from "../net/connection_options.ts";
import { encodeClose } from "../protocol/control.ts";
import type { CloseReason } from "../errors.ts";
import type { AuthGate } from "./auth_gate.ts";
import type { Hello } from "../protocol/greeting.ts";
import { checkDuration, checkGiven, checkLimit, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import { ByteBudget } from "../net/send_queue.ts";
import { ReadBuffers } from "../net/read_buffers.ts";
import { checkTokenText } from "../protocol/token.ts";
import { addTicking, removeTicking, type Ticking } from "../net/ticker.ts";

/** How much may wait for all clients together by default, in bytes. */
export const DEFAULT_MAX_TOTAL_PENDING_BYTES = 536_870_912;

/** How long a client may take to show its token by default, in milliseconds. */
export const DEFAULT_HELLO_TIMEOUT = 5000;

/**
 * How many may be told at the same time that there are too many, which can take a second each. In a
 * flood, the others are hung up on, or they would take the file descriptors that are to be saved.
 */
const MAX_LINGERING = 256;

/** Who gets what all connections of a server receive. */
export interface ServerSink extends ConnectionSink {
  /** A peer has connected, and has been admitted. */
  onOpen(connection: EbsocketConnection): void;
  /** A peer that was asked for a token has said hello. Comes right after `onOpen`. */
  onHello?(connection: EbsocketConnection, hello: Hello): void;
  /**
   * A peer has connected and is being sent away, or has gone before it was admitted. If `isSilent`, it
   * went without a byte in either direction.
   */
  onRefuse?(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void;
  /** Asked before each accept: a promise to wait for, or `null`. */
  whenReady?(): Promise<void> | null;
}

/** Options of {@link EbsocketServer.serve}. */
export interface ServeOptions extends ConnectionOptions {
  /**
   * How many clients may be connected, from 1; any more are closed with `too-many-clients`. Without
   * a limit, the number of file descriptors that the system allows is the limit.
   *
   * @default {Infinity}
   */
  readonly maxClients?: number;
  /**
   * How many of them may come from one IP address, from 1. Does not hold for Unix sockets.
   *
   * @default {Infinity}
   */
  readonly maxClientsPerAddress?: number;
  /**
   * How many bytes may wait for all clients together, from 1; what waits for several counts once.
   * When there is more, those for whom most waits are closed with `slow-consumer`. A quarter of that
   * may be held of lines whose ends have not come; beyond it, those that were begun first are given up,
   * and their clients closed with `overloaded`. An eighth may be kept, by a relay, of publishers that
   * wait for a slow reader; beyond it, nobody waits.
   *
   * @default {536_870_912}
   */
  readonly maxTotalPendingBytes?: number;
  /**
   * What a client must show to be admitted: its first line must be a `hello` with this token, of 1 to
   * 1,024 bytes. Until then it gets nothing. Without a token, whoever can connect is admitted.
   */
  readonly token?: string;
  /**
   * How long a client may take to show its token, in milliseconds, from 1.
   *
   * @default {5_000}
   */
  readonly helloTimeout?: number;
  /**
   * How long sending what is queued may take once the server is closed, in milliseconds, from 0, or
   * `Infinity`. Connections that are not done by then are closed as they are.
   *
   * @default {5_000}
   */
  readonly shutdownTimeout?: number;
  /**
   * How long clients are asked to stay away once the server is closed, in milliseconds, from 0.
   *
   * @default {0}
   */
  readonly retryAfter?: number;
}

/** The peers of one server. */
export class Admission implements Ticking {
  /** How long closing may take, in milliseconds. */
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
  /** All that have not ended, those that are being sent away included. */
  readonly #connections = new Set<EbsocketConnection>();
  #mayCompact = true;
  #clients = 0;
  /** How many are being told that there are too many. */
  #lingering = 0;
  readonly #byAddress = new Map<string, number>();
  #gate: AuthGate | null = null;
  #lastId = 0;

  /**
   * Admits peers to `sink`.
   *
   * Calls `onFailure` with what `sink` throws when nobody else is there to catch it.
   *
   * @throws {TypeError} If the token is no string.
   * @throws {RangeError} If an option is out of its range.
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

  /** How many bytes wait for all clients together. */
  get pendingBytes(): number {
    return this.#total.bytes;
  }

  /** To be awaited before the first peer: what is needed only for a token is loaded only for one. */
  async prepare(): Promise<void> {
    if (this.#token === undefined) return;
    const { AuthGate } = await import("./auth_gate.ts");
    this.#gate = new AuthGate(this.#token, this.#helloTimeout, this.#limits, {
      onPass: (connection, hello, rest) => {
        // Here, an error of the sink has nobody else to reach.
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

  #pass(connection: EbsocketConnection, hello: Hello, rest: LineBlock): void {
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

  /** Admits a peer, lets it wait at the gate, or sends it away. */
  admit(connection: EbsocketConnection): void {
    this.#connections.add(connection);
    addTicking(this);
    // Who waits at the gate takes no place yet: strangers must not keep those out who may come in.
    const excess = this.#excessOf(connection) ?? (this.#gate ? null : this.#excess());
    if (excess) return this.#refuse(connection, excess);
    this.#count(connection, 1);
    if (this.#gate) return this.#gate.start(connection);
    connection.start(this.#members, this.#limits);
    this.#open(connection);
  }

  #open(connection: EbsocketConnection): void {
    this.#clients++;
    connection.id = ++this.#lastId;
    this.#sink.onOpen(connection);
  }

  /** Whether one more client would be too many, and how many would not. */
  #excess(): string | null {
    return this.#clients >= this.#maxClients
      ? `the server takes no more than ${this.#maxClients}`
      : null;
  }

  /** The same for those from the address of `connection`, who count from when they connect. */
  #excessOf({ address: [hostname] }: EbsocketConnection): string | null {
    return (this.#byAddress.get(hostname) ?? 0) >= this.#maxPerAddress
      ? `the server takes no more than ${this.#maxPerAddress} from one address`
      : null;
  }

  #refuse(connection: EbsocketConnection, detail: string): void {
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

  /** A peer was sent away, or has gone, that was no client. */
  refused(address: Address, reason: CloseReason, detail: string, isSilent = false): void {
    this.#sink.onRefuse?.(address, reason, detail, isSilent);
  }

  #onGone(connection: EbsocketConnection): void {
    this.#forget(connection);
    this.#count(connection, -1);
  }

  #forget(connection: EbsocketConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) removeTicking(this);
  }

  /** Counts one peer more from its address, or one fewer. */
  #count(connection: EbsocketConnection, change: 1 | -1): void {
    const [hostname, port] = connection.address;
    if (this.#maxPerAddress === Infinity || port === 0) return;
    const count = (this.#byAddress.get(hostname) ?? 0) + change;
    if (count > 0) this.#byAddress.set(hostname, count);
    else this.#byAddress.delete(hostname);
  }

  /**
   * Makes room where more waits than may: lets go of blocks of which little waits, and then closes those
   * for whom most waits, until three quarters of what may wait in all are left.
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
      if (this.#total.bytes === before) break; // Others share all of it. The next excess tells.
    }
  }

  /** Lets go of blocks of which little waits. Where that wins little, it is not done again before the next tick. */
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
   * Gives up unfinished lines, until three quarters of what they may hold in all are left: those that
   * were begun first, since who is in the middle of sending a line will be done soon. Those that hold
   * little are spared, as that would win nothing, and the last of all: one may be as long as it may.
   */
  #giveUpLines(): void {
    const { bytes, maxBytes } = this.#buffers;
    const all = [...this.#connections].filter(({ unfinishedBytes }) => unfinishedBytes > 0);
    const held = all.reduce((sum, { unfinishedBytes }) => sum + unfinishedBytes, 0);
    const isLong = ({ unfinishedBytes }: EbsocketConnection) =>
      unfinishedBytes >= held / all.length / 2;
    // Of those that are being closed, the bytes stay until they have gone.
    const order = (one: EbsocketConnection, other: EbsocketConnection) =>
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

  /** Time passes, for all connections. */
  tick(elapsed: number): void {
    this.#mayCompact = true;
    this.#connections.forEach((connection) => connection.tick(elapsed));
  }

  /** Sends what is queued, tells everybody `shutdown`, and waits until the last has ended. */
  async close(): Promise<void> {
    const detail = "";
    const retry = this.#retryAfter > 0 ? { retryAfterMs: this.#retryAfter } : {};
    const lastWord = encodeClose({ reason: "shutdown", detail, ...retry });
    await Promise.all(
      [...this.#connections].map((each) => each.closeWith("shutdown", detail, lastWord)),
    );
  }

  /** Closes all connections at once. */
  abort(): void {
    for (const connection of this.#connections) connection.abort();
  }
}
