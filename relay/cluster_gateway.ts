/**
 * Connects a relay to its cluster: takes the lines of other relays, and hands them those of the
 * relay's clients. Loaded only by relays of a cluster.
 *
 * @module
 */

import { Cluster, type ClusterSink } from "../cluster/cluster.ts";
import type { Backplane } from "../cluster/backplane.ts";
import type { Link } from "../cluster/links.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { ClusterTerms } from "../protocol/cluster.ts";
import type { ControlLine } from "../protocol/control.ts";
import { parseLine } from "../protocol/json_parser.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import type { ClientReport, ClusterStats } from "../protocol/report.ts";
import { decoder } from "../protocol/utf8.ts";
import type { EbsocketError, EventFormatError } from "../errors.ts";
import { LineValidator } from "../protocol/validator.ts";
import { SubscriberGroup } from "../server/subscriber_group.ts";
import { ClusterRouter, LinkRouter } from "./cluster_router.ts";
import { Ingress, type IngressResult } from "./ingress.ts";
import type { RelayChange } from "./options.ts";
import type { Router } from "./router.ts";
import { SchemaFilter } from "./schema_filter.ts";
import { Subscriber } from "./subscription_table.ts";

/** How deep the lines of a link may nest in any case: control lines do, up to that. */
const MIN_DEPTH = 8;

/** The relay, as its gateway sees it. */
export interface GatewaySink {
  /** Returns the clients of this relay that others may see. */
  reportClients(): readonly ClientReport[];
  /** Called with lines of another relay, to be handed back in turn. */
  onLinkLines(connection: LineConnection, lines: LineBlock): void;
  /** Called when lines have been queued for another relay. */
  onQueued(connection: LineConnection): void;
  /** Called when the link to another relay is about to end. Its last lines still count. */
  onLinkEnd(connection: LineConnection): void;
  /** Called when another relay has come or gone. */
  onRelay(relay: string, change: RelayChange): void;
  /** Called when events of another relay are missing. */
  onGap(relay: string, events: number | undefined): void;
  /** Called when other relays can be reached again, or no longer. */
  onState(isAlone: boolean): void;
  /** Called if this relay must end because of another one. */
  onMisfit(error: EbsocketError): void;
  /** Called with a fault of another relay, or of the messages of a stranger. */
  onClusterFault(fault: string): void;
}

/** The parts of a gateway. */
export interface GatewayParts {
  readonly id: string;
  readonly backplane: Backplane;
  readonly terms: ClusterTerms;
  readonly maxBatchDelay: number;
  readonly maxPendingBytes: number;
  readonly router: Router<LineConnection>;
}

/** Connects one relay to its cluster. */
export class ClusterGateway implements ClusterSink {
  /** Passes on the events of the relay's clients. */
  readonly routing: ClusterRouter;

  readonly #cluster: Cluster;
  readonly #sink: GatewaySink;
  readonly #links = new Map<LineConnection, Link>();
  readonly #peers = new Map<LineConnection, Subscriber<LineConnection>>();
  readonly #linkRouter: LinkRouter;
  readonly #ingress: Ingress<LineConnection>;
  readonly #validator: LineValidator;
  readonly #router: Router<LineConnection>;
  #marked = Promise.withResolvers<void>();
  /** Called with each new link, before anything else is sent on it. */
  onNewLink: ((link: Link) => void) | null = null;
  /**
   * Called with a link to a relay that has lost members of queues. What is to be sent on it waits for
   * the promise.
   */
  onMembersLost: ((link: Link) => Promise<void>) | null = null;

