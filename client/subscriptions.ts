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
 * A connection whose first lines ask for kept events drops them until the relay has replied to one of
 * these lines, because they arrive again.
 *
 * `stopEvents()` removes all subscriptions from the relay and sets `#isStopped`, but keeps them for
 * the connections after `resumeEvents()`. While not `isOnline`, calls are granted at once.
 *
 * The states of a call:
 *
 * | state | stored in | next state |
 * | --- | --- | --- |
 * | queued | `#adding`, `#unsent` | sent, at the end of the turn or before the next event |
 * | sent | `#adding` | granted or refused; sent again, if its connection ends |
 * | granted | `#refs` | repeated after each `hello`, until removed |
 * | refused | | its patterns that have no other owner are removed |
 * | removing | `#removing` | done, when the relay replies or the connection ends |
 *
 * A refused line that is about several calls is sent again in smaller lines, until a refused line
 * is about one call. An aborted call is treated like a refused one. A timeout changes no state. It
 * only ends the caller's wait.
 *
 * @module
 */

import { type Feature, notSupported, type Refusal } from "../protocol/control.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import {
  ConnectionClosedError,
  type EbsocketError,
  EventRefusedError,
  RequestTimeoutError,
} from "../errors.ts";
import type { EbsocketEvent } from "../protocol/event.ts";
import type { ReplayRequest } from "../protocol/history.ts";
import type { Inboxes } from "./inboxes.ts";
import { PatternRefs } from "./pattern_refs.ts";
import { matches } from "../protocol/pattern.ts";
import { CONNECTION_ENDED, type PendingRequests, refusedError } from "./pending_requests.ts";
import type { PositionTracker } from "./position.ts";
import { replayFor } from "./since.ts";
import type { StatusFeed } from "./status.ts";
import { afterHandlers } from "../net/handlers.ts";
import {
  CAUTIOUS_LINE_BYTES,
  checkSubscribe,
  describe,
  GREET,
  type Recovery,
  type ReplayOptions,
  split,
  SUBSCRIBE,
  SubscribeCall,
  SubscribeLine,
  type SubscribeOptions,
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
  sendControl(line: Uint8Array): void;
}

/** The control lines that follow a client's `hello`. With any, it requires a welcome. */
export interface HelloExtras {
  /** The lines. */
  readonly lines: readonly Uint8Array[];
  /**
   * Resolves when the server has acknowledged the subscriptions that the connection requires.
   * Rejects if it refuses them. `null` if there are none.
   */
  readonly confirmed: Promise<unknown> | null;
}

/** The owner of the program's own subscriptions. */
const PROGRAM = {};

/** The owner of the subscription with which a client without others can resume, and its pattern. */
const RESUME = {};
const ALL = [">"];

/** Patterns that fit into one line. */
interface Part {
  readonly patterns: readonly string[];
  readonly queue: string;
  /** The request for kept events of these patterns. */
  readonly replay?: ReplayRequest | undefined;
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
  /**
   * Whether the client is connecting, connected or reconnecting. Otherwise calls are only recorded.
   */
  isOnline = false;
  readonly #pending: PendingRequests;
  readonly #inboxes: Inboxes;
  readonly #status: StatusFeed;
  /** The client's position in the history. `null` if it keeps none. */
  readonly #position: PositionTracker | null;
  readonly #refs = new PatternRefs();
  /**
   * Whether the client receives only some events. Before the first subscription it receives all.
   */
  #isNarrowed = false;
  #channel: ControlChannel | null = null;
  /** Whether the server does not know yet that the client wants only some events. */
  #isUnconfirmed = false;
  /** The calls without a reply: those that add patterns, and those that remove them. */
  readonly #adding = new Set<SubscribeCall>();
  readonly #removing = new Set<SubscribeCall>();
  /** The calls among them that are sent at the end of this turn. */
  #unsent: SubscribeCall[] = [];
  /** The lines that this connection has not replied to. */
  readonly #lines = new Set<SubscribeLine>();
  /** Whether the client receives no further events, whatever its subscriptions. */
  #isStopped = false;
  /** Whether kept events are dropped, because they arrive again after the relay's first reply. */
  #dropsKept = false;

