/**
 * A server together with all of its clients: `pump()` for incoming events, and methods to send to
 * one client or to all.
 *
 * @module
 */

import { inspect } from "./protocol/printable.ts";
import type { Address } from "./protocol/address.ts";
import type { AdmissionSink } from "./server/options.ts";
import { Broadcast } from "./server/broadcast.ts";
import { EventChecker } from "./schema/checker.ts";
import { checkEvent, encodeLine, type Envelope } from "./protocol/encoder.ts";
import { EbsocketConnection } from "./net/connection.ts";
import type { LineConnection } from "./net/line_connection.ts";
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
import { Inbox, InboxIterator, type InboxOptions } from "./net/inbox.ts";
import { checkDuration, checkMaxBatchDelay, checkMaxLineBytes } from "./protocol/option_checks.ts";
import { EbsocketServer, type ServeOptions } from "./server.ts";

export {
  ConnectionClosedError,
  EbsocketError,
  EventFormatError,
  EventSchemaError,
  FramingError,
} from "./errors.ts";
export type { CloseInfo, CloseReason, Farewell } from "./errors.ts";
export type {
  BareName,
  Carried,
  CarriedEvents,
  EventNamed,
  EventOf,
  OpenAttributes,
  OpenEvents,
  SendableAttributes,
  SendableEvent,
  Validated,
} from "./protocol/event.ts";
export type { CheckedAttributes, EventDefinitions, EventOptions } from "./schema/definitions.ts";
export type {
  ConnectionListener,
  ConnectionOptions,
  ConnectionSink,
  Duplex,
  Hello,
  LineBlock,
  LineSplitterOptions,
  ProducerClaim,
  ServeOptions,
  ServerOptions,
  ServerSink,
  Socket,
  TlsServerOptions,
  Transport,
  WebOptions,
} from "./server.ts";
export { EbsocketConnection, EbsocketEvent, EbsocketServer };
export type { Address, InboxOptions, RateOptions };

/** An event received by a system, with the connection it came from. */
export type ReceivedEvent<M extends object = OpenEvents> = EventOf<M> & {
  fromConnection: EbsocketConnection;
};

/**
 * One notice of `for await` over a system, in order of arrival. `invalid` carries an event that
 * violates its definition, as it was sent, and the issues found.
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

/** Result of {@link EbsocketSystem.pump}. */
export type Pumped<M extends object = OpenEvents> = [
  newClients: [connection: EbsocketConnection, address: Address][],
  newEvents: ReceivedEvent<M>[],
  disconnectedClients: [connection: EbsocketConnection, address: Address, info: CloseInfo][],
  invalidEvents: [event: ReceivedEvent, issues: readonly string[]][],
];

/** Options of {@link EbsocketSystem}. */
export interface SystemOptions extends ServeOptions, InboxOptions, RateOptions {
  /**
   * Longest time `pump()` waits for the first notice, in milliseconds, from 0.
   *
   * @default {500}
   */
  readonly timeout?: number;
  /**
   * Longest time that events for all clients may be collected into one write per client, in
   * milliseconds, from 0 to 1,000. Nothing is delayed while there is time to write each event
   * separately. 0 disables collecting.
   *
   * @default {20}
   */
  readonly maxBatchDelay?: number;
  /**
   * Deepest nesting allowed in a line, from 2 to 1,000. The outermost object counts as 1.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
}

/** Options of {@link EbsocketSystem.sendEventToClients}. */
export interface SendToClientsOptions {
  /** Client that does not receive the event. */
  readonly except?: EbsocketConnection;
}

/**
 * A server and all of its clients.
 *
 * Clients are accepted and read in the background. Received events are buffered in an inbox for
 * `pump()` or `for await`. If the program does not read them, TCP slows the clients down and no
 * event is lost. The system closes itself when its server is closed.
 *
 * @typeParam M The event map of received events. They are unchecked unless `events` is set.
 * @typeParam S The event map of sent events. Same as `M` by default.
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
  /** The server that accepts the clients. */
  readonly server: EbsocketServer;
  /**
   * Longest time `pump()` waits for the first notice, in milliseconds. Can be changed at any time.
   */
  timeout: number;
  /** Resolves when the server and all connections are closed. */
  readonly closed: Promise<void>;

