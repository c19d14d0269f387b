/**
 * A connection to a server by WebSocket, over the standard class of browsers and other runtimes.
 *
 *     state    event                             next     action
 *     open     close(), binary or bad message    closing  send the queue and a close line
 *     open     closed by the peer                closed   after the messages that are held back
 *     closing  closed by the peer, or too slow   closed
 *     any      abort(), stuck or silent peer     closed   drop the queue
 *
 * A program cannot stop a WebSocket from receiving. While it does not read, messages are held back
 * here, and the server stops at {@link WebConnection.window} bytes of events.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { ClientConnection, ConnectionSink } from "./port.ts";
import {
  type CloseInfo,
  type CloseReason,
  ConnectionClosedError,
  type Farewell,
} from "../errors.ts";
import type { ConnectionLimits } from "../net/connection_options.ts";
import { decodeClose, encodeClose } from "../protocol/control.ts";
import { KeepAlive } from "../net/keepalive.ts";
import { LineBlock } from "../protocol/line_splitter.ts";
import { addTicking, removeTicking } from "../net/ticker.ts";
import { decoder, encoder } from "../protocol/utf8.ts";
import { LF } from "../protocol/ascii.ts";
import { onWake } from "./page.ts";
import { WebSender } from "./web_sender.ts";

/** How many bytes of events a server may send beyond those read: 1 MiB. */
const WINDOW_BYTES = 1_048_576;

/**
 * How many bytes may be held back while the program does not read. Only a server that ignores the
 * window sends that much.
 */
const MAX_HELD_BYTES = 16 * WINDOW_BYTES;

/**
 * The shortest keep-alive interval that a client promises, in milliseconds. In a hidden page a timer
 * may be as late as a minute.
 */
const MIN_KEEP_ALIVE_MS = 90_000;

/** How long the peer may take to close after us, in milliseconds. */
const LINGER_MS = 1000;

/** How long a peer may be silent after the page has woken up, in milliseconds. */
const WAKE_MS = 2000;

/** A keep-alive line. As a message it is empty. */
const KEEP_ALIVE = new Uint8Array([LF]);

/** A connection by WebSocket. */
export class WebConnection implements ClientConnection {
  readonly address: Address;
  readonly window: number = WINDOW_BYTES;
  readonly minKeepAliveMs: number = MIN_KEEP_ALIVE_MS;
  bytesIn = 0;
  reading = true;
  readonly unfinishedBytes: number = 0;

  readonly #socket: WebSocket;
  readonly #sender: WebSender;
  #sink: ConnectionSink | null = null;
  #limits!: ConnectionLimits;
  readonly #keepAlive = new KeepAlive();
  #keepAliveMs = Infinity;
  #heardAt = performance.now();
  #endWakeCalls = (): void => {};

  #phase: "open" | "closing" | "closed" = "open";
  readonly #closed = Promise.withResolvers<CloseInfo>();
  /** Why this side closes, and why the peer does. */
  #own: Farewell = { reason: "aborted", detail: "" };
  #announced: Farewell | null = null;

  /** The messages that have not been passed on, and their size. */
  #held: unknown[] = [];
  #heldBytes = 0;
  /** How the peer has closed. It counts after the messages that are held back. */
  #end: CloseEvent | null = null;

  /** Runs while the connection closes, and after the page has woken up. */
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #refused = { lines: 0, bytes: 0 };

  /** Takes over a WebSocket that is open or about to open. */
  constructor(socket: WebSocket, address: Address) {
    this.#socket = socket;
    this.#sender = new WebSender(socket);
    this.address = address;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#onMessage(data);
    socket.onclose = (event) => {
      this.#end = event;
      this.#sender.stop();
      this.#deliver();
    };
  }

  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  get open(): boolean {
    return this.#phase === "open" && !this.#end;
  }

  get pendingBytes(): number {
    return this.#sender.pendingBytes;
  }

  get bytesHandedOff(): number {
    return this.#sender.bytesHandedOff;
  }

  get bytesOut(): number {
    return this.#sender.bytesOut;
  }

  start(sink: ConnectionSink, limits: ConnectionLimits): void {
    this.#sink = sink;
    this.#limits = limits;
    addTicking(this);
    this.#endWakeCalls = onWake(() => this.#onWake());
    this.resume();
  }

  // Receiving

  #onMessage(data: unknown): void {
    this.#heardAt = performance.now();
    this.#held.push(data);
    this.#heldBytes += sizeOf(data);
    if (this.#held.length === 1) this.#deliver();
    if (this.#heldBytes > MAX_HELD_BYTES) {
      this.abort("rate-limited", `${this.#heldBytes} bytes came while none were read`);
    }
  }

  pause(): void {
    this.reading = false;
  }

