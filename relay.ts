/**
 * Owns the policy of a relay: given lines and their source, who gets them. Must not know sockets or
 * flags.
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
import type { Hello } from "./protocol/greeting.ts";
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
import type { Feature } from "./protocol/routing.ts";
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

/** What any relay can do beyond passing events on. */
const FEATURES: readonly Feature[] = ["subscribe", "ack", "sequence", "stats"];

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
  /** The first line of a client has come, or its first lines; of one that had to say a token, no call. */
  onFirstLine?(client: RelayClient): void;
  /** A client has left; the counters are final. */
  onLeave?(client: RelayClient, info: CloseInfo): void;
  /**
   * A peer has been sent away, or has gone, before it was a client. If `isSilent`, it went without a byte
   * in either direction.
   */
  onRefuse?(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void;
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
   * Whether a client hears nothing until it subscribes, as in NATS, but for what is sent to it alone.
   * Otherwise it hears everything until then, which is n² events for n clients that only send.
   *
   * @default {false}
   */
  readonly subscribeFirst?: boolean;
  /**
   * How deep a line may nest, the outermost object included, from 2 to 1,000.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
  /**
   * For how long a client that reads nothing may hold up those whose events it hears, in milliseconds, from 0.
   * It may be a little less. A client on the same machine that is merely slow may need more: it shows
   * that it reads only once a third of what the system buffers for it has been read.
   *
   * @default {250}
   */
  readonly maxHold?: number;
  /**
   * For how long events may be gathered, in milliseconds, from 0 to 1,000, so that a client gets them with
   * one write. Where there is time enough to write each by itself, none waits. 0 turns it off.
   *
   * @default {20}
   */
  readonly maxBatchDelay?: number;
  /**
   * How many subscriptions a client may have, from 1. More are refused, and those that it has stay.
   *
   * @default {1_000}
   */
  readonly maxSubscriptions?: number;
  /**
   * How many subscriptions all clients may have together, from 1; those of clients that hear the very
   * same count once. More are refused. Each takes about a kilobyte of memory.
   *
   * @default {200_000}
   */
  readonly maxTotalSubscriptions?: number;
  /**
   * Whether clients are told how the relay is: its figures, its clients and their addresses, and the
   * names of the events.
   *
   * @default {true}
   */
  readonly inspect?: boolean;
  /**
   * Which events there are, by {@link defineEvents}. What does not fit is not passed on, and its
   * sender is told why. What fits goes on as it came, whatever its validator makes of it.
   *
   * @default {undefined}
   */
  readonly events?: EventDefinitions<object>;
  /** Who is told what happens. */
  readonly observer?: RelayObserver;
}

