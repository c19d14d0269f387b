/**
 * Connections within one process that need neither sockets nor permissions.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import { concat } from "@std/bytes/concat";
import { AcceptQueue } from "./accept_queue.ts";
import type { Socket } from "./connection.ts";
import type { ConnectionListener, Dialer } from "./transport.ts";

/** Bytes that a pipe holds before writes wait, about the same as a local socket. */
const PIPE_BYTES = 262_144;

/** Host name of memory addresses. */
const HOSTNAME = "memory";

/** Number of listeners created so far. Each one uses its number as port. */
let listeners = 0;

/**
 * A listener for clients in the same process. Pass it to `EbsocketServer` as `listener` and to
 * `client.connectTo()` as the destination.
 *
 * @example A server and a client without a socket
 * ```ts
 * import { EbsocketClient, EbsocketEvent, EbsocketServer, EbsocketSystem } from "@ebsockets/relay";
 * import { MemoryListener } from "@ebsockets/relay/testing";
 * import { assertEquals } from "@std/assert/equals";
 *
 * const listener = new MemoryListener();
 * await using system = new EbsocketSystem(new EbsocketServer({ listener }));
 * await using client = new EbsocketClient();
 * await client.connectTo(listener);
 * client.sendEvent(new EbsocketEvent("ping"));
 * for await (const notice of system) {
 *   if (notice.type !== "event") continue;
 *   assertEquals(notice.event.event, "ping");
 *   break;
 * }
 * ```
 */
export class MemoryListener implements ConnectionListener, Dialer {
  /** Address of the listener: `memory` and a unique number. */
  readonly address: Address = [HOSTNAME, ++listeners];
  /** The same address in the form of a Deno listener. */
  readonly addr: Deno.NetAddr = {
    transport: "tcp",
    hostname: this.address[0],
    port: this.address[1],
  };
  readonly #backlog = new AcceptQueue<Socket>();
  #dialled = 0;

  /** Resolves to the next connection. */
  accept(): Promise<Socket> {
    return this.#backlog.next(() => {});
  }

  /**
   * Creates a connection.
   *
   * @returns The client's end of the connection.
   * @throws {Deno.errors.ConnectionRefused} If the listener is closed.
   */
  dial(): Promise<Socket> {
    if (!this.#backlog.isOpen) {
      return Promise.reject(new Deno.errors.ConnectionRefused("The listener is closed"));
    }
    const [there, here] = [new Pipe(), new Pipe()];
    const peer: Deno.NetAddr = { ...this.addr, port: ++this.#dialled };
    this.#backlog.add(new MemorySocket(there, here, peer));
    return Promise.resolve(new MemorySocket(here, there, this.addr));
  }

  /** Stops listening and closes connections that have not been accepted. */
  close(): void {
    this.#backlog.close();
  }
}

/** One end of a connection. It reads from one pipe and writes to another. */
class MemorySocket implements Socket {
  readonly remoteAddr: Deno.NetAddr;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;
  #isOpen = true;

  constructor(incoming: Pipe, outgoing: Pipe, remoteAddr: Deno.NetAddr) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.remoteAddr = remoteAddr;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const length = await this.#incoming.read(buffer);
    if (!this.#isOpen) throw new Deno.errors.BadResource("The connection is closed");
    return length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const length = await this.#outgoing.write(bytes);
    if (length > 0 || bytes.length === 0) return length;
    throw this.#isOpen
      ? new Deno.errors.BrokenPipe("The peer has closed the connection")
      : new Deno.errors.BadResource("The connection is closed");
  }

  closeWrite(): Promise<void> {
    this.#outgoing.end();
    return Promise.resolve();
  }

  close(): void {
    this.#isOpen = false;
    this.#outgoing.end();
    this.#incoming.abandon();
  }
}

/** Bytes in transit in one direction. */
class Pipe {
  #bytes = new Uint8Array(0);
  #isEnded = false;
  #isAbandoned = false;
  #news = Promise.withResolvers<void>();

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#bytes.length === 0 && !this.#isEnded && !this.#isAbandoned) {
      await this.#news.promise;
    }
    if (this.#bytes.length === 0) return null;
    const length = Math.min(buffer.length, this.#bytes.length);
    buffer.set(this.#bytes.subarray(0, length));
    this.#bytes = this.#bytes.subarray(length);
    this.#tell();
    return length;
  }

  /** Takes some of `bytes` once there is room. Resolves to 0 if the reader is gone. */
  async write(bytes: Uint8Array): Promise<number> {
    while (this.#bytes.length >= PIPE_BYTES && !this.#isEnded && !this.#isAbandoned) {
      await this.#news.promise;
    }
    if (this.#isEnded || this.#isAbandoned) return 0;
    const taken = bytes.subarray(0, PIPE_BYTES - this.#bytes.length);
    this.#bytes = concat([this.#bytes, taken]);
    this.#tell();
    return taken.length;
  }

  /** Marks the end of writing. */
  end(): void {
    this.#isEnded = true;
    this.#tell();
  }

  /** Marks the end of reading. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#bytes = new Uint8Array(0);
    this.#tell();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
