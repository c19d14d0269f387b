/**
 * Owns a client: dials, keeps an inbox of what arrives, sends. Must not know servers.
 *
 * @example Send an event and read what comes back
 * ```ts
 * import { EbsocketClient } from "@ebsockets/relay/client";
 * import { Relay } from "@ebsockets/relay/relay";
 * import { EbsocketServer } from "@ebsockets/relay/server";
 *
 * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
 *
 * await using client = new EbsocketClient();
 * await client.connectTo(relay.server.address);
 * client.send("message", { content: "hi" });
 * for await (const event of client) {
 *   console.log(event.event, event.__dict__);
 *   break;
 * }
 * ```
 *
 * @module
 */

import { isPermissionError } from "./net/platform.ts";
import { type Address, formatAddress } from "./protocol/address.ts";
import type { EventOptions } from "./schema/definitions.ts";
import { checkClientOptions, type ClientOptions, type ClientSettings } from "./client/options.ts";
import type { ConnectionOptions } from "./net/connection_options.ts";
import type { ControlLine } from "./protocol/control.ts";
import {
  type CloseInfo,
  ConnectError,
  ConnectionClosedError,
  EbsocketError,
  EventRefusedError,
  NoRespondersError,
  RequestTimeoutError,
} from "./errors.ts";
import { nextTurn } from "./net/turn.ts";
import {
  type BareName,
  EbsocketEvent,
  type EventOf,
  type OpenEvents,
  type SendableAttributes,
  type SendableEvent,
} from "./protocol/event.ts";
import { SubscriptionManager } from "./client/subscriptions.ts";
import type { InboxOptions } from "./net/inbox.ts";
import { InboxIterator } from "./net/inbox_iterator.ts";
import { EventDispatcher } from "./client/dispatcher.ts";
import { after, checkTimeout } from "./protocol/option_checks.ts";
import { ConnectionManager } from "./client/connection_manager.ts";
import { type InvalidEvent, InvalidEvents } from "./client/invalid_events.ts";
import type { PatternOf } from "./protocol/pattern.ts";
import { IN_DOUBT, PendingRequests } from "./client/pending_requests.ts";
import { decodeReport, type RelayReport } from "./protocol/report.ts";
import {
  type ConfirmOptions,
  type InspectOptions,
  type RequestManyOptions,
  type RequestOptions,
  Requests,
  type SendOptions,
} from "./client/requests.ts";
import { decodeReceipt, decodeRefusal } from "./protocol/routing.ts";
import { Sender } from "./client/sender.ts";
import { type MatchingEvent, type ServiceOptions, Services } from "./client/services.ts";
import { type ClientStatus, StatusFeed } from "./client/status.ts";
import type { SubscribeOptions } from "./client/subscribe_request.ts";
import { addressOf, checkDestination, type Destination, type Dialer } from "./net/transport.ts";

export {
  ConnectError,
  ConnectionClosedError,
  EbsocketError,
  EbsocketEvent,
  EventRefusedError,
  NoRespondersError,
  RequestTimeoutError,
};
export type {
  Address,
  ClientOptions,
  ClientStatus,
  ConfirmOptions,
  ConnectionOptions,
  Destination,
  Dialer,
  InboxOptions,
  InspectOptions,
  MatchingEvent,
  PatternOf,
  RelayReport,
  RequestManyOptions,
  RequestOptions,
  SendOptions,
  ServiceOptions,
  SubscribeOptions,
};
export type { Duplex, Socket } from "./net/connection.ts";
export type { CheckedAttributes, EventDefinitions, EventOptions } from "./schema/definitions.ts";
export type { CloseInfo, CloseReason, ConnectErrorOptions, Farewell } from "./errors.ts";
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
export type { InvalidEvent } from "./client/invalid_events.ts";
export type { MatchingName, PatternFor } from "./protocol/pattern.ts";
export type { ClientReport, NameReport, SubscriptionReport } from "./protocol/report.ts";
export type { RelayStats } from "./protocol/report.ts";
export type { LineSplitterOptions } from "./protocol/line_splitter.ts";
export type { OverflowPolicy, ReconnectOptions } from "./client/retry.ts";
export type {
  ClosedStatus,
  ConnectedStatus,
  ConnectingStatus,
  DisconnectedStatus,
  GapStatus,
  ReconnectedStatus,
  RefusedStatus,
} from "./client/status.ts";
export type { TlsClientOptions } from "./net/tls.ts";
export type { Token } from "./protocol/token.ts";