/**
 * Passes every event that one client sends on to all clients, or to those that have subscribed to it.
 * With `subscribeFirst`, it goes to no others.
 *
 * Each line is checked once, and the bytes that came in are the bytes that go out, in one piece for
 * all that hear the same: number precision, the order of keys and white space survive. A client's
 * first invalid line closes it; the lines before that count.
 *
 * A client that reads too slowly slows the publishers down that it hears, for a bounded time; one that
 * does not read at all is closed with `slow-consumer`.
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
  /** What each client hears. One that has gone may still have a block to pass on. */
  readonly #subscribers = new WeakMap<EbsocketConnection, Subscriber<EbsocketConnection>>();
  /** The clients of which the rest of a block waits until others have had their turn. */
  readonly #late = new Set<EbsocketConnection>();
  readonly #greeter: Handshake;
  readonly #router: Router<EbsocketConnection>;
  readonly #checker: SchemaFilter;
  readonly #intake: Ingress<EbsocketConnection>;
  readonly #desk: ControlHandler;
  readonly #limiter: RateLimiter<EbsocketConnection>;
  readonly #backpressure: Backpressure;
  readonly #validator: LineValidator;
  readonly #observer: RelayObserver;
  readonly #stats = new StatsCollector();

  /**
   * Begins to relay between the clients of `server`, until that is closed.
   *
   * @throws {TypeError} If `server` is no server, or serves already; or if `events` are no definitions.
   * @throws {RangeError} If an option is out of its range.
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
    this.#limiter = new RateLimiter(options, resume);
    this.#backpressure = new Backpressure({
      maxHold: checkDuration("maxHold", options.maxHold ?? 250, 0, MAX_TIMER_MS),
      maxParkedBytes: (options.maxTotalPendingBytes ?? DEFAULT_MAX_TOTAL_PENDING_BYTES) / 8,
      pass: (source, lines, held) => {
        if (held > 0 && this.#clients.has(source)) this.#limiter.excuse(held, source);
        this.#relay(source, lines);
      },
      hearers: (source, { bytes }, readers) => {
        const clients = readers.map((reader) => this.#listenerOf(reader));
        const subscriber = this.#listenerOf(source);
        const found = this.#intake.hearers(subscriber, bytes, clients, turnIsOver);
        return Array.from(found, ({ recipient }) => recipient);
      },
      onRelease: resume,
    });
    const limits = new ConnectionLimits(options);
    const subscribeFirst = options.subscribeFirst ?? false;
    const features = subscribeFirst ? [...FEATURES, "subscribe-first" as const] : FEATURES;
    this.#greeter = new Handshake(limits, this.#validator, this.#limiter, features);
    this.#router = new Router({
      echo: options.echo ?? true,
      subscribeFirst,
      maxBatchDelay: checkMaxBatchDelay(options.maxBatchDelay),
      maxPendingBytes: limits.maxPendingBytes,
      onQueued: (client) => this.#backpressure.observe(client),
    });
    const inspector = new Inspector({
      stats: () => this.stats(),
      subscribers: () => [...this.#clients].map((client) => this.#listenerOf(client)),
      routes: this.#router.routes,
    });
    this.#desk = new ControlHandler({
      greeter: this.#greeter,
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
    this.#intake = new Ingress(
      this.#validator,
      this.#router,
      this.#checker,
      (client, control, line) => {
        const { hasEscapedKey } = this.#validator;
        const cost = this.#desk.onControl(client, control, line, hasEscapedKey);
        this.#charge(client.recipient, { control: cost });
      },
    );
    this.closed = server.serve({
      onOpen: (connection) => this.#onOpen(connection),
      onHello: (connection, hello) => this.#onHello(connection, hello),
      onLines: (connection, lines) => this.#backpressure.deliver(connection, lines),
      onEnd: (connection) => this.#router.close(this.#listenerOf(connection)),
      onClose: (connection, info) => this.#onClose(connection, info),
      onRefuse: (address, reason, detail, isSilent) => {
        this.#stats.refused(reason, isSilent);
        this.#observer.onRefuse?.(address, reason, detail, isSilent);
      },
    }, options).finally(async () => {
      if (this.#late.size > 0) {
        this.#late.clear();
        await nextTurn(); // which they wait for
      }
      this.#router.flush();
      this.#stats.stop();
      this.#limiter.stop();
      inspector.stop();
    });
    this.#limiter.start();
    server.closed.then(() => this.#router.flush()); // before the clients are told that this is the end
  }

  /** The clients, in the order in which they came. */
  get clients(): RelayClient[] {
    return [...this.#clients];
  }

  /** What has happened since the relay was made, and how it is now. */
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
    this.#router.close(this.#listenerOf(connection));
    this.#limiter.forget(connection);
    this.#backpressure.forget(connection);
    this.#stats.left(connection, info.reason);
    this.#observer.onLeave?.(connection, info);
  }

  #listenerOf(connection: EbsocketConnection): Subscriber<EbsocketConnection> {
    return this.#subscribers.get(connection)!;
  }

  #onHello(connection: EbsocketConnection, hello: Hello): void {
    if (!this.#greeter.onHello(connection, hello)) return;
    this.#desk.onHello(this.#listenerOf(connection), hello);
  }

  /** Relays the events among the lines, and answers the others. */
  #relay(source: EbsocketConnection, { bytes }: LineBlock): void {
    const subscriber = this.#listenerOf(source);
    const isFirst = bytes.length + source.unfinishedBytes === source.bytesIn;
    if (isFirst) this.#observer.onFirstLine?.(source);
    // Timers are for a peer that clears them when it goes.
    const isLate = () => turnIsOver(source.open ? source : null);
    const taken = this.#intake.take(subscriber, bytes, source.hasMore, isLate);
    const { events, empty, end, isBad } = taken;
    const isStopped = !isBad && end < bytes.length;
    if (this.#clients.has(source)) this.#greeter.taken(source, events);
    this.#charge(source, { events, empty, bytes: isStopped ? end : bytes.length });
    if (isStopped) this.#putOff(source, new LineBlock(bytes.subarray(end)));
    if (!isBad) return;
    this.#router.close(subscriber);
    this.#greeter.onBadLine(source, this.#validator.fault, isFirst && end === 0 ? bytes : null);
  }

  /** Counts what a client has sent and we have taken, and slows it down if that was too much. */
  #charge(source: EbsocketConnection, sent: Sent): void {
    if (!this.#clients.has(source)) return; // It has gone since.
    const verdict = this.#limiter.spend(source, sent);
    if (verdict === "over") source.pause();
    if (verdict !== "far over") return;
    this.#router.close(this.#listenerOf(source));
    source.close("rate-limited", "it sent far more than it may");
  }

  /** Relays the rest of a block when others have had their turn: also that of a client that has gone. */
  async #putOff(source: EbsocketConnection, rest: LineBlock): Promise<void> {
    source.pause();
    this.#late.add(source);
    await nextTurn();
    if (!this.#late.delete(source)) return; // The relay has ended.
    this.#backpressure.deliver(source, rest);
    this.#resume(source);
  }

  /** Reads from a client again, unless there is still something that it has to wait for. */
  #resume(source: EbsocketConnection): void {
    if (this.#late.has(source) || this.#limiter.holds(source)) return;
    if (!this.#backpressure.holds(source)) source.resume();
  }

  /**
   * Closes the server, sends what is queued, tells the clients `shutdown`, and closes them. Resolves
   * when the last connection has ended, which takes no longer than about `shutdownTimeout`.
   */
  close(): Promise<void> {
    this.#router.flush();
    this.server.close();
    return this.closed;
  }

  /** Does what {@link close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
