/**
 * Owns a server together with all of its clients: the inbox behind `pump()`, sending to one and to
 * all. Must not know the command or the rules of a relay.
 *
 * @module
 */

import { inspect } from "./protocol/printable.ts";
import type { Address } from "./protocol/address.ts";
import { Broadcast } from "./server/broadcast.ts";
import { EventChecker } from "./schema/checker.ts";
import { checkEvent, encodeLine, type Envelope } from "./protocol/encoder.ts";
import { EbsocketConnection } from "./net/connection.ts";
import { ConnectionLimits } from "./net/connection_options.ts";
import { BlockDecoder } from "./protocol/decoder.ts";
import type { EventOptions } from "./schema/definitions.ts";
import { type CloseInfo, ConnectionClosedError } from "./errors.ts";
import {
  type BareName,
  EbsocketEvent,
  type EventOf,
  type OpenEvents,
  type SendableAttributes,
  type SendableEvent,
} from "./protocol/event.ts";
import { Handshake } from "./server/handshake.ts";
import { RateLimiter, type RateOptions } from "./server/rate_limiter.ts";
import type { LineBlock } from "./protocol/line_splitter.ts";
import { Inbox, type InboxOptions } from "./net/inbox.ts";
import { InboxIterator } from "./net/inbox_iterator.ts";
import { checkDuration, checkMaxBatchDelay, checkMaxLineBytes } from "./protocol/option_checks.ts";
import { EbsocketServer, type ServeOptions } from "./server.ts";

export type { RateOptions };

/** An event that a system has received, with the connection that it came from. */
export type ReceivedEvent<M extends object = OpenEvents> = EventOf<M> & {
  fromConnection: EbsocketConnection;
};

/**
 * One piece of news, as `for await` over a system gives them, in the order of their arrival. A
 * `invalid` is an event that does not fit its definition, as it was sent, and why.
 */
export type SystemNotice<M extends object = OpenEvents> =
  | { readonly type: "connected"; readonly connection: EbsocketConnection }
  | { readonly type: "event"; readonly event: ReceivedEvent<M> }
  | {
    readonly type: "invalid";
    readonly event: ReceivedEvent;
    readonly issues: readonly string[];
  }
  | {
    readonly type: "disconnected";
    readonly connection: EbsocketConnection;
    readonly info: CloseInfo;
  };

/** What {@link EbsocketSystem.pump} gives. */
export type Pumped<M extends object = OpenEvents> = [
  newClients: [connection: EbsocketConnection, address: Address][],
  newEvents: ReceivedEvent<M>[],
  disconnectedClients: [connection: EbsocketConnection, address: Address, info: CloseInfo][],
  invalidEvents: [event: ReceivedEvent, issues: readonly string[]][],
];

/** Options of {@link EbsocketSystem}. */
export interface SystemOptions extends ServeOptions, InboxOptions, RateOptions {
  /**
   * How long `pump()` waits for the first news, in milliseconds, from 0.
   *
   * @default {500}
   */
  readonly timeout?: number;
  /**
   * For how long events for all clients may be gathered, in milliseconds, from 0 to 1,000, so that each
   * client gets them with one write. Where there is time enough to write each by itself, none waits. 0 turns
   * it off.
   *
   * @default {20}
   */
  readonly maxBatchDelay?: number;
  /**
   * How deep a line may nest, the outermost object included, from 2 to 1,000.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
}

/** Options of {@link EbsocketSystem.sendEventToClients}. */
export interface SendToClientsOptions {
  /** The client that does not get the event. */
  readonly except?: EbsocketConnection;
}

/**
 * A server and all of its clients.
 *
 * Clients are accepted and read in the background. What arrives waits in an inbox, for `pump()` or
 * for `for await`; when nobody reads that, the clients are slowed down by TCP and nothing is lost.
 * The system closes itself when its server is closed.
 *
 * @typeParam M The event map: what clients send; they are trusted to, unless there are definitions.
 * @typeParam S The event map of what is sent to them, where it is another.
 *
 * @example Answer every event
 * ```ts
 * import { EbsocketClient, EbsocketServer, EbsocketSystem } from "@ebsockets/relay";
 * import { assertEquals } from "@std/assert/equals";
 *
 * await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
 * await using client = new EbsocketClient();
 * await client.connectTo(system.server.address);
 * client.send("ping");
 *
 * for await (const notice of system) {
 *   if (notice.type !== "event") continue;
 *   system.sendTo(notice.event.fromConnection, "pong");
 *   break;
 * }
 * assertEquals((await client.recvEvent())?.event, "pong");
 * ```
 */
export class EbsocketSystem<M extends object = OpenEvents, S extends object = M> {
  /** The server whose clients these are. */
  readonly server: EbsocketServer;
  /** How long `pump()` waits for the first news, in milliseconds. May be changed at any time. */
  timeout: number;
  /** Resolves when the server and all connections have been closed. */
  readonly closed: Promise<void>;

