/**
 * The history of a cluster at one of its relays: joins the stream, the events that go there and come
 * back, and the clients that ask for them. Loaded only by relays of a cluster with a history.
 *
 * @module
 */

import type { Backplane } from "../cluster/backplane.ts";
import type { Link } from "../cluster/links.ts";
import { NameFilter } from "../history/name_filter.ts";
import type { HistoryRules } from "../history/options.ts";
import { MAX_HEAD_BYTES } from "../history/outgoing_block.ts";
import { ProducerTable } from "../history/producer_table.ts";
import { StreamFollower } from "../history/stream_follower.ts";
import {
  decodeStreamMessage,
  encodeStreamBlock,
  encodeValues,
  endOf,
  seqOf,
  type StreamBlockHead,
  type StreamItem,
  VALUES_WRITER,
} from "../history/stream_format.ts";
import { StreamLog } from "../history/stream_log.ts";
import type { StreamInfo, StreamMessage, StreamPort } from "../history/stream_port.ts";
import { settingsOf, weaknessesOf } from "../history/stream_settings.ts";
import { StreamValues } from "../history/stream_values.ts";
import { StreamWriter } from "../history/stream_writer.ts";
import { TableStore } from "../history/table_store.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import type { ClusterGateway } from "./cluster_gateway.ts";
import { HistoryGateway, type HistorySink } from "./history_gateway.ts";
import type { KeptEvents } from "./kept_events.ts";
import type { Router } from "./router.ts";
import { StreamFeed } from "./stream_feed.ts";
import { StreamProducers } from "./stream_producers.ts";
import { StreamRouter } from "./stream_router.ts";

/**
 * How long events wait for those before them that come another way, in milliseconds. Then they are
 * passed on, perhaps before those.
 */
const MAX_WAIT_MS = 1000;

/** Interval between looks at what the stream is about to drop and has to repeat, in milliseconds. */
const REPEAT_MS = 1000;

/** How long a relay that ends waits until the stream has its events, in milliseconds. */
const STOP_MS = 2000;

const CANNOT = "Cannot keep the history of the cluster";

/** The relay, as the history of its cluster sees it. */
export interface StreamHistorySink extends HistorySink {
  /** Called with lines of the stream, to be handed back in turn. */
  onFeedLines(connection: LineConnection, lines: LineBlock): void;
  /** Called when it is not known whether events were kept that have not been acknowledged. */
  onUnknown(detail: string): void;
  /** Called with a client whose acknowledgements can be given once events up to an offset are kept. */
  onAdded(client: LineConnection, offset: number): void;
  /** Called when lines of the stream that wait no longer count. */
  onFeedEnd(connection: LineConnection): void;
}

/** The parts of the history of a cluster. */
export interface StreamHistoryParts {
  /** The ID of the relay. */
  readonly id: string;
  readonly gateway: ClusterGateway;
  readonly backplane: Backplane;
  readonly router: Router<LineConnection>;
  readonly rules: HistoryRules;
  readonly echo: boolean;
  readonly maxPendingBytes: number;
  readonly maxLineBytes: number;
}

/**
 * Prepares the history of a cluster that has been joined. {@link StreamHistory.open} opens it.
 *
 * @throws {Error} If NATS takes too short messages.
 */
export async function prepareStreamHistory(
  parts: StreamHistoryParts,
  sink: StreamHistorySink,
): Promise<StreamHistory> {
  const { backplane, maxLineBytes } = parts;
  const minMessageBytes = maxLineBytes + 1 + MAX_HEAD_BYTES;
  if (!backplane.openStream) throw new Error(`${CANNOT}: the backplane has no stream`);
  const port = await backplane.openStream(minMessageBytes);
  const { maxMessageBytes } = port;
  if (maxMessageBytes >= minMessageBytes) return new StreamHistory(parts, port, sink);
  throw new Error(
    `${CANNOT}: NATS takes messages of ${maxMessageBytes} bytes, and lines of ${maxLineBytes} ` +
      `bytes need ${minMessageBytes}; raise max_payload there, or lower --max-line-bytes here`,
  );
}

/** The history of a cluster at one relay. */
export class StreamHistory {
  /** Answers the clients that ask for events. */
  readonly gateway: HistoryGateway;
  /** Keeps the events of clients. */
  readonly routing: StreamRouter;
  /** Passes the events of the stream on. */
  readonly feed: StreamFeed;

