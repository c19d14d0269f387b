/**
 * The policy of a relay: decides which clients receive each line. Does not depend on sockets.
 *
 * @example A relay inside another program
 * ```ts
 * import { EbsocketClient } from "@ebsockets/relay/client";
 * import { Relay } from "@ebsockets/relay/relay";
 * import { EbsocketServer } from "@ebsockets/relay/server";
 * import { assertEquals } from "@std/assert/equals";
 *
 * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
 * await using client = new EbsocketClient();
 * await client.connectTo(relay.server.address);
 * client.send("message", { content: "hi" });
 * assertEquals((await client.recvEvent())?.getAttribute("content"), "hi");
 * ```
 *
 * @module
 */

import { inspect } from "./protocol/printable.ts";
import type { Address } from "./protocol/address.ts";
import { DEFAULT_MAX_TOTAL_PENDING_BYTES } from "./server/admission.ts";
import type { Subscriber } from "./relay/subscriber.ts";
import { Backpressure } from "./relay/backpressure.ts";
import type { EventDefinitions } from "./schema/definitions.ts";
import { ControlHandler } from "./relay/control_handler.ts";
import type { CloseInfo, CloseReason } from "./errors.ts";
import { nextTurn, turnIsOver } from "./net/turn.ts";
import { Handshake } from "./server/handshake.ts";
import type { Feature, Hello } from "./protocol/control.ts";
import { Inspector } from "./relay/inspector.ts";
import { Ingress } from "./relay/ingress.ts";
import type { EbsocketConnection } from "./net/connection.ts";
import { ConnectionLimits } from "./net/connection_options.ts";
import {
  checkDuration,
  checkLimit,
  checkMaxBatchDelay,
  MAX_TIMER_MS,
} from "./protocol/option_checks.ts";
import { SchemaFilter } from "./relay/schema_filter.ts";
import { RateLimiter, type RateOptions, type Sent } from "./server/rate_limiter.ts";
import { Router } from "./relay/router.ts";
import { LineBlock } from "./protocol/line_splitter.ts";
import { EbsocketServer, type ServeOptions } from "./server.ts";
import type { RelayStats } from "./protocol/report.ts";
import { StatsCollector } from "./relay/stats.ts";
import {
  DEFAULT_MAX_SUBSCRIPTIONS,
  DEFAULT_MAX_TOTAL_SUBSCRIPTIONS,
} from "./relay/subscriptions.ts";
import { LineValidator } from "./protocol/validator.ts";

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
export type { CheckedAttributes, EventDefinitions } from "./schema/definitions.ts";
export type { OpenAttributes, OpenEvents } from "./protocol/event.ts";
export type { RateOptions, RelayStats };

/** Features of every relay besides passing events on. */
const FEATURES: readonly Feature[] = ["subscribe", "ack", "sequence", "stats"];

/** A client of a relay, with its counters. */
export interface RelayClient {
  /** The client's number: 1 for the first client, 2 for the second, and so on. */
  readonly id: number;
  /** The client's address. */
  readonly address: Address;
  /** Number of events received from the client and relayed. */
  readonly eventsIn: number;
  /**
   * Number of events queued for the client. Includes the `unsentLines` of its {@link CloseInfo}.
   */
  readonly eventsOut: number;
  /** Number of bytes received from the client. */
  readonly bytesIn: number;
  /** Number of bytes that the operating system has accepted for the client. */
  readonly bytesOut: number;
  /** Number of bytes queued for the client that the operating system has not accepted yet. */
  readonly pendingBytes: number;
}

