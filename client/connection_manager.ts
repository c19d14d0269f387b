/**
 * Owns the link of a client to its server, from `connectTo()` to its end for good: one session, or
 * with `reconnect` one after the other. Must not know who reads what comes.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { Address } from "../protocol/address.ts";
import type { ControlLine } from "../protocol/control.ts";
import { BlockDecoder } from "../protocol/decoder.ts";
import { type CloseInfo, ConnectError } from "../errors.ts";
import { EbsocketEvent, type EventOf } from "../protocol/event.ts";
import { after } from "../protocol/option_checks.ts";
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
 * How long one of several attempts may take, in milliseconds: at first, and at most. It doubles when the
 * server has been reached and did not greet in time, since it may have too much to do, and to begin
 * again would give it more.
 */
const ATTEMPT_MS = 4000;
const MAX_ATTEMPT_MS = 32_000;

/** Who hears of what happens to a link. */
export interface ConnectionManagerSink<M extends object> {
  /** Whether an event that has come before there is a connection is wanted. */
  admits(event: EbsocketEvent): boolean;
  /**
   * Events have come over a connection; their lines had `bytes` bytes. `false` asks for no more until
   * `resume()`.
   */
  onEvents(events: EbsocketEvent[], bytes: number, carrier: ControlChannel): boolean;
  /** Something has happened to the connection. */
  onStatus(status: ClientStatus<M>): void;
  /** A connection is about to say hello; gives what it is to say behind that, if anything. */
  onHello(carrier: ControlChannel): HelloExtras;
  /** A control line has come that is about events and subscriptions. */
  onWord(line: ControlLine): void;
  /** A line that waited for a connection will not be sent. */
  onDrop(line: Uint8Array, reason: DropReason): void;
  /** A connection that has said hello has ended. */
  onGoodbye(carrier: ControlChannel): void;
  /** There will be another connection, over which those lines are sent for which `waits` holds. */
  onDisconnect(waits: (line: Uint8Array) => boolean): void;
  /** The link has ended for good. */
  onEnd(): void;
}

/** A link to one server. */
export class ConnectionManager<M extends object> implements SessionSink {
  /** Where to; `null` before the first attempt. */
  #destination: Destination | null = null;
  readonly #settings: ClientSettings;
  readonly #sink: ConnectionManagerSink<M>;
  readonly #retries: Retries | null;
  readonly #closed = Promise.withResolvers<CloseInfo>();
  /** What gives up an attempt, or the wait for the next. */
  #trying = new AbortController();
  /** Whether it has a connection, or is making one. */
  #isStarted = false;
  /** How it is being ended from this side, if it is. */
  #ending: "local" | "aborted" | null = null;
  #isFull = false;
  /** Whether reading goes on however much there is. */
  #isUnbound = false;
  #info: CloseInfo | null = null;
  /** The session there is, or was last. */
  #session: Session | null = null;
  /** When the last session ended, by the clock of `performance.now()`. */
  #endedAt = 0;
  /** How long the next attempt may take, and whether this one has reached the server. */
  #patience = ATTEMPT_MS;
  #isReached = false;
  /** Whether a session has had acknowledgements. */
  #hadAcks = false;
  /** What is to be sent; `null` for a link of one session, which sends without any detour. */
  readonly outbox: Outbox | null;

  /** Makes a link that is not open. */
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

  /** The session there is, or was last; `null` before the first. */
  get session(): Session | null {
    return this.#session;
  }

  /** Whether there is a connection. */
  get connected(): boolean {
    return this.#ending === null && (this.#session?.connection.open ?? false);
  }

  /** Whether events can be sent, now or once there is a connection again. */
  get open(): boolean {
    if (this.outbox) return this.#ending === null && this.#info === null;
    return this.connected;
  }

  /** How it ended. Never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  /** The longest line that may be sent, in bytes without its end. */
  get maxLineBytes(): number {
    return this.#session?.maxLineBytes ?? this.#settings.unnamedLineBytes;
  }

