/**
 * A client's life across connections, from `connectTo()` to the final end: one session, or with
 * `reconnect` one after another.
 *
 * | state | recognised by |
 * | --- | --- |
 * | idle | not `#isStarted` |
 * | connecting | `#isStarted`, `#session` is `null` |
 * | connected | `#session` has not ended |
 * | reconnecting | `#session` has ended, `#info` is `null` |
 * | ended | `#info` |
 *
 *     idle         -> connecting    start()
 *     connecting   -> connected     a session is ready
 *     connecting   -> idle          the attempts have failed: start() rejects
 *     connected    -> reconnecting  the session ends, with reconnect and for no final reason
 *     connected    -> ended         the session ends otherwise
 *     reconnecting -> connected     a session is ready
 *     reconnecting -> ended         the attempts are used up, or one has failed for good
 *     any          -> ended         close() or abort()
 *
 * `#ending` is set from the call of `close()` or `abort()`. From then on no events are passed on
 * and no attempt is made.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Address } from "../protocol/address.ts";
import type { ControlLine } from "../protocol/control.ts";
import { BlockDecoder } from "../protocol/decoder.ts";
import { type CloseInfo, ConnectError } from "../errors.ts";
import { EbsocketEvent, type EventOf } from "../protocol/event.ts";
import { after } from "../net/waits.ts";
import type { ControlChannel, HelloExtras } from "./subscriptions.ts";
import { Outbox } from "./outbox.ts";
import { isFinal, Retries } from "./retry.ts";
import type { ClientSettings } from "./options.ts";
import { connectError, Session, type SessionSink } from "./session.ts";
import type { ClientStatus } from "./status.ts";
import { addressOf, type Destination } from "../net/transport.ts";
import type { DropReason } from "./offline_queue.ts";
import { abortable } from "../net/waits.ts";

/**
 * The time limit of one of several attempts, in milliseconds: the initial and the maximum value. It
 * doubles if the server was reached but did not answer in time. The server may be overloaded, and
 * starting again would add to its load.
 */
const ATTEMPT_MS = 4000;
const MAX_ATTEMPT_MS = 32_000;

/** The callbacks of a connection manager. */
export interface ConnectionManagerSink<M extends object> {
  /**
   * Returns whether an event received before the connection is established matches the
   * subscriptions.
   */
  admits(event: EbsocketEvent): boolean;
  /**
   * Called with received events. Their lines have `bytes` bytes in total. Returns `false` to pause
   * reading until `resume()`.
   */
  onEvents(events: EbsocketEvent[], bytes: number, channel: ControlChannel): boolean;
  /** Called when the state of the connection changes. */
  onStatus(status: ClientStatus<M>): void;
  /** Called before a connection's hello. Returns the control lines that follow it. */
  onHello(channel: ControlChannel): HelloExtras;
  /** Called with a control line about events or subscriptions. */
  onWord(line: ControlLine): void;
  /** Called when a line that was queued for a connection will not be sent. */
  onDrop(line: Uint8Array, reason: DropReason): void;
  /** Called when a connection has ended after its hello. */
  onGoodbye(channel: ControlChannel): void;
  /**
   * Called before reconnecting. `waits` returns whether a line is queued for the next connection.
   */
  onDisconnect(waits: (line: Uint8Array) => boolean): void;
  /** Called at the final end. */
  onEnd(): void;
}

/** The connections of a client to one server. */
export class ConnectionManager<M extends object> implements SessionSink {
  /** The server. `null` before the first attempt. */
  #destination: Destination | null = null;
  readonly #settings: ClientSettings;
  readonly #sink: ConnectionManagerSink<M>;
  readonly #retries: Retries | null;
  readonly #closed = Promise.withResolvers<CloseInfo>();
  /** Cancels an attempt, or the delay before the next one. */
  #trying = new AbortController();
  /** Whether it is connected or connecting. */
  #isStarted = false;
  /** How this side is ending the connection, or `null` if it is not. */
  #ending: "local" | "aborted" | null = null;
  #isFull = false;
  /** Whether reading continues even if the inbox is full. */
  #isUnbound = false;
  #info: CloseInfo | null = null;
  /** The current session, or the last one. */
  #session: Session | null = null;
  /** When the last session ended, on the clock of `performance.now()`. */
  #endedAt = 0;
  /** The time limit of the next attempt, and whether the current attempt has reached the server. */
  #patience = ATTEMPT_MS;
  #isReached = false;
  /** Whether any session so far had acknowledgements. */
  #hadAcks = false;
  /** The queue across connections. `null` without `reconnect`: events are then sent directly. */
  readonly outbox: Outbox | null;

  /** Creates a connection manager without a connection. */
  constructor(
    settings: ClientSettings,
    sink: ConnectionManagerSink<M>,
  ) {
    const { persistence } = settings;
    this.#settings = settings;
    this.#sink = sink;
    this.#retries = persistence && new Retries(persistence);
    this.outbox = persistence && new Outbox(
      persistence,
      settings.limits.maxPendingBytes,
      (line, reason) => sink.onDrop(line, reason),
    );
  }

