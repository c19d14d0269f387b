/**
 * The client: its public methods, and the parts that do their work.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { EventOptions } from "../schema/definitions.ts";
import {
  checkClientOptions,
  type ClientOptions,
  type ConfirmOptions,
  type InspectOptions,
  type RequestManyOptions,
  type RequestOptions,
  type SendOptions,
} from "./options.ts";
import type { CloseInfo } from "../errors.ts";
import {
  type BareName,
  EbsocketEvent,
  type EventOf,
  type OpenEvents,
  type SendableAttributes,
  type SendableEvent,
} from "../protocol/event.ts";
import { type Inbox, InboxIterator } from "../net/inbox.ts";
import type { InvalidEvent } from "./invalid_events.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { PastEvents, PastOptions } from "./past.ts";
import type { PatternOf } from "../protocol/pattern.ts";
import { currentPort, type Destination } from "./port.ts";
import { Receiver } from "./receiver.ts";
import type { RelayReport } from "../protocol/report.ts";
import { Requests } from "./requests.ts";
import { Sender } from "./sender.ts";
import type { MatchingEvent, ServiceOptions } from "./services.ts";
import type { Position } from "./since.ts";
import type { ClientStatus } from "./status.ts";
import type { Recovery, ReplayOptions, SubscribeOptions } from "./subscribe_request.ts";

/** Options of {@link EbsocketClient.connectTo}. */
export interface ConnectToOptions {
  /**
   * The time limit for connecting, in milliseconds, or `Infinity`. With 0 or less it has already
   * expired.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /** Cancels the attempt when aborted. Has no effect once connected. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.recvEvent} and {@link EbsocketClient.recvEvents}. */
export interface RecvOptions {
  /** Stops waiting when aborted. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.drain}. */
export interface DrainOptions {
  /**
   * The time limit for the events in progress, in milliseconds, or `Infinity`. With 0 or less it
   * has already expired.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
}

/**
 * A connection to a server or relay. After it has ended, the client can connect again.
 *
 * Received events are kept in an inbox for `pump()`, `recvEvent()` or `for await`. Only one of them
 * can read at a time. When the inbox is full, the client stops reading, and TCP slows the server
 * down; over WebSocket, the server stops at 1 MiB of events that the client has not read. A relay
 * closes a client that does not read for too long.
 *
 * With `reconnect`, the client reconnects automatically after {@link connectTo}. It stops for good
 * in these cases:
 *
 * - {@link close} or {@link abort} is called.
 * - Its attempts are used up.
 * - The connection ended for a reason that another attempt cannot fix: `unauthorized`,
 *   `line-too-long`, `too-deep`, `bad-utf8`, `bad-json` or `bad-event`.
 *
 * While the client reconnects, loops over its events continue, sent events are queued, and
 * {@link status} reports each step. Events that other clients send in the meantime are delivered
 * later if the client has the option `history` and the relay keeps them.
 *
 * @typeParam M The event map of received events. It is not checked unless there are definitions. It
 * cannot contain values that JSON does not support, see {@link Carried}.
 * @typeParam S The event map of sent events, if it differs from `M`.
 *
 * @example Typed events
 * ```ts
 * import type { EbsocketClient } from "@ebsockets/relay";
 *
 * type Chat = { message: { content: string }; join: { name: string } };
 *
 * async function shout(client: EbsocketClient<Chat>): Promise<void> {
 *   for await (const event of client) {
 *     if (event.compareType("message")) {
 *       const content = event.__dict__.content.toUpperCase(); // a string, TypeScript knows
 *       await client.send("message", { content });
 *     }
 *   }
 * }
 * console.log(typeof shout);
 * ```
 */
export class EbsocketClient<M extends object = OpenEvents, S extends object = M> {
  readonly #receiver: Receiver;
  readonly #lifecycle: Lifecycle;
  readonly #sender: Sender<S>;
  readonly #requests: Requests<S>;

  /**
   * Creates a client that is not connected.
   *
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(options: ClientOptions & EventOptions<M, S> = {}) {
    const settings = checkClientOptions(options, currentPort());
    this.#receiver = new Receiver(options, settings.checker, settings.wantsHistory);
    this.#lifecycle = new Lifecycle(settings, this.#receiver);
    this.#sender = new Sender<S>(settings, this.#lifecycle, this.#receiver.subscriptions);
    this.#requests = new Requests<S>(this.#sender, this.#receiver);
  }

  /**
   * Whether the client is connected. A client with `reconnect` can also send events while it is
   * not. Events that arrived before the end can still be read afterwards.
   */
  get connected(): boolean {
    return this.#lifecycle.current?.connected ?? false;
  }

  /** The address of the current or last connection, or `null` before the first one. */
  get address(): Address | null {
    return this.#lifecycle.current?.session?.connection.address ?? null;
  }

  /**
   * The ID that the server has assigned to this client, such as `c7`, or `null` if it has not
   * assigned one.
   */
  get id(): string | null {
    return this.#lifecycle.current?.session?.id ?? null;
  }

