/**
 * One connection of a client, from its hello to its end.
 *
 * | state | recognised by | received events |
 * | --- | --- | --- |
 * | greeting | not `isReady` | kept in `#early` |
 * | ready | `isReady` and `#early` | kept in `#early` |
 * | active | `#early` is `null` | passed on |
 * | ended | `info` | none |
 *
 *     greeting -> ready   the required replies have arrived, or `welcomeTimeout` is over
 *     ready    -> active  begin()
 *     any      -> ended   the connection ends, or the handshake fails
 *
 * A welcome that arrives in the states ready and active still counts.
 *
 * @module
 */

import type { ClientSettings } from "./options.ts";
import type { ClientConnection } from "./port.ts";
import type { ControlLine, Feature, Welcome } from "../protocol/control.ts";
import { decodeAck, decodeClose, decodeWelcome, encodeRead } from "../protocol/control.ts";
import type { CloseInfo, CloseReason } from "../errors.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { Inbox } from "../net/inbox.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import type { OutboxTerms } from "./outbox.ts";
import { MAX_MAX_LINE_BYTES, relayedLineBytes } from "../protocol/option_checks.ts";
import type { ControlChannel, SubscriptionManager } from "./subscriptions.ts";
import { MAX_MAX_DEPTH } from "../protocol/validator.ts";

/**
 * The maximum number of bytes received before the greeting is over. Until then reading cannot
 * pause, because the server's replies could not be read. Far fewer bytes are kept.
 */
const MAX_GREETING_BYTES = 67_108_864;

/**
 * An event of a session:
 *
 * | type | meaning |
 * | --- | --- |
 * | `open` | the socket is open, and the hello follows |
 * | `events` | events have arrived, whose lines have `bytes` bytes in total |
 * | `control` | a control line about events or subscriptions has arrived |
 * | `welcome` | the server has sent its welcome |
 * | `ack` | the server has acknowledged the first `count` events |
 * | `gap` | `missed` events before the next one are missing |
 * | `history` | a control line that may be about the history has arrived, in its place among the events |
 * | `end` | the session has ended; no further event follows |
 */
export type SessionEvent =
  | { readonly type: "open" | "welcome" }
  | { readonly type: "events"; readonly events: EbsocketEvent[]; readonly bytes: number }
  | { readonly type: "control" | "history"; readonly line: ControlLine }
  | { readonly type: "ack"; readonly count: number }
  | { readonly type: "gap"; readonly missed: number }
  | { readonly type: "end"; readonly info: CloseInfo };

/** The control lines about the history that a client receives in their place among the events. */
const HISTORY_LINES = ["welcome", "ack", "live", "at", "gap"];

/** Called with each event of a session. */
export type SessionListener = (session: Session, event: SessionEvent) => void;

/** A connection to a server, after its hello. */
export class Session implements ControlChannel {
  /** The connection. */
  readonly connection: ClientConnection;
  /** When the session was created, on the clock of `performance.now()`. */
  readonly since: number = performance.now();
  /** How many bytes of events the server may send beyond those read. `null` without a limit. */
  readonly window: number | null;
  /** Whether the session requires a welcome. */
  needsWelcome = false;
  /** Whether the greeting is over, including all required replies. */
  isReady = false;
  /** Whether the server has sent an event. */
  hasSentEvents = false;
  /** How the session ended, or `null` if it has not ended. */
  info: CloseInfo | null = null;
  readonly #settings: ClientSettings;
  readonly #subscriptions: SubscriptionManager;
  readonly #listener: SessionListener;
  readonly #answered = Promise.withResolvers<void>();
  /** Resolves when the server has sent its welcome, or the session has ended. */
  readonly answered: Promise<void> = this.#answered.promise;
  #welcome: Welcome | null = null;
  /** Whether the server may send lines that exceed this client's limits. */
  #exceedsLimits = false;
  /** The events received before `begin()`, and the lines about the history. `null` after it. */
  #early: Inbox<EbsocketEvent | ControlLine> | null;
  /** The number of events lost or dropped before `begin()`. */
  #missed = 0;
  /** The control lines that do not fit into the send queue yet. */
  readonly #controlQueue: Uint8Array[] = [];
  /** The number of bytes of events that were read since the last report. */
  #unreported = 0;
  /** The sequence number of the last event. `null` if events are not numbered. */
  #sequence: number | null;
  /** Whether a numbered event has arrived. */
  #isNumbered = false;

