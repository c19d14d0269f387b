/**
 * The subscriptions of a client: requested from the relay, granted by it, and repeated on every
 * connection.
 *
 * Which received events the client accepts, besides direct events and replies:
 *
 * | state | fields | accepted events |
 * | --- | --- | --- |
 * | all | not `#isNarrowed` | all |
 * | narrowed | `#isNarrowed` | all, except those that match only patterns being removed |
 * | unconfirmed | both, `#isUnconfirmed` | those that match a pattern without a queue |
 *
 *     all          -> narrowed     the relay grants the first call, or a call without a connection
 *     narrowed     -> unconfirmed  a new connection begins
 *     unconfirmed  -> narrowed     the relay grants the first line after the hello
 *
 * `leave()` removes all subscriptions from the relay and sets `#isLeaving`, but remembers them for
 * the connections after `stay()`.
 *
 * The states of a call:
 *
 * | state | stored in | next state |
 * | --- | --- | --- |
 * | queued | `#joining`, `#unsaid` | sent, at the end of the turn or before the next event |
 * | sent | `#joining` | granted or refused; sent again, if its connection ends |
 * | granted | `#holders` | repeated after each `hello`, until removed |
 * | refused | | its patterns that have no other holder are removed |
 * | removing | `#leaving` | done, when the relay replies or the connection ends |
 *
 * A refused line that is about several calls is sent again in smaller lines, until a refused line
 * is about one call. An aborted call is treated like a refused one. A timeout changes no state. It
 * only ends the caller's wait.
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
  checkSubscribe,
  describe,
  encodeSubscribe,
  GREET,
  Line,
  split,
  SUBSCRIBE,
  type SubscribeOptions,
  SubscribeRequest,
  UNSUBSCRIBE,
} from "./subscribe_request.ts";

/** The connection that carries the control lines. */
export interface ControlChannel {
  /** Whether the server has sent its welcome. Its features are unknown before that. */
  readonly isGreeted: boolean;
  /** Whether the connection has ended. */
  readonly hasEnded: boolean;
  /**
   * The server's line limit, in bytes without the line end. A default applies until the server has
   * sent it.
   */
  readonly maxLineBytes: number;
  /** Returns whether the server supports a feature. `false` before its welcome. */
  has(feature: Feature): boolean;
  /** Sends a control line. */
  tell(line: Uint8Array): void;
}

/** The control lines that follow a client's `hello`. */
export interface HelloExtras {
  /** The lines. */
  readonly lines: readonly Uint8Array[];
  /** Whether the connection fails without the server's welcome. */
  readonly needsWelcome: boolean;
  /**
   * Resolves when the server has acknowledged the subscriptions that the connection requires.
   * Rejects if it refuses them. `null` if there are none.
   */
  readonly confirmed: Promise<unknown> | null;
  /** To be called after the server's welcome. */
  onGreeted(): void;
}

/** The state of the client's connection, as far as subscriptions depend on it. */
export interface LinkState {
  /** Returns whether the client is connected or will reconnect. */
  isOpen(): boolean;
  /**
   * Resolves when the first connection has been made or has failed. `null` unless `connectTo()` is
   * in progress.
   */
  connecting(): Promise<void> | null;
  /** Returns the reason why reading is paused, or an empty string. */
  readBlockedBy(): string;
  /** Called when the relay has refused a call that is no longer awaited. */
  onRefuse(refusal: Refusal): void;
}

/** The holder of the program's own subscriptions. */
const PROGRAM = {};

/**
 * The number of consecutive microtasks without a new call after which the calls are sent. The calls
 * of one turn are sent together, including those of a loop with an `await` in between.
 */
const QUIET_MICROTASKS = 8;

