/**
 * Tells the other relays what the clients of this one hear, and when they know.
 *
 * @module
 */

import { NO_QUEUE } from "../protocol/names.ts";
import { REST } from "../protocol/pattern.ts";
import { Interest, InterestFeed } from "./interest.ts";
import type { Link } from "./link.ts";

/**
 * Least interval between two reports of changed interest, in milliseconds. The changes in between are
 * sent together.
 */
const SEND_MS = 10;

/**
 * How long a client that hears everything may take to choose less, in milliseconds, before the other
 * relays learn of it. Most clients subscribe with their first line. Without this time, each that comes
 * would have all events of the cluster sent here for a moment.
 */
const CHOICE_MS = 25;

/** How long a change of interest may take to reach all relays, in milliseconds. */
const KNOWN_MS = 1000;

/** A wait until all relays know of a version. */
interface Waiter {
  /** The number of the version. `null` before it has been made. */
  version: number | null;
  readonly resolve: (isKnown: boolean) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Tells the other relays what the clients of one relay hear. */
export class InterestReporter {
  readonly #interest = new Interest();
  /** What each other relay has still to be told. */
  readonly #feeds = new Map<Link, InterestFeed>();
  readonly #isAlone: () => boolean;
  /** The times at which clients have come that hear everything, and have not been reported. */
  #newcomers: number[] = [];
  #choice: ReturnType<typeof setTimeout> | undefined;
  #isScheduled = false;
  #sendTimer: ReturnType<typeof setTimeout> | undefined;
  #sentAt = -Infinity;
  #waiters: Waiter[] = [];

  /**
   * Creates a reporter of a relay without clients.
   *
   * @param isAlone Returns whether no other relay can be reached.
   */
  constructor(isAlone: () => boolean) {
    this.#isAlone = isAlone;
  }

  /** Adds another relay, which is told of everything. */
  join(link: Link): void {
    this.#feeds.set(link, new InterestFeed(this.#interest));
  }

  /** Removes another relay. */
  leave(link: Link): void {
    this.#feeds.delete(link);
    this.check();
  }

  /** Notes a client that has come. It hears everything, but may choose less soon. */
  noteNewcomer(): void {
    this.#newcomers.push(performance.now());
    if (this.#newcomers.length === 1) this.#admitSoon();
  }

  /** Notes that a client more, or one fewer, hears a pattern. */
  note(pattern: string, queue: string, by: 1 | -1): void {
    const hearsLess = pattern === REST && queue === NO_QUEUE && by < 0;
    // If it is not the newcomer itself that has chosen, the newcomer now counts in its place.
    if (hearsLess && this.#newcomers.pop() !== undefined) return;
    this.#interest.change(pattern, queue, by);
    this.#sendSoon();
  }

  /** Reports clients that hear everything, once they have had time to subscribe. */
  #admit(): void {
    const end = performance.now() - CHOICE_MS;
    const count = this.#newcomers.findIndex((since) => since > end);
    const due = this.#newcomers.splice(0, count < 0 ? Infinity : count);
    for (const _ of due) this.#interest.change(REST, NO_QUEUE, 1);
    if (due.length > 0) this.#sendSoon();
    if (this.#newcomers.length > 0) this.#admitSoon();
  }

  #admitSoon(): void {
    clearTimeout(this.#choice);
    this.#choice = setTimeout(() => this.#admit(), CHOICE_MS);
  }

  /** Lets other relays choose clients of this one as members of queues no longer. */
  retire(): void {
    this.#interest.retire();
  }

  /** Reports changes of interest, together with those of the same moment. */
  #sendSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const wait = this.#sentAt + SEND_MS - performance.now();
    if (wait > 0) this.#sendTimer = setTimeout(() => this.send(), wait);
    else queueMicrotask(() => this.send());
  }

  /** Reports changes of interest to the other relays at once. */
  send(): void {
    if (!this.#isScheduled && !this.#interest.isChanged) return;
    clearTimeout(this.#sendTimer);
    this.#isScheduled = false;
    this.#sentAt = performance.now();
    const changes = this.#interest.takeChanges();
    for (const [link, feed] of this.#feeds) {
      feed.add(changes);
      this.tell(link);
    }
    for (const waiter of this.#waiters) waiter.version ??= this.#interest.version;
    this.check();
  }

  /** Tells another relay what it does not know, as far as there is room for it. */
  tell(link: Link): void {
    const feed = this.#feeds.get(link);
    while (feed && !feed.isEmpty && link.takesInterest) link.send(feed.next()!, 0);
  }

  /**
   * Returns a promise that resolves when all other relays know the present interest of this one, to
   * `false` if they cannot be expected to. Returns `null` if they know already.
   *
   * @param isForAll Whether a client waits for it that hears everything.
   */
  whenKnown(isForAll: boolean): Promise<boolean> | null {
    if (isForAll) {
      for (const _ of this.#newcomers.splice(0)) this.#interest.change(REST, NO_QUEUE, 1);
    }
    const version = this.#interest.isChanged ? null : this.#interest.version;
    if (version !== null && this.#isKnown(version)) return null;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#giveUp(waiter), KNOWN_MS);
      const waiter = { version, resolve, timer };
      this.#waiters.push(waiter);
      this.#sendSoon();
    });
  }

  #isKnown(version: number): boolean {
    for (const [link] of this.#feeds) if (link.known < version) return false;
    return !this.#isAlone();
  }

  #giveUp(waiter: Waiter): void {
    this.#waiters = this.#waiters.filter((each) => each !== waiter);
    waiter.resolve(false);
  }

  /** Looks who need not wait any longer. */
  check(): void {
    if (this.#waiters.length === 0) return;
    const waiters: Waiter[] = [];
    for (const waiter of this.#waiters) {
      const isKnown = waiter.version !== null && this.#isKnown(waiter.version);
      if (!isKnown && !this.#isAlone()) {
        waiters.push(waiter);
        continue;
      }
      clearTimeout(waiter.timer);
      waiter.resolve(isKnown);
    }
    this.#waiters = waiters;
  }

  /** Reports nothing more, and lets nobody wait. */
  close(): void {
    clearTimeout(this.#choice);
    clearTimeout(this.#sendTimer);
    for (const waiter of this.#waiters) clearTimeout(waiter.timer);
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(false);
  }
}
