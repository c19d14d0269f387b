/**
 * A client's life across connections, from `connectTo()` to the final end: one session, or with
 * `reconnect` one after another.
 *
 * | state | recognised by |
 * | --- | --- |
 * | idle | not `#isStarted` |
 * | connecting | `#isStarted`, `session` is `null` |
 * | connected | `session` has not ended |
 * | reconnecting | `session` has ended, `#info` is `null` |
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

import { abortable } from "@std/async/abortable";
import { concat } from "@std/bytes/concat";
import type { Address } from "../protocol/address.ts";
import { type CloseInfo, ConnectError } from "../errors.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { connectError } from "./connect_errors.ts";
import { openSession } from "./handshake.ts";
import type { ClientSettings } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { whenVisible } from "./page.ts";
import type { Destination } from "./port.ts";
import type { Receiver } from "./receiver.ts";
import { isFinal, Retries } from "./retry.ts";
import type { Session, SessionEvent } from "./session.ts";
import { after } from "../net/timers.ts";

/** The connections of a client to one server. */
export class ConnectionManager {
  /** The server. `null` before the first attempt. */
  #destination: Destination | null = null;
  readonly #settings: ClientSettings;
  readonly #receiver: Receiver;
  readonly #retries: Retries | null;
  readonly #closed = Promise.withResolvers<CloseInfo>();
  /** Resolves to how it ended. Never rejects. */
  readonly closed: Promise<CloseInfo> = this.#closed.promise;
  /** Cancels an attempt, or the delay before the next one. */
  #attempting = new AbortController();
  /** Whether it is connected or connecting. */
  #isStarted = false;
  /** How this side is ending the connection, or `null` if it is not. */
  #ending: "local" | "aborted" | null = null;
  /** Whether reading continues even if an inbox is full. */
  #readsAll = false;
  #info: CloseInfo | null = null;
  /** The current session, or the last one. `null` before the first. */
  session: Session | null = null;
  /** When the last session ended, on the clock of `performance.now()`. */
  #endedAt = 0;
  /** Whether any session so far had acknowledgements. */
  #hadAcks = false;
  /** The queue across connections. `null` without `reconnect`: events are then sent directly. */
  readonly outbox: Outbox | null;

  /** Creates a connection manager without a connection. */
  constructor(settings: ClientSettings, receiver: Receiver) {
    const { reconnect, limits } = settings;
    this.#settings = settings;
    this.#receiver = receiver;
    this.#retries = reconnect ? new Retries(reconnect) : null;
    this.outbox = reconnect === false ? null : new Outbox(
      reconnect,
      limits.maxPendingBytes,
      (line, reason) => receiver.pending.onDrop(line, reason),
      (line) => receiver.pending.isCall(line),
    );
  }

  /** Whether it has made a connection, or has ended. */
  get hasBegun(): boolean {
    return this.session !== null || this.#info !== null;
  }

  /** Whether there is a connection. */
  get connected(): boolean {
    return this.#ending === null && (this.session?.connection.open ?? false);
  }

  /** Whether events can be sent, either now or after a reconnect. */
  get open(): boolean {
    return this.#ending === null && (this.outbox ? this.#info === null : this.connected);
  }