  readonly #clients = new Map<EbsocketConnection, Address>();
  readonly #broadcast: Broadcast;
  readonly #inbox: Inbox<SystemNotice<M>>;
  readonly #decoder: BlockDecoder;
  readonly #checker: EventChecker;
  readonly #greeter: Handshake;
  readonly #limiter: RateLimiter<EbsocketConnection>;
  readonly #maxLineBytes: number;
  /** Since when nothing is read because the program has not taken what there is. */
  #fullSince: number | null = null;

  /**
   * Begins to accept clients from `server`.
   *
   * @throws {TypeError} If `server` is no server, or serves already; or if `events` are no definitions.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(server: EbsocketServer, options: SystemOptions & EventOptions<M, S> = {}) {
    if (!(server instanceof EbsocketServer)) {
      throw new TypeError(
        `Invalid server: expected an EbsocketServer, got ${inspect(server)}`,
      );
    }
    this.server = server;
    this.timeout = checkDuration("timeout", options.timeout ?? 500, 0);
    this.#maxLineBytes = checkMaxLineBytes(options.maxLineBytes);
    this.#decoder = new BlockDecoder(options.maxDepth);
    this.#checker = new EventChecker(options.events);
    const resume = (connection: EbsocketConnection) => {
      if (!this.#inbox.full && !this.#limiter.holds(connection)) connection.resume();
    };
    this.#limiter = new RateLimiter(options, resume);
    this.#inbox = new Inbox(options, () => {
      if (this.#fullSince !== null) this.#limiter.excuse(performance.now() - this.#fullSince);
      this.#fullSince = null;
      for (const connection of this.#clients.keys()) resume(connection);
    });
    const limits = new ConnectionLimits(options);
    this.#broadcast = new Broadcast({
      maxBatchDelay: checkMaxBatchDelay(options.maxBatchDelay),
      maxPendingBytes: limits.maxPendingBytes,
    });
    this.#greeter = new Handshake(limits, this.#decoder, this.#limiter);
    const served = server.serve({
      onOpen: (connection) => this.#onOpen(connection),
      onHello: (connection, hello) => this.#greeter.onHello(connection, hello),
      onLines: (connection, lines) => this.#onLines(connection, lines),
      onClose: (connection, info) => this.#onClose(connection, info),
      whenReady: () => this.#inbox.whenRoom(),
    }, options);
    this.closed = served.finally(() => {
      this.#limiter.stop();
      this.#inbox.end();
    });
    this.#limiter.start();
  }

  /**
   * Whether the system is closed and has given all its news: there is nothing more to {@link pump}.
   */
  get ended(): boolean {
    return this.#inbox.ended && this.#inbox.length === 0;
  }

  /** The clients and their addresses, in the order in which they came. */
  get clients(): ReadonlyMap<EbsocketConnection, Address> {
    return this.#clients;
  }

