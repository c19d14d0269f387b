/**
 * Owns what a client waits for: a word of the relay, or of whoever answers. Each waiter leaves with
 * exactly one outcome, and nothing of it stays. Must not know how anything is sent.
 *
 * All waiters share one timer, which rings for the earliest deadline and then looks at all of them:
 * nearly every waiter is gone long before its time, and a timer for each would cost more than the rest
 * of what it takes to ask.
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

/** How many waiters one look may see for each millisecond until the next, so that looks stay cheap. */
const LOOKS_PER_MS = 1000;

/** What there is to say of what was under way when a connection ended. */
export const IN_DOUBT = "the connection has ended; it may or may not have been done";

/** Why a line that waited is not sent. */
const DROP_WORDS: Readonly<Record<DropReason, string>> = {
  "queue-full": "it was dropped, as too many events wait for a connection",
  "line-too-long": "its line is longer than the server takes that there is now",
};

/**
 * Ids are a prefix, and something that who has seen some of them cannot guess: nobody is to answer what
 * was asked of another. V8 keeps a text that is put together in one piece up to 12 characters; it takes
 * its `JSON.stringify` twice as long to encode an event with a longer one.
 */
const PREFIX_PAIRS = 2;
const GUESS_PAIRS = 4;

/** Someone who waits for a word. What it does not override leaves it waiting. */
export abstract class PendingRequest {
  /** What the word will call it. */
  readonly id: string;
  /** What was to be done, for messages: `request`, and of what. */
  readonly verb: string;
  readonly subject: unknown;
  /** For how long it waits, in milliseconds. */
  timeout = Infinity;
  /** Until when, by the clock of `performance.now()`. */
  deadline = Infinity;
  /** Whether the next connection repeats it, so that it is not given up with this one. */
  survives = false;
  /** The line that asks, where that may have to wait for a connection. */
  line: Uint8Array | null = null;
  /** What gives it up, and how it hears of that. */
  signal: AbortSignal | null = null;
  onAbort: (() => void) | null = null;

  constructor(id: string, verb: string, subject: unknown) {
    this.id = id;
    this.verb = verb;
    this.subject = subject;
  }

  /** `Cannot request EbsocketEvent<time.now>`: how its errors begin. */
  get errorPrefix(): string {
    return `Cannot ${this.verb} ${this.subject}`;
  }

  /** An event answers, whose line had about `bytes` bytes. Whether that was all. */
  onAnswer(_answer: EbsocketEvent, _bytes: number): boolean {
    return false;
  }

  /** An event answers and does not fit its definition. Whether that was all. */
  onMisfit(_error: EventSchemaError): boolean {
    return false;
  }

  /** The relay has done its part. Whether that was all. */
  onReceipt(_receipt: Receipt): boolean {
    return false;
  }

  /** The relay tells of itself. Whether that was all. */
  onReport(_report: RelayReport): boolean {
    return false;
  }

  /** The relay will not do its part. Whether that was all; otherwise it fails. */
  onRefusal(_refusal: Refusal): boolean {
    return false;
  }

  /** Its time is up; `error` says so. */
  onTimeout(error: RequestTimeoutError): void {
    this.fail(error);
  }

  /** The word will not come. */
  abstract fail(error: unknown): void;
}

/** The error of a waiter whose part the relay will not do. */
export function refusedError(
  { errorPrefix }: PendingRequest,
  { reason, detail }: Refusal,
): EventRefusedError {
  const why = detail ? `${reason}: ${detail}` : reason;
  return new EventRefusedError(reason, `${errorPrefix}: the relay refuses it: ${why}`);
}

/** All who wait, by the ids that they have been given. */
export class PendingRequests {
  readonly #waiters = new TextMap<PendingRequest>();
  readonly #byLine = new Map<Uint8Array, PendingRequest>();
  /** Hardly any other client has it: what is meant for that is not taken for ours. */
  readonly #prefix = randomId(PREFIX_PAIRS);
  readonly #readBlockedBy: () => string;
  readonly #withdraw: (line: Uint8Array) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer rings, by the clock of `performance.now()`. */
  #due = Infinity;

