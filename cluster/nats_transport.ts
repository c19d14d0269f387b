/**
 * The sockets of nats.js: a transport for it, made of the sockets of this package.
 *
 * The one of `@nats-io/transport-node` 3.4.0 has these faults under Deno 2.9.6. An error of a socket
 * that it has just closed ends the process, such as after a refused login. TLS compares the
 * certificate of a server without a host name to `localhost`. The socket of an attempt that times out
 * stays open. A server that stops reading is never given up. The number of bytes that wait to be sent
 * is unknown and unlimited, and reading never waits for the program.
 *
 * @module
 */

import { abortable } from "@std/async/abortable";
import {
  type ConnectionOptions,
  type Server,
  setTransportFactory,
  type Transport,
} from "@nats-io/nats-core/internal";
import type { Socket } from "../net/connection.ts";
import { checkClientOptions, type CheckedClientOptions } from "../net/tls.ts";
import { dial, startTls } from "../net/transport.ts";
import { clearTimers, nextTurn, noteTurn, shareTurns, turnIsOver } from "../net/turn.ts";
import { LF } from "../protocol/ascii.ts";
import { quote } from "../protocol/printable.ts";
import { decoder, NOTHING } from "../protocol/utf8.ts";
import { NatsFraming } from "./nats_framing.ts";

/** Longest greeting, in bytes. It lists the addresses of all servers of a NATS cluster. */
const MAX_GREETING_BYTES = 65_536;

/** The least that a server must permit for a message, in bytes. */
const MIN_MESSAGE_BYTES = 4096;

/** Size of the read buffer, in bytes: a few messages with parts of a link as they are under load. */
const READ_BYTES = 524_288;

/** Most bytes in one write. */
const WRITE_BYTES = 262_144;

/** Bytes that wait to be sent, from which senders should wait. */
const BUSY_BYTES = 4_194_304;

/** TLS for one server. */
export interface NatsSecurity {
  /** The host name or IP address that the certificate must contain. */
  readonly certName: string;
  readonly options: CheckedClientOptions;
}

/** Options for nats.js, and more for this transport. */
export interface NatsTransportOptions extends ConnectionOptions {
  /** TLS, or `null` for none. If unset, as for nats.js itself. */
  readonly security?: NatsSecurity | null;
  /** Ends the connection, or the attempt to connect. */
  readonly signal?: AbortSignal;
}

/** The part of a server's `INFO` that matters before the login. */
interface Greeting {
  readonly max_payload?: unknown;
  readonly tls_required?: unknown;
  readonly tls_available?: unknown;
  /** Whether the server asks for a certificate. */
  readonly tls_verify?: unknown;
}

/**
 * Lets nats.js use this transport from now on. The choice is one for the whole process. A program
 * that uses the same nats.js itself may get this transport for its own connections, too, which
 * ignores the names of files in `tls`.
 */
export function useNatsTransport(): void {
  setTransportFactory({ factory: () => new NatsTransport() });
}

/** A connection to a NATS server, as nats.js sees it. */
export class NatsTransport implements Transport {
  readonly lang = "nats.js";
  readonly version = "3.4.0";
  isClosed = false;
  closeError?: Error;
  /** Bytes that wait to be sent. */
  pendingBytes = 0;

  #socket: Socket | null = null;
  #isEncrypted = false;
  /** The first bytes of the server, with its `INFO`. They precede TLS. */
  #greeting: Uint8Array = NOTHING;
  /** What waits to be sent, and how much of the first of it has been gathered. */
  #frames: Uint8Array[] = [];
  #offset = 0;
  /** What is being written. */
  readonly #gathered = new Uint8Array(WRITE_BYTES);
  #isWriting = false;
  readonly #end = new AbortController();
  readonly #closed = Promise.withResolvers<void | Error>();
  /** Resolves when senders need not wait any more. */
  #relief: PromiseWithResolvers<void> | null = null;