  #onOpen(connection: EbsocketConnection): void {
    this.#clients.set(connection, connection.address);
    this.#broadcast.add(connection);
    this.#inbox.push([{ type: "connected", connection }], 0);
  }

  #onLines(connection: EbsocketConnection, { bytes }: LineBlock): void {
    const notices: SystemNotice<M>[] = [];
    let control = 0;
    for (const line of this.#decoder.decode(bytes)) {
      if (line instanceof EbsocketEvent) {
        line.fromConnection = connection;
        notices.push(this.#noticeOf(line as ReceivedEvent));
      } else {
        this.#greeter.onControl(connection, line);
        control++;
      }
    }
    this.#inbox.push(notices, bytes.length);
    const events = notices.length;
    this.#greeter.taken(connection, events);

    const { fault, lines } = this.#decoder;
    const empty = lines - events - control - (fault ? 1 : 0);
    const sent = { events, empty, control, bytes: bytes.length };
    const verdict = this.#limiter.spend(connection, sent);
    if (fault) {
      const isFirst = lines === 1 &&
        bytes.length + connection.unfinishedBytes === connection.bytesIn;
      this.#greeter.onBadLine(connection, fault, isFirst ? bytes : null);
    } else if (verdict === "far over") {
      connection.close("rate-limited", "it sent far more than it may");
    } else if (verdict === "over" || this.#inbox.full) {
      connection.pause();
      if (this.#inbox.full) this.#fullSince ??= performance.now();
    }
  }

  #noticeOf(event: ReceivedEvent): SystemNotice<M> {
    const issues = this.#checker.takeReceived(event);
    if (issues) return { type: "invalid", event, issues };
    return { type: "event", event: event as unknown as ReceivedEvent<M> };
  }

