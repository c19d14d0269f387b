/**
 * Sends the lines of a client with `reconnect`, across its connections, and keeps the promises that
 * depend on them.
 *
 * | state of a line | next state |
 * | --- | --- |
 * | waiting | in flight, when it fits; dropped, by the overflow policy |
 * | in flight | settled; waiting, in doubt or unconfirmed, if the connection ends |
 * | in doubt | settled, waiting or unconfirmed, as the server says at the next connection |
 * | settled | |
 *
 * A line is in flight once it is in the connection's send queue. It is settled when the server has
 * acknowledged it. Without acknowledgements, that is when the operating system has taken it. Lines are
 * in doubt only if the server counts those of this client over its connections.
 *
 * @module
 */

import type { ClientConnection } from "./port.ts";
import { ConnectionClosedError } from "../errors.ts";
import { LineList } from "./line_list.ts";
import type { HistoryTerms } from "../protocol/history.ts";
import { matches } from "../protocol/pattern.ts";
import type { ProducerAnswer, ProducerClaim } from "../protocol/producer.ts";
import { randomId } from "../protocol/random_id.ts";
import { decoder } from "../protocol/utf8.ts";
import type { QueueBounds } from "./retry.ts";

/** Why a waiting line will not be sent. */
export type DropReason = "queue-full" | "line-too-long";

type DropListener = (line: Uint8Array, reason: DropReason) => void;

/** Number of pairs of characters of the ID of a producer: 96 random bits. */
const ID_PAIRS = 8;

/** The fate of events that may or may not have been taken, for messages. */
const ENDED = "in flight when the connection ended";

/** What a server says of the lines that it takes. */
export interface OutboxTerms {
  /** Whether it acknowledges them. */
  readonly hasAcks: boolean;
  /** The longest line that it takes, in bytes without the line end. */
  readonly maxLineBytes: number;
  /** How many lines of earlier connections it has taken, if it counts them. */
  readonly producer?: ProducerAnswer | undefined;
  /** What it keeps, if it keeps anything. */
  readonly history?: HistoryTerms | undefined;
}

/** A `flush()` call, which ends when the first `target` lines are settled. */
interface Flush extends PromiseWithResolvers<void> {
  target: number;
}

/** Sends lines through the current connection, in the order in which they were offered. */
export class Outbox {
  /** The number of dropped or refused lines, and of their bytes. */
  readonly lost = { lines: 0, bytes: 0 };
  /** The number of dropped lines. */
  dropped = 0;
  /** The lines in flight and those that wait. */
  readonly lines: LineList = new LineList();
  readonly #bounds: QueueBounds;
  readonly #maxInFlight: number;
  readonly #onDrop: DropListener;
  readonly #isCall: (line: Uint8Array) => boolean;
  /** The name under which a server counts the lines of this outbox. */
  readonly #id = randomId(ID_PAIRS);
  /** The number of attempts to connect, and of the last one that has succeeded. */
  #attempts = 0;
  #last = 0;
  /** The number of lines sent over earlier connections, without those in doubt. */
  #sentBefore = 0;
  /** Whether the server counts the lines, and what it keeps. */
  #isCounted = false;
  #history: HistoryTerms | undefined;
  /** The lines in doubt. `null` for one that must not be sent again. */
  #doubt: (Uint8Array | null)[] = [];
  /** The number of lines accepted and not withdrawn. */
  #accepted = 0;
  #connection: ClientConnection | null = null;
  #hasAcks = false;
  #maxLineBytes = Infinity;
  /** The number of lines of this connection that are settled. */
  #settledHere = 0;
  /** The number of its lines acknowledged, and of those settled without that. */
  #acknowledged = 0;
  #unacknowledged = 0;
  /** The lines for this connection only. They contain client IDs, which change on reconnect. */
  readonly #connectionOnly = new WeakSet<Uint8Array>();
  /** The lines in flight that are no longer needed, and not sent again. */
  readonly #withdrawn = new WeakSet<Uint8Array>();
  /** The number of lines acknowledged on earlier connections. */
  #acknowledgedBefore = 0;
  readonly #flushes: Flush[] = [];
  #room: PromiseWithResolvers<void> | null = null;
  #watched: ClientConnection | null = null;