  /**
   * Whether the client receives only the events sent directly to it. This is so after
   * `subscribe([])`, after its last subscription has been removed, and before its first one if the
   * relay sends no events until then.
   */
  get hearsNothing(): boolean {
    return this.#receiver.subscriptions.hearsNothing;
  }

  /**
   * How much of the relay's history the program has taken, with the option `history`. It covers the
   * events that `recvEvent()`, `recvEvents()`, `pump()` or a loop has returned, and those that could
   * not match the subscriptions. It is plain JSON: another run of the program can pass it to
   * {@link subscribe} as `since`, and receives the events after it.
   *
   * `null` before the first connection, while a subscription with `since` has no answer, and
   * without the option. A stored position stays valid then.
   */
  get position(): Position | null {
    return this.#receiver.position?.position ?? null;
  }

  /**
   * Resolves when the connection of the last `connectTo()` has ended, or when {@link close} has
   * cancelled it. With `reconnect`, resolves when the client has stopped for good. Never rejects.
   *
   * @throws {ConnectionClosedError} At the call, if the client has never connected or tried to.
   */
  get closed(): Promise<CloseInfo> {
    return this.#lifecycle.receiving("wait for the end of").closed;
  }

  /**
   * The number of events that the server has acknowledged since `connectTo()`. `null` without
   * `reconnect`, before the first connection, and if the server does not acknowledge events.
   */
  get acknowledgedEvents(): number | null {
    const { outbox, session } = this.#lifecycle.current ?? {};
    return outbox && session?.hasAcks ? outbox.acknowledged : null;
  }

  /** The number of bytes that have not been handed to the operating system yet. */
  get pendingBytes(): number {
    return this.#lifecycle.pendingBytes;
  }

  /**
   * Connects to a server and waits for its welcome.
   *
   * A server that sends no welcome within `welcomeTimeout` is used without one. A welcome is
   * required, within `timeout`, if a token, subscriptions, `sequence` or `history` are in use. With subscriptions, the call
   * also waits until the relay has acknowledged them. With `reconnect`, the client retries until it
   * succeeds or the timeout expires. Events sent before that are queued for the connection. If this
   * call fails, they are queued for the next `connectTo()`.
   *
   * Also resolves if {@link close} or {@link abort} is called in the meantime. {@link closed} then
   * reports it.
   *
   * Until the call resolves, nothing can slow the server down. Therefore at most `maxUnreadEvents`
   * and `maxUnreadBytes` of the events that arrive are kept. A `gap` in the {@link status} reports
   * the number of dropped events. The events received in a failed attempt are dropped.
   *
   * @param where The server's address, a `ws:` or `wss:` URL, the path of a Unix socket, or a custom
   * dialer. The client of `./web` takes URLs alone.
   * @returns Resolves when the client is connected.
   * @throws {TypeError} If the client is already connected or connecting, or the address is
   * invalid.
   * @throws {RangeError} If the port or the timeout is out of its range.
   * @throws {ConnectError} If it cannot connect. The message contains the address and the cause.
   * @throws {EventRefusedError} If the relay refuses a subscription.
   * @throws {EbsocketError} With the code `not-supported`, if the server does not support the
   * subscriptions, `sequence` or `history` in use.
   * @throws {Deno.errors.NotCapable} Without `--allow-net` for the address.
   */
  async connectTo(
    where: Destination,
    { timeout = 10_000, signal }: ConnectToOptions = {},
  ): Promise<void> {
    await this.#lifecycle.connectTo(where, timeout, signal);
  }

