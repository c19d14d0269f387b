/**
 * Passes the events of the stream on to the clients of one relay, in the order of the stream: those of
 * its own clients, which come back from there, and those of the clients of other relays.
 *
 * The messages go through a connection of their own, so that the relay deals with them as with the
 * lines of any peer: in turns, and only while the clients that receive them keep up.
 *
 * @module
 */

import { LF } from "../protocol/ascii.ts";
import type { Link } from "../cluster/links.ts";
import { NO_SENDER } from "../history/kept_block.ts";
import {
  decodeStreamMessage,
  endOf,
  offsetOf,
  PRODUCERS_WRITER,
  type StreamBlockHead,
  type StreamItem,
} from "../history/stream_format.ts";
import { DELETED } from "../history/stream_follower.ts";
import type { StreamLog } from "../history/stream_log.ts";
import type { StreamMessage } from "../history/stream_port.ts";
import type { StreamValues } from "../history/stream_values.ts";
import { LineConnection } from "../net/line_connection.ts";
import type { Lines } from "../net/piece.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import { NOTHING } from "../protocol/utf8.ts";
import { LineValidator, MAX_MAX_DEPTH } from "../protocol/validator.ts";
import { SubscriberGroup } from "../server/subscriber_group.ts";
import { type ClusterRouter, type LinkRouter, Report } from "./cluster_router.ts";
import { type Arrival, FeedPipe } from "./feed_pipe.ts";
import { Ingress, type IngressResult } from "./ingress.ts";
import type { KeptEvents } from "./kept_events.ts";
import type { Route, RouteCache } from "./route_cache.ts";
import { QueueFilter, type Router, type Routing, type Search } from "./router.ts";
import { SchemaFilter } from "./schema_filter.ts";
import { Stamper } from "./stamper.ts";
import type { StreamRouter } from "./stream_router.ts";
import { Subscriber } from "./subscription_table.ts";

type Client = Subscriber<LineConnection>;

/** The message whose events are being passed on. */
interface Present {
  readonly seq: number;
  readonly at: number;
  readonly writer: string;
  /** The offset of its first event, and the number of events. */
  readonly offset: number;
  readonly events: number;
  readonly lines: Uint8Array;
  /** The relay that receives an event as a member of a queue, by the number of the event. */
  readonly queues: ReadonlyMap<number, readonly (readonly [queue: string, relay: string])[]>;
  readonly asks: ReadonlyMap<number, number>;
  /** What this relay knows of the events, if they are of its clients. */
  readonly own: readonly KeptEvents[];
  /** Whether the names of the events do not matter. */
  readonly isPlain: boolean;
  /** Number of events that have been passed on, and of their bytes. */
  done: number;
  doneBytes: number;
  /** The present entry of {@link own}, and the number of its events that have been passed on. */
  entry: number;
  entryDone: number;
}

/** The relay, as its feed sees it. */
export interface FeedSink {
  /** Returns what is known of a block of this relay that has come back. */
  returned(number: number): readonly KeptEvents[];
  /** Called with lines, to be handed back in turn. */
  onFeedLines(connection: LineConnection, lines: LineBlock): void;
  /** Called when the connection of the feed has ended, whose lines no longer count. */
  onFeedEnd(connection: LineConnection): void;
  /** Returns a promise to wait for before a block of another relay is passed on, or `null`. */
  whenMarked(writer: string, mark: number): Promise<void> | null;
  /** Returns the link to another relay, or `null`. */
  linkTo(relay: string): Link | null;
  /** Called with what a block says about producers, in its place. */
  onNotes(writer: string, head: StreamBlockHead, seq: number): void;
  /** Called with the last part of what is known of producers, which messages repeat. */
  onProducers(item: StreamItem & { kind: "producers" }, seq: number): void;
  /** Called when messages up to one were dropped before they were read. */
  onUnread(seq: number): void;
  /** Called with an epoch, in its place. */
  onEpochMessage(item: StreamItem & { kind: "epoch" }, seq: number): void;
  /** Called when events of this relay's clients have been passed on. */
  onOwn(): void;
  /** Called when events were dropped before they were read. */
  onMissing(from: number, to: number): void;
  /** Called with each message that is not from a relay. */
  onStranger(): void;
  /** Called with a message with a line that is longer than this relay permits. It is ignored. */
  onLongLine(): void;
  /** Called when a message has been dealt with. */
  onTaken(): void;
}

