/**
 * Reads the stream of a cluster in order, and agrees with the other relays on the epoch.
 *
 * The epoch is a message of the stream, so all relays change it at the same place of the one order.
 * A new one begins where the stream may have lost events that clients have received: with the first
 * relay of a cluster, since nobody knows what the relays before have delivered; if the stream ends
 * before what this relay has delivered, or has other messages there; and if the only server with the
 * stream was started anew. The message says how far the epochs before go on in it.
 *
 * @module
 */

import type { HistoryPosition } from "../protocol/history.ts";
import { randomId } from "../protocol/random_id.ts";
import {
  decodeStreamMessage,
  encodeEpoch,
  endOf,
  EPOCH_WRITER,
  seqOf,
  withCommon,
} from "./stream_format.ts";
import type { StreamLog } from "./stream_log.ts";
import {
  StreamError,
  type StreamInfo,
  type StreamMessage,
  type StreamPort,
  type StreamReader,
  type StreamSettings,
} from "./stream_port.ts";

/** Interval between looks at the state of the stream, in milliseconds. */
const LOOK_MS = 1000;

/** Wait before another attempt, in milliseconds. */
const RETRY_MS = 250;

/**
 * Wait before a stream that was deleted is made anew, in milliseconds. nats-server 2.9 cannot use one
 * that is made while its files are being deleted.
 */
const DELETED_MS = 1000;

/** Number of messages of which it is remembered which they were. */
const MAX_RECENT = 4096;

/** How often a relay that comes looks for the epoch, while others may repeat it. */
const MAX_EPOCH_LOOKS = 8;

/** How often a relay that comes tries to begin an epoch. */
const MAX_ATTEMPTS = 20;

/** The writer of a message that stands for one that was deleted, and for those before it. */
export const DELETED = "";
const DELETED_MESSAGE = { writer: DELETED, stamp: "", data: new Uint8Array(0) };

/** The relay, as its follower sees it. */
export interface FollowerSink {
  /**
   * Called with each message, in order. {@link StreamFollower.taken} notes that it was dealt with.
   * `missing` is the offset of the first event that was dropped before it, or `null`. The writer is
   * {@link DELETED} if the message itself is gone, too.
   */
  onMessage(message: StreamMessage, missing: number | null): void;
  /** Called when messages that were not dealt with are lost. One that was begun is to be completed. */
  onRewind(): void;
  /**
   * Called when the stream can be written.
   *
   * @param own The last message of this relay.
   * @param isKnown Whether further messages of this relay are certainly not in the stream.
   */
  onAgreed(own: StreamMessage | null, isKnown: boolean): void;
  /** Called when the stream cannot be used for a moment. */
  onPause(): void;
  /** Returns whether messages of this relay are expected. */
  isWaiting(): boolean;
  /** Called when another epoch has begun. `isLoss` is set if events of this relay are lost. */
  onEpoch(isLoss: boolean): void;
  /** Called when the stream refuses to be used, or when no server with it answers. */
  onRefused(fault: string, isAbsent: boolean): void;
  /** Called when the stream cannot be reached. */
  onAway(): void;
}

/** A message that was received. */
interface Recent {
  readonly seq: number;
  readonly stamp: string;
}

/** The epoch, as the stream has it. */
interface Epoch {
  readonly epoch: string;
  readonly before: readonly HistoryPosition[];
  readonly seq: number;
  readonly server: string;
}

/** Reads the stream for one relay. */
export class StreamFollower {
  readonly #port: StreamPort;
  readonly #log: StreamLog;
  readonly #id: string;
  readonly #settings: StreamSettings;
  readonly #sink: FollowerSink;
  /** The last message that was received, and which the last ones were. 0 before the first. */
  #seq = 0;
  #recent: Recent[] = [];
  #created = "";
  #serverId = "";
  #epochSeq = 0;
  #reader: StreamReader | null = null;
  /** Messages of this reader, or of those before, that were not dealt with. */
  #untaken = 0;
  /** Whether another reader is made once they have been dealt with. */
  #isWaiting = false;
  #isClosed = false;
  #doubts = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #wake: (() => void) | null = null;
  #running: Promise<void> = Promise.resolve();

