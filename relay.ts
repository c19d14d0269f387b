/**
 * A relay: passes the events of each client of a server on to the others.
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

import { isLoopback } from "./protocol/address.ts";
import { inspect } from "./protocol/printable.ts";
import { Pipeline } from "./relay/pipeline.ts";
import type { RelayOptions } from "./relay/options.ts";
import type {
  ClusterStats,
  HistoryStats,
  LinkReport,
  RelayClient,
  RelayStats,
} from "./protocol/report.ts";
import { DEFAULT_MAX_TOTAL_PENDING_BYTES } from "./server/admission.ts";
import { EbsocketServer } from "./server.ts";
import type { Site } from "./web/site.ts";

export {
  ConnectionClosedError,
  EbsocketConnection,
  EbsocketError,
  EbsocketServer,
  FramingError,
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
  ProducerClaim,
  ServeOptions,
  ServerOptions,
  ServerSink,
  Socket,
  TlsServerOptions,
  Transport,
  WebOptions,
} from "./server.ts";
export type { CheckedAttributes, EventDefinitions } from "./schema/definitions.ts";
export type { OpenAttributes, OpenEvents } from "./protocol/event.ts";
export type { ClusterStats, HistoryStats, LinkReport, RelayClient, RelayOptions, RelayStats };
export type { Backplane, BackplaneSink } from "./cluster/backplane.ts";
export type { ClusterOptions } from "./cluster/options.ts";
export type { HistoryOptions } from "./history/options.ts";
export type {
  Expectation,
  StreamInfo,
  StreamMessage,
  StreamPort,
  StreamReader,
  StreamSettings,
} from "./history/stream_port.ts";
export type { RelayChange, RelayObserver, RelayWebOptions } from "./relay/options.ts";
export type { RateOptions } from "./server/rate_limiter.ts";

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
   * threw an error when a client joined, which closes the relay, or if the relay had to end because
   * it keeps events and has met another one with other terms in its cluster.
   */
  readonly closed: Promise<void>;
  readonly #pipeline: Pipeline;

  /**
   * Starts relaying between the clients of `server`, until the server closes.
   *
   * @param server A server that is not serving yet.
   * @throws {TypeError} If `server` is not an {@link EbsocketServer} or is already serving, if
   * `events` is not a set of definitions, or if `history` is invalid.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(server: EbsocketServer, options: RelayOptions = {}) {
    if (!(server instanceof EbsocketServer)) {
      throw new TypeError(`Invalid server: expected an EbsocketServer, got ${inspect(server)}`);
    }
    const pipeline = this.#pipeline = new Pipeline(
      server,
      options,
      () => this.#loadSite(options),
      () => void this.#end(),
    );
    this.server = server;
    this.closed = server.serve(pipeline, options).finally(() => pipeline.stop());
    pipeline.start();
    server.closed.then(() => pipeline.flush()); // before the clients receive `shutdown`
  }

  /** Loads the answers to HTTP requests, which many relays never get. */
  async #loadSite(options: RelayOptions): Promise<Site> {
    const { web, token, history, maxTotalPendingBytes } = options;
    const { Site } = await import("./web/site.ts");
    const pipeline = this.#pipeline;
    const subject = {
      stats: () => this.stats(),
      get position() {
        return pipeline.position;
      },
      keepsLast: (history?.keepLast ?? []).length > 0,
      isClosing: false,
      maxTotalPendingBytes: maxTotalPendingBytes ?? DEFAULT_MAX_TOTAL_PENDING_BYTES,
    };
    this.server.closed.then(() => subject.isClosing = true);
    const [hostname, port] = this.server.address;
    const isUnix = port === 0;
    return Site.of(subject, {
      isLocal: isUnix || isLoopback(hostname),
      hasToken: token !== undefined,
      isOpen: web?.metricsOpen ?? false,
    });
  }

  /**
   * Resolves when the relay lets clients in: at once, or with `cluster` when it has joined the other
   * relays, or with `history` when that has been opened. Rejects if that fails, as {@link closed} then does for a program that does not ask here.
   */
  get ready(): Promise<void> {
    const { ready } = this.#pipeline;
    ready.catch(() => this.closed.catch(() => {})); // One of the two is enough.
    return ready;
  }

  /** The connected clients, in the order of their arrival. */
  get clients(): RelayClient[] {
    return this.#pipeline.clients;
  }

  /** Returns the counters since the relay was created, and its current state. */
  stats(): RelayStats {
    return this.#pipeline.stats();
  }

  /**
   * Closes the server, sends all queued events and the `shutdown` reason to the clients, and closes
   * their connections.
   *
   * @returns A promise that resolves when the last connection has ended, at most about
   * `shutdownTimeout` later.
   */
  close(): Promise<void> {
    const retired = this.#pipeline.retire();
    return retired ? retired.then(() => this.#close()) : this.#close();
  }

  /** Ends the relay as {@link close} does, and leaves the error to {@link closed}. */
  async #end(): Promise<void> {
    await this.#pipeline.retire();
    this.#pipeline.flush();
    this.server.close();
  }

  #close(): Promise<void> {
    this.#pipeline.flush();
    this.server.close();
    return this.closed;
  }

  /** Calls {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
