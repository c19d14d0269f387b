/**
 * One connection of a client, from dialling and the handshake to its end.
 *
 * | state | recognised by | received events |
 * | --- | --- | --- |
 * | dialling | there is no `Session` yet | none |
 * | greeting | not `#isReady` | kept in `#early` |
 * | ready | `#isReady` and `#early` | kept in `#early` |
 * | active | `#early` is `null` | passed on |
 * | ended | `#info` | none |
 *
 *     dialling -> greeting  the socket is open: send the hello
 *     greeting -> ready     the required replies have arrived, or none is and 500 ms are over
 *     ready    -> active    begin()
 *     any      -> ended     the connection ends, or a step of open() fails
 *
 * A welcome that arrives in the states ready and active still counts.
 *
 * @module
 */

import { describeConnectError, isPermissionError } from "../net/platform.ts";
import type { SessionSettings } from "./options.ts";
import { notSupported } from "../protocol/routing.ts";
import { concat } from "@std/bytes/concat";
import { type Address, formatAddress } from "../protocol/address.ts";
import { type EbsocketConnection, openConnection } from "../net/connection.ts";
import { type ControlLine, decodeClose } from "../protocol/control.ts";
import type { BlockDecoder } from "../protocol/decoder.ts";
import { type CloseInfo, type CloseReason, ConnectError, EbsocketError } from "../errors.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { decodeAck, decodeWelcome, encodeHello, type Welcome } from "../protocol/greeting.ts";
import type { ControlChannel, HelloExtras } from "./subscriptions.ts";
import { Inbox } from "../net/inbox.ts";
import { MAX_MAX_LINE_BYTES, relayedLineBytes } from "../protocol/option_checks.ts";
import type { Feature } from "../protocol/routing.ts";

import type { LineBlock } from "../protocol/line_splitter.ts";
import { tokenOf } from "./token.ts";
import { addressOf, type Destination, dial } from "../net/transport.ts";
import { MAX_MAX_DEPTH } from "../protocol/validator.ts";
import { abortable } from "../net/waits.ts";

/**
 * The default time for an optional welcome, in milliseconds. After that the server is used without
 * one.
 */
const GREETING_MS = 500;

/**
 * The maximum number of bytes received before the greeting is over. Until then reading cannot
 * pause, because the server's replies could not be read. Far fewer bytes are kept.
 */
const MAX_GREETING_BYTES = 67_108_864;

/** The callbacks of a session. */
export interface SessionSink {
  /** Called before the hello. Returns the control lines that follow it. */
  onHello(session: Session): HelloExtras;
  /**
   * Returns whether an event received before {@link Session.begin} matches the subscriptions known
   * by then.
   */
  admits(event: EbsocketEvent): boolean;
  /** Called with received events. Their lines have `bytes` bytes in total. */
  onEvents(session: Session, events: EbsocketEvent[], bytes: number): void;
  /** Called after the server's welcome. */
  onWelcome(session: Session): void;
  /** Called when the server has acknowledged the first `count` events. */
  onAck(session: Session, count: number): void;
  /** Called when events are missing: the number lost before the next event. */
  onGap(missed: number): void;
  /** Called with a control line about events or subscriptions. */
  onWord(line: ControlLine): void;
  /** Called when the session has ended. This is the last call. */
  onEnd(session: Session, info: CloseInfo): void;
}

/** A connection to a server, after the handshake. */
export class Session implements ControlChannel {
  /** The connection. */
  readonly connection: EbsocketConnection;
  /** When the session was created, on the clock of `performance.now()`. */
  readonly since: number = performance.now();
  readonly #decoder: BlockDecoder;
  readonly #maxPendingBytes: number;
  readonly #ownLineBytes: number;
  readonly #unnamedLineBytes: number;
  readonly #sink: SessionSink;
  readonly #answered = Promise.withResolvers<void>();
  #welcome: Welcome | null = null;
  #info: CloseInfo | null = null;
  #hasSpoken = false;
  /** Whether the server may send lines that exceed this client's limits. */
  #isUnfit = false;
  /** Whether the greeting is over, including all required replies. */
  #isReady = false;
  /** Whether the session requires a welcome. */
  #needsWelcome: boolean;
  /** The control lines sent after the hello. */
  #wishes: HelloExtras | null = null;
  /** The events received before `begin()`. `null` after it. */
  #early: Inbox<EbsocketEvent> | null;
  /** The number of events lost or dropped before `begin()`. */
  #missed = 0;
  /** The control lines that do not fit into the send queue yet. */
  readonly #untold: Uint8Array[] = [];
  /** The sequence number of the last event. `null` if events are not numbered. */
  #sequence: number | null;
  /** Whether a numbered event has arrived. */
  #isNumbered = false;

