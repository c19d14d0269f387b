/**
 * The requests of a client: to other clients, and to the relay for receipts and reports.
 *
 * @module
 */

import { checkWord } from "../protocol/routing.ts";
import type { Envelope } from "../protocol/encoder.ts";
import {
  ConnectionClosedError,
  EbsocketError,
  type EventSchemaError,
  NoRespondersError,
  RequestTimeoutError,
} from "../errors.ts";
import type { EbsocketEvent, EventOf, SendableEvent } from "../protocol/event.ts";
import type { ControlChannel } from "./subscriptions.ts";
import type { Inbox } from "../net/inbox.ts";
import type { EventDispatcher } from "./dispatcher.ts";
import { checkGiven, checkLimit, checkTimeout } from "../protocol/option_checks.ts";
import { PendingRequest, type PendingRequests } from "./pending_requests.ts";
import { encodeStatsRequest, type RelayReport } from "../protocol/report.ts";
import { isName, type Receipt } from "../protocol/routing.ts";
import { refused, type Sender } from "./sender.ts";

/** Options of {@link EbsocketClient.sendEvent}. */
export interface SendOptions {
  /** The only recipient of the event, such as `c7`, whatever it has subscribed to. */
  readonly to?: string;
  /** See {@link ConfirmOptions}. */
  readonly confirm?: false;
}

/** Options of {@link EbsocketClient.sendEvent} with a receipt. */
export interface ConfirmOptions {
  /** The only recipient of the event, such as `c7`, whatever it has subscribed to. */
  readonly to?: string;
  /** Requests a receipt: the number of clients that the relay has queued the event for. */
  readonly confirm: true;
  /**
   * The time limit for the receipt, in milliseconds, or `Infinity`. With 0 or less, such as the
   * rest of an expired deadline, the event is not sent.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /** Stops waiting when aborted. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.request}. */
export interface RequestOptions {
  /** The only recipient of the request, such as `c7`. */
  readonly to?: string;
  /**
   * The time limit for the reply, in milliseconds, or `Infinity`. With 0 or less, such as the rest
   * of an expired deadline, the request is not sent and times out.
   *
   * @default {5_000}
   */
  readonly timeout?: number;
  /** Stops waiting when aborted. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.requestMany}. */
export interface RequestManyOptions extends RequestOptions {
  /**
   * The maximum number of replies, from 1, or `Infinity`.
   *
   * @default {Infinity}
   */
  readonly count?: number;
}

/** Options of {@link EbsocketClient.inspect}. */
export interface InspectOptions {
  /**
   * The time limit for the report, in milliseconds, or `Infinity`. With 0 or less, no report is
   * requested.
   *
   * @default {5_000}
   */
  readonly timeout?: number;
  /** Stops waiting when aborted. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A pending request with a single outcome. */
abstract class Ask<T> extends PendingRequest {
  readonly resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    id: string,
    verb: string,
    subject: unknown,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) {
    super(id, verb, subject);
    this.resolve = resolve;
    this.#reject = reject;
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}

/** A request with one reply. */
class Request extends Ask<EbsocketEvent> {
  override onAnswer(answer: EbsocketEvent): boolean {
    this.resolve(answer);
    return true;
  }

  override onInvalid(error: EventSchemaError): boolean {
    this.fail(error);
    return true;
  }

  override onReceipt({ clients }: Receipt): boolean {
    if (clients !== 0) return false;
    this.fail(noResponders(this));
    return true;
  }
}

/** A request with several replies, which it collects. */
class Poll extends PendingRequest {
  /** The error that ended it, if it is to be thrown. */
  error: unknown;
  readonly #inbox: Inbox<EbsocketEvent>;
  readonly #onEnd: () => void;
  #missing: number;

  constructor(
    id: string,
    subject: unknown,
    count: number,
    inbox: Inbox<EbsocketEvent>,
    onEnd: () => void,
  ) {
    super(id, "request", subject);
    this.#missing = count;
    this.#inbox = inbox;
    this.#onEnd = onEnd;
  }

  override onAnswer(answer: EbsocketEvent, bytes: number): boolean {
    this.#inbox.push([answer], bytes);
    const isAll = --this.#missing === 0;
    if (isAll) this.#onEnd();
    return isAll;
  }

  override onReceipt({ clients }: Receipt): boolean {
    if (clients !== 0) return false;
    this.fail(noResponders(this));
    return true;
  }

  override onTimeout(_error: RequestTimeoutError): void {
    this.#onEnd();
  }