  /**
   * Creates a follower of a stream.
   *
   * @param id The ID of the relay.
   * @param settings How the stream is made if there is none.
   */
  constructor(
    port: StreamPort,
    log: StreamLog,
    id: string,
    settings: StreamSettings,
    sink: FollowerSink,
  ) {
    this.#port = port;
    this.#log = log;
    this.#id = id;
    this.#settings = settings;
    this.#sink = sink;
  }

  /**
   * Opens the stream, and starts to read.
   *
   * @param isFirst Whether no other relay is there.
   * @param start Returns the message after which to begin.
   * @returns The state of the stream.
   * @throws {Error} If the stream cannot be used. The message says why.
   */
  async open(isFirst: boolean, start: (info: StreamInfo) => Promise<number>): Promise<StreamInfo> {
    let info: StreamInfo;
    let from: number | undefined;
    for (let attempt = 1;; attempt++) {
      try {
        info = await this.#openStream();
        if (info.fault !== null) throw new StreamError("refused", info.fault);
        from ??= await start(info);
        await this.#agree(info, isFirst, from);
        break;
      } catch (error) {
        // Another relay may come at the same time.
        const isConflict = (error as StreamError).failure === "conflict";
        if (!isConflict || attempt === MAX_ATTEMPTS) throw error;
      }
    }
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#running = this.#follow();
    return info;
  }

