/**
 * Keeps the events of a relay's clients in the stream of its cluster. They are passed on when they come
 * back from there, see `stream_feed.ts`. All others go to the other relays over links.
 *
 * A client's events that are not kept, and its control lines, wait for those before them that are.
 * Loaded only by relays of a cluster with a history.
 *
 * @module
 */

import type { Link } from "../cluster/links.ts";
import type { LogSink } from "../history/log.ts";
import type { HistoryRules } from "../history/options.ts";
import { headBytesOf, MAX_HEAD_BYTES } from "../history/outgoing_block.ts";
import type { StreamWriter } from "../history/stream_writer.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { Lines } from "../net/piece.ts";
import { LineValidator, MAX_MAX_DEPTH } from "../protocol/validator.ts";
import type { ClusterRouter } from "./cluster_router.ts";
import type { CountedClient, ProducerOwner } from "./counted_client.ts";
import { copyOf, type HistoryRouting, NOT_KEPT } from "./history_routing.ts";
import { Ingress } from "./ingress.ts";
import { KeepFilter } from "./keep_filter.ts";
import {
  faultIn,
  type HeldBlock,
  type KeptEvents,
  MAX_RUN_BYTES,
  MAX_RUN_EVENTS,
  partsOf,
} from "./kept_events.ts";
import { LineRun } from "./line_run.ts";
import { LinkOrder } from "./link_order.ts";
import type { Delivery } from "./receipts.ts";
import type { Route, RouteCache } from "./route_cache.ts";
import type { Router, Search } from "./router.ts";
import { SchemaFilter } from "./schema_filter.ts";
import type { Subscriber } from "./subscription_table.ts";
import { UnkeptRouting } from "./unkept_routing.ts";

type Client = Subscriber<LineConnection>;

/** The parts that a {@link StreamRouter} uses. */
export interface StreamRouterParts {
  readonly router: Router<LineConnection>;
  readonly clusterRouter: ClusterRouter;
  readonly rules: HistoryRules;
  readonly writer: () => StreamWriter<KeptEvents>;
  readonly owner: () => ProducerOwner;
  /** Called with a client when it is known what {@link StreamRouter.unkeptOf} is for its events. */
  readonly onAdded: (client: LineConnection, offset: number) => void;
}

/** Keeps the events of clients, and passes the others on. */
export class StreamRouter implements HistoryRouting {
  /** The events that are kept. */
  readonly filter: KeepFilter;
  /** The order in which other relays pass on those that are kept and those that are not. */
  readonly order: LinkOrder;

  readonly #router: Router<LineConnection>;
  readonly #clusterRouter: ClusterRouter;
  readonly #writer: () => StreamWriter<KeptEvents>;
  readonly #owner: () => ProducerOwner;
  readonly #onAdded: StreamRouterParts["onAdded"];
  readonly #producers = new Map<Client, CountedClient>();
  /** The blocks of clients that are awaited. */
  readonly #awaited = new Map<Client, HeldBlock>();
  readonly #unkeptIngress: Ingress<LineConnection>;
  #sink: LogSink | null = null;
  #source: Client | null = null;
  /** The source as a producer, if it is one. */
  #producer: CountedClient | null = null;
  /** The block of the events that are being taken, once one of them is kept. */
  #held: HeldBlock | null = null;
  /** The blocks that have not been passed on. A client has one at most, since it waits for that. */
  readonly #blocks = new Map<Client, HeldBlock>();
  /** The last entry that was added. */
  #entry: KeptEvents | null = null;
  /** Number of entries that were added, and the tickets of those that have not been passed on. */
  #added = 0;
  readonly #open = new Set<number>();
  /** The ticket of the last entry of each client. */
  readonly #lastOf = new WeakMap<Client, number>();
  /** The clients with events that could not be kept. */
  #faulted = new WeakSet<Client>();
  /** Events that are in no entry yet. */
  readonly #run = new LineRun(MAX_RUN_BYTES, MAX_RUN_EVENTS);
  /** The number of the last of them among all events of the producer. */
  #taken = 0;