  constructor(parts: GatewayParts, sink: GatewaySink) {
    const { id, backplane, terms, router } = parts;
    const validator = new LineValidator(Math.max(terms.maxDepth, MIN_DEPTH));
    this.#validator = validator;
    this.#sink = sink;
    this.#router = router;
    this.#cluster = new Cluster(id, backplane, terms, parts, this);
    this.routing = new ClusterRouter(router, this.#cluster);
    this.#linkRouter = new LinkRouter(
      router,
      this.routing,
      this.#cluster,
      ({ recipient }) => this.#links.get(recipient)!,
    );
    this.#ingress = new Ingress(
      validator,
      this.#linkRouter,
      new SchemaFilter(undefined), // The other relay has checked them.
      ({ recipient }, _, line) => {
        const control = parseLine(decoder.decode(line), validator.hasEscapedKey) as ControlLine;
        this.#cluster.onControl(this.#links.get(recipient)!, control);
      },
      (source, from) => this.#vouches(source, from),
    );
  }

  /** Whether no other relay can be reached. */
  get isAlone(): boolean {
    return this.#cluster.isAlone;
  }

  /** Returns whether a connection is to another relay that is at work. */
  isRelayAtWork(connection: LineConnection): boolean {
    return !this.isAlone && this.#links.get(connection)?.isAtWork === true;
  }

  /**
   * Waits until the other relays have what they have missed while this one was alone. Resolves to
   * whether nothing was lost.
   */
  whenPassedOn(): Promise<boolean> {
    return this.#cluster.whenPassedOn();
  }

  /** Returns the state of the cluster as this relay sees it. */
  stats(): ClusterStats {
    return this.#cluster.stats();
  }

  /** Returns clients of the other relays, as these reported them lately, and asks for them anew. */
  clients(): readonly ClientReport[] {
    return this.#cluster.clients();
  }

  /** Returns whether an event of this name reaches clients of other relays. */
  isHeardElsewhere(name: string): boolean {
    const { relays, queues } = this.#cluster.links.reach(name);
    return relays.size + queues.size > 0;
  }

  /** Joins the cluster. Resolves once the interest of the others is known. */
  join(): Promise<void> {
    return this.#cluster.join();
  }

  /** Lets other relays choose clients of this one no longer. Resolves once they know, or in a moment. */
  async retire(): Promise<void> {
    await this.#cluster.retire();
  }

  /** Leaves the cluster, once the others have read their events. */
  leave(): Promise<void> {
    return this.#cluster.leave();
  }

  /** Queues all gathered events. */
  flush(): void {
    this.#cluster.links.flush();
  }

  /** Notes a client that has come, which hears everything until it subscribes. */
  noteNewcomer(): void {
    this.#cluster.interest.noteNewcomer();
  }

  /** Notes that a client more, or one fewer, hears a pattern. */
  noteInterest(pattern: string, queue: string, by: 1 | -1): void {
    this.#cluster.interest.note(pattern, queue, by);
  }

  /**
   * Returns a promise that resolves when all other relays know the present interest of this one, to
   * `false` if they cannot be expected to. Returns `null` if they know already.
   *
   * @param isForAll Whether a client waits for it that hears everything.
   */
  whenKnown(isForAll: boolean): Promise<boolean> | null {
    return this.#cluster.interest.whenKnown(isForAll);
  }

  /** Reports to other relays for how many clients their events were queued, as far as it is known. */
  answer(): void {
    this.#linkRouter.answer();
  }

  /** Returns the other end of a connection if that is a relay. */
  peerOf(connection: LineConnection): Subscriber<LineConnection> | undefined {
    return this.#peers.get(connection);
  }

  /** The fault of the last bad line of another relay. */
  get fault(): EventFormatError {
    return this.#validator.fault;
  }

  /** Takes lines of another relay. */
  take(connection: LineConnection, bytes: Uint8Array, isLate: () => boolean): IngressResult {
    const peer = this.#peers.get(connection)!;
    const taken = this.#ingress.take(peer, bytes, connection.hasMore, isLate);
    const link = this.#links.get(connection)!;
    this.#cluster.taken(link, taken.events);
    return taken;
  }

  /**
   * Returns whether another relay may name this client as the sender of an event: one of its own, or
   * one of this relay whose event it hands back.
   */
  #vouches({ recipient, prefix }: Subscriber<LineConnection>, from: string): boolean {
    const link = this.#links.get(recipient)!;
    const isReturned = link.next?.back === true && from.startsWith(`${this.#cluster.id}.`);
    if (isReturned || from.startsWith(prefix)) return true;
    link.next = null; // It was about this event.
    this.#cluster.fault(`relay ${link.relay} sent an event in the name of a client of another`);
    return false;
  }

  /** Returns those of `clients` that would receive lines of another relay. */
  recipientsAmong(
    clients: readonly Subscriber<LineConnection>[],
    peer: Subscriber<LineConnection>,
    bytes: Uint8Array,
    isLate: () => boolean,
  ): Iterable<Subscriber<LineConnection>> {
    return this.#ingress.recipientsAmong(clients, peer, bytes, isLate);
  }

  onLink(link: Link): void {
    const { connection } = link;
    const prefix = `${link.relay}.`;
    const peer = new Subscriber<LineConnection>(connection, new SubscriberGroup(), prefix);
    this.#links.set(connection, link);
    this.#peers.set(connection, peer);
    this.routing.setPeer(link, peer);
    this.onNewLink?.(link);
  }

  onLinkEnd(link: Link): void {
    this.#sink.onLinkEnd(link.connection);
    this.#links.delete(link.connection);
    this.#peers.delete(link.connection);
    this.routing.setPeer(link, null);
  }

  onCome(relay: string): void {
    this.#sink.onRelay(relay, "joined");
  }

  onGone(relay: string, isSilent: boolean): void {
    this.routing.requests.fail(relay);
    this.#sink.onRelay(relay, isSilent ? "vanished" : "left");
  }

  reportClients(): readonly ClientReport[] {
    return this.#sink.reportClients();
  }

  onLines({ connection }: Link, lines: LineBlock): void {
    this.#sink.onLinkLines(connection, lines);
  }

  onQueued({ connection }: Link): void {
    this.#sink.onQueued(connection);
  }

  onMark(): void {
    this.#marked.resolve();
    this.#marked = Promise.withResolvers();
  }

  whenServed(link: Link): Promise<void> | null {
    return this.onMembersLost?.(link) ?? null;
  }

  /** Returns the link to a relay that can be used, or `null`. */
  linkTo(relay: string): Link | null {
    const link = this.#cluster.links.find(relay);
    return link?.open ? link : null;
  }

  /** Whether there are other relays. */
  get hasOthers(): boolean {
    return !Iterator.from(this.#cluster.links).next().done;
  }

  /** Whether this relay does what only one of all has to do. */
  get isFirst(): boolean {
    const { id, links } = this.#cluster;
    return Iterator.from(links).every(({ relay }) => relay > id);
  }

  /** Resolves when another relay has sent a mark. */
  get marked(): Promise<void> {
    return this.#marked.promise;
  }

  /** The offset up to which the history must be there before more of another relay is read. */
  afterOf(connection: LineConnection): number {
    return this.#links.get(connection)?.after ?? 0;
  }

  /** Reads on from another relay in any case. */
  waitForNothing(connection: LineConnection): void {
    const link = this.#links.get(connection);
    if (link) link.after = 0;
  }

  /** Passes on the reports of other relays about this one's events. */
  get linkRouter(): LinkRouter {
    return this.#linkRouter;
  }

  onAnswers(): void {
    this.#router.answer();
  }

  onGap(relay: string, events: number | undefined): void {
    this.#sink.onGap(relay, events);
  }

  onState(isAlone: boolean): void {
    this.#sink.onState(isAlone);
  }

  onMisfit(error: EbsocketError): void {
    this.#sink.onMisfit(error);
  }

  onFault(fault: string): void {
    this.#sink.onClusterFault(fault);
  }
}
