/**
 * Sending: encodes, checks, measures and queues the events of a client.
 *
 * @module
 */

import { type Feature, notSupported } from "../protocol/control.ts";
import type { ClientSettings } from "./options.ts";
import { checkEvent, type Envelope, LineEncoder } from "../protocol/encoder.ts";
import { checkName } from "../protocol/names.ts";
import { ConnectionClosedError, EbsocketError } from "../errors.ts";
import type { SendableEvent } from "../protocol/event.ts";
import { RawEvent, sealLine } from "../protocol/raw_event.ts";
import type { ConnectionManager } from "./connection_manager.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { PendingRequest } from "./pending_requests.ts";
import type { SubscriptionManager } from "./subscriptions.ts";

/** A shared result for callers that need not wait for room: no promise per event. */
const ROOM = Promise.resolve();

/** Sends the events of one client through its connection manager. */
export class Sender<M extends object> {
  readonly #settings: ClientSettings;
  readonly #encoder = new LineEncoder();
  readonly #lifecycle: Lifecycle;
  readonly #subscriptions: SubscriptionManager;
  /** The block of the raw event that was sent last, and how many of its bytes were copied. */
  #block: ArrayBufferLike | null = null;
  #copiedBytes = 0;

  /**
   * Creates a sender.
   *
   * @param settings The client's settings.
   * @param lifecycle The client's connections.
   * @param subscriptions Its subscriptions. Pending ones are sent before each line.
   */
  constructor(settings: ClientSettings, lifecycle: Lifecycle, subscriptions: SubscriptionManager) {
    this.#settings = settings;
    this.#lifecycle = lifecycle;
    this.#subscriptions = subscriptions;
  }

  /** The connections that lines are sent through. */
  get manager(): ConnectionManager {
    return this.#lifecycle.sending("send through");
  }

  /** Queues an event. {@link EbsocketClient.sendEvent} describes the result. */
  send(event: SendableEvent<M>): Promise<void> {
    const line = this.encode(event);
    const error = this.queue(event, line);
    return error ? refused(error) : this.room() ?? ROOM;
  }

  /** Sends an event to one client only. */
  sendTo(to: string, event: SendableEvent<M>): Promise<void> {
    const line = this.encode(event, { to: checkName(to, "to") });
    const error = this.featureError("ack", "send", event, " to one client") ??
      this.queue(event, line, true);
    return error ? refused(error) : this.room() ?? ROOM;
  }

  /**
   * Returns the line of an event. The next call overwrites it unless it is queued.
   *
   * @throws {ConnectionClosedError} If the client has not been connected yet.
   * @throws {TypeError} If the event cannot be encoded.
   * @throws {EventSchemaError} If the event does not match its definition.
   * @throws {RangeError} If the line exceeds the limit of the client or the server.
   */
  encode(event: SendableEvent<M>, envelope?: Envelope): Uint8Array {
    const { checker } = this.#settings;
    // Encoded before the check: the original values are sent, even if a validator modifies them.
    let line = event instanceof RawEvent
      ? envelope ? sealLine(event, envelope) : this.#lineOf(event)
      : this.#write(event, envelope);
    if (checker.hasDefinitions) line = line.slice(); // A validator may itself send events.
    checker.checkSent(event, line);
    const length = line.length - 1;
    const manager = this.manager;
    if (length <= manager.maxLineBytes) return line;
    const limit = manager.session?.announcesLimit
      ? `the ${manager.maxLineBytes} that the server takes (maxLineBytes, --max-line-bytes)`
      : `the ${manager.maxLineBytes} that may be sent where no server has said what it takes`;
    throw new RangeError(`Cannot send ${event}: its ${length} bytes exceed ${limit}`);
  }

  /**
   * Returns the line of a raw event. The first eighth of a block is copied: a program that passes
   * few of many lines on would otherwise queue a whole block with each.
   */
  #lineOf({ line }: RawEvent): Uint8Array {
    const { buffer, length } = line;
    if (buffer !== this.#block) {
      this.#block = buffer;
      this.#copiedBytes = 0;
    }
    if (8 * (this.#copiedBytes + length) > buffer.byteLength) return line;
    this.#copiedBytes += length;
    return this.#encoder.copy(line);
  }

  #write(event: SendableEvent<M>, envelope?: Envelope): Uint8Array {
    checkEvent(event);
    const { maxLineBytes } = this.#settings.limits;
    return this.#encoder.encode(event.event, event.__dict__, maxLineBytes, envelope);
  }

