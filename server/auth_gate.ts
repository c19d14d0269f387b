/**
 * The gate of a server that requires a token. A peer passes once its first line that is not empty
 * is a `hello` with the right token. Until then, none of its input reaches the program, and nothing
 * is sent to it.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { ConnectionSink } from "../net/connection.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { ConnectionLimits } from "../net/connection_options.ts";
import { LF } from "../protocol/ascii.ts";
import { MAX_HEAD_BYTES } from "../protocol/http.ts";
import { type ControlLine, decodeHello, type Hello } from "../protocol/control.ts";
import type { CloseInfo, CloseReason } from "../errors.ts";
import {
  type ForeignProtocol,
  foreignProtocol,
  HTTP_ANSWER,
  isRequest,
} from "../protocol/sniff.ts";
import { parseLine } from "../protocol/json_parser.ts";
import { LineBlock } from "../protocol/line_splitter.ts";
import { decoder } from "../protocol/utf8.ts";
import { LineValidator } from "../protocol/validator.ts";
import { afterRunning } from "../net/ticker.ts";
import { TokenCheck } from "./token_check.ts";

/** Longest first line, in bytes. A token has at most 1,024. */
const MAX_HELLO_BYTES = 4096;

/**
 * Most peers that may wait at the gate. Peers that know the token send it at once, so beyond this
 * limit the peer that has waited longest is rejected.
 */
const MAX_WAITING = 1000;

/** Receiver of the gate's decisions. */
export interface AuthGateSink {
  /** Called when a peer has begun an HTTP request, with the first lines of it. */
  onWebPeer(connection: LineConnection, lines: LineBlock): void;
  /** Called when a peer has passed. `input` is its input after the hello. */
  pass(connection: LineConnection, hello: Hello, input: LineBlock): void;
  /** Called to close the connection of a peer that does not pass. */
  reject(
    connection: LineConnection,
    reason: CloseReason,
    detail: string,
    lastWord?: Uint8Array | null,
  ): void;
  /**
   * Called when a peer has disconnected before it passed. `isSilent` is set if it never sent a
   * byte.
   */
  refused(address: Address, reason: CloseReason, detail: string, isSilent: boolean): void;
  /** Called when the connection of a peer that did not pass has ended. */
  gone(connection: LineConnection): void;
}

/** The gate of one server. */
export class AuthGate implements ConnectionSink {
  readonly #token: TokenCheck;
  readonly #helloTimeout: number;
  readonly #limits: ConnectionLimits;
  readonly #sink: AuthGateSink;
  readonly #hasWeb: boolean;
  readonly #validator = new LineValidator();
  /** Waiting peers, longest first, and the function that cancels the deadline of each. */
  readonly #waiting = new Map<LineConnection, () => void>();

  /**
   * Creates a gate.
   *
   * @param token The token.
   * @param helloTimeout The time in which a peer must send it, in milliseconds.
   * @param limits The limits of the server.
   * @param sink Receives the decisions.
   * @param hasWeb Whether HTTP requests are passed to the sink instead of being rejected.
   */
  constructor(
    token: string,
    helloTimeout: number,
    limits: ConnectionLimits,
    sink: AuthGateSink,
    hasWeb: boolean,
  ) {
    this.#token = new TokenCheck(token);
    this.#helloTimeout = helloTimeout;
    this.#sink = sink;
    this.#hasWeb = hasWeb;
    // One read takes at most a quarter of `maxPendingBytes`, which also limits the input after a
    // hello.
    this.#limits = new ConnectionLimits(
      {
        ...limits,
        maxLineBytes: hasWeb ? MAX_HEAD_BYTES : Math.min(limits.maxLineBytes, MAX_HELLO_BYTES),
        maxPendingBytes: 4 * MAX_HELLO_BYTES,
        keepAliveInterval: Infinity,
      },
      limits.budget,
      limits.buffers,
    );
  }

  /** Starts the connection of a peer that waits at the gate. */
  start(connection: LineConnection): void {
    this.#add(connection);
    connection.start(this, this.#limits);
  }

  /** Takes over a connection that has become a WebSocket. */
  receive(connection: LineConnection): void {
    this.#add(connection);
    connection.switchSink(this, this.#limits);
  }

  #add(connection: LineConnection): void {
    if (this.#waiting.size === MAX_WAITING) {
      const [longest] = this.#waiting.keys();
      this.#reject(longest!, "too-many-clients", "too many others came after it");
    }
    // Not `unauthorized`, after which clients do not reconnect. The peer may have the token and be
    // late.
    const endDeadline = afterRunning(this.#helloTimeout, () => {
      this.#reject(connection, "idle-timeout", `no hello came within ${this.#helloTimeout} ms`);
    });
    this.#waiting.set(connection, endDeadline);
  }

  onLines(connection: LineConnection, lines: LineBlock): void {
    const { bytes } = lines;
    if (this.#hasWeb && !connection.isWrapped && isRequest(bytes)) {
      this.#forget(connection);
      return this.#sink.onWebPeer(connection, lines);
    }
    const validator = this.#validator.open(bytes);
    let start = 0;
    let kind = validator.validate(start);
    while (kind === "empty") { // An empty line has no meaning anywhere.
      start = validator.end + 1;
      if (start === bytes.length) return;
      kind = validator.validate(start);
    }
    const end = bytes.indexOf(LF, start) + 1;
    const line = bytes.subarray(start, end);
    const control = kind === "control" && parseLine(decoder.decode(line), validator.hasEscapedKey);
    const hello = control ? decodeHello(control as ControlLine) : null;
    if (hello && this.isRight(hello.token)) {
      this.#forget(connection);
      return this.#sink.pass(connection, hello, new LineBlock(bytes.slice(end)));
    }
    const foreign = foreignProtocol(line);
    const lastWord = foreign === "HTTP" ? HTTP_ANSWER : undefined;
    this.#reject(connection, "unauthorized", describe(foreign, hello), lastWord);
  }

  onClose(connection: LineConnection, { reason, detail }: CloseInfo): void {
    if (this.#waiting.has(connection)) {
      this.#forget(connection);
      const why = detail || "it went before it had said hello";
      this.#sink.refused(connection.address, reason, why, connection.bytesIn === 0);
    }
    this.#sink.gone(connection);
  }

  /** Returns whether a peer has given the token. */
  isRight(token: string | undefined): boolean {
    return this.#token.isRight(token);
  }

  #reject(
    connection: LineConnection,
    reason: CloseReason,
    detail: string,
    lastWord?: Uint8Array,
  ): void {
    this.#forget(connection);
    this.#sink.reject(connection, reason, detail, lastWord);
  }

  #forget(connection: LineConnection): void {
    this.#waiting.get(connection)?.();
    this.#waiting.delete(connection);
  }
}

/** Returns the reason why a first line is rejected. */
function describe(foreign: ForeignProtocol | null, hello: Hello | null): string {
  if (foreign === "HTTP") return "an HTTP request";
  if (foreign) return `this looks like ${foreign}`;
  if (!hello) return "the first line must be a hello with a token";
  return hello.token === undefined ? "no token" : "the token is wrong";
}
