/**
 * The load on a server: publishers, subscribers, and the check that every subscriber gets exactly
 * its bytes.
 *
 * All of it is raw TCP, so that nothing of the module runs on this side.
 *
 * @module
 */

import { startsWith } from "@std/bytes/starts-with";
import type { FrameRing } from "./frame_ring.ts";
import { type Stream, Subscriber } from "./subscriber.ts";
import type { Wire } from "./wire.ts";
import { within } from "./within.ts";

/** The most that is published with one write, in bytes, unless one frame is longer. */
const WRITE_BYTES = 65_536;

const READ_BYTES = 65_536;

/** How long any step may stand still, in milliseconds. */
const STALL_MS = 10_000;

/** What is to be sent, and to how many. */
export interface TrafficOptions {
  /** The port of the server, on 127.0.0.1. */
  readonly port: number;
  /** The ports of the servers that subscribers connect to in turn, if it is not that one. */
  readonly subscriberPorts?: readonly number[];
  /** The protocol of the server. */
  readonly wire: Wire;
  /** What each publisher sends, and what a subscriber gets of it; one for each publisher. */
  readonly streams: readonly Stream[];
  /** What a publisher gets for each event; `null` if nothing. */
  readonly replies?: FrameRing | null;
  /** How many connections receive. */
  readonly subscribers: number;
  /** Whether the publishers are the first of the subscribers, and get their own events too. */
  readonly chat?: boolean;
  /** How many more connections subscribe, and never read. */
  readonly stalled?: number;
  /** How many events may be published and not yet received by all subscribers. */
  readonly inFlight: number;
  /** Told of events `from` to `to` (exclusive) of the first publisher, received by a subscriber. */
  readonly onDelivered?: (from: number, to: number) => void;
}

/** Publishers and subscribers, connected to a server. */
export class Traffic implements Disposable {
  readonly #options: TrafficOptions;
  readonly #connections: Deno.TcpConn[] = [];
  readonly #stalled: Deno.TcpConn[] = [];
  readonly #publishers: Deno.TcpConn[] = [];
  readonly #subscribers: Subscriber[] = [];
  readonly #ends: Promise<void>[] = [];
  /** How many events each publisher has sent. */
  readonly #published: number[];
  #isFinishing = false;
  #failure: unknown;
  readonly #waiters = new Set<{ isTrue: () => boolean; resolve: () => void }>();

  private constructor(options: TrafficOptions) {
    this.#options = options;
    this.#published = options.streams.map(() => 0);
  }

