/**
 * Owns what a client asks a relay to let it hear, what of that has been granted, and what comes through
 * while the relay does not know it yet. Must not know who reads the events.
 *
 * @module
 */

import { EbsocketError, EventRefusedError } from "./errors.ts";
import type { EbsocketEvent } from "./event.ts";
import { Holders } from "./holders.ts";
import { matches } from "./pattern.ts";
import { IN_DOUBT, type PendingTable } from "./pending.ts";
import { type Feature, NO_QUEUE } from "./routing.ts";
import { notSupported } from "./sender.ts";
import {
  CAUTIOUS_LINE_BYTES,
  checkWish,
  describe,
  encodeWish,
  GREET,
  split,
  SUBSCRIBE,
  type SubscribeOptions,
  UNSUBSCRIBE,
  Wish,
} from "./wish.ts";

/** The connection that carries the wishes. */
export interface Carrier {
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
export interface Wishes {
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
export interface HearingPort {
  /** Whether there is a connection, or will be one again. */
  isOpen(): boolean;
  /** Resolves when the first connection of a link has been made, or could not be; `null` otherwise. */
  connecting(): Promise<void> | null;
  /** Why nothing is heard at present, or an empty string. */
  whyDeaf(): string;
}

/** Holds what the program itself has subscribed to. */
const PROGRAM = {};

/** A call of `subscribe()` that has not been answered: it holds its patterns until then. */
interface Call {
  readonly queue: string;
  /** Who is to hold them afterwards. */
  readonly holder: object;
}

/** What one client wants to hear. */
export class Hearing {
  readonly #table: PendingTable;
  readonly #port: HearingPort;
  readonly #holders = new Holders();
  /** Whether it hears only some events; before the first subscription it hears all. */
  #isNarrowed = false;
  #carrier: Carrier | null = null;
  /** Whether the server does not know yet that only some events are wanted. */
  #isUnconfirmed = false;
  /** The wishes to hear more, and to hear less, that have not been answered. */
  readonly #joining = new Map<Wish, Call>();
  readonly #leaving = new Set<Wish>();
  /** The calls of which the patterns have not gone over to their holders. */
  readonly #calls = new Set<Call>();
  /** What was said behind the last `hello` of what had been granted before. */
  #greeting: Wish[] = [];

  /** Wants all. */
  constructor(table: PendingTable, port: HearingPort) {
    this.#table = table;
    this.#port = port;
  }

  // Wishes

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
    const call: Call = { queue, holder };
    const parts = split(patterns, queue, this.#maxLineBytes);
    this.#holders.hold(patterns, queue, call);
    this.#calls.add(call);
    try {
      await this.#join(parts, call, timeout, signal);
      // Not what has been unsubscribed from meanwhile.
      this.#holders.hold(this.#holders.held(patterns, queue, call), queue, holder);
      this.#holders.letGo(patterns, queue, call);
    } catch (error) {
      // Of several lines, those that have not been answered are not waited for any more.
      for (const [wish, each] of this.#joining) {
        if (each !== call) continue;
        this.#joining.delete(wish);
        this.#table.fail(wish, error);
        this.#lookOut(wish);
      }
      const free = this.#holders.letGo(patterns, queue, call);
      // A line that is refused has no effect, but of several, some may have been granted; and of other
      // calls for the same that were given up, before which nothing is refused or granted.
      const isVain = error instanceof EventRefusedError && parts.length === 1;
      const mayCount = this.#isNarrowed || !isVain && this.#isServed;
      if (mayCount) this.#leave(free, queue, 10_000).catch(() => {});
      throw error;
    } finally {
      this.#calls.delete(call);
    }
  }

  /** Hears it no longer, unless somebody else holds it; resolves as `subscribe()` does. */
  async unsubscribe(
    patterns: readonly string[],
    options: SubscribeOptions = {},
  ): Promise<void> {
    checkWish(patterns, options);
    const { queue: name, timeout = 10_000, signal } = options;
    const queue = name ?? NO_QUEUE;
    const calls = [...this.#calls].filter(({ holder }) => holder === PROGRAM);
    const free = [PROGRAM, ...calls].flatMap((holder) =>
      this.#holders.letGo(patterns, queue, holder)
    );
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
    const why = this.#port.whyDeaf();
    if (why) throw new EbsocketError("inbox-full", `Cannot ${what}: ${why}`);
  }

  /** Asks to hear more: now, behind the next `hello`, or of nobody if there is none. */
  async #join(
    parts: readonly (readonly string[])[],
    call: Call,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await Promise.all(parts.map(async (patterns) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onGrant = () => {
        this.#onGrant();
        resolve();
      };
      const wish = new Wish(this.#table.nextId(), SUBSCRIBE, patterns, onGrant, reject);
      this.#table.add(wish, timeout, signal);
      this.#joining.set(wish, call);
      this.#carrier?.tell(encodeWish(wish, patterns, call.queue));
      this.#port.connecting()?.then(() => {
        if (!this.#port.isOpen() && this.#table.remove(wish)) wish.grant(); // It is taken note of.
      });
      try {
        await promise;
      } catch (error) {
        if (!(error instanceof EventRefusedError)) this.#lookOut(wish);
        throw error;
      } finally {
        this.#joining.delete(wish);
      }
    }));
  }

