/**
 * Adapters between Deno's sockets and Node's TLS, which works on Node streams. One makes a stream
 * from a TCP connection, the other makes a {@link Duplex} from the TLS stream over it.
 *
 * Both directions use Node's TLS because of three limitations of Deno's own, seen in Deno 2.9.6.
 * `Deno.listenTls` cannot request client certificates. It offers no `setNoDelay`. A `Deno.TlsConn`
 * that is closed during its handshake keeps its file descriptor until the peer disconnects, so a
 * handshake deadline would have no effect. Here the TCP connection stays under our control, and
 * closing it always works.
 *
 * @module
 */

import type { Duplex as NodeDuplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Socket } from "./connection.ts";
import { clearTimers, nextTurn, noteTurn, shareTurns, turnIsOver } from "./turn.ts";

/**
 * Returns a Node module, loaded on first use. Loading takes about 70 ms and 10 MB, which programs
 * without TLS should not pay. A constructor cannot await `import()`.
 */
export function nodeModule<T>(name: "node:crypto" | "node:stream" | "node:tls"): T {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: string): T };
  };
  return process.getBuiltinModule(name);
}

/** Size of network reads, in bytes: at first, and at most, once reads fill the buffer. */
const MIN_READ_BYTES = 4096;
const MAX_READ_BYTES = 65_536;

/** Most bytes per write, so that progress shows while a slow peer reads. */
const MAX_WRITE_BYTES = 65_536;

/** A TCP connection as a Node stream. */
export class RawStream {
  readonly stream: NodeDuplex;
  /** Whether the peer has ended the TCP connection. */
  ended = false;

  readonly #conn: Deno.TcpConn;
  readonly #onEnd: (error?: Error) => void;
  #buffer = new Uint8Array(MIN_READ_BYTES);
  #isClosed = false;
  #isReading = true;
  /** Whether the last read filled its buffer, so that the next one may be ready at once. */
  #isBusy = false;
  /** Whether the stream has requested more input while reading was off. */
  #isAsked = false;

  /**
   * Creates a Node stream from a TCP connection.
   *
   * @param conn The TCP connection.
   * @param head Bytes already read from `conn`, or `null`.
   * @param onEnd Called when the peer can send nothing more.
   */
  constructor(conn: Deno.TcpConn, head: Uint8Array | null, onEnd: (error?: Error) => void) {
    this.#conn = conn;
    this.#onEnd = onEnd;
    const { Duplex } = nodeModule<typeof import("node:stream")>("node:stream");
    this.stream = new Duplex({
      allowHalfOpen: true,
      read: () => void this.#read(),
      write: (chunk, _, done) => void this.#write([{ chunk }], done),
      writev: (chunks, done) => void this.#write(chunks, done),
      final: (done) => void conn.closeWrite().then(() => done(), done),
      destroy: (error, done) => {
        this.#close();
        done(error);
      },
    });
    this.stream.on("error", () => {}); // `onEnd` has reported it.
    if (head) this.stream.push(head);
  }

  /**
   * Whether to read from the network, `true` at first. Node streams do not slow down a peer that is
   * not read. Its input would pile up in them.
   */
  set reading(value: boolean) {
    this.#isReading = value;
    if (value && this.#isAsked) this.#read();
  }

  /** Closes the TCP connection immediately. */
  close(): void {
    this.#close();
    this.stream.destroy();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimers(this);
    this.#conn.close();
  }

  async #read(): Promise<void> {
    this.#isAsked = !this.#isReading;
    if (this.#isAsked) return;
    try {
      if (this.#isBusy && turnIsOver(this.#conn)) await nextTurn(this);
      const buffer = this.#buffer;
      const length = await this.#conn.read(buffer);
      if (!this.#isBusy) noteTurn();
      this.#isBusy = length === buffer.length;
      if (!this.#isBusy) shareTurns(this.#conn);
      if (length === null) {
        this.ended = true;
        this.stream.push(null);
        return this.#onEnd();
      }
      // A copy, because it may stay in the stream while the buffer is filled again.
      const bytes = buffer.slice(0, length);
      if (length === buffer.length && length < MAX_READ_BYTES) {
        this.#buffer = new Uint8Array(4 * length);
      }
      this.stream.push(bytes);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  async #write(chunks: { chunk: Uint8Array }[], done: (error?: Error) => void): Promise<void> {
    try {
      for (const { chunk } of chunks) {
        for (let sent = 0; sent < chunk.length;) {
          sent += await this.#conn.write(chunk.subarray(sent));
        }
      }
      done();
    } catch (error) {
      done(error as Error);
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    if (this.#isClosed) return;
    this.#onEnd(error);
    this.stream.destroy(error);
  }
}

/**
 * A TLS stream as a socket. `closeWrite()` sends the `close_notify` of TLS, which ends one
 * direction only. If the peer disconnects without `close_notify`, reading still ends normally,
 * because lines show by themselves whether they are complete.
 */
export class TlsSocket implements Socket {
  readonly remoteAddr: Deno.Addr;
  readonly takesTurns = true;

  readonly #tls: TLSSocket;
  readonly #raw: RawStream;
  /** Error message for a peer that disconnects before it has sent anything. */
  readonly #earlyEnd: string;
  #received = false;
  #ended = false;
  #error: Error | null = null;
  #news = Promise.withResolvers<void>();

  /** Takes over a TLS stream after its handshake, before anything was read from it. */
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

  /** Reads received bytes, or waits for some. */
  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      const length = Math.min(buffer.length, this.#tls.readableLength);
      // An empty read makes the stream request more input, or notice its end.
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

  /** Writes a part of `bytes`. Resolves once the operating system has accepted it. */
  write(bytes: Uint8Array): Promise<number> {
    const part = bytes.length > MAX_WRITE_BYTES ? bytes.subarray(0, MAX_WRITE_BYTES) : bytes;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#tls.write(part, (error) => error ? reject(error) : resolve(part.length));
    return promise;
  }

  /** Sends `close_notify`: nothing more will be written. */
  closeWrite(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#tls.end((error?: Error | null) => error ? reject(error) : resolve());
    return promise;
  }

  /** Closes the TCP connection immediately. */
  close(): void {
    this.#error ??= new Deno.errors.BadResource("The socket is closed");
    this.#raw.close();
    this.#tls.destroy();
    this.#tell();
  }
}