  /** The longest line that may be sent, in bytes without the line end. */
  get maxLineBytes(): number {
    return this.session?.maxLineBytes ?? this.#settings.unnamedLineBytes;
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
  async start(destination: Destination, before: ConnectionManager | null): Promise<void> {
    this.#destination = destination;
    this.#isStarted = true;
    const { signal } = this.#attempting;
    this.#receiver.connect();
    try {
      if (before) {
        await abortable(before.close(), signal);
        this.#receiver.connect(); // the previous manager has ended it
      }
      this.#adopt(await this.#connect());
    } catch (error) {
      if (this.#ending) return this.#finish(this.#failure(error), []);
      this.#isStarted = false;
      this.#attempting = new AbortController();
      this.#receiver.cancelConnect();
      if (error instanceof ConnectError || !signal.aborted) throw error;
      throw connectError(this.#settings.port.addressOf(destination), error);
    }
  }

  /**
   * Keeps reading even if an inbox is full. Few events are left, and the relay's replies must be
   * read.
   */
  readAll(): void {
    this.#readsAll = true;
    this.session?.connection.resume();
  }

  // Ending

  /** Cancels connecting, for `reason`. Has no effect on an established connection. */
  cancel(reason: Error): void {
    this.#attempting.abort(reason);
  }

  /** Sends the queued events, then ends. */
  async close(): Promise<void> {
    this.#ending ??= "local";
    this.#cancelAttempts();
    const connection = this.session?.connection;
    if (connection && !this.session?.info) {
      if (this.outbox) {
        connection.resume(); // to read the acknowledgements
        await this.#drain(this.outbox);
      }
      connection.close();
    }
    await this.closed;
  }

  /** Ends at once. */
  async abort(): Promise<void> {
    this.#ending = "aborted";
    this.#cancelAttempts();
    this.session?.connection.abort();
    await this.closed;
  }

  #cancelAttempts(): void {
    this.cancel(new Error("the client was closed"));
    if (!this.#isStarted && !this.#info) this.#finish(this.#failure(null), []);
  }

  /** Waits until all events are settled, or none has been for `drainTimeout`. */
  async #drain(outbox: Outbox): Promise<void> {
    const isDone = outbox.flush().then(() => true, () => true);
    for (let settled = -1; settled < outbox.settled;) {
      settled = outbox.settled;
      const { promise: timedOut, resolve } = Promise.withResolvers<boolean>();
      const timer = after(this.#settings.limits.drainTimeout, () => resolve(false));
      const done = await Promise.race([isDone, timedOut]);
      clearTimeout(timer);
      if (done) return;
    }
  }

  #finish(info: CloseInfo, lost: Uint8Array[]): void {
    const { outbox } = this;
    const inDoubt = outbox?.takeDoubt().filter((line) => line !== null) ?? [];
    const unconfirmed = [...lost, ...inDoubt];
    const unsent = outbox?.stop() ?? [];
    if (outbox) {
      const { lines, bytes } = outbox.lost;
      const unsentBytes = unsent.reduce((sum, line) => sum + line.length, bytes);
      info = { ...info, unsentLines: unsent.length + lines, unsentBytes };
    }
    this.#info = info;
    this.#receiver.end();
    this.#closed.resolve(info);
    if (!this.#destination) return; // It has never tried to connect.
    this.#receiver.status.push({
      type: "closed",
      address: this.#where,
      info,
      unconfirmed: this.#decode(unconfirmed),
      unsent: this.#decode(unsent),
      dropped: outbox?.dropped ?? 0,
    });
  }

  /** Returns the close info of a connection that could not be made, or not be made again. */
  #failure(error: unknown): CloseInfo {
    const detail = error instanceof Error ? error.message : String(error);
    const reason = this.#ending ??
      (error instanceof ConnectError && error.reason || this.session?.info?.reason || "reset");
    return { reason, detail: this.#ending ? "" : detail, unsentLines: 0, unsentBytes: 0 };
  }

  // Connecting

  get #where(): Address {
    return this.session?.connection.address ??
      this.#settings.port.addressOf(this.#destination!);
  }

  /**
   * Connects after `delay` milliseconds, of which the server has asked for `min`, and retries with
   * `reconnect`.
   */
  async #connect(delay = 0, min = 0): Promise<Session> {
    const { signal } = this.#attempting;
    if (!this.#retries) return await this.#attempt(1, null, signal);
    return await this.#retries.run((...args) => this.#attempt(...args), signal, delay, min);
  }

