/**
 * The machinery of a connection: its read loop, its writer, its deadlines and its end.
 *
 *     state    event                                      next     action
 *     open     close(), bad line, silent or slow peer     closing  queue a close line, drop input
 *     open     end of input                               closing  eof: write the send queue
 *     open     end of input within a line                 closing  truncated: queue a close line
 *     open     write error                                closing  reset: keep reading
 *     open     close() before start()                     closed
 *     closing  all written, we chose to close             closing  half-close, linger 1 s or 16 MiB
 *     closing  the same, and the peer answers a farewell  closing  linger for its answer
 *     closing  all written, input has ended               closed
 *     closing  linger is over, or half-close failed       closed
 *     closing  write error after close() or end of input  closed
 *     any      abort(), read error, stuck peer            closed   drop the send queue
 *
 * `close()` handles an end of our own choice, `#onEnd()` an end of the peer's, and `#break()` a
 * failure. Every path ends in `#finish()`, which closes the socket and resolves `closed`. A stuck
 * peer takes no byte for `writeTimeout`, or for `drainTimeout` while closing.
 *
 * @module
 */

import type { Address, Transport } from "../protocol/address.ts";
import { LF } from "../protocol/ascii.ts";
import type { Codec } from "./codec.ts";
import {
  type ChunkDuplex,
  type ConnectionSink,
  type Duplex,
  EbsocketConnection,
} from "./connection.ts";
import { ConnectionLimits, type ConnectionOptions } from "./connection_options.ts";
import { encodeClose } from "../protocol/control.ts";
import {
  type CloseInfo,
  type CloseReason,
  ConnectionClosedError,
  type Farewell,
  type FramingError,
} from "../errors.ts";
import { clearTimers, nextTurn, noteTurn, shareTurns, turnIsOver } from "./turn.ts";
import { KeepAlive } from "./keepalive.ts";
import { type Piece, sizeOf } from "./piece.ts";
import { LineBlock, LineSplitter } from "../protocol/line_splitter.ts";
import { NOTHING } from "../protocol/utf8.ts";
import { addTicking, afterRunning, removeTicking, TICK_MS } from "./ticker.ts";
import { Writer } from "./writer.ts";

/** A source of further lines that must be queued before anything else is sent. */
export interface Feed {
  /** Queues the lines that are held back for a connection. */
  settle(connection: EbsocketConnection): void;
}

/**
 * Longest time, in milliseconds, and most bytes that a peer may continue to send after our last
 * line. Closing at once would answer its bytes with a reset, which can destroy that line in transit
 * (RFC 9112, section 9.6).
 */
const LINGER_MS = 1000;
const LINGER_BYTES = 16_777_216;

/** Smallest limit of a single read, in bytes, even if the send queue is limited to less. */
const MIN_READ_BYTES = 256;

/**
 * Least size of a read that fills its buffer and therefore suggests that more input is waiting, in
 * bytes.
 */
const MIN_FULL_READ_BYTES = 32_768;

/**
 * Most frames without text that a peer may send, such as Pings. They cost less than control lines,
 * of which far fewer are allowed.
 */
const MAX_CHATTER_PER_SECOND = 4000;

/** A keep-alive line. It has no content. */
const KEEP_ALIVE = new Uint8Array([0x0a]);

/** Number of lines that a read has begun and not completed, counted over all connections. */
let linesBegun = 0;

/** Shared buffer for input that is discarded. */
const DISCARDED = new Uint8Array(65_536);

/** Size of a buffer for input that is discarded, except that its end counts. */
const FAREWELL_BYTES = 4096;

/**
 * The only kind of {@link EbsocketConnection}. Sinks within this package may therefore expect it
 * where the interface {@link ConnectionSink} promises its public part.
 */