  /**
   * Queues an event immediately, in the order of the calls.
   *
   * The promise resolves when there is room for more events, so that awaiting it keeps a fast
   * sender from outrunning the network. It rejects if the event was not queued:
   *
   * - With a {@link ConnectionClosedError}, if the connection has ended.
   * - With an {@link EbsocketError} of the code `queue-full`, if more than `maxPendingBytes`
   *   would be pending.
   * - With an {@link EbsocketError} of the code `not-supported`, if `to` is set and the server
   *   does not support direct events, or `no-welcome`, if `to` is set and the server has not sent a
   *   welcome.
   *
   * An unhandled rejection does not end the program. `unsentLines` of {@link closed} includes the
   * events that did not fit into the queue.
   *
   * With `reconnect`, an event is also queued while there is no connection, including before the
   * first one, or while `maxPendingBytes` of earlier events are unacknowledged. `maxQueuedEvents`
   * and `maxQueuedBytes` limit this queue, and `overflow` decides what happens when it is full. The
   * promise of an event that is queued for a connection resolves immediately. While a full inbox is
   * not read, neither are acknowledgements: then there is room until the queue is half full.
   *
   * The line of a {@link RawEvent} is sent as it is, with all members that it has.
   *
   * Events with `to` are not queued while disconnected, because client IDs change on reconnect: the
   * promise rejects with a {@link ConnectionClosedError}. If the connection ends before such an
   * event is sent, {@link status} reports it among the `unconfirmed` events.
   *
   * @param event The event.
   * @param options The direct recipient, if any.
   * @returns Resolves when there is room for more events.
   * @throws {ConnectionClosedError} At the call, if the client has not been connected yet and does
   * not reconnect.
   * @throws {TypeError} At the call, if the event cannot be encoded.
   * @throws {EventSchemaError} At the call, if the event does not match its definition.
   * @throws {RangeError} At the call, if its line would exceed `maxLineBytes` or the server's
   * limit. The message contains both sizes.
   */
  sendEvent<N extends keyof S & string>(
    event: SendableEvent<S, N>,
    options?: SendOptions,
  ): Promise<void>;
  /**
   * Queues an event and waits for the relay's receipt. An unhandled rejection does not end the
   * program.
   *
   * In addition to the errors above, it rejects:
   *
   * - With a {@link RequestTimeoutError}, if no receipt arrives in time.
   * - With an {@link EventRefusedError}, if the relay does not deliver the event.
   * - With a {@link ConnectionClosedError}, if the connection ends first. The event may or may
   *   not have been delivered.
   * - With the signal's reason, if the signal is aborted.
   * - With an {@link EbsocketError} of the code `incomplete`, if a relay of a cluster did not say in
   *   time how many of its clients receive the event, or if the relay could not keep it in its
   *   history, `not-supported`, if the server does not support
   *   receipts, `no-welcome`, if it has not sent a welcome, or `inbox-full`, if the receipt could
   *   not be read because the program does not read the events.
   *
   * With `reconnect`, an event that has not been sent yet is queued for the next connection.
   *
   * @param event The event.
   * @param options `confirm`, and optionally the direct recipient, the timeout and a signal.
   * @returns Resolves to the number of clients that the relay has queued the event for.
   * @throws {TypeError | RangeError | EventSchemaError} At the call, as above, and if an option is
   * out of its range.
   *
   * @example Check that clients receive an event
   * ```ts
   * import { EbsocketClient, EbsocketEvent, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]), { echo: false });
   * await using client = new EbsocketClient();
   * await client.connectTo(relay.server.address);
   * const event = new EbsocketEvent("message", { content: "hi" });
   * console.log(await client.sendEvent(event, { confirm: true }), "clients"); // 0 clients
   * ```
   */
  sendEvent<N extends keyof S & string>(
    event: SendableEvent<S, N>,
    options: ConfirmOptions,
  ): Promise<number>;
  sendEvent(
    event: SendableEvent<S>,
    options?: SendOptions | ConfirmOptions,
  ): Promise<number | void> {
    if (options === undefined) return this.#sender.send(event);
    if (options.confirm) return this.#requests.confirm(event, options);
    // An undefined `to` is rejected. Otherwise an event meant for one client would go to all.
    return "to" in options ? this.#sender.sendTo(options.to!, event) : this.#sender.send(event);
  }

  /**
   * Creates an event and queues it, like {@link sendEvent}. The attributes may be omitted if events
   * of this name need none. Options are the third argument.
   *
   * @param name The event's name.
   * @param attributes The event's attributes.
   * @param options The direct recipient, if any.
   * @returns Resolves when there is room for more events.
   * @throws As `sendEvent()` does. Also a {@link TypeError} or {@link RangeError} if the name is
   * not a string of 1 to 255 bytes.
   *
   * @example Send to all clients, and to one
   * ```ts
   * import { EbsocketClient, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * await using client = new EbsocketClient();
   * await client.connectTo(relay.server.address);
   * client.send("ping");
   * client.send("message", { content: "hi" }, { to: "c1" });
   * console.log(await client.send("message", { content: "hi" }, { confirm: true }), "clients");
   * ```
   */
  send<N extends keyof S & string>(
    name: N,
    attributes: SendableAttributes<S, N>,
    options?: SendOptions,
  ): Promise<void>;
  /**
   * Creates an event, queues it and waits for the relay's receipt.
   *
   * @returns Resolves to the number of clients that the relay has queued the event for.
   */
  send<N extends keyof S & string>(
    name: N,
    attributes: SendableAttributes<S, N>,
    options: ConfirmOptions,
  ): Promise<number>;
  /** Sends an event without attributes. */
  send(name: BareName<S>): Promise<void>;
  send<N extends keyof S & string>(
    name: N,
    attributes?: SendableAttributes<S, N>,
    options?: SendOptions | ConfirmOptions,
  ): Promise<number | void> {
    return this.sendEvent(newEvent<S>(name, attributes), options as SendOptions);
  }

