/**
 * Passes events on between the clients of this relay and the other relays of its cluster.
 *
 * @module
 */

import type { Cluster } from "../cluster/cluster.ts";
import type { Link, Links, Reach } from "../cluster/links.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { Lines } from "../net/piece.ts";
import { TextMap } from "../protocol/text_map.ts";
import { decoder } from "../protocol/utf8.ts";
import { Delivery, Receipts } from "./receipts.ts";
import { OpenRequests } from "./open_requests.ts";
import type { Route, RouteCache } from "./route_cache.ts";
import { QueueFilter, type Router, type Routing, type Search } from "./router.ts";
import type { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** Most queues whose turn is remembered. */
const MAX_TURNS = 10_000;

/** The relays that a name reaches, and the state of the table that shows it. */
interface Known {
  readonly generation: number;
  readonly reach: Reach<Link>;
}

/** Where an event of a queue goes: here, or to another relay. */
interface Share {
  /** The queues of which a client here receives it. `null` for all that there are. */
  readonly here: QueueFilter | null;
  readonly there: Map<Link, string[]>;
}

const ALL_HERE: Share = { here: null, there: new Map() };

/** Passes the events of this relay's clients on, to each other and to the other relays. */
export class ClusterRouter implements Routing<LineConnection> {
  readonly #router: Router<LineConnection>;
  readonly #cluster: Cluster;
  /** The link of each connection to another relay, as a subscriber. */
  readonly #peers = new Map<Link, Client>();
  readonly #known = new WeakMap<Route<LineConnection>, Known>();
  readonly #turns = new TextMap<number>();
  /** The requests that were passed on to one other relay alone. */
  readonly requests = new OpenRequests();
  #source: Client | null = null;

  constructor(router: Router<LineConnection>, cluster: Cluster) {
    this.#router = router;
    this.#cluster = cluster;
  }

  /** Adds or removes another relay. */
  setPeer(link: Link, peer: Client | null): void {
    if (peer) this.#peers.set(link, peer);
    else this.#peers.delete(link);
  }

  get routes(): RouteCache<LineConnection> {
    return this.#router.routes;
  }

  get isIdle(): boolean {
    return this.#router.isIdle && this.#cluster.links.isUniform;
  }

  begin(source: Client): void {
    this.#source = source;
    this.#router.begin(source);
  }

  passRun(lines: Lines, count: number): void {
    const isHeard = this.#router.deliverRun(lines, count);
    const isPassed = this.#cluster.links.passRun(lines, count);
    if (!isHeard && !isPassed) this.#router.eventsUnheard += count;
  }

  pass(
    route: Route<LineConnection>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
  ): void {
    const reach = this.reachOf(route);
    const hasQueues = reach.queues.size > 0;
    const { here, there } = hasQueues ? this.#share(route, reach, isRequest) : ALL_HERE;
    const isHeard = this.#router.deliver(route, line, isRequest, delivery, here);
    if (here) this.#passLeft(here, reach, there);
    const isPassed = this.#cluster.links.pass(reach, line, there, delivery);
    this.#router.note(isHeard || isPassed, delivery);
    if (!isRequest || isHeard) return;
    const [link, other] = reach.relays.union(new Set(there.keys()));
    if (link && !other) this.requests.add(link.relay, this.#source!, delivery!.request!);
  }

  passTo(id: string, line: Lines, isRequest: boolean, delivery: Delivery | null): void {
    const isHeard = this.#router.deliverTo(id, line, isRequest, delivery);
    const relay = relayOf(id);
    const isPassed = !isHeard && this.#cluster.links.passTo(relay, line, delivery);
    this.#router.note(isHeard || isPassed, delivery);
    if (isRequest && isPassed) this.requests.add(relay, this.#source!, delivery!.request!);
  }

  end(hasMore: boolean): void {
    this.#cluster.links.end(this.#source!, hasMore && !this.#cluster.links.isUniform);
    this.#source = null;
    this.#router.end(hasMore);
  }

  search(source: Client, clients: readonly Client[]): Search<LineConnection> {
    return new ClusterSearch(this.#router.search(source, clients), (route) => {
      return Iterator.from(this.reachOf(route).relays)
        .map((link) => this.#peers.get(link))
        .filter((peer) => peer !== undefined && clients.includes(peer)) as Iterator<Client>;
    });
  }

  find(id: string): Client | undefined {
    const link = this.#cluster.links.find(relayOf(id));
    return link ? this.#peers.get(link) : this.#router.find(id);
  }

  /** Returns the other relays that events of a name reach. */
  reachOf(route: Route<LineConnection>): Reach<Link> {
    const { generation } = this.#cluster.links;
    let known = this.#known.get(route);
    if (known?.generation !== generation) {
      known = { generation, reach: this.#cluster.links.reach(route.name) };
      this.#known.set(route, known);
    }
    return known!.reach;
  }

  /** Decides for each queue of an event whether a client here receives it, or another relay. */
  #share(route: Route<LineConnection>, { queues }: Reach<Link>, isRequest: boolean): Share {
    const here = new Set(route.queues.map(({ queue }) => queue.name));
    const there = new Map<Link, string[]>();
    for (const [queue, relays] of queues) {
      const link = this.#choose(route, queue, relays, isRequest);
      if (!link) continue;
      here.delete(queue);
      add(there, link, queue);
    }
    return { here: new QueueFilter(here), there };
  }

  /** Passes an event on to another relay for the queues of which no client here could take it. */
  #passLeft({ left }: QueueFilter, { queues }: Reach<Link>, there: Map<Link, string[]>): void {
    for (const queue of left) {
      const [link] = queues.get(queue)?.keys() ?? [];
      if (link) add(there, link, queue);
    }
  }

  /**
   * Chooses where an event of a queue goes, in turns that are weighted by the number of members.
   * Those without a backlog come first, and those of a relay that is silent last. Returns `null` for a
   * client of this relay.
   */
  #choose(
    route: Route<LineConnection>,
    queue: string,
    relays: ReadonlyMap<Link, number>,
    isRequest: boolean,
  ): Link | null {
    const members = route.queues.find(({ queue: { name } }) => name === queue);
    const { open, free } = members?.count(this.#router.excludedGroup(isRequest)) ?? NO_MEMBERS;
    const links = [...relays.keys()];
    const isFree = free > 0 || links.some(({ isBehind }) => !isBehind);
    const isAtWork = open > 0 || links.some((link) => link.isAtWork);
    const isLeftOut = (link: Link) => isFree ? link.isBehind : isAtWork && !link.isAtWork;
    const here = isFree ? free : open;
    let total = here;
    for (const [link, count] of relays) if (!isLeftOut(link)) total += count;
    const turn = (this.#turns.get(queue) ?? 0) % total;
    if (this.#turns.size > MAX_TURNS) this.#turns.clear();
    this.#turns.set(queue, turn + 1);
    let left = turn - here;
    if (left < 0) return null;
    for (const [link, count] of relays) {
      if (isLeftOut(link)) continue;
      left -= count;
      if (left < 0) return link;
    }
    return null;
  }

  /** The ID of this relay. */
  get id(): string {
    return this.#cluster.id;
  }

  /** The other relays. */
  get links(): Links {
    return this.#cluster.links;
  }

  /** Lets other relays know at once which queues have members here. */
  noteNoMember(): void {
    this.#cluster.interest.send();
  }

  /** Whether an event of this name has a queue anywhere. */
  hasQueues(route: Route<LineConnection>): boolean {
    return route.queues.length > 0 || this.reachOf(route).queues.size > 0;
  }

  /** Returns the relay of which a member receives an event, for each of its queues. */
  assign(route: Route<LineConnection>): [queue: string, relay: string][] {
    const { here, there } = this.#share(route, this.reachOf(route), false);
    const assigned = [...here!.left].map((queue): [string, string] => [queue, this.id]);
    for (const [{ relay }, queues] of there) {
      for (const each of queues) assigned.push([each, relay]);
    }
    return assigned;
  }

  /**
   * Passes an event on to members of queues, if it has none where it was to go. `from` is the relay that
   * has handed it back, or `null`.
   */
  passAgain(
    route: Route<LineConnection>,
    line: Lines,
    isRequest: boolean,
    delivery: Delivery | null,
    queues: ReadonlySet<string>,
    from: Link | null,
  ): boolean {
    const some = new Map<string, Map<Link, number>>();
    for (const [name, relays] of this.reachOf(route).queues) {
      const others = new Map([...relays].filter(([link]) => link !== from));
      if (queues.has(name) && others.size > 0) some.set(name, others);
    }
    const none = { relays: new Set<Link>(), queues: some };
    const { here, there } = this.#share(route, none, isRequest);
    const filter = new QueueFilter([...queues].filter((queue) => here!.has(queue)));
    const sender = this.#router.find(senderOf(line)) ?? null;
    const isHeard = this.#router.deliverToQueues(route, line, isRequest, delivery, filter, sender);
    this.#passLeft(filter, none, there);
    return this.#cluster.links.pass(none, line, there, delivery, true) || isHeard;
  }
}

const NO_MEMBERS = { open: 0, free: 0 };

function add(there: Map<Link, string[]>, link: Link, queue: string): void {
  const names = there.get(link);
  if (names) names.push(queue);
  else there.set(link, [queue]);
}

/** Returns the sender in a line, or an empty string. Few lines are handed back. */
function senderOf({ block, start, end }: Lines): string {
  const { from } = JSON.parse(decoder.decode(block.bytes.subarray(start, end)));
  return typeof from === "string" ? from : "";
}

/** Returns the relay in the ID of a client, or an empty string. */
function relayOf(id: string): string {
  return id.slice(0, Math.max(0, id.indexOf(".")));
}

/** Finds clients of this relay, and other relays, that would receive events of a block. */
class ClusterSearch implements Search<LineConnection> {
  readonly #search: Search<LineConnection>;
  readonly #peersOf: (route: Route<LineConnection>) => Iterator<Client>;
  readonly #peers = new Set<Client>();

  constructor(
    search: Search<LineConnection>,
    peersOf: (route: Route<LineConnection>) => Iterator<Client>,
  ) {
    this.#search = search;
    this.#peersOf = peersOf;
  }

  get found(): ReadonlySet<Client> {
    return this.#search.found.union(this.#peers);
  }

  get isComplete(): boolean {
    return this.#search.isComplete;
  }

  add(route: Route<LineConnection>): void {
    this.#search.add(route);
    for (const peer of Iterator.from(this.#peersOf(route))) this.#peers.add(peer);
  }

  addFor(client: Client | undefined): void {
    this.#search.addFor(client);
  }
}

/** Passes the events of other relays on to the clients of this one. */
export class LinkRouter implements Routing<LineConnection> {
  readonly #router: Router<LineConnection>;
  readonly #clusterRouter: ClusterRouter;
  readonly #cluster: Cluster;
  readonly #linkOf: (source: Client) => Link;
  /** The reports about the events of other relays. */
  readonly #reports = new Receipts<Link>((link, reports) => link.report(reports as Report[]));
  /** The reports about events of this relay that others have handed back. */
  readonly #returned = new Receipts<Link>((link, reports) => {
    for (const report of reports as Report[]) link.answer(report, report.isIncomplete);
    this.#router.answer();
  });
  #link: Link | null = null;

  constructor(
    router: Router<LineConnection>,
    clusterRouter: ClusterRouter,
    cluster: Cluster,
    linkOf: (source: Client) => Link,
  ) {
    this.#router = router;
    this.#clusterRouter = clusterRouter;
    this.#cluster = cluster;
    this.#linkOf = linkOf;
  }

  get routes(): RouteCache<LineConnection> {
    return this.#router.routes;
  }

  get isIdle(): boolean {
    return this.#router.isIdle && this.#link?.next === null;
  }

  begin(source: Client): void {
    this.#link = this.#linkOf(source);
    this.#router.begin(source);
  }

  passRun(lines: Lines, count: number): void {
    this.#router.deliverRun(lines, count);
  }

  pass(route: Route<LineConnection>, line: Lines, isRequest: boolean): void {
    const { number, queues, only, back } = this.#takeNext();
    const names = queues && new Set(queues);
    const link = this.#link!;
    const report = number === undefined ? null : new Report(number);
    if (names && back) {
      if (report) link.askAgain(report.number);
      this.#clusterRouter.passAgain(route, line, isRequest, report, names, link);
      if (report) this.#returned.add(link, report);
      return;
    }
    // What was passed on once more is not handed back because a client is joining, but because none is
    // there.
    const elsewhere = only ? undefined : this.#clusterRouter.reachOf(route).queues;
    const filter = new QueueFilter(names ?? [], elsewhere);
    if (only) this.#router.deliverToQueues(route, line, isRequest, report, filter, null);
    else this.#router.deliver(route, line, isRequest, report, filter);
    if (filter.left.size > 0 && link.open) {
      this.#cluster.interest.send(); // so that this relay is not chosen again
      link.handBack(line.block.bytes.slice(line.start, line.end), [...filter.left], number);
    } else if (filter.left.size > 0) {
      this.#clusterRouter.passAgain(route, line, isRequest, report, filter.left, link);
    }
    if (report) this.#reports.add(link, report);
  }

  passTo(
    id: string,
    line: Lines,
    isRequest: boolean,
    _: Delivery | null,
    replyTo: string | null,
  ): void {
    const { requests } = this.#clusterRouter;
    if (replyTo !== null && !requests.isEmpty) requests.answered(id, replyTo);
    const { number } = this.#takeNext();
    const report = number === undefined ? null : new Report(number);
    this.#router.deliverTo(id, line, isRequest, report);
    if (report) this.#reports.add(this.#link!, report);
  }

  #takeNext(): NonNullable<Link["next"]> {
    const next = this.#link!.next ?? {};
    this.#link!.next = null;
    return next;
  }

  end(hasMore: boolean): void {
    this.#cluster.links.end(this.#link!, false); // events that were handed back
    this.#router.end(hasMore);
    this.#link = null;
  }

  search(source: Client, clients: readonly Client[]): Search<LineConnection> {
    return this.#router.search(source, clients);
  }

  find(id: string): Client | undefined {
    return this.#router.find(id);
  }

  /** Reports to another relay for how many clients its event is queued, as soon as that is known. */
  report(link: Link, report: Report): void {
    this.#reports.add(link, report);
  }

  /** Reports to other relays for how many clients their events were queued, as far as it is known. */
  answer(): void {
    this.#reports.answer();
    this.#returned.answer();
  }
}

/** An event of another relay, which wants to know how many clients it was queued for. */
export class Report extends Delivery {
  readonly number: number;

  constructor(number: number) {
    super(null, null);
    this.number = number;
  }
}
