/**
 * Owns a byte duplex, alone: its read loop, its writer, its deadlines and its end. Must not know
 * listeners, other connections, or what the lines mean.
 *
 * A connection is `open`, then `closing` while what is queued is still sent, then `closed`. All
 * that can end it leads to one of three methods: `close()` for an end of our choosing, `#onEnd()`
 * for the peer's, `#break()` for a failure.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import { toAddress } from "./local_address.ts";
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
import { type Piece, sizeOf } from "./send_queue.ts";
import { type LineBlock, LineSplitter } from "../protocol/line_splitter.ts";
import { addTicking, afterRunning, removeTicking } from "./ticker.ts";
import { Writer } from "./writer.ts";

/** What a connection needs of a socket; `Deno.Conn` has it. */
export interface Duplex {
  /** Reads into `buffer`; resolves to the number of bytes, or `null` at the end of the stream. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of `bytes`; resolves to how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Tells the peer that nothing more will be written. */
  closeWrite(): Promise<void>;
  /** Gives the socket up; pending reads and writes fail. */
  close(): void;
  /** Whether its reads let others have their turn by themselves. */
  readonly takesTurns?: boolean;
}

/** A byte duplex that knows where its peer is; `Deno.Conn` does. */
export interface Socket extends Duplex {
  /** Where the peer is. */
  readonly remoteAddr: Deno.Addr;
}

/** Who gets what a connection receives. */
export interface ConnectionSink {
  /** Whole lines have arrived. To get no more for a while, call `connection.pause()`. */
  onLines(connection: EbsocketConnection, lines: LineBlock): void;
  /** The peer sends nothing more. What is queued for it by now is still sent, and nothing later. */
  onEnd?(connection: EbsocketConnection): void;
  /** The connection has ended; this is its last call. */
  onClose(connection: EbsocketConnection, info: CloseInfo): void;
}

/** Where more may wait for a connection that is about to be queued for it. */
export interface Feed {
  /** Queues what waits for a connection now. */
  settle(connection: EbsocketConnection): void;
}

/**
 * How long, and for how many bytes, a peer may go on sending after we have said our last word.
 * Closing at once would answer its bytes with a reset, which can destroy that word on its way
 * (RFC 9112, section 9.6).
 */
const LINGER_MS = 1000;
const LINGER_BYTES = 16_777_216;

/** How much may be read at once however little may wait, in bytes. */
const MIN_READ_BYTES = 256;

/** From which length on a read that has taken all it could says that more is waiting, in bytes. */
const MIN_FULL_READ_BYTES = 32_768;

/** A keep-alive line: it means nothing. */
const KEEP_ALIVE = new Uint8Array([0x0a]);

/** How many lines have been begun that a read did not end, on all connections. */
let linesBegun = 0;

/** Takes what comes too late, of all connections: nobody looks at it. */
const DISCARDED = new Uint8Array(65_536);

/**
 * One peer. A program that uses `EbsocketSystem` or `EbsocketClient` gets to see it as what events
 * came from and go to; a program with a server of its own calls {@link start}.
 *
 * @example A server that counts lines
 * ```ts
 * import { EbsocketServer } from "@ebsockets/relay/server";
 *
 * await using server = new EbsocketServer(["127.0.0.1", 0]);
 * const peer = await Deno.connect({ hostname: "127.0.0.1", port: server.address[1] });
 * await peer.write(new TextEncoder().encode("one\ntwo\n"));
 * peer.close();
 *
 * const [connection, address] = await server.acceptConnection();
 * let count = 0;
 * connection.start({
 *   onLines: (_, lines) => void (count += [...lines].length),
 *   onClose: (_, { reason }) => console.log(`${address[0]}: ${count} lines, then ${reason}`),
 * });
 * await connection.closed;
 * ```
 */
export class EbsocketConnection {
  /** Where the peer is. */
  readonly address: Address;
  /** Which of a server's clients it is: 1 for the first that came, then 2, and so on; 0 before. */
  id = 0;
  /** How many events of the peer have been taken: counted by whoever takes them. */
  eventsIn = 0;