  /** The current session, or the last one. `null` before the first. */
  get session(): Session | null {
    return this.#session;
  }

  /** Whether there is a connection. */
  get connected(): boolean {
    return this.#ending === null && (this.#session?.connection.open ?? false);
  }

  /** Whether events can be sent, either now or after a reconnect. */
  get open(): boolean {
    if (this.outbox) return this.#ending === null && this.#info === null;
    return this.connected;
  }

  /** Resolves to how it ended. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  /** The longest line that may be sent, in bytes without the line end. */
  get maxLineBytes(): number {
    return this.#session?.maxLineBytes ?? this.#settings.unnamedLineBytes;
  }

  /**
   * Makes the first connection, after the previous connection manager has ended. If it fails, it
   * can be started again.
   *
   * @param destination The server.
   * @param before The previous connection manager, which is closed first, or `null`.
   * @returns Resolves when connected, or when closed in the meantime.
   * @throws {ConnectError} If it cannot connect.
   */
  async start(destination: Destination, before: ConnectionManager<M> | null): Promise<void> {
    this.#destination = destination;
    this.#isStarted = true;
    const { signal } = this.#trying;
    try {
      if (before) await abortable(before.close(), signal);
      this.#adopt(await this.#connect(0));
    } catch (error) {
      if (this.#ending) return this.#finish(this.#failure(error), []);
      this.#isStarted = false;
      this.#trying = new AbortController();
      if (error instanceof ConnectError || !signal.aborted) throw error;
      throw connectError(addressOf(destination), error);
    }
  }

  /** Resumes reading after `onEvents()` has returned `false`. */
  resume(): void {
    this.#isFull = false;
    this.#session?.connection.resume();
  }

  /**
   * Keeps reading even if the inbox is full. Few events are left, and the relay's replies must be
   * read.
   */
  readAll(): void {
    this.#isUnbound = true;
    this.resume();
  }

  // Ending

  /** Cancels connecting, for `reason`. Has no effect on an established connection. */
  giveUp(reason: Error): void {
    this.#trying.abort(reason);
  }

  /**
   * Sends the queued events, then ends.
   *
   * @returns Resolves to how it ended.
   */
  async close(): Promise<CloseInfo> {
    this.#ending ??= "local";
    this.#stopTrying();
    const connection = this.#session?.connection;
    if (connection && !this.#session?.info) {
      if (this.outbox) {
        connection.resume(); // to read the acknowledgements
        await this.#drain(this.outbox);
      }
      connection.close();
    }
    return await this.closed;
  }

  /**
   * Ends at once.
   *
   * @returns Resolves to how it ended.
   */
  async abort(): Promise<CloseInfo> {
    this.#ending = "aborted";
    this.#stopTrying();
    this.#session?.connection.abort();
    return await this.closed;
  }

  #stopTrying(): void {
    this.giveUp(new Error("the client was closed"));
    if (!this.#isStarted && !this.#info) this.#finish(this.#failure(null), []);
  }

  /** Waits until all events are settled, or none has been for `drainTimeout`. */
  async #drain(outbox: Outbox): Promise<void> {
    const isDone = outbox.flush().then(() => true, () => true);
    for (let settled = -1; settled < outbox.settled;) {
      settled = outbox.settled;
      const { promise: late, resolve } = Promise.withResolvers<boolean>();
      const timer = after(this.#settings.limits.drainTimeout, () => resolve(false));
      const done = await Promise.race([isDone, late]);
      clearTimeout(timer);
      if (done) return;
    }
  }

  #finish(info: CloseInfo, unconfirmed: Uint8Array[]): void {
    const { outbox } = this;
    const unsent = outbox?.stop() ?? [];
    if (outbox) {
      const { lines, bytes } = outbox.lost;
      const unsentBytes = unsent.reduce((sum, line) => sum + line.length, bytes);
      info = { ...info, unsentLines: unsent.length + lines, unsentBytes };
    }
    this.#info = info;
    this.#sink.onEnd();
    this.#closed.resolve(info);
    if (!this.#destination) return; // It has never tried to connect.
    this.#sink.onStatus({
      type: "closed",
      address: this.#where,
      info,
      unconfirmed: decodeEvents<M>(unconfirmed),
      unsent: decodeEvents<M>(unsent),
      dropped: outbox?.dropped ?? 0,
    });
  }

  /** Returns the close info of a connection that could not be made, or not be made again. */
  #failure(error: unknown): CloseInfo {
    const detail = error instanceof Error ? error.message : String(error);
    const reason = this.#ending ??
      (error instanceof ConnectError && error.reason || this.#session?.info?.reason || "reset");
    return { reason, detail: this.#ending ? "" : detail, unsentLines: 0, unsentBytes: 0 };
  }

  // Connecting

  get #where(): Address {
    return this.#session?.connection.address ?? addressOf(this.#destination!);
  }

  /** Connects after `delay` milliseconds, and retries with `reconnect`. */
  async #connect(delay: number): Promise<Session> {
    const { signal } = this.#trying;
    const retries = this.#retries;
    return retries
      ? await retries.run((attempt, error) => this.#attempt(attempt, error, true), signal, delay)
      : await this.#attempt(1, null, false);
  }

  async #attempt(
    attempt: number,
    error: ConnectError | null,
    isOneOfMany: boolean,
  ): Promise<Session> {
    this.#sink.onStatus({
      type: "connecting",
      address: this.#where,
      attempt,
      error,
    });
    const { signal } = this.#trying;
    const destination = this.#destination!;
    if (!isOneOfMany) return await Session.open(destination, this.#settings, this, signal);
    const late = new AbortController();
    const patience = this.#patience;
    this.#isReached = false;
    const timer = after(patience, () => {
      this.#patience = this.#isReached ? Math.min(2 * patience, MAX_ATTEMPT_MS) : ATTEMPT_MS;
      late.abort(new Error(`no answer within ${patience} ms`));
    });
    try {
      const either = AbortSignal.any([signal, late.signal]);
      return await Session.open(destination, this.#settings, this, either);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Makes a session current, unless the client was closed while it was being made. */
  #adopt(session: Session): void {
    const { signal } = this.#trying;
    if (signal.aborted) {
      session.connection.abort();
      throw signal.reason;
    }
    const before = this.#session;
    this.#session = session;
    this.#patience = ATTEMPT_MS;
    const { address } = session.connection;
    const { id } = session;
    this.#sink.onStatus(
      before
        ? {
          type: "reconnected",
          address,
          id,
          afterMs: Math.round(performance.now() - this.#endedAt),
          waiting: this.outbox?.waitingLines ?? 0,
          dropped: this.outbox?.dropped ?? 0,
        }
        : { type: "connected", address, id },
    );
    if (this.#isFull && !this.#isUnbound) session.connection.pause();
    this.outbox?.begin(session.connection);
    this.outbox?.agree(session.hasAcks, session.maxLineBytes);
    session.begin();
    if (session.info) this.onEnd(session, session.info);
  }

  /** Reconnects after `delay` milliseconds. */
  async #recover(delay: number): Promise<void> {
    try {
      this.#adopt(await this.#connect(delay));
    } catch (error) {
      this.#finish(this.#failure(error), []);
    }
  }

  // Callbacks of a session

  /**
   * Returns the control lines after the hello. A welcome is required if an earlier session had
   * acknowledgements: without them, events could be lost without notice.
   */
  onHello(session: Session): HelloExtras {
    this.#isReached = true;
    const wishes = this.#sink.onHello(session);
    return this.#hadAcks ? { ...wishes, needsWelcome: true } : wishes;
  }

  /** Returns whether an event received during the greeting matches the subscriptions. */
  admits(event: EbsocketEvent): boolean {
    return this.#sink.admits(event);
  }

  /** Passes events on, and pauses reading when the inbox is full. */
  onEvents(session: Session, events: EbsocketEvent[], bytes: number): void {
    if (this.#ending) return;
    const wantsMore = this.#sink.onEvents(events, bytes, session);
    this.#isFull = !wantsMore;
    if (this.#isFull && !this.#isUnbound) session.connection.pause();
  }

  /** Reports missing events. */
  onGap(missed: number): void {
    this.#sink.onStatus({ type: "gap", missed });
  }

  /** Passes a control line on. */
  onWord(line: ControlLine): void {
    this.#sink.onWord(line);
  }

  /** Applies a welcome that arrives after the session was used without one. */
  onWelcome(session: Session): void {
    if (session === this.#session) this.outbox?.agree(session.hasAcks, session.maxLineBytes);
  }

  /** Releases acknowledged lines. */
  onAck(session: Session, count: number): void {
    if (session === this.#session && session.hasAcks) this.outbox?.onAck(count);
  }

  /** Ends, or reconnects. */
  onEnd(session: Session, info: CloseInfo): void {
    this.#sink.onGoodbye(session);
    if (session !== this.#session) return this.outbox?.abandon();
    this.#hadAcks ||= session.hasAcks;
    const acknowledged = this.outbox?.isAcknowledged ?? false;
    const unconfirmed = this.outbox?.end() ?? [];
    const retries = this.#retries;
    if (!retries || this.#ending || isFinal(info.reason)) return this.#finish(info, unconfirmed);
    const waiting = new Set(this.outbox?.waiting());
    this.#sink.onDisconnect((line) => waiting.has(line));
    this.#endedAt = performance.now();
    retries.onEnd(this.#endedAt - session.since);
    const delay = retries.nextDelay() + (info.retryAfterMs ?? 0);
    this.#sink.onStatus({
      type: "disconnected",
      address: this.#where,
      info,
      unconfirmed: decodeEvents<M>(unconfirmed),
      acknowledged,
      waiting: this.outbox?.waitingLines ?? 0,
      retryInMs: delay,
    });
    this.#recover(delay);
  }
}

/** Decodes lines that this client has encoded. */
function decodeEvents<M extends object>(lines: readonly Uint8Array[]): EventOf<M>[] {
  const events = new BlockDecoder().decode(concat(lines));
  return events.filter((line) => line instanceof EbsocketEvent) as unknown as EventOf<M>[];
}