  /**
   * Creates an outbox without a connection.
   *
   * @param bounds The limits of the waiting lines.
   * @param maxInFlight The maximum number of bytes queued for the peer or unacknowledged by it.
   * @param onDrop Called with each dropped line.
   * @param isCall Returns whether a line is that of a call, which tells its caller what becomes of it.
   */
  constructor(
    bounds: QueueBounds,
    maxInFlight: number,
    onDrop: DropListener,
    isCall: (line: Uint8Array) => boolean = () => false,
  ) {
    this.#bounds = bounds;
    this.#maxInFlight = maxInFlight;
    this.#onDrop = onDrop;
    this.#isCall = isCall;
  }

  /** The number of accepted lines that are neither waiting nor in flight nor in doubt. */
  get settled(): number {
    return this.#accepted - this.lines.length - this.#doubt.length;
  }

  /** The number of lines for the next connection, with those that the server may turn out to have. */
  get waiting(): number {
    return this.lines.waiting + this.#doubt.filter((line) => line !== null).length;
  }

  /** Returns what this client says of its lines at another attempt to connect. */
  claim(): ProducerClaim {
    const settled = this.#sentBefore;
    const sent = settled + this.#doubt.length;
    const attempt = ++this.#attempts;
    const epoch = this.#history?.epoch;
    return { id: this.#id, sent, settled, attempt, last: this.#last, epoch };
  }

  /** The number of lines that servers have acknowledged. */
  get acknowledged(): number {
    return this.#acknowledgedBefore + Math.min(this.#acknowledged, this.#settledHere);
  }

  /**
   * Whether the server acknowledges every line sent on this connection. This is not so for lines
   * that the operating system took before a late welcome, because they were not kept.
   */
  get isAcknowledged(): boolean {
    return this.#hasAcks && this.#acknowledged >= this.#unacknowledged;
  }

  // Lines

  /**
   * Sends or queues a line, which must not change any more.
   *
   * @param line The line.
   * @param connectionOnly Whether it is only for the current connection.
   * @returns `false` if the queue refuses the line.
   */
  offer(line: Uint8Array, connectionOnly = false): boolean {
    if (connectionOnly) this.#connectionOnly.add(line);
    const connection = this.#connection;
    const isDirect = connection?.open && this.lines.waiting === 0 && this.#fits(connection, line);
    if (!isDirect && !this.#makeRoom(line)) return this.#bounds.overflow !== "refuse";
    this.#accepted++;
    this.lines.push(line);
    if (isDirect) this.#sendNext(connection);
    else this.#fill();
    return true;
  }

  /** Applies the overflow policy. Returns whether a line may wait. */
  #makeRoom(line: Uint8Array): boolean {
    const { maxQueuedEvents, maxQueuedBytes, overflow } = this.#bounds;
    const maxBytes = maxQueuedBytes - line.length;
    const canFit = maxQueuedEvents > 0 && maxBytes >= 0;
    while (this.lines.waiting >= maxQueuedEvents || this.lines.waitingBytes > maxBytes) {
      if (overflow === "drop-oldest" && canFit) this.#dropNext("queue-full");
      else {
        if (overflow === "refuse") this.#countLost(line);
        else this.#drop(line, "queue-full");
        return false;
      }
    }
    return true;
  }

  /** Removes a waiting line that is no longer needed. */
  withdraw(line: Uint8Array): void {
    const at = this.lines.remove(line);
    if (at < 0) return void this.#withdrawn.add(line);
    this.#accepted--;
    const position = this.settled + at;
    for (const flush of this.#flushes) if (flush.target > position) flush.target--;
    this.#resolveFlushes();
    this.#progress();
  }

  /** Returns a promise that resolves when there is room for more. `null` if there is room now. */
  room(): Promise<void> | null {
    const connection = this.#connection;
    if (!connection || this.#hasRoom(connection, this.#maxInFlight / 2)) return null;
    if (!connection.reading && this.#isHalfEmpty) return null;
    this.#room ??= Promise.withResolvers<void>();
    this.#watch();
    return this.#room.promise;
  }

  /**
   * Waits until the server has acknowledged everything offered before. Without acknowledgements,
   * waits until the operating system has taken it.
   *
   * @throws {ConnectionClosedError} If the connection ends first.
   */
  async flush(): Promise<void> {
    const target = this.#accepted;
    if (this.settled >= target) return;
    const flush: Flush = { target, ...Promise.withResolvers<void>() };
    this.#flushes.push(flush);
    this.#watch();
    await flush.promise;
  }

  /**
   * Lets the callers of {@link room} go on, because the connection is not being read. No
   * acknowledgement arrives until the inbox has been read, possibly by these callers.
   */
  onPause(): void {
    if (this.#isHalfEmpty) this.#releaseRoom();
  }

  /** Whether at most half of the lines that may wait do so. */
  get #isHalfEmpty(): boolean {
    const { maxQueuedEvents, maxQueuedBytes } = this.#bounds;
    return this.lines.waiting <= maxQueuedEvents / 2 &&
      this.lines.waitingBytes <= maxQueuedBytes / 2;
  }

  // Connections

  /**
   * Sends through `connection` from now on. Decides what becomes of the lines in doubt.
   *
   * @param producer What the server says of them.
   * @returns Those of which it cannot say whether it has taken them.
   */
  begin(connection: ClientConnection, producer?: ProducerAnswer): Uint8Array[] {
    this.#connection = connection;
    this.#last = this.#attempts;
    this.#acknowledgedBefore = this.acknowledged;
    this.#hasAcks = this.#isCounted = false;
    this.#maxLineBytes = Infinity;
    this.#settledHere = this.#acknowledged = this.#unacknowledged = 0;
    const unconfirmed = this.#resolveDoubt(producer);
    if (unconfirmed.length > 0) this.#failFlushes(ENDED);
    this.#resolveFlushes();
    return unconfirmed;
  }

  #resolveDoubt(producer: ProducerAnswer | undefined): Uint8Array[] {
    const doubt = this.takeDoubt();
    const taken = producer?.taken ?? null;
    const count = Math.min(Math.max(0, (taken ?? 0) - this.#sentBefore), doubt.length);
    this.#sentBefore = taken ?? this.#sentBefore + doubt.length;
    this.#acknowledgedBefore += count;
    const left = doubt.slice(count).filter((line) => line !== null);
    const { kept = [] } = this.#history ?? {};
    const isUntaken = (line: Uint8Array) =>
      taken !== null && mayRepeat(line, producer!.exact, kept);
    const again = new Set(left.filter(isUntaken));
    this.lines.putBack([...again]);
    return left.filter((line) => !again.has(line));
  }

  /** Removes and returns the lines in doubt. */
  takeDoubt(): (Uint8Array | null)[] {
    const doubt = this.#doubt;
    this.#doubt = [];
    return doubt;
  }

  /** Applies the server's welcome, and sends the waiting lines. */
  onWelcome({ hasAcks, maxLineBytes, producer, history }: OutboxTerms): void {
    this.#hasAcks = hasAcks;
    this.#maxLineBytes = maxLineBytes;
    this.#isCounted = producer !== undefined;
    this.#history = history;
    this.#fill();
  }

  /** Settles the first `count` lines of this connection, which the server has acknowledged. */
  onAck(count: number): void {
    this.#settle(Math.min(count - this.#settledHere, this.lines.inFlight));
    this.#acknowledged = Math.max(this.#acknowledged, count);
    this.#progress();
  }

  /**
   * Ends a connection. Lines that were not handed to the operating system wait again, before all
   * others. Those with an uncertain fate are in doubt, if the next server can tell.
   *
   * @returns The other lines with an uncertain fate, and the unsent ones for this connection only.
   */
  end(): Uint8Array[] {
    const uncertain = this.lines.endConnection(this.#connection?.bytesHandedOff ?? 0);
    this.#connection = null;
    const mayRepeat = (line: Uint8Array) =>
      this.#isCounted && !this.#connectionOnly.has(line) && !this.#withdrawn.has(line) &&
      !this.#isCall(line);
    this.#sentBefore += this.#settledHere;
    if (this.#isCounted) this.#doubt = uncertain.map((line) => mayRepeat(line) ? line : null);
    else this.#sentBefore += uncertain.length;
    const unconfirmed = uncertain.filter((line) => !mayRepeat(line));
    this.#keepWaiting((line) => !this.#withdrawn.has(line));
    if (!this.#isCounted || unconfirmed.length > 0) this.#failFlushes(ENDED);
    this.#releaseRoom();
    return [...unconfirmed, ...this.#keepWaiting((line) => !this.#connectionOnly.has(line))];
  }

  /** Drops the lines that were only for a connection that was never established. */
  abandon(): void {
    const lost = this.#keepWaiting((line) => !this.#connectionOnly.has(line));
    for (const line of lost) this.#drop(line, "queue-full");
  }

  /** Removes and returns the waiting lines for which `isKept` returns `false`. */
  #keepWaiting(isKept: (line: Uint8Array) => boolean): Uint8Array[] {
    const waiting = this.lines.takeWaiting();
    for (const line of waiting) if (isKept(line)) this.lines.push(line);
    return waiting.filter((line) => !isKept(line));
  }

  /** Ends the outbox for good. Returns the waiting lines. */
  stop(): Uint8Array[] {
    this.#failFlushes("unsent");
    return this.lines.takeWaiting();
  }

  // Progress

  /** Hands the next waiting line to the connection. */
  #sendNext(connection: ClientConnection): void {
    connection.send(this.lines.peek());
    this.lines.send(connection.bytesOut + connection.pendingBytes);
    this.#settleWritten(connection);
  }

  /** Drops the next waiting line. */
  #dropNext(reason: DropReason): void {
    this.#drop(this.lines.shift(), reason);
    this.#failFlushes("dropped");
  }

  /** Counts a line that is not in the list, or no longer, as dropped. */
  #drop(line: Uint8Array, reason: DropReason): void {
    this.dropped++;
    this.#countLost(line);
    this.#onDrop(line, reason);
  }

  #countLost(line: Uint8Array): void {
    this.lost.lines++;
    this.lost.bytes += line.length;
  }

  /** Without acknowledgements, settles the lines that the operating system has taken. */
  #settleWritten(connection: ClientConnection): void {
    if (this.#hasAcks) return;
    this.#settle(this.lines.countUpTo(connection.bytesOut));
    this.#unacknowledged = this.#settledHere;
  }

  /** Settles the first `count` lines in flight, if any. */
  #settle(count: number): void {
    if (count <= 0) return;
    this.#settledHere += count;
    this.lines.settle(count);
  }

  #fill(): void {
    const connection = this.#connection;
    if (!connection) return;
    while (connection.open && this.lines.waiting > 0) {
      const line = this.lines.peek();
      // It was checked against the limit of an earlier server.
      if (line.length - 1 > this.#maxLineBytes) this.#dropNext("line-too-long");
      else if (this.#fits(connection, line)) this.#sendNext(connection);
      else break;
    }
    if (this.lines.waiting > 0 || this.#flushes.length > 0) this.#watch();
  }

  #fits(connection: ClientConnection, line: Uint8Array): boolean {
    const inFlight = this.#inFlight(connection);
    return inFlight === 0 || inFlight + line.length <= this.#maxInFlight;
  }

  #hasRoom(connection: ClientConnection, maxInFlight: number): boolean {
    return this.lines.waiting === 0 && this.#inFlight(connection) <= maxInFlight;
  }

  #inFlight(connection: ClientConnection): number {
    return Math.max(this.lines.bytesInFlight, connection.pendingBytes);
  }

  /** Continues when the connection has written its queue, unless an acknowledgement is due. */
  async #watch(): Promise<void> {
    const connection = this.#connection;
    if (!connection || this.#watched === connection) return;
    if (this.#hasAcks && this.lines.inFlight > 0) return;
    this.#watched = connection;
    try {
      await connection.flush();
    } catch {
      return; // The connection has ended. end() does the rest.
    }
    this.#watched = null;
    if (this.#connection === connection) this.#progress();
  }

  #progress(): void {
    const connection = this.#connection;
    if (!connection) return;
    this.#settleWritten(connection);
    this.#fill();
    this.#resolveFlushes();
    if (this.#hasRoom(connection, this.#maxInFlight / 4)) this.#releaseRoom();
    else if (this.#room) this.#watch();
  }

  #resolveFlushes(): void {
    const { settled } = this;
    while (this.#flushes.length > 0 && this.#flushes[0]!.target <= settled) {
      this.#flushes.shift()!.resolve();
    }
  }

  #releaseRoom(): void {
    this.#room?.resolve();
    this.#room = null;
  }

  #failFlushes(fate: string): void {
    for (const { reject } of this.#flushes.splice(0)) {
      reject(new ConnectionClosedError(`Cannot flush the client: events were ${fate}`));
    }
  }
}

/**
 * Returns whether a line in doubt that is not among those taken was not taken at all. Of those that a
 * relay keeps, this is certain, since they would be in its history.
 *
 * @param exact Whether it is certain of all.
 * @param kept The patterns of the names that the relay keeps.
 */
function mayRepeat(line: Uint8Array, exact: boolean, kept: readonly string[]): boolean {
  const { event, id, to, reply_to } = JSON.parse(decoder.decode(line));
  if (to !== undefined) return false; // The ID of a client may be that of another one by now.
  const isKept = id === undefined && reply_to === undefined &&
    kept.some((pattern) => matches(pattern, event));
  return exact || isKept;
}