  /** Starts to read from a new connection. */
  constructor(
    connection: ClientConnection,
    settings: ClientSettings,
    subscriptions: SubscriptionManager,
    listener: SessionListener,
  ) {
    const { limits } = settings;
    this.connection = connection;
    this.window = connection.window === undefined
      ? null
      : Math.min(connection.window, settings.unread.maxUnreadBytes ?? Infinity);
    this.#settings = settings;
    this.#sequence = settings.wantsSequence ? 0 : null;
    this.#early = new Inbox(settings.unread, () => {});
    this.#subscriptions = subscriptions;
    this.#listener = listener;
    // The relay may add attributes to a line, so the limit is higher here. Otherwise a line of
    // exactly the maximum length would end the connections of all its recipients.
    const maxLineBytes = relayedLineBytes(limits.maxLineBytes);
    connection.start({
      onLines: (_, lines) => this.#onLines(lines),
      onClose: (_, info) => this.#onClose(info),
    }, { ...limits, maxLineBytes });
    listener(this, { type: "open" });
  }

  /**
   * Makes this the client's current session. Passes on the events received so far, and all further
   * ones as they arrive. If a session never becomes current, its events are dropped with it.
   */
  begin(): void {
    const early = this.#early;
    this.#early = null;
    if (early && early.length > 0) {
      const bytes = early.bytes / early.length;
      for (const item of early.takeAll()) {
        if (!(item instanceof EbsocketEvent)) this.#listener(this, { type: "history", line: item });
        else this.#listener(this, { type: "events", events: [item], bytes });
      }
    }
    if (this.#missed > 0) this.#onGap(this.#missed);
  }

  /** Whether the session has ended. */
  get hasEnded(): boolean {
    return this.info !== null;
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
    return this.#welcome?.limits.maxLineBytes ?? this.#settings.unnamedLineBytes;
  }

  /** What the server says of the lines that it takes. */
  get terms(): OutboxTerms {
    const { hasAcks, maxLineBytes } = this;
    const { producer, history } = this.#welcome ?? {};
    return { hasAcks, maxLineBytes, producer, history };
  }

  /** Whether the server has announced its line limit. */
  get announcesLimit(): boolean {
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
  sendControl(line: Uint8Array): void {
    this.needsWelcome = true;
    if (this.#controlQueue.length === 0 && this.#fits(line)) {
      this.connection.send(line, 0);
    } else if (this.#controlQueue.push(line) === 1) {
      this.#sendControlQueue();
    }
  }

  async #sendControlQueue(): Promise<void> {
    const { connection } = this;
    try {
      for (let line; (line = this.#controlQueue[0]); this.#controlQueue.shift()) {
        while (!this.#fits(line)) await connection.flush();
        connection.send(line, 0);
      }
    } catch {
      // The connection has ended, and no line can be sent any more.
    }
  }

  #fits(line: Uint8Array): boolean {
    const waiting = this.connection.pendingBytes;
    return waiting === 0 || waiting + line.length <= this.#settings.limits.maxPendingBytes;
  }

  /** Passes received lines on, in their order: a control line affects the lines after it. */
  #onLines({ bytes }: LineBlock): void {
    if (!this.isReady && this.connection.bytesIn > MAX_GREETING_BYTES) {
      const detail = `${this.connection.bytesIn} bytes came before the greeting was over`;
      return void this.connection.abort("rate-limited", detail);
    }
    const { decoder } = this.#settings;
    const lines = decoder.decode(bytes);
    const { fault, eventBytes } = decoder;
    if (this.window !== null && this.has("window")) this.#onRead(this.window, eventBytes);
    // Control lines count as empty: the block's bytes are attributed to its events.
    const count = lines.filter((line) => line instanceof EbsocketEvent).length;
    const share = bytes.length / count;
    if (count > 1) this.connection.cork(); // each may be answered
    let events: EbsocketEvent[] = [];
    for (const line of lines) {
      if (line instanceof EbsocketEvent) {
        events.push(line);
        continue;
      }
      this.#onEvents(events, share);
      events = [];
      this.#onControl(line);
      if (this.#exceedsLimits) return;
    }
    this.#onEvents(events, share);
    if (fault) this.connection.close(fault.code, fault.message);
  }

  /**
   * Reports events as read once they are a quarter of the window. What a program has not taken out of
   * its inbox counts as read until the inbox is full: from then on nothing is received.
   */
  #onRead(window: number, bytes: number): void {
    this.#unreported += bytes;
    if (this.#unreported === 0 || 4 * this.#unreported < window) return;
    this.sendControl(encodeRead(this.#unreported));
    this.#unreported = 0;
  }

  #onEvents(events: EbsocketEvent[], bytesEach: number): void {
    if (events.length === 0) return;
    this.hasSentEvents = true;
    if (this.#sequence !== null) this.#checkSequence(events);
    if (this.#early) return this.#keepEarly(events, bytesEach);
    this.#listener(this, { type: "events", events, bytes: bytesEach * events.length });
  }

  /**
   * Keeps early events that match the subscriptions, as long as there is room. There always is for
   * those of the history, since a client that resumes loses none.
   */
  #keepEarly(events: EbsocketEvent[], bytesEach: number): void {
    const early = this.#early!;
    const matching = events.filter((event) => this.#subscriptions.admits(event));
    const kept = early.full ? matching.filter(({ offset }) => offset !== null) : matching;
    early.push(kept, bytesEach * kept.length);
    this.#missed += matching.length - kept.length;
  }

  #onGap(missed: number): void {
    if (this.#early) this.#missed += missed;
    else this.#listener(this, { type: "gap", missed });
  }

  /** Detects missing events. */
  #checkSequence(events: EbsocketEvent[]): void {
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
    this.#handle(line);
    if (!this.#settings.wantsHistory || !HISTORY_LINES.includes(line.control)) return;
    if (this.#early) this.#early.push([line], 0);
    else this.#listener(this, { type: "history", line });
  }

  #handle(line: ControlLine): void {
    switch (line.control) {
      case "ack": {
        const count = decodeAck(line);
        if (count === null) this.#listener(this, { type: "control", line });
        else this.#listener(this, { type: "ack", count });
        return;
      }
      case "cluster":
      case "end":
      case "error":
      case "gap":
      case "stats":
        return this.#listener(this, { type: "control", line });
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
    const excess = this.#checkLimits(welcome);
    if (excess) {
      this.#exceedsLimits = true;
      return void this.connection.close(...excess);
    }
    this.#welcome = welcome;
    if (welcome.keepAliveMs !== undefined) this.connection.setPeerKeepAlive(welcome.keepAliveMs);
    this.#answered.resolve();
    this.#listener(this, { type: "welcome" });
    this.#subscriptions.onWelcome(this);
  }

  /**
   * Returns why a line that the server accepts and delivers could exceed this client's limits, or
   * `null`.
   */
  #checkLimits({ limits }: Welcome): [reason: CloseReason, detail: string] | null {
    const { limits: { maxLineBytes }, decoder: { maxDepth } } = this.#settings;
    const { maxLineBytes: bytes = 0, maxDepth: depth = 0 } = limits;
    const end = ": one such line would end the connection";
    if (Math.min(bytes, MAX_MAX_LINE_BYTES) > maxLineBytes) {
      const own = `maxLineBytes of the client allows ${maxLineBytes}`;
      return ["line-too-long", `the server takes lines of ${bytes} bytes, and ${own}${end}`];
    }
    if (Math.min(depth, MAX_MAX_DEPTH) > maxDepth) {
      const own = `maxDepth of the client allows ${maxDepth}`;
      return ["too-deep", `the server takes lines that nest ${depth} deep, and ${own}${end}`];
    }
    return null;
  }

  #onClose(info: CloseInfo): void {
    this.info = info;
    this.#answered.resolve();
    this.#listener(this, { type: "end", info });
  }
}