/** Options of {@link EbsocketClient.connectTo}. */
export interface ConnectToOptions {
  /**
   * How long connecting may take, in milliseconds, or `Infinity`; 0 and less is over already.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /** Gives the attempt up when aborted. Has no effect once connected. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.recvEvent}. */
export interface RecvOptions {
  /** Gives up waiting when aborted: `recvEvent()` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.drain}. */
export interface DrainOptions {
  /**
   * How long what is being handled may take, in milliseconds, or `Infinity`; 0 and less is over already.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
}

/**
 * After how many empty turns of the event loop `pump()` knows that nothing more was there. All sockets
 * are looked at in each; with TLS, what one has found may be decrypted in the next.
 */
const QUIET_TURNS = 2;

/** How many turns `pump()` takes at most, however much comes meanwhile: some 50 milliseconds. */
const MAX_TURNS = 25;

/**
 * One connection to a server or relay, which can be made anew after it has ended.
 *
 * Events that arrive wait in an inbox for `pump()`, `recvEvent()` or `for await`, one of them at a
 * time. When nobody reads the inbox, no more is read from the server, which TCP slows down. A relay
 * waits for a reader only for a time, and then closes it.
 *
 * With `reconnect` it is connected from {@link connectTo} on until it is closed for good: by
 * {@link close}, when its attempts are used up, or for a reason that another attempt cannot mend
 * (`unauthorized`, `line-too-long`, `too-deep`, `bad-utf8`, `bad-json`, `bad-event`). Loops over its
 * events go on meanwhile, what is sent waits, and {@link status} tells what happens. What others
 * sent while there was no connection does not come later: a relay keeps no events.
 *
 * @typeParam M The event map: what comes; it is trusted to, unless there are definitions. What JSON does
 * not carry cannot be in it, see {@link Carried}.
 * @typeParam S The event map of what is sent, where it is another.
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
  readonly #settings: ClientSettings;
  readonly #feed = new StatusFeed<S>();
  readonly #pending: PendingRequests;
  readonly #hearing: SubscriptionManager;
  readonly #invalidEvents: InvalidEvents;
  readonly #incoming: EventDispatcher<M>;
  readonly #services: Services<M>;
  readonly #sender: Sender<S>;
  readonly #requests: Requests<M, S>;
  /** The link there is, or was last. */
  #link: ConnectionManager<S> | null = null;
  /** The link that a `connectTo()` under way is making. */
  #next: ConnectionManager<S> | null = null;
  /** The link of the next one; if it reconnects, what is sent before the first waits in it. */
  #spare: ConnectionManager<S> | null;
  /** Resolves when a `drain()` under way is done. */
  #draining: Promise<void> | null = null;
  /** Resolves when that is over. */
  #connecting: PromiseWithResolvers<void> | null = null;

  /**
   * Makes a client that is not connected.
   *
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(options: ClientOptions & EventOptions<M, S> = {}) {
    this.#settings = checkClientOptions(options);
    const readBlockedBy = () => this.#incoming.readBlockedBy();
    const pending = this.#pending = new PendingRequests(
      () => readBlockedBy() || this.#whySilent(),
      (line) => this.#sender.withdraw(line),
    );
    const hearing = this.#hearing = new SubscriptionManager(pending, {
      isOpen: () => this.#link?.open ?? false,
      connecting: () => this.#connecting?.promise ?? null,
      readBlockedBy,
      onRefuse: ({ reason, detail }) => {
        this.#feed.push({ type: "refused", event: null, reason, detail });
      },
    });
    const invalidEvents = this.#invalidEvents = new InvalidEvents(this.#settings.checker);
    const incoming = this.#incoming = new EventDispatcher<M>(
      options,
      pending,
      hearing,
      invalidEvents,
      () => {
        (this.#next ?? this.#link)?.resume();
      },
    );
    this.#services = new Services(incoming, hearing, () => {
      return this.#draining !== null || this.#link?.open === false && this.#next === null;
    }, (event) => this.#requests.given(event));
    this.#sender = new Sender<S>(
      this.#settings,
      (verb) => this.#carrying(verb),
      () => hearing.flush(),
    );
    this.#requests = new Requests(pending, this.#sender, incoming);
    this.#spare = this.#newLink();
  }

  /**
   * Whether there is a connection: a client that reconnects can send events without one, too. What
   * has arrived before the end can still be read afterwards.
   */
  get connected(): boolean {
    return this.#link?.connected ?? false;
  }

