/**
 * A TCP proxy that cuts connections at random moments. Some of what a client has sent arrives later
 * than what it sends over its next connection.
 *
 * @module
 */

import type { Address } from "../../protocol/address.ts";
import { pause } from "../support/waiting.ts";

/** By how much later all arrives that a client sends over a connection, in milliseconds. */
const LATE_MS = [0, 0, 0, 5, 30, 100];

/** Passes on what clients and a server send, for a short time. */
export class CuttingProxy implements AsyncDisposable {
  /** Number of connections that were cut. */
  cuts = 0;
  /** Whether connections are still cut. */
  isCutting = true;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #to: readonly Address[];
  readonly #maxMs: number;
  readonly #connections = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;

  /** Passes on to one of the servers, at random. Each connection lives for at most `maxMs` milliseconds. */
  constructor(to: readonly Address[], maxMs: number) {
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
    const [hostname, port] = this.#to[Math.floor(Math.random() * this.#to.length)]!;
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect({ hostname, port });
    } catch {
      return close(client);
    }
    const lateMs = this.isCutting ? LATE_MS[Math.floor(Math.random() * LATE_MS.length)]! : 0;
    const there = copy(client, server, lateMs);
    const back = copy(server, client, 0);
    let isOver = false;
    Promise.race([there, back]).then(() => isOver = true);
    const life = Math.random() * this.#maxMs;
    for (const since = performance.now(); !isOver; await pause(5)) {
      if (!this.isCutting || performance.now() - since < life) continue;
      this.cuts++;
      break;
    }
    close(client);
    await there; // What the client has sent may still be on its way.
    close(server);
    await back;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    await Promise.all(this.#connections);
  }
}

/** Copies bytes until either side ends, so many milliseconds late. */
async function copy(from: Deno.TcpConn, to: Deno.TcpConn, lateMs: number): Promise<void> {
  const buffer = new Uint8Array(65_536);
  let last = Promise.resolve();
  try {
    for (let n; (n = await from.read(buffer)) !== null;) {
      const bytes = buffer.slice(0, n);
      const due = lateMs > 0 ? pause(lateMs) : null;
      last = last.then(() => due).then(() => write(to, bytes));
      last.catch(() => {});
      if (!due) await last;
    }
  } catch {
    // One of them has been closed.
  }
  await last.catch(() => {});
}

async function write(to: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It has been closed already.
  }
}