export class LineConnection extends EbsocketConnection {
  readonly address: Address;
  id = 0;
  bytesIn = 0;
  eventsIn = 0;
  eventsOut = 0;
  /**
   * Whether the last read was large and filled its buffer, so that more input is probably waiting.
   */
  hasMore = false;
  /**
   * Orders connections by the start of their unfinished lines. The oldest one has the lowest value.
   */
  lineBegan = 0;

  readonly #duplex: Duplex | ChunkDuplex;
  readonly #transport: Transport;
  #codec: Codec | null = null;
  /** Number of bytes of lines that a codec has decoded. */
  #decoded = 0;
  #sink: ConnectionSink | null = null;
  #splitter: LineSplitter | null = null;
  /** Created on first use, because many peers only receive and many only send. */
  #writer: Writer<LineConnection> | null = null;
  /** Number of bytes that a writer before this one has written. */
  #bytesBefore = 0;
  #limits: ConnectionLimits | null = null;
  #feed: Feed | null = null;
  #keepAlive: KeepAlive | null = null;
  /** Up to how many bytes lines are queued without being written. */
  #maxHeldBytes = 0;
  /** Whether the peer speaks a protocol without lines, so that none are sent to it. */
  #isForeign = false;

  #phase: "open" | "closing" | "closed" = "open";
  #reason: CloseReason = "aborted";
  #detail = "";
  /** Reason that the peer gave in a `close` line. */
  #announced: Farewell | null = null;
  /** Cancels the deadline that runs while the connection closes. */
  #endDeadline: (() => void) | null = null;
  #info: CloseInfo | null = null;
  /** Created when `closed` is first read. */
  #closed: PromiseWithResolvers<CloseInfo> | null = null;

  #readEnded = false;
  #paused = false;
  #resumeReading: (() => void) | null = null;
  /** Set once we have chosen to close. Later input is discarded. */
  #discarding = false;
  #discarded = 0;
  #isLingering = false;
  #writeFailed = false;

  /** Takes over `duplex`. Reads and writes nothing before {@link start}. */
  constructor(duplex: Duplex | ChunkDuplex, address: Address, transport: Transport = "other") {
    super();
    this.#duplex = duplex;
    this.address = address;
    this.#transport = transport;
  }

  get transport(): Transport {
    return this.#codec?.transport ?? this.#transport;
  }