  /**
   * Queues the line that was encoded last.
   *
   * @param event The event, for messages.
   * @param line The line.
   * @param connectionOnly Whether the line contains a client ID and is only for the current
   * connection.
   * @param mayBeConnecting Whether that is the connection being made.
   * @returns The error if the line cannot be queued, otherwise `null`.
   */
  queue(
    event: SendableEvent<M>,
    line: Uint8Array,
    connectionOnly = false,
    mayBeConnecting = false,
  ): EbsocketError | null {
    const manager = this.manager;
    if (!manager.open) return closed(event);
    this.#subscriptions.flush();
    const { outbox, session } = manager;
    if (outbox) {
      if (connectionOnly && !mayBeConnecting && !manager.connected) {
        const why = "not connected, and client IDs change with each connection";
        return new ConnectionClosedError(`Cannot send ${event} to one client: ${why}`);
      }
      if (outbox.offer(line, connectionOnly)) {
        this.#encoder.keep(line);
        return null;
      }
      const { waiting, waitingBytes } = outbox.lines;
      const where = manager.connected ? "" : "there is no connection, ";
      const why = "reconnect.maxQueuedEvents and maxQueuedBytes allow no more; await flush() first";
      return queueFull(
        event,
        `${where}${waiting} events of ${waitingBytes} bytes wait, and ${why}`,
      );
    }
    const { connection } = session!;
    const { maxPendingBytes } = this.#settings.limits;
    const waiting = connection.pendingBytes;
    if (waiting > 0 && waiting + line.length > maxPendingBytes) {
      connection.countUnsent(line);
      const why = `its ${line.length} would exceed maxPendingBytes ${maxPendingBytes}`;
      return queueFull(event, `${waiting} bytes wait, and ${why}`);
    }
    this.#encoder.keep(line);
    connection.send(line);
    return null;
  }

  /** Returns a promise that resolves when there is room for more. `null` if there is room now. */
  room(): Promise<void> | null {
    const { outbox, session } = this.manager;
    return (outbox ?? session!.connection).room();
  }

  /**
   * Sends a control line.
   *
   * @throws {ConnectionClosedError} If there is no connection.
   */
  sendControl(line: Uint8Array): void {
    const manager = this.manager;
    if (!manager.connected) {
      throw new ConnectionClosedError("Cannot ask the relay: there is no connection");
    }
    this.#subscriptions.flush();
    manager.session!.sendControl(line);
  }

  /**
   * Returns the error if the server does not support `feature`, otherwise `null`.
   *
   * @param feature The required feature.
   * @param verb The operation, for the message.
   * @param subject Its subject, for the message.
   * @param how An addition to the message.
   */
  featureError(feature: Feature, verb: string, subject: unknown, how = ""): EbsocketError | null {
    const { session } = this.#lifecycle.sending("use");
    // Before the first connection, the features are unknown.
    if (!session || session.has(feature)) return null;
    const what = `${verb} ${subject}${how}`;
    if (session.isGreeted) return notSupported(feature, what);
    const why = "the server has sent no welcome that says whether it can";
    return new EbsocketError("no-welcome", `Cannot ${what}: ${why}`);
  }

  /**
   * Throws if the server does not support a feature.
   *
   * @throws {EbsocketError} With the code `not-supported`, if it does not, or `no-welcome`, if it
   * has not sent a welcome.
   */
  requireFeature(feature: Feature, verb: string, subject: unknown, how = ""): void {
    const error = this.featureError(feature, verb, subject, how);
    if (error) throw error;
  }

  /**
   * Throws if there is no connection and the client will not reconnect.
   *
   * @throws {ConnectionClosedError} If the client is closed.
   */
  checkOpen({ verb, subject }: PendingRequest): void {
    if (!this.manager.open) throw closed(subject, verb);
  }

  /**
   * Waits until the server has acknowledged the events sent before, or the operating system has
   * taken them.
   */
  async flush(): Promise<void> {
    const { outbox, session } = this.#lifecycle.sending("flush");
    this.#subscriptions.flush();
    await (outbox ?? session!.connection).flush();
  }
}

/** Returns a rejected promise. If it is not handled, it does not end the program. */
export function refused(error: Error): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}

function closed(subject: unknown, verb = "send"): ConnectionClosedError {
  return new ConnectionClosedError(`Cannot ${verb} ${subject}: the connection has ended`);
}

function queueFull(event: object, why: string): EbsocketError {
  return new EbsocketError("queue-full", `Cannot send ${event}: ${why}`);
}
