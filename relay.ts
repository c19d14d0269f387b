/**
 * Owns the policy of a relay: given lines and their source, who gets them. Must not know sockets or
 * flags.
 *
 * @example A relay inside another program
 * ```ts
 * import { EbsocketClient } from "@ebsockets/relay/client";
 * import { EbsocketEvent } from "@ebsockets/relay/event";
 * import { Relay } from "@ebsockets/relay/relay";
 * import { EbsocketServer } from "@ebsockets/relay/server";
 * import { assertEquals } from "@std/assert/equals";
 *
 * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
 * await using client = new EbsocketClient();
 * await client.connectTo(relay.server.address);
 * client.sendEvent(new EbsocketEvent("message", { content: "hi" }));
 * assertEquals((await client.recvEvent())?.getAttribute("content"), "hi");
 * ```
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Address } from "./address.ts";
import { Backpressure } from "./backpressure.ts";
import type { ControlLine } from "./control.ts";
import type { CloseInfo, CloseReason } from "./errors.ts";
import { Greeter } from "./greeter.ts";
import type { EbsocketConnection } from "./connection.ts";
import { ConnectionLimits } from "./connection_limits.ts";
import { checkLimit, MAX_TIMER_MS } from "./limits.ts";
import { Limiter, type RateOptions } from "./limiter.ts";
import type { LineBlock } from "./splitter.ts";
import { parseLine } from "./parse.ts";
import { EbsocketServer, type ServeOptions } from "./server.ts";
import { type RelayStats, StatsCollector } from "./stats.ts";
import { LineValidator } from "./validate.ts";

export {
  ConnectionClosedError,
  EbsocketConnection,
  EbsocketError,
  EbsocketServer,
} from "./server.ts";
export type {
  Address,
  CloseInfo,
  CloseReason,
  ConnectionListener,
  ConnectionOptions,
  ConnectionSink,
  Duplex,
  Farewell,
  Hello,
  LineBlock,
  LineSplitterOptions,
  ServeOptions,
  ServerOptions,
  ServerSink,
  Socket,
  TlsServerOptions,
} from "./server.ts";
export type { RateOptions, RelayStats };

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const CR = 0x0d;
/** The longest control line that is looked at, in bytes: the ones that a relay knows are short. */
const MAX_CONTROL_BYTES = 4096;

const NEWLINE = new Uint8Array([0x0a]);

/** One client of a relay, with its counters. */
export interface RelayClient {
  /** Which client it is: 1 for the first that came, then 2, and so on. */
  readonly id: number;
  /** Where it is. */
  readonly address: Address;
  /** Events that came from it and were relayed. */
  readonly eventsIn: number;
  /** Events that were queued for it; `unsentLines` of its {@link CloseInfo} are among them. */
  readonly eventsOut: number;
  /** Bytes that came from it. */
  readonly bytesIn: number;
  /** Bytes that the operating system has taken for it. */
  readonly bytesOut: number;
  /** Bytes that wait to be handed to the operating system for it. */
  readonly pendingBytes: number;
}

/** Who is told what happens to the clients of a relay, to log it for instance. */
export interface RelayObserver {
  /** A client has joined. */
  onJoin?(client: RelayClient): void;
  /** A client has left; the counters are final. */
  onLeave?(client: RelayClient, info: CloseInfo): void;
  /** A peer has been sent away, or has gone, before it was a client. */
  onRefuse?(address: Address, reason: CloseReason, detail: string): void;
}

/** Options of {@link Relay}. */
export interface RelayOptions extends ServeOptions, RateOptions {
  /**
   * Whether a client gets its own events too.
   *
   * @default {true}
   */
  readonly echo?: boolean;
  /**
   * How deep a line may nest, the outermost object included, from 2 to 1,000.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
  /**
   * For how long a client that reads nothing may hold up those that send, in milliseconds, from 0.
   * It may be a little less. A client on the same machine that is merely slow may need more: it shows
   * that it reads only once a third of what the system buffers for it has been read.
   *
   * @default {250}
   */
  readonly maxHold?: number;
  /** Who is told what happens. */
  readonly observer?: RelayObserver;
}

/**
 * Passes every event that one client sends on to all clients.
 *
 * Each line is checked once, and the bytes that came in are the bytes that go out, in one piece for
 * all recipients: number precision, the order of keys and white space survive. A client's first
 * invalid line closes it; the lines before that count.
 *
 * A client that reads too slowly slows the publishers down, for a bounded time; one that does not
 * read at all is closed with `slow-consumer`.
 */
export class Relay {
  /** The server whose clients these are. */
  readonly server: EbsocketServer;
  /**
   * Resolves when the server and all connections have been closed. Rejects then if an observer has
   * thrown when a client joined, which closes the relay.
   */
  readonly closed: Promise<void>;

  readonly #clients = new Set<EbsocketConnection>();
  readonly #greeter: Greeter;
  readonly #limiter: Limiter<EbsocketConnection>;
  readonly #backpressure: Backpressure;
  readonly #validator: LineValidator;
  readonly #echo: boolean;
  readonly #observer: RelayObserver;
  readonly #stats = new StatsCollector();

