/**
 * The log of a cluster, as one of its relays sees it: a stream, which all relays read. The latest
 * events are in memory. The others are read from the stream when a client asks for them.
 *
 * A message with n events and the sequence number s has the offsets from 4096·(s+1) − n on. So the last
 * event of a message has the offset 4096·(s+1) − 1, however many there are. A client that has received
 * everything up to there lacks nothing before message s+1, also when message s is no longer kept.
 *
 * @module
 */

import type { HistoryPosition } from "../protocol/history.ts";
import { NOTHING } from "../protocol/utf8.ts";
import { KeptBlock, NO_SENDER } from "./kept_block.ts";
import type { KeptLog } from "./log.ts";
import { MemoryLog } from "./memory_log.ts";
import { decodeStreamMessage, endOf, MAX_EVENTS, offsetOf, seqOf } from "./stream_format.ts";
import {
  StreamError,
  type StreamInfo,
  type StreamMessage,
  type StreamPort,
} from "./stream_port.ts";

/** Bytes of the latest events that stay in memory. */
const TAIL_BYTES = 33_554_432;

/** How long a reader waits that knows more of the stream than this relay, in milliseconds. */
const MAX_WAIT_MS = 5000;

/**
 * Number of messages that are got at a time, for all readers together. A message has about 1 MiB at
 * most, and nats-server ends a connection on which 64 MiB wait.
 */
const MAX_GETS = 16;

/**
 * The most messages that are read together, and their size in bytes, unless one message is longer.
 * Each reader holds as much.
 */
const PART_MESSAGES = 32;
const PART_BYTES = 524_288;

/** The most messages that stay in memory for further readers, and their size in bytes. */
const MAX_CACHED = 2048;
const MAX_CACHED_BYTES = 33_554_432;

/** Keeps the events of a cluster. */
export class StreamLog implements KeptLog {
  epoch = "";
  isBroken = false;
  /** The size of the stream, in bytes. */
  bytes = 0;
  events = 0;
  evicted = 0;

  readonly #port: Pick<StreamPort, "get" | "info" | "next">;
  #before: readonly HistoryPosition[] = [];
  #first = 1;
  #info: StreamInfo | null = null;
  #tail: MemoryLog;
  /** Messages of the stream before this relay has read it. Each has an event at least. */
  #messagesBefore = 0;
  #messagesEvicted = 0;
  /** Parts of the stream, by the numbers of their messages. */
  readonly #cache = new Map<number, Promise<KeptBlock>>();
  #cachedBytes = 0;
  /** Parts that are being read, each by the number of the {@link PART_MESSAGES} that it is of. */
  readonly #pending = new Map<number, Promise<KeptBlock>>();
  readonly #reads = new Set<Promise<unknown>>();
  /** Number of messages that are being got, and the turns of those that wait for that. */
  #getting = 0;
  readonly #turns: (() => void)[] = [];
  /** Settles when no request about the stream is on its way. The next one waits for that. */
  #asked: Promise<unknown> = Promise.resolve();
  #nextAnswer: Promise<StreamInfo | null> | null = null;
  /** The offsets that others wait for. */
  #waiting: { readonly offset: number; readonly resolve: () => void }[] = [];
  #isClosed = false;

  constructor(port: Pick<StreamPort, "get" | "info" | "next">) {
    this.#port = port;
    this.#tail = newTail(0);
  }

