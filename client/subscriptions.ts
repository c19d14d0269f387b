/**
 * Owns what a client asks a relay to let it hear, what of that has been granted, and what comes through
 * while the relay does not know it yet. Must not know who reads the events.
 *
 * @module
 */

import { notSupported } from "../protocol/routing.ts";
import {
  ConnectionClosedError,
  EbsocketError,
  EventRefusedError,
  RequestTimeoutError,
} from "../errors.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import { PatternRefs } from "./pattern_refs.ts";
import { matches } from "../protocol/pattern.ts";
import { IN_DOUBT, type PendingRequests, refusedError } from "./pending_requests.ts";
import { type Feature, NO_QUEUE, type Refusal } from "../protocol/routing.ts";

import {
  CAUTIOUS_LINE_BYTES,
  checkWish,
  describe,
  encodeWish,
  GREET,
  Line,
  split,
  SUBSCRIBE,
  type SubscribeOptions,
  SubscribeRequest,
  UNSUBSCRIBE,
} from "./subscribe_request.ts";

/** The connection that carries the wishes. */
export interface ControlChannel {
  /** Whether the server has greeted. Before that, nobody knows what it can do. */
  readonly isGreeted: boolean;
  /** Whether the connection has ended. */
  readonly hasEnded: boolean;
  /** The longest line that the server takes, in bytes without its end, as far as it has said so. */
  readonly maxLineBytes: number;
  /** Whether the server can do something, as far as it has said so. */
  has(feature: Feature): boolean;
  /** Sends a control line. */
  tell(line: Uint8Array): void;
}

/** What a client says behind its `hello`. */
export interface HelloExtras {
  /** The lines. */
  readonly lines: readonly Uint8Array[];
  /** Whether there is no connection before the server has said what it can do. */
  readonly needsWelcome: boolean;
  /**
   * Resolves when the server has acknowledged all without which a connection is none; rejects if it
   * will not. `null` if there is nothing of that kind.
   */
  readonly confirmed: Promise<unknown> | null;
  /** To be called once the server has said what it can do. */
  onGreeted(): void;
}

/** What there is to know of the client's link. */
export interface LinkState {
  /** Whether there is a connection, or will be one again. */
  isOpen(): boolean;
  /** Resolves when the first connection of a link has been made, or could not be; `null` otherwise. */
  connecting(): Promise<void> | null;
  /** Why nothing is heard at present, or an empty string. */
  readBlockedBy(): string;
  /** The relay has refused something for which nobody waits any more. */
  onRefuse(refusal: Refusal): void;
}

/** Holds what the program itself has subscribed to. */
const PROGRAM = {};

/**
 * How many microtasks in a row must have asked for nothing before it is said what was asked for: the
 * calls of one turn go out together, also those of a loop that awaits something in between.
 */
const QUIET_MICROTASKS = 8;

/** A call that has not been answered. One that joins holds its patterns until then. */
interface Call {
  readonly queue: string;
  readonly patterns: readonly string[];
  /** Who is to hold them afterwards; `null` if the call is to hear them no longer. */
  readonly holder: object | null;
  /** Waits for the answer, if anybody does. */
  readonly wish: SubscribeRequest;
  /** Which patterns have not been acknowledged. */
  open: Set<string>;
  /** Whether the connection has been told of it, and in several lines of which some may be granted. */
  isSaid: boolean;
  isSplit: boolean;
}

/** A line for the relay, and the calls that it is about. */
interface Question {
  readonly bytes: Uint8Array;
  readonly calls: readonly Call[];
  /** Why the relay has refused it, if it has. */
  readonly answer: Promise<Refusal | null>;
}

/** A call that was refused since there were too many: larger ones need not be asked for. */
interface Excess {
  size: number;
  refusal: Refusal | null;
}