  readonly #clients = new Map<EbsocketConnection, Address>();
  readonly #broadcast: Broadcast;
  readonly #inbox: Inbox<SystemNotice<M>>;
  readonly #decoder: BlockDecoder;
  readonly #checker: EventChecker;
  readonly #handshake: Handshake;
  readonly #rateLimiter: RateLimiter<EbsocketConnection>;
  readonly #maxLineBytes: number;
  /** Start of the current pause in reading, caused by a full inbox; `null` if it is not full. */
  #fullSince: number | null = null;

  /**
   * Starts to accept clients from `server`.
   *
   * @param server A server that has not been given to another system or relay.
   * @throws {TypeError} If `server` is not a server or is already serving, or if `events` is
   * invalid.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(server: EbsocketServer, options: SystemOptions & EventOptions<M, S> = {}) {
    if (!(server instanceof EbsocketServer)) {
      throw new TypeError(`Invalid server: expected an EbsocketServer, got ${inspect(server)}`);
    }
    this.server = server;
    this.timeout = checkDuration("timeout", options.timeout ?? 500, 0);
    this.#maxLineBytes = checkMaxLineBytes(options.maxLineBytes);
    this.#decoder = new BlockDecoder(options.maxDepth);
    this.#checker = new EventChecker(options.events);
    const resume = (connection: EbsocketConnection) => {
      if (!this.#inbox.full && !this.#rateLimiter.isPaused(connection)) connection.resume();
    };
    this.#rateLimiter = new RateLimiter(options, resume);
    this.#inbox = new Inbox(options, () => {
      if (this.#fullSince !== null) this.#rateLimiter.excuse(performance.now() - this.#fullSince);
      this.#fullSince = null;
      for (const connection of this.#clients.keys()) resume(connection);
    });
    const limits = new ConnectionLimits(options);
    this.#broadcast = new Broadcast({
      maxBatchDelay: checkMaxBatchDelay(options.maxBatchDelay),
      maxPendingBytes: limits.maxPendingBytes,
    });
    this.#handshake = new Handshake(limits, this.#decoder, this.#rateLimiter, ["window"]);
    const sink: AdmissionSink = {
      onConnect: (connection) => this.#broadcast.add(connection),
      onWithdraw: (connection) => this.#broadcast.delete(connection),
      onOpen: (connection) => this.#onOpen(connection),
      onHello: (connection: LineConnection, hello) => this.#handshake.onHello(connection, hello),
      onLines: (connection: LineConnection, lines) => this.#onLines(connection, lines),
      onClose: (connection, info) => this.#onClose(connection, info),
      whenReady: () => this.#inbox.whenRoom(),
    };
    this.closed = server.serve(sink, options).finally(() => {
      this.#broadcast.flush(); // which clears its timer
      this.#rateLimiter.stop();
      this.#inbox.end();
    });
    this.#rateLimiter.start();
  }

  /**
   * Whether the system is closed and all notices have been read, so that {@link pump} has nothing
   * left to return.
   */
  get ended(): boolean {
    return this.#inbox.ended && this.#inbox.length === 0;
  }

  /** The connected clients and their addresses, in order of connection. */
  get clients(): ReadonlyMap<EbsocketConnection, Address> {
    return this.#clients;
  }

