/**
 * Owns one connection of a client, from dialling and greeting to its end. Must not know what comes
 * after it.
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

/** How long a server that need not greet may take to do so before it is taken as it is. */
const GREETING_MS = 500;

/**
 * How much may come before the greeting is over, in bytes: until then the server cannot be slowed
 * down, as its answers could not be heard. Far less of it is kept.
 */
const MAX_GREETING_BYTES = 67_108_864;

/** Who hears of what happens in a session. */
export interface SessionSink {
  /** The session is about to say hello; gives what it is to say behind that, if anything. */
  onHello(session: Session): HelloExtras;
  /** Whether an event that has come before {@link Session.begin} is wanted, as far as is known by then. */
  admits(event: EbsocketEvent): boolean;
  /** Events have come; their lines had `bytes` bytes. */
  onEvents(session: Session, events: EbsocketEvent[], bytes: number): void;
  /** The server has greeted. */
  onWelcome(session: Session): void;
  /** The server has taken the first `count` events. */
  onAck(session: Session, count: number): void;
  /** Events have not arrived: so many before the one that is about to come. */
  onGap(missed: number): void;
  /** A control line has come that is about events and subscriptions. */
  onWord(line: ControlLine): void;
  /** The session has ended; this is its last call. */
  onEnd(session: Session, info: CloseInfo): void;
}

/** A connection to a server that has been greeted. */
export class Session implements ControlChannel {
  /** The connection. */
  readonly connection: EbsocketConnection;
  /** When it was made, by the clock of `performance.now()`. */
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
  /** Whether the server may send what is too much for this client. */
  #isUnfit = false;
  /** Whether the greeting is over, with all that was to come of it. */
  #isReady = false;
  /** Whether there is no session without a welcome. */
  #needsWelcome: boolean;
  /** What was said behind the hello. */
  #wishes: HelloExtras | null = null;
  /** What has come before the session counts; `null` since it does. */
  #early: Inbox<EbsocketEvent> | null;
  /** How many events have not arrived until then, or found no room. */
  #missed = 0;
  /** The control lines for which there is no room yet. */
  readonly #untold: Uint8Array[] = [];
  /** Which event came last; `null` if they are not to be numbered. */
  #sequence: number | null;
  /** Whether one has come that was numbered. */
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
    // Or whoever sends a line of just the greatest length would end all that hear it.
    const maxLineBytes = relayedLineBytes(limits.maxLineBytes);
    connection.start({
      onLines: (_, lines) => this.#onLines(lines),
      onClose: (_, info) => this.#onClose(info),
    }, { ...limits, maxLineBytes });
  }

  /**
   * Connects to `where`, and waits for the welcome of the server: until `signal` is aborted if it has to
   * come, otherwise for a moment.
   *
   * @throws {ConnectError} If it cannot connect.
   * @throws {EbsocketError} If the server cannot do what is asked of it, or will not.
   * @throws {Deno.errors.NotCapable} Without the permission to.
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
   * Makes the session count, once it is known that it is the one: passes on what has come before, and
   * from now on all as it comes. What a session has received that never counts is dropped with it.
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

  /** How the session ended, or `null` while it has not. */
  get info(): CloseInfo | null {
    return this.#info;
  }

  /** Whether the session has ended. */
  get hasEnded(): boolean {
    return this.#info !== null;
  }

  /** What the server calls this client, or `null` if it has not said. */
  get id(): string | null {
    return this.#welcome?.id || null;
  }

  /** Whether the server says which events it has taken. */
  get hasAcks(): boolean {
    return this.#welcome?.ack ?? false;
  }

  /** The longest line that may be sent, in bytes without its end. */
  get maxLineBytes(): number {
    return this.#welcome?.limits.maxLineBytes ?? this.#unnamedLineBytes;
  }

  /** Whether that is what the server has said. */
  get namesLimit(): boolean {
    return this.#welcome?.limits.maxLineBytes !== undefined;
  }

  /** Whether the server has greeted. Before that, nobody knows what it can do. */
  get isGreeted(): boolean {
    return this.#welcome !== null;
  }

  /** Whether the server can do something, as far as it has said so. */
  has(feature: Feature): boolean {
    return this.#welcome?.features.includes(feature) ?? false;
  }

  /** Sends a control line, once it fits among what waits, and those before it have been sent. */
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
      // The connection has ended, and nobody can be told any more.
    }
  }

  #fits(line: Uint8Array): boolean {
    const waiting = this.connection.pendingBytes;
    return waiting === 0 || waiting + line.length <= this.#maxPendingBytes;
  }

  /** Says hello, and waits for what comes of it. */
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
      // In one write, so that a relay knows what is wanted before anything else can happen.
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

  /** Waits until the server has greeted or gone, or until it need not be waited for any more. */
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
    // A server that does not greet may have said all that it had to say by now.
    if (!this.#needsWelcome && this.#hasSpoken && this.#info.reason === "eof") return;
    throw endedError(address, this.#info);
  }

  #demand(feature: Feature): void {
    if (!this.has(feature)) throw notSupported(feature, "connect as asked");
  }

  /** Waits until the server keeps to what the client wants to hear. */
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

  /** Passes on what has come, in its order: what a control line says holds for what follows it. */
  #onLines({ bytes }: LineBlock): void {
    if (!this.#isReady && this.connection.bytesIn > MAX_GREETING_BYTES) {
      const detail = `${this.connection.bytesIn} bytes came before the greeting was over`;
      return void this.connection.abort("rate-limited", detail);
    }
    const lines = this.#decoder.decode(bytes);
    const { fault } = this.#decoder;
    // Control lines take no room: whatever the block had is due to the events in it.
    const count = lines.filter(isEvent).length;
    const share = bytes.length / count;
    if (count > 1) this.connection.gather(); // as there may be as many answers
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

  /** Keeps what is wanted of what has come too early, as far as there is room. */
  #keep(early: Inbox<EbsocketEvent>, events: EbsocketEvent[], bytesEach: number): void {
    const wanted = events.filter((event) => this.#sink.admits(event));
    if (early.full) this.#missed += wanted.length;
    else early.push(wanted, bytesEach * wanted.length);
  }

  #onGap(missed: number): void {
    if (this.#early) this.#missed += missed;
    else this.#sink.onGap(missed);
  }

  /** Looks for events that are missing. */
  #count(events: EbsocketEvent[]): void {
    for (const { seq } of events) {
      const last = this.#sequence!;
      // A relay also counts those that came before it had read that it is to number them.
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

  /** Also a welcome that comes late counts; a second one does not. */
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

  /** Why a line that the server takes, and may pass on, could be too much for this client. */
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

/** The error of a connection to `address` that could not be made because of `cause`. */
export function connectError(address: Address, cause: unknown): ConnectError {
  return new ConnectError(
    `Cannot connect to ${formatAddress(address)}: ${describeConnectError(cause)}`,
    {
      cause,
    },
  );
}
