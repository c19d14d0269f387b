/**
 * Reports the state of a relay to its clients, and counts event names while reports are requested.
 *
 * @module
 */

import type { Recipient } from "../server/subscriber_group.ts";
import type { Subscriber } from "./subscription_table.ts";
import { largest } from "./largest.ts";
import {
  type ClientReport,
  encodeAnswer,
  encodeReport,
  MAX_CLIENTS,
  MAX_NAMES,
  MAX_REPORTED_QUEUES,
  type NameReport,
  type QueueReport,
  type RelayClient,
  type RelayReport,
  type RelayStats,
  sizeOfSubscription,
  type SubscriptionReport,
} from "../protocol/report.ts";
import type { Departures } from "./departures.ts";
import type { RouteCache } from "./route_cache.ts";
import { NO_QUEUE } from "../protocol/names.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { VERSION } from "../protocol/version.ts";

/** Time that names are counted after the last request, in milliseconds. */
const WATCH_MS = 5000;

/**
 * Maximum number of one client's subscriptions in a report, and their maximum total size in bytes.
 */
const MAX_SUBSCRIPTIONS = 10;
const MAX_SUBSCRIPTION_BYTES = 1000;

/** Time that a report is reused, in milliseconds, because collecting one is expensive. */
const MAX_AGE_MS = 100;

/** A client that a report can include. */
export type Reported = Recipient & RelayClient;

/** The relay, as the inspector sees it. */
export interface Subject<R extends Reported> {
  /** Returns the relay's statistics. */
  stats(): RelayStats;
  /** Returns the relay's clients. */
  subscribers(): Iterable<Subscriber<R>>;
  /** Returns the `max` queues with the most members. */
  largestQueues(max: number): QueueReport[];
  /** The event names that the relay has seen. */
  readonly routes: RouteCache<R>;
  /** The clients that have left. */
  readonly departures: Departures;
  /** Returns clients of other relays of the cluster, as these reported them lately. */
  elsewhere(): readonly ClientReport[];
  /** Returns whether an event of this name reaches clients of other relays. */
  isHeardElsewhere(name: string): boolean;
}

/** Reports the state of one relay. */
export class Inspector<R extends Reported> {
  readonly #subject: Subject<R>;
  #startedAt = 0;
  #report: RelayReport | null = null;
  #reportedAt = 0;
  /** The encoded report, or `null` until a client requests it. */
  #members: Uint8Array | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(subject: Subject<R>) {
    this.#subject = subject;
  }

  /**
   * Returns the state of the relay. Counts event names from the first call until 5 s after the last
   * one.
   */
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

  /**
   * Returns the line that answers a request. Requests within a short time share one report and
   * differ only in their `id`.
   */
  answer(id: string | undefined): Uint8Array {
    const report = this.inspect();
    return encodeAnswer(id, this.#members ??= encodeReport(report));
  }

  /** Returns the clients of this relay: those with the longest queues, then the busiest. */
  clients(): ClientReport[] {
    return largest(
      this.#subject.subscribers(),
      MAX_CLIENTS,
      (a, b) => compare(a.recipient, b.recipient),
    ).map(toReport);
  }

  #find(watchedMs: number): RelayReport {
    const { routes, departures } = this.#subject;
    const elsewhere = this.#subject.elsewhere();
    const own = this.clients();
    return {
      relay: this.#subject.stats(),
      clients: elsewhere.length === 0
        ? own
        : [...own, ...elsewhere].sort(compare).slice(0, MAX_CLIENTS),
      names: routes.counts(MAX_NAMES).map((report) => this.#hearersOf(report)),
      watchedMs,
      version: VERSION,
      queues: this.#subject.largestQueues(MAX_REPORTED_QUEUES),
      departures: departures.latest(),
    };
  }

  /** Leaves out the number of hearers if there are others at other relays. */
  #hearersOf({ hearers, ...report }: NameReport): NameReport {
    const isKnown = hearers !== undefined && !this.#subject.isHeardElsewhere(report.name);
    return isKnown ? { ...report, hearers } : report;
  }

  /** Stops counting. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#subject.routes.isCounting = false;
    this.#report = null;
    this.#members = null;
  }
}

type Traffic = Pick<RelayClient, "pendingBytes" | "bytesIn" | "bytesOut">;

function compare(a: Traffic, b: Traffic): number {
  return b.pendingBytes - a.pendingBytes || b.bytesIn + b.bytesOut - a.bytesIn - a.bytesOut;
}

function toReport({ recipient, subscriptions }: Subscriber<Reported>): ClientReport {
  const { id, address, transport, eventsIn, eventsOut, bytesIn, bytesOut, pendingBytes } =
    recipient;
  return {
    id,
    address,
    transport,
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