  /** Where the client is, or was last, connected to; `null` before its first connection. */
  get address(): Address | null {
    return this.#link?.session?.connection.address ?? null;
  }

  /** What the server calls this client, such as `c7`; `null` if it has not said. */
  get id(): string | null {
    return this.#link?.session?.id ?? null;
  }

  /**
   * Whether nothing is heard but what is sent to this client alone: because it has subscribed to
   * nothing, or because it has not subscribed and the relay lets nobody hear anything before that.
   */
  get hearsNothing(): boolean {
    return this.#hearing.hearsNothing;
  }

  /**
   * How the connection of the last `connectTo()` ended, once it has, or was given up by {@link close};
   * of a client that reconnects, once it has ended for good. Never rejects.
   *
   * @throws {ConnectionClosedError} At the call, if the client has never been connected or connecting.
   */
  get closed(): Promise<CloseInfo> {
    return this.#used("wait for the end of").closed;
  }

  /** How many bytes wait to be handed to the operating system. */
  get pendingBytes(): number {
    const link = this.#next ?? this.#link ?? this.#spare;
    const waiting = link?.outbox?.waitingBytes ?? 0;
    return waiting + (link?.session?.connection.pendingBytes ?? 0);
  }

  /**
   * Connects to a server, at an address, at the path of a Unix socket, or through a dialer of your
   * own, and waits for its welcome. A server that sends none within 500 ms is taken as it is, unless it
   * was sent a token, or is to keep to subscriptions or `sequence`: then it has to, in the time that
   * `timeout` gives. With subscriptions, it also waits until the relay keeps to them. A client that
   * reconnects tries again, until it succeeds or the timeout is over; what it has sent before waits for
   * the connection, or for the next `connectTo()` if this one fails.
   *
   * Resolves, too, when {@link close} or {@link abort} is called meanwhile: that is a quiet end, which
   * {@link closed} tells.
   *
   * Of the events that come before it resolves, `maxUnreadEvents` and `maxUnreadBytes` are kept at most,
   * since nothing could slow the server down; how many were dropped, {@link status} says in a `gap`. Those
   * of an attempt that fails are dropped with it.
   *
   * @throws {TypeError} If the client is connected or connecting already, or the address is wrong.
   * @throws {RangeError} If the port or the timeout is out of its range.
   * @throws {ConnectError} If it cannot connect; the message names the address and the cause.
   * @throws {EventRefusedError} If the relay refuses a subscription.
   * @throws {EbsocketError} With the code `not-supported`, if there are subscriptions, or `sequence`,
   * and the server is not one that can do that.
   * @throws {Deno.errors.NotCapable} Without `--allow-net` for the address.
   */
  async connectTo(
    where: Destination,
    { timeout = 10_000, signal }: ConnectToOptions = {},
  ): Promise<void> {
    const destination = checkDestination(where, this.#settings.tls);
    checkTimeout(timeout);
    if (this.#link?.open || this.#next) {
      throw new TypeError(
        `Cannot connect to ${
          formatAddress(addressOf(destination))
        }: the client is connected or connecting`,
      );
    }
    const link = this.#next = this.#spare ?? this.#newLink();
    const { inbox } = this.#incoming;
    inbox.reopen();
    const connecting = this.#connecting = Promise.withResolvers<void>();
    const late = () => link.giveUp(new Error(`no answer within ${timeout} ms`));
    const timer = after(timeout, late);
    if (timeout <= 0) late();
    const onAbort = () => link.giveUp(new Error("it was aborted"));
    signal?.addEventListener("abort", onAbort);
    try {
      signal?.throwIfAborted();
      await link.start(destination, this.#link);
      this.#spare = null;
    } catch (error) {
      this.#spare = link; // What waits for a connection waits for the next one.
      inbox.end();
      this.#feed.forget();
      if (!isPermissionError(error)) signal?.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#next = null;
      this.#connecting = null;
      connecting.resolve();
      connecting.promise.then(() => {
        if (!this.#link?.open) this.#pending.rest();
      });
    }
  }

  #newLink(): ConnectionManager<S> {
    const incoming = this.#incoming;
    const pending = this.#pending;
    const hearing = this.#hearing;
    const link: ConnectionManager<S> = new ConnectionManager(this.#settings, {
      admits: (event) => hearing.admits(event),
      onEvents: (events, bytes, carrier) => {
        this.#requests.note(events, carrier);
        return incoming.push(events as unknown[] as EventOf<M>[], bytes);
      },
      onStatus: (status) => {
        if (status.type === "connected") {
          this.#link = link;
          incoming.inbox.reopen();
          this.#invalidEvents.reopen();
        }
        this.#feed.push(status);
      },
      onHello: (carrier) => hearing.begin(carrier),
      onWord: (line) => this.#onWord(line),
      onDrop: (line, reason) => pending.drop(line, reason),
      onGoodbye: (carrier) => {
        hearing.end(carrier);
        this.#requests.forgetAsked();
      },
      onDisconnect: (waits) => pending.disconnect(waits),
      onEnd: () => {
        this.#link = link;
        if (this.#spare === link) this.#spare = null;
        pending.failAll(IN_DOUBT);
        this.#services.end();
        incoming.inbox.end();
        this.#invalidEvents.end();
      },
    });
    return link;
  }

  /** Passes a word of the relay to whoever waits for it. */
  #onWord(line: ControlLine): void {
    const receipt = decodeReceipt(line);
    if (receipt) return this.#pending.receipt(receipt);
    const answer = decodeReport(line);
    if (answer) return this.#pending.report(answer.id, answer.report);
    const refusal = decodeRefusal(line);
    if (!refusal || this.#pending.refuse(refusal)) return;
    const { event = null, reason, detail } = refusal;
    this.#feed.push({ type: "refused", event, reason, detail });
  }

  /**
   * Queues an event, at once and in the order of the calls. With `to` one client alone gets it; with a
   * server that cannot do that, it rejects with an {@link EbsocketError} of the code `not-supported`, or
   * `no-welcome` while the server has not said what it can do.
   *
   * The promise resolves when there is room for more, so awaiting it keeps a fast sender from
   * running ahead of the network. It rejects when the event was not queued: with a
   * {@link ConnectionClosedError} when the connection has ended, and with an {@link EbsocketError}
   * of the code `queue-full` when more than `maxPendingBytes` would wait. A rejection that nobody
   * looks at does not end the program; `unsentLines` of {@link closed} counts the events that a full
   * queue refused.
   *
   * With `reconnect`, an event also waits while there is no connection, be it the first, or the server
   * has not acknowledged `maxPendingBytes` of those before. `maxQueuedEvents`, `maxQueuedBytes` and `overflow`
   * say how many may, and what happens to the next; the promise of one that waits for a connection
   * resolves at once. One with `to` does not wait for a connection, since nobody knows whom the next
   * relay calls so: it rejects with a {@link ConnectionClosedError}, and {@link status} tells of those
   * that had not been sent when a connection ended, among the `unconfirmed`.
   *
   * @throws {ConnectionClosedError} At the call, if the client has not been connected yet, and does not
   * reconnect.
   * @throws {TypeError} At the call, if the event cannot be encoded.
   * @throws {EventSchemaError} At the call, if the event does not fit its definition.
   * @throws {RangeError} At the call, if its line would be longer than `maxLineBytes`, or than the
   * server takes; the message names both sizes.
   */
  sendEvent<N extends keyof S & string>(
    event: SendableEvent<S, N>,
    options?: SendOptions,
  ): Promise<void>;
  /**
   * Queues an event, and resolves to the number of clients for which the relay has queued it.
   * A rejection that nobody looks at does not end the program.
   *
   * Beside what is said above, it rejects with a {@link RequestTimeoutError} if the relay does not say
   * so in time, an {@link EventRefusedError} if it does not pass the event on, a
   * {@link ConnectionClosedError} if the connection ends before and nobody knows, the reason of an
   * aborted signal, and an {@link EbsocketError} with the code `not-supported` if the server is no relay
   * that can do it, `no-welcome` if it has not said what it can do, or `inbox-full` if its word could not
   * be heard, since nobody reads the events. With
   * `reconnect`, an event that has not been sent waits for the next connection.
   *
   * @throws {TypeError | RangeError | EventSchemaError} At the call, as above, and for an option out of
   * its range.
   *
   * @example Know that somebody is there
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
    return this.#send(event, options);
  }

  /**
   * Makes an event and queues it, as {@link sendEvent} does with one that is there. Without attributes
   * where an event of this name may have none; options come third.
   *
   * @throws As `sendEvent()` does; a {@link TypeError} or {@link RangeError} also if the name is no string,
   * or has not 1 to 255 bytes.
   *
   * @example Send, to all and to one client
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
  /** Does the same, and resolves to the number of clients for which the relay has queued the event. */
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
    return this.#send(newEvent(name, attributes), options);
  }

  #send(
    event: SendableEvent<S>,
    options?: SendOptions | ConfirmOptions,
  ): Promise<number | void> {
    if (options === undefined) return this.#sender.send(event);
    if (options.confirm) return this.#requests.confirm(event, options);
    // A `to` without a value is refused, or what is meant for one client would go to all.
    return "to" in options ? this.#requests.sendTo(options.to!, event) : this.#sender.send(event);
  }