  readonly #cluster: ClusterGateway;
  readonly #log: StreamLog;
  readonly #values: StreamValues;
  readonly #port: StreamPort;
  readonly #writer: StreamWriter<KeptEvents>;
  readonly #follower: StreamFollower;
  readonly #table: ProducerTable;
  readonly #store: TableStore;
  readonly #producers: StreamProducers;
  readonly #id: string;
  readonly #sink: StreamHistorySink;
  readonly #rules: HistoryRules;
  readonly #readsAll: boolean;
  #strangers = 0;
  #longLines = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Resolves when this relay has read all that it needs before it is ready. */
  readonly #caughtUp = Promise.withResolvers<void>();
  /** Number of agreements. What the stream had at an earlier one may be lost. */
  #agreements = 0;
  #isRepeating = false;
  #wasTooMuch = false;
  /** Whether there may be clients, to be told what is missing. */
  #isOpen = false;
  /** Whether the stream may have lost what this relay has noted of producers. */
  #hasLost = false;

  constructor(parts: StreamHistoryParts, port: StreamPort, sink: StreamHistorySink) {
    const { id, gateway, router, rules, echo, maxPendingBytes, maxLineBytes } = parts;
    this.#id = id;
    this.#cluster = gateway;
    this.#port = port;
    this.#sink = sink;
    this.#rules = rules;
    this.#readsAll = rules.keepLast.length > 0;
    const log = this.#log = new StreamLog(port);
    const values = this.#values = new StreamValues(new NameFilter(rules.keepLast));
    const { lastValues } = values;
    const clusterRouter = gateway.routing;
    const writer = () => this.#writer;
    this.routing = new StreamRouter({
      router,
      clusterRouter,
      rules,
      writer,
      owner: () => this.#producers,
      onAdded: (client, offset) => sink.onAdded(client, offset),
    });
    gateway.onNewLink = (link) => this.routing.order.introduce(link);
    gateway.onMembersLost = (link) => this.#serve(link);
    this.#writer = new StreamWriter(port, id, {
      mark: (entries) => this.routing.order.markFor(entries),
      onDoubt: () => this.#follower.doubt(),
      onRefused: (fault) => this.#onRefused(fault),
      onAccepted: () => {
        log.isBroken = false;
        this.routing.onMended();
      },
    });
    const table = this.#table = new ProducerTable();
    this.#store = new TableStore(port, table);
    this.#producers = new StreamProducers({ id, table, log, writer }, {
      setProducer: (client, producer) => this.routing.setProducer(client, producer),
      onOwned: (producer) => this.routing.onOwned(producer),
      onDenied: (producer) => this.routing.onDenied(producer),
      onDropped: (entries) => this.routing.drop(entries),
      onEnded: (...client) => sink.onEnded(...client),
      heardAt: (relay) => gateway.linkTo(relay)?.stream.heardAt ?? null,
      disown: (relay) => this.#disown(relay),
    });
    this.feed = new StreamFeed({
      id,
      router,
      clusterRouter,
      linkRouter: gateway.linkRouter,
      streamRouter: this.routing,
      log,
      values,
      echo,
      maxLineBytes,
      maxPendingBytes,
    }, {
      returned: (number) => {
        const dropped = this.#writer.dropBefore(number);
        if (dropped.length > 0) queueMicrotask(() => this.#giveUp(dropped)); // The present goes first.
        return this.#writer.returned(number) ?? [];
      },
      onFeedLines: (connection, lines) => sink.onFeedLines(connection, lines),
      onFeedEnd: (connection) => sink.onFeedEnd(connection),
      whenMarked: (writer, mark) => this.#whenMarked(writer, mark),
      linkTo: (relay) => gateway.linkTo(relay),
      onEpochMessage: (item, seq) => this.#onEpochMessage(item, seq),
      onNotes: (relay, { by, ...notes }, seq) => this.#producers.apply(relay, by, notes, seq),
      onProducers: ({ parts }, seq) => this.#store.note(parts, seq),
      onUnread: (seq) => {
        if (seq <= table.seq) return; // It was restored with that.
        table.clear();
        this.#loseProducers();
      },
      onOwn: () => {
        if (!log.isBroken) this.routing.onSynced();
      },
      onMissing: (from, to) => {
        if (this.#isOpen) this.gateway.tellMissing(from, to);
      },
      onStranger: () => this.#onStranger(),
      onLongLine: () => this.#onLongLine(),
      onTaken: () => this.#follower.taken(1),
    });
    this.#follower = new StreamFollower(port, log, id, settingsOf(rules), {
      onMessage: (message, missing) => this.feed.add(message, missing),
      onRewind: () => this.feed.rewind(),
      onAgreed: (own, isKnown) => this.#onAgreed(own, isKnown),
      onPause: () => this.#writer.pause(),
      isWaiting: () => !this.#writer.isDone,
      onEpoch: (isLoss) => this.#onEpoch(isLoss),
      onRefused: (...refusal) => this.#writer.noteRefusal(...refusal),
      onAway: () => this.#writer.noteAway(),
    });
    const onNothing = () => Promise.resolve();
    this.gateway = new HistoryGateway({
      router,
      log,
      routing: this.routing,
      rules,
      echo,
      maxPendingBytes,
      lastValues,
      producers: this.#producers,
      onSegment: onNothing,
      onReopen: onNothing,
    }, sink);
  }

  /**
   * Opens the stream. Resolves when this relay knows all that it needs of it.
   *
   * @throws {Error} If the stream cannot be used. The message says why.
   */
  async open(): Promise<void> {
    let info: StreamInfo;
    try {
      info = await this.#follower.open(!this.#cluster.hasOthers, async (info) => {
        const seq = await this.#store.restore(info);
        return this.#readsAll ? 0 : seq;
      });
    } catch (error) {
      await this.stop();
      throw new Error(`${CANNOT}: ${(error as Error).message}`, { cause: error });
    }
    for (const weakness of weaknessesOf(info, this.#rules)) {
      this.#sink.onHistoryFault(`the stream of the cluster is weaker than asked for: ${weakness}`);
    }
    await this.#caughtUp.promise;
    this.#isOpen = true;
    this.#values.begin();
    this.#timer = setInterval(() => this.#repeat(), REPEAT_MS);
  }

  /** Lets {@link open} not wait until everything was read, since the relay ends. */
  waitNoLonger(): void {
    this.#caughtUp.resolve();
  }

  #onAgreed(own: StreamMessage | null, isKnown: boolean): void {
    const { number = 0, by } = headOf(own) ?? {};
    // Perhaps the message that disowns this relay was dropped with all others that it has not read.
    const isUnread = own === null && !isKnown;
    // Then it has written nothing since, and all that waits is of before.
    const isDisowned = isUnread || by !== undefined;
    // Another relay may not have found out the number.
    const isCertain = isKnown && (by === undefined || number > 0);
    const lost = this.#writer.start(own?.seq ?? 0, number, isCertain, isDisowned);
    if (lost.entries.length > 0) this.#giveUp(lost.entries);
    if (isUnread || isDisowned && this.#producers.noteDisowned(own!.seq)) {
      this.#producers.reset([...lost.dropped, ...this.#writer.disown()]);
    } else this.routing.drop(lost.dropped);
    if (this.#hasLost || lost.hasNotes) this.#loseProducers(this.#hasLost);
    this.#hasLost = false;
    this.#catchUp();
  }

  /** Notes when everything is here that the stream has now, if there is no further agreement. */
  async #catchUp(): Promise<void> {
    const agreement = ++this.#agreements;
    await this.#log.whenHas(endOf(this.#log.info!.last));
    if (agreement === this.#agreements) this.#caughtUp.resolve();
  }

  /** Ends the connections of the producers of this relay, which it cannot be sure of any more. */
  #loseProducers(isLoss = false): void {
    this.#producers.reset(this.#writer.disown(isLoss));
  }

  /** Lets another relay own no producer any more, since it is gone. Its next block will be refused. */
  async #disown(relay: string): Promise<void> {
    try {
      const last = await this.#port.lastOf(relay);
      const { number = 0, by } = headOf(last) ?? {};
      if (by !== undefined) return; // This relay has not read it yet.
      const head = { number, events: 0, disowns: true, by: this.#id } as const;
      const expected = { lastOfWriter: last?.seq ?? 0 };
      await this.#port.publish(relay, encodeStreamBlock(head, []), expected);
    } catch {
      // It will be tried again, if it is still necessary.
    }
  }

  #giveUp(lost: readonly KeptEvents[]): void {
    this.routing.giveUp(lost);
    this.#sink.onUnknown("it is not known whether events were kept");
  }

  #onRefused(fault: string): void {
    this.#log.isBroken = true;
    this.routing.onBroken(fault);
    this.routing.passUnkept(this.#writer.takeBack());
  }

  #onEpochMessage({ epoch, before }: StreamItem & { kind: "epoch" }, seq: number): void {
    this.#table.begin(epoch, seq);
    this.#follower.onEpoch(epoch, before, seq);
    if (this.#hasLost) this.#follower.doubt();
  }

  #onEpoch(isLoss: boolean): void {
    this.routing.order.forgetOffsets();
    this.#producers.rewind(seqOf(this.#log.head));
    if (isLoss) {
      this.#sink.onHistoryFault("JetStream has lost events that clients have received");
      this.#values.lose(this.#log.head, seqOf(this.#log.head));
      this.#table.clear();
      this.#hasLost = true;
    }
    this.gateway.endReaders("the history has begun a new epoch; connect again to go on");
  }

  #repeat(): void {
    const { info, head } = this.#log;
    if (!info || !this.#port.isConnected) return;
    if (this.#cluster.isFirst) this.#store.save(info, seqOf(head));
    if (this.#readsAll) this.#repeatValues(info);
  }

  /**
   * Repeats the last events of names that the stream is about to drop. One relay does so for all, but
   * each if one has been dropped, since perhaps not all know it. If two do, that is no harm.
   */
  async #repeatValues(info: StreamInfo): Promise<void> {
    if (this.#isRepeating) return;
    if (!this.#cluster.isFirst && !this.#values.hasDropped(info)) return;
    this.#isRepeating = true;
    try {
      const age = info.maxAge / 2;
      const offset = age === Infinity ? 0 : await this.#log.since(performance.now() - age);
      for (const part of this.#values.due(info, seqOf(offset), this.#port.maxMessageBytes)) {
        await this.#port.publish(VALUES_WRITER, encodeValues(part), {});
      }
    } catch {
      this.#values.retry();
    }
    this.#isRepeating = false;
    if (!this.#values.isTooMuch(info) || this.#wasTooMuch) return;
    this.#wasTooMuch = true;
    this.#sink.onHistoryFault(
      "the last events of names take more than a quarter of the stream, so those that it drops are " +
        "not kept for relays that start later; raise --keep-bytes and the limit of the stream",
    );
  }

  #onLongLine(): void {
    if (this.#longLines++ > 0) return;
    this.#sink.onHistoryFault(
      "an event in the stream of the cluster is longer than --max-line-bytes, so clients of this relay " +
        "do not get it; start all relays with the same limit",
    );
  }

  #onStranger(): void {
    if (this.#strangers++ > 0) return;
    this.#sink.onHistoryFault("a message in the stream of the cluster is not from a relay");
  }

  /** Returns a promise that resolves when the events before a mark of another relay are here. */
  #whenMarked(writer: string, mark: number): Promise<void> | null {
    const isThere = () => (this.#cluster.linkTo(writer)?.mark ?? mark) >= mark;
    return isThere() ? null : this.#waitForMark(isThere);
  }

  async #waitForMark(isThere: () => boolean): Promise<void> {
    const end = performance.now() + MAX_WAIT_MS;
    for (let left; !isThere() && (left = end - performance.now()) > 0;) {
      await orTimeout(this.#cluster.marked, Math.min(left, 100)); // The link may end.
    }
  }

  /**
   * Lets another relay, which has lost members of queues, read the kept events first that may still be
   * for these. If it is about to end, it passes them on, or hands them back.
   */
  async #serve(link: Link): Promise<void> {
    await orTimeout(this.routing.whenPassed() ?? Promise.resolve(), MAX_WAIT_MS);
    this.routing.order.precede(link, this.#log.head);
  }

  /** Returns whether the next lines of another relay come after events that are not here. */
  mustWait(connection: LineConnection): boolean {
    return !this.#log.isBroken && this.#cluster.afterOf(connection) > this.#log.head;
  }

  /** Returns a promise that resolves when these are here, or after a second, or `null`. */
  whenThere(connection: LineConnection): Promise<void> | null {
    if (!this.mustWait(connection)) return null;
    const there = this.#log.whenHas(this.#cluster.afterOf(connection));
    return orTimeout(there, MAX_WAIT_MS).then(() => this.#cluster.waitForNothing(connection));
  }

  /**
   * Resolves when the events of all clients have been passed on, or after some seconds; at once if the
   * stream cannot be reached.
   */
  whenPassed(): Promise<void> {
    if (!this.#port.isConnected) return Promise.resolve();
    return orTimeout(this.routing.whenPassed() ?? Promise.resolve(), STOP_MS);
  }

  /** Ends the history, once the stream has the events of this relay, or after some seconds. */
  async stop(): Promise<void> {
    await this.whenPassed();
    this.#producers.stop();
    if (this.#port.isConnected) await orTimeout(this.#writer.whenDone(), STOP_MS);
    clearInterval(this.#timer);
    this.#writer.close();
    await this.#follower.close();
    this.feed.close();
    await this.gateway.stop();
  }
}

/** Returns the head of a message with a block, or `null`. */
function headOf(message: StreamMessage | null): StreamBlockHead | null {
  const item = message && decodeStreamMessage(message);
  return item?.kind === "block" ? item.head : null;
}

/** Returns a promise that resolves when another one does, or after `ms` milliseconds. */
function orTimeout(promise: Promise<void>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
