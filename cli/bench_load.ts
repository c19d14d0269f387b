/**
 * Owns what the two kinds of benchmark have in common: what is asked for, the events that are sent, the
 * clients that send them, and when to give up. Must not know what is measured.
 *
 * @module
 */

import type { EbsocketClient } from "../client.ts";
import { encodeLine } from "../protocol/encoder.ts";
import { EbsocketEvent } from "../protocol/event.ts";
import { describeEnd, describeRefusal } from "./errors.ts";

/** The shortest line that can be asked for, in bytes: the name and the number need so many. */
export const LEAST_SIZE = 96;

/** For how long nothing at all may happen before a benchmark gives up, in milliseconds. */
const STALL_MS = 10_000;

/** How often that is looked at, in milliseconds. */
const LOOK_MS = 250;

/** What is asked for. */
export interface LoadOptions {
  /** How many events or requests are sent in all. */
  readonly events: number;
  /** How long the line of each is, in bytes without its end. */
  readonly size: number;
  /** How many clients send. */
  readonly publishers: number;
  /** How many clients receive. */
  readonly subscribers: number;
  /** How many are sent in a second in all; `null`: as many as possible. */
  readonly rate: number | null;
}

/** What the events of a benchmark carry. */
interface LoadAttributes {
  /** The number of the event among those of its sender, from 0. */
  readonly n: number;
  /** Fills the line. */
  readonly pad: string;
}

/** Connects a client that hears what the patterns match; of a queue, its share of it. */
export type Connector = (patterns: readonly string[], queue?: string) => Promise<EbsocketClient>;

/** The events of one benchmark, under names that nobody else uses. */
export class LoadEvents {
  /** What all names have in common. */
  readonly prefix: string = `bench.${crypto.randomUUID().slice(0, 8)}`;
  readonly #size: number;
  readonly #pads = new Map<number, string>();

  /** Makes those whose lines have `size` bytes. */
  constructor(size: number) {
    this.#size = size;
  }

  /** The pattern that matches all of them. */
  get pattern(): string {
    return `${this.prefix}.*`;
  }

  /** The event `n` of a sender. */
  make(sender: number, n: number): EbsocketEvent<string, LoadAttributes> {
    const name = `${this.prefix}.${sender}`;
    const digits = name.length + String(n).length;
    let pad = this.#pads.get(digits);
    if (pad === undefined) {
      const bare = encodeLine(name, { n, pad: "" }).length - 1;
      pad = "x".repeat(Math.max(0, this.#size - bare));
      this.#pads.set(digits, pad);
    }
    return new EbsocketEvent(name, { n, pad });
  }

  /** Which event of which sender this is; `null` if it is none of these. */
  read(event: EbsocketEvent): [sender: number, n: number] | null {
    const n = event.getAttribute("n");
    if (typeof n !== "number" || !event.event.startsWith(`${this.prefix}.`)) return null;
    return [Number(event.event.slice(this.prefix.length + 1)), n];
  }
}

/** The clients of a benchmark. Disposing of them ends all connections. */
export class LoadClients implements AsyncDisposable {
  readonly #connect: Connector;
  readonly #named = new Map<string, EbsocketClient>();
  readonly #refusal = Promise.withResolvers<string>();

  /** Makes an empty list. */
  constructor(connect: Connector) {
    this.#connect = connect;
  }

  /** Connects so many, one after the other; errors call them by `role`. */
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
      this.#watch(client);
      clients.push(client);
    }
    return clients;
  }

  /** What the relay says when it first refuses an event, for people. */
  get refusal(): Promise<string> {
    return this.#refusal.promise;
  }

  async #watch(client: EbsocketClient): Promise<void> {
    for await (const status of client.status()) {
      if (status.type === "refused") this.#refusal.resolve(describeRefusal(status.event, status));
    }
  }

  /** What has become of those that the relay has disconnected, for people. */
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
  }
}

/**
 * Waits for `work`; gives it up, with a sentence that says why, if `trouble` comes, or `done()` does not
 * change for a while.
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
      stalled.resolve(`Nothing has happened for ${stallMs} ms, so that it was given up`);
    }
  }, LOOK_MS);
  try {
    return await Promise.race([work.then(() => null), trouble, stalled.promise]);
  } finally {
    clearInterval(timer);
  }
}
