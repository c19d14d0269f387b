/**
 * Owns the way between Deno's sockets and Node's TLS, which works on Node's streams: a stream made of
 * a TCP connection, and a {@link Duplex} made of the TLS stream over it. Must not know certificates,
 * or who is trusted.
 *
 * TLS is Node's in both directions, for three things that Deno's own cannot do (seen on Deno 2.9.6):
 * `Deno.listenTls` does not ask for client certificates, does not give access to `setNoDelay`, and a
 * `Deno.TlsConn` that is closed in the middle of its handshake keeps its file descriptor until the
 * peer goes away, so that a deadline for the handshake would be one in name only. Here the TCP
 * connection stays in our hands, and closing it always closes it.
 *
 * @module
 */

import type { Duplex as NodeDuplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Socket } from "./connection.ts";
import { clearTimers, nextTurn, noteTurn, shareTurns, turnIsOver } from "./turn.ts";

/**
 * A module of Node, loaded when it is first asked for: it takes some 70 ms and 10 MB, which only
 * those who use TLS are to pay, and which a constructor cannot wait for with `import()`.
 */
export function nodeModule<T>(name: "node:crypto" | "node:stream" | "node:tls"): T {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: string): T };
  };
  return process.getBuiltinModule(name);
}

/** How much is read from the network at once: at first, and once reads fill that, in bytes. */
const MIN_READ_BYTES = 4096;
const MAX_READ_BYTES = 65_536;

/** How much is written at once, in bytes, so that progress shows while a slow peer takes it. */
const MAX_WRITE_BYTES = 65_536;

/** A TCP connection as a stream of Node. */
export interface RawStream {
  /** The stream. */
  readonly stream: NodeDuplex;
  /** Whether the peer has ended the TCP connection. */
  readonly ended: boolean;
  /**
   * Whether to read from the network, as at first. The streams of Node do not slow a peer down that
   * nobody reads from: what it sends would pile up in them.
   */
  reading: boolean;
  /** Closes the TCP connection, at once. */
  close(): void;
}

/**
 * Makes a stream of `conn`, of which `head` has been read already; `onEnd` is called when nothing more
 * can come from the peer.
 */
export function rawStream(
  conn: Deno.TcpConn,
  head: Uint8Array | null,
  onEnd: (error?: Error) => void,
): RawStream {
  const { Duplex } = nodeModule<typeof import("node:stream")>("node:stream");
  let buffer = new Uint8Array(MIN_READ_BYTES);
  let ended = false;
  let isClosed = false;
  let isReading = true;
  /** Whether the last read has taken all it could, so that the next may be ready at once. */
  let isBusy = false;
  /** Whether the stream has asked for more while nothing was to be read. */
  let isAsked = false;

  function close(): void {
    if (isClosed) return;
    isClosed = true;
    clearTimers();
    conn.close();
  }

  async function read(): Promise<void> {
    isAsked = !isReading;
    if (isAsked) return;
    try {
      if (isBusy && turnIsOver(conn)) await nextTurn();
      const length = await conn.read(buffer);
      if (!isBusy) noteTurn();
      isBusy = length === buffer.length;
      if (!isBusy) shareTurns(conn);
      if (length === null) {
        ended = true;
        stream.push(null);
        return onEnd();
      }
      // A copy, since it may wait in the stream while the buffer is read into again.
      const bytes = buffer.slice(0, length);
      if (length === buffer.length && length < MAX_READ_BYTES) {
        buffer = new Uint8Array(4 * length);
      }
      stream.push(bytes);
    } catch (error) {
      fail(error);
    }
  }

  async function write(chunks: { chunk: Uint8Array }[], done: (error?: Error) => void) {
    try {
      for (const { chunk } of chunks) {
        for (let sent = 0; sent < chunk.length;) sent += await conn.write(chunk.subarray(sent));
      }
      done();
    } catch (error) {
      done(error as Error);
      fail(error);
    }
  }

  function fail(error: unknown): void {
    if (isClosed) return;
    onEnd(error as Error);
    stream.destroy(error as Error);
  }

  const stream: NodeDuplex = new Duplex({
    allowHalfOpen: true,
    read: () => void read(),
    write: (chunk, _, done) => void write([{ chunk }], done),
    writev: (chunks, done) => void write(chunks, done),
    final: (done) => void conn.closeWrite().then(() => done(), done),
    destroy(error, done) {
      close();
      done(error);
    },
  });
  stream.on("error", () => {}); // `onEnd` has told it.
  if (head) stream.push(head);
  return {
    stream,
    get ended() {
      return ended;
    },
    get reading() {
      return isReading;
    },
    set reading(value) {
      isReading = value;
      if (value && isAsked) read();
    },
    close() {
      close();
      stream.destroy();
    },
  };
}