  private constructor(
    connection: EbsocketConnection,
    { limits, unnamedLineBytes, decoder, token, wantsSequence, unread }: SessionSettings,
    sink: SessionSink,
  ) {
    this.connection = connection;
    this.#decoder = decoder;
    this.#maxPendingBytes = limits.maxPendingBytes;
    this.#ownLineBytes = limits.maxLineBytes;
    this.#unnamedLineBytes = unnamedLineBytes;
    this.#sequence = wantsSequence ? 0 : null;
    this.#needsWelcome = token !== undefined || wantsSequence;
    this.#early = new Inbox(unread, () => {});
    this.#sink = sink;
    // The relay may add attributes to a line, so the limit is higher here. Otherwise a line of
    // exactly the maximum length would end the connections of all its recipients.
    const maxLineBytes = relayedLineBytes(limits.maxLineBytes);
    connection.start({
      onLines: (_, lines) => this.#onLines(lines),
      onClose: (_, info) => this.#onClose(info),
    }, { ...limits, maxLineBytes });
  }

  /**
   * Connects to `where` and waits for the server's welcome: until `signal` is aborted if it is
   * required, otherwise for a short time.
   *
   * @param where The server's address, path or dialer.
   * @param settings The client's settings.
   * @param sink The callbacks of the session.
   * @param signal Cancels the attempt.
   * @returns Resolves to the session.
   * @throws {ConnectError} If it cannot connect.
   * @throws {EbsocketError} If the server does not support or refuses something that the client
   * requires.
   * @throws {Deno.errors.NotCapable} Without the required permission.
   */
  static async open(
    where: Destination,
    settings: SessionSettings,
    sink: SessionSink,
    signal: AbortSignal,
  ): Promise<Session> {
    const { tls } = settings;
    const address = addressOf(where);
    try {
      const token = await tokenOf(settings.token, signal);
      const socket = await dial(where, { ...(tls !== undefined && { tls }), signal });
      const session = new Session(openConnection(socket), settings, sink);
      await session.#greet(address, settings, token, signal);
      return session;
    } catch (error) {
      if (isPermissionError(error) || error instanceof EbsocketError) throw error;
      throw connectError(address, signal.aborted ? signal.reason : error);
    }
  }