  /** Creates the subscriptions of a client that receives every event. */
  constructor(
    pending: PendingRequests,
    inboxes: Inboxes,
    status: StatusFeed,
    position: PositionTracker | null = null,
  ) {
    this.#pending = pending;
    this.#inboxes = inboxes;
    this.#status = status;
    this.#position = position;
  }

  // Calls

  /**
   * Adds patterns for `owner`. If there is no connection and none is being made, it only records
   * them.
   *
   * @param wanted The patterns.
   * @param options The queue, the kept events, the timeout and a signal.
   * @param owner The owner of the patterns: the program or a service.
   * @returns Resolves when the relay has acknowledged the patterns, or immediately if they are only
   * recorded. Resolves to the relay's answer about kept events.
   */
  async subscribe(
    wanted: readonly string[],
    options: SubscribeOptions & Partial<ReplayOptions> = {},
    owner: object = PROGRAM,
  ): Promise<Recovery | null> {
    checkSubscribe(wanted, options);
    const { queue = NO_QUEUE, since, partial = false, timeout = 10_000, signal } = options;
    if (since !== undefined && (!this.#position || queue !== NO_QUEUE)) {
      const why = this.#position ? "a queue has no past" : "it needs the option history";
      throw new TypeError(`Invalid since: ${why}`);
    }
    if (this.#isStopped) throw stoppedError(describe(wanted));
    const patterns = [...wanted]; // The caller may modify its array.
    const replay = since === undefined
      ? null
      : (pattern: string) => replayFor(pattern, since, partial);
    signal?.throwIfAborted();
    if (!this.isOnline) {
      this.#refs.add(patterns, queue, owner);
      if (replay) this.#want(patterns, replay);
      this.#isNarrowed = true;
      this.#releaseAll();
      return null;
    }
    const subject = describe(patterns);
    if (this.#isUnsupported) throw notSupported("subscribe", `${SUBSCRIBE} ${subject}`);
    if (this.#channel?.isGreeted) this.#inboxes.checkReading(SUBSCRIBE, subject);
    return await this.#call(patterns, queue, owner, timeout, signal, replay);
  }

  /**
   * Removes the program's patterns. Those with another owner stay.
   *
   * @returns Resolves as `subscribe()` does.
   */
  async unsubscribe(patterns: readonly string[], options: SubscribeOptions = {}): Promise<void> {
    checkSubscribe(patterns, options);
    const { queue = NO_QUEUE, timeout = 10_000, signal } = options;
    const isOurs = (owner: object) =>
      owner === PROGRAM || owner instanceof SubscribeCall && owner.owner === PROGRAM;
    const free = this.#refs.releaseWhere(patterns, queue, isOurs);
    this.#position?.forget(free);
    const removed = this.#remove(free, queue, timeout, signal);
    removed.catch(() => {});
    signal?.throwIfAborted();
    await removed;
  }

  /** Removes the patterns of `owner`, like {@link unsubscribe}, without waiting. */
  release(patterns: readonly string[], queue: string | undefined, owner: object): void {
    const free = this.#refs.release(patterns, queue ?? NO_QUEUE, owner);
    // The position of a client that ends is for its next connection, or another run.
    if (this.isOnline && !this.#isStopped) this.#position?.forget(free);
    this.#remove(free, queue ?? NO_QUEUE, 10_000).catch(() => {});
  }

  /** Notes a request for kept events, for the next connection. */
  #want(patterns: readonly string[], replayFor: (pattern: string) => ReplayRequest): void {
    for (const pattern of patterns) this.#position?.want(pattern, replayFor(pattern));
  }

  /** Ends the client's own subscription to all events: from now on it has others. */
  #releaseAll(): void {
    if (this.#position) this.release(ALL, NO_QUEUE, RESUME);
  }

  /** Returns the line limit, in bytes without the line end. */
  get #maxLineBytes(): number {
    return this.#channel?.isGreeted ? this.#channel.maxLineBytes : CAUTIOUS_LINE_BYTES;
  }

  /** Whether the server does not support subscriptions. Before its welcome this is unknown. */
  get #isUnsupported(): boolean {
    return this.#channel?.isGreeted === true && !this.#channel.has("subscribe");
  }

  /** Sends a call at the end of this turn. Resolves when the relay has granted it. */
  #call(
    patterns: readonly string[],
    queue: string,
    owner: object | null,
    timeout: number,
    signal?: AbortSignal,
    replay: SubscribeCall["replayFor"] = null,
  ): Promise<Recovery | null> {
    return new Promise((resolve, reject) => {
      const onFail = (error: unknown) => {
        // After a timeout, the client keeps requesting the patterns.
        if (!(error instanceof RequestTimeoutError)) this.#drop(call, error);
        reject(error);
      };
      const id = this.#pending.nextId();
      const onGrant = () => resolve(call.recovery);
      const call = new SubscribeCall(id, patterns, queue, owner, replay, onGrant, onFail);
      if (owner) {
        this.#refs.add(patterns, queue, call);
        this.#adding.add(call);
      } else this.#removing.add(call);
      this.#pending.add(call, timeout, signal);
      if (this.#channel && this.#unsent.push(call) === 1) this.#flushAfterHandlers();
    });
  }

  async #remove(
    patterns: readonly string[],
    queue: string,
    timeout: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (patterns.length === 0 || !this.#channel || this.#isStopped) return;
    await this.#call(patterns, queue, null, timeout, signal);
  }

  /** Completes a granted call: its patterns pass to their owner. */
  #complete(call: SubscribeCall): void {
    if (!this.#adding.delete(call)) return;
    const { patterns, queue, owner } = call;
    // Except those unsubscribed in the meantime.
    this.#refs.add(this.#refs.ownedBy(call, patterns, queue), queue, owner!);
    this.#refs.release(patterns, queue, call);
    this.#releaseAll();
    if (this.#pending.remove(call)) call.grant();
  }

  /** Drops a call that will not be granted, and removes the patterns that it alone owned. */
  #drop(call: SubscribeCall, error: unknown): void {
    if (!this.#adding.delete(call)) return;
    const { patterns, queue } = call;
    const free = this.#refs.release(patterns, queue, call);
    this.#position?.forget(free);
    // Some patterns may be granted nevertheless: if the call was cancelled, if it was split across
    // lines and only one was refused, or if an earlier call for the same patterns was cancelled.
    const isRefused = error instanceof EventRefusedError && !call.isSplit;
    const isUnknown = !call.isSent && !this.#lines.values().some(({ calls }) => calls.length > 0);
    const isServed = this.#channel !== null && !this.#isUnsupported;
    const mayCount = this.#isNarrowed || !isRefused && isServed;
    if (isUnknown || !mayCount || error instanceof ConnectionClosedError) return;
    this.#remove(free, queue, 10_000).catch(() => {});
  }

  /** Fails a call. If its caller no longer waits, the status reports the refusal. */
  #fail(call: SubscribeCall, error: EbsocketError): void {
    if (this.#pending.remove(call)) return call.fail(error);
    this.#drop(call, error);
    const { code: reason, message: detail } = error;
    this.#status.push({ type: "refused", event: null, reason, detail });
  }

  /**
   * Whether the client receives only direct events: it has subscriptions, but no pattern, or it has
   * none and the server sends no events before the first.
   */
  get hearsNothing(): boolean {
    const isAsked = this.#isNarrowed || (this.#channel?.has("subscribe-first") ?? false);
    return isAsked && this.#refs.isEmpty;
  }

  /**
   * Records that the server knows the subscriptions. All events that it sends from now on match
   * them.
   */
  #confirm(): void {
    this.#isNarrowed = true;
    this.#isUnconfirmed = false;
    this.#dropsKept = false;
  }

  // Lines

  /**
   * Sends the calls of one turn together, including those of a loop with an `await` in between.
   */
  async #flushAfterHandlers(): Promise<void> {
    const unsent = () => this.#unsent.length;
    await afterHandlers(Infinity, unsent, () => unsent() === 0);
    this.flush();
  }

  /**
   * Sends the calls that have not been sent yet. This happens before an event is sent, so that all
   * take effect in the order of the calls. Removals come last, so that no event is missed in
   * between.
   */
  flush(): void {
    if (this.#unsent.length === 0) return;
    const channel = this.#channel;
    const calls = this.#unsent;
    this.#unsent = [];
    if (!channel) return; // The next connection sends it.
    const removing = calls.filter((call) => this.#removing.has(call));
    const adding = calls.filter((call) => this.#adding.has(call));
    for (const calls of grouped(adding)) {
      this.#sendAdding(calls[0]!.queue, calls, channel, removing.length > 0);
    }
    for (const [queue, calls] of Map.groupBy(removing, ({ queue }) => queue)) {
      this.#sendRemoving(queue, calls, channel);
    }
  }

  /**
   * Sends the patterns of several calls in as few lines as possible, and waits for the replies. The
   * calls that certainly exceed the relay's limit fail at once.
   */
  async #sendAdding(
    queue: string,
    calls: readonly SubscribeCall[],
    channel: ControlChannel,
    isWorthRetry: boolean,
    excess: Excess = { size: Infinity, refusal: null },
  ): Promise<void> {
    const { refusal } = excess;
    const excessive = calls.filter((call) => refusal && this.#sizeOf(call) >= excess.size);
    for (const call of excessive) this.#fail(call, refusedError(call, refusal!));
    const promising = calls.filter((call) => this.#adding.has(call));
    if (promising.length === 0 || this.#channel !== channel) return;
    const lines = this.#compose(SUBSCRIBE, queue, promising);
    for (const line of lines) channel.sendControl(line.bytes);
    await this.#awaitReplies(lines, channel, isWorthRetry, excess);
  }

  /**
   * Waits for the replies to lines. The calls of a refused line are sent again, fewer at a time,
   * until it is clear which of them the relay refuses. The others must not fail because of it.
   *
   * @param isWorthRetry Whether to send all calls once more before splitting them, because patterns
   * are being removed and there is more room after that.
   */
  async #awaitReplies(
    lines: readonly SubscribeLine[],
    channel: ControlChannel,
    isWorthRetry: boolean,
    excess: Excess = { size: Infinity, refusal: null },
  ): Promise<void> {
    for (const line of lines) {
      const refusal = await line.refusal;
      if (!refusal || this.#channel !== channel) continue;
      const calls = line.calls.filter((call) => this.#adding.has(call));
      const [call] = calls;
      if (!call) continue;
      const { queue } = call;
      if (isWorthRetry) await this.#sendAdding(queue, calls, channel, false, excess);
      else if (calls.length === 1) {
        if (refusal.reason === "too-many-subscriptions") {
          excess.size = Math.min(excess.size, this.#sizeOf(call));
          excess.refusal = refusal;
        }
        this.#fail(call, refusedError(call, refusal));
      } else {
        const half = Math.ceil(calls.length / 2);
        for (const some of [calls.slice(0, half), calls.slice(half)]) {
          await this.#sendAdding(queue, some, channel, false, excess);
        }
      }
    }
  }

  /** Returns the number of patterns that a call adds to the granted ones. */
  #sizeOf({ patterns, queue }: SubscribeCall): number {
    const isOwner = (owner: object) => !(owner instanceof SubscribeCall);
    return new Set(patterns.filter((each) => !this.#refs.some(each, queue, isOwner))).size;
  }

  async #sendRemoving(
    queue: string,
    calls: readonly SubscribeCall[],
    channel: ControlChannel,
  ): Promise<void> {
    const lines = this.#compose(UNSUBSCRIBE, queue, calls);
    for (const line of lines) channel.sendControl(line.bytes);
    for (const line of lines) {
      const refusal = await line.refusal;
      for (const call of refusal ? line.calls : []) {
        this.#removing.delete(call);
        this.#pending.fail(call, refusedError(call, refusal!));
      }
    }
  }

  /**
   * Creates the lines for calls of one kind and queue. Returns none if all calls are already
   * settled.
   */
  #compose(verb: string, queue: string, calls: readonly SubscribeCall[]): SubscribeLine[] {
    const isAdding = verb === SUBSCRIBE;
    const byPattern = new Map<string, SubscribeCall[]>();
    for (const call of calls) {
      const { patterns, open } = call;
      const wanted = isAdding
        ? this.#refs.ownedBy(call, patterns, queue)
        : patterns.filter((pattern) => !this.#refs.some(pattern, queue)); // Others own it.
      call.open = new Set(wanted.filter((pattern) => open.has(pattern)));
      for (const pattern of call.open) {
        const all = byPattern.get(pattern);
        if (all) all.push(call);
        else byPattern.set(pattern, [call]);
      }
    }
    if (!isAdding && byPattern.size === 0) {
      this.#onRemoved(calls);
      return [];
    }
    const replayOf = calls[0]?.replayFor ?? undefined;
    const parts = partsOf([...byPattern.keys()], queue, this.#maxLineBytes, replayOf);
    const sent = new Set<SubscribeCall>();
    return parts.map((part, index) => {
      const { patterns, replay } = part;
      // A call without patterns only narrows the events, and any line does that.
      const about = parts.length === 1 ? calls : [
        ...new Set(patterns.flatMap((pattern) => byPattern.get(pattern)!)),
        ...(index === 0 ? calls.filter(({ open }) => open.size === 0) : []),
      ];
      for (const call of about) {
        call.isSent = true;
        if (sent.has(call)) call.isSplit = true;
        sent.add(call);
      }
      const line = this.#newLine(verb, part, about, () => {
        if (replay && line.answer) {
          for (const call of about) call.onAnswer(line.answer);
          // For the next connection, if this one ends before its events count.
          for (const pattern of patterns) this.#position!.want(pattern, replay);
        }
        for (const pattern of patterns) {
          for (const call of byPattern.get(pattern)!) call.open.delete(pattern);
        }
        const done = about.filter(({ open }) => open.size === 0);
        if (!isAdding) return this.#onRemoved(done);
        // Immediately: the next event after the acknowledgement already matches the subscriptions.
        this.#confirm();
        for (const call of done) this.#complete(call);
      });
      return line;
    });
  }

  #newLine(
    verb: string,
    { patterns, queue, replay }: Part,
    calls: readonly SubscribeCall[] = [],
    onGrant = () => {},
  ): SubscribeLine {
    const id = this.#pending.nextId();
    const line = new SubscribeLine(id, verb, patterns, queue, calls, onGrant, replay);
    this.#pending.add(line, Infinity);
    this.#lines.add(line);
    if (replay) this.#position?.ask(id, patterns, replay, verb === SUBSCRIBE);
    line.refusal.then((refusal) => {
      this.#lines.delete(line);
      this.#dropsKept = false;
      if (refusal) this.#position?.refuse(id);
    });
    return line;
  }

  #onRemoved(calls: readonly SubscribeCall[]): void {
    for (const call of calls) {
      this.#removing.delete(call);
      if (this.#pending.remove(call)) call.grant();
    }
  }

  /**
   * Stops all further events until {@link resumeEvents}, without removing the subscriptions.
   *
   * @returns Resolves when the relay has acknowledged it, so that every event it sent has arrived,
   * or when the connection has ended.
   */
  async stopEvents(): Promise<void> {
    this.flush();
    this.#isStopped = true;
    if (this.#position) this.#position.isStopped = true;
    for (const call of this.#adding) this.#pending.fail(call, stoppedError(call.subject));
    const channel = this.#channel;
    if (!channel?.has("subscribe")) return;
    const lines = this.#parts(this.#maxLineBytes, () => true)
      .map((part) => this.#newLine(UNSUBSCRIBE, part));
    // Without a subscription the client receives every event. At least one reply is needed in any
    // case.
    if (!this.#isNarrowed || lines.length === 0) lines.push(this.#newLine(SUBSCRIBE, NOTHING));
    for (const line of lines) channel.sendControl(line.bytes);
    await Promise.all(lines.map(({ refusal }) => refusal));
  }

  /** Restores the subscriptions from the next connection on. */
  resumeEvents(): void {
    this.#isStopped = false;
    if (this.#position) this.#position.isStopped = false;
  }

  // Connections

  /** Goes offline because the client could not connect. The calls made in the meantime count. */
  cancelConnect(): void {
    this.isOnline = false;
    for (const call of this.#adding) {
      if (!this.#pending.remove(call)) continue; // It has timed out, and is repeated.
      const { patterns, replayFor } = call;
      if (replayFor) this.#want(patterns, replayFor);
      this.#confirm();
      this.#complete(call);
      call.grant();
    }
  }

  /**
   * Prepares the control lines after the `hello` of a new connection, which carries all further
   * ones. The granted subscriptions must be granted again, or the connection fails. Calls without a
   * reply are repeated, and a refusal affects only that call.
   */
  begin(channel: ControlChannel): HelloExtras {
    this.#channel = channel;
    this.#pending.channel = channel;
    if (this.#position && !this.#isNarrowed && this.#adding.size === 0) {
      this.#refs.add(ALL, NO_QUEUE, RESUME);
      this.#isNarrowed = true;
    }
    this.#isUnconfirmed = this.#isNarrowed;
    this.#unsent = [];
    const replayOf = (pattern: string) => this.#position?.replayFor(pattern);
    const granted = this.#isStopped ? [] : this.#parts(CAUTIOUS_LINE_BYTES, isGranted, replayOf);
    if (granted.length === 0 && (this.#isNarrowed || this.#isStopped)) granted.push(NOTHING);
    if (!this.#isStopped) this.#position?.begin();
    const repeated = granted.map((part) => this.#newLine(GREET, part, [], () => this.#confirm()));
    const lines = [...repeated];
    const calls = this.#isStopped ? [] : [...this.#adding];
    for (const call of calls) call.isSent = false;
    for (const some of grouped(calls)) {
      const composed = this.#compose(SUBSCRIBE, some[0]!.queue, some);
      lines.push(...composed);
      this.#awaitReplies(composed, channel, false);
    }
    this.#dropsKept = granted.some(({ replay }) => replay) ||
      calls.some(({ replayFor }) => replayFor);
    const confirmed = repeated.length > 0 ? Promise.all(repeated.map(granting)) : null;
    confirmed?.catch(() => {}); // The connection may end before it is awaited.
    return { lines: lines.map(({ bytes }) => bytes), confirmed };
  }

  /** Returns the patterns with an owner that `isMeant` accepts, in parts that fit into lines. */
  #parts(
    maxLineBytes: number,
    isMeant: (owner: object, pattern: string) => boolean,
    replayOf?: (pattern: string) => ReplayRequest | undefined,
  ): Part[] {
    return Array.from(this.#refs).flatMap(([queue, owners]) => {
      const patterns = Array.from(owners)
        .filter(([pattern, all]) => all.values().some((owner) => isMeant(owner, pattern)))
        .map(([pattern]) => pattern);
      if (patterns.length === 0) return [];
      return partsOf(patterns, queue, maxLineBytes, queue === NO_QUEUE ? replayOf : undefined);
    });
  }

  /** Fails all calls if the server does not support subscriptions. Called after its welcome. */
  onWelcome(channel: ControlChannel): void {
    if (this.#channel !== channel || !this.#isUnsupported) return;
    for (const call of this.#adding) {
      this.#fail(call, notSupported("subscribe", `${SUBSCRIBE} ${call.subject}`));
    }
  }

  /** Ends a connection. With it, pending removals are done and unanswered lines are closed. */
  end(channel: ControlChannel): void {
    if (this.#channel !== channel) return;
    this.#channel = null;
    this.#unsent = [];
    this.#onRemoved([...this.#removing]);
    for (const line of this.#lines) this.#pending.close(line, CONNECTION_ENDED);
    this.#lines.clear();
  }

  // Events

  /**
   * Whether {@link admits} must be called: the relay may not know the current subscriptions yet.
   */
  get isFiltering(): boolean {
    return this.#dropsKept || this.#isUnconfirmed || this.#isNarrowed && this.#removing.size > 0;
  }

  /** Returns whether a received event may match the subscriptions. */
  admits({ event, to, offset, id, replyTo }: EbsocketEvent): boolean {
    if (to !== null) return true; // a direct event
    // Before the relay has read the hello, kept events have no offset either.
    const mayBeKept = offset !== null ||
      !this.#channel?.isGreeted && id === null && replyTo === null;
    if (this.#dropsKept && mayBeKept) return false;
    // Until the relay knows this client, it sends the events of a queue to other members.
    if (this.#isUnconfirmed) return this.#refs.matchesWithoutQueue(event);
    if (!this.#isNarrowed) return true;
    for (const { patterns } of this.#removing) {
      if (patterns.some((pattern) => matches(pattern, event))) return this.#refs.matches(event);
    }
    return true;
  }
}

/** Groups the calls that can share lines: those of one queue without a request for kept events. */
function grouped(calls: readonly SubscribeCall[]): Iterable<SubscribeCall[]> {
  return Map.groupBy(calls, (call) => call.replayFor ? call : call.queue).values();
}

/** A line without patterns. */
const NOTHING: Part = { patterns: [], queue: NO_QUEUE };

/** Splits patterns into parts for lines, each with one request for kept events. */
function partsOf(
  patterns: readonly string[],
  queue: string,
  maxLineBytes: number,
  replayOf?: (pattern: string) => ReplayRequest | undefined,
): Part[] {
  if (!replayOf) {
    return split(patterns, queue, maxLineBytes).map((part) => ({ patterns: part, queue }));
  }
  const groups = Map.groupBy(patterns, (pattern) => JSON.stringify(replayOf(pattern)));
  return Array.from(groups.values()).flatMap((some) => {
    const replay = replayOf(some[0]!);
    return split(some, queue, maxLineBytes).map((part) => ({ patterns: part, queue, replay }));
  });
}

/** Returns whether a pattern has been granted to an owner, which may be a call. */
function isGranted(owner: object, pattern: string): boolean {
  return !(owner instanceof SubscribeCall && owner.open.has(pattern));
}

/** Resolves when the relay has granted a line. Rejects if it refuses it or the connection ends. */
async function granting(line: SubscribeLine): Promise<void> {
  const refusal = await line.refusal;
  if (refusal) throw refusedError(line, refusal);
  if (!line.isGranted) throw new ConnectionClosedError(`${line.errorPrefix}: ${CONNECTION_ENDED}`);
}

function stoppedError(subject: unknown): ConnectionClosedError {
  return new ConnectionClosedError(`Cannot ${SUBSCRIBE} ${subject}: the client is being drained`);
}