  #onClose(connection: EbsocketConnection, info: CloseInfo): void {
    this.#forget(connection);
    this.#limiter.forget(connection);
    this.#inbox.push([{ type: "disconnected", connection, info }], 0);
  }

  /**
   * Waits up to `timeout` for the first news, then gives all there is: the clients that have come,
   * the events that have arrived, the clients that have gone, and the events that do not fit their
   * definitions. The events of one client are in the order in which it sent them. A loop ends with
   * `while (!system.ended)`: if the system is closed while `pump()` waits, it gives nothing.
   *
   * @throws {TypeError} If `pump()` or `for await` is reading already.
   * @throws {ConnectionClosedError} If the system has {@link ended} already.
   *
   * @example A loop that ends when the system is closed
   * ```ts
   * import { EbsocketServer, EbsocketSystem } from "@ebsockets/relay";
   *
   * const system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
   * setTimeout(() => system.close(), 10); // as a signal handler would
   * while (!system.ended) {
   *   const [newClients, newEvents, disconnectedClients] = await system.pump();
   *   console.log(newClients.length, newEvents.length, disconnectedClients.length);
   * }
   * ```
   */
  async pump(): Promise<Pumped<M>> {
    using _ = this.#inbox.claim("pump()");
    if (this.ended) throw new ConnectionClosedError("Cannot pump: the system is closed");
    await this.#inbox.arrival(checkDuration("timeout", this.timeout, 0));
    const pumped: Pumped<M> = [[], [], [], []];
    for (const notice of this.#inbox.takeAll()) {
      if (notice.type === "event") {
        pumped[1].push(notice.event);
      } else if (notice.type === "connected") {
        pumped[0].push([notice.connection, notice.connection.address]);
      } else if (notice.type === "invalid") {
        pumped[3].push([notice.event, notice.issues]);
      } else {
        pumped[2].push([notice.connection, notice.connection.address, notice.info]);
      }
    }
    return pumped;
  }

  /** All news, one at a time, until the system is closed. */
  [Symbol.asyncIterator](): AsyncGenerator<SystemNotice<M>> {
    return new InboxIterator(this.#inbox, () => this.#inbox.claim("for await"));
  }

  /**
   * Queues an event for one client. Returns whether it was queued: `false` when the connection is no
   * client of this system, or no longer, and when too much waits for it already, which closes it
   * with `slow-consumer`.
   *
   * @throws {TypeError} If the event cannot be encoded, or `connection` is no connection.
   * @throws {RangeError} If the event's line would be longer than `maxLineBytes`.
   * @throws {EventSchemaError} If the event does not fit its definition.
   */
  sendEventTo<N extends keyof S & string>(
    connection: EbsocketConnection,
    event: SendableEvent<S, N>,
  ): boolean {
    return this.#sendTo(connection, event);
  }

  /**
   * Makes an event and queues it for one client, as {@link sendEventTo} does with one that is there.
   * Without attributes where an event of this name may have none.
   *
   * @throws As `sendEventTo()` does; a {@link TypeError} or {@link RangeError} also if the name is no
   * string, or has not 1 to 255 bytes.
   *
   * @example Greet whoever comes
   * ```ts
   * import { EbsocketClient, EbsocketServer, EbsocketSystem } from "@ebsockets/relay";
   *
   * await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
   * await using client = new EbsocketClient();
   * await client.connectTo(system.server.address);
   * const [newClients] = await system.pump();
   * for (const [connection] of newClients) system.sendTo(connection, "welcome");
   * console.log((await client.recvEvent())?.event); // welcome
   * ```
   */
  sendTo<N extends keyof S & string>(
    connection: EbsocketConnection,
    name: N,
    attributes: SendableAttributes<S, N>,
  ): boolean;
  /** Sends an event without attributes. */
  sendTo(connection: EbsocketConnection, name: BareName<S>): boolean;
  sendTo<N extends keyof S & string>(
    connection: EbsocketConnection,
    name: N,
    attributes?: SendableAttributes<S, N>,
  ): boolean {
    return this.#sendTo(connection, new EbsocketEvent(name, attributes ?? {}));
  }

  #sendTo(connection: EbsocketConnection, event: EbsocketEvent<string, object>): boolean {
    if (!(connection instanceof EbsocketConnection)) {
      throw new TypeError(
        `Cannot send to ${inspect(connection)}: expected a connection of this system`,
      );
    }
    const line = this.#encode(event);
    return this.#clients.has(connection) && connection.send(line);
  }

  /**
   * Queues an event for every client, but for `except`. It is encoded once, and what is sent to all in one
   * turn of the event loop is written together. Returns the number of clients for which it was queued. One
   * that turns out to read too slowly is closed with `slow-consumer` a moment later.
   *
   * @throws {TypeError} If the event cannot be encoded.
   * @throws {RangeError} If the event's line would be longer than `maxLineBytes`.
   * @throws {EventSchemaError} If the event does not fit its definition.
   */
  sendEventToClients<N extends keyof S & string>(
    event: SendableEvent<S, N>,
    options: SendToClientsOptions = {},
  ): number {
    return this.#sendToClients(event, options);
  }

  /**
   * Makes an event and queues it for every client, as {@link sendEventToClients} does with one that is
   * there. Without attributes where an event of this name may have none; options come third.
   *
   * @throws As `sendEventToClients()` does; a {@link TypeError} or {@link RangeError} also if the name is
   * no string, or has not 1 to 255 bytes.
   */
  sendToClients<N extends keyof S & string>(
    name: N,
    attributes: SendableAttributes<S, N>,
    options?: SendToClientsOptions,
  ): number;
  /** Sends all of them an event without attributes. */
  sendToClients(name: BareName<S>): number;
  sendToClients<N extends keyof S & string>(
    name: N,
    attributes?: SendableAttributes<S, N>,
    options: SendToClientsOptions = {},
  ): number {
    return this.#sendToClients(new EbsocketEvent(name, attributes ?? {}), options);
  }

  #sendToClients(
    event: EbsocketEvent<string, object>,
    { except }: SendToClientsOptions,
  ): number {
    return this.#broadcast.send(this.#encode(event), except);
  }

  /**
   * Answers an event of a client, for its `request()`. Returns whether the answer was queued: `false`
   * if nobody had asked, and as {@link sendEventTo} does.
   *
   * @throws {TypeError} If the answer cannot be encoded, or `event` has not come from a client.
   * @throws {RangeError} If the answer's line would be longer than `maxLineBytes`.
   * @throws {EventSchemaError} If the answer does not fit its definition.
   *
   * @example Tell the time
   * ```ts
   * import { EbsocketClient, EbsocketServer, EbsocketSystem } from "@ebsockets/relay";
   *
   * await using system = new EbsocketSystem(new EbsocketServer(["127.0.0.1", 0]));
   * (async () => {
   *   for await (const notice of system) {
   *     if (notice.type !== "event") continue;
   *     system.reply(notice.event, "time", { ms: Date.now() });
   *   }
   * })();
   * await using client = new EbsocketClient();
   * await client.connectTo(system.server.address);
   * const answer = await client.request("time.now");
   * console.log(answer.getAttribute("ms"));
   * ```
   */
  reply<N extends keyof S & string>(
    event: EbsocketEvent<string, object>,
    answer: SendableEvent<S, N>,
  ): boolean;
  /** Makes the answer, as {@link sendTo} does. */
  reply<N extends keyof S & string>(
    event: EbsocketEvent<string, object>,
    name: N,
    attributes: SendableAttributes<S, N>,
  ): boolean;
  /** Answers with an event without attributes. */
  reply(event: EbsocketEvent<string, object>, name: BareName<S>): boolean;
  reply<N extends keyof S & string>(
    event: EbsocketEvent<string, object>,
    answer: SendableEvent<S, N> | N,
    attributes?: SendableAttributes<S, N>,
  ): boolean {
    const { fromConnection, id } = event;
    if (!(fromConnection instanceof EbsocketConnection)) {
      throw new TypeError(`Cannot answer ${event}: it has not come from a client of this system`);
    }
    if (id === null) return false;
    const made = typeof answer === "string" ? new EbsocketEvent(answer, attributes ?? {}) : answer;
    const line = this.#encode(made, { reply_to: id });
    return this.#clients.has(fromConnection) && fromConnection.send(line);
  }

  #encode(event: EbsocketEvent<string, object>, envelope?: Envelope): Uint8Array {
    checkEvent(event);
    // Encoded first: whatever a validator does, what was given is sent.
    const line = encodeLine(event.event, event.__dict__, this.#maxLineBytes, envelope);
    this.#checker.checkSent(event, line);
    return line;
  }

  /**
   * Takes a client off the list and closes its connection, after all that is queued for it has been
   * sent. `pump()` reports it as disconnected once that is done.
   */
  removeClient(connection: EbsocketConnection): Promise<CloseInfo> {
    this.#forget(connection);
    return connection.close();
  }

  #forget(connection: EbsocketConnection): void {
    this.#clients.delete(connection);
    this.#broadcast.delete(connection);
  }

  /**
   * Waits until the operating system has taken all that was queued for the clients there are. One
   * that goes away meanwhile is waited for no longer.
   */
  async flush(): Promise<void> {
    this.#broadcast.flush();
    await Promise.allSettled([...this.#clients.keys()].map((connection) => connection.flush()));
  }

  /**
   * Closes the server, sends what is queued, tells the clients `shutdown`, and closes them. Takes no
   * longer than about `shutdownTimeout`. What has arrived can still be read.
   */
  close(): Promise<void> {
    this.server.close();
    return this.closed;
  }

  /** Closes the server and all connections at once, without sending what is queued. */
  abort(): Promise<void> {
    this.server.abort();
    return this.closed;
  }

  /** Does what {@link close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