  /**
   * Makes this the client's current session. Passes on the events received so far, and all further
   * ones as they arrive. If a session never becomes current, its events are dropped with it.
   */
  begin(): void {
    const early = this.#early;
    this.#early = null;
    if (early && early.length > 0) {
      const { bytes } = early;
      this.#sink.onEvents(this, early.takeAll(), bytes);
    }
    if (this.#missed > 0) this.#sink.onGap(this.#missed);
  }

  /** How the session ended, or `null` if it has not ended. */
  get info(): CloseInfo | null {
    return this.#info;
  }

  /** Whether the session has ended. */
  get hasEnded(): boolean {
    return this.#info !== null;
  }

  /** The ID that the server has assigned to this client, or `null` if it has not assigned one. */
  get id(): string | null {
    return this.#welcome?.id || null;
  }

  /** Whether the server acknowledges events. */
  get hasAcks(): boolean {
    return this.#welcome?.ack ?? false;
  }

  /** The longest line that may be sent, in bytes without the line end. */
  get maxLineBytes(): number {
    return this.#welcome?.limits.maxLineBytes ?? this.#unnamedLineBytes;
  }

  /** Whether the server has announced its line limit. */
  get namesLimit(): boolean {
    return this.#welcome?.limits.maxLineBytes !== undefined;
  }

  /** Whether the server has sent its welcome. Its features are unknown before that. */
  get isGreeted(): boolean {
    return this.#welcome !== null;
  }

  /** Returns whether the server supports a feature. `false` before its welcome. */
  has(feature: Feature): boolean {
    return this.#welcome?.features.includes(feature) ?? false;
  }

  /**
   * Sends a control line, once it fits into the send queue and the control lines before it have
   * been sent.
   */
  tell(line: Uint8Array): void {
    this.#needsWelcome = true;
    if (this.#untold.length === 0 && this.#fits(line)) {
      this.connection.send(line, 0);
    } else if (this.#untold.push(line) === 1) {
      this.#tellRest();
    }
  }

  async #tellRest(): Promise<void> {
    const { connection } = this;
    try {
      for (let line; (line = this.#untold[0]); this.#untold.shift()) {
        while (!this.#fits(line)) await connection.flush();
        connection.send(line, 0);
      }
    } catch {
      // The connection has ended, and no line can be sent any more.
    }
  }

  #fits(line: Uint8Array): boolean {
    const waiting = this.connection.pendingBytes;
    return waiting === 0 || waiting + line.length <= this.#maxPendingBytes;
  }

  /** Sends the hello and waits for all required replies. */
  async #greet(
    address: Address,
    { limits, wantsAcks, wantsSequence, greetingTimeout = GREETING_MS }: SessionSettings,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const wishes = this.#wishes = this.#sink.onHello(this);
    this.#needsWelcome ||= wishes.needsWelcome;
    try {
      const keepAliveMs = limits.keepAliveInterval;
      const hello = encodeHello({
        ...(token !== undefined && { token }),
        ...(Number.isFinite(keepAliveMs) && { keepAliveMs }),
        ack: wantsAcks,
        sequence: wantsSequence,
      });
      // In one write, so that the relay knows the subscriptions before anything else happens.
      this.connection.send(concat([hello, ...wishes.lines]), 0);
      await this.#waitForAnswer(address, greetingTimeout, signal);
      this.#checkAnswer(address);
      if (wantsSequence) this.#demand("sequence");
      if (wishes.confirmed) await this.#waitFor(wishes.confirmed, address, signal);
      this.#isReady = true;
    } catch (error) {
      this.connection.abort();
      throw error;
    }
  }

  /**
   * Waits until the server has sent its welcome or closed the connection, or the time for an
   * optional welcome is over.
   */
  async #waitForAnswer(address: Address, timeout: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = this.#answered;
    const timer = setTimeout(() => {
      if (!this.#needsWelcome) resolve();
    }, timeout);
    try {
      await abortable(promise, signal);
    } catch (error) {
      const why = `${
        describeConnectError(error)
      }; the connection was made, but no welcome has come`;
      throw connectError(address, new Error(why, { cause: error }));
    } finally {
      clearTimeout(timer);
    }
  }

