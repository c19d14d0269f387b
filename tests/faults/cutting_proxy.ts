/**
 * A TCP proxy that cuts connections at random moments. Some of what a client has sent arrives later
 * than what it sends over its next connection.
 *
 * @module
 */

import type { Address } from "../../protocol/address.ts";
import { pause } from "../support/waiting.ts";

/** How a connection may end: for both at once, or for the client first. */
const LATE_MS = [0, 0, 5, 30, 100];

/** Passes on what clients and a server send, for a short time. */
export class CuttingProxy implements AsyncDisposable {
  /** Number of connections that were cut. */
  cuts = 0;
  /** Whether connections are still cut. */
  isCutting = true;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #to: Address;
  readonly #maxMs: number;
  readonly #connections = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;

  /** Passes on to a server. Each connection lives for at most `maxMs` milliseconds. */
  constructor(to: Address, maxMs: number) {
    this.#to = to;
    this.#maxMs = maxMs;
    this.#accepting = this.#accept();
  }

  get address(): Address {
    return ["127.0.0.1", (this.#listener.addr as Deno.NetAddr).port];
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      const connection = this.#connect(client).finally(() => this.#connections.delete(connection));
      this.#connections.add(connection);
    }
  }

  async #connect(client: Deno.TcpConn): Promise<void> {
    const [hostname, port] = this.#to;
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect({ hostname, port });
    } catch {
      return close(client);
    }
    const lateMs = LATE_MS[Math.floor(Math.random() * LATE_MS.length)]!;
    let isCut = false;
    const there = copy(client, server, async () => {
      if (isCut) await pause(lateMs);
    });
    const back = copy(server, client, () => Promise.resolve());
    const ended = Promise.race([there, back]);
    for (const life = Math.random() * this.#maxMs, since = performance.now();;) {
      const isOver = await Promise.race([ended.then(() => true), pause(5).then(() => false)]);
      if (isOver) break;
      if (!this.isCutting || performance.now() - since < life) continue;
      this.cuts++;
      isCut = true;
      close(client);
      await pause(lateMs);
      break;
    }
    close(client);
    close(server);
    await Promise.all([there, back]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    await Promise.all(this.#connections);
  }
}

/** Copies bytes until either side ends. */
async function copy(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  hold: () => Promise<void>,
): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    for (let n; (n = await from.read(buffer)) !== null;) {
      await hold();
      for (let at = 0; at < n;) at += await to.write(buffer.subarray(at, n));
    }
  } catch {
    // One of them has been closed.
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It has been closed already.
  }
}