/** The parts that a {@link StreamFeed} uses. */
export interface FeedParts {
  readonly id: string;
  readonly router: Router<LineConnection>;
  readonly clusterRouter: ClusterRouter;
  readonly linkRouter: LinkRouter;
  readonly streamRouter: StreamRouter;
  readonly log: StreamLog;
  readonly values: StreamValues;
  readonly echo: boolean;
  readonly maxLineBytes: number;
  readonly maxPendingBytes: number;
}

/** Passes the events of the stream on. */
export class StreamFeed implements Routing<LineConnection> {
  readonly #parts: FeedParts;
  readonly #sink: FeedSink;
  readonly #ingress: Ingress<LineConnection>;
  readonly #stamper = new Stamper();
  #pipe: FeedPipe;
  #peer: Client;
  /** The messages whose lines have been handed on, and are not being passed on yet. */
  #coming: Arrival[] = [];
  #present: Present | null = null;
  #lastAt = 0;
  #isClosed = false;

  constructor(parts: FeedParts, sink: FeedSink) {
    this.#parts = parts;
    this.#sink = sink;
    this.#ingress = new Ingress<LineConnection>(
      new LineValidator(MAX_MAX_DEPTH),
      this,
      new SchemaFilter(undefined), // The relay that has kept them has checked them.
      () => this.#next(),
      () => true,
    );
    [this.#pipe, this.#peer] = this.#open();
  }

  #open(): [FeedPipe, Client] {
    const { maxLineBytes, maxPendingBytes } = this.#parts;
    const pipe = new FeedPipe(Math.ceil(maxPendingBytes / 4), (arrival) => this.#wait(arrival));
    const connection = new LineConnection(pipe, ["stream", 0]);
    connection.start({
      onLines: (_, lines) => this.#sink.onFeedLines(connection, lines),
      onClose: () => {},
    }, {
      maxLineBytes,
      keepAliveInterval: Infinity,
      writeTimeout: Infinity,
      lineTimeout: Infinity,
    });
    return [pipe, new Subscriber<LineConnection>(connection, new SubscriberGroup())];
  }

  /** The sender of the events, for a connection of this feed. */
  peerOf(connection: LineConnection): Client | undefined {
    return connection === this.#peer.recipient ? this.#peer : undefined;
  }

  /** Adds a message. */
  add(message: StreamMessage, missing: number | null): void {
    const item = decodeStreamMessage(message);
    if (item === null && message.writer !== DELETED) this.#sink.onStranger();
    const isTooLong = item?.kind === "block" && hasLineOver(this.#parts.maxLineBytes, item.lines);
    if (!isTooLong) return this.#pipe.add({ message, item, missing });
    // Clients were promised shorter lines.
    this.#sink.onLongLine();
    this.#pipe.add({ message, item: null, missing, skipped: item.head });
  }

  /** Waits for the events of its relay that come before a message. */
  #wait(arrival: Arrival): Promise<void> | null {
    this.#coming.push(arrival);
    const { message: { writer }, item } = arrival;
    const mark = item?.kind === "block" ? item.head.mark : undefined;
    return mark === undefined ? null : this.#sink.whenMarked(writer, mark);
  }