  /**
   * Makes an empty table. `readBlockedBy` says why nothing is heard at present, or gives an empty string;
   * `withdraw` takes back a line for which nobody waits any more, if it has not been sent.
   */
  constructor(
    readBlockedBy: () => string = () => "",
    withdraw: (line: Uint8Array) => void = () => {},
  ) {
    this.#readBlockedBy = readBlockedBy;
    this.#withdraw = withdraw;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** An id that is new, and that who knows the last ones cannot guess. */
  nextId(): string {
    return this.#prefix + randomId(GUESS_PAIRS);
  }

  /** Lets someone wait for at most `timeout` milliseconds, and until `signal` is aborted. */
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

  /** Ends the wait of one who has had an outcome; `false` if it did not wait any more. */
  remove(waiter: PendingRequest): boolean {
    if (!this.#waiters.delete(waiter.id)) return false;
    if (waiter.line) this.#byLine.delete(waiter.line);
    if (waiter.onAbort) waiter.signal?.removeEventListener("abort", waiter.onAbort);
    return true;
  }

  /** Ends the wait of one for which nobody has an outcome; what has not been sent will not be. */
  giveUp(waiter: PendingRequest): boolean {
    if (!this.remove(waiter)) return false;
    if (waiter.line) this.#withdraw(waiter.line);
    return true;
  }

  /** Ends the wait of one with an error. */
  fail(waiter: PendingRequest, error: unknown): void {
    if (this.remove(waiter)) waiter.fail(error);
  }

  // Words

  /** Whether an answer to `id` is meant for us, if only for one who waits no longer. */
  asked(id: string): boolean {
    return id.startsWith(this.#prefix) || this.#waiters.has(id);
  }

  /** An event answers someone, if that one still waits. */
  answer(id: string, answer: EbsocketEvent, bytes: number): void {
    const waiter = this.#waiters.get(id);
    if (waiter?.onAnswer(answer, bytes)) this.remove(waiter);
  }

  /** An event that does not fit its definition answers someone, if that one still waits. */
  invalidEvent(id: string, answer: EbsocketEvent, issues: readonly string[]): void {
    const waiter = this.#waiters.get(id);
    if (!waiter) return;
    const message = `${waiter.errorPrefix}: ${answer} answers, and does not fit: ${
      issues.join("; ")
    }`;
    if (waiter.onMisfit(new EventSchemaError(message, answer.event, issues))) this.remove(waiter);
  }

  /** The relay has done its part for someone, if that one still waits. */
  receipt(receipt: Receipt): void {
    const waiter = this.#waiters.get(receipt.id);
    if (waiter?.onReceipt(receipt)) this.remove(waiter);
  }

  /** The relay has told of itself, as someone has asked, if that one still waits. */
  report(id: string, report: RelayReport): void {
    const waiter = this.#waiters.get(id);
    if (waiter?.onReport(report)) this.remove(waiter);
  }

  /** The relay will not do its part. Whether there is someone who was waiting for it. */
  refuse(refusal: Refusal): boolean {
    const { id } = refusal;
    const waiter = id === undefined ? undefined : this.#waiters.get(id);
    if (!waiter) return false;
    if (waiter.onRefusal(refusal)) this.remove(waiter);
    else this.fail(waiter, refusedError(waiter, refusal));
    return true;
  }

  // Ends

  /** A line that had to wait will not be sent. */
  drop(line: Uint8Array, reason: DropReason): void {
    const waiter = this.#byLine.get(line);
    if (!waiter) return;
    this.fail(waiter, new EbsocketError(reason, `${waiter.errorPrefix}: ${DROP_WORDS[reason]}`));
  }

  /**
   * The connection has ended, and there will be another: those whose lines wait for it, as `waits`
   * says, go on waiting, and so do those that the next connection repeats.
   */
  disconnect(waits: (line: Uint8Array) => boolean): void {
    for (const waiter of this.#waiters.values()) {
      if (waiter.survives || waiter.line && waits(waiter.line)) continue;
      this.close(waiter, IN_DOUBT);
    }
  }

  /** Ends the wait of one for which there is no connection any more, for a reason in words. */
  close(waiter: PendingRequest, why: string): void {
    this.fail(waiter, new ConnectionClosedError(`${waiter.errorPrefix}: ${why}`));
  }

  /** Nothing more will be heard, for a reason in words. */
  failAll(why: string): void {
    for (const waiter of this.#waiters.values()) this.close(waiter, why);
    this.rest();
  }

  /** Lets nothing stay where nobody waits any more, and perhaps nobody will. */
  rest(): void {
    if (this.size > 0) return;
    clearTimeout(this.#timer);
    this.#due = Infinity;
  }

  // Time

  /** Sees to it that the timer rings at `deadline`. It stays when all have gone: more will come. */
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
      if (!this.giveUp(waiter)) continue; // one of the others has made it end
      const why = `no answer within ${waiter.timeout} ms${deaf && `; ${deaf}`}`;
      waiter.onTimeout(new RequestTimeoutError(`${waiter.errorPrefix}: ${why}`));
    }
  };
}
