/**
 * The public face of a connection to one peer, and of the socket below it.
 *
 * @module
 */

import { type Address, formatAddress, type Transport } from "../protocol/address.ts";
import type { CloseInfo, CloseReason, FramingError } from "../errors.ts";
import type { ConnectionOptions } from "./connection_options.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";

/** The part of a socket that a connection needs. `Deno.Conn` implements it. */
export interface Duplex {
  /**
   * Reads into `buffer`. Resolves to the number of bytes, or to `null` at the end of the stream.
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes a part of `bytes`. Resolves to the number of bytes written. */
  write(bytes: Uint8Array): Promise<number>;
  /** Signals to the peer that nothing more will be written. */
  closeWrite(): Promise<void>;
  /** Closes the socket. Pending reads and writes fail. */
  close(): void;
  /** Whether reads already yield to other sockets. */
  readonly takesTurns?: boolean;
}

/** A duplex within this process, which hands its input over in chunks instead of copying it. */
export interface ChunkDuplex extends Omit<Duplex, "read"> {
  /** Resolves to the next bytes, which never change, or to `null` at the end of the stream. */
  readChunk(): Promise<Uint8Array | null>;
  /** Whether the next chunk is here. */
  readonly hasChunk: boolean;
}

/** A byte duplex with a remote address. `Deno.Conn` implements it. */
export interface Socket extends Duplex {
  /** Address of the peer: a host name and a port, the path of a Unix socket, or neither. */
  readonly remoteAddr: {
    readonly transport: string;
    readonly hostname?: string;
    readonly port?: number;
    readonly path?: string;
  };
}

/** A custom way to connect, over any transport that delivers all bytes in order. */
export interface Dialer {
  /** Address of the other end, used in messages and statuses. */
  readonly address: Address;
  /** Creates a connection. Gives up when `signal` is aborted. */
  dial(signal?: AbortSignal): Promise<Socket>;
}

/** Receiver of a connection's input. */
export interface ConnectionSink {
  /** Called with complete lines. Call `connection.pause()` to stop receiving for a while. */
  onLines(connection: EbsocketConnection, lines: LineBlock): void;
  /**
   * Called when the peer has ended its input. Lines queued so far are still sent, later ones are
   * not.
   */
  onEnd?(connection: EbsocketConnection): void;
  /** Called when a line is too long. Without it, the connection closes with `line-too-long`. */
  onFault?(connection: EbsocketConnection, fault: FramingError): void;
  /** Called when the connection has ended. This is the last call. */
  onClose(connection: EbsocketConnection, info: CloseInfo): void;
}

/**
 * A connection to one peer. `EbsocketSystem` and `EbsocketServer` create it, as the source and the
 * target of events. A program with a server of its own calls {@link start}.
 *
 * @example A server that counts lines
 * ```ts
 * import { EbsocketServer } from "@ebsockets/relay/server";
 *
 * await using server = new EbsocketServer(["127.0.0.1", 0]);
 * const peer = await Deno.connect({ hostname: "127.0.0.1", port: server.address[1] });
 * await peer.write(new TextEncoder().encode("one\ntwo\n"));
 * peer.close();
 *
 * const [connection, address] = await server.acceptConnection();
 * let count = 0;
 * connection.start({
 *   onLines: (_, lines) => void (count += [...lines].length),
 *   onClose: (_, { reason }) => console.log(`${address[0]}: ${count} lines, then ${reason}`),
 * });
 * await connection.closed;
 * ```
 */
export abstract class EbsocketConnection {
  /** Address of the peer. */
  abstract readonly address: Address;
  /**
   * The transport of the lines: `tcp`, `tls`, `unix`, `websocket`, `event-stream`, or `other` for a
   * socket of the program's own.
   */
  abstract readonly transport: Transport;
  /**
   * Number of the client on its server: 1 for the first one, then 2, and so on. 0 before it is
   * assigned.
   */
  abstract readonly id: number;
  /** Resolves to the close info when the connection has ended. Never rejects. */
  abstract readonly closed: Promise<CloseInfo>;
  /** Whether events can still be queued for the peer. */
  abstract readonly open: boolean;
  /** Bytes queued but not yet handed to the operating system. */
  abstract readonly pendingBytes: number;
  /** Bytes received from the peer. */
  abstract readonly bytesIn: number;
  /** Bytes that the operating system has accepted for the peer. */
  abstract readonly bytesOut: number;
  /** Number of events accepted from the peer, as far as a system or a relay counts them. */
  abstract readonly eventsIn: number;
  /** Number of events queued for the peer. */
  abstract readonly eventsOut: number;

  /**
   * Starts to read and enables {@link send}.
   *
   * @param sink Receives the lines of the peer.
   * @param options The limits of the connection.
   * @throws {TypeError} If the connection was already started or is closed.
   * @throws {RangeError} If a limit is out of range.
   */
  abstract start(sink: ConnectionSink, options?: ConnectionOptions): void;

  /**
   * Queues `count` events as complete lines, each with its `\n`. They are written at the end of
   * this turn. The bytes must not change afterwards. The same bytes may be queued for many
   * connections.
   *
   * @param lines The encoded lines.
   * @param count The number of events in `lines`, by default 1.
   * @returns Whether the lines were queued. `false` if the connection is not open. Also `false` if
   * the send queue is full, which closes the connection with `slow-consumer`.
   * @throws {TypeError} If the connection has not been started.
   */
  abstract send(lines: Uint8Array, count?: number): boolean;

  /**
   * Waits until the operating system has accepted all bytes queued so far.
   *
   * @throws {TypeError} If the connection has not been started.
   * @throws {ConnectionClosedError} If the connection ends first.
   */
  abstract flush(): Promise<void>;

  /** Stops reading after the lines that have already arrived, so that TCP slows the peer down. */
  abstract pause(): void;

  /** Resumes reading after {@link pause}. */
  abstract resume(): void;

  /**
   * Sends the queued lines, for most reasons followed by a `close` line with the reason, then
   * closes. Later input is discarded. If the connection is already closing, its first reason is
   * kept.
   *
   * @param reason The reason for the close info and the `close` line, by default `local`.
   * @param detail A description of the reason.
   * @returns The close info.
   */
  abstract close(reason?: CloseReason, detail?: string): Promise<CloseInfo>;

  /**
   * Closes immediately, without sending the queued lines.
   *
   * @param reason The reason for the close info, by default `aborted`.
   * @param detail A description of the reason.
   * @returns The close info.
   */
  abstract abort(reason?: CloseReason, detail?: string): Promise<CloseInfo>;

  /** Sends the queued lines, then closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Returns a string such as `EbsocketConnection(127.0.0.1:50000)`. */
  toString(): string {
    return `EbsocketConnection(${formatAddress(this.address)})`;
  }

  /** Shows the connection in `console.log` and `Deno.inspect` as {@link toString} does. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}