  /**
   * Begins to relay between the clients of `server`, until that is closed.
   *
   * @throws {TypeError} If `server` is no server, or serves already.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(server: EbsocketServer, options: RelayOptions = {}) {
    if (!(server instanceof EbsocketServer)) {
      throw new TypeError(
        `Invalid server: expected an EbsocketServer, got ${Deno.inspect(server)}`,
      );
    }
    this.server = server;
    this.#echo = options.echo ?? true;
    this.#observer = options.observer ?? {};
    this.#validator = new LineValidator(options.maxDepth);
    const resume = (client: EbsocketConnection) => {
      if (!this.#limiter.holds(client) && !this.#backpressure.holds(client)) client.resume();
    };
    this.#limiter = new Limiter(options, resume);
    this.#backpressure = new Backpressure(
      checkLimit("maxHold", options.maxHold ?? 250, 0, MAX_TIMER_MS),
      (source, lines) => this.#relay(source, lines),
      resume,
    );
    this.#greeter = new Greeter(new ConnectionLimits(options), this.#validator, this.#limiter);
    this.closed = server.serve({
      onOpen: (connection) => this.#onOpen(connection),
      onHello: (connection, hello) => this.#greeter.onHello(connection, hello),
      onLines: (connection, lines) => this.#backpressure.deliver(connection, lines),
      onClose: (connection, info) => this.#onClose(connection, info),
      onRefuse: (address, reason, detail) => {
        this.#stats.refused(reason);
        this.#observer.onRefuse?.(address, reason, detail);
      },
    }, options).finally(() => this.#stats.stop());
  }

  /** The clients, in the order in which they came. */
  get clients(): RelayClient[] {
    return [...this.#clients];
  }

  /** What has happened since the relay was made, and how it is now. */
  stats(): RelayStats {
    return this.#stats.read(this.#clients, this.server.pendingBytes);
  }

  #onOpen(connection: EbsocketConnection): void {
    this.#clients.add(connection);
    this.#stats.joined();
    this.#observer.onJoin?.(connection);
  }

  #onClose(connection: EbsocketConnection, info: CloseInfo): void {
    this.#clients.delete(connection);
    this.#limiter.forget(connection);
    this.#backpressure.forget(connection);
    this.#stats.left(connection, info.reason);
    this.#observer.onLeave?.(connection, info);
  }

  /**
   * Relays the events among the lines in one piece: nearly always the whole block. Where other lines
   * lie between them, they are joined: each piece that is queued costs time and memory for every
   * recipient, and a sender could make a piece of every line.
   */
  #relay(source: EbsocketConnection, { bytes }: LineBlock): void {
    const validator = this.#validator;
    validator.open(bytes);
    const runs: Uint8Array[] = [];
    let lines = 0;
    let events = 0;
    let runStart = 0;
    let start = 0;
    while (start < bytes.length) {
      const kind = validator.validate(start);
      if (kind === "invalid") break;
      lines++;
      const { end } = validator;
      const isEvent = kind === "event";
      if (isEvent) events++;
      const endsInCr = bytes[end - 1] === CR;
      if (!isEvent || endsInCr) {
        const runEnd = isEvent ? end - 1 : start;
        if (runEnd > runStart) runs.push(bytes.subarray(runStart, runEnd));
        if (isEvent) runs.push(NEWLINE);
        runStart = end + 1;
      }
      if (kind === "control" && end - start <= MAX_CONTROL_BYTES) {
        this.#onControl(source, bytes.subarray(start, end + 1));
      }
      start = end + 1;
    }
    if (start > runStart) runs.push(bytes.subarray(runStart, start));
    if (events > 0) this.#forward(source, runs.length === 1 ? runs[0]! : concat(runs), events);

    this.#account(source, { lines, events, bytes: bytes.length });
    if (start < bytes.length) {
      const isFirst = start === 0 && bytes.length + source.unfinishedBytes === source.bytesIn;
      this.#greeter.onBadLine(source, validator.fault, isFirst ? bytes : null);
    }
  }

  #onControl(source: EbsocketConnection, line: Uint8Array): void {
    const text = decoder.decode(line);
    this.#greeter.onControl(
      source,
      parseLine(text, this.#validator.hasEscapedKey) as ControlLine,
    );
  }

  /** Counts what a client has sent and we have taken, and slows it down if that was too much. */
  #account(
    source: EbsocketConnection,
    sent: { lines: number; events: number; bytes: number },
  ): void {
    if (!this.#clients.has(source)) return; // It has gone since.
    this.#greeter.taken(source, sent.events);
    const verdict = this.#limiter.spend(source, sent);
    if (verdict === "over") source.pause();
    if (verdict === "far over") source.close("rate-limited", "it sent far more than it may");
  }

  /** Queues `count` whole lines for everyone who is to get them. */
  #forward(source: EbsocketConnection, lines: Uint8Array, count: number): void {
    // A small part of a block is copied: as a view it would hold all of the block in memory.
    if (2 * lines.length < lines.buffer.byteLength) lines = lines.slice();
    for (const recipient of this.#clients) {
      if (recipient === source && !this.#echo) continue;
      if (recipient.send(lines, count)) this.#backpressure.observe(recipient);
    }
  }

  /**
   * Closes the server, sends what is queued, tells the clients `shutdown`, and closes them. Resolves
   * when the last connection has ended, which takes no longer than about `shutdownTimeout`.
   */
  close(): Promise<void> {
    this.server.close();
    return this.closed;
  }

  /** Does what {@link close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
