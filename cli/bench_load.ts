/**
 * What both benchmarks share: their options, events, pace, clients, and stall time-out.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import { encodeLine } from "../protocol/encoder.ts";
import { EbsocketEvent } from "../event.ts";
import { describeEnd, describeRefusal } from "./errors.ts";

/** The shortest line that can be requested, in bytes. The name and the number take that many. */
export const MIN_SIZE = 96;

/** How long a benchmark may make no progress before it gives up, in milliseconds. */
const STALL_MS = 10_000;

/** How often progress is checked, in milliseconds. */
const LOOK_MS = 250;

/**
 * How long before an event is due the pacer stops relying on a timer, in milliseconds. Timers in
 * Deno fire up to two milliseconds late. For the rest of the time, the event loop is kept turning.
 */
const TIMER_SLACK_MS = 4;

/** The options of a load. */
export interface LoadOptions {
  /** The total number of events or requests to send. */
  readonly events: number;
  /** The length of each line, in bytes without its line end. */
  readonly size: number;
  /** The number of clients that send. */
  readonly publishers: number;
  /** The number of clients that receive. */
  readonly subscribers: number;
  /** The number of events that all senders together send in a second; `null` for no limit. */
  readonly rate: number | null;
}

/** The attributes of a benchmark event. */
interface LoadAttributes {
  /** The number of the event among those of its sender, from 0. */
  readonly n: number;
  /** Fills the line up to its length. */
  readonly pad: string;
}

/** Connects a client that subscribes to `patterns`, as a member of `queue` if that is given. */
export type Connector = (patterns: readonly string[], queue?: string) => Promise<EbsocketClient>;

/** The events of one benchmark, under names that no other program uses. */
export class LoadEvents {
  /** The common prefix of all names. */
  readonly prefix: string = `bench.${crypto.randomUUID().slice(0, 8)}`;
  readonly #pad: string;

  /** Creates events whose lines have `size` bytes. */
  constructor(size: number) {
    const { length } = encodeLine(`${this.prefix}.`, { n: 0, pad: "" });
    this.#pad = "x".repeat(Math.max(0, size + "0\n".length - length));
  }

  /** The pattern that matches all of these events. */
  get pattern(): string {
    return `${this.prefix}.*`;
  }

  /** Returns event `n` of a sender. */
  make(sender: number, n: number): EbsocketEvent<string, LoadAttributes> {
    const pad = this.#pad.slice(`${sender}${n}`.length);
    return new EbsocketEvent(`${this.prefix}.${sender}`, { n, pad });
  }

  /**
   * Returns the sender and number of an event, or `null` if it does not belong to this benchmark.
   */
  read(event: EbsocketEvent): [sender: number, n: number] | null {
    const n = event.getAttribute("n");
    if (typeof n !== "number" || !event.event.startsWith(`${this.prefix}.`)) return null;
    return [Number(event.event.slice(this.prefix.length + 1)), n];
  }
}

/** The position of one sender among those that share a rate. */
export interface PaceOptions {
  /** The number of events that all senders together send in a second. */
  readonly perSecond: number;
  /** The number of senders. */
  readonly senders?: number;
  /** The number of this sender, from 0. */
  readonly sender?: number;
  /** When the first event of the first sender is due, on the clock of `performance.now()`. */
  readonly start: number;
}

/**
 * Computes when the events of one sender are due. Those of all senders together are evenly spaced.
 *
 * The times are fixed before anything is sent (an "open loop"). If a relay stalls, the events that
 * were due meanwhile count as late. Waiting for the relay first would hide them, which is known as
 * coordinated omission.
 */
export class Pace {
  readonly #start: number;
  readonly #interval: number;

  /** Creates the pace of one sender. */
  constructor({ perSecond, senders = 1, sender = 0, start }: PaceOptions) {
    this.#start = start + 1000 * sender / perSecond;
    this.#interval = 1000 * senders / perSecond;
  }

  /** Returns when event `n`, from 0, is due, on the clock of `performance.now()`. */
  due(n: number): number {
    return this.#start + n * this.#interval;
  }

  /** Returns a promise that resolves when event `n` is due, or `null` if it already is. */
  wait(n: number): Promise<void> | null {
    const due = this.due(n);
    return performance.now() >= due ? null : waitUntil(due);
  }
}

async function waitUntil(due: number): Promise<void> {
  const left = due - performance.now();
  if (left > TIMER_SLACK_MS) {
    await new Promise((resolve) => setTimeout(resolve, left - TIMER_SLACK_MS));
  }
  while (performance.now() < due) await new Promise((resolve) => setImmediate(resolve));
}

/** The clients of a benchmark. Disposing of them ends all connections. */
export class LoadClients implements AsyncDisposable {
  readonly #connect: Connector;
  readonly #named = new Map<string, EbsocketClient>();
  readonly #refusal = Promise.withResolvers<string>();
  readonly #watches: Promise<void>[] = [];

  /** Creates an empty list of clients. */
  constructor(connect: Connector) {
    this.#connect = connect;
  }

  /**
   * Connects `count` clients, one after the other. Errors name them by `role` and number. Resolves
   * to the clients.
   */
  async open(
    role: string,
    count: number,
    patterns: readonly string[],
    queue?: string,
  ): Promise<EbsocketClient[]> {
    const clients: EbsocketClient[] = [];
    for (let number = 1; number <= count; number++) {
      const client = await this.#connect(patterns, queue);
      this.#named.set(`${role} ${number}`, client);
      this.#watches.push(this.#watch(client));
      clients.push(client);
    }
    return clients;
  }

  /** Resolves to the first refusal of an event by the relay, as text for a person. */
  get refusal(): Promise<string> {
    return this.#refusal.promise;
  }

  /** Notes the first refusal of a client. There may be one for each of its events. */
  async #watch(client: EbsocketClient): Promise<void> {
    for await (const status of client.status()) {
      if (status.type !== "refused") continue;
      return this.#refusal.resolve(describeRefusal(status.event, status));
    }
  }

  /** Resolves to one text for each client that the relay has disconnected. */
  async faults(): Promise<string[]> {
    const faults: string[] = [];
    for (const [name, client] of this.#named) {
      if (client.connected) continue;
      faults.push(`${name} was disconnected: ${describeEnd(await client.closed)}`);
    }
    return faults;
  }

  /** Ends all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#named.values().map((client) => client.abort()));
    await Promise.all(this.#watches);
  }
}

/**
 * Waits for `work`. Gives up if `trouble` resolves, or if `done()` does not change for `stallMs`.
 * Resolves to the reason for giving up, or to `null`.
 */
export async function untilStalled(
  work: Promise<unknown>,
  trouble: Promise<string>,
  done: () => number,
  stallMs: number = STALL_MS,
): Promise<string | null> {
  const stalled = Promise.withResolvers<string>();
  let seen = done();
  let since = performance.now();
  const timer = setInterval(() => {
    if (done() !== seen) {
      seen = done();
      since = performance.now();
    } else if (performance.now() - since >= stallMs) {
      stalled.resolve(`Gave up: no progress for ${stallMs / 1000} s`);
    }
  }, LOOK_MS);
  try {
    return await Promise.race([work.then(() => null), trouble, stalled.promise]);
  } finally {
    clearInterval(timer);
  }
}
