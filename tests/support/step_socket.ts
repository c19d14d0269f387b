/**
 * Sockets without an operating system, for tests that control each read and each write.
 */

import { concat } from "@std/bytes/concat";
import type { Socket } from "../../net/connection.ts";
import type { ConnectionListener } from "../../net/transport.ts";

const ADDRESS: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };

/** Accepts the given sockets, and no others. */
export class SocketListener implements ConnectionListener {
  readonly addr = ADDRESS;
  readonly #sockets: Socket[];
  readonly #closed = Promise.withResolvers<never>();

  constructor(...sockets: Socket[]) {
    this.#sockets = sockets;
    this.#closed.promise.catch(() => {});
  }

  accept(): Promise<Socket> {
    const socket = this.#sockets.shift();
    return socket ? Promise.resolve(socket) : this.#closed.promise;
  }

  close(): void {
    this.#closed.reject(new Deno.errors.BadResource("The listener is closed"));
  }
}

/** Accepts what the test connects. */
export class StepListener implements ConnectionListener {
  readonly addr = ADDRESS;
  #next = Promise.withResolvers<Socket>();
  #isClosed = false;

  /** Makes a socket, which the server is given. */
  connect(random: (below: number) => number): StepSocket {
    const socket = new StepSocket(random);
    this.#next.resolve(socket);
    return socket;
  }

  async accept(): Promise<Socket> {
    const socket = await this.#next.promise;
    if (this.#isClosed) throw new Deno.errors.BadResource("The listener is closed");
    this.#next = Promise.withResolvers();
    return socket;
  }

  close(): void {
    this.#isClosed = true;
    this.#next.promise.catch(() => {});
    this.#next.reject(new Deno.errors.BadResource("The listener is closed"));
  }
}

/** The end of a connection that the server has. */
export class StepSocket implements Socket {
  readonly remoteAddr = ADDRESS;
  /** Whether what is written has to wait for {@link takeSome}. */
  isSlow = false;

  readonly #random: (below: number) => number;
  readonly #written: Uint8Array[] = [];
  #reading: { buffer: Uint8Array; done: (length: number | null) => void } | null = null;
  #onRead = Promise.withResolvers<void>();
  #isClosed = false;
  #mayWrite = Promise.withResolvers<void>();

  /** Makes one that takes random parts of what is written while it is slow. */
  constructor(random: (below: number) => number) {
    this.#random = random;
  }

  /**
   * Gives the server `bytes`, in as many reads as it likes. Calls `onTaken` with each part before the
   * server sees it, and resolves when it has dealt with the last.
   */
  async give(bytes: Uint8Array, onTaken: (part: Uint8Array) => void): Promise<void> {
    while (bytes.length > 0) {
      await this.#untilReading();
      const { buffer, done } = this.#reading!;
      const part = bytes.subarray(0, buffer.length);
      bytes = bytes.subarray(part.length);
      buffer.set(part);
      onTaken(part);
      this.#reading = null;
      done(part.length);
    }
    await this.#untilReading();
  }

  /** Says that nothing more will come; resolves when the server has dealt with that. */
  async end(): Promise<void> {
    await this.#untilReading();
    this.#reading?.done(null);
    for (let i = 0; i < 10; i++) await null;
  }

  async #untilReading(): Promise<void> {
    while (!this.#reading && !this.#isClosed) await this.#onRead.promise;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    const { promise, resolve } = Promise.withResolvers<number | null>();
    this.#reading = { buffer, done: resolve };
    this.#tell();
    return promise;
  }

  #tell(): void {
    this.#onRead.resolve();
    this.#onRead = Promise.withResolvers();
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.isSlow) await this.#mayWrite.promise;
    const length = this.isSlow ? 1 + this.#random(bytes.length) : bytes.length;
    this.#written.push(bytes.slice(0, length));
    return length;
  }

  /** Takes some of what is being written. */
  takeSome(): void {
    this.#mayWrite.resolve();
    this.#mayWrite = Promise.withResolvers();
  }

  /** Takes all from now on. */
  takeAll(): void {
    this.isSlow = false;
    this.takeSome();
  }

  /** How often something has been taken. */
  get writes(): number {
    return this.#written.length;
  }

  /** All that has been taken. */
  written(): Uint8Array {
    return concat(this.#written);
  }

  closeWrite(): Promise<void> {
    this.#reading?.done(null); // as a peer does that reads to the end
    return Promise.resolve();
  }

  close(): void {
    this.#isClosed = true;
    this.#reading?.done(null);
    this.#mayWrite.resolve();
    this.#tell();
  }
}