  /**
   * Hears only the events that match, from the first call on; each further call adds to that. A client
   * that has not subscribed hears everything, or nothing where {@link hearsNothing} says so. Before
   * `connectTo()` it only takes note, and resolves at once: then nothing else is ever heard. With a
   * connection it resolves when the relay has acknowledged it. It stays across reconnects, and to the
   * next `connectTo()`. An empty array adds nothing: alone, it lets nothing be heard.
   *
   * With an event map, a pattern that is known only at run time needs a cast: `pattern as PatternOf<M>`.
   *
   * A pattern is a name in which the token `*` stands for any one token between dots, and `>` at the
   * end for all the rest. What was sent to this client alone comes whatever it has subscribed to.
   *
   * The calls of one turn go to the relay together, and each has its own answer. A call that fails has
   * no effect, except that a first one may leave the client hearing nothing; and that after a time-out,
   * which only ends the wait, the client goes on asking for it, over the next connections too, until a
   * relay has granted or refused it ({@link status} tells of that, as `refused`) or {@link unsubscribe}
   * takes it back.
   *
   * @throws {TypeError} If a pattern or the queue is no string.
   * @throws {RangeError} If a pattern is none, or a value out of its range; the message quotes it.
   * @throws {EventRefusedError} If the relay refuses it; the code says why.
   * @throws {RequestTimeoutError} If the relay does not acknowledge it in time. It is remembered.
   * @throws {ConnectionClosedError} If the connection ends for good before that.
   * @throws {EbsocketError} With the code `not-supported` if the server is no relay that can do it,
   * or `inbox-full` if the acknowledgement could not be heard, since nobody reads the events.
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
  subscribe(patterns: readonly PatternOf<M>[], options?: SubscribeOptions): Promise<void> {
    return this.#hearing.subscribe(patterns, options);
  }

  /**
   * Ends subscriptions of {@link subscribe} with the same queue, or without one. Others stay, and so
   * do those of {@link serve}; unknown ones are ignored. Without any, nothing is heard.
   *
   * @throws As `subscribe()` does. Also then the client does not ask for these events any more.
   */
  unsubscribe(patterns: readonly PatternOf<M>[], options?: SubscribeOptions): Promise<void> {
    return this.#hearing.unsubscribe(patterns, options);
  }

