/**
 * Owns what a relay finds out for a client that asks how it is, and for how long it counts names for
 * that. Must not know the lines of question and answer.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { Recipient } from "../server/subscriber_group.ts";
import type { Subscriber } from "./subscriber.ts";
import { largest } from "./largest.ts";
import {
  type ClientReport,
  encodeAnswer,
  encodeReport,
  MAX_CLIENTS,
  MAX_NAMES,
  type RelayReport,
  type RelayStats,
  sizeOfSubscription,
  type SubscriptionReport,
} from "../protocol/report.ts";
import type { RouteCache } from "./route_cache.ts";
import { NO_QUEUE } from "../protocol/routing.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { ClientCounters } from "./stats.ts";

/** For how long names are counted after the last question, in milliseconds. */
const WATCH_MS = 5000;

/** How many subscriptions of one client an answer has, and how long they may be in all, in bytes. */
const MAX_SUBSCRIPTIONS = 10;
const MAX_SUBSCRIPTION_BYTES = 1000;

/** For how long the same answer is given again, in milliseconds: to find out takes some time. */
const MAX_AGE_MS = 100;

/** A client that can be reported. */
export interface Reported extends Recipient, ClientCounters {
  /** Which client it is. */
  readonly id: number;
  /** Where it is. */
  readonly address: Address;
  /** How many bytes wait for it. */
  readonly pendingBytes: number;
  /** How many events have been queued for it. */
  readonly eventsOut: number;
}

/** What can be found out about a relay. */
export interface Subject<R extends Reported> {
  /** Its figures. */
  stats(): RelayStats;
  /** Its clients. */
  subscribers(): Iterable<Subscriber<R>>;
  /** The names that it has heard of. */
  readonly routes: RouteCache<R>;
}

/** Finds out how one relay is. */
export class Inspector<R extends Reported> {
  readonly #subject: Subject<R>;
  #startedAt = 0;
  #report: RelayReport | null = null;
  #reportedAt = 0;
  /** The same, encoded once somebody has asked for it. */
  #members: Uint8Array | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(subject: Subject<R>) {
    this.#subject = subject;
  }

  /** How the relay is. From the first question on, and until nobody has asked for 5 s, names count. */
  inspect(): RelayReport {
    const { routes } = this.#subject;
    const now = performance.now();
    if (!routes.isCounting) {
      routes.startCounting();
      this.#startedAt = now;
      this.#report = null;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop(), WATCH_MS);
    if (!this.#report || now - this.#reportedAt > MAX_AGE_MS) {
      this.#report = this.#find(Math.round(now - this.#startedAt));
      this.#reportedAt = now;
      this.#members = null;
    }
    return this.#report;
  }

  /** The line that says so; all who ask in one moment get the same, but for what it is called. */
  answer(id: string | undefined): Uint8Array {
    const report = this.inspect();
    return encodeAnswer(id, this.#members ??= encodeReport(report));
  }

  #find(watchedMs: number): RelayReport {
    const { routes } = this.#subject;
    const most = largest(
      this.#subject.subscribers(),
      MAX_CLIENTS,
      (one, two) =>
        two.recipient.pendingBytes - one.recipient.pendingBytes || traffic(two) - traffic(one),
    );
    return {
      relay: this.#subject.stats(),
      clients: most.map(toReport),
      names: routes.counts(MAX_NAMES).map(([name, events]) => ({ name, events })),
      watchedMs,
    };
  }

  /** Counts no longer. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#subject.routes.isCounting = false;
    this.#report = null;
    this.#members = null;
  }
}

function traffic({ recipient }: Subscriber<Reported>): number {
  return recipient.bytesIn + recipient.bytesOut;
}

function toReport({ recipient, subscriptions }: Subscriber<Reported>): ClientReport {
  const { id, address, eventsIn, eventsOut, bytesIn, bytesOut, pendingBytes } = recipient;
  return {
    id,
    address,
    eventsIn,
    eventsOut,
    bytesIn,
    bytesOut,
    pendingBytes,
    subscriptionCount: subscriptions.isNarrowed ? subscriptions.size : null,
    subscriptions: someOf(subscriptions),
  };
}

function someOf(subscriptions: Subscriptions): SubscriptionReport[] {
  const some: SubscriptionReport[] = [];
  let room = MAX_SUBSCRIPTION_BYTES;
  for (const [pattern, queue] of subscriptions) {
    const report = queue === NO_QUEUE ? { pattern } : { pattern, queue };
    room -= sizeOfSubscription(report);
    if (room < 0 || some.length === MAX_SUBSCRIPTIONS) break;
    some.push(report);
  }
  return some;
}
