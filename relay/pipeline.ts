/**
 * The way of lines through a relay, from each client that sends them to the router. It joins the
 * parts of a relay, and slows down or closes the clients that send too much.
 *
 * @module
 */

import { Backpressure, type BackpressureSink } from "./backpressure.ts";
import type { Backplane } from "../cluster/backplane.ts";
import { checkClusterOptions } from "../cluster/nats_options.ts";
import type { ClusterOptions } from "../cluster/options.ts";
import type { CloseInfo, CloseReason, EbsocketError, EventFormatError } from "../errors.ts";
import { checkHistoryOptions } from "../history/options.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { ConnectionLimits } from "../net/connection_options.ts";
import { nextTurn, turnIsOver } from "../net/turn.ts";
import type { Address } from "../protocol/address.ts";
import {
  type ClusterNews,
  encodeClusterNews,
  type Feature,
  type Hello,
} from "../protocol/control.ts";
import type { HistoryPosition } from "../protocol/history.ts";
import { randomId } from "../protocol/random_id.ts";
import type { HttpRequest } from "../protocol/http.ts";
import { LineBlock } from "../protocol/line_splitter.ts";
import { checkDuration, checkMaxBatchDelay, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import type { ClientReport, RelayStats } from "../protocol/report.ts";
import { NOTHING } from "../protocol/utf8.ts";
import { LineValidator } from "../protocol/validator.ts";
import { DEFAULT_MAX_TOTAL_PENDING_BYTES } from "../server/admission.ts";
import type { AdmissionSink } from "../server/options.ts";
import type { WebAnswer } from "../web/answer.ts";
import type { Site } from "../web/site.ts";
import { Handshake } from "../server/handshake.ts";
import { RateLimiter, type Sent } from "../server/rate_limiter.ts";
import type { ClusterGateway, GatewaySink } from "./cluster_gateway.ts";
import { ControlHandler } from "./control_handler.ts";
import { Departures } from "./departures.ts";
import type { HistoryGateway } from "./history_gateway.ts";
import { Ingress } from "./ingress.ts";
import { Inspector } from "./inspector.ts";
import type { RelayChange, RelayObserver, RelayOptions } from "./options.ts";
import { Router, type Routing } from "./router.ts";
import { SchemaFilter } from "./schema_filter.ts";
import { StatsCollector } from "./stats.ts";
import type { StreamHistory, StreamHistorySink } from "./stream_history.ts";
import type { Subscriber } from "./subscription_table.ts";

/** The rest of a block that has none. */
const NO_LINES = new LineBlock(NOTHING);

/** Features of every relay besides passing events on. */
const FEATURES: readonly Feature[] = ["subscribe", "ack", "sequence", "stats", "window"];

/** Returns what a relay can do for its clients. */
function featuresOf({ subscribeFirst, cluster, history }: RelayOptions): Feature[] {
  return [
    ...FEATURES,
    ...(subscribeFirst ? ["subscribe-first"] as const : []),
    ...(cluster ? ["cluster"] as const : []),
    ...(history ? ["history"] as const : []),
  ];
}

/**
 * Longest line by default at a relay of a cluster with a history, in bytes. NATS takes messages of 1
 * MiB by default, and one contains a little more than the line.
 */
const MAX_STREAM_LINE_BYTES = 1_040_000;

/** Returns the limits of the connections of a relay. */
function withStreamLimits(options: RelayOptions): RelayOptions {
  const { cluster, history, maxLineBytes = MAX_STREAM_LINE_BYTES } = options;
  return cluster && history ? { ...options, maxLineBytes } : options;
}

function isBackplane(cluster: ClusterOptions | Backplane): cluster is Backplane {
  return typeof cluster === "object" && cluster !== null && "join" in cluster;
}

/** Returns the way to other relays. Loads what it needs, which most relays do not. */
async function toBackplane(cluster: ClusterOptions | Backplane): Promise<Backplane> {
  if (isBackplane(cluster)) return cluster;
  const { NatsBackplane } = await import("../cluster/nats_backplane.ts");
  return new NatsBackplane(cluster);
}

/** The clients of one relay, and the way of their lines. */
export class Pipeline implements AdmissionSink, BackpressureSink, GatewaySink, StreamHistorySink {
  readonly #server: { readonly pendingBytes: number };
  readonly #observer: RelayObserver;
  readonly #clients = new Set<LineConnection>();
  /** The subscriber of each client. A client that has left may still have a block to relay. */
  readonly #subscribers = new WeakMap<LineConnection, Subscriber<LineConnection>>();
  /** The clients of which nothing more is taken, because their events would not be counted. */
  readonly #ended = new WeakSet<LineConnection>();
  /** Clients with the rest of a block that waits until other clients have had their turn. */
  readonly #late = new Map<LineConnection, LineBlock>();
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
  /** Takes what clients send. Replaced while there are none, with a cluster or a history. */
  #ingress: Ingress<LineConnection>;
  #gateway: ClusterGateway | null = null;
  readonly #joinCluster: (() => Promise<ClusterGateway>) | null;
  #history: HistoryGateway | null = null;
  readonly #openHistory: (() => Promise<HistoryGateway>) | null;
  readonly #prepareStream:
    | ((gateway: ClusterGateway, backplane: Backplane) => Promise<StreamHistory>)
    | null;
  /** The history of the cluster, if it has one. */
  #stream: StreamHistory | null = null;
  #backplane: Backplane | null = null;
  #joined: Promise<void> | null = null;
  #isStopped = false;
  /** Whether clients may ask for the state of the relay. */
  readonly #inspectsClients: boolean;
  /** Whether nothing is acknowledged while the relay is alone. */
  readonly #stopsAcks: boolean;
  /** The clients that want to know what becomes of the cluster. */
  readonly #wantsNews = new Set<LineConnection>();
  readonly #loadSite: () => Promise<Site>;
  #site: Promise<Site> | null = null;
  readonly #end: () => void;
  /** Why the relay had to end, or `null`. */
  #misfit: EbsocketError | null = null;

  /**
   * Creates the parts of a relay, each after those that it uses.
   *
   * @param loadSite Loads the answers to HTTP requests, when the first one arrives.
   * @param end Ends the relay. {@link stop} then rejects.
   * @throws {TypeError} If `events` is not a set of definitions, or if `history` is invalid.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    server: { readonly pendingBytes: number },
    options: RelayOptions,
    loadSite: () => Promise<Site>,
    end: () => void,
  ) {
    const limits = new ConnectionLimits(withStreamLimits(options));
    const { cluster, echo = true, subscribeFirst = false } = options;
    if (cluster !== undefined && !isBackplane(cluster)) checkClusterOptions(cluster);
    const rules = options.history === undefined
      ? null
      : checkHistoryOptions(options.history, cluster !== undefined);
    const maxBatchDelay = checkMaxBatchDelay(options.maxBatchDelay);
    const id = cluster ? `r${randomId(4)}` : "";
    const prefix = cluster ? `${id}.` : "";
    this.#server = server;
    this.#inspectsClients = options.inspect ?? true;
    this.#stopsAcks = options.clusterLoss === "stop";
    this.#loadSite = loadSite;
    this.#end = end;
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
      featuresOf(options),
      prefix,
      (client, hello) => this.#history?.greet(this.#subscriberOf(client), hello),
    );
    this.#router = new Router({
      echo,
      subscribeFirst,
      maxBatchDelay,
      prefix,
      interestListener: cluster
        ? {
          noteNewcomer: () => this.#gateway!.noteNewcomer(),
          noteInterest: (...change) => this.#gateway!.noteInterest(...change),
        }
        : null,
      onAnswer: cluster ? () => this.#gateway?.answer() : undefined,
      maxPendingBytes: limits.maxPendingBytes,
      onQueued: (client) => this.#backpressure.observe(client),
      hasHistory: rules !== null,
    });
    this.#inspector = new Inspector({
      stats: () => this.stats(),
      subscribers: () => this.clients.map((client) => this.#subscriberOf(client)),
      largestQueues: (max) => this.#router.largestQueues(max),
      routes: this.#router.routes,
      departures: this.#departures,
      elsewhere: () => this.#gateway?.clients() ?? [],
      isHeardElsewhere: (name) => this.#gateway?.isHeardElsewhere(name) ?? false,
    });
    this.#controlHandler = new ControlHandler(
      this.#handshake,
      this.#router,
      this.#inspectsClients ? this.#inspector : null,
      options,
      {
        whenKnown: (isForAll) => this.#gateway?.whenKnown(isForAll) ?? null,
        keepInformed: (client) => this.#keepInformed(client),
      },
      () => this.#history,
    );
    this.#ingress = this.#newIngress(this.#router);
    this.#prepareStream = rules && cluster
      ? async (gateway, backplane) => {
        const { prepareStreamHistory } = await import("./stream_history.ts");
        const { maxPendingBytes, maxLineBytes } = limits;
        const parts = { id, gateway, backplane, router: this.#router, rules, echo };
        return await prepareStreamHistory({ ...parts, maxPendingBytes, maxLineBytes }, this);
      }
      : null;
    this.#openHistory = rules && !cluster
      ? (async () => {
        const { HistoryGateway } = await import("./history_gateway.ts");
        const { openHistory } = await import("../history/open_history.ts");
        const { HistoryRouter } = await import("./history_router.ts");
        const { LogProducers } = await import("./log_producers.ts");
        const opened = await openHistory(rules);
        for (const fault of opened.faults) this.onHistoryFault(fault);
        const { maxPendingBytes } = limits;
        const router = this.#router;
        const keeper = { ...opened, rules, keepsSenders: !echo };
        const routing = new HistoryRouter(router, keeper);
        const producers = new LogProducers({ ...opened, routing }, this);
        return new HistoryGateway(
          { ...opened, router, routing, rules, echo, maxPendingBytes, producers },
          this,
        );
      })
      : null;
    this.#joinCluster = cluster
      ? async () => {
        const { ClusterGateway } = await import("./cluster_gateway.ts");
        const terms = {
          maxLineBytes: limits.maxLineBytes,
          maxDepth: this.#validator.maxDepth,
          echo,
          subscribeFirst,
          events: this.#filter.names?.toSorted() ?? null,
          keepLast: rules?.keepLast.toSorted() ?? [],
          keep: rules && rules.keep.toSorted(),
        };
        const router = this.#router;
        const backplane = this.#backplane = await toBackplane(cluster);
        const { maxPendingBytes } = limits;
        const parts = { id, backplane, terms, maxBatchDelay, maxPendingBytes, router };
        return new ClusterGateway(parts, this);
      }
      : null;
  }

  #newIngress(routing: Routing<LineConnection>): Ingress<LineConnection> {
    return new Ingress(this.#validator, routing, this.#filter, (client, control, line) => {
      const { hasEscapedKey } = this.#validator;
      const cost = this.#controlHandler.onControl(client, control, line, hasEscapedKey);
      this.#charge(client.recipient, { control: cost });
    });
  }

  /**
   * Resolves once the first client may come: at once, or when the cluster has been joined or the
   * history has been opened.
   */
  get ready(): Promise<void> {
    return this.#joined ??= this.#join();
  }

  /** Joins the cluster or opens the history, if there is one, before the first client comes. */
  prepare(): Promise<void> {
    return this.ready;
  }

  async #join(): Promise<void> {
    if (this.#openHistory) {
      this.#history = await this.#openHistory();
      this.#ingress = this.#newIngress(this.#history.routing);
    }
    if (!this.#joinCluster) return;
    this.#gateway = await this.#joinCluster();
    if (this.#isStopped) return;
    this.#ingress = this.#newIngress(this.#gateway.routing);
    await this.#gateway.join();
    if (!this.#prepareStream || this.#isStopped) return;
    this.#stream = await this.#prepareStream(this.#gateway, this.#backplane!);
    if (this.#isStopped) return;
    await this.#stream.open();
    this.#history = this.#stream.gateway;
    this.#ingress = this.#newIngress(this.#stream.routing);
  }

  /** Starts to watch the rates of clients. */
  start(): void {
    this.#rateLimiter.start();
  }

  /**
   * Passes on everything that waits, after the last client has left.
   *
   * @throws {EbsocketError} If the relay had to end.
   */
  async stop(): Promise<void> {
    const waits = this.#late.size > 0 || this.#backpressure.isReleasing;
    this.#late.clear();
    if (waits) await nextTurn(); // for which they wait
    this.flush();
    this.#isStopped = true;
    this.#stream?.waitNoLonger();
    // They may be on their way.
    if (!this.#gateway || this.#prepareStream) await this.#joined?.catch(() => {});
    await this.#stream?.stop();
    await this.#gateway?.leave();
    await this.#history?.stop();
    this.#stats.stop();
    this.#rateLimiter.stop();
    this.#inspector.stop();
    if (this.#misfit) throw this.#misfit;
  }

  /**
   * Prepares the end, before clients are closed: lets other relays choose clients of this one no
   * longer, or waits for events that are to be passed on. Returns `null` if there is nothing to do.
   */
  retire(): Promise<void> | null {
    if (this.#stream) return this.#stream.whenPassed().then(() => this.#gateway!.retire());
    return this.#gateway?.retire() ?? this.#history?.whenPassed() ?? null;
  }

  /** Queues all gathered events for their recipients. */
  flush(): void {
    this.#router.flush();
    this.#gateway?.flush();
  }

  /** The connected clients, in the order of their arrival. */
  get clients(): LineConnection[] {
    return [...this.#clients];
  }

  /** Returns the counters since the relay was created, and its current state. */
  stats(): RelayStats {
    const { eventsUnheard } = this.#router;
    const { refused } = this.#filter;
    const { pendingBytes } = this.#server;
    return {
      ...this.#stats.read(this.#clients, pendingBytes, eventsUnheard, refused),
      ...(this.#gateway && { cluster: this.#gateway.stats() }),
      ...(this.#history && { history: this.#history.stats() }),
    };
  }

  /** The position of the last event of the history, or `null` if the relay keeps no events. */
  get position(): HistoryPosition | null {
    return this.#history?.position ?? null;
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
    this.#wantsNews.delete(connection);
    this.#handshake.forget(connection);
    this.#router.close(this.#subscriberOf(connection));
    this.#history?.forget(this.#subscriberOf(connection));
    this.#rateLimiter.forget(connection);
    this.#backpressure.forget(connection);
    this.#stats.left(connection, info.reason);
    this.#departures.add(connection, info, this.#stats.uptimeMs);
    this.#forgetProducer(connection);
    this.#observer.onLeave?.(connection, info);
  }

  /** Forgets the producer of a client that has left, if everything that it has sent has been taken. */
  #forgetProducer(connection: LineConnection): void {
    const waits = this.#late.has(connection) || this.#backpressure.isParked(connection);
    if (!waits) this.#history?.forgetProducer(this.#subscriberOf(connection));
  }

  onRefuse(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void {
    this.#stats.refused(reason, isSilent);
    this.#observer.onRefuse?.(address, reason, detail, isSilent);
  }

  #subscriberOf(connection: LineConnection): Subscriber<LineConnection> {
    return this.#subscribers.get(connection) ?? this.#stream?.feed.peerOf(connection) ??
      this.#gateway!.peerOf(connection)!;
  }

  recipientsAmong(
    readers: readonly LineConnection[],
    source: LineConnection,
    { bytes }: LineBlock,
  ): readonly LineConnection[] {
    const clients = readers.map((reader) => this.#subscriberOf(reader));
    const subscriber = this.#subscriberOf(source);
    if (this.#stream?.feed.peerOf(source)) {
      const heard = this.#stream.feed.recipientsAmong(clients, bytes, turnIsOver);
      return Array.from(heard, ({ recipient }) => recipient);
    }
    const ingress = this.#gateway?.peerOf(source) ? this.#gateway : this.#ingress;
    const found = ingress.recipientsAmong(clients, subscriber, bytes, turnIsOver);
    return Array.from(found, ({ recipient }) => recipient);
  }

  isRelayAtWork(reader: LineConnection): boolean {
    return this.#gateway?.isRelayAtWork(reader) ?? false;
  }

  /** Relays the events among the lines, and answers the control lines. */
  pass(source: LineConnection, block: LineBlock, parkedMs: number): void {
    const { bytes } = block;
    if (this.#ended.has(source)) return;
    if (this.#gateway?.peerOf(source)) return this.#passFromLink(this.#gateway, source, bytes);
    if (this.#stream?.feed.peerOf(source)) return this.#passFromStream(this.#stream, source, bytes);
    const welcomed = this.#handshake.whenWelcomed(source);
    if (welcomed) return void this.#putOff(source, block, welcomed);
    const room = this.#history?.whenRoom();
    const ready = room ? this.#beforeEvents(bytes) : bytes;
    if (room && ready.length === 0) return void this.#putOff(source, block, room);
    if (parkedMs > 0 && this.#clients.has(source)) this.#rateLimiter.excuse(parkedMs, source);
    const subscriber = this.#subscriberOf(source);
    const isFirst = source.isStart(bytes);
    if (isFirst) this.#observer.onFirstLine?.(source);
    // A timer needs an open peer, which clears it on closing.
    const isLate = () =>
      turnIsOver(source.open ? source : null) || this.#handshake.whenWelcomed(source) !== null ||
      this.#ended.has(source);
    const taken = this.#ingress.take(subscriber, ready, source.hasMore, isLate);
    const { events, empty, end, isBad } = taken;
    const isStopped = !isBad && end < bytes.length;
    if (this.#clients.has(source)) {
      this.#handshake.taken(source, events, this.#history?.unkeptOf(subscriber));
    }
    this.#charge(source, { events, empty, bytes: isStopped ? end : bytes.length });
    const passed = this.#handshake.whenWelcomed(source) ?? this.#history?.whenPassed(subscriber);
    if (isStopped || passed && !isBad) {
      this.#putOff(source, new LineBlock(bytes.subarray(end)), passed ?? nextTurn());
    }
    if (!isBad) return;
    const { fault } = this.#validator;
    this.#onBadLine(source, fault, isFirst && end === 0 ? bytes : null, passed);
  }

  /**
   * Returns the lines before the first event. They need no room in the history, so a client that only reads
   * may come, ask for events, and report what it has read.
   */
  #beforeEvents(bytes: Uint8Array): Uint8Array {
    const validator = this.#validator.open(bytes);
    for (let at = 0; at < bytes.length; at = validator.end + 1) {
      const kind = validator.validate(at);
      if (kind === "event") return bytes.subarray(0, at);
      if (kind === "invalid") break;
    }
    return bytes;
  }

  /** Closes the connection of a client that has sent an invalid line, once the lines before it count. */
  async #onBadLine(
    source: LineConnection,
    fault: EventFormatError,
    first: Uint8Array | null,
    passed: Promise<void> | null | undefined,
  ): Promise<void> {
    if (passed) {
      source.pause();
      this.#late.set(source, NO_LINES);
      await passed;
      this.#late.delete(source);
      if (!this.#clients.has(source)) return this.#forgetProducer(source);
    }
    this.#router.close(this.#subscriberOf(source));
    this.#handshake.onBadLine(source, fault, first);
  }

  /** Relays the events of another relay. */
  #passFromLink(gateway: ClusterGateway, source: LineConnection, bytes: Uint8Array): void {
    const isLate = () => turnIsOver(source) || this.#stream?.mustWait(source) === true;
    const { end, isBad } = gateway.take(source, bytes, isLate);
    if (isBad) {
      const { code, message } = gateway.fault;
      source.close(code, message);
      return;
    }
    const wait = this.#stream?.whenThere(source);
    if (wait || end < bytes.length) {
      this.#putOff(source, new LineBlock(bytes.subarray(end)), wait ?? nextTurn());
    }
  }

  /** Relays the events of the history that come from the stream of the cluster. */
  #passFromStream({ feed }: StreamHistory, source: LineConnection, bytes: Uint8Array): void {
    const { end } = feed.take(source, bytes, () => turnIsOver(source));
    if (end < bytes.length) this.#putOff(source, new LineBlock(bytes.subarray(end)));
  }

  onFeedLines(connection: LineConnection, lines: LineBlock): void {
    this.#backpressure.deliver(connection, lines);
  }

  onFeedEnd(connection: LineConnection): void {
    this.#backpressure.unpark(connection);
    this.#late.delete(connection);
  }

  reportClients(): readonly ClientReport[] {
    return this.#inspectsClients ? this.#inspector.clients() : [];
  }

  onLinkLines(connection: LineConnection, lines: LineBlock): void {
    this.#backpressure.deliver(connection, lines);
  }

  onQueued(connection: LineConnection): void {
    this.#backpressure.observe(connection);
  }

  onLinkEnd(connection: LineConnection): void {
    const rest = this.#backpressure.unpark(connection) ?? this.#late.get(connection);
    this.#late.delete(connection);
    if (rest) this.#gateway!.take(connection, rest.bytes, () => false);
    this.#backpressure.forget(connection);
  }

  onRelay(relay: string, change: RelayChange): void {
    this.#observer.onRelay?.(relay, change);
  }

  onGap(relay: string, events: number | undefined): void {
    this.#router.flush(); // The events before it come first.
    this.#tell({ control: "gap", relay, events });
    this.#observer.onGap?.(relay, events);
  }

  onState(isAlone: boolean): void {
    const state = isAlone ? "alone" : "together";
    if (this.#stopsAcks && isAlone) this.#handshake.holdAcks();
    else if (this.#stopsAcks) this.#releaseAcks(this.#gateway!);
    this.#tell({ control: "cluster", state });
    this.#observer.onCluster?.(state);
  }

  onKept(offset: number): void {
    this.#handshake.kept(offset);
  }

  onAdded(client: LineConnection, offset: number): void {
    this.#handshake.holdUpTo(client, offset);
  }

  onHistoryFault(fault: string): void {
    this.#observer.onHistoryFault?.(fault);
  }

  onUnknown(detail: string): void {
    this.#handshake.notKept(detail);
  }

  onEnded(client: LineConnection, reason: CloseReason, detail: string): void {
    this.#ended.add(client);
    if (!this.#clients.has(client)) return;
    this.#router.close(this.#subscriberOf(client));
    client.close(reason, detail);
  }

  onHistoryMended(): void {
    this.#handshake.notKept("events could not be kept");
    this.#observer.onHistoryMended?.();
  }

  /** Acknowledges what was held back, once the other relays have it. */
  async #releaseAcks(gateway: ClusterGateway): Promise<void> {
    const isComplete = await gateway.whenPassedOn();
    if (gateway.isAlone) return;
    if (isComplete) this.#handshake.releaseAcks();
    else this.#handshake.denyAcks("events for other relays are lost");
  }

  onMisfit(error: EbsocketError): void {
    this.#misfit = error;
    this.#end();
  }

  onClusterFault(fault: string): void {
    this.#observer.onClusterFault?.(fault);
  }

  /** Tells the clients that want to know. */
  #tell(news: ClusterNews): void {
    const line = encodeClusterNews(news);
    for (const client of this.#wantsNews) client.send(line, 0);
  }

  /** Tells a client what becomes of the cluster from now on. */
  #keepInformed(client: LineConnection): void {
    const welcomed = this.#handshake.whenWelcomed(client);
    if (welcomed) return void welcomed.then(() => client.open && this.#keepInformed(client));
    if (!this.#gateway) return;
    this.#wantsNews.add(client);
    if (this.#gateway.isAlone) {
      client.send(encodeClusterNews({ control: "cluster", state: "alone" }), 0);
    }
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
  async #putOff(
    source: LineConnection,
    rest: LineBlock,
    until: Promise<void> = nextTurn(),
  ): Promise<void> {
    source.pause();
    this.#late.set(source, rest);
    await until;
    if (!this.#late.delete(source)) return; // The relay has ended.
    if (rest.bytes.length > 0) this.#backpressure.deliver(source, rest);
    this.onRelease(source);
  }

  /** Resumes reading from a client, unless it still has to wait for something. */
  onRelease(source: LineConnection): void {
    if (!this.#clients.has(source)) this.#forgetProducer(source);
    if (this.#late.has(source) || this.#rateLimiter.isPaused(source)) return;
    if (!this.#backpressure.isParked(source)) source.resume();
  }
}