  readonly #duplex: Duplex;
  #sink: ConnectionSink | null = null;
  #splitter: LineSplitter | null = null;
  /** Made for what is sent first: many peers only listen, and many only talk. */
  #writer: Writer<EbsocketConnection> | null = null;
  #limits: ConnectionLimits | null = null;
  #feed: Feed | null = null;
  #lifeline: KeepAlive | null = null;

  #phase: "open" | "closing" | "closed" = "open";
  #reason: CloseReason = "aborted";
  #detail = "";
  /** What the peer said in a `close` line. */
  #announced: Farewell | null = null;
  /** Calls the deadline off that runs while it closes. */
  #endDeadline: (() => void) | null = null;
  #info: CloseInfo | null = null;
  /** Made for whoever asks first. */
  #closed: PromiseWithResolvers<CloseInfo> | null = null;

  #bytesIn = 0;
  #eventsOut = 0;
  #readEnded = false;
  #hasMore = false;
  #lineBegan = 0;
  #paused = false;
  #resumeReading: (() => void) | null = null;
  /** Since we have chosen to close: whatever the peer still says is too late. */
  #discarding = false;
  #discarded = 0;
  #halfClosed = false;
  #writeFailed = false;

  /** Takes over `duplex`. Nothing is read or written before {@link start}. */
  constructor(duplex: Duplex, address: Address) {
    this.#duplex = duplex;
    this.address = address;
  }