  constructor(parts: StreamRouterParts) {
    const { router, clusterRouter, rules, writer, owner, onAdded } = parts;
    this.#router = router;
    this.#clusterRouter = clusterRouter;
    this.#writer = writer;
    this.#owner = owner;
    this.#onAdded = onAdded;
    this.filter = new KeepFilter(rules);
    this.order = new LinkOrder(clusterRouter.links);
    this.#unkeptIngress = new Ingress<LineConnection>(
      new LineValidator(MAX_MAX_DEPTH),
      new UnkeptRouting(clusterRouter),
      new SchemaFilter(undefined),
      () => {},
      () => true,
    );
  }

  get routes(): RouteCache<LineConnection> {
    return this.#router.routes;
  }

  get isIdle(): boolean {
    return this.filter.takesAll && this.#clusterRouter.isIdle;
  }

  get isHolding(): boolean {
    return this.#held !== null;
  }

  watch(sink: LogSink): void {
    this.#sink = sink;
  }

  get synced(): number {
    const { value: first } = this.#open.values().next();
    return first === undefined ? this.#added : first - 1;
  }

  unkeptOf(source: Client): number | null {
    if (this.#faulted.has(source) || this.#awaited.has(source)) return Infinity;
    const last = this.#lastOf.get(source) ?? 0;
    return last > this.synced ? last : null;
  }

  begin(source: Client): void {
    this.#source = source;
    this.#producer = this.#producers.get(source) ?? null;
    this.#held = null;
    this.#entry = null;
    this.#clusterRouter.begin(source);
  }

  passRun(lines: Lines, count: number): void {
    this.#producer?.take(count);
    if (this.#isKept) return this.#gather(lines, count);
    this.#fault();
    this.#clusterRouter.passRun(lines, count);
  }

  /** Notes that the last event of the source is not kept, although it was to be. */
  #fault(): void {
    this.#producer?.fault();
    this.#faulted.add(this.#source!);
  }

  /** Whether events are kept that are to be: in any case those of which this relay is not certain yet. */
  get #isKept(): boolean {
    return !this.#writer().isBroken || this.#producer !== null && this.#producer.state !== "owned";
  }

  pass(
    route: Route<LineConnection>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
    isReply: boolean,
  ): void {
    this.#producer?.take(1);
    const isToBeKept = this.filter.keepingOf(route) !== "never" && !isRequest && !isReply;
    if (isToBeKept && this.#isKept) return this.#keep(route, line, delivery);
    if (isToBeKept) {
      this.#fault();
      delivery?.add(NOT_KEPT, false);
    }
    if (this.#held) {
      const held = copyOf(line);
      return this.#after(() =>
        this.#clusterRouter.pass(this.routes.again(route), held, isRequest, delivery)
      );
    }
    this.order.follow(this.#source!);
    this.#clusterRouter.pass(route, line, isRequest, delivery);
  }

  passTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    this.#producer?.take(1);
    if (this.#held) {
      const held = copyOf(line);
      return this.#after(() => this.#clusterRouter.passTo(id, held, isRequest, delivery));
    }
    this.order.follow(this.#source!);
    this.#clusterRouter.passTo(id, line, isRequest, delivery);
  }

  refuse(): void {
    this.#producer?.take(1);
    this.#producer?.fault();
  }

  #keep(route: Route<LineConnection>, line: Lines, delivery: Delivery | null): void {
    const hasQueues = this.#clusterRouter.hasQueues(route);
    if (!hasQueues && !delivery) return this.#gather(line, 1);
    this.settle();
    const { relays } = this.#clusterRouter.reachOf(route);
    const queues = hasQueues ? this.#clusterRouter.assign(route) : [];
    const fits = headBytesOf({ queues }) < MAX_HEAD_BYTES / 2;
    const links = this.#clusterRouter.links;
    const asked = new Set<Link>(relays);
    for (const [, relay] of queues) {
      const link = links.find(relay);
      if (link && fits) asked.add(link);
    }
    this.#add({
      lines: line.block.bytes.slice(line.start, line.end),
      events: 1,
      queues: fits && queues.length > 0 ? queues : undefined,
      ask: delivery ? links.askAbout(asked, delivery) : undefined,
      producer: this.#producer,
      taken: this.#producer?.taken ?? 0,
      block: this.#hold(),
      ticket: 0,
      delivery,
      moreQueues: fits ? [] : queues.map(([queue]) => queue),
      isHeardElsewhere: asked.size > 0,
      followers: [],
    });
  }

  /** Adds events to those of the next entry. */
  #gather(lines: Lines, count: number): void {
    if (!this.#run.isNext(lines, count)) this.settle();
    this.#run.add(lines, count);
    this.#taken = this.#producer?.taken ?? 0;
    this.#hold();
  }

  settle(): void {
    const { block, start, end, count } = this.#run;
    if (count === 0) return;
    let taken = this.#taken - count;
    for (const [lines, events] of partsOf(block.bytes.slice(start, end), count)) {
      this.#add({
        lines,
        events,
        producer: this.#producer,
        taken: taken += events,
        block: this.#held!,
        ticket: 0,
        delivery: null,
        moreQueues: [],
        isHeardElsewhere: this.#clusterRouter.links.hearAll,
        followers: [],
      });
    }
    this.#run.clear();
  }

  #hold(): HeldBlock {
    if (this.#held) return this.#held;
    const source = this.#source!;
    const passed = Promise.withResolvers<void>();
    const block: HeldBlock = { source, left: 0, rest: [], awaited: null, passed };
    if (this.#producer && this.#producer.state !== "owned") this.#await(block, this.#producer);
    this.#blocks.set(source, block);
    return this.#held = block;
  }

  /** Holds the next events of a block until their producer is owned. */
  #await(block: HeldBlock, producer: CountedClient): void {
    block.awaited = producer;
    this.#awaited.set(block.source, block);
  }

  #add(entry: KeptEvents): void {
    const { block, producer } = entry;
    block.left++;
    if (producer) producer.open++;
    const waits = block.rest.length > 0 || (this.#entry?.followers.length ?? 0) > 0;
    if (!block.awaited) this.#number(entry);
    if (waits || block.awaited) block.rest.push(entry);
    else this.#writer().add(entry);
    this.#entry = entry;
  }

  #number(entry: KeptEvents): void {
    entry.ticket = ++this.#added;
    this.#open.add(entry.ticket);
    this.#lastOf.set(entry.block.source, entry.ticket);
  }

  /** Keeps the events of a client that were held until its producer is owned. */
  onOwned({ client, state }: CountedClient): void {
    const block = this.#awaited.get(client);
    if (!block || state === "gone") return;
    this.#awaited.delete(client);
    block.awaited = null;
    for (const entry of block.rest) this.#number(entry);
    this.#onAdded(client.recipient, this.#added);
    this.#goOn(block);
  }

  /** Drops the events of a client that were held until its producer is owned. */
  onDenied({ client }: CountedClient): void {
    const block = this.#awaited.get(client);
    if (!block) return;
    this.#awaited.delete(client);
    this.drop(block.rest.splice(0));
  }

  /** Passes an event on after the last one that is kept. */
  #after(pass: () => void): void {
    this.settle();
    this.#entry!.followers.push(pass);
  }

  /** Notes that an entry has been passed on, as the events up to an offset, and passes on what follows. */
  passed(entry: KeptEvents, offset: number): void {
    this.order.noteKept(entry.block.source, offset);
    this.#passOn(entry);
  }

  #passOn(entry: KeptEvents): void {
    const { ticket, block, ask, followers, producer } = entry;
    this.#open.delete(ticket);
    if (ask !== undefined) this.#clusterRouter.links.await(ask);
    block.left--;
    if (followers.length > 0) {
      this.begin(block.source);
      this.order.follow(this.#source!);
      for (const pass of followers) pass();
      this.#clusterRouter.end(false);
      this.#source = null;
      this.#goOn(block);
    }
    if (producer && --producer.open === 0) this.#owner().passed(producer);
    if (block.left === 0) this.#finish(block);
  }

  #finish({ source, passed }: HeldBlock): void {
    this.#blocks.delete(source);
    passed.resolve();
  }

  /**
   * Writes the next entries of a block, up to one that events follow which are not kept. Drops them if
   * this relay has lost their producer meanwhile.
   */
  #goOn(block: HeldBlock): void {
    if (block.rest.some(({ producer }) => producer?.state === "gone")) {
      return this.drop(block.rest.splice(0));
    }
    const next = block.rest.findIndex(({ followers }) => followers.length > 0);
    const entries = block.rest.splice(0, next < 0 ? Infinity : next + 1);
    if (this.#writer().isBroken) return this.passUnkept(entries);
    for (const entry of entries) this.#writer().add(entry);
  }

  /** Passes entries on that are not kept. */
  passUnkept(entries: readonly KeptEvents[]): void {
    for (const entry of entries) {
      faultIn(entry);
      this.#faulted.add(entry.block.source);
      this.#unkeptIngress.take(entry.block.source, entry.lines, false);
      this.#passOn(entry);
    }
    this.#router.answer();
  }

  /** Gives entries up of which it is not known whether they are kept. */
  giveUp(entries: readonly KeptEvents[]): void {
    for (const entry of entries) {
      const { block, delivery } = entry;
      faultIn(entry);
      if (delivery) {
        delivery.add(NOT_KEPT, false);
        this.#router.begin(block.source);
        this.#router.note(true, delivery);
        this.#router.end(false);
      }
      this.#passOn(entry);
    }
  }

  /** Gives entries up, and does not pass on what follows them either: their client sends all that again. */
  drop(entries: readonly KeptEvents[]): void {
    const all = entries.flatMap((entry) => [entry, ...entry.block.rest.splice(0)]);
    for (const { followers } of all) followers.length = 0;
    this.giveUp(all);
  }

  whenPassed(source?: Client): Promise<void> | null {
    if (source) return this.#blocks.get(source)?.passed.promise ?? null;
    const all = Array.from(this.#blocks.values(), ({ passed }) => passed.promise);
    return all.length > 0 ? Promise.all(all).then(() => {}) : null;
  }

  whenRoom(): Promise<void> | null {
    const writer = this.#writer();
    return writer.isFull ? writer.whenRoom() : null;
  }

  kept(): void {
    this.#router.answer();
  }

  notKept(): void {
    this.#router.answer();
  }

  mended(): void {
    this.#faulted = new WeakSet();
  }

  /** Counts the events of a client as those of a producer, or no longer. */
  setProducer(client: Client, producer: CountedClient | null): void {
    if (producer) this.#producers.set(client, producer);
    else this.#producers.delete(client);
    if (client !== this.#source) return;
    this.settle();
    this.#producer = producer; // Events may follow its hello at once.
    if (this.#held && producer) this.#await(this.#held, producer);
  }

  end(hasMore: boolean): void {
    this.settle();
    const held = this.#held;
    this.#held = null;
    this.#source = this.#producer = null;
    this.#entry = null;
    this.#clusterRouter.end(hasMore);
    if (held?.awaited) this.#owner().own(held.awaited);
    if (held?.left === 0) this.#finish(held); // Its events are not kept, in the end.
  }

  search(source: Client, clients: readonly Client[]): Search<LineConnection> {
    const others = clients.filter(({ group }) => group.kind !== "catching-up");
    return this.#clusterRouter.search(source, others);
  }

  find(id: string): Client | undefined {
    return this.#clusterRouter.find(id);
  }

  /** Reports that events have become kept. */
  onSynced(): void {
    this.#sink?.onSynced();
  }

  /** Reports that events cannot be kept. */
  onBroken(fault: string): void {
    this.#sink?.onBroken(fault);
  }

  /** Reports that events are kept again. */
  onMended(): void {
    this.#sink?.onMended();
  }
}
