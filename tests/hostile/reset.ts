/**
 * Peers that break off with a reset, in whatever state the connection is.
 *
 * @module
 */

import net from "node:net";
import type { Address } from "../../protocol/address.ts";

/** A connection that can be reset. It never reads unless told to. */
export class Resetter {
  /** Its address, as the relay's log shows it. */
  readonly address: string;
  readonly #socket: net.Socket;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    this.address = `${socket.localAddress}:${socket.localPort}`;
  }

  static async connect([hostname, port]: Address): Promise<Resetter> {
    const socket = net.connect({ host: hostname, port, allowHalfOpen: true });
    socket.on("error", () => {}); // Whatever it is, the connection is to be broken anyway.
    await new Promise((resolve) => socket.once("connect", resolve));
    return new Resetter(socket);
  }

  /** Sends text; resolves when the system has taken it. */
  send(text: string): Promise<void> {
    return new Promise((resolve) => this.#socket.write(text, () => resolve()));
  }

  /** Shuts down the sending side. */
  end(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(() => resolve()));
  }

  /** Sends a reset, and resolves when the socket is gone. */
  async reset(): Promise<void> {
    const gone = new Promise((resolve) => this.#socket.once("close", resolve));
    this.#socket.resetAndDestroy();
    await gone;
  }
}