  fail(error: unknown): void {
    this.error = error;
    this.#onEnd();
  }
}

/** A receipt: the number of clients that the relay has queued an event for. */
class Confirmation extends Ask<number> {
  override onReceipt({ clients }: Receipt): boolean {
    if (clients === undefined) return false;
    this.resolve(clients);
    return true;
  }
}

/** A report of the relay. */
class Inspection extends Ask<RelayReport> {
  override onReport(report: RelayReport): boolean {
    this.resolve(report);
    return true;
  }
}

function noResponders({ errorPrefix }: PendingRequest): NoRespondersError {
  return new NoRespondersError(`${errorPrefix}: no client is there to answer`);
}

/** Returns whether the timeout of a request has already expired, and times it out if so. */
function isOverdue(waiter: PendingRequest, timeout: number): boolean {
  if (timeout > 0) return false;
  const why = `its time-out of ${timeout} ms was over before it was sent`;
  waiter.onTimeout(new RequestTimeoutError(`${waiter.errorPrefix}: ${why}`));
  return true;
}

/** Shared results for callers that need not wait for room: no promise per call. */
const ROOM = Promise.resolve();
const SENT = Promise.resolve(true);
const NOT_SENT = Promise.resolve(false);

/** The maximum number of unanswered requests to remember. */
const MAX_UNANSWERED = 10_000;

/** The requests of one client. It receives events of `M` and sends events of `S`. */
export class Requests<M extends object, S extends object = M> {
  readonly #table: PendingRequests;
  readonly #sender: Sender<S>;
  readonly #dispatcher: EventDispatcher<M>;
  /** The connection that each request arrived on. */
  readonly #channels = new WeakMap<object, ControlChannel>();
  /** The requests that the program has received and not answered, by their ID and requester. */
  readonly #unanswered = new Set<string>();
  /** Those among them that the program has read itself. It has finished them when it reads on. */
  #read: string[] = [];
  /** Whether the program has ever replied to a request. */
  #isAnswering = false;
  #answered: PromiseWithResolvers<void> | null = null;

  constructor(table: PendingRequests, sender: Sender<S>, dispatcher: EventDispatcher<M>) {
    this.#table = table;
    this.#sender = sender;
    this.#dispatcher = dispatcher;
  }

  /**
   * Sends an event as a request.
   *
   * @returns Resolves to the first reply.
   */
  request(
    event: SendableEvent<S>,
    options: RequestOptions = {},
  ): Promise<EventOf<M>> {
    return new Promise<EbsocketEvent>((resolve, reject) => {
      checkGiven(options, ["to"]);
      const { to, timeout = 5000, signal } = options;
      checkTimeout(timeout);
      signal?.throwIfAborted();
      this.#checkHearing("request", event);
      const id = this.#table.nextId();
      const line = this.#sender.encode(event, this.#envelope(event, { id }, to));
      const request = new Request(id, "request", event, resolve, reject);
      this.#ask(request, event, line, to !== undefined, timeout, signal);
    }) as unknown as Promise<EventOf<M>>;
  }

  /**
   * Sends an event as a request at the first `next()`.
   *
   * @returns The replies.
   */
  requestMany(
    event: SendableEvent<S>,
    options: RequestManyOptions = {},
  ): AsyncGenerator<EventOf<M>, void, void> {
    checkGiven(options, ["to"]);
    const { to, timeout = 5000, count = Infinity, signal } = options;
    checkTimeout(timeout);
    checkLimit("count", count, 1);
    if (to !== undefined) checkWord("to", to);
    return this.#poll(event, to, timeout, count, signal);
  }

