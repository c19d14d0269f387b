/**
 * Owns a client: dials, keeps an inbox of what arrives, sends. Must not know servers.
 *
 * @example Send an event and read what comes back
 * ```ts
 * import { EbsocketClient } from "@ebsockets/relay/client";
 * import { EbsocketEvent } from "@ebsockets/relay/event";
 * import { Relay } from "@ebsockets/relay/relay";
 * import { EbsocketServer } from "@ebsockets/relay/server";
 *
 * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
 *
 * await using client = new EbsocketClient();
 * await client.connectTo(relay.server.address);
 * client.sendEvent(new EbsocketEvent("message", { content: "hi" }));
 * for await (const event of client) {
 *   console.log(event.event, event.__dict__);
 *   break;
 * }
 * ```
 *
 * @module
 */

import { type Address, formatAddress } from "./address.ts";
import { checkClientOptions, type ClientOptions, type ClientSettings } from "./client_options.ts";
import { LineEncoder } from "./codec.ts";
import type { ConnectionOptions } from "./connection_limits.ts";
import { type CloseInfo, ConnectError, ConnectionClosedError, EbsocketError } from "./errors.ts";
import { EbsocketEvent, type EventOf, type OpenEvents, type SendableEvent } from "./event.ts";
import { Inbox, type InboxOptions } from "./inbox.ts";
import { InboxIterator } from "./inbox_iterator.ts";
import { after, checkLimit } from "./limits.ts";
import { Link } from "./link.ts";
import { type ClientStatus, StatusFeed } from "./status.ts";
import { addressOf, checkDestination, type Destination, type Dialer } from "./transport.ts";

export { ConnectError, ConnectionClosedError, EbsocketError, EbsocketEvent };
export type {
  Address,
  ClientOptions,
  ClientStatus,
  ConnectionOptions,
  Destination,
  Dialer,
  InboxOptions,
};
export type { Duplex, Socket } from "./connection.ts";
export type { CloseInfo, CloseReason, ConnectErrorOptions, Farewell } from "./errors.ts";
export type { EventOf, OpenAttributes, OpenEvents, SendableEvent } from "./event.ts";
export type { LineSplitterOptions } from "./splitter.ts";
export type { OverflowPolicy, ReconnectOptions } from "./reconnect.ts";
export type {
  ClosedStatus,
  ConnectedStatus,
  ConnectingStatus,
  DisconnectedStatus,
  ReconnectedStatus,
} from "./status.ts";
export type { TlsClientOptions } from "./tls.ts";
export type { Token } from "./token.ts";

/** Options of {@link EbsocketClient.connectTo}. */
export interface ConnectToOptions {
  /**
   * How long connecting may take, in milliseconds, from 1, or `Infinity`.
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

/** After how many empty turns of the event loop `pump()` knows that nothing more was there. */
const QUIET_TURNS = 3;

/** How many turns `pump()` takes at most, however much comes meanwhile: some 50 milliseconds. */
const MAX_TURNS = 50;

/** For callers for whom there is room at once: no promise per event. */
const ROOM = Promise.resolve();

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
 * @typeParam M The event map: what the server is trusted to send, and what is checked on sending.
 *
 * @example Typed events
 * ```ts
 * import { EbsocketClient, EbsocketEvent } from "@ebsockets/relay";
 *
 * type Chat = { message: { content: string }; join: { name: string } };
 *
 * async function shout(client: EbsocketClient<Chat>): Promise<void> {
 *   for await (const event of client) {
 *     if (event.compareType("message")) {
 *       const content = event.__dict__.content.toUpperCase(); // a string, TypeScript knows
 *       await client.sendEvent(new EbsocketEvent("message", { content }));
 *     }
 *   }
 * }
 * console.log(typeof shout);
 * ```
 */
export class EbsocketClient<M extends object = OpenEvents> {
  readonly #settings: ClientSettings;
  readonly #encoder = new LineEncoder();
  readonly #inbox: Inbox<EventOf<M>>;
  readonly #feed = new StatusFeed<M>();
  /** The link there is, or was last. */
  #link: Link<M> | null = null;
  /** The link that a `connectTo()` under way is making. */
  #next: Link<M> | null = null;

