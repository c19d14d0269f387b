/**
 * Owns connections within one process, without sockets and permissions: what is written at one end is
 * read at the other. Must not know what is said over them.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import { concat } from "@std/bytes/concat";
import type { Socket } from "./connection.ts";
import type { ConnectionListener, Dialer } from "./transport.ts";

/** How much a pipe holds before writing waits, in bytes: about what a local socket takes at once. */
const PIPE_BYTES = 262_144;

/** Calls itself this, in place of a host name. */
const HOSTNAME = "memory";

/** How many listeners there have been: each has a number in place of a port. */
let listeners = 0;

/**
 * Listens to clients in the same process: give it to `EbsocketServer` as `listener`, and to
 * `client.connectTo()` as where to connect.
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
  /** What it is called: `memory`, and a number of its own. */
  readonly address: Address = [HOSTNAME, ++listeners];
  /** The same, as listeners give it. */
  readonly addr: Deno.NetAddr = {
    transport: "tcp",
    hostname: this.address[0],
    port: this.address[1],
  };
  /** The ends that nobody has accepted yet. */
  readonly #backlog: Socket[] = [];
  #isOpen = true;
  #dialled = 0;
  #news = Promise.withResolvers<void>();

  /** Waits for the next connection. */
  async accept(): Promise<Socket> {
    for (;;) {
      if (!this.#isOpen) throw new Deno.errors.BadResource("The listener is closed");
      const socket = this.#backlog.shift();
      if (socket) return socket;
      await this.#news.promise;
    }
  }

  /**
   * Makes a connection.
   *
   * @throws {Deno.errors.ConnectionRefused} If the listener has been closed.
   */
  dial(): Promise<Socket> {
    if (!this.#isOpen) {
      return Promise.reject(new Deno.errors.ConnectionRefused("The listener is closed"));
    }
    const [there, here] = [new Pipe(), new Pipe()];
    const peer: Deno.NetAddr = { ...this.addr, port: ++this.#dialled };
    this.#backlog.push(new MemorySocket(there, here, peer));
    this.#tell();
    return Promise.resolve(new MemorySocket(here, there, this.addr));
  }

  /** Listens no longer, and closes what nobody has accepted. */
  close(): void {
    this.#isOpen = false;
    for (const socket of this.#backlog) socket.close();
    this.#tell();
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}

/** One end of a connection: reads from one pipe, and writes into another. */
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

/** Bytes on their way in one direction. */
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

  /** Takes some of `bytes`, as soon as there is room; none once nobody reads any more. */
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

  /** Nothing more will be written. */
  end(): void {
    this.#isEnded = true;
    this.#tell();
  }

  /** Nothing more will be read. */
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