  /**
   * Subscribes to events. From the first call on, the client receives only matching events, and
   * each further call adds to them. A client that has not subscribed receives every event, or none
   * if {@link hearsNothing} is `true`. Direct events always arrive. Subscriptions last across
   * reconnects and the next `connectTo()`. An empty array adds nothing, so that alone it stops all
   * other events.
   *
   * A pattern is an event name in which the token `*` matches any one token between dots, and a
   * final `>` matches the rest of the name. With an event map, a pattern that is only known at run
   * time needs a cast: `pattern as PatternOf<M>`.
   *
   * Without a connection, the call only records the subscription and resolves immediately. The
   * connection then starts with it, and no other event is ever received.
   *
   * The calls of one turn are sent to the relay together, but each gets its own reply. A call that
   * fails has no effect, with two exceptions:
   *
   * - A failed first call may leave the client without any events.
   * - A timeout only ends the wait. The client repeats the subscription on later connections
   *   until a relay grants or refuses it, or {@link unsubscribe} removes it. A late refusal is
   *   reported in the {@link status} as `refused`.
   *
   * @param patterns The patterns to add.
   * @param options The queue, the timeout and a signal.
   * @returns Resolves when the relay has acknowledged the patterns.
   * @throws {TypeError} If a pattern or the queue is not a string.
   * @throws {RangeError} If a pattern is invalid or a value is out of its range. The message quotes
   * it.
   * @throws {EventRefusedError} If the relay refuses the subscription. The code is the reason.
   * @throws {RequestTimeoutError} If the relay does not acknowledge it in time. It remains
   * requested.
   * @throws {ConnectionClosedError} If the connection ends for good first.
   * @throws {EbsocketError} With the code `not-supported`, if the server does not support
   * subscriptions, or `inbox-full`, if the acknowledgement could not be read because the program
   * does not read the events.
   *
   * @example Share work between clients
   * ```ts
   * import { EbsocketClient, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * await using worker = new EbsocketClient();
   * await worker.subscribe(["jobs.*"], { queue: "workers" });
   * await worker.connectTo(relay.server.address);
   *
   * await using client = new EbsocketClient();
   * await client.connectTo(relay.server.address);
   * await client.send("jobs.resize", { width: 100 });
   * console.log((await worker.recvEvent())?.getAttribute("width"));
   * ```
   */
  subscribe(patterns: readonly PatternOf<M>[], options?: SubscribeOptions): Promise<void>;
  /**
   * Subscribes to events, and also receives those that the relay has kept. They arrive first, in
   * their order and each once, and then the others as they happen. The client needs the option
   * `history`.
   *
   * If the connection ends meanwhile, the client goes on after the last event that it has received. Requests and
   * other events that the relay does not keep arrive as they happen.
   *
   * @param patterns The patterns to add.
   * @param options From where on, whether a part is enough, the timeout and a signal.
   * @returns Resolves to the relay's answer, before the first kept event. Resolves to `null` without
   * a connection: the first one then begins with the request.
   * @throws As above. Also a {@link TypeError} without the option `history`, with `queue`, or if
   * `since` is invalid, and an {@link EventRefusedError} with the code `no-history` if the relay
   * keeps no events.
   *
   * @example Go on where an earlier run has stopped
   * ```ts ignore
   * import { EbsocketClient } from "@ebsockets/relay";
   *
   * const stored = localStorage.getItem("position");
   * await using client = new EbsocketClient({ history: true, reconnect: true });
   * await client.connectTo(["127.0.0.1", 7982]);
   * const since = stored === null ? "first" : JSON.parse(stored);
   * const answer = await client.subscribe(["orders.>"], { since });
   * if (answer?.recovered === false) console.log("Events are missing:", answer.reason);
   * for await (const event of client) {
   *   console.log(event.event, event.__dict__);
   *   localStorage.setItem("position", JSON.stringify(client.position));
   * }
   * ```
   */
  subscribe(patterns: readonly PatternOf<M>[], options: ReplayOptions): Promise<Recovery | null>;
  subscribe(
    patterns: readonly PatternOf<M>[],
    options?: SubscribeOptions | ReplayOptions,
  ): Promise<Recovery | null | void> {
    return this.#receiver.subscriptions.subscribe(patterns, options);
  }

  /**
   * Removes subscriptions made by {@link subscribe} with the same queue, or without one. Other
   * subscriptions and those of {@link serve} stay. Unknown patterns are ignored. Without any
   * subscription left, the client receives only direct events.
   *
   * @param patterns The patterns to remove.
   * @param options The queue that they were subscribed with, the timeout and a signal.
   * @returns Resolves when the relay has acknowledged it.
   * @throws As `subscribe()` does. Even then, the client no longer requests these events.
   */
  unsubscribe(patterns: readonly PatternOf<M>[], options?: SubscribeOptions): Promise<void> {
    return this.#receiver.subscriptions.unsubscribe(patterns, options);
  }

