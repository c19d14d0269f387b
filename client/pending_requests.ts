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
import { MAX_TIMER_MS } from "../protocol/option_checks.ts";
import { randomId } from "../protocol/random_id.ts";
import type { RelayReport } from "../protocol/report.ts";
import type { Receipt, Refusal } from "../protocol/routing.ts";
import { TextMap } from "../protocol/text_map.ts";
import type { DropReason } from "./offline_queue.ts";

/**
 * The number of requests that a check may visit per millisecond until the next check. This bounds
 * its cost.
 */
const LOOKS_PER_MS = 1000;

/** The error text for requests that were pending when their connection ended. */
export const IN_DOUBT = "the connection has ended; it may or may not have been done";

/** The error texts for queued lines that were dropped. */
const DROP_WORDS: Readonly<Record<DropReason, string>> = {
  "queue-full": "it was dropped, as too many events wait for a connection",
  "line-too-long": "its line is longer than the server takes that there is now",
};

/**
 * IDs consist of a prefix and a part that cannot be guessed from earlier IDs. Otherwise a client
 * could answer requests to other clients. V8 stores a concatenated string of up to 12 characters in
 * one piece. With a longer ID, `JSON.stringify` takes twice as long to encode an event.
 */
const PREFIX_PAIRS = 2;
const GUESS_PAIRS = 4;

/** A pending request. Replies without an overriding method leave it pending. */
export abstract class PendingRequest {
  /** The ID that the reply refers to. */
  readonly id: string;
  /** The operation and its subject, for messages: `request` and an event. */
  readonly verb: string;
  readonly subject: unknown;
  /** The time limit, in milliseconds. */
  timeout = Infinity;
  /** The deadline, on the clock of `performance.now()`. */
  deadline = Infinity;
  /**
   * Whether the next connection repeats the request, so that it stays pending when this one ends.
   */
  survives = false;
  /** The request's line, if it may be queued for a connection. */
  line: Uint8Array | null = null;
  /** The signal that cancels the request, and its listener. */
  signal: AbortSignal | null = null;
  onAbort: (() => void) | null = null;

  constructor(id: string, verb: string, subject: unknown) {
    this.id = id;
    this.verb = verb;
    this.subject = subject;
  }

  /** How its errors begin: `Cannot request EbsocketEvent<time.now>`. */
  get errorPrefix(): string {
    return `Cannot ${this.verb} ${this.subject}`;
  }

  /**
   * Called with a reply. Its line had about `bytes` bytes. Returns whether the request is complete.
   */
  onAnswer(_answer: EbsocketEvent, _bytes: number): boolean {
    return false;
  }

  /**
   * Called with a reply that does not match its definition. Returns whether the request is
   * complete.
   */
  onInvalid(_error: EventSchemaError): boolean {
    return false;
  }

  /** Called with the relay's receipt. Returns whether the request is complete. */
  onReceipt(_receipt: Receipt): boolean {
    return false;
  }

  /** Called with the relay's report. Returns whether the request is complete. */
  onReport(_report: RelayReport): boolean {
    return false;
  }

  /** Called with the relay's refusal. Returns whether the request is complete. If not, it fails. */
  onRefusal(_refusal: Refusal): boolean {
    return false;
  }

  /** Called when the time limit has passed. */
  onTimeout(error: RequestTimeoutError): void {
    this.fail(error);
  }

  /** Called when no reply will arrive. */
  abstract fail(error: unknown): void;
}

/** Creates the error for a request that the relay has refused. */
export function refusedError(
  { errorPrefix }: PendingRequest,
  { reason, detail }: Refusal,
): EventRefusedError {
  const why = detail ? `${reason}: ${detail}` : reason;
  return new EventRefusedError(reason, `${errorPrefix}: the relay refuses it: ${why}`);
}

/** The pending requests of one client, by ID. */
export class PendingRequests {
  readonly #waiters = new TextMap<PendingRequest>();
  readonly #byLine = new Map<Uint8Array, PendingRequest>();
  /** Practically unique: a reply with another client's prefix is not taken for this client's. */
  readonly #prefix = randomId(PREFIX_PAIRS);
  readonly #readBlockedBy: () => string;
  readonly #withdraw: (line: Uint8Array) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires, on the clock of `performance.now()`. */
  #due = Infinity;

  /**
   * Creates an empty table.
   *
   * @param readBlockedBy Returns the reason why reading is paused, or an empty string.
   * @param withdraw Removes a line from the queue if it has not been sent and its request is over.
   */
  constructor(
    readBlockedBy: () => string = () => "",
    withdraw: (line: Uint8Array) => void = () => {},
  ) {
    this.#readBlockedBy = readBlockedBy;
    this.#withdraw = withdraw;
  }

  /** The number of pending requests. */
  get size(): number {
    return this.#waiters.size;
  }

  /** Returns a new ID that cannot be guessed from earlier ones. */
  nextId(): string {
    return this.#prefix + randomId(GUESS_PAIRS);
  }

  /**
   * Adds a request that ends after `timeout` milliseconds or when `signal` is aborted, if not
   * before.
   */
  add(waiter: PendingRequest, timeout: number, signal?: AbortSignal): void {
    this.#waiters.set(waiter.id, waiter);
    if (waiter.line) this.#byLine.set(waiter.line, waiter);
    if (timeout <= MAX_TIMER_MS) {
      const now = performance.now();
      waiter.timeout = timeout;
      waiter.deadline = now + timeout;
      this.#wind(waiter.deadline, now);
    }
    if (!signal) return;
    waiter.signal = signal;
    waiter.onAbort = () => {
      if (this.giveUp(waiter)) waiter.fail(signal.reason);
    };
    signal.addEventListener("abort", waiter.onAbort);
  }