  /**
   * Asks whoever hears an event, and resolves to the first answer. It is not among the events that
   * are received, and answers that come later are dropped.
   *
   * A request that was given up may still be answered, or be done without an answer, unless it was
   * still waiting to be sent: then it is not sent any more.
   *
   * @throws {NoRespondersError} At once, if a relay says that nobody is there to hear it.
   * @throws {RequestTimeoutError} If no answer comes in time.
   * @throws {EventRefusedError} If the relay does not pass it on; the code says why.
   * @throws {ConnectionClosedError} If the connection ends before; it may or may not have been done.
   * With `reconnect`, a request that has not been sent waits for the next connection.
   * @throws {EbsocketError} With the code `inbox-full` if no answer could be heard, since nobody reads
   * the events; with `queue-full` if too much waits; with `not-supported` if the server cannot do `to`, or
   * `no-welcome` if it has not said so.
   * @throws {EventSchemaError} If the event does not fit its definition, or the answer.
   * @throws {TypeError} If the event cannot be encoded, or an option is of the wrong type.
   * @throws {RangeError} If its line would be too long, or an option is out of its range.
   *
   * @example Ask for the time
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
  /** Makes an event, as {@link send} does, and asks whoever hears it. Options come third. */
  request<N extends keyof S & string>(
    name: N,
    attributes: SendableAttributes<S, N>,
    options?: RequestOptions,
  ): Promise<EventOf<M>>;
  /** Asks with an event without attributes. */
  request(name: BareName<S>): Promise<EventOf<M>>;
  request(
    event: SendableEvent<S> | string,
    ...rest: (object | undefined)[]
  ): Promise<EventOf<M>> {
    return this.#requests.request(...eventAndOptions<S, RequestOptions>(event, rest));
  }