  /**
   * Sends an event as a request and waits for the first reply. The reply is not among the received
   * events. Later replies are dropped.
   *
   * A request that was cancelled or timed out may still be processed and answered. If it is still
   * queued, it is not sent.
   *
   * @param event The request.
   * @param options The direct recipient, the timeout and a signal.
   * @returns Resolves to the reply.
   * @throws {NoRespondersError} Immediately, if the relay reports that no client receives the
   * request.
   * @throws {RequestTimeoutError} If no reply arrives in time.
   * @throws {EventRefusedError} If the relay does not deliver the request. The code is the reason.
   * @throws {ConnectionClosedError} If the connection ends first. The request may or may not have
   * been processed. With `reconnect`, a request that has not been sent yet is queued for the next
   * connection.
   * @throws {EbsocketError} With the code `inbox-full`, if the reply could not be read because the
   * program does not read the events; `queue-full`, if the queue is full; `not-supported`, if the
   * server does not support `to`; or `no-welcome`, if it has not sent a welcome.
   * @throws {EventSchemaError} If the request or the reply does not match its definition.
   * @throws {TypeError} If the event cannot be encoded, or an option is of the wrong type.
   * @throws {RangeError} If its line would be too long, or an option is out of its range.
   *
   * @example Request the time
   * ```ts
   * import { EbsocketClient, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * await using clock = new EbsocketClient();
   * async function serve(): Promise<void> {
   *   for await (const event of clock.serve("time.now")) {
   *     await clock.reply(event, "time", { ms: Date.now() });
   *   }
   * }
   * serve();
   * await clock.connectTo(relay.server.address);
   *
   * await using client = new EbsocketClient();
   * await client.connectTo(relay.server.address);
   * const answer = await client.request("time.now", {}, { timeout: 1000 });
   * console.log(answer.getAttribute("ms"));
   * ```
   */
  request<N extends keyof S & string>(
    event: SendableEvent<S, N>,
    options?: RequestOptions,
  ): Promise<EventOf<M>>;
  /**
   * Creates an event, like {@link send}, and sends it as a request. Options are the third argument.
   *
   * @returns Resolves to the first reply.
   */
  request<N extends keyof S & string>(
    name: N,
    attributes: SendableAttributes<S, N>,
    options?: RequestOptions,
  ): Promise<EventOf<M>>;
  /**
   * Sends an event without attributes as a request.
   *
   * @returns Resolves to the first reply.
   */
  request(name: BareName<S>): Promise<EventOf<M>>;
  request(
    event: SendableEvent<S> | string,
    ...rest: (object | undefined)[]
  ): Promise<EventOf<M>> {
    const reply = this.#requests.request(...eventAndOptions<S, RequestOptions>(event, rest));
    return reply as Promise<unknown> as Promise<EventOf<M>>;
  }

  /**
   * Sends an event as a request at the first `next()`, and yields the replies as they arrive. It
   * ends when the time is up or `count` replies have arrived. Receiving no reply is not an error if
   * at least one client received the request. Replies that do not match their definitions are among
   * the {@link invalidEvents} and do not count.
   *
   * @param event The request.
   * @param options The direct recipient, the timeout, the maximum number of replies and a signal.
   * @returns The replies.
   * @throws {TypeError} At the call, if an option is of the wrong type.
   * @throws {RangeError} At the call, if an option is out of its range.
   * @throws At `next()`, for every other reason for which {@link request} rejects.
   *
   * @example List the clients that reply
   * ```ts
   * import { EbsocketClient, NoRespondersError } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   * import { EbsocketServer } from "@ebsockets/relay/server";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * await using client = new EbsocketClient();
   * await client.connectTo(relay.server.address);
   * try {
   *   for await (const answer of client.requestMany("who", {}, { timeout: 200 })) {
   *     console.log(answer.from, answer.__dict__);
   *   }
   * } catch (error) {
   *   if (!(error instanceof NoRespondersError)) throw error;
   *   console.log("Nobody but me");
   * }
   * ```
   */
  requestMany<N extends keyof S & string>(
    event: SendableEvent<S, N>,
    options?: RequestManyOptions,
  ): AsyncGenerator<EventOf<M>, void, void>;
  /**
   * Creates an event, like {@link send}, and sends it as a request for several replies. Options are
   * the third argument.
   */
  requestMany<N extends keyof S & string>(
    name: N,
    attributes: SendableAttributes<S, N>,
    options?: RequestManyOptions,
  ): AsyncGenerator<EventOf<M>, void, void>;
  /** Sends an event without attributes as a request for several replies. */
  requestMany(name: BareName<S>): AsyncGenerator<EventOf<M>, void, void>;
  requestMany(
    event: SendableEvent<S> | string,
    ...rest: (object | undefined)[]
  ): AsyncGenerator<EventOf<M>, void, void> {
    const args = eventAndOptions<S, RequestManyOptions>(event, rest);
    const replies: AsyncGenerator<unknown, void, void> = this.#requests.requestMany(...args);
    return replies as AsyncGenerator<EventOf<M>, void, void>;
  }

  /**
   * Replies to a request. Only the requester receives the reply. Pass the received event itself,
   * not a copy: the client remembers which connection it came from.
   *
   * Resolves to `false`, without sending, in these cases:
   *
   * - The event is not a request.
   * - The connection that it came from has ended, because client IDs change on reconnect.
   *
   * Otherwise it resolves as {@link sendEvent} does. Further replies to the same request are
   * delivered only if the requester used {@link requestMany}.
   *
   * @param event The request.
   * @param answer The reply.
   * @returns Resolves to whether the reply was sent.
   * @throws {TypeError | RangeError | EventSchemaError} At the call, as `sendEvent()` does.
   */
  reply<N extends keyof S & string>(
    event: Pick<EbsocketEvent, "id" | "from">,
    answer: SendableEvent<S, N>,
  ): Promise<boolean>;
  /** Creates the reply, like {@link send}. */
  reply<N extends keyof S & string>(
    event: Pick<EbsocketEvent, "id" | "from">,
    name: N,
    attributes: SendableAttributes<S, N>,
  ): Promise<boolean>;
  /** Replies with an event without attributes. */
  reply(event: Pick<EbsocketEvent, "id" | "from">, name: BareName<S>): Promise<boolean>;
  reply<N extends keyof S & string>(
    event: Pick<EbsocketEvent, "id" | "from">,
    answer: SendableEvent<S, N> | N,
    attributes?: SendableAttributes<S, N>,
  ): Promise<boolean> {
    const made = typeof answer === "string" ? newEvent<S>(answer, attributes) : answer;
    return this.#requests.reply(event, made as SendableEvent<S>);
  }