/** Callbacks for the life of a relay's clients, for example for logging. */
export interface RelayObserver {
  /** Called when a client has joined. */
  onJoin?(client: RelayClient): void;
  /**
   * Called when a client's first line or lines have arrived. Not called for a client that had to
   * send a token.
   */
  onFirstLine?(client: RelayClient): void;
  /** Called when a client has left. Its counters are final. */
  onLeave?(client: RelayClient, info: CloseInfo): void;
  /**
   * Called when a peer was turned away, or left, before it became a client. `isSilent` is true if
   * not a single byte went in either direction.
   */
  onRefuse?(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void;
}

/** Options of {@link Relay}. */
export interface RelayOptions extends ServeOptions, RateOptions {
  /**
   * Whether a client also receives its own events.
   *
   * @default {true}
   */
  readonly echo?: boolean;
  /**
   * Whether a client receives no events until it subscribes, as in NATS. Events addressed to it
   * alone always arrive. Without this option, a client receives every event until it subscribes.
   * For n clients that only send, that makes n² events.
   *
   * @default {false}
   */
  readonly subscribeFirst?: boolean;
  /**
   * Maximum nesting depth of a line, including the outermost object, from 2 to 1,000.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
  /**
   * Maximum time that a client that reads nothing may hold up the senders of its events, in
   * milliseconds, from 0. The actual time may be slightly shorter. A client on the same machine
   * that is merely slow may need a higher value. Its reading shows only once it has read a third of
   * the bytes that the operating system buffers for it.
   *
   * @default {250}
   */
  readonly maxHold?: number;
  /**
   * Maximum time to gather events so that a client receives them in one write, in milliseconds,
   * from 0 to 1,000. No event is delayed while there is enough time to write each one separately. 0
   * turns gathering off.
   *
   * @default {20}
   */
  readonly maxBatchDelay?: number;
  /**
   * Maximum number of subscriptions of one client, from 1. The relay refuses further ones and keeps
   * the existing ones.
   *
   * @default {1_000}
   */
  readonly maxSubscriptions?: number;
  /**
   * Maximum number of subscriptions of all clients together, from 1. Those of clients that receive
   * exactly the same events count once. The relay refuses further ones. Each subscription takes
   * about a kilobyte of memory.
   *
   * @default {200_000}
   */
  readonly maxTotalSubscriptions?: number;
  /**
   * Whether clients may ask for the relay's state: its statistics, its clients and their addresses,
   * and the names of the events.
   *
   * @default {true}
   */
  readonly inspect?: boolean;
  /**
   * The permitted events, from {@link defineEvents}. The relay drops an event that does not match
   * and sends the reason to its sender. A matching event is passed on unchanged, even if its
   * validator transforms the value.
   *
   * @default {undefined}
   */
  readonly events?: EventDefinitions<object>;
  /** Callbacks for joining, leaving and refused clients. */
  readonly observer?: RelayObserver;
}

/**
 * Passes every event that a client sends on to all clients, or to those that have subscribed to it.
 * With `subscribeFirst`, only subscribers receive it.
 *
 * Each line is checked once. The bytes that arrive are the bytes that leave, shared by all clients
 * that receive the same events. Number precision, key order and white space survive. A client's
 * first invalid line closes its connection; the lines before it count.
 *
 * A client that reads too slowly slows down the senders of its events for a bounded time. A client
 * that reads nothing at all is closed with `slow-consumer`.
 */
export class Relay {
  /** The server that accepts the clients. */
  readonly server: EbsocketServer;
  /**
   * Resolves when the server and all connections have closed. Rejects at that point if an observer
   * threw an error when a client joined, which closes the relay.
   */
  readonly closed: Promise<void>;

  readonly #clients = new Set<EbsocketConnection>();
  /** The subscriber of each client. A client that has left may still have a block to relay. */
  readonly #subscribers = new WeakMap<EbsocketConnection, Subscriber<EbsocketConnection>>();
  /** Clients with the rest of a block that waits until other clients have had their turn. */
  readonly #late = new Set<EbsocketConnection>();
  readonly #handshake: Handshake;
  readonly #router: Router<EbsocketConnection>;
  readonly #checker: SchemaFilter;
  readonly #ingress: Ingress<EbsocketConnection>;
  readonly #controlHandler: ControlHandler;
  readonly #rateLimiter: RateLimiter<EbsocketConnection>;
  readonly #backpressure: Backpressure;
  readonly #validator: LineValidator;
  readonly #observer: RelayObserver;
  readonly #stats = new StatsCollector();

