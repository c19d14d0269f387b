/**
 * The way of lines through a relay, from each client that sends them to the router. It joins the
 * parts of a relay, and slows down or closes the clients that send too much.
 *
 * @module
 */

import { Backpressure, type BackpressureSink } from "./backpressure.ts";
import type { CloseInfo, CloseReason } from "../errors.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { ConnectionLimits } from "../net/connection_options.ts";
import { nextTurn, turnIsOver } from "../net/turn.ts";
import type { Address } from "../protocol/address.ts";
import type { Feature, Hello } from "../protocol/control.ts";
import type { HttpRequest } from "../protocol/http.ts";
import { LineBlock } from "../protocol/line_splitter.ts";
import { checkDuration, checkMaxBatchDelay, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import type { RelayStats } from "../protocol/report.ts";
import { LineValidator } from "../protocol/validator.ts";
import { DEFAULT_MAX_TOTAL_PENDING_BYTES } from "../server/admission.ts";
import type { AdmissionSink } from "../server/options.ts";
import type { WebAnswer } from "../web/answer.ts";
import type { Site } from "../web/site.ts";
import { Handshake } from "../server/handshake.ts";
import { RateLimiter, type Sent } from "../server/rate_limiter.ts";
import { ControlHandler } from "./control_handler.ts";
import { Departures } from "./departures.ts";
import { Ingress } from "./ingress.ts";
import { Inspector } from "./inspector.ts";
import type { RelayObserver, RelayOptions } from "./options.ts";
import { Router } from "./router.ts";
import { SchemaFilter } from "./schema_filter.ts";
import { StatsCollector } from "./stats.ts";
import type { Subscriber } from "./subscription_table.ts";

/** Features of every relay besides passing events on. */
const FEATURES: readonly Feature[] = ["subscribe", "ack", "sequence", "stats", "window"];

/** The clients of one relay, and the way of their lines. */
export class Pipeline implements AdmissionSink, BackpressureSink {
  readonly #server: { readonly pendingBytes: number };
  readonly #observer: RelayObserver;
  readonly #clients = new Set<LineConnection>();
  /** The subscriber of each client. A client that has left may still have a block to relay. */
  readonly #subscribers = new WeakMap<LineConnection, Subscriber<LineConnection>>();
  /** Clients with the rest of a block that waits until other clients have had their turn. */
  readonly #late = new Set<LineConnection>();
  readonly #stats = new StatsCollector();
  readonly #departures = new Departures();
  readonly #validator: LineValidator;
  readonly #filter: SchemaFilter;
  readonly #backpressure: Backpressure;
  readonly #rateLimiter: RateLimiter<LineConnection>;
  readonly #handshake: Handshake;
  readonly #router: Router<LineConnection>;
  readonly #inspector: Inspector<LineConnection>;
  readonly #controlHandler: ControlHandler;
  readonly #ingress: Ingress<LineConnection>;
  readonly #loadSite: () => Promise<Site>;
  #site: Promise<Site> | null = null;

  /**
   * Creates the parts of a relay, each after those that it uses.
   *
   * @param loadSite Loads the answers to HTTP requests, when the first one arrives.
   * @throws {TypeError} If `events` is not a set of definitions.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    server: { readonly pendingBytes: number },
    options: RelayOptions,
    loadSite: () => Promise<Site>,
  ) {
    const limits = new ConnectionLimits(options);
    const subscribeFirst = options.subscribeFirst ?? false;
    this.#server = server;
    this.#loadSite = loadSite;
    this.#observer = options.observer ?? {};
    this.#validator = new LineValidator(options.maxDepth);
    this.#filter = new SchemaFilter(options.events);
    this.#backpressure = new Backpressure(this, {
      maxHold: checkDuration("maxHold", options.maxHold ?? 250, 0, MAX_TIMER_MS),
      maxParkedBytes: (options.maxTotalPendingBytes ?? DEFAULT_MAX_TOTAL_PENDING_BYTES) / 8,
    });
    this.#rateLimiter = new RateLimiter(options, (client) => this.onRelease(client));
    this.#handshake = new Handshake(
      limits,
      this.#validator,
      this.#rateLimiter,
      subscribeFirst ? [...FEATURES, "subscribe-first"] : FEATURES,
    );
    this.#router = new Router({
      echo: options.echo ?? true,
      subscribeFirst,
      maxBatchDelay: checkMaxBatchDelay(options.maxBatchDelay),
      maxPendingBytes: limits.maxPendingBytes,
      onQueued: (client) => this.#backpressure.observe(client),
    });
    this.#inspector = new Inspector({
      stats: () => this.stats(),
      subscribers: () => this.clients.map((client) => this.#subscriberOf(client)),
      largestQueues: (max) => this.#router.largestQueues(max),
      routes: this.#router.routes,
      departures: this.#departures,
    });
    this.#controlHandler = new ControlHandler(
      this.#handshake,
      this.#router,
      options.inspect ?? true ? this.#inspector : null,
      options,
    );
    this.#ingress = new Ingress(
      this.#validator,
      this.#router,
      this.#filter,
      (client, control, line) => {
        const { hasEscapedKey } = this.#validator;
        const cost = this.#controlHandler.onControl(client, control, line, hasEscapedKey);
        this.#charge(client.recipient, { control: cost });
      },
    );
  }

  /** Starts to watch the rates of clients. */
  start(): void {
    this.#rateLimiter.start();
  }

  /** Passes on everything that waits, after the last client has left. */
  async stop(): Promise<void> {
    const waits = this.#late.size > 0 || this.#backpressure.isReleasing;
    this.#late.clear();
    if (waits) await nextTurn(); // for which they wait
    this.#router.flush();
    this.#stats.stop();
    this.#rateLimiter.stop();
    this.#inspector.stop();
  }

  /** Queues all gathered events for their recipients. */
  flush(): void {
    this.#router.flush();
  }

  /** The connected clients, in the order of their arrival. */
  get clients(): LineConnection[] {
    return [...this.#clients];
  }

  /** Returns the counters since the relay was created, and its current state. */
  stats(): RelayStats {
    const { eventsUnheard } = this.#router;
    const { refused } = this.#filter;
    return this.#stats.read(this.#clients, this.#server.pendingBytes, eventsUnheard, refused);
  }

  async onRequest(request: HttpRequest, isAuthorized: boolean): Promise<WebAnswer | null> {
    this.#site ??= this.#openSite();
    return (await this.#site).answer(request, isAuthorized);
  }

  /** Loads the answers to requests. If that fails, the next request tries again. */
  #openSite(): Promise<Site> {
    const site = this.#loadSite();
    site.catch(() => this.#site = null);
    return site;
  }

  onConnect(connection: LineConnection): void {
    this.#subscribers.set(connection, this.#router.open(connection));
  }

  onWithdraw(connection: LineConnection): void {
    this.#router.close(this.#subscriberOf(connection));
  }

  onOpen(connection: LineConnection): void {
    this.#clients.add(connection);
    this.#stats.joined();
    this.#observer.onJoin?.(connection);
  }

  onHello(connection: LineConnection, hello: Hello): void {
    if (!this.#handshake.onHello(connection, hello)) return;
    this.#controlHandler.onHello(this.#subscriberOf(connection), hello);
  }

  onLines(connection: LineConnection, lines: LineBlock): void {
    this.#backpressure.deliver(connection, lines);
  }

  onEnd(connection: LineConnection): void {
    this.#router.close(this.#subscriberOf(connection));
  }

  onClose(connection: LineConnection, info: CloseInfo): void {
    this.#clients.delete(connection);
    this.#router.close(this.#subscriberOf(connection));
    this.#rateLimiter.forget(connection);
    this.#backpressure.forget(connection);
    this.#stats.left(connection, info.reason);
    this.#departures.add(connection, info, this.#stats.uptimeMs);
    this.#observer.onLeave?.(connection, info);
  }

  onRefuse(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void {
    this.#stats.refused(reason, isSilent);
    this.#observer.onRefuse?.(address, reason, detail, isSilent);
  }

  #subscriberOf(connection: LineConnection): Subscriber<LineConnection> {
    return this.#subscribers.get(connection)!;
  }

  recipientsAmong(
    readers: readonly LineConnection[],
    source: LineConnection,
    { bytes }: LineBlock,
  ): readonly LineConnection[] {
    const clients = readers.map((reader) => this.#subscriberOf(reader));
    const subscriber = this.#subscriberOf(source);
    const found = this.#ingress.recipientsAmong(clients, subscriber, bytes, turnIsOver);
    return Array.from(found, ({ recipient }) => recipient);
  }

  /** Relays the events among the lines, and answers the control lines. */
  pass(source: LineConnection, { bytes }: LineBlock, parkedMs: number): void {
    if (parkedMs > 0 && this.#clients.has(source)) this.#rateLimiter.excuse(parkedMs, source);
    const subscriber = this.#subscriberOf(source);
    const isFirst = source.isStart(bytes);
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
  #charge(source: LineConnection, sent: Sent): void {
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
  async #putOff(source: LineConnection, rest: LineBlock): Promise<void> {
    source.pause();
    this.#late.add(source);
    await nextTurn();
    if (!this.#late.delete(source)) return; // The relay has ended.
    this.#backpressure.deliver(source, rest);
    this.onRelease(source);
  }

  /** Resumes reading from a client, unless it still has to wait for something. */
  onRelease(source: LineConnection): void {
    if (this.#late.has(source) || this.#rateLimiter.isPaused(source)) return;
    if (!this.#backpressure.isParked(source)) source.resume();
  }
}