  /**
   * Returns the events that match a pattern, separate from all others. They have an inbox of their
   * own with the same limits, and do not appear in the inbox that `recvEvent()`, `pump()` and
   * `for await` read. If an event matches several services, each of them gets it.
   *
   * The service subscribes at the call, which narrows the received events as {@link subscribe}
   * does, and unsubscribes at its end. After that, the client receives the events of its own
   * subscriptions, if any. To receive all other events too, subscribe to `[">"]`. A service that
   * starts before `connectTo()` is part of the connection from its beginning, so that it misses no
   * events.
   *
   * The service continues across reconnects. It ends when the client has been closed, when the loop
   * is left, or by `signal`. Events that are unread when the loop is left are lost.
   *
   * If another subscription of the client also matches the events of a `queue`, the client receives
   * all of them, not only its share.
   *
   * @param pattern The pattern.
   * @param options The queue and a signal.
   * @returns The events.
   * @throws {TypeError} At the call, if the pattern or the queue is not a string.
   * @throws {RangeError} At the call, if the pattern is invalid, or the queue is not 1 to 255 bytes
   * long.
   * @throws At the first `next()`, for every other reason for which `subscribe()` rejects.
   *
   * @example Share requests among several clients
   * ```ts
   * import { EbsocketClient, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * async function work(client: EbsocketClient): Promise<void> {
   *   for await (const event of client.serve("math.*", { queue: "math" })) {
   *     const sum = Object.values(event.__dict__).reduce((sum: number, each) => sum + Number(each), 0);
   *     await client.reply(event, "result", { sum });
   *   }
   * }
   * await using worker = new EbsocketClient();
   * work(worker);
   * await worker.connectTo(relay.server.address);
   *
   * await using client = new EbsocketClient();
   * await client.connectTo(relay.server.address);
   * const answer = await client.request("math.add", { a: 1, b: 2 });
   * console.log(answer.getAttribute("sum")); // 3
   * ```
   */
  serve<P extends PatternOf<M>>(
    pattern: P,
    options?: ServiceOptions,
  ): AsyncGenerator<MatchingEvent<M, P>, void, void> {
    const events: AsyncGenerator<unknown, void, void> = this.#receiver.services.serve(
      pattern,
      options,
    );
    return events as AsyncGenerator<MatchingEvent<M, P>, void, void>;
  }

  /**
   * Returns the events that the relay has kept and that match a pattern, in their order, and ends
   * after the last one. They have an inbox of their own with the same limits, and do not count for
   * {@link position}. The client needs no option for this, and its subscriptions do not matter.
   *
   * It asks the relay at the first `next()`, and goes on after a reconnect. With `partial`, it reads
   * all of a new history if the relay has begun one meanwhile, and `onLoss` tells what is missing.
   * Leaving the loop ends the answer.
   *
   * @param patterns The pattern, or several of them.
   * @param options From where on, whether a part is enough, the timeout and a signal.
   * @returns The events, and how much of the history the program has taken. Their `past` is not
   * `null`.
   * @throws {TypeError} At the call, if an argument is of the wrong type.
   * @throws {RangeError} At the call, if a pattern is invalid, there is none, or a value is out of
   * its range. At `next()`, if the patterns do not fit into one line.
   * @throws {EbsocketError} At `next()`, with the code `not-recovered`, if events are missing and
   * `partial` is not set. The message names the reason: `epoch`, `evicted` or `ahead`. With the code
   * `not-supported`, if the relay keeps no events, or `inbox-full`, if the program does not read its
   * other events.
   * @throws {EventRefusedError} At `next()`, if the relay refuses it.
   * @throws {RequestTimeoutError} At `next()`, if the relay does not answer in time.
   * @throws {ConnectionClosedError} At `next()`, if there is no connection, or it ends for good.
   *
   * @example Read the last hour
   * ```ts ignore
   * import { EbsocketClient } from "@ebsockets/relay";
   *
   * await using client = new EbsocketClient();
   * await client.connectTo(["127.0.0.1", 7982]);
   * for await (const event of client.history("orders.>", { since: { age: 3_600_000 } })) {
   *   console.log(event.offset, event.event, event.__dict__);
   * }
   * ```
   */
  history<P extends PatternOf<M>>(
    patterns: P | readonly P[],
    options?: PastOptions,
  ): PastEvents<MatchingEvent<M, P>> {
    const events: AsyncGenerator<unknown, void, void> = this.#receiver.past.read(
      patterns,
      options,
    );
    return events as PastEvents<MatchingEvent<M, P>>;
  }

