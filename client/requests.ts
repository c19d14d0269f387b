/**
 * The requests of a client: to other clients, and to the relay for receipts and reports.
 *
 * @module
 */

import { encodeRequest, type Receipt } from "../protocol/control.ts";
import { checkName, isName } from "../protocol/names.ts";
import {
  ConnectionClosedError,
  EbsocketError,
  type EventSchemaError,
  NoRespondersError,
  RequestTimeoutError,
} from "../errors.ts";
import type { EbsocketEvent, SendableEvent } from "../protocol/event.ts";
import { checkGiven, checkLimit, checkTimeout } from "../protocol/option_checks.ts";
import type {
  ConfirmOptions,
  InspectOptions,
  RequestManyOptions,
  RequestOptions,
} from "./options.ts";
import { PendingRequest, type PendingRequests } from "./pending_requests.ts";
import type { RequestKey } from "./received_requests.ts";
import type { Receiver } from "./receiver.ts";
import type { RelayReport } from "../protocol/report.ts";
import { refused, type Sender } from "./sender.ts";

/** A request to other clients. It fails if none of them receives it. */
class EventRequest extends PendingRequest {
  listener: RequestOptions["onReceipt"];

  override onReceipt({ clients, isIncomplete }: Receipt): boolean {
    const { listener } = this;
    if (clients === 0 && !isIncomplete) {
      const why = "no other client is there to answer; a client never answers itself";
      this.fail(new NoRespondersError(`${this.errorPrefix}: ${why}`));
      return true;
    }
    // In its own task, because an exception in it is not the connection's.
    if (clients !== undefined && listener) queueMicrotask(() => listener(clients));
    return false;
  }
}

/** A request with one reply. */
class SingleRequest extends EventRequest {
  constructor(
    id: string,
    subject: unknown,
    readonly resolve: (reply: EbsocketEvent) => void,
    reject: (error: unknown) => void,
  ) {
    super(id, "request", subject, reject);
  }

  override onReply(reply: EbsocketEvent): boolean {
    this.resolve(reply);
    return true;
  }

  override onInvalid(error: EventSchemaError): boolean {
    this.fail(error);
    return true;
  }
}

/** Returns whether the timeout of a request has already expired, and times it out if so. */
function isOverdue(request: PendingRequest, timeout: number): boolean {
  if (timeout > 0) return false;
  const why = `its time-out of ${timeout} ms was over before it was sent`;
  request.onTimeout(new RequestTimeoutError(`${request.errorPrefix}: ${why}`));
  return true;
}

/** Shared results for callers that need not wait for room: no promise per call. */
const SENT = Promise.resolve(true);
const NOT_SENT = Promise.resolve(false);

/** The requests of one client, which sends events of `S`. */
export class Requests<S extends object> {
  readonly #sender: Sender<S>;
  readonly #receiver: Receiver;
  readonly #pending: PendingRequests;

  constructor(sender: Sender<S>, receiver: Receiver) {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#pending = receiver.pending;
  }

  /**
   * Sends an event as a request.
   *
   * @returns Resolves to the first reply.
   */
  request(event: SendableEvent<S>, options: RequestOptions = {}): Promise<EbsocketEvent> {
    return new Promise((resolve, reject) => {
      checkGiven(options, ["to"]);
      const { to, timeout = 5000, signal } = options;
      checkTimeout(timeout);
      signal?.throwIfAborted();
      const id = this.#pending.nextId();
      const line = this.#encodeRequest(event, id, options);
      const request = new SingleRequest(id, event, resolve, reject);
      request.listener = options.onReceipt;
      this.#ask(request, event, line, to !== undefined, timeout, signal);
    });
  }

  /**
   * Sends an event as a request at the first `next()`.
   *
   * @returns The replies.
   */
  requestMany(
    event: SendableEvent<S>,
    options: RequestManyOptions = {},
  ): AsyncGenerator<EbsocketEvent, void, void> {
    checkGiven(options, ["to"]);
    const { to, timeout = 5000, count = Infinity } = options;
    checkTimeout(timeout);
    checkLimit("count", count, 1);
    if (to !== undefined) checkName(to, "to");
    return this.#poll(event, timeout, count, options);
  }

