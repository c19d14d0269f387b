/**
 * Owns what a client wants to hear: the patterns and queues, and for whom it holds each; the lines
 * that say so to a relay; and what comes through while the relay does not know it yet. Must not know
 * who reads the events.
 *
 * @module
 */

import { EbsocketError, EventRefusedError } from "./errors.ts";
import type { EbsocketEvent } from "./event.ts";
import { matches } from "./pattern.ts";
import { IN_DOUBT, type PendingTable } from "./pending.ts";
import type { Feature } from "./routing.ts";
import { notSupported } from "./sender.ts";
import {
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
  /** Whether the server can do something, as far as it has said so. */
  has(feature: Feature): boolean;
  /** Sends a control line. */
  tell(line: Uint8Array): void;
}

/** What a client says behind its `hello`. */
export interface Wishes {
  /** The lines. */
  readonly lines: readonly Uint8Array[];
  /** Resolves when the server has acknowledged all of them; rejects if it will not. */
  readonly confirmed: Promise<unknown>;
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

/** What one client wants to hear. */
export class Hearing {
  readonly #table: PendingTable;
  readonly #port: HearingPort;
  /** Who holds each pattern, by queue (an empty string for none) and pattern. */
  readonly #queues = new Map<string, Map<string, Set<object>>>();
  /** Whether it wants only some events; before the first subscription it wants all. */
  #isNarrowed = false;
  #carrier: Carrier | null = null;
  /** Whether the server has yet to acknowledge what was said behind `hello`. */
  #isUnconfirmed = false;
  /** The wishes to hear more, and to hear less, that have not been answered. */
  readonly #joining = new Set<Wish>();
  readonly #leaving = new Set<Wish>();
  /** What was said behind the last `hello`. */
  #greeting: Wish[] = [];

  /** Wants all. */
  constructor(table: PendingTable, port: HearingPort) {
    this.#table = table;
    this.#port = port;
  }

  // Wishes