  /**
   * Starts relaying between the clients of `server`, until the server closes.
   *
   * @param server A server that is not serving yet.
   * @throws {TypeError} If `server` is not an {@link EbsocketServer} or is already serving, or if
   * `events` is not a set of definitions.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(server: EbsocketServer, options: RelayOptions = {}) {
    if (!(server instanceof EbsocketServer)) {
      throw new TypeError(
        `Invalid server: expected an EbsocketServer, got ${inspect(server)}`,
      );
    }
    this.server = server;
    this.#observer = options.observer ?? {};
    this.#validator = new LineValidator(options.maxDepth);
    const resume = (client: EbsocketConnection) => this.#resume(client);
    this.#rateLimiter = new RateLimiter(options, resume);
    this.#backpressure = new Backpressure({
      maxHold: checkDuration("maxHold", options.maxHold ?? 250, 0, MAX_TIMER_MS),
      maxParkedBytes: (options.maxTotalPendingBytes ?? DEFAULT_MAX_TOTAL_PENDING_BYTES) / 8,
      pass: (source, lines, held) => {
        if (held > 0 && this.#clients.has(source)) this.#rateLimiter.excuse(held, source);
        this.#relay(source, lines);
      },
      hearers: (source, { bytes }, readers) => {
        const clients = readers.map((reader) => this.#subscriberOf(reader));
        const subscriber = this.#subscriberOf(source);
        const found = this.#ingress.hearers(subscriber, bytes, clients, turnIsOver);
        return Array.from(found, ({ recipient }) => recipient);
      },
      onRelease: resume,
    });
    const limits = new ConnectionLimits(options);
    const subscribeFirst = options.subscribeFirst ?? false;
    const features = subscribeFirst ? [...FEATURES, "subscribe-first" as const] : FEATURES;
    this.#handshake = new Handshake(limits, this.#validator, this.#rateLimiter, features);
    this.#router = new Router({
      echo: options.echo ?? true,
      subscribeFirst,
      maxBatchDelay: checkMaxBatchDelay(options.maxBatchDelay),
      maxPendingBytes: limits.maxPendingBytes,
      onQueued: (client) => this.#backpressure.observe(client),
    });
    const inspector = new Inspector({
      stats: () => this.stats(),
      subscribers: () => [...this.#clients].map((client) => this.#subscriberOf(client)),
      routes: this.#router.routes,
    });
    this.#controlHandler = new ControlHandler({
      handshake: this.#handshake,
      router: this.#router,
      maxSubscriptions: checkLimit(
        "maxSubscriptions",
        options.maxSubscriptions ?? DEFAULT_MAX_SUBSCRIPTIONS,
        1,
      ),
      maxTotalSubscriptions: checkLimit(
        "maxTotalSubscriptions",
        options.maxTotalSubscriptions ?? DEFAULT_MAX_TOTAL_SUBSCRIPTIONS,
        1,
      ),
      inspector: options.inspect ?? true ? inspector : null,
    });
    this.#checker = new SchemaFilter(options.events);
    this.#ingress = new Ingress(
      this.#validator,
      this.#router,
      this.#checker,
      (client, control, line) => {
        const { hasEscapedKey } = this.#validator;
        const cost = this.#controlHandler.onControl(client, control, line, hasEscapedKey);
        this.#charge(client.recipient, { control: cost });
      },
    );
    this.closed = server.serve({
      onOpen: (connection) => this.#onOpen(connection),
      onHello: (connection, hello) => this.#onHello(connection, hello),
      onLines: (connection, lines) => this.#backpressure.deliver(connection, lines),
      onEnd: (connection) => this.#router.close(this.#subscriberOf(connection)),
      onClose: (connection, info) => this.#onClose(connection, info),
      onRefuse: (address, reason, detail, isSilent) => {
        this.#stats.refused(reason, isSilent);
        this.#observer.onRefuse?.(address, reason, detail, isSilent);
      },
    }, options).finally(async () => {
      if (this.#late.size > 0) {
        this.#late.clear();
        await nextTurn(); // they wait for this turn
      }
      this.#router.flush();
      this.#stats.stop();
      this.#rateLimiter.stop();
      inspector.stop();
    });
    this.#rateLimiter.start();
    server.closed.then(() => this.#router.flush()); // before the clients receive `shutdown`
  }

  /** The connected clients, in the order of their arrival. */
  get clients(): RelayClient[] {
    return [...this.#clients];
  }

  /** Returns the counters since the relay was created, and its current state. */
  stats(): RelayStats {
    const { eventsUnheard } = this.#router;
    const { refused } = this.#checker;
    return this.#stats.read(this.#clients, this.server.pendingBytes, eventsUnheard, refused);
  }

  #onOpen(connection: EbsocketConnection): void {
    this.#clients.add(connection);
    this.#subscribers.set(connection, this.#router.open(connection));
    this.#stats.joined();
    this.#observer.onJoin?.(connection);
  }

