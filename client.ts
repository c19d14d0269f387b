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

import { type Address, checkAddress, formatAddress } from "./address.ts";
import { LineEncoder } from "./codec.ts";
import {
  ConnectionLimits,
  type ConnectionOptions,
  type EbsocketConnection,
  openConnection,
} from "./connection.ts";
import { decodeClose } from "./control.ts";
import { BlockDecoder } from "./decoder.ts";
import { type CloseInfo, ConnectError, ConnectionClosedError, EbsocketError } from "./errors.ts";
import { EbsocketEvent, type EventOf, type OpenEvents, type SendableEvent } from "./event.ts";
import type { LineBlock } from "./splitter.ts";
import { Inbox, type InboxOptions } from "./inbox.ts";
import { InboxIterator } from "./inbox_iterator.ts";
import { after, checkLimit } from "./limits.ts";

export { ConnectError, ConnectionClosedError, EbsocketError, EbsocketEvent };
export type { Address, ConnectionOptions, InboxOptions };
export type { CloseInfo, CloseReason } from "./errors.ts";
export type { EventOf, OpenAttributes, OpenEvents, SendableEvent } from "./event.ts";
export type { LineSplitterOptions } from "./splitter.ts";

/** Options of {@link EbsocketClient}. */
export interface ClientOptions extends ConnectionOptions, InboxOptions {
  /**
   * How deep a line may nest, the outermost object included, from 2 to 1,000.
   *
   * @default {64}
   */
  readonly maxDepth?: number;
}

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
  readonly #limits: ConnectionLimits;
  readonly #decoder: BlockDecoder;
  readonly #encoder = new LineEncoder();
  readonly #inbox: Inbox<EventOf<M>>;
  #connection: EbsocketConnection | null = null;
  /** What gives up the `connectTo()` under way. */
  #attempt: AbortController | null = null;

  /**
   * Makes a client that is not connected.
   *
   * @throws {RangeError} If an option is out of its range.
   */
  constructor(options: ClientOptions = {}) {
    this.#limits = new ConnectionLimits(options);
    this.#decoder = new BlockDecoder(options.maxDepth);
    this.#inbox = new Inbox(options, () => this.#connection?.resume());
  }

  /** Whether events can be sent. What has arrived before the end can still be read afterwards. */
  get connected(): boolean {
    return this.#connection?.open ?? false;
  }

  /** Where the client is, or was last, connected to; `null` before its first connection. */
  get address(): Address | null {
    return this.#connection?.address ?? null;
  }

  /**
   * How the connection of the last `connectTo()` ended, once it has. Never rejects.
   *
   * @throws {ConnectionClosedError} At the call, if the client has never been connected.
   */
  get closed(): Promise<CloseInfo> {
    return this.#used("wait for the end of").closed;
  }

  /** How many bytes wait to be handed to the operating system. */
  get pendingBytes(): number {
    return this.#connection?.pendingBytes ?? 0;
  }

  /**
   * Connects to a server.
   *
   * @throws {TypeError} If the client is connected or connecting already, or the address is wrong.
   * @throws {RangeError} If the port or the timeout is out of its range.
   * @throws {ConnectError} If it cannot connect; the message names the address and the cause.
   * @throws {Deno.errors.NotCapable} Without `--allow-net` for the address.
   */
  async connectTo(
    address: Address,
    { timeout = 10_000, signal }: ConnectToOptions = {},
  ): Promise<void> {
    const [hostname, port] = checkAddress(address, 1);
    checkLimit("timeout", timeout, 1);
    const where = formatAddress(address);
    if (this.connected || this.#attempt) {
      throw new TypeError(`Cannot connect to ${where}: the client is connected or connecting`);
    }
    const attempt = this.#attempt = new AbortController();
    const giveUp = (reason: string) => attempt.abort(new Error(reason));
    const timer = after(timeout, () => giveUp(`no answer within ${timeout} ms`));
    const onAbort = () => giveUp("it was aborted");
    signal?.addEventListener("abort", onAbort);
    try {
      signal?.throwIfAborted();
      await this.#ended(attempt.signal);
      const conn = await Deno.connect({ hostname, port, signal: attempt.signal });
      this.#begin(openConnection(conn));
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      signal?.throwIfAborted();
      const cause = attempt.signal.aborted ? attempt.signal.reason : error;
      throw new ConnectError(`Cannot connect to ${where}: ${describe(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#attempt = null;
    }
  }

  /** Waits for the end of the connection before, unless the attempt is given up. */
  async #ended(attempt: AbortSignal): Promise<void> {
    if (!this.#connection) return;
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = () => reject(attempt.reason);
    attempt.addEventListener("abort", onAbort);
    try {
      await Promise.race([this.#connection.close(), aborted]);
    } finally {
      attempt.removeEventListener("abort", onAbort);
    }
  }

  #begin(connection: EbsocketConnection): void {
    this.#connection = connection;
    this.#inbox.reopen();
    connection.start({
      onLines: (_, lines) => this.#onLines(connection, lines),
      onClose: () => this.#inbox.end(),
    }, this.#limits);
  }

  #onLines(connection: EbsocketConnection, lines: LineBlock): void {
    const events: EventOf<M>[] = [];
    for (const line of this.#decoder.decode(lines.bytes)) {
      if (line instanceof EbsocketEvent) {
        events.push(line as unknown as EventOf<M>);
      } else {
        const close = decodeClose(line);
        if (close) connection.announce(close);
      }
    }
    this.#inbox.push(events, lines.bytes.length);
    const { fault } = this.#decoder;
    if (fault) connection.close(fault.code, fault.message);
    else if (this.#inbox.full) connection.pause();
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
   * @throws {ConnectionClosedError} At the call, if the client has not been connected yet.
   * @throws {TypeError} At the call, if the event cannot be encoded.
   * @throws {RangeError} At the call, if its line would be longer than `maxLineBytes`.
   */
  sendEvent(event: SendableEvent<M>): Promise<void> {
    const line = this.#encoder.encode(event.event, event.__dict__, this.#limits.maxLineBytes);
    const connection = this.#used("send through");
    if (!connection.open) {
      return refuse(new ConnectionClosedError(`Cannot send ${event}: the connection has ended`));
    }
    const waiting = connection.pendingBytes;
    const { maxPendingBytes } = this.#limits;
    if (waiting > 0 && waiting + line.length > maxPendingBytes) {
      connection.countUnsent(line);
      return refuse(
        new EbsocketError(
          "queue-full",
          `Cannot send ${event}: ${waiting} bytes wait, and its ${line.length} would exceed maxPendingBytes ${maxPendingBytes}`,
        ),
      );
    }
    this.#encoder.keep(line);
    connection.send(line);
    return connection.room() ?? ROOM;
  }

  /**
   * The next event, in the order of arrival; `null` once the connection has ended and all that came
   * before has been read. Why it ended is in {@link closed}.
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
   * Everything that has arrived, and whether the client is still connected. It does not wait for
   * more, but takes in what the operating system holds already, so it is right after a blocking
   * call such as `prompt()`.
   *
   * @throws {TypeError} If `pump()`, `recvEvent()` or `for await` is reading already.
   * @throws {ConnectionClosedError} If the client has never been connected.
   */
  async pump(): Promise<[events: EventOf<M>[], connected: boolean]> {
    const connection = this.#used("pump");
    const inbox = this.#inbox;
    using _ = inbox.claim("pump()");
    let seen = connection.bytesIn;
    for (let turn = 0, quiet = 0; turn < MAX_TURNS && quiet < QUIET_TURNS && !inbox.full; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      quiet = connection.bytesIn > seen ? 0 : quiet + 1;
      seen = connection.bytesIn;
    }
    return [inbox.takeAll(), this.connected];
  }

  /** The events, in the order of arrival, until the connection has ended. */
  [Symbol.asyncIterator](): AsyncGenerator<EventOf<M>> {
    return new InboxIterator(this.#inbox, () => {
      this.#used("iterate over");
      return this.#inbox.claim("for await");
    });
  }

  /**
   * Waits until the operating system has taken all that was sent before.
   *
   * @throws {ConnectionClosedError} If the connection ends before, or there never was one.
   */
  async flush(): Promise<void> {
    await this.#used("flush").flush();
  }

  /**
   * Sends what is queued, then closes the connection; gives up one that is being made. Resolves when
   * it has ended; `unsentLines` of {@link closed} then says whether all has been sent. Has no effect
   * without a connection.
   */
  async close(): Promise<void> {
    this.#attempt?.abort(new Error("the client was closed"));
    await this.#connection?.close();
  }

  /** Closes the connection at once, without sending what is queued, or one that is being made. */
  async abort(): Promise<void> {
    this.#attempt?.abort(new Error("the client was closed"));
    await this.#connection?.abort();
  }

  /** Does what {@link close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #used(verb: string): EbsocketConnection {
    if (this.#connection) return this.#connection;
    throw new ConnectionClosedError(
      `Cannot ${verb} a client that has never been connected; await connectTo() first`,
    );
  }
}

/** A rejected promise that does not end a program which ignores it. */
function refuse(error: Error): Promise<never> {
  const refused = Promise.reject(error);
  refused.catch(() => {});
  return refused;
}

/** What the operating system said, with advice where there is some. */
function describe(error: unknown): string {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "connection refused; is a server running there?";
  }
  return error instanceof Error ? error.message : String(error);
}