  async #openStream(): Promise<StreamInfo> {
    let found = await this.#port.info();
    if (!found && this.#created !== "") {
      await this.#pause(DELETED_MS);
      found = await this.#port.info();
    }
    if (found) return found;
    await this.#port.create(this.#settings);
    const info = await this.#port.info();
    if (info) return info;
    throw new StreamError("refused", "the stream that was just made is not there");
  }

  /** Agrees on the epoch, and on the message with which to go on. */
  async #agree(info: StreamInfo, isFirst: boolean, from = 0): Promise<void> {
    const isNew = this.#created === "";
    const found = await this.#findEpoch(info, isNew && !isFirst);
    const common = isNew ? 0 : await this.#commonWith(info);
    const hasLost = !isNew && common < this.#seq;
    const isKnown = found === null || found.epoch === this.#log.epoch;
    const mayHaveLost = hasLost || info.isClustered && this.#hasOtherServer(info);
    const isDoubtful = this.#isStale(found, info) ||
      (isNew ? isFirst : mayHaveLost && isKnown);
    let next = found;
    if (!found || isDoubtful) {
      const base = found ?? (isNew || info.created !== this.#created ? null : this.#log);
      const through = hasLost ? Math.min(endOf(common), endOf(info.last)) : endOf(info.last);
      const goesOn = base !== null && !isDoubtful;
      const epoch = goesOn ? base.epoch : randomId(4);
      const before = !base
        ? []
        : goesOn
        ? base.before
        : withCommon(base.before, { epoch: base.epoch, offset: through });
      const server = this.#port.serverId;
      const data = encodeEpoch(epoch, before, server);
      const expected = { last: info.last, lastOfWriter: found?.seq ?? 0 };
      const seq = await this.#port.publish(EPOCH_WRITER, data, expected);
      next = { epoch, before, seq, server };
    }
    this.#adopt(next!, info, common, from);
    const own = await this.#port.lastOf(this.#id);
    const present = await this.#port.info() ?? info;
    this.#log.note(present);
    // Of messages after the last one that was received, some may have been dropped.
    this.#sink.onAgreed(own, own !== null || present.first <= this.#seq + 1);
  }

  /** Returns whether the only server was started anew since an epoch began. */
  #isStale(epoch: Epoch | null, { replicas, isClustered }: StreamInfo): boolean {
    return epoch !== null && replicas === 1 && !isClustered && epoch.server !== this.#port.serverId;
  }

  /**
   * Returns whether this relay has come to another server, or to one that was started anew, and only one
   * of them has the stream. Perhaps it is this one.
   */
  #hasOtherServer({ replicas }: StreamInfo): boolean {
    return this.#serverId !== "" && replicas === 1 && this.#serverId !== this.#port.serverId;
  }

  /** Finds the epoch. Another relay may be about to repeat it, because it was dropped. */
  async #findEpoch(info: StreamInfo, waits: boolean): Promise<Epoch | null> {
    for (let look = 1;; look++) {
      const message = await this.#port.lastOf(EPOCH_WRITER);
      const item = message && decodeStreamMessage(message);
      if (message && item?.kind === "epoch") return { ...item, seq: message.seq };
      if (!waits || info.last === 0 || look === MAX_EPOCH_LOOKS) return null;
      await this.#pause(RETRY_MS);
    }
  }

  /** Returns the last message that this relay has received and that the stream has had as well. */
  async #commonWith(info: StreamInfo): Promise<number> {
    if (info.created !== this.#created) return 0;
    const recent = this.#recent;
    if (recent.length === 0) return Math.min(this.#seq, info.last);
    /** The numbers of one that the stream has had, if any, and of one that it has not. */
    let had = -1;
    let lost = recent.length;
    for (let i = 1; had < 0 && lost > 0; i *= 2) {
      const next = Math.max(0, recent.length - i);
      if (await this.#isInStream(recent[next]!, info)) had = next;
      else lost = next;
    }
    while (lost - had > 1) {
      const middle = (had + lost) >> 1;
      if (await this.#isInStream(recent[middle]!, info)) had = middle;
      else lost = middle;
    }
    return recent[had]?.seq ?? 0;
  }

  /** Returns whether the stream has a message, or has had it. */
  async #isInStream({ seq, stamp }: Recent, { first, last }: StreamInfo): Promise<boolean> {
    if (seq > last) return false;
    const message = seq < first ? null : await this.#port.get(seq);
    return message === null || message.stamp === stamp;
  }

  /** Goes on in an epoch that the stream has. */
  #adopt(
    { epoch, before, seq }: Epoch,
    info: StreamInfo,
    common: number,
    from: number,
  ): void {
    const isNew = this.#created === "";
    const isOther = epoch !== this.#log.epoch;
    const through = isOther
      ? before.findLast((each) => each.epoch === this.#log.epoch)?.offset ?? -1
      : Infinity;
    const limit = Math.min(through, endOf(common));
    this.#created = info.created;
    this.#serverId = this.#port.serverId;
    this.#epochSeq = seq;
    let isLoss = false;
    if (isNew) this.#restart(Math.max(from, info.first - 1));
    else if (endOf(this.#seq) > limit) {
      this.#sink.onRewind();
      this.#untaken = 0;
      isLoss = this.#log.head > limit;
      if (isLoss) this.#restart(Math.max(seqOf(limit), info.first - 1));
      this.#seq = seqOf(this.#log.head);
      this.#recent = this.#recent.filter((each) => each.seq <= this.#seq);
    }
    this.#log.setEpoch(epoch, before);
    if (isOther && !isNew) this.#sink.onEpoch(isLoss);
  }

  /** Forgets what was read, and goes on after a message. */
  #restart(seq: number): void {
    this.#seq = seq;
    this.#recent = [];
    this.#log.reset(seq + 1);
  }

  /** Follows the stream until the end. */
  async #follow(): Promise<void> {
    let isFirst = true;
    while (!this.#isClosed) {
      try {
        if (!isFirst) await this.#resume();
        isFirst = false;
        if (this.#isClosed) return;
        await this.#read();
      } catch (error) {
        if (this.#isClosed) return;
        const { failure, message } = error as StreamError;
        const isAbsent = failure === "absent";
        const isRefused = failure === "refused" || isAbsent;
        if (isRefused && this.#port.isConnected) this.#sink.onRefused(message, isAbsent);
        await this.#pause(RETRY_MS);
        isFirst = false;
      }
    }
  }

  async #resume(): Promise<void> {
    this.#sink.onPause();
    if (!this.#port.isConnected) this.#sink.onAway();
    await Promise.race([this.#port.whenConnected(), this.#whenClosed()]);
    if (this.#isClosed) return;
    this.#doubts = false;
    const info = await this.#openStream();
    if (info.fault !== null) throw new StreamError("refused", info.fault);
    await this.#agree(info, false);
  }

  async #read(): Promise<void> {
    if (this.#untaken > 0) return this.#whenTaken();
    const reader = await this.#port.read(
      this.#seq + 1,
      (message) => this.#receive(reader, message),
    );
    this.#reader = reader;
    if (this.#isClosed || this.#doubts) reader.close();
    await reader.ended;
    this.#reader = null;
  }

  /**
   * Waits until the messages of earlier readers have been dealt with, so that they do not pile up, or
   * until the stream has to be looked at.
   */
  async #whenTaken(): Promise<void> {
    this.#isWaiting = true;
    while (this.#untaken > 0 && !this.#isClosed && !this.#doubts && this.#port.isConnected) {
      await this.#pause(LOOK_MS);
    }
    this.#isWaiting = false;
  }

  #receive(reader: StreamReader, message: StreamMessage): void {
    const { seq, stamp } = message;
    if (this.#isClosed || this.#doubts) return;
    if (seq <= this.#seq) return reader.taken(1);
    const missing = seq > this.#seq + 1 ? endOf(this.#seq) + 1 : null;
    this.#seq = seq;
    this.#recent.push({ seq, stamp });
    if (this.#recent.length > 2 * MAX_RECENT) this.#recent = this.#recent.slice(-MAX_RECENT);
    this.#untaken++;
    this.#sink.onMessage(message, missing);
  }

  /** Notes that messages have been dealt with. */
  taken(messages: number): void {
    this.#untaken = Math.max(0, this.#untaken - messages);
    this.#reader?.taken(messages);
    if (this.#untaken === 0 && this.#isWaiting) this.#wake?.();
  }

  /** Takes over an epoch that another relay has begun, at its place among the messages. */
  onEpoch(epoch: string, before: readonly HistoryPosition[], seq: number): void {
    this.#epochSeq = Math.max(this.#epochSeq, seq);
    if (epoch === this.#log.epoch || seq < this.#epochSeq) return;
    const through = before.findLast((each) => each.epoch === this.#log.epoch)?.offset;
    this.#log.setEpoch(epoch, before);
    this.#sink.onEpoch(through === undefined || this.#log.head > through);
  }

  /** Looks at the stream again before anything else is written or read. */
  doubt(): void {
    this.#doubts = true;
    this.#sink.onPause();
    this.#reader?.close();
    if (this.#isWaiting) this.#wake?.();
  }

  /** Looks at the state of the stream, and repeats the epoch if it was dropped. */
  async #look(): Promise<void> {
    if (!this.#reader || this.#doubts || !this.#port.isConnected) return;
    try {
      const received = this.#seq;
      const info = await this.#port.info();
      if (this.#isClosed || !this.#reader) return;
      if (!info || info.created !== this.#created || info.last < received) return this.doubt();
      this.#log.note(info);
      // Messages that this relay waits for may have been dropped, and no other may follow.
      if (info.first > this.#seq + 1 && this.#sink.isWaiting()) return this.doubt();
      if (info.last > received) await this.#passDeleted(received, info.last);
      if (info.first <= this.#epochSeq) return;
      const data = encodeEpoch(this.#log.epoch, this.#log.before, this.#port.serverId);
      this.#epochSeq = await this.#port.publish(EPOCH_WRITER, data, { lastOfWriter: 0 });
    } catch {
      // The next look may have more luck. Another relay may have repeated it.
    }
  }

  /** Goes on to the end of the stream if all messages up to there were deleted, since none will come. */
  async #passDeleted(received: number, last: number): Promise<void> {
    const next = await this.#port.next(received + 1);
    const reader = this.#reader;
    if (next || !reader || this.#seq !== received) return;
    this.#receive(reader, { ...DELETED_MESSAGE, seq: last, at: Date.now() });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #whenClosed(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  /** Stops reading. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#reader?.close();
    this.#wake?.();
    await this.#running;
  }
}