  #onClose(connection: EbsocketConnection, info: CloseInfo): void {
    this.#clients.delete(connection);
    this.#router.close(this.#subscriberOf(connection));
    this.#rateLimiter.forget(connection);
    this.#backpressure.forget(connection);
    this.#stats.left(connection, info.reason);
    this.#observer.onLeave?.(connection, info);
  }

  #subscriberOf(connection: EbsocketConnection): Subscriber<EbsocketConnection> {
    return this.#subscribers.get(connection)!;
  }

  #onHello(connection: EbsocketConnection, hello: Hello): void {
    if (!this.#handshake.onHello(connection, hello)) return;
    this.#controlHandler.onHello(this.#subscriberOf(connection), hello);
  }

  /** Relays the events among the lines, and answers the control lines. */
  #relay(source: EbsocketConnection, { bytes }: LineBlock): void {
    const subscriber = this.#subscriberOf(source);
    const isFirst = bytes.length + source.unfinishedBytes === source.bytesIn;
    if (isFirst) this.#observer.onFirstLine?.(source);
    // A timer needs an open peer, which clears it on closing.
    const isLate = () => turnIsOver(source.open ? source : null);
    const taken = this.#ingress.take(subscriber, bytes, source.hasMore, isLate);
    const { events, empty, end, isBad } = taken;
    const isStopped = !isBad && end < bytes.length;
    if (this.#clients.has(source)) this.#handshake.taken(source, events);
    this.#charge(source, { events, empty, bytes: isStopped ? end : bytes.length });
    if (isStopped) this.#putOff(source, new LineBlock(bytes.subarray(end)));
    if (!isBad) return;
    this.#router.close(subscriber);
    this.#handshake.onBadLine(source, this.#validator.fault, isFirst && end === 0 ? bytes : null);
  }

  /**
   * Charges a client for the input that was taken from it, and slows it down or closes it if that
   * was too much.
   */
  #charge(source: EbsocketConnection, sent: Sent): void {
    if (!this.#clients.has(source)) return; // The client has left in the meantime.
    const verdict = this.#rateLimiter.spend(source, sent);
    if (verdict === "over") source.pause();
    if (verdict !== "far over") return;
    this.#router.close(this.#subscriberOf(source));
    source.close("rate-limited", "it sent far more than it may");
  }

  /**
   * Relays the rest of a block after other clients have had their turn, even if its client has left
   * by then.
   */
  async #putOff(source: EbsocketConnection, rest: LineBlock): Promise<void> {
    source.pause();
    this.#late.add(source);
    await nextTurn();
    if (!this.#late.delete(source)) return; // The relay has ended.
    this.#backpressure.deliver(source, rest);
    this.#resume(source);
  }

  /** Resumes reading from a client, unless it still has to wait for something. */
  #resume(source: EbsocketConnection): void {
    if (this.#late.has(source) || this.#rateLimiter.holds(source)) return;
    if (!this.#backpressure.holds(source)) source.resume();
  }

  /**
   * Closes the server, sends all queued events and the `shutdown` reason to the clients, and closes
   * their connections.
   *
   * @returns A promise that resolves when the last connection has ended, at most about
   * `shutdownTimeout` later.
   */
  close(): Promise<void> {
    this.#router.flush();
    this.server.close();
    return this.closed;
  }

  /** Calls {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
