/**
 * Owns the way of an event out of a client: all that is sent is encoded, measured and queued here.
 * Must not know what comes back.
 *
 * @module
 */

import { notSupported } from "../protocol/routing.ts";
import type { ClientSettings } from "./options.ts";
import { checkEvent, type Envelope, LineEncoder } from "../protocol/encoder.ts";
import { ConnectionClosedError, EbsocketError } from "../errors.ts";
import type { SendableEvent } from "../protocol/event.ts";
import type { ConnectionManager } from "./connection_manager.ts";
import type { Feature } from "../protocol/routing.ts";

/** For callers for whom there is room at once: no promise per event. */
const ROOM = Promise.resolve();

/** Sends the events of one client through whatever link there is. */
export class Sender<M extends object> {
  readonly #settings: ClientSettings;
  readonly #encoder = new LineEncoder();
  readonly #used: (verb: string) => ConnectionManager<M>;
  readonly #beforeLine: () => void;

  /**
   * Makes a sender; `used` gives the link, or throws if there has been none. Before each line it calls
   * `beforeLine`, which may send what was asked for before.
   */
  constructor(
    settings: ClientSettings,
    used: (verb: string) => ConnectionManager<M>,
    beforeLine: () => void,
  ) {
    this.#settings = settings;
    this.#used = used;
    this.#beforeLine = beforeLine;
  }

  /** Queues an event; what the promise says is in {@link EbsocketClient.sendEvent}. */
  send(event: SendableEvent<M>, envelope?: Envelope): Promise<void> {
    const line = this.encode(event, envelope);
    const fault = this.queue(event, line);
    return fault ? refused(fault) : this.room() ?? ROOM;
  }

  /**
   * The line of an event, which the next one overwrites unless it is queued.
   *
   * @throws {ConnectionClosedError} If the client has not been connected yet.
   * @throws {TypeError} If the event cannot be encoded.
   * @throws {EventSchemaError} If the event does not fit its definition.
   * @throws {RangeError} If the line is too long for us or for the server.
   */
  encode(event: SendableEvent<M>, envelope?: Envelope): Uint8Array<ArrayBuffer> {
    checkEvent(event);
    const { checker, limits: { maxLineBytes } } = this.#settings;
    // Encoded first: whatever a validator does, what was given is sent.
    let line = this.#encoder.encode(event.event, event.__dict__, maxLineBytes, envelope);
    if (checker.hasDefinitions) line = line.slice(); // A validator may send events itself.
    checker.checkSent(event, line);
    const length = line.length - 1;
    const link = this.#used("send through");
    if (length <= link.maxLineBytes) return line;
    const most = link.session?.namesLimit
      ? `the ${link.maxLineBytes} that the server takes`
      : `the ${link.maxLineBytes} that may be sent where no server has said what it takes`;
    throw new RangeError(`Cannot send ${event}: its ${length} bytes exceed ${most}`);
  }

  /**
   * Queues the line that was encoded last; gives why that cannot be, or `null`. With `isBound` it is
   * for one client, which only the relay of this connection calls so, or, with `isEarly`, of the one
   * that is being made.
   */
  queue(
    event: SendableEvent<M>,
    line: Uint8Array<ArrayBuffer>,
    isBound = false,
    isEarly = false,
  ): EbsocketError | null {
    const link = this.#used("send through");
    if (!link.open) return closed(event);
    this.#beforeLine();
    const { outbox, session } = link;
    if (outbox) {
      if (isBound && !isEarly && !link.connected) return unaddressable(event);
      if (outbox.offer(line, isBound)) {
        this.#encoder.keep(line);
        return null;
      }
      const { waitingLines, waitingBytes } = outbox;
      const why = "maxQueuedEvents and maxQueuedBytes allow no more";
      return queueFull(event, `${waitingLines} events of ${waitingBytes} bytes wait, and ${why}`);
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

  /** A promise that resolves when there is room for more; `null` while there is. */
  room(): Promise<void> | null {
    const { outbox, session } = this.#used("send through");
    return (outbox ?? session!.connection).room();
  }

  /**
   * Sends a control line.
   *
   * @throws {ConnectionClosedError} If there is no connection.
   */
  tell(line: Uint8Array): void {
    const link = this.#used("send through");
    if (!link.connected) {
      throw new ConnectionClosedError("Cannot ask the relay: there is no connection");
    }
    this.#beforeLine();
    link.session!.tell(line);
  }

  /** What is wrong with doing something for which the server must offer `feature`, or `null`. */
  lack(feature: Feature, verb: string, subject: unknown, how = ""): EbsocketError | null {
    const { session } = this.#used("use");
    if (!session || session.has(feature)) return null; // Before the first connection it is not known.
    const what = `${verb} ${subject}${how}`;
    return session.isGreeted ? notSupported(feature, what) : notGreeted(what);
  }

  /**
   * Makes sure that the server can do something.
   *
   * @throws {EbsocketError} With the code `not-supported` if it cannot, or `no-welcome` if it has not said.
   */
  demand(feature: Feature, verb: string, subject: unknown, how = ""): void {
    const fault = this.lack(feature, verb, subject, how);
    if (fault) throw fault;
  }

  /**
   * Makes sure that there is a connection, or will be one.
   *
   * @throws {ConnectionClosedError} If there will be none.
   */
  checkOpen(event: SendableEvent<M>): void {
    if (!this.#used("send through").open) throw closed(event);
  }

  /** Takes back a line that waits for a connection, if it does. */
  withdraw(line: Uint8Array): void {
    this.#used("send through").outbox?.withdraw(line);
  }

  /** Whether there is a connection, or will be one. */
  get isOpen(): boolean {
    return this.#used("send through").open;
  }

  /** Whether there is a connection. */
  get isConnected(): boolean {
    return this.#used("send through").connected;
  }

  /** Whether a line may have to wait for a connection. */
  get mayWait(): boolean {
    return this.#used("send through").outbox !== null;
  }
}

/** The server may be able to do it, or not: it has not said so. */
function notGreeted(what: string): EbsocketError {
  const message = `Cannot ${what}: the server has sent no welcome that says whether it can`;
  return new EbsocketError("no-welcome", message);
}

function unaddressable(event: unknown): ConnectionClosedError {
  const why = "without a connection nobody knows whom the next relay calls so";
  return new ConnectionClosedError(`Cannot send ${event} to one client: ${why}`);
}

/** A rejected promise that does not end a program which ignores it. */
export function refused(error: Error): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}

function closed(event: object): ConnectionClosedError {
  return new ConnectionClosedError(`Cannot send ${event}: the connection has ended`);
}

function queueFull(event: object, why: string): EbsocketError {
  return new EbsocketError("queue-full", `Cannot send ${event}: ${why}`);
}