  async *#poll(
    event: SendableEvent<S>,
    timeout: number,
    count: number,
    options: RequestManyOptions,
  ): AsyncGenerator<EbsocketEvent, void, void> {
    const { to, signal } = options;
    signal?.throwIfAborted();
    const id = this.#pending.nextId();
    const line = this.#encodeRequest(event, id, options);
    const { inboxes } = this.#receiver;
    const inbox = inboxes.open(`requestMany(${event})`);
    let error: unknown;
    const end = (why?: unknown) => {
      error = why;
      inboxes.close(inbox);
    };
    let replies = 0;
    const poll = new EventRequest(id, "request", event, end);
    poll.listener = options.onReceipt;
    poll.onTimeout = () => end();
    poll.onReply = (reply, bytes) => {
      inbox.push([reply], bytes);
      if (++replies < count) return false;
      end();
      return true;
    };
    try {
      this.#ask(poll, event, line, to !== undefined, timeout, signal);
      for (;;) {
        const reply = await inbox.next();
        if (reply === undefined) break;
        yield reply;
      }
      if (error !== undefined) throw error;
    } finally {
      this.#pending.cancel(poll);
      inboxes.close(inbox);
    }
  }

  /**
   * Sends an event and requests a receipt. An invalid event throws at the call.
   *
   * @returns Resolves to the number of clients that the relay has queued the event for.
   */
  confirm(event: SendableEvent<S>, options: ConfirmOptions): Promise<number> {
    checkGiven(options, ["to"]);
    const { to, timeout = 10_000, signal } = options;
    checkTimeout(timeout);
    if (to !== undefined) checkName(to, "to");
    const ack = this.#pending.nextId();
    const line = this.#sender.encode(event, { ack, ...(to !== undefined && { to }) });
    const confirmed = new Promise<number>((resolve, reject) => {
      signal?.throwIfAborted();
      this.#sender.requireFeature("ack", "confirm", event);
      this.#receiver.inboxes.checkReading("confirm", event);
      const confirmation = new PendingRequest(ack, "confirm", event, reject);
      confirmation.onReceipt = ({ clients, isIncomplete }) => {
        if (clients === undefined) return false;
        const why = `a relay did not answer or keep the event, and ${clients} clients are known`;
        if (!isIncomplete) resolve(clients);
        else reject(new EbsocketError("incomplete", `${confirmation.errorPrefix}: ${why}`));
        return true;
      };
      this.#ask(confirmation, event, line, to !== undefined, timeout, signal);
    });
    confirmed.catch(() => {});
    return confirmed;
  }

  /**
   * Replies to a request.
   *
   * @returns Resolves to whether the reply was sent.
   */
  reply(request: RequestKey, reply: SendableEvent<S>): Promise<boolean> {
    const { id, from } = request;
    if (id === null) return NOT_SENT;
    // Such a line would violate the protocol and end the connection.
    if (!isName(id) || from !== null && !isName(from)) return NOT_SENT;
    const line = this.#sender.encode(reply, {
      reply_to: id,
      ...(from !== null && { to: from }),
    });
    const channel = this.#receiver.requests.onReply(request);
    const { connected, open } = this.#sender.manager;
    const isGone = channel ? channel.hasEnded : !connected;
    if (from !== null && isGone && open) return NOT_SENT;
    const error = this.#sender.queue(reply, line, from !== null, channel !== undefined);
    if (error instanceof ConnectionClosedError) return NOT_SENT;
    if (error) return refused(error);
    return this.#sender.room()?.then(() => true) ?? SENT;
  }

  /**
   * Requests a report from the relay.
   *
   * @returns Resolves to the report.
   */
  inspect({ timeout = 5000, signal }: InspectOptions = {}): Promise<RelayReport> {
    return new Promise((resolve, reject) => {
      checkTimeout(timeout);
      signal?.throwIfAborted();
      this.#sender.requireFeature("stats", "inspect", "the relay");
      this.#receiver.inboxes.checkReading("inspect", "the relay");
      const id = this.#pending.nextId();
      const inspection = new PendingRequest(id, "inspect", "the relay", reject);
      inspection.onReport = (report) => {
        resolve(report);
        return true;
      };
      if (isOverdue(inspection, timeout)) return;
      this.#sender.sendControl(encodeRequest({ control: "stats", id }));
      this.#pending.add(inspection, timeout, signal);
    });
  }

  /** Sends the line of a request and registers the pending request. */
  #ask(
    request: PendingRequest,
    event: SendableEvent<S>,
    line: Uint8Array,
    connectionOnly: boolean,
    timeout: number,
    signal: AbortSignal | undefined,
  ): void {
    this.#sender.checkOpen(request);
    if (isOverdue(request, timeout)) return;
    request.outbox = this.#sender.manager.outbox;
    if (request.outbox) request.line = line;
    this.#pending.add(request, timeout, signal);
    const error = this.#sender.queue(event, line, connectionOnly);
    if (error) this.#pending.fail(request, error);
  }

  /**
   * Encodes a request. Its receipt has the ID of the request. Throws if its reply could not be
   * read.
   */
  #encodeRequest(
    event: SendableEvent<S>,
    id: string,
    { to, onReceipt }: RequestOptions,
  ): Uint8Array {
    this.#receiver.inboxes.checkReading("request", event);
    if (to === undefined && !onReceipt) return this.#sender.encode(event, { id });
    const how = to === undefined ? " with a receipt" : " to one client";
    this.#sender.requireFeature("ack", "send", event, how);
    return this.#sender.encode(event, {
      id,
      ...(to !== undefined && { to: checkName(to, "to") }),
      ...(onReceipt && { ack: id }),
    });
  }
}