/** What one client wants to hear. */
export class SubscriptionManager {
  readonly #table: PendingRequests;
  readonly #port: LinkState;
  readonly #holders = new PatternRefs();
  /** Whether it hears only some events; before the first subscription it hears all. */
  #isNarrowed = false;
  #carrier: ControlChannel | null = null;
  /** Whether the server does not know yet that only some events are wanted. */
  #isUnconfirmed = false;
  /** The calls to hear more, and to hear less, that have not been answered. */
  readonly #joining = new Set<Call>();
  readonly #leaving = new Set<Call>();
  /** Those of them that the connection is to be told of at the end of this turn. */
  #unsaid: Call[] = [];
  /** The lines that this connection has not answered. */
  readonly #lines = new Set<Line>();
  /** What was said behind the last `hello` of what had been granted before. */
  #greeting: SubscribeRequest[] = [];
  /** Whether nothing more is to be heard, whatever is wanted. */
  #isLeaving = false;

  /** Wants all. */
  constructor(table: PendingRequests, port: LinkState) {
    this.#table = table;
    this.#port = port;
  }

  // HelloExtras

  /**
   * Hears what the patterns `wanted` match from now on, for `holder`. Resolves when the relay has
   * acknowledged that, or at once if no connection is there or being made.
   */
  async subscribe(
    wanted: readonly string[],
    options: SubscribeOptions = {},
    holder: object = PROGRAM,
  ): Promise<void> {
    checkWish(wanted, options);
    if (this.#isLeaving) throw leavingError(describe(wanted));
    const { queue: name, timeout = 10_000, signal } = options;
    const patterns = [...wanted]; // The caller may go on using its own.
    signal?.throwIfAborted();
    const queue = name ?? NO_QUEUE;
    if (!this.#port.isOpen() && !this.#port.connecting()) {
      this.#holders.hold(patterns, queue, holder);
      this.#isNarrowed = true;
      return;
    }
    this.#checkCarrier(patterns);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onFail = (error: unknown) => {
      // Whoever has waited for too long wants it all the same.
      if (!(error instanceof RequestTimeoutError)) this.#drop(call, error);
      reject(error);
    };
    const wish = new SubscribeRequest(this.#table.nextId(), SUBSCRIBE, patterns, resolve, onFail);
    const call = newCall(queue, patterns, holder, wish);
    this.#holders.hold(patterns, queue, call);
    this.#joining.add(call);
    this.#table.add(wish, timeout, signal);
    this.#say(call);
    this.#port.connecting()?.then(() => {
      if (this.#port.isOpen() || !this.#joining.has(call)) return;
      this.#onGrant(); // It is taken note of.
      this.#join(call);
    });
    await promise;
  }

  /** Hears it no longer, unless somebody else holds it; resolves as `subscribe()` does. */
  async unsubscribe(
    patterns: readonly string[],
    options: SubscribeOptions = {},
  ): Promise<void> {
    checkWish(patterns, options);
    const { queue: name, timeout = 10_000, signal } = options;
    const queue = name ?? NO_QUEUE;
    const isOurs = (holder: object) =>
      holder === PROGRAM ||
      this.#joining.has(holder as Call) && (holder as Call).holder === PROGRAM;
    const free = this.#holders.letGoWhere(patterns, queue, isOurs);
    const leaving = this.#leave(free, queue, timeout, signal);
    leaving.catch(() => {});
    signal?.throwIfAborted();
    await leaving;
  }

  /** Does what {@link unsubscribe} does, for `holder`, and lets nobody wait for it. */
  release(patterns: readonly string[], name: string | undefined, holder: object): void {
    const queue = name ?? NO_QUEUE;
    const free = this.#holders.letGo(patterns, queue, holder);
    this.#leave(free, queue, 10_000).catch(() => {});
  }