  /**
   * Asks all who hear an event, at the first `next()`, and gives their answers as they come, until the
   * time is up or `count` have come. That nobody answers is no error, if somebody is there to. Answers
   * that do not fit their definitions are among {@link invalid events}, and do not count.
   *
   * @throws {TypeError} At the call, if an option is of the wrong type.
   * @throws {RangeError} At the call, if an option is out of its range.
   * @throws At `next()`, for all else for which {@link request} rejects.
   *
   * @example Who is there
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
  /** Makes an event, as {@link send} does, and asks all who hear it. Options come third. */
  requestMany<N extends keyof S & string>(
    name: N,
    attributes: SendableAttributes<S, N>,
    options?: RequestManyOptions,
  ): AsyncGenerator<EventOf<M>, void, void>;
  /** Asks all with an event without attributes. */
  requestMany(name: BareName<S>): AsyncGenerator<EventOf<M>, void, void>;
  requestMany(
    event: SendableEvent<S> | string,
    ...rest: (object | undefined)[]
  ): AsyncGenerator<EventOf<M>, void, void> {
    return this.#requests.requestMany(...eventAndOptions<S, RequestManyOptions>(event, rest));
  }

  /**
   * Answers an event: whoever asked gets `answer`, and nobody else. Resolves as {@link sendEvent} does,
   * to whether it was sent: `false` if nobody had asked, or if the connection has ended over which the
   * event came: nobody knows whom the next relay calls as the asker was called. So give it the event
   * itself, not a copy. Only of several answers that somebody wants do
   * those after the first count.
   *
   * @throws {TypeError | RangeError | EventSchemaError} At the call, as `sendEvent()` does.
   */
  reply<N extends keyof S & string>(
    event: Pick<EbsocketEvent, "id" | "from">,
    answer: SendableEvent<S, N>,
  ): Promise<boolean>;
  /** Makes the answer, as {@link send} does. */
  reply<N extends keyof S & string>(
    event: Pick<EbsocketEvent, "id" | "from">,
    name: N,
    attributes: SendableAttributes<S, N>,
  ): Promise<boolean>;
  /** Answers with an event without attributes. */
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
   * The events that match a pattern, apart from all others: they do not come into the inbox that
   * `recvEvent()`, `pump()` and `for await` read, but wait in one of their own, with the same bounds.
   * Several services may match an event; each gets it.
   *
   * It subscribes at the call, which narrows what the client hears as {@link subscribe} does, and
   * unsubscribes at the end: from then on the client hears what it has subscribed to, and if that is
   * nothing, nothing. Who wants to hear all other events too subscribes to `[">"]`. Before
   * `connectTo()` that is what the connection begins with, so that no event is missed once it is made.
   *
   * It goes on across reconnects, and ends when the client has been closed, when its loop is left, or
   * by `signal`. What has come and was not read when its loop is left is lost.
   *
   * A client that hears the events of a `queue` by another subscription as well gets all of them, not
   * only its share.
   *
   * @throws {TypeError} At the call, if the pattern or the queue is no string.
   * @throws {RangeError} At the call, if the pattern is none, or the queue has not 1 to 255 bytes.
   * @throws At the first `next()`, all else for which `subscribe()` rejects.
   *
   * @example Answer requests, each by one of several clients
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
    const events: AsyncGenerator<unknown, void, void> = this.#services.serve(pattern, options);
    return events as AsyncGenerator<MatchingEvent<M, P>, void, void>;
  }

  /**
   * What the relay tells of itself: its figures, and its busiest clients and names. That may have up to
   * 200 KiB: if it is longer than this client's `maxLineBytes`, it ends the connection.
   *
   * @throws {EventRefusedError} With the code `not-allowed` if the relay tells nobody.
   * @throws {RequestTimeoutError} If it does not answer in time.
   * @throws {ConnectionClosedError} If there is no connection, or it ends before.
   * @throws {EbsocketError} With the code `not-supported` if the server is no relay that can do it,
   * `no-welcome` if it has not said what it can do, or `inbox-full` if the answer could not be heard,
   * since nobody reads the events.
   * @throws {RangeError} If the timeout is out of its range.
   *
   * @example See how many clients there are
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
   * The next event, in the order of arrival; `null` once the connection has ended, with `reconnect`
   * for good, and all that came before has been read. Why it ended is in {@link closed}.
   *
   * @throws {TypeError} If `pump()`, `recvEvent()` or `for await` is reading already.
   * @throws {ConnectionClosedError} If the client has never been connected.
   */
  async recvEvent({ signal }: RecvOptions = {}): Promise<EventOf<M> | null> {
    this.#used("receive from");
    using _ = this.#incoming.inbox.claim("recvEvent()");
    this.#requests.readOn();
    const event = await this.#incoming.inbox.next(signal);
    if (event) this.#requests.readOn([event]);
    return event ?? null;
  }