  get first(): number {
    return Math.min(this.#first, this.head + 1);
  }

  get head(): number {
    return this.#tail.head;
  }

  get synced(): number {
    return this.head;
  }

  throughOf(epoch: string): number | undefined {
    if (epoch === this.epoch) return this.head;
    return this.#before.findLast((each) => each.epoch === epoch)?.offset;
  }

  /** The epochs before this one, each with the last offset that they have in common. */
  get before(): readonly HistoryPosition[] {
    return this.#before;
  }

  /** Begins another epoch, or the first one. */
  setEpoch(epoch: string, before: readonly HistoryPosition[]): void {
    this.epoch = epoch;
    this.#before = before;
  }

  /** Forgets everything. The next event is one of the message `next`. */
  reset(next: number): void {
    this.#tail = newTail(endOf(next - 1));
    this.#forget();
    this.#pending.clear();
    this.events = 0;
    this.#messagesBefore = NaN;
  }

  /** The last state of the stream that is known, or `null`. */
  get info(): StreamInfo | null {
    return this.#info;
  }

  /** Takes over what is known of the stream. */
  note(info: StreamInfo): void {
    this.#info = info;
    const { first, last, messages, bytes } = info;
    this.#first = first * MAX_EVENTS;
    this.bytes = bytes;
    if (Number.isNaN(this.#messagesBefore)) {
      const unread = seqOf(this.head) < first
        ? 0
        : Math.min(messages, seqOf(this.head) - first + 1);
      this.#messagesBefore = unread;
      this.#messagesEvicted = first - 1;
      this.events = unread;
      this.evicted = first - 1;
      return;
    }
    const dropped = first - 1 - this.#messagesEvicted;
    this.#messagesEvicted = first - 1;
    this.evicted += dropped;
    this.events = first > last ? 0 : Math.max(0, this.events - dropped);
  }

  /** Adds events of a message, of which the first has this offset. */
  add(
    lines: Uint8Array,
    start: number,
    end: number,
    count: number,
    sender: number,
    offset: number,
    now: number,
  ): void {
    this.#tail.append(lines, start, end, count, sender, now, offset);
    this.events += count;
    this.#wake();
  }

  /** Notes that a message has no further events. */
  cover(seq: number): void {
    if (endOf(seq) > this.head) this.#tail.cover(endOf(seq));
    this.#wake();
  }

  /**
   * Goes on with a message, since those before it were dropped before they were read. Whoever asks for
   * them has to ask the stream, which may have dropped them after {@link note}.
   */
  skipTo(seq: number): void {
    this.#tail = newTail(endOf(seq - 1));
    this.#wake();
  }

  read(offset: number): KeptBlock | Promise<KeptBlock> {
    if (offset >= this.#tail.first) return this.#tail.read(offset);
    return this.#readOld(seqOf(offset));
  }

  #readOld(seq: number): Promise<KeptBlock> {
    const known = this.#cache.get(seq);
    if (known) return known;
    const number = Math.floor(seq / PART_MESSAGES);
    const other = this.#pending.get(number); // It may have this message.
    if (other) return this.#reading(other.then(() => this.#readOld(seq)));
    const read = this.#reading(this.#readPart(seq));
    this.#pending.set(number, read);
    const onEnd = (block: KeptBlock | null) => {
      if (this.#pending.get(number) !== read) return; // The log was reset.
      this.#pending.delete(number);
      if (block) this.#store(block, read);
    };
    read.then(onEnd, () => onEnd(null));
    return read;
  }

  #store({ first, last, size }: KeptBlock, read: Promise<KeptBlock>): void {
    const isFull = this.#cachedBytes + size > MAX_CACHED_BYTES || this.#cache.size >= MAX_CACHED;
    if (isFull) this.#forget();
    this.#cachedBytes += size;
    for (let seq = seqOf(first); seq <= seqOf(last); seq++) this.#cache.set(seq, read);
  }

  #forget(): void {
    this.#cache.clear();
    this.#cachedBytes = 0;
  }

  /**
   * Reads a message with some around it, up to where one is missing. It begins with one, and doubles
   * their number while they are small. They begin at a multiple of it. So whoever reads on, or
   * backwards, mostly reads each message once.
   */
  async #readPart(seq: number): Promise<KeptBlock> {
    const first = seqOf(this.#first);
    const last = seqOf(this.#tail.first - 1); // Only the events in memory have a sender.
    const message = await this.#get(seq);
    if (!message) return this.#readGap(seq);
    let start = seq;
    let messages: (StreamMessage | null)[] = [message];
    let size = sizeOf(messages);
    for (let count = 2; count <= PART_MESSAGES && size <= PART_BYTES / 2; count *= 2) {
      const next = start + messages.length;
      const begin = seq - seq % count;
      const before = await this.#getAll(Math.max(begin, first), start);
      const after = await this.#getAll(next, Math.min(begin + count, last + 1));
      size += sizeOf(before) + sizeOf(after);
      if (size > PART_BYTES) break;
      start -= before.length;
      messages = [...before, ...messages, ...after];
      if (messages.includes(null)) break;
    }
    const from = messages.lastIndexOf(null, seq - start) + 1;
    const to = messages.indexOf(null, seq - start);
    return toBlock(messages.slice(from, to < 0 ? undefined : to) as StreamMessage[]);
  }

  /**
   * Returns a block without events at the place of the events that follow a missing message. It was
   * dropped, as all before it, or it was deleted by hand.
   */
  async #readGap(seq: number): Promise<KeptBlock> {
    const next = await this.#inTurn(() => this.#port.next(seq));
    await this.#look();
    const first = Math.min(next ? next.seq * MAX_EVENTS : Infinity, this.#tail.first);
    return new KeptBlock(first, NOTHING.slice());
  }

  /** Gets the messages from one to before another one. */
  #getAll(start: number, end: number): Promise<(StreamMessage | null)[]> {
    const seqs = Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
    return Promise.all(seqs.map((seq) => this.#get(seq)));
  }

  #get(seq: number): Promise<StreamMessage | null> {
    return this.#inTurn(() => this.#port.get(seq));
  }

  /** Gets a message, in its turn. */
  async #inTurn(get: () => Promise<StreamMessage | null>): Promise<StreamMessage | null> {
    if (this.#getting < MAX_GETS) this.#getting++;
    else await new Promise<void>((resolve) => this.#turns.push(resolve));
    try {
      if (this.#isClosed) throw new StreamError("lost", "the log is closed");
      return await get();
    } finally {
      const next = this.#turns.shift();
      if (next) next();
      else this.#getting--;
    }
  }

  async #look(): Promise<void> {
    const info = await this.#ask();
    if (info) this.note(info);
  }

  /**
   * Asks about the stream. All who ask while a request is on its way share the next one, since the
   * stream may have changed after that one was answered.
   */
  #ask(): Promise<StreamInfo | null> {
    return this.#nextAnswer ??= this.#asked.then(() => {
      this.#nextAnswer = null;
      const answer = this.#port.info();
      this.#asked = Promise.allSettled([answer]);
      return answer;
    });
  }

