/**
 * Owns the load on a relay: one publisher, many subscribers, and the check that every subscriber
 * gets exactly the bytes that were published. Must not know processes or figures.
 *
 * All of it is raw TCP, so that nothing of the module runs on this side.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { LINE_BYTES } from "./fixtures.ts";
import { within } from "./within.ts";

/** The most that is published with one write, in bytes: whole lines that fit into 64 KiB. */
const WRITE_BYTES = Math.floor(65_536 / LINE_BYTES) * LINE_BYTES;

const READ_BYTES = 65_536;

/** How long any step may stand still, in milliseconds. */
const STALL_MS = 10_000;

/** What is to be sent, and to how many. */
export interface TrafficOptions {
  /** The port of the relay, on 127.0.0.1. */
  readonly port: number;
  /** How many connections receive. */
  readonly subscribers: number;
  /** All lines that are published, in order, {@link LINE_BYTES} each, no two of them alike. */
  readonly lines: Uint8Array<ArrayBuffer>;
  /** How many events may be published and not yet received by all subscribers. */
  readonly inFlight: number;
}

/** One publisher and its subscribers, connected to a relay that does not echo. */
export class Traffic implements Disposable {
  readonly #lines: Uint8Array<ArrayBuffer>;
  readonly #windowBytes: number;
  readonly #connections: Deno.TcpConn[] = [];
  readonly #ends: Promise<void>[] = [];
  /** How many bytes each subscriber has received. */
  readonly #received: number[] = [];
  #published = 0;
  #isFinishing = false;
  #failure: unknown;
  #wake = (): void => {};

  private constructor({ lines, inFlight }: TrafficOptions) {
    this.#lines = lines;
    this.#windowBytes = inFlight * LINE_BYTES;
  }

  /**
   * Connects everyone. The publisher comes last: a relay accepts in the order of connecting, so it
   * knows all subscribers before it reads the first event.
   */
  static async connect(options: TrafficOptions): Promise<Traffic> {
    const traffic = new Traffic(options);
    try {
      for (let i = 0; i < options.subscribers; i++) traffic.#subscribe(await dial(options.port));
      traffic.#attend(await dial(options.port));
    } catch (error) {
      traffic[Symbol.dispose]();
      throw error;
    }
    return traffic;
  }

  /** Publishes the next `count` events, and waits until every subscriber has them. */
  async publish(count: number): Promise<void> {
    const target = this.#published + count * LINE_BYTES;
    const size = Math.min(WRITE_BYTES, this.#windowBytes);
    while (this.#published < target) {
      const end = Math.min(this.#published + size, target);
      await this.#until(() => end - this.#delivered() <= this.#windowBytes);
      const bytes = this.#lines.subarray(this.#published, end);
      this.#published += await within(STALL_MS, "A write", this.#publisher.write(bytes));
    }
    await this.#until(() => this.#delivered() === target);
  }

  /** Ends every connection in order; fails if a subscriber gets anything more before its end. */
  async finish(): Promise<void> {
    this.#isFinishing = true;
    for (const connection of this.#connections) await connection.closeWrite();
    await within(STALL_MS, "Closing", Promise.all(this.#ends));
    if (this.#failure) throw this.#failure;
  }

  /** Gives all connections up. */
  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection.close();
  }

  get #publisher(): Deno.TcpConn {
    return this.#connections.at(-1)!;
  }

  /** How many bytes the slowest subscriber has received. */
  #delivered(): number {
    return Math.min(...this.#received);
  }

  async #until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      if (this.#failure) throw this.#failure;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await within(STALL_MS, "Waiting for a delivery", promise);
    }
  }

  /** Runs what reads from a connection; its failure is thrown by whoever waits meanwhile. */
  #run(connection: Deno.TcpConn, read: () => Promise<void>): void {
    this.#connections.push(connection);
    this.#ends.push(
      read().catch((error) => {
        this.#failure ??= error;
        this.#wake();
      }),
    );
  }

  #subscribe(connection: Deno.TcpConn): void {
    const index = this.#received.push(0) - 1;
    this.#run(connection, async () => {
      const buffer = new Uint8Array(READ_BYTES);
      for (;;) {
        const length = await connection.read(buffer);
        if (length === null) break;
        this.#check(index, buffer.subarray(0, length));
        this.#received[index]! += length;
        this.#wake();
      }
      if (this.#received[index]! < this.#lines.length) {
        throw new Error(`Subscriber ${index + 1} was closed, ${this.#place(index)}`);
      }
    });
  }

  /** Compares what a subscriber has just received with what comes next. */
  #check(index: number, bytes: Uint8Array): void {
    const start = this.#received[index]!;
    const expected = this.#lines.subarray(start, start + bytes.length);
    // Native, and so many times cheaper than any loop: the reader must keep up with the relay.
    if (Buffer.compare(bytes, expected) === 0) return;
    const same = bytes.findIndex((byte, i) => byte !== expected[i]);
    this.#received[index]! += same;
    throw new Error(
      `Subscriber ${index + 1} received ${excerpt(bytes, same)}, not ${excerpt(expected, same)}, ` +
        this.#place(index),
    );
  }

  #place(index: number): string {
    const received = this.#received[index]!;
    return `at byte ${received % LINE_BYTES} of event ${Math.floor(received / LINE_BYTES) + 1}`;
  }

  /** Listens to what the relay tells the publisher: nothing, unless something is wrong. */
  #attend(connection: Deno.TcpConn): void {
    connection.setNoDelay(true);
    this.#run(connection, async () => {
      const buffer = new Uint8Array(READ_BYTES);
      const length = await connection.read(buffer);
      if (length === null && this.#isFinishing) return;
      throw new Error(`The publisher received ${excerpt(buffer.subarray(0, length ?? 0))}`);
    });
  }
}

async function dial(port: number): Promise<Deno.TcpConn> {
  const signal = AbortSignal.timeout(STALL_MS);
  return await Deno.connect({ hostname: "127.0.0.1", port, signal });
}

/** What stands at `start`, for an error message. */
function excerpt(bytes: Uint8Array, start = 0): string {
  const text = new TextDecoder().decode(bytes.subarray(start, start + LINE_BYTES));
  return text === "" ? "its end" : JSON.stringify(text);
}