/** A call without a reply yet. A subscribing call holds its patterns until then. */
interface Call {
  readonly queue: string;
  readonly patterns: readonly string[];
  /** The holder of the patterns once they are granted. `null` if the call removes them. */
  readonly holder: object | null;
  /** The pending request of the caller. */
  readonly wish: SubscribeRequest;
  /** The patterns that have not been acknowledged. */
  open: Set<string>;
  /**
   * Whether the call was sent on this connection, and whether it was split across lines. Some of
   * those lines may be granted and others refused.
   */
  isSaid: boolean;
  isSplit: boolean;
}

/** A line for the relay, and the calls that it is about. */
interface Question {
  readonly bytes: Uint8Array;
  readonly calls: readonly Call[];
  /** Resolves to the relay's refusal, or to `null` if there is none. */
  readonly answer: Promise<Refusal | null>;
}

/**
 * A call that was refused because there are too many subscriptions. Larger calls need not be sent.
 */
interface Excess {
  size: number;
  refusal: Refusal | null;
}

/** The subscriptions of one client. */
export class SubscriptionManager {
  readonly #table: PendingRequests;
  readonly #port: LinkState;
  readonly #holders = new PatternRefs();
  /**
   * Whether the client receives only some events. Before the first subscription it receives all.
   */
  #isNarrowed = false;
  #channel: ControlChannel | null = null;
  /** Whether the server does not know yet that the client wants only some events. */
  #isUnconfirmed = false;
  /** The calls without a reply: those that add patterns, and those that remove them. */
  readonly #joining = new Set<Call>();
  readonly #leaving = new Set<Call>();
  /** The calls among them that are sent at the end of this turn. */
  #unsaid: Call[] = [];
  /** The lines that this connection has not replied to. */
  readonly #lines = new Set<Line>();
  /** The subscriptions granted earlier and repeated after the last `hello`. */
  #greeting: SubscribeRequest[] = [];
  /** Whether the client is leaving: it receives no further events, whatever its subscriptions. */
  #isLeaving = false;

  /** Creates the subscriptions of a client that receives every event. */
  constructor(table: PendingRequests, port: LinkState) {
    this.#table = table;
    this.#port = port;
  }

  // Calls

