/**
 * The pending requests of a client, to the relay or to other clients. Each ends with exactly one
 * outcome and leaves no state.
 *
 * All requests share one timer, which fires at the earliest deadline and then checks all of them.
 * Nearly every request ends long before its deadline, and a timer for each would cost more than the
 * rest of the request.
 *
 * @module
 */

import {
  ConnectionClosedError,
  EbsocketError,
  EventRefusedError,
  EventSchemaError,
  RequestTimeoutError,
} from "../errors.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import type { HistoryNews } from "../protocol/history.ts";
import { MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { randomId } from "../protocol/random_id.ts";
import type { RelayReport } from "../protocol/report.ts";
import type { Receipt, Refusal } from "../protocol/control.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { Inboxes } from "./inboxes.ts";
import type { DropReason, Outbox } from "./outbox.ts";

/**
 * The number of requests that a check may visit per millisecond until the next check. This bounds
 * its cost.
 */
const CHECKS_PER_MS = 1000;

const UNCERTAIN = "it may or may not have been done";

/** The error text for requests that were pending when their connection ended. */
export const CONNECTION_ENDED = `the connection has ended; ${UNCERTAIN}`;

/** The error texts for queued lines that were dropped. */
const DROP_WORDS: Readonly<Record<DropReason, string>> = {
  "queue-full": "too many events wait for a connection",
  "line-too-long": "its line is longer than the server takes",
};

/**
 * IDs consist of a prefix and a part that cannot be guessed from earlier IDs. Otherwise a client
 * could answer requests to other clients. V8 stores a concatenated string of up to 12 characters in
 * one piece. With a longer ID, `JSON.stringify` takes twice as long to encode an event.
 */
const PREFIX_PAIRS = 2;
const GUESS_PAIRS = 4;

/** A pending request. Replies without an overriding method leave it pending. */
export class PendingRequest {
  /** The time limit, in milliseconds. */
  timeout = Infinity;
  /** The deadline, on the clock of `performance.now()`. */
  deadline = Infinity;
  /**
   * Whether the next connection repeats the request, so that it stays pending when this one ends.
   */
  survives = false;
  /** The request's line, and the outbox that may queue it for a connection. */
  line: Uint8Array | null = null;
  outbox: Outbox | null = null;
  /** The signal that cancels the request, and its listener. */
  signal: AbortSignal | null = null;
  onAbort: (() => void) | null = null;

  /**
   * Creates a pending request.
   *
   * @param id The ID that the reply refers to.
   * @param verb The operation, for messages.
   * @param subject Its subject, for messages.
   * @param fail Called when no reply will arrive.
   */
  constructor(
    readonly id: string,
    readonly verb: string,
    readonly subject: unknown,
    readonly fail: (error: unknown) => void,
  ) {}

  /** How its errors begin: `Cannot request EbsocketEvent<time.now>`. */
  get errorPrefix(): string {
    return `Cannot ${this.verb} ${this.subject}`;
  }

  /**
   * Called with a reply. Its line had about `bytes` bytes. Returns whether the request is complete.
   */
  onReply?(reply: EbsocketEvent, bytes: number): boolean;

  /**
   * Called with a reply that does not match its definition. Returns whether the request is
   * complete.
   */
  onInvalid?(error: EventSchemaError): boolean;

  /** Called with the relay's receipt. Returns whether the request is complete. */
  onReceipt?(receipt: Receipt): boolean;

  /** Called with the relay's report. Returns whether the request is complete. */
  onReport?(report: RelayReport): boolean;

  /**
   * Called with an event of the past, whose line had about `bytes` bytes, or news about the answer.
   * Returns whether the request is complete.
   */
  onPast?(item: EbsocketEvent | HistoryNews, bytes: number): boolean;

  /** Called with the relay's refusal. Returns whether the request is complete. If not, it fails. */
  onRefusal?(refusal: Refusal): boolean;

  /** Called when the time limit has passed. */
  onTimeout(error: RequestTimeoutError): void {
    this.fail(error);
  }
}

/** Creates the error for a request that the relay has refused. */
export function refusedError(
  { errorPrefix }: PendingRequest,
  { reason, detail }: Refusal,
): EventRefusedError {
  const why = detail ? `${reason}: ${detail}` : reason;
  return new EventRefusedError(reason, `${errorPrefix}: the relay refuses it: ${why}`, detail);
}

/** The pending requests of one client, by ID. */
export class PendingRequests {
  /** The last connection, which carries the replies. */
  channel: { readonly isGreeted: boolean } | null = null;
  readonly #requests = new TextMap<PendingRequest>();
  readonly #byLine = new Map<Uint8Array, PendingRequest>();
  readonly #lines = new WeakSet<Uint8Array>();
  /** Practically unique: a reply with another client's prefix is not taken for this client's. */
  readonly #prefix = randomId(PREFIX_PAIRS);
  readonly #inboxes: Inboxes;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires, on the clock of `performance.now()`. */
  #timerDue = Infinity;

  /**
   * Creates an empty table.
   *
   * @param inboxes The client's inboxes. While one is full, no reply is read.
   */
  constructor(inboxes: Inboxes) {
    this.#inboxes = inboxes;
  }

  /** The number of pending requests. */
  get size(): number {
    return this.#requests.size;
  }

  /** Returns a new ID that cannot be guessed from earlier ones. */
  nextId(): string {
    return this.#prefix + randomId(GUESS_PAIRS);
  }

  /**
   * Adds a request that ends after `timeout` milliseconds or when `signal` is aborted, if not
   * before.
   */
  add(request: PendingRequest, timeout: number, signal?: AbortSignal): void {
    this.#requests.set(request.id, request);
    if (request.line) {
      this.#byLine.set(request.line, request);
      this.#lines.add(request.line);
    }
    if (timeout <= MAX_TIMER_MS) {
      const now = performance.now();
      request.timeout = timeout;
      request.deadline = now + timeout;
      this.#startTimer(request.deadline, now);
    }
    if (!signal) return;
    request.signal = signal;
    request.onAbort = () => {
      if (this.cancel(request)) request.fail(signal.reason);
    };
    signal.addEventListener("abort", request.onAbort);
  }

  /** Removes a request that has an outcome. Returns `false` if it was no longer pending. */
  remove(request: PendingRequest): boolean {
    if (!this.#requests.delete(request.id)) return false;
    if (request.line) this.#byLine.delete(request.line);
    if (request.onAbort) request.signal?.removeEventListener("abort", request.onAbort);
    return true;
  }

  /**
   * Removes a request without an outcome and withdraws its queued line. Returns `false` if it was
   * no longer pending.
   */
  cancel(request: PendingRequest): boolean {
    if (!this.remove(request)) return false;
    if (request.line) request.outbox?.withdraw(request.line);
    return true;
  }

  /** Fails a request with an error. */
  fail(request: PendingRequest, error: unknown): void {
    if (this.remove(request)) request.fail(error);
  }

  // Replies

  /** Returns whether a line is that of a request, which may be over. */
  isCall(line: Uint8Array): boolean {
    return this.#lines.has(line);
  }

  /** Returns whether a reply to `id` is meant for this client, even if its request is over. */
  owns(id: string): boolean {
    return id.startsWith(this.#prefix) || this.#requests.has(id);
  }

  /** Passes a reply to its request, if that is still pending. */
  onReply(id: string, reply: EbsocketEvent, bytes: number): void {
    const request = this.#requests.get(id);
    if (request?.onReply?.(reply, bytes)) this.remove(request);
  }

  /** Passes a reply that does not match its definition to its request, if that is still pending. */
  onInvalidReply(id: string, reply: EbsocketEvent, issues: readonly string[]): void {
    const request = this.#requests.get(id);
    if (!request?.onInvalid) return;
    const why = `${reply} answers, and does not fit: ${issues.join("; ")}`;
    const error = new EventSchemaError(`${request.errorPrefix}: ${why}`, reply.event, issues);
    if (request.onInvalid(error)) this.remove(request);
  }

  /** Passes a receipt to its request, if that is still pending. */
  onReceipt(receipt: Receipt): void {
    const request = this.#requests.get(receipt.id);
    if (request?.onReceipt?.(receipt)) this.remove(request);
  }

  /** Passes an event of the past, or news about them, to its request, if that is still pending. */
  onPast(id: string, item: EbsocketEvent | HistoryNews, bytes = 0): void {
    const request = this.#requests.get(id);
    if (request?.onPast?.(item, bytes)) this.remove(request);
  }

  /** Passes a report to its request, if that is still pending. */
  onReport(id: string, report: RelayReport): void {
    const request = this.#requests.get(id);
    if (request?.onReport?.(report)) this.remove(request);
  }

  /** Passes a refusal to its request. Returns whether that was still pending. */
  onRefusal(refusal: Refusal): boolean {
    const { id } = refusal;
    const request = id === undefined ? undefined : this.#requests.get(id);
    if (!request) return false;
    if (request.onRefusal?.(refusal)) this.remove(request);
    else this.fail(request, refusedError(request, refusal));
    return true;
  }

  // Connections

  /** Fails the request of a queued line that was dropped. */
  onDrop(line: Uint8Array, reason: DropReason): void {
    const request = this.#byLine.get(line);
    if (!request) return;
    this.fail(request, new EbsocketError(reason, `${request.errorPrefix}: ${DROP_WORDS[reason]}`));
  }

  /**
   * Fails the pending requests at the end of a connection, before the next one. Those that the next
   * connection repeats stay, and those with a line in `queued`, the lines that it will send.
   */
  disconnect(queued: ReadonlySet<Uint8Array>): void {
    for (const request of this.#requests.values()) {
      if (request.survives || request.line && queued.has(request.line)) continue;
      this.close(request, CONNECTION_ENDED);
    }
  }

  /** Fails a request because its connection has ended. `why` is part of the message. */
  close(request: PendingRequest, why: string): void {
    this.fail(request, new ConnectionClosedError(`${request.errorPrefix}: ${why}`));
  }

  /** Fails all requests, because no more replies will arrive. `why` is part of the message. */
  failAll(why: string): void {
    for (const request of this.#requests.values()) this.close(request, why);
    this.stopTimer();
  }

  /** Stops the timer if no request is pending, because possibly none will follow. */
  stopTimer(): void {
    if (this.size > 0) return;
    clearTimeout(this.#timer);
    this.#timerDue = Infinity;
  }

  // Time

  /**
   * Makes the timer fire at `deadline`. It is kept when no request is left, because more usually
   * follow.
   */
  #startTimer(deadline: number, now: number): void {
    if (deadline >= this.#timerDue) return;
    clearTimeout(this.#timer);
    this.#timerDue = deadline;
    this.#timer = setTimeout(this.#checkDeadlines, Math.max(0, deadline - now));
  }

  #checkDeadlines = (): void => {
    const now = performance.now();
    const overdue: PendingRequest[] = [];
    let next = Infinity;
    for (const request of this.#requests.values()) {
      if (request.deadline <= now) overdue.push(request);
      else if (request.deadline < next) next = request.deadline;
    }
    this.#timerDue = Infinity;
    if (next < Infinity) this.#startTimer(Math.max(next, now + this.size / CHECKS_PER_MS), now);
    const hint = overdue.length > 0 ? this.#silenceReason() || UNCERTAIN : "";
    for (const request of overdue) {
      if (!this.cancel(request)) continue; // ended by one of the others
      const why = `no answer within ${request.timeout} ms, its timeout; ${hint}`;
      request.onTimeout(new RequestTimeoutError(`${request.errorPrefix}: ${why}`));
    }
  };

  /** Returns the reason why no reply may arrive, or an empty string. */
  #silenceReason(): string {
    const blocked = this.#inboxes.readBlockedBy();
    if (blocked || this.channel?.isGreeted !== false) return blocked;
    return "the server has sent no welcome, so it may not be a relay";
  }
}