  /** How the connection ended. Never rejects. */
  get closed(): Promise<CloseInfo> {
    if (!this.#closed) {
      this.#closed = Promise.withResolvers<CloseInfo>();
      if (this.#info) this.#closed.resolve(this.#info);
    }
    return this.#closed.promise;
  }

  /** Whether events can still be queued for the peer. */
  get open(): boolean {
    return this.#phase === "open";
  }

  /** How many bytes wait to be handed to the operating system. */
  get pendingBytes(): number {
    return this.#writer?.pendingBytes ?? 0;
  }

  /** How many bytes have come from the peer. */
  get bytesIn(): number {
    return this.#bytesIn;
  }

  /** How many bytes the operating system has taken for the peer. */
  get bytesOut(): number {
    return this.#writer?.bytesWritten ?? 0;
  }

  /** How many bytes the peer may have got: also those of a write under way, or of one that failed. */
  get bytesHandedOff(): number {
    return this.#writer?.bytesHandedOff ?? 0;
  }

  /** For how long the peer has taken nothing of what waits for it, in milliseconds, roughly. */
  get stalledMs(): number {
    return this.#lifeline?.stalledMs ?? 0;
  }

  /** How many events have been queued for the peer. */
  get eventsOut(): number {
    return this.#eventsOut;
  }

  /**
   * Begins to read, and makes {@link send} possible.
   *
   * @throws {TypeError} If the connection was started before.
   * @throws {RangeError} If a limit is out of its range.
   */
  start(sink: ConnectionSink, options: ConnectionOptions = {}): void {
    if (this.#sink) throw new TypeError(`Cannot start ${this}: it was started before`);
    if (this.#phase !== "open") throw new TypeError(`Cannot start ${this}: it has been closed`);
    const limits = ConnectionLimits.of(options);
    this.#limits = limits;
    this.#splitter = new LineSplitter(limits, limits.buffers);
    this.#sink = sink;
    this.#lifeline = new KeepAlive();
    // Who counts what waits for many connections goes round them, too.
    if (!limits.total) addTicking(this);
    this.#read(this.#splitter);
  }

  /**
   * Hands a connection that was started over to another sink, with other limits: for a peer that has
   * had to prove first that it may send more. Nothing may have been sent yet.
   */
  switchSink(sink: ConnectionSink, options: ConnectionOptions): void {
    this.#sink = sink;
    this.#limits = ConnectionLimits.of(options);
    if (this.#splitter) this.#splitter.maxLineBytes = this.#limits.maxLineBytes;
  }

  // Sending

  /**
   * Queues `count` events, as whole lines, each with its `\n`; they are written at the end of this turn. The
   * bytes must not change afterwards, and may be queued for many connections.
   *
   * Returns whether they were queued: `false` when the connection is not open, and when too much
   * waits already, which closes it with `slow-consumer`.
   *
   * @throws {TypeError} If the connection has not been started.
   */
  send(lines: Uint8Array, count = 1): boolean {
    const writer = this.#startedWriter();
    this.#feed?.settle(this);
    if (this.#phase !== "open") return false;
    return writer.offer(lines) ? this.#queued(count) : this.#refused(lines.length);
  }

  /**
   * Has what waits for the connection elsewhere queued before anything else is, and before it is closed.
   *
   * @internal
   */
  feedFrom(feed: Feed): void {
    this.#feed = feed;
  }

  /**
   * Does what {@link send} does, with pieces that are whole lines together, and may be queued for many
   * connections.
   *
   * @internal
   */
  sendPieces(pieces: readonly Piece[], count: number): boolean {
    const writer = this.#startedWriter();
    if (this.#phase !== "open") return false;
    return writer.offerPieces(pieces) ? this.#queued(count) : this.#refused(sizeOf(pieces));
  }

  #queued(count: number): true {
    this.#eventsOut += count;
    return true;
  }

  #refused(bytes: number): false {
    this.closeSlow(`${this.pendingBytes} bytes were waiting, ${bytes} more are too many`);
    return false;
  }

  /**
   * Lets what is sent in the next moment wait for what is sent just behind it, so that the answers to
   * several events can go in one write.
   */
  gather(): void {
    this.#startedWriter().gather();
  }

  /**
   * Puts other pieces with the same bytes in the place of those that wait for the peer.
   *
   * @internal
   */
  replaceEach(replace: (piece: Piece) => Piece): void {
    this.#writer?.replaceEach(replace);
  }

  /** Drops what waits for the peer, and closes with `slow-consumer`: it reads too slowly. */
  closeSlow(detail: string): void {
    this.#writer?.cut();
    this.close("slow-consumer", detail);
  }

  /** Counts one line among those that were not sent: the program was told that it was refused. */
  countUnsent(line: Uint8Array): void {
    this.#startedWriter().drop(line);
  }

  /**
   * A promise that resolves when there is room for more, or there never will be; `null` while less
   * than half of `maxPendingBytes` waits.
   */
  room(): Promise<void> | null {
    this.#feed?.settle(this);
    return this.#startedWriter().room();
  }

  /**
   * Waits until the operating system has taken all that was queued before.
   *
   * @throws {ConnectionClosedError} If the connection ends before.
   */
  async flush(): Promise<void> {
    this.#feed?.settle(this);
    if (!await this.#startedWriter().flush()) {
      throw new ConnectionClosedError(`Cannot flush ${this}: it has ended with ${this.#reason}`);
    }
  }

  #startedWriter(): Writer<EbsocketConnection> {
    if (!this.#sink) throw new TypeError(`Cannot use ${this}: it has not been started`);
    return this.#writer ??= new Writer<EbsocketConnection>(
      this.#duplex,
      this.#limits!.maxPendingBytes,
      this,
      EbsocketConnection.#onWriterIdle,
      this.#limits!.total,
    );
  }

  // Receiving

  /** Stops reading after the lines that have arrived, so that TCP slows the peer down. */
  pause(): void {
    this.#paused = true;
  }

  /** Reads again after {@link pause}. */
  resume(): void {
    this.#paused = false;
    this.#wakeReader();
  }

  #wakeReader(): void {
    this.#resumeReading?.();
    this.#resumeReading = null;
  }

  async #read(splitter: LineSplitter): Promise<void> {
    /** A socket of the system, of which is known that a read waits after one that has taken all. */
    const isSocket = "unref" in this.#duplex;
    const { takesTurns = false } = this.#duplex;
    /** Whether the last read has taken all it could, so that the next may be ready at once. */
    let isFull = false;
    for (;;) {
      // What is read at once must fit into the queue of a peer that does not lag yet.
      const maxReadBytes = Math.max(MIN_READ_BYTES, this.#limits!.maxPendingBytes / 4);
      let length: number | null;
      let lines: LineBlock | null = null;
      const mayBeLate = isFull && !takesTurns && this.#phase !== "closed";
      if (mayBeLate && turnIsOver(this)) await nextTurn();
      try {
        let space = this.#discarding ? DISCARDED : splitter.space();
        if (space.length > maxReadBytes) space = space.subarray(0, maxReadBytes);
        length = await this.#duplex.read(space);
        if (isSocket && !isFull) noteTurn();
        isFull = length === space.length;
        this.#hasMore = isFull && length! >= MIN_FULL_READ_BYTES;
        if (!isFull && !takesTurns) shareTurns(this);
        if (length !== null && !this.#discarding) {
          lines = splitter.fill(length);
          if (splitter.unfinishedBytes <= length) this.#lineBegan = ++linesBegun;
        }
      } catch (error) {
        return this.#onReadError(error);
      }
      if (this.#phase === "closed") return;
      if (length === null) return this.#onEnd();
      this.#bytesIn += length;
      if (!lines) {
        splitter.drop();
        if (this.#halfClosed) this.#discarded += length;
        if (this.#discarded > LINGER_BYTES) return this.#finish();
        continue;
      }
      this.#receive(lines, splitter.fault);
      if (this.#paused && !this.#discarding) {
        await new Promise<void>((resolve) => this.#resumeReading = resolve);
      }
    }
  }

  #receive(lines: LineBlock, fault: FramingError | null): void {
    if (lines.bytes.length > 0) {
      this.#lifeline!.lineEnded();
      try {
        this.#sink!.onLines(this, lines);
      } catch (error) {
        this.abort("aborted", "the program failed to handle a line");
        throw error;
      }
    }
    if (fault) this.close(fault.code, fault.message);
  }

  /** Notes what the peer said in a `close` line; it counts when the stream then ends. */
  notePeerClose(farewell: Farewell): void {
    this.#announced ??= farewell;
  }

  /** Takes the peer's word that it will send something at least every `ms` milliseconds. */
  expect(ms: number): void {
    this.#lifeline?.expect(ms);
  }

  /** Time passes: sends a keep-alive if it is due, and closes if the peer does not do its part. */
  tick(elapsed: number): void {
    if (this.#phase !== "open") return;
    const limits = this.#limits!;
    switch (this.#lifeline!.look(elapsed, this, limits)) {
      case "send":
        return void this.send(KEEP_ALIVE, 0);
      case "silent":
        return void this.close("idle-timeout", "the peer gave no sign of life as it had promised");
      case "unfinished":
        return void this.close(
          "idle-timeout",
          `the peer did not finish a line within ${limits.lineTimeout} ms`,
        );
      case "stuck":
        return this.#break(
          "idle-timeout",
          `the peer took no bytes for ${limits.writeTimeout} ms`,
        );
    }
  }

  /** Whether the last read took so much, and all it could, that more is waiting most likely. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  /** Whether anything is being read from the peer. */
  get reading(): boolean {
    return !this.#paused;
  }

  /** Orders connections by when their unfinished line was begun: of the oldest one it is least. */
  get lineBegan(): number {
    return this.#lineBegan;
  }

  /** How many bytes the buffer has into which the peer is read. */
  get bufferBytes(): number {
    return this.#splitter?.bufferBytes ?? 0;
  }

  /** How many bytes of a line without an end have come from the peer. */
  get unfinishedBytes(): number {
    return this.#splitter?.unfinishedBytes ?? 0;
  }

  // Ending

  /**
   * Sends what is queued, and for most reasons a `close` line that names the reason, then closes.
   * Whatever the peer sends from now on is dropped. The reason of a connection that is closing
   * already stays.
   */
  close(reason: CloseReason = "local", detail = ""): Promise<CloseInfo> {
    return this.closeWith(reason, detail, encodeClose({ reason, detail }));
  }

  /** Does what {@link close} does, with a last word of the caller's choice. */
  closeWith(reason: CloseReason, detail: string, lastWord: Uint8Array | null): Promise<CloseInfo> {
    this.#feed?.settle(this);
    const wasOpen = this.#phase === "open";
    this.#discarding = true;
    if (wasOpen) this.#tell(reason, detail, lastWord);
    if (!this.#sink || this.#writeFailed) this.#finish();
    return this.closed;
  }

  /** Closes at once, without sending what is queued. */
  abort(reason: CloseReason = "aborted", detail = ""): Promise<CloseInfo> {
    this.#break(reason, detail);
    return this.closed;
  }

  /** Drains, then closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** `EbsocketConnection(127.0.0.1:50000)`. */
  toString(): string {
    return `EbsocketConnection(${formatAddress(this.address)})`;
  }

  /** Shows the connection in `console.log` and `Deno.inspect` as {@link toString} does. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }

  /** Begins to close, and tells the peer why, if it could not know. */
  #tell(reason: CloseReason, detail: string, lastWord: Uint8Array | null): void {
    if (lastWord && this.#sink) this.#startedWriter().append(lastWord);
    this.#beginClosing(reason, detail);
  }

  #beginClosing(reason: CloseReason, detail: string): void {
    this.#phase = "closing";
    this.#reason = reason;
    this.#detail = detail;
    this.#wakeReader();
    this.#watchDrain();
    this.#advance();
  }

  /** Breaks the connection once it has taken no byte for `drainTimeout`. */
  #watchDrain(): void {
    const { bytesOut } = this;
    const timeout = this.#limits?.drainTimeout ?? 0;
    this.#endDeadline = afterRunning(timeout, () => {
      if (this.bytesOut > bytesOut) return this.#watchDrain();
      this.#break("idle-timeout", `the peer took no bytes for ${timeout} ms`);
    });
  }

  static #onWriterIdle(connection: EbsocketConnection, error: unknown): void {
    if (error === undefined) connection.#advance();
    else connection.#onWriteError(error);
  }

  /** Takes the next step of closing, unless there is still something to write. */
  #advance(): void {
    if (this.#phase !== "closing" || this.#writer?.busy) return;
    if (this.#readEnded) return this.#finish();
    if (this.#halfClosed || !this.#discarding) return;
    this.#halfClosed = true;
    this.#endDeadline?.();
    this.#endDeadline = afterRunning(LINGER_MS, () => this.#finish());
    this.#duplex.closeWrite().catch(() => this.#finish());
  }

  /** The peer sends nothing more. It may still receive: what is queued is sent first. */
  #onEnd(): void {
    this.#readEnded = true;
    if (this.#phase === "open") {
      this.#sink!.onEnd?.(this);
      this.#feed?.settle(this);
      const lost = this.unfinishedBytes;
      if (lost > 0) {
        const detail = `${lost} bytes after the last newline were dropped`;
        this.#tell("truncated", detail, encodeClose({ reason: "truncated", detail }));
      } else {
        this.#beginClosing("eof", "");
      }
    }
    this.#advance();
  }

  #onReadError(error: unknown): void {
    this.#readEnded = true;
    this.#break("reset", messageOf(error));
  }

  /** Nothing more can be sent, but what the peer has sent before may still be read. */
  #onWriteError(error: unknown): void {
    this.#writeFailed = true;
    if (this.#readEnded || this.#discarding) return this.#break("reset", messageOf(error));
    if (this.#phase !== "open") return;
    this.#phase = "closing";
    this.#reason = "reset";
    this.#detail = messageOf(error);
  }

  /** Ends a connection that has failed. An earlier reason stays, unless it promised more. */
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
    clearTimers();
    this.#discarding = true;
    this.#endDeadline?.();
    this.#duplex.close();
    this.#wakeReader();
    this.#splitter?.drop();
    this.#splitter = null;
    this.#writer?.stop();
    const unsent = this.#writer?.unsent() ?? { lines: 0, bytes: 0 };
    this.#writer?.letGo();
    // Where the peer broke off, the reason that it gave before says more than how it did.
    const isTheirs = this.#reason === "eof" || this.#reason === "reset";
    const farewell = isTheirs && this.#announced || { reason: this.#reason, detail: this.#detail };
    const info: CloseInfo = {
      ...farewell,
      unsentLines: unsent.lines,
      unsentBytes: unsent.bytes,
    };
    this.#info = info;
    this.#closed?.resolve(info);
    this.#sink?.onClose(this, info);
  }
}

/**
 * The connection over a socket. Each write is sent at once, since batches are made here and not by
 * Nagle's algorithm, and the operating system probes silent peers.
 */
export function openConnection(socket: Socket): EbsocketConnection {
  if ("setNoDelay" in socket) tune(socket as Deno.TcpConn);
  return new EbsocketConnection(socket, toAddress(socket.remoteAddr));
}

/** Has TCP send each write at once, and probe silent peers. */
export function tune(conn: Deno.TcpConn): void {
  try {
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
  } catch {
    // The peer is gone already, which the first read will tell.
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