  /**
   * Adds patterns for `holder`. If there is no connection and none is being made, it only records
   * them.
   *
   * @param wanted The patterns.
   * @param options The queue, the timeout and a signal.
   * @param holder The owner of the patterns: the program or a service.
   * @returns Resolves when the relay has acknowledged the patterns, or immediately if they are only
   * recorded.
   */
  async subscribe(
    wanted: readonly string[],
    options: SubscribeOptions = {},
    holder: object = PROGRAM,
  ): Promise<void> {
    checkSubscribe(wanted, options);
    if (this.#isLeaving) throw leavingError(describe(wanted));
    const { queue: name, timeout = 10_000, signal } = options;
    const patterns = [...wanted]; // The caller may modify its array.
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
      // After a timeout, the client keeps requesting the patterns.
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
      this.#onGrant(); // Without a connection, it is recorded.
      this.#join(call);
    });
    await promise;
  }

  /**
   * Removes the program's patterns. Those with another holder stay.
   *
   * @returns Resolves as `subscribe()` does.
   */
  async unsubscribe(
    patterns: readonly string[],
    options: SubscribeOptions = {},
  ): Promise<void> {
    checkSubscribe(patterns, options);
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

  /** Removes the patterns of `holder`, like {@link unsubscribe}, without waiting. */
  release(patterns: readonly string[], name: string | undefined, holder: object): void {
    const queue = name ?? NO_QUEUE;
    const free = this.#holders.letGo(patterns, queue, holder);
    this.#leave(free, queue, 10_000).catch(() => {});
  }

  /** Returns the line limit, in bytes without the line end. */
  get #maxLineBytes(): number {
    return this.#channel?.isGreeted ? this.#channel.maxLineBytes : CAUTIOUS_LINE_BYTES;
  }

  /** Whether there is a connection to a server that supports subscriptions, or may support them. */
  get #isServed(): boolean {
    const channel = this.#channel;
    return channel !== null && (!channel.isGreeted || channel.has("subscribe"));
  }

  /**
   * Throws if the server does not support subscriptions, or if its acknowledgement could not be
   * read. Before the welcome this is unknown, and it does not throw.
   */
  #checkCarrier(patterns: readonly string[]): void {
    if (!this.#channel?.isGreeted) return;
    const what = `${SUBSCRIBE} ${describe(patterns)}`;
    if (!this.#channel.has("subscribe")) throw notSupported("subscribe", what);
    const why = this.#port.readBlockedBy();
    if (why) throw new EbsocketError("inbox-full", `Cannot ${what}: ${why}`);
  }

  async #leave(
    patterns: readonly string[],
    queue: string,
    timeout: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (patterns.length === 0 || !this.#channel || this.#isLeaving) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wish = new SubscribeRequest(this.#table.nextId(), UNSUBSCRIBE, patterns, resolve, reject);
    const call = newCall(queue, patterns, null, wish);
    this.#leaving.add(call);
    this.#table.add(wish, timeout, signal);
    this.#say(call);
    await promise;
  }

  /** Completes a granted call: its patterns pass to their holder. */
  #join(call: Call): void {
    if (!this.#joining.delete(call)) return;
    const { patterns, queue, holder, wish } = call;
    // Except those unsubscribed in the meantime.
    this.#holders.hold(this.#holders.held(patterns, queue, call), queue, holder!);
    this.#holders.letGo(patterns, queue, call);
    if (this.#table.remove(wish)) wish.grant();
  }

  /** Drops a call that will not be granted, and removes the patterns that it alone held. */
  #drop(call: Call, error: unknown): void {
    if (!this.#joining.delete(call)) return;
    const { patterns, queue } = call;
    const free = this.#holders.letGo(patterns, queue, call);
    // Some patterns may be granted nevertheless: if the call was cancelled, if it was split across
    // lines and only one was refused, or if an earlier call for the same patterns was cancelled.
    const isVain = error instanceof EventRefusedError && !call.isSplit;
    const isUnheard = !call.isSaid && this.#lines.size === 0;
    const mayCount = this.#isNarrowed || !isVain && this.#isServed;
    if (isUnheard || !mayCount || error instanceof ConnectionClosedError) return;
    this.#leave(free, queue, 10_000).catch(() => {});
  }

  /** Fails a call. If its caller no longer waits, the status reports the refusal. */
  #fail(call: Call, error: EbsocketError): void {
    if (this.#table.remove(call.wish)) return call.wish.fail(error);
    this.#drop(call, error);
    this.#port.onRefuse({ reason: error.code, detail: error.message });
  }

  /**
   * Whether the client receives only direct events: it has subscriptions, but no pattern, or it has
   * none and the server sends no events before the first.
   */
  get hearsNothing(): boolean {
    const isAsked = this.#isNarrowed || (this.#channel?.has("subscribe-first") ?? false);
    return isAsked && this.#holders.isEmpty;
  }

  /**
   * Records that the server knows the subscriptions. All events that it sends from now on match
   * them.
   */
  #onGrant(): void {
    this.#isNarrowed = true;
    this.#isUnconfirmed = false;
  }

  // Lines

  /** Schedules a call to be sent at the end of this turn. */
  #say(call: Call): void {
    if (this.#channel && this.#unsaid.push(call) === 1) this.#flushWhenQuiet();
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
   * Sends the calls that have not been sent yet. This happens before an event is sent, so that all
   * take effect in the order of the calls. Removals come last, so that no event is missed in
   * between.
   */
  flush(): void {
    if (this.#unsaid.length === 0) return;
    const channel = this.#channel;
    const calls = this.#unsaid;
    this.#unsaid = [];
    if (!channel) return; // The next connection sends it.
    const leaving = calls.filter((call) => this.#leaving.has(call));
    const joining = calls.filter((call) => this.#joining.has(call));
    for (const [queue, calls] of Map.groupBy(joining, queueOf)) {
      this.#ask(queue, calls, channel, leaving.length > 0);
    }
    for (const [queue, calls] of Map.groupBy(leaving, queueOf)) this.#askToLeave(queue, calls);
  }

  /** Sends the patterns of several calls in as few lines as possible, and waits for the replies. */
  async #ask(
    queue: string,
    calls: readonly Call[],
    channel: ControlChannel,
    isWorthAgain: boolean,
    excess: Excess = { size: Infinity, refusal: null },
  ): Promise<void> {
    const questions = this.#compose(SUBSCRIBE, queue, calls);
    for (const { bytes } of questions) channel.tell(bytes);
    await this.#watchInbox(questions, channel, isWorthAgain, excess);
  }

  /**
   * Waits for the replies to lines. The calls of a refused line are sent again, fewer at a time,
   * until it is clear which of them the relay refuses. The others must not fail because of it.
   *
   * @param isWorthAgain Whether to send all calls once more before splitting them, because patterns
   * are being removed and there is more room after that.
   */
  async #watchInbox(
    questions: readonly Question[],
    channel: ControlChannel,
    isWorthAgain: boolean,
    excess: Excess = { size: Infinity, refusal: null },
  ): Promise<void> {
    for (const { calls: all, answer } of questions) {
      const refusal = await answer;
      if (!refusal || this.#channel !== channel) continue;
      const calls = all.filter((call) => this.#joining.has(call));
      const [call] = calls;
      if (!call) continue;
      const { queue } = call;
      if (isWorthAgain) await this.#ask(queue, calls, channel, false, excess);
      else if (calls.length === 1) {
        if (refusal.reason === "too-many-subscriptions") {
          excess.size = Math.min(excess.size, this.#sizeOf(call));
          excess.refusal = refusal;
        }
        this.#fail(call, refusedError(call.wish, refusal));
      } else {
        const half = Math.ceil(calls.length / 2);
        for (const some of [calls.slice(0, half), calls.slice(half)]) {
          await this.#askUnlessVain(queue, some, channel, excess);
        }
      }
    }
  }

  /** Sends the patterns of calls, and fails the calls that certainly exceed the relay's limit. */
  async #askUnlessVain(
    queue: string,
    calls: readonly Call[],
    channel: ControlChannel,
    excess: Excess,
  ): Promise<void> {
    const some = calls.filter((call) => this.#joining.has(call));
    const vain = new Set(some.filter((call) => this.#sizeOf(call) >= excess.size));
    for (const call of vain) this.#fail(call, refusedError(call.wish, excess.refusal!));
    const rest = some.filter((call) => !vain.has(call));
    if (rest.length > 0 && this.#channel === channel) {
      await this.#ask(queue, rest, channel, false, excess);
    }
  }

  /** Returns the number of patterns that a call adds to the granted ones. */
  #sizeOf({ patterns, queue }: Call): number {
    const isGranted = (holder: object) => !this.#joining.has(holder as Call);
    return new Set(patterns.filter((each) => !this.#holders.some(each, queue, isGranted))).size;
  }

  async #askToLeave(queue: string, calls: readonly Call[]): Promise<void> {
    const questions = this.#compose(UNSUBSCRIBE, queue, calls);
    for (const { bytes } of questions) this.#channel?.tell(bytes);
    for (const { calls, answer } of questions) {
      const refusal = await answer;
      for (const call of refusal ? calls : []) {
        this.#leaving.delete(call);
        this.#table.fail(call.wish, refusedError(call.wish, refusal!));
      }
    }
  }

  /**
   * Encodes the lines for calls of one kind and queue. Returns none if all calls are already
   * settled.
   */
  #compose(verb: string, queue: string, calls: readonly Call[]): Question[] {
    const isJoining = verb === SUBSCRIBE;
    const byPattern = new Map<string, Call[]>();
    for (const call of calls) {
      const { patterns, open } = call;
      const wanted = isJoining
        ? this.#holders.held(patterns, queue, call)
        : patterns.filter((pattern) => !this.#holders.some(pattern, queue)); // Others hold it.
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
      // A call without patterns only narrows the events, and any line does that.
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
        // Immediately: the next event after the acknowledgement already matches the subscriptions.
        this.#onGrant();
        for (const call of done) this.#join(call);
      };
      const line = this.#newLine(verb, patterns, onGrant);
      const bytes = encodeSubscribe(line, patterns, queue);
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
   * Stops all further events until {@link stay}, without forgetting the subscriptions.
   *
   * @returns Resolves when the relay has acknowledged it, so that every event it sent has arrived,
   * or when the connection has ended.
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
    const channel = this.#channel;
    if (!channel?.has("subscribe")) return;
    // Without a subscription the client receives every event. At least one reply is needed in any
    // case.
    if (!this.#isNarrowed || lines.length === 0) lines.push([SUBSCRIBE, [], NO_QUEUE]);
    await Promise.all(lines.map(async ([verb, patterns, queue]) => {
      const line = this.#newLine(verb, patterns, () => {});
      channel.tell(encodeSubscribe(line, patterns, queue));
      await line.answer;
    }));
  }

  /** Restores the subscriptions from the next connection on. */
  stay(): void {
    this.#isLeaving = false;
  }

  // Connections

  /**
   * Prepares the control lines after the `hello` of a new connection, which carries all further
   * ones. The granted subscriptions must be granted again, or the connection fails. Calls without a
   * reply are repeated, and a refusal affects only that call.
   */
  begin(channel: ControlChannel): HelloExtras {
    this.#channel = channel;
    this.#isUnconfirmed = this.#isNarrowed;
    this.#greeting = [];
    this.#unsaid = [];
    const lines: Uint8Array[] = [];
    const answers: Promise<void>[] = [];
    const say = (patterns: readonly string[], queue: string) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onGrant = () => {
        // Immediately: the next event after the acknowledgement already matches the subscriptions.
        if (this.#channel === channel) this.#onGrant();
        resolve();
      };
      const wish = new SubscribeRequest(this.#table.nextId(), GREET, patterns, onGrant, reject);
      this.#table.add(wish, Infinity);
      this.#greeting.push(wish);
      lines.push(encodeSubscribe(wish, patterns, queue));
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
      this.#watchInbox(questions, channel, false);
    }
    const confirmed = answers.length > 0 ? Promise.all(answers) : null;
    confirmed?.catch(() => {}); // The connection may end before it is awaited.
    const onGreeted = () => this.#onGreeted(channel);
    return { lines, needsWelcome: lines.length > 0, confirmed, onGreeted };
  }

  /** Returns whether a holder is a call that a pattern has not been granted to. */
  #isOpen(holder: object, pattern: string): boolean {
    const call = holder as Call;
    return this.#joining.has(call) && call.open.has(pattern);
  }

  /** Fails all calls if the server does not support subscriptions. */
  #onGreeted(channel: ControlChannel): void {
    if (channel.has("subscribe") || this.#channel !== channel) return;
    for (const call of this.#joining) {
      this.#fail(call, notSupported("subscribe", `${SUBSCRIBE} ${call.wish.subject}`));
    }
  }

  /** Ends a connection. With it, pending removals are done and unanswered lines are closed. */
  end(channel: ControlChannel): void {
    if (this.#channel !== channel) return;
    this.#channel = null;
    this.#unsaid = [];
    this.#onLeft([...this.#leaving]);
    for (const wish of this.#greeting) this.#table.close(wish, IN_DOUBT);
    for (const line of this.#lines) this.#table.close(line, IN_DOUBT);
    this.#lines.clear();
  }

  // Events

  /**
   * Whether {@link admits} must be called: the relay may not know the current subscriptions yet.
   */
  get isFiltering(): boolean {
    return this.#isUnconfirmed || this.#isNarrowed && this.#leaving.size > 0;
  }

  /** Returns whether a received event may match the subscriptions. */
  admits({ event, to }: EbsocketEvent): boolean {
    if (to !== null) return true; // a direct event
    // Until the relay knows this client, it sends the events of a queue to other members.
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