  #onOpen(connection: EbsocketConnection): void {
    this.#clients.set(connection, connection.address);
    this.#inbox.push([{ type: "connected", connection }], 0);
  }

  #onLines(connection: LineConnection, { bytes }: LineBlock): void {
    const notices: SystemNotice<M>[] = [];
    let control = 0;
    let free = 0;
    for (const line of this.#decoder.decode(bytes)) {
      if (line instanceof EbsocketEvent) {
        line.fromConnection = connection;
        notices.push(this.#noticeOf(line as ReceivedEvent));
      } else {
        this.#handshake.onControl(connection, line);
        if (this.#handshake.onRead(connection, line)) free++;
        else control++;
      }
    }
    this.#inbox.push(notices, bytes.length);
    const events = notices.length;
    this.#handshake.taken(connection, events);

    const { fault, lines } = this.#decoder;
    const empty = lines - events - control - free - (fault ? 1 : 0);
    const sent = { events, empty, control, bytes: bytes.length };
    const verdict = this.#rateLimiter.spend(connection, sent);
    if (fault) {
      const isFirst = lines === 1 && connection.isStart(bytes);
      this.#handshake.onBadLine(connection, fault, isFirst ? bytes : null);
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
    this.#rateLimiter.forget(connection);
    this.#inbox.push([{ type: "disconnected", connection, info }], 0);
  }

  /**
   * Waits up to `timeout` for the first notice, then returns all notices that have arrived. They
   * are grouped into new clients, received events, disconnected clients, and events that violate
   * their definitions. Events of one client keep the order in which it sent them.
   *
   * Loop with `while (!system.ended)`. If the system closes during the call, the result may be
   * empty.
   *
   * @returns The new clients, events, disconnected clients and invalid events.
   * @throws {TypeError} If another `pump()` or `for await` is already reading.
   * @throws {ConnectionClosedError} If the system has already {@link ended}.
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

  /** Yields notices one at a time until the system is closed. */
  [Symbol.asyncIterator](): AsyncGenerator<SystemNotice<M>> {
    return new InboxIterator(this.#inbox, () => this.#inbox.claim("for await"));
  }

  /**
   * Queues an event for one client.
   *
   * @param connection A client of this system.
   * @returns Whether the event was queued. `false` if the connection is not, or no longer, a client
   * of this system. Also `false` if its send queue is full, which closes the connection with
   * `slow-consumer`.
   * @throws {TypeError} If the event cannot be encoded, or `connection` is not a connection.
   * @throws {RangeError} If the encoded line exceeds `maxLineBytes`.
   * @throws {EventSchemaError} If the event violates its definition.
   */
  sendEventTo<N extends keyof S & string>(
    connection: EbsocketConnection,
    event: SendableEvent<S, N>,
  ): boolean {
    return this.#sendTo(connection, event);
  }

  /**
   * Creates an event and queues it for one client, as {@link sendEventTo} does for an existing
   * event. `attributes` can be omitted if the event map allows an event of this name without
   * attributes.
   *
   * @param connection A client of this system.
   * @param name The event name, from 1 to 255 bytes of UTF-8.
   * @param attributes The attributes of the event.
   * @returns Whether the event was queued.
   * @throws The same errors as `sendEventTo()`. Also throws {@link TypeError} if the name is not a
   * string, or {@link RangeError} if its length is not from 1 to 255 bytes.
   *
   * @example Greet each new client
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
  /** Creates an event without attributes and queues it for one client. */
  sendTo(connection: EbsocketConnection, name: BareName<S>): boolean;
  sendTo<N extends keyof S & string>(
    connection: EbsocketConnection,
    name: N,
    attributes?: SendableAttributes<S, N>,
  ): boolean {
    return this.#sendTo(connection, new EbsocketEvent(name, attributes ?? {}));
  }

  #sendTo(
    connection: EbsocketConnection,
    event: EbsocketEvent<string, object>,
    envelope?: Envelope,
  ): boolean {
    if (!(connection instanceof EbsocketConnection)) {
      throw new TypeError(
        `Cannot send to ${inspect(connection)}: expected a connection of this system`,
      );
    }
    const line = this.#encode(event, envelope);
    return this.#clients.has(connection) && this.#broadcast.sendTo(connection, line);
  }

  /**
   * Queues an event for every client except `except`. The event is encoded once. All events sent to
   * all clients in one turn of the event loop are written together. A client that turns out to read
   * too slowly is closed with `slow-consumer` shortly afterwards.
   *
   * @returns The number of clients for which the event was queued.
   * @throws {TypeError} If the event cannot be encoded.
   * @throws {RangeError} If the encoded line exceeds `maxLineBytes`.
   * @throws {EventSchemaError} If the event violates its definition.
   */
  sendEventToClients<N extends keyof S & string>(
    event: SendableEvent<S, N>,
    { except }: SendToClientsOptions = {},
  ): number {
    return this.#broadcast.send(this.#encode(event), except);
  }

  /**
   * Creates an event and queues it for every client, as {@link sendEventToClients} does for an
   * existing event. `attributes` can be omitted if the event map allows an event of this name
   * without attributes. `options` is always the third argument.
   *
   * @param name The event name, from 1 to 255 bytes of UTF-8.
   * @param attributes The attributes of the event.
   * @returns The number of clients for which the event was queued.
   * @throws The same errors as `sendEventToClients()`. Also throws {@link TypeError} if the name is
   * not a string, or {@link RangeError} if its length is not from 1 to 255 bytes.
   */
  sendToClients<N extends keyof S & string>(
    name: N,
    attributes: SendableAttributes<S, N>,
    options?: SendToClientsOptions,
  ): number;
  /** Creates an event without attributes and queues it for every client. */
  sendToClients(name: BareName<S>): number;
  sendToClients<N extends keyof S & string>(
    name: N,
    attributes?: SendableAttributes<S, N>,
    { except }: SendToClientsOptions = {},
  ): number {
    const event = new EbsocketEvent(name, attributes ?? {});
    return this.#broadcast.send(this.#encode(event), except);
  }

  /**
   * Replies to an event that a client sent with `request()`.
   *
   * @param event The received event.
   * @param answer The event to reply with.
   * @returns Whether the reply was queued. `false` if the event is not a request, or for the
   * reasons listed at {@link sendEventTo}.
   * @throws {TypeError} If the reply cannot be encoded, or `event` did not come from a client.
   * @throws {RangeError} If the encoded line exceeds `maxLineBytes`.
   * @throws {EventSchemaError} If the reply violates its definition.
   *
   * @example Return the time
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
  /** Creates the reply from a name and attributes, as {@link sendTo} does. */
  reply<N extends keyof S & string>(
    event: EbsocketEvent<string, object>,
    name: N,
    attributes: SendableAttributes<S, N>,
  ): boolean;
  /** Replies with an event without attributes. */
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
    return this.#sendTo(fromConnection, made, { reply_to: id });
  }

  #encode(event: EbsocketEvent<string, object>, envelope?: Envelope): Uint8Array {
    checkEvent(event);
    // Encode first, so that a validator cannot alter the bytes to send.
    const line = encodeLine(event.event, event.__dict__, this.#maxLineBytes, envelope);
    this.#checker.checkSent(event, line);
    return line;
  }

  /**
   * Removes a client and closes its connection after its send queue has been written. `pump()` then
   * reports the client as disconnected.
   *
   * @returns The close info of the connection.
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
   * Waits until the operating system has accepted all bytes queued for the current clients. A
   * client that disconnects meanwhile is no longer waited for.
   */
  async flush(): Promise<void> {
    this.#broadcast.flush();
    await Promise.allSettled([...this.#clients.keys()].map((connection) => connection.flush()));
  }

  /**
   * Closes the server, sends queued events, sends `shutdown` to all clients, and closes their
   * connections. Takes at most about `shutdownTimeout`. Received events can still be read.
   */
  close(): Promise<void> {
    this.server.close();
    return this.closed;
  }

  /** Closes the server and all connections immediately. Queued events are not sent. */
  abort(): Promise<void> {
    this.server.abort();
    return this.closed;
  }

  /** Same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