  /** Takes note of the grant of a wish that nobody waits for any more, if it comes. */
  #lookOut({ id, patterns }: Wish): void {
    if (!this.#isServed) return;
    const carrier = this.#carrier;
    const onGrant = () => {
      if (this.#carrier === carrier) this.#isNarrowed = true;
    };
    const wish = new Wish(id, SUBSCRIBE, patterns, onGrant, () => {});
    wish.survives = false;
    this.#table.add(wish, Infinity);
  }

  async #leave(
    patterns: readonly string[],
    queue: string,
    timeout: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (patterns.length === 0 || !this.#carrier) return;
    await Promise.all(
      split(patterns, queue, this.#maxLineBytes).map(async (patterns) => {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const wish = new Wish(this.#table.nextId(), UNSUBSCRIBE, patterns, resolve, reject);
        this.#table.add(wish, timeout, signal);
        this.#leaving.add(wish);
        this.#carrier?.tell(encodeWish(wish, patterns, queue));
        try {
          await promise;
        } finally {
          this.#leaving.delete(wish);
        }
      }),
    );
  }

  /** The server knows that only some events are wanted: what it sends from now on is among them. */
  #onGrant(): void {
    this.#isNarrowed = true;
    this.#isUnconfirmed = false;
  }

  // Connections

  /**
   * What is to be said behind the `hello` of a connection, which carries all wishes from now on. What
   * was granted before has to be granted again. The calls that have not been answered are repeated: if
   * one is refused, that is all that happens.
   */
  begin(carrier: Carrier): Wishes {
    this.#carrier = carrier;
    this.#isUnconfirmed = this.#isNarrowed;
    this.#greeting = [];
    const lines: Uint8Array[] = [];
    const answers: Promise<void>[] = [];
    const say = (patterns: readonly string[], queue: string) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onGrant = () => {
        // At once: what comes right behind the acknowledgement is what is wanted.
        if (this.#carrier === carrier) this.#onGrant();
        resolve();
      };
      const wish = new Wish(this.#table.nextId(), GREET, patterns, onGrant, reject);
      this.#table.add(wish, Infinity);
      this.#greeting.push(wish);
      lines.push(encodeWish(wish, patterns, queue));
      answers.push(promise);
    };
    // Of a call of several lines, some may have been granted.
    const open = new Map<object, Set<string>>([...this.#calls].map((call) => [call, new Set()]));
    for (const [{ patterns }, call] of this.#joining) {
      for (const pattern of patterns) open.get(call)!.add(pattern);
    }
    for (const [queue, patterns] of this.#holders) {
      const granted = Array.from(patterns)
        .filter(([pattern, all]) => all.values().some((each) => !open.get(each)?.has(pattern)))
        .map(([pattern]) => pattern);
      if (granted.length === 0) continue;
      for (const patterns of split(granted, queue, CAUTIOUS_LINE_BYTES)) say(patterns, queue);
    }
    if (this.#isNarrowed && lines.length === 0) say([], NO_QUEUE);
    for (const [wish, call] of this.#joining) {
      const { queue } = call;
      lines.push(encodeWish(wish, this.#holders.held(wish.patterns, queue, call), queue));
    }
    const confirmed = answers.length > 0 ? Promise.all(answers) : null;
    confirmed?.catch(() => {}); // The connection may end before anybody looks at it.
    const onGreeted = () => this.#onGreeted(carrier);
    return { lines, needsWelcome: lines.length > 0, confirmed, onGreeted };
  }

  /** Of a server that cannot do it, nobody waits for an acknowledgement. */
  #onGreeted(carrier: Carrier): void {
    if (carrier.has("subscribe") || this.#carrier !== carrier) return;
    for (const wish of this.#joining.keys()) {
      this.#table.fail(wish, notSupported("subscribe", `${SUBSCRIBE} ${wish.subject}`));
    }
  }

  /** A connection has ended: what was not to be heard any more is heard no more. */
  end(carrier: Carrier): void {
    if (this.#carrier !== carrier) return;
    this.#carrier = null;
    for (const wish of this.#leaving) if (this.#table.remove(wish)) wish.grant();
    this.#leaving.clear();
    for (const wish of this.#greeting) this.#table.close(wish, IN_DOUBT);
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
