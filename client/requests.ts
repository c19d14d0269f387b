/**
 * Owns what a client asks: requests of other clients, receipts of the relay, and reports of it. Must
 * not know connections, or who hears what.
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
  /** The only client that is to get the event, such as `c7`, whatever it has subscribed to. */
  readonly to?: string;
  /** See {@link ConfirmOptions}. */
  readonly confirm?: false;
}

/** Options of {@link EbsocketClient.sendEvent} for a receipt. */
export interface ConfirmOptions {
  /** The only client that is to get the event, such as `c7`, whatever it has subscribed to. */
  readonly to?: string;
  /** Resolves to the number of clients for which the relay has queued the event. */
  readonly confirm: true;
  /**
   * How long the relay may take to say so, in milliseconds, or `Infinity`. Without any time left (0 or
   * less, as what is left until a deadline may be), the event is not sent.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /** Gives up waiting when aborted: the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.request}. */
export interface RequestOptions {
  /** The only client that is asked, such as `c7`. */
  readonly to?: string;
  /**
   * How long an answer may take, in milliseconds, or `Infinity`. Without any time left (0 or less, as
   * what is left until a deadline may be), nothing is sent, and no answer has come in time.
   *
   * @default {5_000}
   */
  readonly timeout?: number;
  /** Gives up waiting when aborted: the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.requestMany}. */
export interface RequestManyOptions extends RequestOptions {
  /**
   * After how many answers it ends, from 1, or `Infinity`.
   *
   * @default {Infinity}
   */
  readonly count?: number;
}

/** Options of {@link EbsocketClient.inspect}. */
export interface InspectOptions {
  /**
   * How long the relay may take to answer, in milliseconds, or `Infinity`. Without any time left (0 or
   * less), it is not asked.
   *
   * @default {5_000}
   */
  readonly timeout?: number;
  /** Gives up waiting when aborted: the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Waits for one outcome. */
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

/** Waits for an answer. */
class Request extends Ask<EbsocketEvent> {
  override onAnswer(answer: EbsocketEvent): boolean {
    this.resolve(answer);
    return true;
  }

  override onMisfit(error: EventSchemaError): boolean {
    this.fail(error);
    return true;
  }

  override onReceipt({ clients }: Receipt): boolean {
    if (clients !== 0) return false;
    this.fail(noResponders(this));
    return true;
  }
}

/** Waits for several answers, and collects them. */
class Poll extends PendingRequest {
  /** What has ended it, if that is to be told. */
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

/** Waits until the relay says for how many clients it has queued an event. */
class Confirmation extends Ask<number> {
  override onReceipt({ clients }: Receipt): boolean {
    if (clients === undefined) return false;
    this.resolve(clients);
    return true;
  }
}

/** Waits for what the relay tells of itself. */
class Inspection extends Ask<RelayReport> {
  override onReport(report: RelayReport): boolean {
    this.resolve(report);
    return true;
  }
}

function noResponders({ errorPrefix }: PendingRequest): NoRespondersError {
  return new NoRespondersError(`${errorPrefix}: nobody is there to hear it`);
}

/** Whether no time is left for what a waiter is to wait for; it is told so. */
function isOverdue(waiter: PendingRequest, timeout: number): boolean {
  if (timeout > 0) return false;
  const why = `its time-out of ${timeout} ms was over before it was sent`;
  waiter.onTimeout(new RequestTimeoutError(`${waiter.errorPrefix}: ${why}`));
  return true;
}

/** For those that have not got to wait for room: no promise for each. */
const ROOM = Promise.resolve();
const SENT = Promise.resolve(true);
const NOT_SENT = Promise.resolve(false);

/** Of how many requests it is known that the program has them and has not answered. */
const MAX_UNANSWERED = 10_000;

/** Asks, through the sender of one client: events of `M` come, events of `S` are sent. */
export class Requests<M extends object, S extends object = M> {
  readonly #table: PendingRequests;
  readonly #sender: Sender<S>;
  readonly #incoming: EventDispatcher<M>;
  /** Over which connection each request has come. */
  readonly #carriers = new WeakMap<object, ControlChannel>();
  /** The requests that the program has and has not answered: who asked, and what that called them. */
  readonly #unanswered = new Set<string>();
  /** Those that it has read itself: it has done with them when it reads on. */
  #read: string[] = [];
  /** Whether it has ever answered one. */
  #isAnswering = false;
  #answered: PromiseWithResolvers<void> | null = null;