  /**
   * Makes the first connection, once the link before has ended. Also done if it is ended meanwhile; if
   * it fails, it can be started again.
   *
   * @throws {ConnectError} If it cannot be made.
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

  /** Reads again after `onEvents()` has asked for no more. */
  resume(): void {
    this.#isFull = false;
    this.#session?.connection.resume();
  }

  /** Reads on however much there is: little more will come, and the relay's word has to be heard. */
  readAll(): void {
    this.#isUnbound = true;
    this.resume();
  }

  // Ending

  /** Gives up connecting, for `reason`. Has no effect on a connection that there is. */
  giveUp(reason: Error): void {
    this.#trying.abort(reason);
  }

  /** Sends what is queued, then ends. */
  async close(): Promise<CloseInfo> {
    this.#ending ??= "local";
    this.#stopTrying();
    const connection = this.#session?.connection;
    if (connection && !this.#session?.info) {
      if (this.outbox) {
        connection.resume(); // for the acknowledgements
        await this.#drain(this.outbox);
      }
      connection.close();
    }
    return await this.closed;
  }

  /** Ends at once. */
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

  /** Waits until all has arrived, or nothing has for a while. */
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
    if (!this.#destination) return; // There was nobody to connect to.
    this.#sink.onStatus({
      type: "closed",
      address: this.#where,
      info,
      unconfirmed: decodeEvents<M>(unconfirmed),
      unsent: decodeEvents<M>(unsent),
      dropped: outbox?.dropped ?? 0,
    });
  }

  /** What `closed` says of a link that could not be made, or not be made again. */
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

  /** Connects, after `delay` milliseconds, and again if that fails and `reconnect` says so. */
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

  /** Goes on with a new session, unless the link was ended while it was being made. */
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

  /** Connects again. */
  async #recover(delay: number): Promise<void> {
    try {
      this.#adopt(await this.#connect(delay));
    } catch (error) {
      this.#finish(this.#failure(error), []);
    }
  }

  // What a session tells

  /**
   * Gives what is to be said behind the hello. A server that has acknowledged events before does not stop
   * doing so without a word: what is sent into its silence could be lost, and nobody would know.
   */
  onHello(session: Session): HelloExtras {
    this.#isReached = true;
    const wishes = this.#sink.onHello(session);
    return this.#hadAcks ? { ...wishes, needsWelcome: true } : wishes;
  }

  /** Whether an event that comes with the greeting is wanted. */
  admits(event: EbsocketEvent): boolean {
    return this.#sink.admits(event);
  }

  /** Passes events on. */
  onEvents(session: Session, events: EbsocketEvent[], bytes: number): void {
    if (this.#ending) return;
    const wantsMore = this.#sink.onEvents(events, bytes, session);
    this.#isFull = !wantsMore;
    if (this.#isFull && !this.#isUnbound) session.connection.pause();
  }

  /** Tells of events that are missing. */
  onGap(missed: number): void {
    this.#sink.onStatus({ type: "gap", missed });
  }

  /** Passes a control line on. */
  onWord(line: ControlLine): void {
    this.#sink.onWord(line);
  }

  /** Keeps to what comes after the session has been taken for one without. */
  onWelcome(session: Session): void {
    if (session === this.#session) this.outbox?.agree(session.hasAcks, session.maxLineBytes);
  }

  /** Lets go of what has arrived. */
  onAck(session: Session, count: number): void {
    if (session === this.#session && session.hasAcks) this.outbox?.onAck(count);
  }

  /** Ends the link or connects again. */
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

/** The events that this client has encoded into `lines`. */
function decodeEvents<M extends object>(lines: readonly Uint8Array[]): EventOf<M>[] {
  const events = new BlockDecoder().decode(concat(lines));
  return events.filter((line) => line instanceof EbsocketEvent) as unknown as EventOf<M>[];
}