  /**
   * Everything that has arrived, and whether the client is still connected, or will be again by
   * itself. It does not wait for more, but takes in what the operating system holds already, so it is
   * right after a blocking call such as `prompt()`. While a program is blocked for longer than
   * `keepAliveInterval`, it breaks its promise to be heard of: 20 s later, a relay closes it with
   * `idle-timeout`.
   *
   * @throws {TypeError} If `pump()`, `recvEvent()` or `for await` is reading already.
   * @throws {ConnectionClosedError} If the client has never been connected.
   */
  async pump(): Promise<[events: EventOf<M>[], connected: boolean]> {
    const link = this.#used("pump");
    const inbox = this.#incoming.inbox;
    using _ = inbox.claim("pump()");
    const received = () => link.session?.connection.bytesIn ?? 0;
    let seen = received();
    for (let turn = 0, quiet = 0; turn < MAX_TURNS && quiet < QUIET_TURNS && !inbox.full; turn++) {
      await nextTurn();
      quiet = received() === seen ? quiet + 1 : 0;
      seen = received();
    }
    const events = inbox.takeAll();
    this.#requests.readOn(events);
    return [events, link.open && !inbox.ended];
  }

  /** The events, in the order of arrival, until the connection has ended, with `reconnect` for good. */
  [Symbol.asyncIterator](): AsyncGenerator<EventOf<M>> {
    return new InboxIterator(this.#incoming.inbox, () => {
      this.#used("iterate over");
      return this.#incoming.inbox.claim("for await");
    });
  }

  /**
   * What happens to the connection, from the current {@link ClientStatus} to `closed`. Each call
   * gives an iterator of its own. One that is not read keeps the last 100.
   *
   * @example Say what happens
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
   *   if (status.type === "disconnected") console.log("Lost:", status.unconfirmed);
   *   if (status.type === "closed") console.log("Closed:", status.info.reason);
   * }
   * ```
   */
  status(): AsyncGenerator<ClientStatus<S>, void, void> {
    return this.#feed.read();
  }

  /**
   * The events that do not fit their definitions, until the connection has ended, with `reconnect` for
   * good. They are not among the events. Each call gives an iterator of its own; that of the first
   * call begins with what has come before. One that is not read keeps the last 1,000, and fewer of
   * those with long lines. Those with an `id` are requests that {@link serve} has not given to anyone:
   * whoever asked waits, unless {@link reply} tells it what is wrong.
   *
   * @example Look at what others get wrong
   * ```ts
   * import { defineEvents, EbsocketClient, EbsocketServer } from "@ebsockets/relay";
   * import { Relay } from "@ebsockets/relay/relay";
   * import { z } from "zod";
   *
   * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
   * const events = defineEvents({ message: z.object({ content: z.string() }) });
   * await using client = new EbsocketClient({ events });
   * const invalid events = client.invalidEvents();
   * await client.connectTo(relay.server.address);
   *
   * const [hostname, port] = relay.server.address;
   * using other = await Deno.connect({ hostname, port });
   * await other.write(new TextEncoder().encode('{"event":"message"}\n'));
   * for await (const { event, issues, missed } of invalid events) {
   *   console.log(`${event}`, issues, missed);
   *   break;
   * }
   * ```
   */
  invalidEvents(): AsyncGenerator<InvalidEvent, void, void> {
    return this.#invalidEvents.read();
  }

  /** How many events have come that do not fit their definitions. */
  get invalidEventCount(): number {
    return this.#invalidEvents.count;
  }

  /**
   * Waits until the operating system has taken all that was sent before. With `reconnect` it waits
   * for more: until there is a connection, and the server says that it has taken the events, if it
   * is one that says so. What it says comes among the events: where these fill the inbox and nobody
   * reads them, it is not heard.
   *
   * @throws {ConnectionClosedError} If the connection ends before, or there never was one.
   */
  async flush(): Promise<void> {
    const { outbox, session } = this.#carrying("flush");
    this.#hearing.flush();
    await (outbox ?? session!.connection).flush();
  }