/**
 * A TLS stream as a socket. `closeWrite()` sends the `close_notify` of TLS, which ends one direction
 * only; where the peer breaks off without it, reading ends all the same, since lines show by
 * themselves whether one is whole.
 */
export class TlsSocket implements Socket {
  readonly remoteAddr: Deno.Addr;
  readonly takesTurns = true;

  readonly #tls: TLSSocket;
  readonly #raw: RawStream;
  /** What the end means if the peer breaks off before it has sent anything. */
  readonly #earlyEnd: string;
  #received = false;
  #ended = false;
  #error: Error | null = null;
  #news = Promise.withResolvers<void>();

  /** Takes over a TLS stream whose handshake is over, and nothing has been read from. */
  constructor(tls: TLSSocket, raw: RawStream, remoteAddr: Deno.Addr, earlyEnd = "") {
    this.#tls = tls;
    this.#raw = raw;
    this.remoteAddr = remoteAddr;
    this.#earlyEnd = earlyEnd;
    raw.reading = false;
    const tell = () => this.#tell();
    tls.on("readable", tell);
    tls.on("end", () => this.#onEnd());
    tls.on("error", (error) => this.#onError(error));
    tls.on("close", () => {
      if (!this.#ended) this.#onError(new Error("The connection is closed"));
    });
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  #onEnd(): void {
    if (this.#raw.ended && !this.#received && this.#earlyEnd) {
      return this.#onError(new Error("The peer has closed the connection"));
    }
    this.#ended = true;
    this.#tell();
  }

  #onError(cause: Error): void {
    const isEarly = !this.#received && this.#earlyEnd !== "";
    this.#error ??= isEarly ? new Error(this.#earlyEnd, { cause }) : cause;
    this.#tell();
  }

  /** Reads what has arrived, or waits for it. */
  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      const length = Math.min(buffer.length, this.#tls.readableLength);
      // Reading nothing makes the stream ask for more, or notice its end.
      const bytes: Uint8Array | null = this.#tls.read(length);
      this.#raw.reading = !bytes;
      if (bytes) {
        this.#received = true;
        buffer.set(bytes);
        return bytes.length;
      }
      if (this.#error) throw this.#error;
      if (this.#ended) return null;
      await this.#news.promise;
    }
  }

  /** Writes some of `bytes`; resolves when the operating system has taken them. */
  write(bytes: Uint8Array): Promise<number> {
    const part = bytes.length > MAX_WRITE_BYTES ? bytes.subarray(0, MAX_WRITE_BYTES) : bytes;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#tls.write(part, (error) => error ? reject(error) : resolve(part.length));
    return promise;
  }

  /** Tells the peer, by `close_notify`, that nothing more will be written. */
  closeWrite(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#tls.end((error?: Error | null) => error ? reject(error) : resolve());
    return promise;
  }

  /** Closes the TCP connection at once. */
  close(): void {
    this.#error ??= new Deno.errors.BadResource("The socket is closed");
    this.#raw.close();
    this.#tls.destroy();
    this.#tell();
  }
}