  #checkAnswer(address: Address): void {
    if (this.#welcome || !this.#info) return;
    // A server without a welcome may have sent all its events by now.
    if (!this.#needsWelcome && this.#hasSpoken && this.#info.reason === "eof") return;
    throw endedError(address, this.#info);
  }

  #demand(feature: Feature): void {
    if (!this.has(feature)) throw notSupported(feature, "connect as asked");
  }

  /** Waits until the server has acknowledged the subscriptions. */
  async #waitFor(
    confirmed: Promise<unknown>,
    address: Address,
    signal: AbortSignal,
  ): Promise<void> {
    this.#demand("subscribe");
    try {
      await abortable(confirmed, signal);
    } catch (error) {
      if (this.#info) throw endedError(address, this.#info);
      throw error;
    }
  }

  /** Passes received lines on, in their order: a control line affects the lines after it. */
  #onLines({ bytes }: LineBlock): void {
    if (!this.#isReady && this.connection.bytesIn > MAX_GREETING_BYTES) {
      const detail = `${this.connection.bytesIn} bytes came before the greeting was over`;
      return void this.connection.abort("rate-limited", detail);
    }
    const lines = this.#decoder.decode(bytes);
    const { fault } = this.#decoder;
    // Control lines count as empty: the block's bytes are attributed to its events.
    const count = lines.filter(isEvent).length;
    const share = bytes.length / count;
    if (count > 1) this.connection.gather(); // each may be answered
    let events: EbsocketEvent[] = [];
    for (const line of lines) {
      if (line instanceof EbsocketEvent) {
        events.push(line);
        continue;
      }
      this.#onEvents(events, share);
      events = [];
      this.#onControl(line);
      if (this.#isUnfit) return;
    }
    this.#onEvents(events, share);
    if (fault) this.connection.close(fault.code, fault.message);
  }

  #onEvents(events: EbsocketEvent[], bytesEach: number): void {
    if (events.length === 0) return;
    this.#hasSpoken = true;
    if (this.#sequence !== null) this.#count(events);
    if (this.#early) this.#keep(this.#early, events, bytesEach);
    else this.#sink.onEvents(this, events, bytesEach * events.length);
  }

  /** Keeps early events that match the subscriptions, as long as there is room. */
  #keep(early: Inbox<EbsocketEvent>, events: EbsocketEvent[], bytesEach: number): void {
    const wanted = events.filter((event) => this.#sink.admits(event));
    if (early.full) this.#missed += wanted.length;
    else early.push(wanted, bytesEach * wanted.length);
  }

  #onGap(missed: number): void {
    if (this.#early) this.#missed += missed;
    else this.#sink.onGap(missed);
  }

  /** Detects missing events. */
  #count(events: EbsocketEvent[]): void {
    for (const { seq } of events) {
      const last = this.#sequence!;
      // A relay also counts the events sent before it has read that this client wants sequence
      // numbers.
      if (seq === null && !this.#isNumbered) this.#sequence = last + 1;
      if (seq === null || !Number.isSafeInteger(seq) || seq <= last) continue;
      if (seq > last + 1) this.#onGap(seq - last - 1);
      this.#sequence = seq;
      this.#isNumbered = true;
    }
  }

  #onControl(line: ControlLine): void {
    switch (line.control) {
      case "ack": {
        const count = decodeAck(line);
        if (count === null) this.#sink.onWord(line);
        else this.#sink.onAck(this, count);
        return;
      }
      case "error":
      case "stats":
        return this.#sink.onWord(line);
      case "welcome":
        return this.#onWelcome(line);
      case "close": {
        const close = decodeClose(line);
        if (close) this.connection.notePeerClose(close);
      }
    }
  }

  /** Accepts the first welcome, even a late one. Ignores further ones. */
  #onWelcome(line: ControlLine): void {
    if (this.#welcome) return;
    const welcome = decodeWelcome(line);
    if (!welcome) return;
    const unfit = this.#tooMuchOf(welcome);
    if (unfit) {
      this.#isUnfit = true;
      return void this.connection.close(...unfit);
    }
    this.#welcome = welcome;
    if (welcome.keepAliveMs !== undefined) this.connection.expect(welcome.keepAliveMs);
    this.#answered.resolve();
    this.#sink.onWelcome(this);
    this.#wishes?.onGreeted();
  }

  /**
   * Returns why a line that the server accepts and delivers could exceed this client's limits, or
   * `null`.
   */
  #tooMuchOf({ limits }: Welcome): [reason: CloseReason, detail: string] | null {
    const { maxLineBytes: bytes = 0, maxDepth: depth = 0 } = limits;
    const end = ": one such line would end the connection";
    if (Math.min(bytes, MAX_MAX_LINE_BYTES) > this.#ownLineBytes) {
      const own = `maxLineBytes of the client allows ${this.#ownLineBytes}`;
      return ["line-too-long", `the server takes lines of ${bytes} bytes, and ${own}${end}`];
    }
    if (Math.min(depth, MAX_MAX_DEPTH) > this.#decoder.maxDepth) {
      const own = `maxDepth of the client allows ${this.#decoder.maxDepth}`;
      return ["too-deep", `the server takes lines that nest ${depth} deep, and ${own}${end}`];
    }
    return null;
  }

  #onClose(info: CloseInfo): void {
    this.#info = info;
    this.#answered.resolve();
    this.#sink.onEnd(this, info);
  }
}

function isEvent(line: EbsocketEvent | ControlLine): boolean {
  return line instanceof EbsocketEvent;
}

function endedError(address: Address, { reason, detail }: CloseInfo): ConnectError {
  const why = detail ? `${reason}: ${detail}` : reason;
  return new ConnectError(
    `Cannot connect to ${formatAddress(address)}: the connection ended with ${why}`,
    { reason },
  );
}

/** Creates the error for a connection to `address` that failed because of `cause`. */
export function connectError(address: Address, cause: unknown): ConnectError {
  return new ConnectError(
    `Cannot connect to ${formatAddress(address)}: ${describeConnectError(cause)}`,
    {
      cause,
    },
  );
}