  get closed(): Promise<CloseInfo> {
    if (!this.#closed) {
      this.#closed = Promise.withResolvers<CloseInfo>();
      if (this.#info) this.#closed.resolve(this.#info);
    }
    return this.#closed.promise;
  }

  get open(): boolean {
    return this.#phase === "open";
  }

  get pendingBytes(): number {
    return this.#writer?.pendingBytes ?? 0;
  }

  get bytesOut(): number {
    return this.#bytesBefore + (this.#writer?.bytesWritten ?? 0);
  }

  /** Bytes that the peer may have received, including those of a pending or failed write. */
  get bytesHandedOff(): number {
    return this.#bytesBefore + (this.#writer?.bytesHandedOff ?? 0);
  }

  /** How long the peer has accepted none of the queued bytes, in milliseconds, approximately. */
  get stalledMs(): number {
    return this.#keepAlive?.stalledMs ?? 0;
  }

  start(sink: ConnectionSink, options: ConnectionOptions = {}): void {
    if (this.#sink) throw new TypeError(`Cannot start ${this}: it was started before`);
    if (this.#phase !== "open") throw new TypeError(`Cannot start ${this}: it has been closed`);
    const limits = ConnectionLimits.of(options);
    this.#limits = limits;
    this.#splitter = new LineSplitter(limits, limits.buffers);
    this.#sink = sink;
    this.#keepAlive = new KeepAlive();
    // The owner of a shared byte budget ticks its connections itself.
    if (!limits.budget) addTicking(this);
    if ("readChunk" in this.#duplex) this.#readChunks(this.#duplex, this.#splitter);
    else this.#read(this.#duplex, this.#splitter);
  }

  /**
   * Hands a started connection over to another sink with other limits, for a peer that first had to
   * authenticate. Nothing may have been sent yet.
   *
   * @param sink Receives the lines from now on.
   * @param options The limits from now on.
   */
  switchSink(sink: ConnectionSink, options: ConnectionOptions): void {
    this.#sink = sink;
    this.#limits = ConnectionLimits.of(options);
    if (this.#splitter) this.#splitter.maxLineBytes = this.#limits.maxLineBytes;
    if (this.#writer) this.#writer.maxPendingBytes = this.#limits.maxPendingBytes;
  }

  /**
   * Queues up to `maxBytes` of lines without writing them, because the peer's protocol is not known
   * yet.
   */
  hold(maxBytes: number): void {
    this.#maxHeldBytes = maxBytes;
    this.#writer?.hold(maxBytes);
  }

  /** Writes the lines that were held. */
  release(): void {
    this.#maxHeldBytes = 0;
    this.#writer?.release();
  }

  /**
   * Drops the lines that were held, because the peer turned out to be no client. It is sent no
   * further lines before {@link wrap}.
   *
   * @returns The number of dropped lines, and of their bytes.
   */
  discard(): { lines: number; bytes: number } {
    this.#feed?.settle(this);
    const writer = this.#writer;
    writer?.stop();
    const unsent = writer?.unsent() ?? { lines: 0, bytes: 0 };
    writer?.clear();
    this.#writer = null;
    this.#feed = null;
    this.#maxHeldBytes = 0;
    this.#isForeign = true;
    return unsent;
  }

  /**
   * Sends `preamble`, and wraps the lines in both directions from now on. No read may be pending, so
   * the connection must be paused, or this called by its sink.
   */
  wrap(codec: Codec, preamble: Uint8Array): void {
    this.#startedWriter().wrap(codec.encoding, preamble);
    this.#codec = codec;
    this.#isForeign = false;
    this.#splitter?.shrink();
  }

  /** Whether the lines are wrapped. */
  get isWrapped(): boolean {
    return this.#codec !== null;
  }

  /**
   * Limits the bytes of events that the peer has not read, because it cannot stop receiving. What
   * is queued already does not count. Without room, events stay in the send queue.
   */
  limit(window: number): void {
    this.#startedWriter().limit(window);
  }

  /**
   * Notes that the peer has read that many bytes of events. Returns how many of them it had not
   * reported before.
   */
  grant(bytes: number): number {
    return this.#writer?.grant(bytes) ?? 0;
  }

  /** Whether there are events to write that the peer cannot take yet. */
  get isOutOfCredit(): boolean {
    return this.#writer?.isOutOfCredit ?? false;
  }

  // Sending

  send(lines: Uint8Array, count = 1): boolean {
    const writer = this.#startedWriter();
    this.#feed?.settle(this);
    if (!this.#takesLines) return false;
    return writer.offer(lines) ? this.#queued(count) : this.#refused(lines.length);
  }

  /**
   * Sets the source of lines that are queued before anything else is sent and before the connection
   * closes.
   */
  feedFrom(feed: Feed): void {
    this.#feed = feed;
  }

  /**
   * Queues pieces as {@link send} queues bytes. Together they are complete lines. They may be
   * queued for many connections.
   */
  sendPieces(pieces: readonly Piece[], count: number): boolean {
    const writer = this.#startedWriter();
    if (!this.#takesLines) return false;
    return writer.offerPieces(pieces) ? this.#queued(count) : this.#refused(sizeOf(pieces));
  }

  get #takesLines(): boolean {
    return this.#phase === "open" && !this.#isForeign;
  }

  #queued(count: number): true {
    this.eventsOut += count;
    return true;
  }

  #refused(bytes: number): false {
    this.closeSlow(`${this.pendingBytes} bytes were waiting, ${bytes} more are too many`);
    return false;
  }

  /**
   * Delays the next write for a moment, so that replies to several events can go out in one write.
   */
  cork(): void {
    this.#startedWriter().cork();
  }

  /** Replaces queued pieces with others that hold the same bytes. */
  replaceEach(replace: (piece: Piece) => Piece): void {
    this.#writer?.replaceEach(replace);
  }

  /** Drops the send queue and closes with `slow-consumer`. */
  closeSlow(detail: string): void {
    this.#writer?.cut();
    this.close("slow-consumer", detail);
  }

  /**
   * Counts one line as unsent although it was never queued. The program knows that it was
   * refused.
   */
  countUnsent(line: Uint8Array): void {
    this.#startedWriter().drop(line);
  }

  /**
   * Returns a promise that resolves when the send queue has room again, or when the connection has
   * ended. Returns `null` while at most half of `maxPendingBytes` is queued.
   */
  room(): Promise<void> | null {
    return this.#startedWriter().room();
  }

  async flush(): Promise<void> {
    this.#feed?.settle(this);
    if (!await this.#startedWriter().flush()) {
      throw new ConnectionClosedError(`Cannot flush ${this}: it has ended with ${this.#reason}`);
    }
  }

  #startedWriter(): Writer<LineConnection> {
    if (!this.#sink) throw new TypeError(`Cannot use ${this}: it has not been started`);
    return this.#writer ??= this.#newWriter();
  }

  #newWriter(): Writer<LineConnection> {
    const writer = new Writer<LineConnection>(
      this.#duplex,
      this.#limits!.maxPendingBytes,
      this,
      LineConnection.#onWriterIdle,
      this.#limits!.budget,
    );
    if (this.#maxHeldBytes > 0) writer.hold(this.#maxHeldBytes);
    if (this.#codec) writer.wrap(this.#codec.encoding, NOTHING);
    return writer;
  }

  // Receiving

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wakeReader();
  }

  #wakeReader(): void {
    this.#resumeReading?.();
    this.#resumeReading = null;
  }

  async #readChunks(duplex: ChunkDuplex, splitter: LineSplitter): Promise<void> {
    for (;;) {
      const mayBeLate = this.hasMore && this.#phase !== "closed";
      if (mayBeLate && turnIsOver(this)) await nextTurn(this);
      const chunk = await duplex.readChunk();
      this.hasMore = duplex.hasChunk;
      if (!this.hasMore) shareTurns(this);
      if (this.#phase === "closed") return;
      if (chunk === null) return this.#onEnd();
      const isFirst = this.bytesIn === 0; // A byte order mark may precede its lines.
      this.bytesIn += chunk.length;
      if (this.#discarding) continue;
      const isWhole = !isFirst && splitter.unfinishedBytes === 0 && chunk.at(-1) === LF &&
        chunk.length <= splitter.maxLineBytes;
      this.#receive(isWhole ? new LineBlock(chunk) : splitter.push(chunk), splitter.fault);
      if (this.#paused && !this.#discarding) {
        await new Promise<void>((resolve) => this.#resumeReading = resolve);
      }
    }
  }

  async #read(duplex: Duplex, splitter: LineSplitter): Promise<void> {
    /**
     * Whether this is a system socket. There, a read that follows a partial one has to wait for a
     * poll.
     */
    const isSocket = "unref" in duplex;
    const { takesTurns = false } = duplex;
    /** Whether the last read filled its buffer, so that the next one may be ready at once. */
    let isFull = false;
    for (;;) {
      // One read must fit into the send queue of a recipient that is not behind yet.
      const maxReadBytes = Math.max(MIN_READ_BYTES, this.#limits!.maxPendingBytes / 4);
      let length: number | null;
      let lines: LineBlock | null = null;
      const mayBeLate = isFull && !takesTurns && this.#phase !== "closed";
      if (mayBeLate && turnIsOver(this)) await nextTurn(this);
      try {
        const headroom = this.#codec?.headroom ?? 0;
        let space = this.#discarding ? this.#scratch() : splitter.space(1 + headroom);
        if (space.length > maxReadBytes) space = space.subarray(0, maxReadBytes);
        length = await duplex.read(headroom > 0 ? space.subarray(headroom) : space);
        if (isSocket && !isFull) noteTurn();
        isFull = length === space.length - headroom;
        this.hasMore = isFull && length! >= MIN_FULL_READ_BYTES;
        if (!isFull && !takesTurns) shareTurns(this);
        if (length !== null) {
          const filled = headroom + length;
          const text = this.#codec ? this.#decode(this.#codec, space, filled) : length;
          if (!this.#discarding) {
            lines = splitter.fill(text, filled);
            if (splitter.unfinishedBytes <= text) this.lineBegan = ++linesBegun;
          }
        }
      } catch (error) {
        this.#readEnded = true;
        return this.#break("reset", messageOf(error));
      }
      if (this.#phase === "closed") return;
      if (length === null) return this.#onEnd();
      this.bytesIn += length;
      if (!lines) {
        splitter.drop();
        if (this.#isLingering) this.#discarded += length;
        if (this.#discarded > LINGER_BYTES) return this.#finish();
        if (this.#codec && this.#codec.ended !== null) return this.#onEnd();
        continue;
      }
      this.#receive(lines, splitter.fault);
      if (this.#codec && this.#heed(this.#codec)) return;
      if (this.#paused && !this.#discarding) {
        await new Promise<void>((resolve) => this.#resumeReading = resolve);
      }
    }
  }

  /** Returns the space for input that is discarded. */
  #scratch(): Uint8Array<ArrayBuffer> {
    return this.#codec?.expectsFarewell ? new Uint8Array(FAREWELL_BYTES) : DISCARDED;
  }

  /** Decodes the first `length` bytes of `space`. Returns the number of bytes of lines. */
  #decode(codec: Codec, space: Uint8Array, length: number): number {
    const decoded = codec.decode(space.subarray(0, length));
    this.#decoded += decoded;
    return decoded;
  }

  /** Answers input that is not lines. Returns whether the input has ended. */
  #heed(codec: Codec): boolean {
    const answer = codec.takeAnswer();
    // A peer that asks for answers and does not read them would otherwise fill the memory.
    const hasRoom = this.pendingBytes < this.#limits!.maxPendingBytes;
    if (answer && hasRoom && this.#phase === "open") this.#startedWriter().appendEncoded(answer);
    if (codec.fault) this.close(codec.fault.reason, codec.fault.message);
    if (codec.ended === null) return false;
    this.#announced ??= { reason: "eof", detail: codec.ended };
    this.#onEnd();
    return true;
  }

  #receive(lines: LineBlock, fault: FramingError | null): void {
    if (lines.bytes.length > 0) {
      this.#keepAlive!.lineEnded();
      try {
        this.#sink!.onLines(this, lines);
      } catch (error) {
        this.abort("aborted", "the program failed to handle a line");
        throw error;
      }
    }
    if (!fault) return;
    if (this.#sink!.onFault) this.#sink!.onFault(this, fault);
    else this.close(fault.code, fault.message);
  }

  /** Notes the reason that the peer gave in a `close` line. It counts once the stream then ends. */
  notePeerClose(farewell: Farewell): void {
    this.#announced ??= farewell;
  }

  /**
   * Sets the peer's keep-alive interval: it promised to send something at least every `ms`
   * milliseconds.
   */
  setPeerKeepAlive(ms: number): void {
    this.#keepAlive?.setPeerInterval(ms);
  }

  /**
   * Advances the deadlines by `elapsed` milliseconds. Sends a keep-alive line if one is due, and
   * closes the connection if the peer has missed a deadline.
   */
  tick(elapsed: number): void {
    if (this.#phase !== "open") return;
    const limits = this.#limits!;
    if (this.#codec) this.#checkChatter(this.#codec.takeChatter(), elapsed);
    switch (this.#keepAlive!.check(elapsed, this, limits)) {
      case "send":
        return this.#sendKeepAlive();
      case "silent":
        return void this.close("idle-timeout", "the peer gave no sign of life as it had promised");
      case "unfinished":
        return void this.close(
          "idle-timeout",
          `the peer did not finish a line within ${limits.lineTimeout} ms`,
        );
      case "stuck":
        if (this.isOutOfCredit && !this.reading) {
          this.#keepAlive!.stalledMs = 0; // What it reports is not read at the moment.
          return;
        }
        if (this.isOutOfCredit) {
          const ms = limits.writeTimeout;
          return this.closeSlow(`the peer made no room for events within ${ms} ms`);
        }
        return this.#break("idle-timeout", `the peer took no bytes for ${limits.writeTimeout} ms`);
    }
  }

  #checkChatter(frames: number, elapsed: number): void {
    if (frames <= MAX_CHATTER_PER_SECOND * Math.max(TICK_MS, elapsed) / 1000) return;
    const detail = `it sent ${frames} frames without text within ${elapsed} ms`;
    this.close("rate-limited", detail);
  }

  #sendKeepAlive(): void {
    const probe = this.#codec?.probe;
    if (!probe || this.#keepAlive!.hasPromise) return void this.send(KEEP_ALIVE, 0);
    this.#startedWriter().appendEncoded(probe);
    this.#keepAlive!.expectAnswer();
  }

  /** Whether the peer is being read. */
  get reading(): boolean {
    return !this.#paused;
  }

  /** Size of the read buffer, in bytes. */
  get bufferBytes(): number {
    return this.#splitter?.bufferBytes ?? 0;
  }

  /** Bytes received of a line that is not complete. */
  get unfinishedBytes(): number {
    return this.#splitter?.unfinishedBytes ?? 0;
  }

  /** Whether a line was received that is longer than it may be. It and what follows are dropped. */
  get isOverlong(): boolean {
    return this.#splitter !== null && this.#splitter.fault !== null;
  }

  /** Returns whether `bytes`, the lines that were received last, begin the peer's input. */
  isStart(bytes: Uint8Array): boolean {
    return bytes.length + this.unfinishedBytes === (this.#codec ? this.#decoded : this.bytesIn);
  }

  // Ending

  close(reason: CloseReason = "local", detail = ""): Promise<CloseInfo> {
    return this.closeWith(reason, detail, this.#closeLine(reason, detail));
  }

  /** Returns the `close` line, or `null` if none is sent. */
  #closeLine(reason: CloseReason, detail: string): Uint8Array | null {
    return this.#isForeign ? null : encodeClose({ reason, detail });
  }

  /**
   * Closes as {@link close} does, with a last line chosen by the caller.
   *
   * @param reason The reason for the close info.
   * @param detail A description of the reason.
   * @param lastWord The last line, or `null` to send none.
   * @returns The close info.
   */
  closeWith(reason: CloseReason, detail: string, lastWord: Uint8Array | null): Promise<CloseInfo> {
    this.#feed?.settle(this);
    const wasOpen = this.#phase === "open";
    this.#discarding = true;
    if (wasOpen) this.#beginClosing(reason, detail, lastWord);
    if (!this.#sink || this.#writeFailed) this.#finish();
    return this.closed;
  }

  abort(reason: CloseReason = "aborted", detail = ""): Promise<CloseInfo> {
    this.#break(reason, detail);
    return this.closed;
  }

  /** Starts to close, after the last line if there is one. */
  #beginClosing(reason: CloseReason, detail: string, lastWord: Uint8Array | null): void {
    this.#sayGoodbye(reason, lastWord);
    this.#phase = "closing";
    this.#reason = reason;
    this.#detail = detail;
    this.#wakeReader();
    this.#watchDrain();
    this.#advance();
  }

  #sayGoodbye(reason: CloseReason, lastWord: Uint8Array | null): void {
    if (!this.#sink) return;
    this.release();
    this.#writer?.limit(Infinity);
    // A peer that ends its stream without a farewell expects none. It has mostly gone already.
    const isGone = reason === "eof" && this.#codec?.ended === null;
    const trailer = isGone ? null : this.#codec?.farewell(reason) ?? null;
    if (lastWord || trailer) this.#startedWriter().append(lastWord, trailer);
  }

  /** Breaks the connection if the peer accepts no byte for `drainTimeout`. */
  #watchDrain(): void {
    const { bytesOut } = this;
    const timeout = this.#limits?.drainTimeout ?? 0;
    this.#endDeadline = afterRunning(timeout, () => {
      if (this.bytesOut > bytesOut) return this.#watchDrain();
      this.#break("idle-timeout", `the peer took no bytes for ${timeout} ms`);
    });
  }

  static #onWriterIdle(connection: LineConnection, error: unknown): void {
    if (error !== undefined) return connection.#onWriteError(error);
    // Most memory of a WebSocket that stays idle would be that of its writer.
    if (connection.open && connection.#writer?.isDone) {
      connection.#bytesBefore = connection.#writer.bytesWritten;
      connection.#writer = null;
    }
    connection.#advance();
  }

  /** Takes the next step of closing once everything is written. */
  #advance(): void {
    if (this.#phase !== "closing" || this.#writer?.busy) return;
    if (this.#readEnded) return this.#finish();
    if (this.#isLingering || !this.#discarding) return;
    this.#isLingering = true;
    this.#endDeadline?.();
    this.#endDeadline = afterRunning(LINGER_MS, () => this.#finish());
    if (this.#codec?.expectsFarewell) return;
    this.#duplex.closeWrite().catch(() => this.#finish());
  }

  /**
   * Handles the end of the peer's input. The peer may still receive, so the send queue is written
   * first.
   */
  #onEnd(): void {
    this.#readEnded = true;
    if (this.#phase === "open") this.#sink!.onEnd?.(this);
    if (this.#phase === "open") { // The sink may have closed it.
      this.#feed?.settle(this);
      const lost = this.unfinishedBytes;
      const reason = lost > 0 ? "truncated" : "eof";
      const detail = lost > 0 ? `${lost} bytes after the last newline were dropped` : "";
      this.#beginClosing(reason, detail, this.#closeLine(reason, detail));
    }
    this.#advance();
  }

  /**
   * Handles a write error. Nothing more can be sent, but earlier input of the peer may still be
   * read.
   */
  #onWriteError(error: unknown): void {
    this.#writeFailed = true;
    if (this.#readEnded || this.#discarding) return this.#break("reset", messageOf(error));
    if (this.#phase !== "open") return;
    this.#phase = "closing";
    this.#reason = "reset";
    this.#detail = messageOf(error);
  }

  /**
   * Ends a failed connection. An earlier reason is kept, unless it promised to deliver everything.
   */
  #break(reason: CloseReason, detail: string): void {
    if (this.#phase === "closed") return;
    const promisedAll = this.#reason === "local" || this.#reason === "eof";
    if (this.#phase === "open" || promisedAll && this.pendingBytes > 0) {
      this.#reason = reason;
      this.#detail = detail;
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#feed = null;
    removeTicking(this);
    clearTimers(this);
    this.#discarding = true;
    this.#endDeadline?.();
    try {
      this.#duplex.close();
    } catch {
      // Its owner has closed it before, such as the program that made it.
    }
    this.#wakeReader();
    this.#splitter?.drop();
    this.#splitter = null;
    this.#writer?.stop();
    const unsent = this.#writer?.unsent() ?? { lines: 0, bytes: 0 };
    this.#writer?.clear();
    // If the peer broke off, the reason it gave before is more informative.
    const isTheirs = this.#reason === "eof" || this.#reason === "reset";
    const farewell = isTheirs && this.#announced || { reason: this.#reason, detail: this.#detail };
    const info = { ...farewell, unsentLines: unsent.lines, unsentBytes: unsent.bytes };
    this.#info = info;
    this.#closed?.resolve(info);
    this.#sink?.onClose(this, info);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