  /**
   * Sends what is queued, then closes the connection; gives up one that is being made. Resolves when
   * it has ended; `unsentLines` of {@link closed} then says whether all has been sent. Has no effect
   * without a connection, unless the client reconnects: then it waits for none any more.
   *
   * A client that reconnects first waits for the server to say that it has taken what was sent; for
   * as long as that makes progress, and `drainTimeout` without any. It does not wait for a connection.
   */
  async close(): Promise<void> {
    await this.#giveUp()?.close();
  }

  /**
   * Leaves so that nothing is lost that was begun: for the signal handler of a worker. It takes back
   * what the client hears and serves, until the next `connectTo()`, so that the relay gives it no more.
   * Loops over events and services still get what has come, and then end; requests that were given to
   * the program can be answered. Then, or after `timeout`, it does what {@link close} does.
   *
   * What is being handled is what is in the hands of a loop with `for await` that has not ended, and
   * the requests that a service has given and {@link reply} has not answered; of those that were read
   * with `recvEvent()` or `pump()`, the last ones. It does not wait for a connection, and not for what
   * the program does beside that. Meanwhile events can be sent, and `subscribe()` rejects with a
   * {@link ConnectionClosedError}. While it connects, or without a connection, it is `close()`.
   *
   * @throws {RangeError} If the timeout is `NaN`.
   *
   * @example A worker that finishes what it has begun
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
    checkTimeout(timeout);
    await (this.#draining ??= this.#drain(timeout).finally(() => this.#draining = null));
  }

  async #drain(timeout: number): Promise<void> {
    const link = this.#link;
    if (link?.open && !this.#next) {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = after(timeout, resolve);
      if (timeout > 0) await Promise.race([this.#finish(link), link.closed, late]);
      clearTimeout(timer);
    }
    await this.close();
    this.#hearing.stay();
  }

  /** Takes nothing more, and waits until what has come has been handled. */
  async #finish(link: ConnectionManager<S>): Promise<void> {
    const { inbox } = this.#incoming;
    link.readAll();
    await this.#hearing.leave();
    if (!link.open) return;
    inbox.end();
    await Promise.all([this.#services.finish(), inbox.whenFree()]);
    await this.#requests.whenAnswered();
  }

  /** Closes the connection at once, without sending what is queued, or one that is being made. */
  async abort(): Promise<void> {
    await this.#giveUp()?.abort();
  }

  /** Does what {@link close} does, once a {@link drain} under way is done. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#draining;
    await this.close();
  }

  /** Why the relay may not answer, or an empty string. */
  #whySilent(): string {
    return this.#link?.session?.isGreeted === false
      ? "the server has sent no welcome, so it may not be a relay"
      : "";
  }

  /** Nothing more will be heard. Gives the link that is to end, if there is any. */
  #giveUp(): ConnectionManager<S> | null {
    this.#pending.failAll("the client was closed; it may or may not have been done");
    return this.#next ?? this.#link ?? (this.#spare?.outbox ? this.#spare : null);
  }

  /** The link that what is sent is for. */
  #carrying(verb: string): ConnectionManager<S> {
    const link = this.#next?.outbox ? this.#next : this.#link;
    if (link) return link;
    if (this.#spare?.outbox) return this.#spare;
    throw neverConnected(verb);
  }

  #used(verb: string): ConnectionManager<S> {
    const link = this.#next ?? this.#link;
    if (link) return link;
    throw neverConnected(verb);
  }
}

function neverConnected(verb: string): ConnectionClosedError {
  return new ConnectionClosedError(
    `Cannot ${verb} a client that has never been connected; await connectTo() first`,
  );
}

/** The event of a call that names it, and its attributes. */
function newEvent<S extends object>(name: string, attributes?: object): SendableEvent<S> {
  return new EbsocketEvent(name, attributes ?? {}) as unknown as SendableEvent<S>;
}

/** The event and the options of a call that has the event first, or its name and attributes. */
function eventAndOptions<S extends object, O extends object>(
  first: SendableEvent<S> | string,
  [second, third]: readonly (object | undefined)[],
): [event: SendableEvent<S>, options: O | undefined] {
  if (typeof first !== "string") return [first, second as O | undefined];
  return [newEvent<S>(first, second), third as O | undefined];
}