  /** How long a line may be, in bytes without its end. */
  get #maxLineBytes(): number {
    return this.#carrier?.isGreeted ? this.#carrier.maxLineBytes : CAUTIOUS_LINE_BYTES;
  }

  /** Whether there is a connection to a server that can do it, or may be able to. */
  get #isServed(): boolean {
    const carrier = this.#carrier;
    return carrier !== null && (!carrier.isGreeted || carrier.has("subscribe"));
  }

  /** Makes sure that an acknowledgement can come, unless that is not known yet. */
  #checkCarrier(patterns: readonly string[]): void {
    if (!this.#carrier?.isGreeted) return;
    const what = `${SUBSCRIBE} ${describe(patterns)}`;
    if (!this.#carrier.has("subscribe")) throw notSupported("subscribe", what);
    const why = this.#port.readBlockedBy();
    if (why) throw new EbsocketError("inbox-full", `Cannot ${what}: ${why}`);
  }

  async #leave(
    patterns: readonly string[],
    queue: string,
    timeout: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (patterns.length === 0 || !this.#carrier || this.#isLeaving) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wish = new SubscribeRequest(this.#table.nextId(), UNSUBSCRIBE, patterns, resolve, reject);
    const call = newCall(queue, patterns, null, wish);
    this.#leaving.add(call);
    this.#table.add(wish, timeout, signal);
    this.#say(call);
    await promise;
  }

  /** All that a call wants has been granted: its patterns go over to their holder. */
  #join(call: Call): void {
    if (!this.#joining.delete(call)) return;
    const { patterns, queue, holder, wish } = call;
    // Not what has been unsubscribed from meanwhile.
    this.#holders.hold(this.#holders.held(patterns, queue, call), queue, holder!);
    this.#holders.letGo(patterns, queue, call);
    if (this.#table.remove(wish)) wish.grant();
  }

  /** A call will not be granted: what it alone has held is wanted no longer. */
  #drop(call: Call, error: unknown): void {
    if (!this.#joining.delete(call)) return;
    const { patterns, queue } = call;
    const free = this.#holders.letGo(patterns, queue, call);
    // Some of it may be granted all the same: if it was given up; if it was said in several lines, of
    // which one was refused; or by a call for the same that was given up before.
    const isVain = error instanceof EventRefusedError && !call.isSplit;
    const isUnheard = !call.isSaid && this.#lines.size === 0;
    const mayCount = this.#isNarrowed || !isVain && this.#isServed;
    if (isUnheard || !mayCount || error instanceof ConnectionClosedError) return;
    this.#leave(free, queue, 10_000).catch(() => {});
  }

  /** A call fails. If nobody waits for it any more, the status tells. */
  #fail(call: Call, error: EbsocketError): void {
    if (this.#table.remove(call.wish)) return call.wish.fail(error);
    this.#drop(call, error);
    this.#port.onRefuse({ reason: error.code, detail: error.message });
  }

  /** Whether no event is wanted, or the server sends none to who has not asked for any. */
  get hearsNothing(): boolean {
    const isAsked = this.#isNarrowed || (this.#carrier?.has("subscribe-first") ?? false);
    return isAsked && this.#holders.isEmpty;
  }

  /** The server knows that only some events are wanted: what it sends from now on is among them. */
  #onGrant(): void {
    this.#isNarrowed = true;
    this.#isUnconfirmed = false;
  }

  // Lines

  /** Tells the connection of a call at the end of this turn. */
  #say(call: Call): void {
    if (this.#carrier && this.#unsaid.push(call) === 1) this.#flushWhenQuiet();
  }

  async #flushWhenQuiet(): Promise<void> {
    let seen = 0;
    for (let quiet = 0; quiet < QUIET_MICROTASKS && this.#unsaid.length > 0; quiet++) {
      if (this.#unsaid.length !== seen) quiet = 0;
      seen = this.#unsaid.length;
      await null;
    }
    this.flush();
  }

  /**
   * Tells the connection what has been asked for and not been said yet: before an event is sent, so that
   * all takes effect in the order of the calls. What is to be heard no longer comes last, lest anything
   * is missed in between.
   */
  flush(): void {
    if (this.#unsaid.length === 0) return;
    const carrier = this.#carrier;
    const calls = this.#unsaid;
    this.#unsaid = [];
    if (!carrier) return; // The next one is told.
    const leaving = calls.filter((call) => this.#leaving.has(call));
    const joining = calls.filter((call) => this.#joining.has(call));
    for (const [queue, calls] of Map.groupBy(joining, queueOf)) {
      this.#ask(queue, calls, carrier, leaving.length > 0);
    }
    for (const [queue, calls] of Map.groupBy(leaving, queueOf)) this.#askToLeave(queue, calls);
  }

  /** Asks for what calls want, in as few lines as possible. */
  async #ask(
    queue: string,
    calls: readonly Call[],
    carrier: ControlChannel,
    isWorthAgain: boolean,
    excess: Excess = { size: Infinity, refusal: null },
  ): Promise<void> {
    const questions = this.#compose(SUBSCRIBE, queue, calls);
    for (const { bytes } of questions) carrier.tell(bytes);
    await this.#watchInbox(questions, carrier, isWorthAgain, excess);
  }

  /**
   * Awaits the answers to lines. Of one that is refused, the calls are asked for again, fewer at a time,
   * until it is clear which of them the relay refuses: no other is to suffer for it. If `isWorthAgain`,
   * all are first asked for once more, as there is room by then.
   */
  async #watchInbox(
    questions: readonly Question[],
    carrier: ControlChannel,
    isWorthAgain: boolean,
    excess: Excess = { size: Infinity, refusal: null },
  ): Promise<void> {
    for (const { calls: all, answer } of questions) {
      const refusal = await answer;
      if (!refusal || this.#carrier !== carrier) continue;
      const calls = all.filter((call) => this.#joining.has(call));
      const [call] = calls;
      if (!call) continue;
      const { queue } = call;
      if (isWorthAgain) await this.#ask(queue, calls, carrier, false, excess);
      else if (calls.length === 1) {
        if (refusal.reason === "too-many-subscriptions") {
          excess.size = Math.min(excess.size, this.#sizeOf(call));
          excess.refusal = refusal;
        }
        this.#fail(call, refusedError(call.wish, refusal));
      } else {
        const half = Math.ceil(calls.length / 2);
        for (const some of [calls.slice(0, half), calls.slice(half)]) {
          await this.#askUnlessVain(queue, some, carrier, excess);
        }
      }
    }
  }

  /** Asks for what calls want, and refuses those for which there is certainly no room. */
  async #askUnlessVain(
    queue: string,
    calls: readonly Call[],
    carrier: ControlChannel,
    excess: Excess,
  ): Promise<void> {
    const some = calls.filter((call) => this.#joining.has(call));
    const vain = new Set(some.filter((call) => this.#sizeOf(call) >= excess.size));
    for (const call of vain) this.#fail(call, refusedError(call.wish, excess.refusal!));
    const rest = some.filter((call) => !vain.has(call));
    if (rest.length > 0 && this.#carrier === carrier) {
      await this.#ask(queue, rest, carrier, false, excess);
    }
  }

  /** How many patterns a call would add to those that are granted. */
  #sizeOf({ patterns, queue }: Call): number {
    const isGranted = (holder: object) => !this.#joining.has(holder as Call);
    return new Set(patterns.filter((each) => !this.#holders.some(each, queue, isGranted))).size;
  }

  async #askToLeave(queue: string, calls: readonly Call[]): Promise<void> {
    const questions = this.#compose(UNSUBSCRIBE, queue, calls);
    for (const { bytes } of questions) this.#carrier?.tell(bytes);
    for (const { calls, answer } of questions) {
      const refusal = await answer;
      for (const call of refusal ? calls : []) {
        this.#leaving.delete(call);
        this.#table.fail(call.wish, refusedError(call.wish, refusal!));
      }
    }
  }

  /** The lines about calls of one kind and queue; there may be none if all has been settled. */
  #compose(verb: string, queue: string, calls: readonly Call[]): Question[] {
    const isJoining = verb === SUBSCRIBE;
    const byPattern = new Map<string, Call[]>();
    for (const call of calls) {
      const { patterns, open } = call;
      const wanted = isJoining
        ? this.#holders.held(patterns, queue, call)
        : patterns.filter((pattern) => !this.#holders.some(pattern, queue)); // Others hear it again.
      call.open = new Set(wanted.filter((pattern) => open.has(pattern)));
      for (const pattern of call.open) {
        const all = byPattern.get(pattern);
        if (all) all.push(call);
        else byPattern.set(pattern, [call]);
      }
    }
    if (!isJoining && byPattern.size === 0) {
      this.#onLeft(calls);
      return [];
    }
    const parts = split([...byPattern.keys()], queue, this.#maxLineBytes);
    const said = new Set<Call>();
    return parts.map((patterns, index) => {
      // A call that wants nothing is about narrowing what is heard, which any line does.
      const about = parts.length === 1
        ? calls
        : [...new Set(patterns.flatMap((pattern) => byPattern.get(pattern)!))];
      const idle = parts.length > 1 && index === 0 ? calls.filter(({ open }) => !open.size) : [];
      for (const call of about) {
        call.isSaid = true;
        if (said.has(call)) call.isSplit = true;
        said.add(call);
      }
      const onGrant = () => {
        this.#lines.delete(line);
        for (const pattern of patterns) {
          for (const call of byPattern.get(pattern)!) call.open.delete(pattern);
        }
        const done = [...about, ...idle].filter(({ open }) => open.size === 0);
        if (!isJoining) return this.#onLeft(done);
        // At once: what comes right behind the acknowledgement is what is wanted.
        this.#onGrant();
        for (const call of done) this.#join(call);
      };
      const line = this.#newLine(verb, patterns, onGrant);
      const bytes = encodeWish(line, patterns, queue);
      return { bytes, calls: [...about, ...idle], answer: line.answer };
    });
  }

  #newLine(verb: string, patterns: readonly string[], onGrant: () => void): Line {
    const line = new Line(this.#table.nextId(), verb, patterns, onGrant);
    this.#table.add(line, Infinity);
    this.#lines.add(line);
    line.answer.then(() => this.#lines.delete(line));
    return line;
  }

  #onLeft(calls: readonly Call[]): void {
    for (const call of calls) {
      this.#leaving.delete(call);
      if (this.#table.remove(call.wish)) call.wish.grant();
    }
  }

  /**
   * Hears nothing more, until {@link stay}; what is wanted is not forgotten. Resolves when the relay has
   * acknowledged that, so that all that it has sent has come, or the connection has ended.
   */
  async leave(): Promise<void> {
    this.flush();
    this.#isLeaving = true;
    const lines: [verb: string, patterns: readonly string[], queue: string][] = [];
    for (const [queue, holders] of this.#holders) {
      const parts = split([...holders.keys()], queue, this.#maxLineBytes);
      for (const patterns of parts) lines.push([UNSUBSCRIBE, patterns, queue]);
    }
    for (const { wish } of this.#joining) this.#table.fail(wish, leavingError(wish.subject));
    const carrier = this.#carrier;
    if (!carrier?.has("subscribe")) return;
    // Whoever has never subscribed hears everything; and some answer has to come in any case.
    if (!this.#isNarrowed || lines.length === 0) lines.push([SUBSCRIBE, [], NO_QUEUE]);
    await Promise.all(lines.map(async ([verb, patterns, queue]) => {
      const line = this.#newLine(verb, patterns, () => {});
      carrier.tell(encodeWish(line, patterns, queue));
      await line.answer;
    }));
  }

  /** Hears again what is wanted, from the next connection on. */
  stay(): void {
    this.#isLeaving = false;
  }

  // Connections

  /**
   * What is to be said behind the `hello` of a connection, which carries all wishes from now on. What
   * was granted before has to be granted again. The calls that have not been answered are repeated: if
   * one is refused, that is all that happens.
   */
  begin(carrier: ControlChannel): HelloExtras {
    this.#carrier = carrier;
    this.#isUnconfirmed = this.#isNarrowed;
    this.#greeting = [];
    this.#unsaid = [];
    const lines: Uint8Array[] = [];
    const answers: Promise<void>[] = [];
    const say = (patterns: readonly string[], queue: string) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onGrant = () => {
        // At once: what comes right behind the acknowledgement is what is wanted.
        if (this.#carrier === carrier) this.#onGrant();
        resolve();
      };
      const wish = new SubscribeRequest(this.#table.nextId(), GREET, patterns, onGrant, reject);
      this.#table.add(wish, Infinity);
      this.#greeting.push(wish);
      lines.push(encodeWish(wish, patterns, queue));
      answers.push(promise);
    };
    for (const [queue, patterns] of this.#isLeaving ? [] : this.#holders) {
      const granted = Array.from(patterns)
        .filter(([pattern, all]) => all.values().some((each) => !this.#isOpen(each, pattern)))
        .map(([pattern]) => pattern);
      if (granted.length === 0) continue;
      for (const patterns of split(granted, queue, CAUTIOUS_LINE_BYTES)) say(patterns, queue);
    }
    if (lines.length === 0 && (this.#isNarrowed || this.#isLeaving)) say([], NO_QUEUE);
    const open = this.#isLeaving ? [] : [...this.#joining];
    for (const call of open) call.isSaid = false;
    for (const [queue, calls] of Map.groupBy(open, queueOf)) {
      const questions = this.#compose(SUBSCRIBE, queue, calls);
      for (const { bytes } of questions) lines.push(bytes);
      this.#watchInbox(questions, carrier, false);
    }
    const confirmed = answers.length > 0 ? Promise.all(answers) : null;
    confirmed?.catch(() => {}); // The connection may end before anybody looks at it.
    const onGreeted = () => this.#onGreeted(carrier);
    return { lines, needsWelcome: lines.length > 0, confirmed, onGreeted };
  }

  /** Whether a holder is a call to which a pattern has not been granted. */
  #isOpen(holder: object, pattern: string): boolean {
    const call = holder as Call;
    return this.#joining.has(call) && call.open.has(pattern);
  }

  /** Of a server that cannot do it, nobody waits for an acknowledgement. */
  #onGreeted(carrier: ControlChannel): void {
    if (carrier.has("subscribe") || this.#carrier !== carrier) return;
    for (const call of this.#joining) {
      this.#fail(call, notSupported("subscribe", `${SUBSCRIBE} ${call.wish.subject}`));
    }
  }

  /** A connection has ended: what was not to be heard any more is heard no more. */
  end(carrier: ControlChannel): void {
    if (this.#carrier !== carrier) return;
    this.#carrier = null;
    this.#unsaid = [];
    this.#onLeft([...this.#leaving]);
    for (const wish of this.#greeting) this.#table.close(wish, IN_DOUBT);
    for (const line of this.#lines) this.#table.close(line, IN_DOUBT);
    this.#lines.clear();
  }

  // Events

  /** Whether {@link admits} has to be asked: the relay may not know yet what is wanted. */
  get isFiltering(): boolean {
    return this.#isUnconfirmed || this.#isNarrowed && this.#leaving.size > 0;
  }

  /** Whether an event that has come may be one that is wanted. */
  admits({ event, to }: EbsocketEvent): boolean {
    if (to !== null) return true; // sent to this client alone
    // Of a queue's events, others get those that the relay sends before it knows this client.
    if (this.#isUnconfirmed) return this.#holders.wantsAll(event);
    if (!this.#isNarrowed) return true;
    for (const { patterns } of this.#leaving) {
      if (patterns.some((pattern) => matches(pattern, event))) return this.#holders.wants(event);
    }
    return true;
  }
}

function newCall(
  queue: string,
  patterns: readonly string[],
  holder: object | null,
  wish: SubscribeRequest,
): Call {
  return { queue, patterns, holder, wish, open: new Set(patterns), isSaid: false, isSplit: false };
}

function queueOf({ queue }: Call): string {
  return queue;
}

function leavingError(subject: unknown): ConnectionClosedError {
  const why = "the client takes nothing new, as it is being drained";
  return new ConnectionClosedError(`Cannot ${SUBSCRIBE} ${subject}: ${why}`);
}