  /** Drops what has not been passed on, but for the rest of the present message. */
  rewind(): void {
    const { recipient } = this.#peer;
    this.#sink.onFeedEnd(recipient);
    const present = this.#present;
    if (present) {
      this.#ingress.take(this.#peer, present.lines.subarray(present.doneBytes), false);
    }
    this.#coming = [];
    recipient.abort();
    if (!this.#isClosed) [this.#pipe, this.#peer] = this.#open();
  }

  /** Takes lines that were handed on. */
  take(connection: LineConnection, bytes: Uint8Array, isLate: () => boolean): IngressResult {
    return this.#ingress.take(this.#peer, bytes, connection.hasMore, isLate);
  }

  /** Returns those of `clients` that would receive lines. */
  recipientsAmong(
    clients: readonly Client[],
    bytes: Uint8Array,
    isLate: () => boolean,
  ): Iterable<Client> {
    return this.#ingress.recipientsAmong(clients, this.#peer, bytes, isLate);
  }

  /** Begins with the next message. */
  #next(): void {
    const { message, item, missing, skipped } = this.#coming.shift()!;
    const { seq, at, writer } = message;
    const { log, id, echo, streamRouter } = this.#parts;
    if (missing !== null) {
      log.skipTo(seq);
      this.#sink.onMissing(missing, endOf(seq - 1));
      this.#sink.onUnread(seq - 1);
    }
    if (item?.kind === "epoch") this.#sink.onEpochMessage(item, seq);
    if (item?.kind === "values") this.#parts.values.repeat(item.values, seq);
    if (item?.kind === "producers" && writer === PRODUCERS_WRITER) {
      this.#sink.onProducers(item, seq);
    }
    const head = item?.kind === "block" ? item.head : null;
    const noted = head ?? skipped;
    if (noted) this.#sink.onNotes(writer, noted, seq);
    const isOwn = writer === id && head?.by === undefined;
    const own = head && isOwn ? this.#sink.returned(head.number) : [];
    if (!head || head.events === 0) {
      log.cover(seq);
      if (skipped) this.#sink.onMissing(offsetOf(seq, skipped.events, 0), endOf(seq));
      if (writer === DELETED) {
        this.#sink.onMissing(endOf(seq - 1) + 1, endOf(seq));
        this.#sink.onUnread(seq);
      }
      this.#sink.onTaken();
      return;
    }
    const queues = Map.groupBy(head.queues ?? [], ([event]) => event);
    const isPlain = streamRouter.filter.takesAll && !head.queues && !head.asks &&
      (own.length === 0 ||
        echo &&
          own.every(({ delivery, followers, moreQueues }) =>
            !delivery && followers.length === 0 && moreQueues.length === 0
          ));
    // The time by the clock of this relay, which the log needs. It never decreases.
    const time = Math.min(performance.now(), performance.now() - Date.now() + at);
    this.#lastAt = Math.max(this.#lastAt, time);
    this.#present = {
      seq,
      at: this.#lastAt,
      writer,
      offset: offsetOf(seq, head.events, 0),
      events: head.events,
      lines: item?.kind === "block" ? item.lines : NOTHING,
      queues: new Map(
        Array.from(queues, ([event, shares]) => [event, shares.map((each) => [each[1], each[2]])]),
      ),
      asks: new Map(head.asks),
      own,
      isPlain,
      done: 0,
      doneBytes: 0,
      entry: 0,
      entryDone: 0,
    };
  }

  // The events, in their order

  get routes(): RouteCache<LineConnection> {
    return this.#parts.router.routes;
  }

  get isIdle(): boolean {
    return this.#parts.router.isIdle && this.#present?.isPlain === true;
  }

  begin(): void {
    this.#parts.router.begin(this.#peer);
  }

  passRun(lines: Lines, count: number): void {
    const present = this.#present!;
    const { router, clusterRouter } = this.#parts;
    const offset = present.offset + present.done;
    this.#keep(lines, count, NO_SENDER);
    const isHeard = router.deliverKeptRun(lines, count, this.#stamper.prepareRun(offset, count));
    const isOwn = present.own.length > 0;
    if (isOwn && !isHeard && !clusterRouter.links.hearAll) router.eventsUnheard += count;
    this.#advance(lines, count);
  }

  pass(route: Route<LineConnection>, line: Lines): void {
    const present = this.#present!;
    const { streamRouter, values, echo } = this.#parts;
    const entry = present.own[present.entry];
    const offset = present.offset + present.done;
    const sender = entry && !echo ? entry.block.source.recipient.id : NO_SENDER;
    this.#keep(line, 1, sender);
    if (streamRouter.filter.keepingOf(route) === "last") {
      const bytes = line.block.bytes.slice(line.start, line.end);
      values.set({ name: route.name, offset, line: bytes, sender }, present.seq);
    }
    const stamp = this.#stamper.prepare(offset);
    const filter = this.#queuesOf(present, route);
    if (entry) this.#passOwn(entry, route, line, filter, stamp);
    else this.#passOther(present, route, line, filter, stamp);
    this.#advance(line, 1);
  }

  /** Adds events to the log, before clients receive them. */
  #keep({ block, start, end }: Lines, count: number, sender: number): void {
    const { offset, done, at } = this.#present!;
    this.#parts.log.add(block.bytes, start, end, count, sender, offset + done, at);
  }

  /** Returns the queues of which a client of this relay receives the present event. */
  #queuesOf({ queues, done }: Present, route: Route<LineConnection>): QueueFilter {
    const { id, clusterRouter } = this.#parts;
    const shares = queues.get(done) ?? [];
    return new QueueFilter(
      shares.filter(([, relay]) => relay === id).map(([queue]) => queue),
      shares.length > 0 ? clusterRouter.reachOf(route).queues : undefined,
    );
  }

  #passOwn(
    { block, delivery, moreQueues, isHeardElsewhere }: KeptEvents,
    route: Route<LineConnection>,
    line: Lines,
    filter: QueueFilter,
    stamp: (lines: Lines) => Lines,
  ): void {
    const { router, clusterRouter } = this.#parts;
    router.begin(block.source);
    const isHeard = router.deliverKept(route, line, delivery, filter, stamp);
    const queues = new Set([...filter.left, ...moreQueues]);
    const isPassed = queues.size > 0 &&
      clusterRouter.passAgain(route, line, false, delivery, queues, null);
    router.note(isHeard || isPassed || isHeardElsewhere, delivery);
    router.begin(this.#peer);
  }

  #passOther(
    { writer, asks, done }: Present,
    route: Route<LineConnection>,
    line: Lines,
    filter: QueueFilter,
    stamp: (lines: Lines) => Lines,
  ): void {
    const { router, clusterRouter, linkRouter } = this.#parts;
    const number = asks.get(done);
    const link = this.#sink.linkTo(writer);
    const report = number === undefined || !link ? null : new Report(number);
    router.deliverKept(route, line, report, filter, stamp);
    if (filter.left.size > 0 && link) {
      clusterRouter.noteNoMember();
      link.handBack(line.block.bytes.slice(line.start, line.end), [...filter.left], number);
    } else if (filter.left.size > 0) {
      clusterRouter.passAgain(route, line, false, null, filter.left, null);
    }
    if (report) linkRouter.report(link!, report);
  }

  /** Notes that events have been passed on. */
  #advance({ start, end }: Lines, count: number): void {
    const present = this.#present!;
    const { streamRouter, router } = this.#parts;
    for (let left = count; left > 0 && present.entry < present.own.length;) {
      const entry = present.own[present.entry]!;
      const part = Math.min(left, entry.events - present.entryDone);
      left -= part;
      present.entryDone += part;
      if (present.entryDone < entry.events) break;
      present.entry++;
      present.entryDone = 0;
      const offset = present.offset + present.done + count - left - 1;
      streamRouter.passed(entry, offset);
      router.begin(this.#peer);
    }
    present.done += count;
    present.doneBytes += end - start;
    if (present.done < present.events) return;
    this.#present = null;
    if (present.own.length > 0) this.#sink.onOwn();
    this.#sink.onTaken();
  }

  /** Does nothing: no event of the history is for one client alone. */
  passTo(): void {}

  end(hasMore: boolean): void {
    const { router, clusterRouter } = this.#parts;
    this.#stamper.reset();
    clusterRouter.links.end(this.#peer, false); // events that were handed on to queues
    router.end(hasMore);
  }

  search(source: Client, clients: readonly Client[]): Search<LineConnection> {
    const others = clients.filter(({ group }) => group.kind !== "catching-up");
    return this.#parts.router.search(source, others);
  }

  find(): undefined {
    return undefined;
  }

  /** Ends the feed. */
  close(): void {
    this.#isClosed = true;
    this.#peer.recipient.abort();
  }
}

/** Returns whether a line has more than `max` bytes, without its end. */
function hasLineOver(max: number, lines: Uint8Array): boolean {
  for (let start = 0; lines.length - start > max + 1;) {
    const end = lines.indexOf(LF, start);
    if (end < 0 || end - start > max) return true;
    start = end + 1;
  }
  return false;
}