  /**
   * Connects.
   *
   * @throws {Error} If the server cannot be reached, or cannot be used. The message says why not,
   * without the address.
   */
  async connect(server: Server, options: NatsTransportOptions): Promise<void> {
    const { signal } = this.#end;
    const given = options.signal;
    given?.throwIfAborted();
    given?.addEventListener("abort", () => this.#finish(given.reason), { signal });
    const socket = await dialServer(server, signal);
    try {
      this.#greeting = await readGreeting(socket, signal);
      const greeting = parseGreeting(this.#greeting);
      checkPayload(greeting);
      const security = securityOf(server, options, greeting);
      this.#socket = security
        ? await startTls(socket, security.certName, security.options, signal)
        : socket;
      this.#isEncrypted = security !== null;
      signal.throwIfAborted();
    } catch (error) {
      close(this.#socket ?? socket);
      throw error;
    }
  }

  isEncrypted(): boolean {
    return this.#isEncrypted;
  }

  /** Reads the bytes of the server, whole messages at a time. They are valid until the next ones. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    yield this.#greeting;
    this.#greeting = NOTHING;
    const socket = this.#socket!;
    const buffer = new Uint8Array(READ_BYTES);
    const framing = new NatsFraming();
    /** Number of bytes at the start of the buffer that belong to an incomplete message. */
    let held = 0;
    let isBusy = false;
    try {
      while (!this.isClosed) {
        if (isBusy && turnIsOver(socket)) await nextTurn(this);
        const space = buffer.subarray(held);
        const length = await socket.read(space);
        if (length === null) break;
        if (!isBusy) noteTurn();
        isBusy = length === space.length && !socket.takesTurns;
        if (!isBusy) shareTurns(socket);
        const bytes = buffer.subarray(0, held + length);
        const end = framing.cut(bytes, bytes.length === buffer.length);
        if (end > 0) yield bytes.subarray(0, end);
        held = bytes.length - end;
        buffer.copyWithin(0, end, bytes.length);
      }
    } catch (error) {
      this.#finish(error as Error);
    } finally {
      this.#finish(); // Also if nats.js cannot parse the bytes.
    }
  }

  send(frame: Uint8Array): void {
    if (this.isClosed) return;
    this.#frames.push(frame);
    this.pendingBytes += frame.length;
    if (!this.#isWriting) this.#write();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    await null; // Until all is here that is sent now.
    try {
      while (this.#frames.length > 0) {
        const bytes = this.#gather();
        for (let sent = 0; sent < bytes.length;) {
          const length = await this.#socket!.write(bytes.subarray(sent));
          sent += length;
          this.#notePending(-length);
        }
      }
      this.#isWriting = false;
    } catch {
      // Nothing more is written. The reader learns why, perhaps in the words of the server.
    }
  }

  /** Copies what is to be sent next, as much as fits into one write. */
  #gather(): Uint8Array {
    let length = 0;
    let count = 0;
    for (const frame of this.#frames) {
      const bytes = frame.subarray(this.#offset, this.#offset + WRITE_BYTES - length);
      this.#gathered.set(bytes, length);
      length += bytes.length;
      this.#offset += bytes.length;
      if (this.#offset < frame.length) break;
      this.#offset = 0;
      count++;
    }
    this.#frames.splice(0, count);
    return this.#gathered.subarray(0, length);
  }

  #notePending(bytes: number): void {
    this.pendingBytes += bytes;
    if (this.pendingBytes < BUSY_BYTES) this.#relieve();
  }

  /** Returns a promise that resolves when senders need not wait, or `null` if they need not now. */
  whenReady(): Promise<void> | null {
    if (this.pendingBytes < BUSY_BYTES) return null;
    this.#relief ??= Promise.withResolvers();
    return this.#relief.promise;
  }

  #relieve(): void {
    this.#relief?.resolve();
    this.#relief = null;
  }

  /** Closes the connection at once. Bytes that wait to be sent are lost. */
  close(error?: Error): Promise<void> {
    this.#finish(error);
    return Promise.resolve();
  }

  disconnect(): void {
    this.#finish();
  }

  discard(): void {
    this.#finish();
  }

  closed(): Promise<void | Error> {
    return this.#closed.promise;
  }

  #finish(error?: Error): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (error) this.closeError = error;
    this.#end.abort(error ?? new Error("the connection is closed"));
    clearTimers(this);
    this.#frames = [];
    this.#notePending(-this.pendingBytes);
    // Of an attempt to connect, connect() reports the end.
    if (!this.#socket) return;
    close(this.#socket);
    this.#closed.resolve(error);
  }
}

async function dialServer({ hostname, port }: Server, signal: AbortSignal): Promise<Socket> {
  try {
    return await dial([hostname, port], { signal });
  } catch (error) {
    if ((error as Error).name !== "ConnectionRefused") throw error;
    throw new Error("connection refused; is a NATS server running there?", { cause: error });
  }
}

/** Reads until the end of the first line. */
async function readGreeting(socket: Socket, signal: AbortSignal): Promise<Uint8Array> {
  const buffer = new Uint8Array(MAX_GREETING_BYTES);
  for (let length = 0; length < buffer.length;) {
    const count = await abortable(socket.read(buffer.subarray(length)), signal);
    if (count === null) throw new Error("the server closed the connection");
    length += count;
    if (buffer.subarray(0, length).includes(LF)) return buffer.subarray(0, length);
  }
  throw new Error(`it is not a NATS server: its first line exceeds ${MAX_GREETING_BYTES} bytes`);
}

function parseGreeting(bytes: Uint8Array): Greeting {
  const line = decoder.decode(bytes.subarray(0, bytes.indexOf(LF))).trimEnd();
  const [, kind = "", text = ""] = /^(INFO|-ERR) +(.*)$/i.exec(line) ?? [];
  if (kind.startsWith("-")) throw new Error(`the server refuses: ${quote(text)}`);
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Error(`it is not a NATS server: it begins with ${quote(line)}`);
  }
}

function checkPayload({ max_payload: max }: Greeting): void {
  if (typeof max === "number" && max >= MIN_MESSAGE_BYTES) return;
  throw new Error(`its max_payload is ${max}, expected at least ${MIN_MESSAGE_BYTES}`);
}

/** Returns the TLS settings for a server, or `null` if the connection is not encrypted. */
function securityOf(
  { hostname, tlsName }: Server,
  { security, tls }: NatsTransportOptions,
  { tls_required, tls_available, tls_verify }: Greeting,
): NatsSecurity | null {
  if (security === undefined) {
    const isSecure = tls_required === true || tls_available === true && tls !== null;
    const { ca, cert, key } = tls ?? {};
    const given = { ...ca && { caCerts: ca }, ...cert && { cert }, ...key && { key } };
    return isSecure ? { certName: tlsName || hostname, options: checkClientOptions(given) } : null;
  }
  if (security === null) {
    if (tls_required !== true) return null;
    throw new Error("the server wants TLS; write tls:// for nats://");
  }
  if (tls_required !== true && tls_available !== true) {
    throw new Error("the server does not speak TLS; write nats:// for tls://");
  }
  const { context, names } = security.options;
  if (tls_verify === true && context.cert === undefined) {
    throw new Error(`the server wants a certificate, in ${names.cert} and ${names.key}`);
  }
  return security;
}

function close(socket: Socket): void {
  try {
    socket.close();
  } catch {
    // A failed handshake has closed it.
  }
}
