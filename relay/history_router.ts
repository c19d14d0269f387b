/**
 * Passes events on as the router does, and keeps those of them that the history is to have. Loaded
 * only by relays with a history.
 *
 * @module
 */

import { NO_SENDER } from "../history/kept_block.ts";
import type { EventLog, LogSink } from "../history/log.ts";
import type { Producer, Producers } from "../history/producers.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { Lines } from "../net/piece.ts";
import { Batch } from "../server/member_diff.ts";
import { HeldEvents } from "./held_events.ts";
import { copyOf, type HistoryRouting, type Keeper, NOT_KEPT } from "./history_routing.ts";
import { KeepFilter } from "./keep_filter.ts";
import { LineRun } from "./line_run.ts";
import type { Delivery } from "./receipts.ts";
import type { Route, RouteCache } from "./route_cache.ts";
import type { Router, Search } from "./router.ts";
import { Stamper } from "./stamper.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** Number of receipts that wait for the disk, from which on their client does, too. */
const MAX_RECEIPTS = 10_000;

/** The logs of a relay that has them for itself. */
export interface LogKeeper extends Keeper {
  readonly log: EventLog;
  readonly producers: Producers;
}

/** Passes the events of clients on, and keeps them. */
export class HistoryRouter implements HistoryRouting {
  readonly #router: Router<LineConnection>;
  readonly #keeper: LogKeeper;
  readonly #filter: KeepFilter;
  /** Whether all events are kept, and only in the log, so that their names do not matter. */
  readonly #keepsRuns: boolean;
  readonly #stamper = new Stamper();
  /** The events that clients receive when the disk has them, or `null` if they receive them at once. */
  readonly #held: HeldEvents | null;
  /** Whether the rest of the block waits for events that are held. */
  #isHolding = false;
  #source: Client | null = null;
  readonly #producers = new Map<Client, Producer>();
  /** The source as a producer, if it is one. */
  #producer: Producer | null = null;
  /** The events whose receipts wait until they are kept, in the order of the offsets. */
  #unkept: { readonly source: Client; readonly batch: Batch; readonly offset: number }[] = [];
  /** Resolves when further events are kept. The clients with too many receipts wait for it. */
  #answered: PromiseWithResolvers<void> | null = null;
  /** The offset of the last event of a client that was to be kept, `Infinity` if it cannot be. */
  #lastOf = new WeakMap<Client, number>();
  /** The time at which the block arrived. */
  #now = 0;
  /** Events that are not in the log yet. */
  readonly #run = new LineRun();
  /** The number of the last of them among all events of the producer. */
  #taken = 0;

  constructor(router: Router<LineConnection>, keeper: LogKeeper) {
    this.#router = router;
    this.#keeper = keeper;
    this.#filter = new KeepFilter(keeper.rules);
    this.#held = keeper.rules.sync === "always" ? new HeldEvents() : null;
    this.#keepsRuns = this.#filter.takesAll && !this.#held;
  }

  get routes(): RouteCache<LineConnection> {
    return this.#router.routes;
  }

  get isIdle(): boolean {
    return this.#keepsRuns && this.#router.isIdle;
  }

  get isHolding(): boolean {
    return this.#isHolding;
  }

  get synced(): number {
    return this.#keeper.log.synced;
  }

  unkeptOf(source: Client): number | null {
    const last = this.#lastOf.get(source) ?? 0;
    return last > this.synced ? last : null;
  }

  whenRoom(): Promise<void> | null {
    const { log } = this.#keeper;
    return log.isFull && !log.isBroken ? log.whenRoom() : null;
  }

  watch(sink: LogSink): void {
    this.#keeper.log.watch(sink);
  }