  /** Returns a promise, for which {@link close} waits. */
  #reading<T>(read: Promise<T>): Promise<T> {
    this.#reads.add(read);
    const forget = () => this.#reads.delete(read);
    read.then(forget, forget);
    return read;
  }

  since(time: number): number | Promise<number> {
    const offset = this.#tail.since(time);
    if (offset > this.#tail.first || this.#tail.first <= this.first) {
      return Math.max(offset, this.first);
    }
    return this.#reading(this.#search(Date.now() - (performance.now() - time)));
  }

  /** Finds the first event that was stored at `at` or later, in milliseconds since 1970. */
  async #search(at: number): Promise<number> {
    let low = seqOf(this.first);
    let high = seqOf(this.#tail.first);
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const message = await this.#inTurn(() => this.#port.next(middle));
      if (message && message.at < at) low = message.seq + 1;
      else high = middle; // Messages that were deleted may be of that time.
    }
    await this.#look(); // Some may have been dropped.
    return Math.max(low * MAX_EVENTS, this.first);
  }

  look({ epoch = this.epoch, offset }: { epoch?: string; offset: number }): Promise<void> | null {
    const through = this.throughOf(epoch);
    // Another relay may have read more of the stream by now.
    if (through === undefined || epoch === this.epoch && offset > through) {
      return this.#reading(this.#catchUp());
    }
    return offset + 1 >= this.#tail.first ? null : this.#reading(this.#look());
  }

  /**
   * Waits for the events that the stream has now, for some seconds at most. Whether a position is one of
   * theirs is not known before.
   */
  async #catchUp(): Promise<void> {
    const info = await this.#ask();
    if (!info) return;
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new StreamError("lost", `the relay has not read it within ${MAX_WAIT_MS} ms`));
    }, MAX_WAIT_MS);
    try {
      await Promise.race([this.whenHas(endOf(info.last)), late.promise]);
    } finally {
      clearTimeout(timer);
    }
    this.note(await this.#ask() ?? info);
  }

  /** Resolves when everything up to an offset is here, or at the end. */
  whenHas(offset: number): Promise<void> {
    if (this.head >= offset || this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ offset, resolve }));
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    const head = this.#isClosed ? Infinity : this.head;
    this.#waiting = this.#waiting.filter(({ offset, resolve }) => offset > head || resolve());
  }

  bytesAfter(offset: number): number {
    if (offset + 1 >= this.#tail.first) return this.#tail.bytesAfter(offset);
    const messages = seqOf(this.head) - seqOf(this.first) + 1;
    const share = Math.min(1, (seqOf(this.head) - seqOf(offset)) / messages);
    return Math.max(this.#tail.bytes, Math.ceil(share * this.bytes));
  }

  /** Does nothing: the stream drops old messages by itself. */
  expire(): void {}

  /** Does nothing: that is the matter of the stream. */
  checkDisk(): void {}

  /** Waits until nothing is being read. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    await Promise.allSettled(this.#reads);
  }
}

function newTail(head: number): MemoryLog {
  const limits = { keepAge: Infinity, keepCount: Infinity, keepBytes: TAIL_BYTES };
  return new MemoryLog(limits, head, false);
}

/** Returns the size of messages, in bytes. */
function sizeOf(messages: readonly (StreamMessage | null)[]): number {
  return messages.reduce((sum, message) => sum + (message?.data.length ?? 0), 0);
}

/** Returns the events of some messages in a row. */
function toBlock(messages: readonly StreamMessage[]): KeptBlock {
  const start = messages[0]!.seq;
  const items = messages.map(decodeStreamMessage);
  const size = items.reduce(
    (sum, item) => sum + (item?.kind === "block" ? item.lines.length : 0),
    0,
  );
  const block = new KeptBlock(
    start * MAX_EVENTS,
    size > 0 ? new Uint8Array(size) : NOTHING.slice(),
  );
  for (const [i, item] of items.entries()) {
    const seq = start + i;
    if (item?.kind === "block" && item.head.events > 0) {
      const { head: { events }, lines } = item;
      block.add(lines, 0, lines.length, events, NO_SENDER, offsetOf(seq, events, 0));
    }
  }
  block.cover(endOf(start + messages.length - 1));
  block.close();
  return block;
}