  /**
   * Makes a client that is not connected.
   *
   * @throws {TypeError} If an option is of the wrong type.
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(options: ClientOptions = {}) {
    this.#settings = checkClientOptions(options);
    this.#inbox = new Inbox(options, () => this.#link?.resume());
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
   * How the connection of the last `connectTo()` ended, once it has; of a client that reconnects,
   * once it has ended for good. Never rejects.
   *
   * @throws {ConnectionClosedError} At the call, if the client has never been connected.
   */
  get closed(): Promise<CloseInfo> {
    return this.#used("wait for the end of").closed;
  }

  /** How many bytes wait to be handed to the operating system. */
  get pendingBytes(): number {
    const waiting = this.#link?.outbox?.waitingBytes ?? 0;
    return waiting + (this.#link?.session?.connection.pendingBytes ?? 0);
  }

  /**
   * Connects to a server, at an address, at the path of a Unix socket, or through a dialer of your
   * own, and waits for its welcome.
   * A server that sends none within 500 ms is taken as it is, unless it was sent a token. A client
   * that reconnects tries again, until it succeeds or the timeout is over.
   *
   * @throws {TypeError} If the client is connected or connecting already, or the address is wrong.
   * @throws {RangeError} If the port or the timeout is out of its range.
   * @throws {ConnectError} If it cannot connect; the message names the address and the cause.
   * @throws {Deno.errors.NotCapable} Without `--allow-net` for the address.
   */
  async connectTo(
    where: Destination,
    { timeout = 10_000, signal }: ConnectToOptions = {},
  ): Promise<void> {
    const destination = checkDestination(where, this.#settings.tls);
    checkLimit("timeout", timeout, 1);
    if (this.#link?.open || this.#next) {
      throw new TypeError(
        `Cannot connect to ${
          formatAddress(addressOf(destination))
        }: the client is connected or connecting`,
      );
    }
    const link = this.#next = this.#linkTo(destination);
    const timer = after(timeout, () => link.giveUp(new Error(`no answer within ${timeout} ms`)));
    const onAbort = () => link.giveUp(new Error("it was aborted"));
    signal?.addEventListener("abort", onAbort);
    try {
      signal?.throwIfAborted();
      await link.start(this.#link);
    } catch (error) {
      this.#feed.forget();
      if (!(error instanceof Deno.errors.NotCapable)) signal?.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#next = null;
    }
  }

  #linkTo(destination: Destination): Link<M> {
    const inbox = this.#inbox;
    const link: Link<M> = new Link(destination, this.#settings, {
      onEvents: (events, bytes) => {
        inbox.push(events, bytes);
        return !inbox.full;
      },
      onStatus: (status) => {
        if (status.type === "connected") {
          this.#link = link;
          inbox.reopen();
        }
        this.#feed.push(status);
      },
      onEnd: () => inbox.end(),
    });
    return link;
  }

  /**
   * Queues an event, at once and in the order of the calls.
   *
   * The promise resolves when there is room for more, so awaiting it keeps a fast sender from
   * running ahead of the network. It rejects when the event was not queued: with a
   * {@link ConnectionClosedError} when the connection has ended, and with an {@link EbsocketError}
   * of the code `queue-full` when more than `maxPendingBytes` would wait. A rejection that nobody
   * looks at does not end the program; `unsentLines` of {@link closed} counts the events that a full
   * queue refused.
   *
   * With `reconnect`, an event also waits while there is no connection, or the server has not
   * acknowledged `maxPendingBytes` of those before. `maxQueuedEvents`, `maxQueuedBytes` and `overflow`
   * say how many may, and what happens to the next; the promise of one that waits for a connection
   * resolves at once.
   *
   * @throws {ConnectionClosedError} At the call, if the client has not been connected yet.
   * @throws {TypeError} At the call, if the event cannot be encoded.
   * @throws {RangeError} At the call, if its line would be longer than `maxLineBytes`, or than the
   * server takes; the message names both sizes.
   */
  sendEvent(event: SendableEvent<M>): Promise<void> {
    const { maxLineBytes, maxPendingBytes } = this.#settings.limits;
    const line = this.#encoder.encode(event.event, event.__dict__, maxLineBytes);
    const link = this.#used("send through");
    const length = line.length - 1;
    if (length > link.maxLineBytes) {
      const most = `the ${link.maxLineBytes} that the server takes`;
      throw new RangeError(`Cannot send ${event}: its ${length} bytes exceed ${most}`);
    }
    if (!link.open) {
      return refuse(new ConnectionClosedError(`Cannot send ${event}: the connection has ended`));
    }
    const { outbox, session } = link;
    if (outbox) {
      if (!outbox.offer(line)) {
        const { waitingLines, waitingBytes } = outbox;
        const why = "maxQueuedEvents and maxQueuedBytes allow no more";
        return refuse(
          queueFull(event, `${waitingLines} events of ${waitingBytes} bytes wait, and ${why}`),
        );
      }
      this.#encoder.keep(line);
      return outbox.room() ?? ROOM;
    }
    const { connection } = session!;
    const waiting = connection.pendingBytes;
    if (waiting > 0 && waiting + line.length > maxPendingBytes) {
      connection.countUnsent(line);
      const why = `its ${line.length} would exceed maxPendingBytes ${maxPendingBytes}`;
      return refuse(queueFull(event, `${waiting} bytes wait, and ${why}`));
    }
    this.#encoder.keep(line);
    connection.send(line);
    return connection.room() ?? ROOM;
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
    using _ = this.#inbox.claim("recvEvent()");
    return await this.#inbox.next(signal) ?? null;
  }

  /**
   * Everything that has arrived, and whether the client is still connected, or will be again by
   * itself. It does not wait for more, but takes in what the operating system holds already, so it is
   * right after a blocking call such as `prompt()`.
   *
   * @throws {TypeError} If `pump()`, `recvEvent()` or `for await` is reading already.
   * @throws {ConnectionClosedError} If the client has never been connected.
   */
  async pump(): Promise<[events: EventOf<M>[], connected: boolean]> {
    const link = this.#used("pump");
    const inbox = this.#inbox;
    using _ = inbox.claim("pump()");
    const received = () => link.session?.connection.bytesIn ?? 0;
    let seen = received();
    for (let turn = 0, quiet = 0; turn < MAX_TURNS && quiet < QUIET_TURNS && !inbox.full; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      quiet = received() === seen ? quiet + 1 : 0;
      seen = received();
    }
    return [inbox.takeAll(), link.open];
  }

  /** The events, in the order of arrival, until the connection has ended, with `reconnect` for good. */
  [Symbol.asyncIterator](): AsyncGenerator<EventOf<M>> {
    return new InboxIterator(this.#inbox, () => {
      this.#used("iterate over");
      return this.#inbox.claim("for await");
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
  status(): AsyncGenerator<ClientStatus<M>, void, void> {
    return this.#feed.read();
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
    const { outbox, session } = this.#used("flush");
    await (outbox ?? session!.connection).flush();
  }

  /**
   * Sends what is queued, then closes the connection; gives up one that is being made. Resolves when
   * it has ended; `unsentLines` of {@link closed} then says whether all has been sent. Has no effect
   * without a connection.
   *
   * A client that reconnects first waits for the server to say that it has taken what was sent; for
   * as long as that makes progress, and `drainTimeout` without any. It does not wait for a connection.
   */
  async close(): Promise<void> {
    this.#next?.giveUp(new Error("the client was closed"));
    await this.#link?.close();
  }

  /** Closes the connection at once, without sending what is queued, or one that is being made. */
  async abort(): Promise<void> {
    this.#next?.giveUp(new Error("the client was closed"));
    await this.#link?.abort();
  }

  /** Does what {@link close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #used(verb: string): Link<M> {
    if (this.#link) return this.#link;
    throw new ConnectionClosedError(
      `Cannot ${verb} a client that has never been connected; await connectTo() first`,
    );
  }
}

function queueFull(event: object, why: string): EbsocketError {
  return new EbsocketError("queue-full", `Cannot send ${event}: ${why}`);
}

/** A rejected promise that does not end a program which ignores it. */
function refuse(error: Error): Promise<never> {
  const refused = Promise.reject(error);
  refused.catch(() => {});
  return refused;
}