  constructor(table: PendingRequests, sender: Sender<S>, incoming: EventDispatcher<M>) {
    this.#table = table;
    this.#sender = sender;
    this.#incoming = incoming;
  }

  /** The first answer to an event. */
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

  /** The answers to an event, from the first `next()` on. */
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
    const inbox = this.#incoming.makeInbox();
    const answers = inbox as unknown as Inbox<EbsocketEvent>;
    const poll = new Poll(id, event, count, answers, () => this.#incoming.forget(inbox));
    this.#incoming.watchInbox(inbox, `requestMany(${event})`);
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
      this.#incoming.forget(inbox);
    }
  }

  /** For how many clients the relay has queued an event; a bad event throws at the call. */
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

  /** Sends an event to one client alone. */
  sendTo(to: string, event: SendableEvent<S>): Promise<void> {
    checkWord("to", to);
    const line = this.#sender.encode(event, { to });
    const fault = this.#sender.lack("ack", "send", event, " to one client") ??
      this.#sender.queue(event, line, true);
    return fault ? refused(fault) : this.#sender.room() ?? ROOM;
  }

  /** Notes over which connection events have come: who has asked is called so only there. */
  note(events: readonly EbsocketEvent[], carrier: ControlChannel): void {
    for (const event of events) {
      if (event.id !== null && event.from !== null) this.#carriers.set(event, carrier);
    }
  }

  /** A service has given the program an event, which may be a request. */
  given({ id, from }: Pick<EbsocketEvent, "id" | "from">): void {
    if (id === null) return;
    if (this.#unanswered.size >= MAX_UNANSWERED) {
      const [oldest] = this.#unanswered;
      this.#unanswered.delete(oldest!);
    }
    this.#unanswered.add(keyOf(id, from));
  }

  /** The program reads on, and has done with the events before; it has been given these. */
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

  /** A connection has ended: who has asked over it can be answered no more. */
  forgetAsked(): void {
    this.#unanswered.clear();
    this.#checkAnswered();
  }

  /**
   * Waits until the program has answered the requests that it was given, and, if it is one that answers,
   * has read what waits in its inbox.
   */
  async whenAnswered(): Promise<void> {
    this.#answered ??= Promise.withResolvers<void>();
    this.#checkAnswered();
    await this.#answered?.promise;
  }

  #checkAnswered(): void {
    const isUnread = this.#isAnswering && this.#incoming.inbox.length > 0;
    if (!this.#answered || isUnread || this.#unanswered.size > 0) return;
    this.#answered.resolve();
    this.#answered = null;
  }

  /** Answers an event; whether anybody had asked, and can still be answered. */
  reply(
    event: Pick<EbsocketEvent, "id" | "from">,
    answer: SendableEvent<S>,
  ): Promise<boolean> {
    const { id, from } = event;
    if (id === null) return NOT_SENT;
    // By the rules of the protocol these could not be; a line that said so would end the connection.
    if (!isName(id) || from !== null && !isName(from)) return NOT_SENT;
    const line = this.#sender.encode(answer, {
      reply_to: id,
      ...(from !== null && { to: from }),
    });
    this.#isAnswering = true;
    if (this.#unanswered.delete(keyOf(id, from))) this.#checkAnswered();
    const carrier = this.#carriers.get(event);
    const isGone = carrier ? carrier.hasEnded : !this.#sender.isConnected;
    if (from !== null && isGone && this.#sender.isOpen) return NOT_SENT;
    const fault = this.#sender.queue(answer, line, from !== null, carrier !== undefined);
    if (fault instanceof ConnectionClosedError) return NOT_SENT;
    if (fault) return refused(fault);
    return this.#sender.room()?.then(() => true) ?? SENT;
  }

  /** What the relay tells of itself. */
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

  /** Sends the line that asks, and waits for what comes of it. */
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

  /** Makes sure that what is waited for could be heard. */
  #checkHearing(verb: string, subject: unknown): void {
    const why = this.#incoming.readBlockedBy();
    if (why) throw new EbsocketError("inbox-full", `Cannot ${verb} ${subject}: ${why}`);
  }
}

function keyOf(id: string, from: string | null): string {
  return `${from} ${id}`;
}