  /**
   * Hears what `patterns` match from now on, for `holder`. Resolves when the relay has acknowledged
   * that, or at once if there is none yet.
   */
  async subscribe(
    patterns: readonly string[],
    { queue, timeout = 10_000, signal }: SubscribeOptions = {},
    holder: object = PROGRAM,
  ): Promise<void> {
    checkWish(patterns, queue, timeout);
    signal?.throwIfAborted();
    const wasNarrowed = this.#isNarrowed;
    const added = this.#hold(patterns, queue, holder);
    this.#isNarrowed = true;
    const parts = split(patterns);
    let isSaid = false;
    try {
      const connecting = this.#port.connecting();
      if (connecting) await connecting;
      if (!this.#port.isOpen()) return;
      this.#checkCarrier(patterns);
      isSaid = true;
      await this.#ask(SUBSCRIBE, parts, queue, this.#joining, timeout, signal);
    } catch (error) {
      // A line that is refused has no effect, but of several, some may have been granted.
      if (error instanceof EventRefusedError && parts.length === 1) isSaid = false;
      if (isSaid) this.release(added, queue, holder);
      else this.#letGo(added, queue, holder);
      if (!isSaid && this.#queues.size === 0) this.#isNarrowed = wasNarrowed;
      throw error;
    }
  }

  /** Hears it no longer, unless somebody else holds it; resolves as `subscribe()` does. */
  async unsubscribe(
    patterns: readonly string[],
    { queue, timeout = 10_000, signal }: SubscribeOptions = {},
  ): Promise<void> {
    checkWish(patterns, queue, timeout);
    signal?.throwIfAborted();
    const free = this.#letGo(patterns, queue, PROGRAM);
    await this.#leave(free, queue, timeout, signal);
  }

  /** Does what {@link unsubscribe} does, for `holder`, and lets nobody wait for it. */
  release(patterns: readonly string[], queue: string | undefined, holder: object): void {
    const free = this.#letGo(patterns, queue, holder);
    this.#leave(free, queue, 10_000).catch(() => {});
  }

  async #leave(
    patterns: readonly string[],
    queue: string | undefined,
    timeout: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (patterns.length === 0) return;
    const connecting = this.#port.connecting();
    if (connecting) await connecting;
    if (!this.#carrier) return;
    await this.#ask(UNSUBSCRIBE, split(patterns), queue, this.#leaving, timeout, signal);
  }

  /** Makes sure that an acknowledgement can come, unless there will be another connection first. */
  #checkCarrier(patterns: readonly string[]): void {
    if (!this.#carrier) return;
    const what = `${SUBSCRIBE} ${describe(patterns)}`;
    if (!this.#carrier.has("subscribe")) throw notSupported("subscribe", what);
    const why = this.#port.whyDeaf();
    if (why) throw new EbsocketError("inbox-full", `Cannot ${what}: ${why}`);
  }

  async #ask(
    verb: string,
    parts: readonly (readonly string[])[],
    queue: string | undefined,
    open: Set<Wish>,
    timeout: number,
    signal?: AbortSignal,
  ): Promise<void> {
    signal?.throwIfAborted();
    await Promise.all(parts.map(async (patterns) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const wish = new Wish(this.#table.nextId(), verb, patterns, resolve, reject);
      this.#table.add(wish, timeout, signal);
      open.add(wish);
      this.#carrier?.tell(encodeWish(wish, queue));
      try {
        await promise;
      } finally {
        open.delete(wish);
      }
    }));
  }

  // Connections

  /** What is to be said behind the `hello` of a connection, which carries all wishes from now on. */
  begin(carrier: Carrier): Wishes | null {
    this.#carrier = carrier;
    this.#isUnconfirmed = this.#isNarrowed;
    if (!this.#isNarrowed) return null;
    this.#greeting = [];
    const lines: Uint8Array[] = [];
    const answers: Promise<void>[] = [];
    let missing = 0;
    const say = (patterns: readonly string[], queue: string) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      missing++;
      const onGrant = () => {
        // At once: what comes right behind the acknowledgement is what is wanted.
        if (--missing === 0 && this.#carrier === carrier) this.#isUnconfirmed = false;
        resolve();
      };
      const wish = new Wish(this.#table.nextId(), GREET, patterns, onGrant, reject);
      this.#table.add(wish, Infinity);
      this.#greeting.push(wish);
      lines.push(encodeWish(wish, queue || undefined));
      answers.push(promise);
    };
    for (const [queue, holders] of this.#queues) {
      for (const patterns of split([...holders.keys()])) say(patterns, queue);
    }
    if (lines.length === 0) say([], "");
    const repeated = [...this.#joining];
    const confirmed = Promise.all(answers).then(() => {
      for (const wish of repeated) if (this.#table.remove(wish)) wish.grant();
    });
    confirmed.catch(() => {}); // The connection may end before anybody looks at it.
    return { lines, confirmed };
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
    return this.#isUnconfirmed || this.#leaving.size > 0;
  }

  /** Whether an event that has come may be one that is wanted. */
  admits({ event, from, id }: EbsocketEvent): boolean {
    if (from !== null && id === null) return true; // sent to this client alone
    // Of a queue's events, others get those that the relay sends before it knows this client.
    if (this.#isUnconfirmed) return anyMatches(this.#queues.get("")?.keys(), event);
    for (const { patterns } of this.#leaving) {
      if (anyMatches(patterns.values(), event)) return this.#wants(event);
    }
    return true;
  }

  #wants(name: string): boolean {
    for (const holders of this.#queues.values()) {
      if (anyMatches(holders.keys(), name)) return true;
    }
    return false;
  }

  // Holders

  /** Notes that `holder` holds patterns; gives those that it had not held before. */
  #hold(patterns: readonly string[], queue = "", holder: object): string[] {
    if (patterns.length === 0) return [];
    let holders = this.#queues.get(queue);
    if (!holders) this.#queues.set(queue, holders = new Map());
    const added: string[] = [];
    for (const pattern of patterns) {
      let all = holders.get(pattern);
      if (!all) holders.set(pattern, all = new Set());
      if (!all.has(holder)) added.push(pattern);
      all.add(holder);
    }
    return added;
  }

  /** Notes that `holder` holds patterns no longer; gives those that nobody holds now. */
  #letGo(patterns: readonly string[], queue = "", holder: object): string[] {
    const holders = this.#queues.get(queue);
    const free: string[] = [];
    for (const pattern of patterns) {
      const all = holders?.get(pattern);
      if (!all?.delete(holder) || all.size > 0) continue;
      holders!.delete(pattern);
      free.push(pattern);
    }
    if (holders?.size === 0) this.#queues.delete(queue);
    return free;
  }
}

function anyMatches(patterns: Iterable<string> | undefined, name: string): boolean {
  for (const pattern of patterns ?? []) if (matches(pattern, name)) return true;
  return false;
}