  /** Counts the events of a client as those of a producer, or no longer. */
  setProducer(client: Client, producer: Producer | null): void {
    if (producer) this.#producers.set(client, producer);
    else this.#producers.delete(client);
    if (client !== this.#source) return;
    this.settle();
    this.#producer = producer;
  }

  /** Returns the producer whose events are those of a client, if it has one. */
  producerOf(client: Client): Producer | undefined {
    return this.#producers.get(client);
  }

  begin(source: Client): void {
    this.#source = source;
    this.#producer = this.#producers.get(source) ?? null;
    this.#isHolding = false;
    this.#now = performance.now();
    this.#router.begin(source);
  }

  passRun(lines: Lines, count: number): void {
    this.#take(count);
    if (this.#keeper.log.isBroken) {
      this.#fault();
      return this.#router.passRun(lines, count);
    }
    const offset = this.#append(lines, count);
    const stamp = this.#stamper.prepareRun(offset, count);
    this.#router.passKeptRun(lines, count, stamp);
  }

  pass(
    route: Route<LineConnection>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
    isReply: boolean,
  ): void {
    this.#take(1);
    const keeping = this.#filter.keepingOf(route);
    if (keeping === "never" || isRequest || isReply) {
      if (!this.#isHolding) return this.#router.pass(route, line, isRequest, delivery);
      const held = copyOf(line);
      const pass = () => this.#router.pass(this.routes.again(route), held, isRequest, delivery);
      return this.#held!.add(this.#lastAdded, pass);
    }
    if (this.#keeper.log.isBroken) {
      this.#fault();
      delivery?.add(NOT_KEPT, false);
      return this.#router.pass(route, line, false, delivery);
    }
    const offset = this.#append(line, 1);
    if (this.#held) return this.#hold(this.#held, route, copyOf(line), delivery, offset);
    if (delivery && this.#keeper.log.keepsLater) this.#holdReceipt(delivery, offset);
    this.#passKept(route, line, delivery, offset);
  }

  #passKept(
    route: Route<LineConnection>,
    line: Lines,
    delivery: Delivery | null,
    offset: number,
  ): void {
    if (route.keeping === "last") this.#keepLast(route.name, line, offset);
    this.#router.passKept(route, line, delivery, this.#stamper.prepare(offset));
  }

  /** Passes an event on when the disk has it, or when it turns out that the disk does not take it. */
  #hold(
    held: HeldEvents,
    route: Route<LineConnection>,
    line: Lines,
    delivery: Delivery | null,
    offset: number,
  ): void {
    if (!this.#isHolding) held.begin(this.#source!);
    this.#isHolding = true;
    held.add(offset, () => {
      const present = this.routes.again(route);
      present.keeping = route.keeping;
      if (offset <= this.#keeper.log.synced) return this.#passKept(present, line, delivery, offset);
      delivery?.add(NOT_KEPT, false);
      this.#router.pass(present, line, false, delivery);
    });
  }

  /** Passes on the events that are held, up to an offset. */
  #release(offset: number): void {
    this.#held?.release(offset, (source, pass) => {
      this.begin(source);
      pass();
      this.end(false);
    });
  }

  /**
   * Returns a promise that resolves when the events of a client, or of all, have been passed on, or
   * `null` if they have. A client also waits if too many of its receipts do.
   */
  whenPassed(source?: Client): Promise<void> | null {
    if (source && this.#owesTooMany(source)) {
      return (this.#answered ??= Promise.withResolvers()).promise;
    }
    const waits = source === undefined || this.#held?.hasLastOf(source);
    return waits ? this.#held?.passed ?? null : null;
  }

  /** Returns whether very many receipts of a client wait for the disk, or follow one that does. */
  #owesTooMany(client: Client): boolean {
    return this.#router.receiptsOf(client) >= MAX_RECEIPTS &&
      this.#unkept.some(({ source }) => source === client);
  }

  /** Lets a receipt wait until its event is kept. */
  #holdReceipt(delivery: Delivery, offset: number): void {
    const batch = new Batch();
    delivery.add(batch, false);
    this.#unkept.push({ source: this.#source!, batch, offset });
  }

  /** Passes on the events up to an offset that were held, which are kept now, and sends receipts. */
  kept(offset: number): void {
    this.#release(offset);
    const waiting = this.#unkept.findIndex((each) => each.offset > offset);
    for (const { batch } of this.#unkept.splice(0, waiting < 0 ? Infinity : waiting)) {
      batch.accepted = 0;
    }
    this.#router.answer();
    this.#answered?.resolve();
    this.#answered = null;
  }

  /** Passes on the events that were held, which cannot be kept, and sends receipts as incomplete ones. */
  notKept(): void {
    for (const { batch } of this.#unkept) batch.isIncomplete = true;
    this.kept(Infinity);
  }

  mended(): void {
    this.#lastOf = new WeakMap();
  }

  passTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    this.#take(1);
    if (!this.#isHolding) return this.#router.passTo(id, line, isRequest, delivery);
    const held = copyOf(line);
    const pass = () => this.#router.passTo(id, held, isRequest, delivery);
    this.#held!.add(this.#lastAdded, pass);
  }

  refuse(): void {
    this.#take(1);
    this.#producer?.fault();
  }

  /** Notes that the last event of the source is not kept, although it was to be. */
  #fault(): void {
    this.#producer?.fault();
    this.#lastOf.set(this.#source!, Infinity);
  }

  /** Counts events of the source. */
  #take(count: number): void {
    if (this.#producer) this.#keeper.producers.take(this.#producer, count);
  }

  /** Adds the gathered events to the log. Must be called before it is read. */
  settle(): void {
    const { block, start, end, count } = this.#run;
    if (count === 0) return;
    const { log, keepsSenders } = this.#keeper;
    const sender = keepsSenders ? this.#source!.recipient.id : NO_SENDER;
    log.append(block.bytes, start, end, count, sender, this.#now);
    if (this.#producer) log.count(this.#producer, count, this.#taken);
    this.#lastOf.set(this.#source!, log.added);
    this.#run.clear();
  }

  end(hasMore: boolean): void {
    this.settle();
    this.#stamper.reset();
    this.#source = this.#producer = null;
    this.#router.end(hasMore);
  }

  /** Clients that catch up slow no sender down. */
  search(source: Client, clients: readonly Client[]): Search<LineConnection> {
    const others = clients.filter(({ group }) => group.kind !== "catching-up");
    return this.#router.search(source, others);
  }

  find(id: string): Client | undefined {
    return this.#router.find(id);
  }

  /** Adds events to those for the log. Returns the offset of the first of them. */
  #append(lines: Lines, count: number): number {
    if (!this.#run.isNext(lines, count)) this.settle();
    this.#run.add(lines, count);
    this.#taken = this.#producer?.taken ?? 0;
    return this.#lastAdded - count + 1;
  }

  /** The offset of the last event that was added or gathered. */
  get #lastAdded(): number {
    return this.#keeper.log.added + this.#run.count;
  }

  #keepLast(name: string, { block, start, end }: Lines, offset: number): void {
    const line = block.bytes.slice(start, end);
    const sender = this.#source!.recipient.id;
    this.#keeper.lastValues.set({ name, offset, line, sender });
  }
}