  /**
   * Requests a report from the relay: its statistics, and its busiest clients and event names. The
   * report may have up to 200 KiB. If it exceeds this client's `maxLineBytes`, it ends the
   * connection.
   *
   * @returns Resolves to the report.
   * @throws {EventRefusedError} With the code `not-allowed`, if the relay does not provide reports.
   * @throws {RequestTimeoutError} If the relay does not answer in time.
   * @throws {ConnectionClosedError} If there is no connection, or it ends first.
   * @throws {EbsocketError} With the code `not-supported`, if the server does not support reports;
   * `no-welcome`, if it has not sent a welcome; or `inbox-full`, if the report could not be read
   * because the program does not read the events.
   * @throws {RangeError} If the timeout is out of its range.
   *
   * @example Count the clients
   * ```ts
   * import { EbsocketClient, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * await using client = new EbsocketClient();
   * await client.connectTo(relay.server.address);
   * const { relay: stats, clients } = await client.inspect();
   * console.log(stats.clients, clients[0]?.address);
   * ```
   */
  inspect(options?: InspectOptions): Promise<RelayReport> {
    return this.#requests.inspect(options);
  }

  /**
   * Returns the next event, in order of arrival.
   *
   * @returns Resolves to the event, or to `null` once the connection has ended and every earlier
   * event has been read. With `reconnect`, only the final end counts. {@link closed} has the
   * reason.
   * @throws {TypeError} If `pump()`, `recvEvent()` or `for await` is already reading.
   * @throws {ConnectionClosedError} If the client has never been connected.
   */
  async recvEvent({ signal }: RecvOptions = {}): Promise<EventOf<M> | null> {
    this.#lifecycle.receiving("receive from");
    const claim = this.#receiver.inboxes.main.claim("recvEvent()");
    try {
      this.#receiver.requests.onReadMain();
      const event = await this.#receiver.inboxes.main.next(signal);
      if (event) this.#receiver.requests.onReadMain([event]);
      return (event ?? null) as unknown as EventOf<M> | null;
    } finally {
      claim[Symbol.dispose]();
    }
  }

  /**
   * Waits for events, and returns all that have arrived. This takes less time than a loop over
   * single events.
   *
   * @returns Resolves to the events. They are empty once the connection has ended and every earlier
   * event has been read, as in {@link recvEvent}.
   * @throws As `recvEvent()` does.
   */
  async recvEvents({ signal }: RecvOptions = {}): Promise<EventOf<M>[]> {
    this.#lifecycle.receiving("receive from");
    const { inboxes: { main }, requests } = this.#receiver;
    const claim = main.claim("recvEvents()");
    try {
      requests.onReadMain();
      await main.arrival(Infinity, signal);
      const events = main.takeAll();
      requests.onReadMain(events);
      return events as unknown[] as EventOf<M>[];
    } finally {
      claim[Symbol.dispose]();
    }
  }

  /**
   * Returns all events that have arrived. It does not wait for more, but also reads the bytes that
   * the operating system already holds. This makes it suitable after a blocking call such as
   * `prompt()`.
   *
   * A program that is blocked for longer than `keepAliveInterval` sends no signs of life. A relay
   * closes its connection with `idle-timeout` 20 s later.
   *
   * @returns Resolves to the events, and to whether the client is connected or will reconnect.
   * @throws {TypeError} If `pump()`, `recvEvent()` or `for await` is already reading.
   * @throws {ConnectionClosedError} If the client has never been connected.
   */
  async pump(): Promise<[events: EventOf<M>[], connected: boolean]> {
    const [events, connected] = await this.#lifecycle.pump();
    this.#receiver.requests.onReadMain(events);
    return [events as unknown[] as EventOf<M>[], connected];
  }

  /**
   * Returns the events, in order of arrival, until the connection has ended. With `reconnect`, only
   * the final end counts.
   */
  [Symbol.asyncIterator](): AsyncGenerator<EventOf<M>> {
    const inbox = this.#receiver.inboxes.main as Inbox<unknown> as Inbox<EventOf<M>>;
    return new InboxIterator(inbox, () => {
      this.#lifecycle.receiving("iterate over");
      return inbox.claim("for await");
    });
  }

  /**
   * Returns the changes of the connection, from the current {@link ClientStatus} to `closed`. If the
   * relay is alone, that follows the current status. Each call returns a separate iterator. An
   * iterator that is not read keeps the last 100, or the last 10,000 refusals.
   *
   * @returns The changes.
   *
   * @example Log the changes
   * ```ts
   * import { EbsocketClient } from "@ebsockets/relay";
   * import { EbsocketServer } from "@ebsockets/relay/server";
   * import { Relay } from "@ebsockets/relay/relay";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * const client = new EbsocketClient({ reconnect: true });
   * await client.connectTo(relay.server.address);
   * setTimeout(() => client.close(), 10);
   * for await (const status of client.status()) {
   *   if (status.type === "connected") console.log("Connected to", status.address);
   *   if ("unconfirmed" in status) console.log("May be lost:", status.unconfirmed);
   *   if (status.type === "closed") console.log("Closed:", status.info.reason);
   * }
   * ```
   */
  status(): AsyncGenerator<ClientStatus<S>, void, void> {
    const statuses: AsyncGenerator<unknown, void, void> = this.#receiver.status.read();
    return statuses as AsyncGenerator<ClientStatus<S>, void, void>;
  }