  /**
   * Opens a session. It requires a welcome if an earlier session had acknowledgements: without them,
   * events could be lost without notice.
   */
  #attempt(attempt: number, error: ConnectError | null, signal: AbortSignal): Promise<Session> {
    const { status, subscriptions } = this.#receiver;
    status.push({ type: "connecting", address: this.#where, attempt, error });
    const producer = this.outbox?.claim();
    const settings = {
      ...this.#settings,
      needsWelcome: this.#hadAcks,
      ...(producer && { producer }),
    };
    return openSession(this.#destination!, settings, subscriptions, this.#onEvent, signal);
  }

  /** Makes a session current, unless the client was closed while it was being made. */
  #adopt(session: Session): void {
    const { signal } = this.#attempting;
    if (signal.aborted) {
      session.connection.abort();
      throw signal.reason;
    }
    const before = this.session;
    this.session = session;
    const { connection, id } = session;
    const { address } = connection;
    const { inboxes, invalidEvents, services, status } = this.#receiver;
    const unconfirmed = this.outbox?.begin(connection, session.terms.producer) ?? [];
    if (before) {
      status.push({
        type: "reconnected",
        address,
        id,
        afterMs: Math.round(performance.now() - this.#endedAt),
        unconfirmed: this.#decode(unconfirmed),
        waiting: this.outbox?.lines.waiting ?? 0,
        dropped: this.outbox?.dropped ?? 0,
      });
    } else {
      invalidEvents.reopen();
      services.hasEnded = false;
      status.push({ type: "connected", address, id });
    }
    if (!this.#readsAll) inboxes.pauseIfFull(connection);
    this.outbox?.onWelcome(session.terms);
    session.begin();
    this.#receiver.past.begin(session);
    if (session.info) this.#onEnd(session, session.info);
  }

  /** Reconnects after the delays of {@link #connect}, which may begin when the program reads. */
  async #recover(delay: number, min: number, waitsForReader: boolean): Promise<void> {
    try {
      if (waitsForReader) await abortable(this.#whenRead(), this.#attempting.signal);
      this.#adopt(await this.#connect(delay, min));
    } catch (error) {
      this.#finish(this.#failure(error), []);
    }
  }

  /** Waits until the program has read half of its inbox, and its page is visible. */
  async #whenRead(): Promise<void> {
    await this.#receiver.inboxes.whenRoom();
    await whenVisible();
  }

  // Events of a session

  readonly #onEvent = (session: Session, event: SessionEvent): void => {
    const isCurrent = session === this.session;
    switch (event.type) {
      case "open":
        if (this.#retries) this.#retries.isReached = true;
        return;
      case "events":
        if (this.#ending) return;
        this.#receiver.onEvents(event.events, event.bytes, session);
        if (this.#readsAll || !this.#receiver.inboxes.pauseIfFull(session.connection)) return;
        return this.outbox?.onPause();
      case "control":
        return this.#receiver.onControl(event.line);
      case "history":
        return this.#receiver.position?.onLine(event.line);
      case "gap":
        return this.#receiver.status.push({ type: "gap", missed: event.missed });
      case "welcome": // after the session has become current
        if (isCurrent) this.outbox?.onWelcome(session.terms);
        return;
      case "ack":
        if (isCurrent && session.hasAcks) this.outbox?.onAck(event.count);
        return;
      case "end":
        return this.#onEnd(session, event.info);
    }
  };

  /** Ends, or reconnects. */
  #onEnd(session: Session, info: CloseInfo): void {
    const { pending, requests, status, subscriptions } = this.#receiver;
    subscriptions.end(session);
    requests.clear();
    if (session !== this.session) return this.outbox?.abandon();
    this.#hadAcks ||= session.hasAcks;
    const acknowledged = this.outbox?.isAcknowledged ?? false;
    const unconfirmed = this.outbox?.end() ?? [];
    const retries = this.#retries;
    if (!retries || this.#ending || isFinal(info.reason)) return this.#finish(info, unconfirmed);
    pending.disconnect(new Set(this.outbox?.lines.waitingLines()));
    this.#endedAt = performance.now();
    retries.onEnd(this.#endedAt - session.since);
    const { retryAfterMs = 0 } = info;
    const delay = retries.nextDelay() + retryAfterMs;
    const waitsForReader = info.reason === "slow-consumer";
    status.push({
      type: "disconnected",
      address: this.#where,
      info,
      unconfirmed: this.#decode(unconfirmed),
      acknowledged,
      waiting: this.outbox?.waiting ?? 0,
      retryInMs: delay,
      waitsForReader,
    });
    this.#recover(delay, retryAfterMs, waitsForReader);
  }

  /** Decodes lines that this client has sent. */
  #decode(lines: readonly Uint8Array[]): EbsocketEvent[] {
    const events = this.#settings.sentDecoder.decode(concat(lines));
    return events.filter((line) => line instanceof EbsocketEvent);
  }
}