  /** Removes a request that has an outcome. Returns `false` if it was no longer pending. */
  remove(waiter: PendingRequest): boolean {
    if (!this.#waiters.delete(waiter.id)) return false;
    if (waiter.line) this.#byLine.delete(waiter.line);
    if (waiter.onAbort) waiter.signal?.removeEventListener("abort", waiter.onAbort);
    return true;
  }

  /**
   * Removes a request without an outcome and withdraws its queued line. Returns `false` if it was
   * no longer pending.
   */
  giveUp(waiter: PendingRequest): boolean {
    if (!this.remove(waiter)) return false;
    if (waiter.line) this.#withdraw(waiter.line);
    return true;
  }

  /** Fails a request with an error. */
  fail(waiter: PendingRequest, error: unknown): void {
    if (this.remove(waiter)) waiter.fail(error);
  }

  // Replies

  /** Returns whether a reply to `id` is meant for this client, even if its request is over. */
  asked(id: string): boolean {
    return id.startsWith(this.#prefix) || this.#waiters.has(id);
  }

  /** Passes a reply to its request, if that is still pending. */
  answer(id: string, answer: EbsocketEvent, bytes: number): void {
    const waiter = this.#waiters.get(id);
    if (waiter?.onAnswer(answer, bytes)) this.remove(waiter);
  }

  /** Passes a reply that does not match its definition to its request, if that is still pending. */
  invalidEvent(id: string, answer: EbsocketEvent, issues: readonly string[]): void {
    const waiter = this.#waiters.get(id);
    if (!waiter) return;
    const message = `${waiter.errorPrefix}: ${answer} answers, and does not fit: ${
      issues.join("; ")
    }`;
    if (waiter.onInvalid(new EventSchemaError(message, answer.event, issues))) this.remove(waiter);
  }

  /** Passes a receipt to its request, if that is still pending. */
  receipt(receipt: Receipt): void {
    const waiter = this.#waiters.get(receipt.id);
    if (waiter?.onReceipt(receipt)) this.remove(waiter);
  }

  /** Passes a report to its request, if that is still pending. */
  report(id: string, report: RelayReport): void {
    const waiter = this.#waiters.get(id);
    if (waiter?.onReport(report)) this.remove(waiter);
  }

  /** Passes a refusal to its request. Returns whether that was still pending. */
  refuse(refusal: Refusal): boolean {
    const { id } = refusal;
    const waiter = id === undefined ? undefined : this.#waiters.get(id);
    if (!waiter) return false;
    if (waiter.onRefusal(refusal)) this.remove(waiter);
    else this.fail(waiter, refusedError(waiter, refusal));
    return true;
  }

  // Ends

  /** Fails the request of a queued line that was dropped. */
  drop(line: Uint8Array, reason: DropReason): void {
    const waiter = this.#byLine.get(line);
    if (!waiter) return;
    this.fail(waiter, new EbsocketError(reason, `${waiter.errorPrefix}: ${DROP_WORDS[reason]}`));
  }

  /**
   * Fails the pending requests at the end of a connection, before the next one. Those that the next
   * connection repeats stay, and those with a line that is queued for it, according to `waits`.
   */
  disconnect(waits: (line: Uint8Array) => boolean): void {
    for (const waiter of this.#waiters.values()) {
      if (waiter.survives || waiter.line && waits(waiter.line)) continue;
      this.close(waiter, IN_DOUBT);
    }
  }

  /** Fails a request because its connection has ended. `why` is part of the message. */
  close(waiter: PendingRequest, why: string): void {
    this.fail(waiter, new ConnectionClosedError(`${waiter.errorPrefix}: ${why}`));
  }

  /** Fails all requests, because no more replies will arrive. `why` is part of the message. */
  failAll(why: string): void {
    for (const waiter of this.#waiters.values()) this.close(waiter, why);
    this.rest();
  }

  /** Clears the timer if no request is pending, because possibly none will follow. */
  rest(): void {
    if (this.size > 0) return;
    clearTimeout(this.#timer);
    this.#due = Infinity;
  }

  // Time

  /**
   * Makes the timer fire at `deadline`. It is kept when no request is left, because more usually
   * follow.
   */
  #wind(deadline: number, now: number): void {
    if (deadline >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = deadline;
    this.#timer = setTimeout(this.#look, Math.max(0, deadline - now));
  }

  #look = (): void => {
    const now = performance.now();
    const late: PendingRequest[] = [];
    let next = Infinity;
    for (const waiter of this.#waiters.values()) {
      if (waiter.deadline <= now) late.push(waiter);
      else if (waiter.deadline < next) next = waiter.deadline;
    }
    this.#due = Infinity;
    if (next < Infinity) this.#wind(Math.max(next, now + this.size / LOOKS_PER_MS), now);
    const deaf = late.length > 0 ? this.#readBlockedBy() : "";
    for (const waiter of late) {
      if (!this.giveUp(waiter)) continue; // ended by one of the others
      const why = `no answer within ${waiter.timeout} ms${deaf && `; ${deaf}`}`;
      waiter.onTimeout(new RequestTimeoutError(`${waiter.errorPrefix}: ${why}`));
    }
  };
}