  /**
   * Returns the events that do not match their definitions, until the connection has ended. With
   * `reconnect`, only the final end counts. These events are not among the received events.
   *
   * Each call returns a separate iterator. The first one starts with the invalid events that
   * arrived before. An iterator that is not read keeps the last 1,000, and fewer if their lines are
   * long.
   *
   * Invalid events with an `id` are requests that no {@link serve} loop has received. The requester
   * waits for a reply until its timeout, unless {@link reply} reports the problem.
   *
   * @returns The invalid events.
   *
   * @example Log invalid events
   * ```ts
   * import { defineEvents, EbsocketClient, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   * import { z } from "zod";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * const events = defineEvents({ message: z.object({ content: z.string() }) });
   * await using client = new EbsocketClient({ events });
   * const invalid = client.invalidEvents();
   * await client.connectTo(relay.server.address);
   *
   * const [hostname, port] = relay.server.address;
   * using other = await Deno.connect({ hostname, port });
   * await other.write(new TextEncoder().encode('{"event":"message"}\n'));
   * for await (const { event, issues, missed } of invalid) {
   *   console.log(`${event}`, issues, missed);
   *   break;
   * }
   * ```
   */
  invalidEvents(): AsyncGenerator<InvalidEvent, void, void> {
    return this.#receiver.invalidEvents.read();
  }

  /** The number of events received that do not match their definitions. */
  get invalidEventCount(): number {
    return this.#receiver.invalidEvents.count;
  }

  /**
   * Waits until the operating system has taken all events sent before. With `reconnect`, it waits
   * until there is a connection and, if the server acknowledges events, until they are
   * acknowledged. Acknowledgements arrive among the events. While a full inbox is not read, they
   * are not read either.
   *
   * @returns Resolves when the events have been taken or acknowledged.
   * @throws {ConnectionClosedError} If the connection ends first and the server cannot tell on the next
   * one what it has taken, as a relay with a history can; or if there has never been one.
   */
  async flush(): Promise<void> {
    await this.#sender.flush();
  }

  /**
   * Sends the queued events, then closes the connection. Cancels an attempt to connect. Without a
   * connection it has no effect, except that a client with `reconnect` stops reconnecting.
   *
   * With `reconnect`, it first waits for the server to acknowledge the sent events. It waits while
   * that makes progress, and for `drainTimeout` without progress. It does not wait for a
   * connection.
   *
   * @returns Resolves when the connection has ended. `unsentLines` of {@link closed} then shows
   * whether all events were sent.
   */
  async close(): Promise<void> {
    await this.#lifecycle.close();
  }

  /**
   * Ends the client without losing work in progress, for example in the signal handler of a worker.
   *
   * It stops the relay from sending further events, by removing all subscriptions and services
   * until the next `connectTo()`. Loops over events and services yield the events that have
   * arrived, and then end. Requests that the program has received can be answered. After that, or
   * after `timeout`, it continues like {@link close}.
   *
   * Work in progress comprises the events of a `for await` loop that has not ended, and the
   * requests that a service has yielded and {@link reply} has not answered. With `recvEvent()` or
   * `pump()`, it comprises the requests that the last call returned. `drain()` does not wait for a
   * connection or for any other work of the program.
   *
   * Meanwhile events can be sent, and `subscribe()` rejects with a {@link ConnectionClosedError}.
   * While the client is connecting, or without a connection, it is the same as `close()`.
   *
   * @returns Resolves when the connection has ended.
   * @throws {RangeError} If the timeout is `NaN`.
   *
   * @example Finish the work in progress before leaving
   * ```ts
   * import { EbsocketClient, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * const client = new EbsocketClient({ reconnect: true });
   * const jobs = client.serve("jobs.*", { queue: "workers" });
   * await client.connectTo(relay.server.address);
   * setTimeout(() => client.drain(), 10); // as a signal handler would
   * for await (const job of jobs) await client.reply(job, "done");
   * console.log((await client.closed).reason); // local
   * ```
   */
  async drain({ timeout = 10_000 }: DrainOptions = {}): Promise<void> {
    await this.#lifecycle.drain(timeout);
  }

  /**
   * Closes the connection at once, without sending the queued events. Cancels an attempt to
   * connect.
   *
   * @returns Resolves when the connection has ended.
   */
  async abort(): Promise<void> {
    await this.#lifecycle.abort();
  }

  /** Waits for a {@link drain} in progress, then does the same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lifecycle.dispose();
  }
}

/** Creates the event of a call that passes a name and attributes. */
function newEvent<S extends object>(name: string, attributes?: object): SendableEvent<S> {
  return new EbsocketEvent(name, attributes ?? {}) as unknown as SendableEvent<S>;
}

/**
 * Returns the event and options of a call that passes either an event, or a name and attributes.
 */
function eventAndOptions<S extends object, O extends object>(
  first: SendableEvent<S> | string,
  [second, third]: readonly (object | undefined)[],
): [event: SendableEvent<S>, options: O | undefined] {
  if (typeof first !== "string") return [first, second as O | undefined];
  return [newEvent<S>(first, second), third as O | undefined];
}