  /**
   * Connects everyone. Publishers come last: a server accepts in the order of connecting, so it
   * knows all subscribers before it reads the first event.
   */
  static async connect(options: TrafficOptions): Promise<Traffic> {
    const traffic = new Traffic(options);
    try {
      await within(STALL_MS, "Connecting", traffic.#connect());
    } catch (error) {
      traffic[Symbol.dispose]();
      throw error;
    }
    return traffic;
  }

  async #connect(): Promise<void> {
    const { wire, streams, subscribers, stalled = 0, chat = false, port } = this.#options;
    const { subscriberPorts = [port] } = this.#options;
    const isShared = chat && !wire.separatePublishers;
    for (let i = 0; i < stalled; i++) {
      const connection = await this.#dial(this.#stalled, subscriberPorts[0]!);
      await wire.join(connection, "subscriber");
    }
    for (let i = 0; i < subscribers; i++) {
      const port = subscriberPorts[i % subscriberPorts.length]!;
      const connection = await this.#dial(this.#connections, port);
      await wire.join(connection, isShared ? "both" : "subscriber");
    }
    if (isShared) this.#publishers.push(...this.#connections);
    while (this.#publishers.length < streams.length) {
      const connection = await this.#dial(this.#connections, port);
      await wire.join(connection, "publisher");
      this.#publishers.push(connection);
    }
    await Promise.all(this.#connections.map((connection) => wire.settle(connection)));
    this.#connections.forEach((connection, i) => {
      this.#ends.push(i < subscribers ? this.#subscribe(connection) : this.#attend(connection));
    });
  }

  async #dial(list: Deno.TcpConn[], port: number): Promise<Deno.TcpConn> {
    const connection = await dial(port);
    list.push(connection);
    return connection;
  }

  /**
   * Publishes the next `count` events, as many from each publisher, and waits until every
   * subscriber has them.
   */
  async publish(count: number): Promise<void> {
    const share = Math.ceil(count / this.#publishers.length);
    await Promise.all(this.#publishers.map((_, i) => this.#publish(i, share)));
  }

  /** Publishes until `signal`, and waits until every subscriber has all of it. */
  async flood(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#publishers.map((_, i) => this.#publish(i, Infinity, signal)));
  }

  /** Writes one event of the first publisher, and does not wait for any delivery. */
  async send(): Promise<void> {
    await this.#write(0, this.#published[0]! + 1);
  }

  /** Waits until every subscriber has all that was published. */
  async settle(): Promise<void> {
    await this.#until(() => this.#published.every((count, i) => this.#delivered(i) === count));
  }

  async #publish(publisher: number, count: number, signal?: AbortSignal): Promise<void> {
    const { streams, inFlight } = this.#options;
    const { frameBytes } = streams[publisher]!.published;
    const window = Math.max(1, Math.floor(inFlight / streams.length));
    const batch = Math.max(
      1,
      Math.min(Math.floor(WRITE_BYTES / frameBytes), Math.ceil(window / 4)),
    );
    const target = this.#published[publisher]! + count;
    while (this.#published[publisher]! < target && !signal?.aborted) {
      const end = Math.min(this.#published[publisher]! + batch, target);
      await this.#until(() => end - this.#delivered(publisher) <= window);
      await this.#write(publisher, end);
    }
    const published = this.#published[publisher]!;
    await this.#until(() => this.#delivered(publisher) === published);
  }

  /** Publishes up to event `end`. */
  async #write(publisher: number, end: number): Promise<void> {
    const ring = this.#options.streams[publisher]!.published;
    const connection = this.#publishers[publisher]!;
    const target = end * ring.frameBytes;
    let position = this.#published[publisher]! * ring.frameBytes;
    this.#published[publisher] = end;
    while (position < target) {
      const bytes = ring.slice(position, target);
      try {
        position += await within(STALL_MS, "A write", connection.write(bytes));
      } catch (error) {
        throw this.#failure ?? error; // A subscriber that has failed reads no more.
      }
    }
  }

  /** Ends every connection in order; fails if a subscriber gets anything more before its end. */
  async finish(): Promise<void> {
    this.#isFinishing = true;
    for (const connection of this.#stalled.splice(0)) connection.close();
    for (const connection of this.#connections) await connection.closeWrite().catch(() => {});
    await within(STALL_MS, "Closing", Promise.all(this.#ends));
    if (this.#failure) throw this.#failure;
  }

  /** Gives all connections up. */
  [Symbol.dispose](): void {
    for (const connection of [...this.#stalled, ...this.#connections]) connection.close();
  }

  /** How many events of a publisher the slowest subscriber has received. */
  #delivered(publisher: number): number {
    let least = Infinity;
    for (const { received } of this.#subscribers) least = Math.min(least, received[publisher]!);
    return least;
  }

  async #until(isTrue: () => boolean): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (isTrue()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter = { isTrue, resolve };
    this.#waiters.add(waiter);
    try {
      await within(STALL_MS, "Waiting for deliveries", promise);
    } finally {
      this.#waiters.delete(waiter);
    }
    if (this.#failure) throw this.#failure;
  }

  #wake(): void {
    for (const { isTrue, resolve } of this.#waiters) if (this.#failure || isTrue()) resolve();
  }

  /** Its failure is thrown by whoever waits meanwhile. */
  async #guard(read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } catch (error) {
      this.#failure ??= error;
      this.#wake();
    }
  }

  #subscribe(connection: Deno.TcpConn): Promise<void> {
    const { streams, wire, onDelivered } = this.#options;
    const subscriber = new Subscriber(this.#subscribers.length + 1, streams, wire.farewell);
    this.#subscribers.push(subscriber);
    return this.#guard(async () => {
      for (;;) {
        const before = subscriber.received[0]!;
        if (!await subscriber.read(connection)) break;
        if (onDelivered) onDelivered(before, subscriber.received[0]!);
        if (this.#waiters.size > 0) this.#wake();
      }
      if (!this.#isFinishing) throw new Error(`${subscriber} was closed`);
    });
  }

  /** Listens to what the server tells a publisher. */
  #attend(connection: Deno.TcpConn): Promise<void> {
    const { replies, wire } = this.#options;
    connection.setNoDelay(true);
    return this.#guard(async () => {
      const buffer = new Uint8Array(READ_BYTES);
      let farewell: Uint8Array = wire.farewell;
      for (let position = 0;;) {
        const length = await connection.read(buffer);
        if (length === null && this.#isFinishing) return;
        const bytes = buffer.subarray(0, length ?? 0);
        if (length !== null && this.#isFinishing && startsWith(farewell, bytes)) {
          farewell = farewell.subarray(length);
          continue;
        }
        if (length === null || !replies || replies.mismatch(position, bytes) >= 0) {
          throw new Error(`A publisher received ${describe(bytes)}`);
        }
        position += length;
      }
    });
  }
}

/** Connects to a port of 127.0.0.1. */
export async function dial(port: number): Promise<Deno.TcpConn> {
  const signal = AbortSignal.timeout(STALL_MS);
  return await Deno.connect({ hostname: "127.0.0.1", port, signal });
}

function describe(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes.subarray(0, 200));
  return text === "" ? "its end" : JSON.stringify(text);
}