  resume(): void {
    this.reading = true;
    queueMicrotask(() => this.#deliver());
  }

  /** Passes on the messages that are held back, and the end after them. */
  #deliver(): void {
    if (!this.#sink) return;
    let taken = 0;
    while (this.reading && this.#phase === "open" && taken < this.#held.length) {
      const data = this.#held[taken++];
      this.#heldBytes -= sizeOf(data);
      if (typeof data === "string") this.#receive(data);
      else this.close("bad-json", "a message was binary, and lines are text");
    }
    this.#held.splice(0, taken);
    if (this.#end && (this.#held.length === 0 || this.#phase === "closing")) this.#onEnd(this.#end);
  }

  #receive(text: string): void {
    const bytes = encoder.encode(text.endsWith("\n") ? text : `${text}\n`);
    this.bytesIn += bytes.length;
    const { maxLineBytes } = this.#limits;
    for (let at = 0; bytes.length - at > maxLineBytes + 1;) {
      const end = bytes.indexOf(LF, at);
      if (end - at > maxLineBytes) {
        const detail = `length ${end - at} exceeds maxLineBytes ${maxLineBytes}`;
        return void this.close("line-too-long", detail);
      }
      at = end + 1;
    }
    try {
      this.#sink!.onLines(this, new LineBlock(bytes));
    } catch (error) {
      this.abort("aborted", "the program failed to handle a line");
      throw error;
    }
  }

  notePeerClose(farewell: Farewell): void {
    this.#announced ??= farewell;
  }

  setPeerKeepAlive(ms: number): void {
    this.#keepAliveMs = ms;
    this.#keepAlive.setPeerInterval(ms);
  }

  /** Advances the deadlines by `elapsed` milliseconds. */
  tick(elapsed: number): void {
    const { writeTimeout } = this.#limits;
    if (!this.open) return;
    switch (this.#keepAlive.check(elapsed, this, this.#limits)) {
      case "send":
        return void this.send(KEEP_ALIVE);
      case "silent":
        return this.#onSilent();
      case "stuck":
        this.abort("idle-timeout", `the peer took no bytes for ${writeTimeout} ms`);
    }
  }

  #onSilent(): void {
    this.abort("idle-timeout", "the peer gave no sign of life as it had promised");
  }

  /**
   * Finds out whether the connection has survived the sleep of the page or the machine: what has
   * arrived meanwhile is passed on at once. It sends nothing, because a server that has closed would
   * answer with a reset, which destroys its last line.
   */
  #onWake(): void {
    if (!this.open) return;
    const heardAt = this.#heardAt;
    if (performance.now() - heardAt < this.#keepAliveMs + this.#limits.keepAliveTimeout) return;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      if (this.open && this.#heardAt === heardAt) this.#onSilent();
    }, WAKE_MS);
  }

  // Sending

  send(lines: Uint8Array): boolean {
    if (this.open) this.#sender.add(lines);
    return this.open;
  }

  /** Does nothing: events are always gathered for a moment. */
  cork(): void {}

  room(): Promise<void> | null {
    return this.#sender.room(this.#limits.maxPendingBytes);
  }

  async flush(): Promise<void> {
    if (await this.#sender.flush()) return;
    throw new ConnectionClosedError("Cannot flush: the connection has ended");
  }

  countUnsent(line: Uint8Array): void {
    this.#refused.lines++;
    this.#refused.bytes += line.length;
  }

  // Ending

  close(reason: CloseReason = "local", detail = ""): Promise<CloseInfo> {
    if (this.#phase !== "open") return this.closed;
    this.#phase = "closing";
    this.#own = { reason, detail };
    if (this.#end) this.#finish(this.#own);
    else this.#sendLast(encodeClose(this.#own));
    return this.closed;
  }

  /** Hands everything to the WebSocket, which closes once it has sent that. */
  #sendLast(line: Uint8Array | null): void {
    this.#sender.sendAll();
    if (line) this.#socket.send(decoder.decode(line.subarray(0, -1)));
    // A page may give no other code.
    this.#socket.close(1000, this.#own.reason);
    this.#watchEnd();
  }

  #watchEnd(): void {
    clearTimeout(this.#deadline);
    const { bufferedAmount } = this.#socket;
    const ms = bufferedAmount > 0 ? this.#limits.drainTimeout : LINGER_MS;
    this.#deadline = setTimeout(() => {
      const left = this.#socket.bufferedAmount;
      if (left === 0) return this.#finish(this.#own);
      if (left < bufferedAmount) return this.#watchEnd();
      this.#finish({ reason: "idle-timeout", detail: `the peer took no bytes for ${ms} ms` });
    }, ms);
  }

  abort(reason: CloseReason = "aborted", detail = ""): Promise<CloseInfo> {
    // An earlier reason is kept, unless it promised to deliver everything.
    const isKept = this.#phase === "closing" && this.pendingBytes === 0;
    this.#finish(isKept ? this.#own : { reason, detail });
    return this.closed;
  }

  #onEnd({ code, reason, wasClean }: CloseEvent): void {
    if (this.#phase === "closing") return this.#finish(this.#own);
    if (this.#announced) return this.#finish(this.#announced);
    const word = decodeClose({ control: "close", reason });
    if (word && word.reason !== "eof") return this.#finish(word);
    const detail = code === 1000 || code === 1005 ? "" : `the WebSocket closed with code ${code}`;
    this.#finish({ reason: wasClean ? "eof" : "reset", detail });
  }

  #finish(farewell: Farewell): void {
    if (this.#phase === "closed") return;
    const unsentBytes = this.pendingBytes + this.#refused.bytes;
    const unsentLines = this.#sender.pendingLines + this.#refused.lines;
    this.#phase = "closed";
    clearTimeout(this.#deadline);
    removeTicking(this);
    this.#endWakeCalls();
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#sender.stop();
    this.#held = [];
    const info = { ...farewell, unsentLines, unsentBytes };
    this.#closed.resolve(info);
    this.#sink?.onClose(this, info);
  }
}

function sizeOf(data: unknown): number {
  return typeof data === "string" ? data.length : 0;
}