  async *#poll(
    event: SendableEvent<S>,
    to: string | undefined,
    timeout: number,
    count: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<EventOf<M>, void, void> {
    signal?.throwIfAborted();
    this.#checkHearing("request", event);
    const id = this.#table.nextId();
    const line = this.#sender.encode(event, this.#envelope(event, { id }, to));
    const inbox = this.#dispatcher.makeInbox();
    const answers = inbox as unknown as Inbox<EbsocketEvent>;
    const poll = new Poll(id, event, count, answers, () => this.#dispatcher.forget(inbox));
    this.#dispatcher.watchInbox(inbox, `requestMany(${event})`);
    try {
      this.#ask(poll, event, line, to !== undefined, timeout, signal);
      for (;;) {
        const answer = await inbox.next();
        if (answer === undefined) break;
        yield answer;
      }
      if (poll.error !== undefined) throw poll.error;
    } finally {
      this.#table.giveUp(poll);
      this.#dispatcher.forget(inbox);
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
    if (to !== undefined) checkWord("to", to);
    const ack = this.#table.nextId();
    const line = this.#sender.encode(event, { ack, ...(to !== undefined && { to }) });
    const confirmed = new Promise<number>((resolve, reject) => {
      signal?.throwIfAborted();
      this.#sender.demand("ack", "confirm", event);
      this.#checkHearing("confirm", event);
      const confirmation = new Confirmation(ack, "confirm", event, resolve, reject);
      this.#ask(confirmation, event, line, to !== undefined, timeout, signal);
    });
    confirmed.catch(() => {});
    return confirmed;
  }

  /** Sends an event to one client only. */
  sendTo(to: string, event: SendableEvent<S>): Promise<void> {
    checkWord("to", to);
    const line = this.#sender.encode(event, { to });
    const fault = this.#sender.lack("ack", "send", event, " to one client") ??
      this.#sender.queue(event, line, true);
    return fault ? refused(fault) : this.#sender.room() ?? ROOM;
  }

  /**
   * Records which connection events arrived on, because requester IDs are only valid on that
   * connection.
   */
  note(events: readonly EbsocketEvent[], channel: ControlChannel): void {
    for (const event of events) {
      if (event.id !== null && event.from !== null) this.#channels.set(event, channel);
    }
  }

  /** Records an event that a service has yielded to the program, if it is a request. */
  given({ id, from }: Pick<EbsocketEvent, "id" | "from">): void {
    if (id === null) return;
    if (this.#unanswered.size >= MAX_UNANSWERED) {
      const [oldest] = this.#unanswered;
      this.#unanswered.delete(oldest!);
    }
    this.#unanswered.add(keyOf(id, from));
  }

  /**
   * Records that the program reads on: it has finished the events read before, and receives these.
   */
  readOn(events: readonly Pick<EbsocketEvent, "id" | "from">[] = []): void {
    for (const key of this.#read) this.#unanswered.delete(key);
    this.#read = [];
    for (const event of events) {
      if (event.id === null) continue;
      this.given(event);
      this.#read.push(keyOf(event.id, event.from));
    }
    this.#checkAnswered();
  }

  /** Forgets all requests at the end of a connection. They can no longer be answered. */
  forgetAsked(): void {
    this.#unanswered.clear();
    this.#checkAnswered();
  }

  /**
   * Waits until the program has answered the requests it received. If it has ever replied to one,
   * also waits until it has read its inbox.
   */
  async whenAnswered(): Promise<void> {
    this.#answered ??= Promise.withResolvers<void>();
    this.#checkAnswered();
    await this.#answered?.promise;
  }

  #checkAnswered(): void {
    const isUnread = this.#isAnswering && this.#dispatcher.inbox.length > 0;
    if (!this.#answered || isUnread || this.#unanswered.size > 0) return;
    this.#answered.resolve();
    this.#answered = null;
  }

  /**
   * Replies to a request.
   *
   * @returns Resolves to whether the reply was sent.
   */
  reply(
    event: Pick<EbsocketEvent, "id" | "from">,
    answer: SendableEvent<S>,
  ): Promise<boolean> {
    const { id, from } = event;
    if (id === null) return NOT_SENT;
    // Such a line would violate the protocol and end the connection.
    if (!isName(id) || from !== null && !isName(from)) return NOT_SENT;
    const line = this.#sender.encode(answer, {
      reply_to: id,
      ...(from !== null && { to: from }),
    });
    this.#isAnswering = true;
    if (this.#unanswered.delete(keyOf(id, from))) this.#checkAnswered();
    const channel = this.#channels.get(event);
    const isGone = channel ? channel.hasEnded : !this.#sender.isConnected;
    if (from !== null && isGone && this.#sender.isOpen) return NOT_SENT;
    const fault = this.#sender.queue(answer, line, from !== null, channel !== undefined);
    if (fault instanceof ConnectionClosedError) return NOT_SENT;
    if (fault) return refused(fault);
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
      this.#sender.demand("stats", "inspect", "the relay");
      this.#checkHearing("inspect", "the relay");
      const id = this.#table.nextId();
      const inspection = new Inspection(id, "inspect", "the relay", resolve, reject);
      if (isOverdue(inspection, timeout)) return;
      this.#sender.tell(encodeStatsRequest(id));
      this.#table.add(inspection, timeout, signal);
    });
  }

  /** Sends the line of a request and registers the pending request. */
  #ask(
    waiter: PendingRequest,
    event: SendableEvent<S>,
    line: Uint8Array<ArrayBuffer>,
    isBound: boolean,
    timeout: number,
    signal: AbortSignal | undefined,
  ): void {
    this.#sender.checkOpen(event);
    if (isOverdue(waiter, timeout)) return;
    if (this.#sender.mayWait) waiter.line = line;
    this.#table.add(waiter, timeout, signal);
    const fault = this.#sender.queue(event, line, isBound);
    if (fault) this.#table.fail(waiter, fault);
  }

  #envelope(event: SendableEvent<S>, envelope: Envelope, to: string | undefined): Envelope {
    if (to === undefined) return envelope;
    this.#sender.demand("ack", "send", event, " to one client");
    return { ...envelope, to: checkWord("to", to) };
  }

  /** Throws if reading is paused, because the reply could not be read. */
  #checkHearing(verb: string, subject: unknown): void {
    const why = this.#dispatcher.readBlockedBy();
    if (why) throw new EbsocketError("inbox-full", `Cannot ${verb} ${subject}: ${why}`);
  }
}

function keyOf(id: string, from: string | null): string {
  return `${from} ${id}`;
}
