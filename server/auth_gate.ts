/**
 * The gate of a server that requires a token. A peer passes once its first line that is not empty
 * is a `hello` with the right token. Until then, none of its input reaches the program, and nothing
 * is sent to it.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import type { ConnectionSink } from "../net/connection.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { ConnectionLimits } from "../net/connection_options.ts";
import { LF } from "../protocol/ascii.ts";
import { type ControlLine, decodeHello, encodeClose, type Hello } from "../protocol/control.ts";
import type { CloseInfo, CloseReason } from "../errors.ts";
import { foreignProtocol, HTTP_ANSWER } from "../protocol/sniff.ts";
import { parseLine } from "../protocol/json_parser.ts";
import { LineBlock } from "../protocol/line_splitter.ts";
import { decoder } from "../protocol/utf8.ts";
import { LineValidator } from "../protocol/validator.ts";
import { addTicking, removeTicking, type Ticking } from "../net/ticker.ts";

/** Longest first line, in bytes. A token has at most 1,024. */
const MAX_HELLO_BYTES = 4096;

/**
 * Most peers that may wait at the gate. Peers that know the token send it at once, so beyond this
 * limit the peer that has waited longest is rejected.
 */
const MAX_WAITING = 1000;

/**
 * Most peers that may receive the reason of their rejection at the same time. In a flood, the
 * others are disconnected without a reason.
 */
const MAX_LEAVING = 256;

/**
 * Longest time that one tick adds to a peer's waiting time, in milliseconds. A longer gap was our
 * own standstill.
 */
const MAX_STEP_MS = 250;

/** Receiver of the gate's decisions. */
export interface AuthGateSink {
  /** Called when a peer has passed. `rest` is its input after the hello. */
  onPass(connection: LineConnection, hello: Hello, rest: LineBlock): void;
  /**
   * Called when a peer is rejected or has disconnected. `isSilent` is set if the peer never sent a
   * byte.
   */
  onRefuse(
    connection: LineConnection,
    reason: CloseReason,
    detail: string,
    isSilent: boolean,
  ): void;
  /** Called when the connection of a peer that did not pass has ended. */
  onGone(connection: LineConnection): void;
}

/** The gate of one server. */
export class AuthGate implements ConnectionSink, Ticking {
  readonly #token: Uint8Array;
  readonly #helloTimeout: number;
  readonly #limits: ConnectionLimits;
  readonly #keeper: AuthGateSink;
  readonly #validator = new LineValidator();
  /** Rejected peers that are still receiving the reason. */
  readonly #leaving = new Set<LineConnection>();
  /** Waiting peers, and how long each one has waited, in milliseconds. */
  readonly #waiting = new Map<LineConnection, number>();

  constructor(token: string, helloTimeout: number, limits: ConnectionLimits, keeper: AuthGateSink) {
    this.#token = digest(token);
    this.#helloTimeout = helloTimeout;
    this.#keeper = keeper;
    // One read takes at most a quarter of `maxPendingBytes`, which also limits the input after a
    // hello.
    this.#limits = new ConnectionLimits(
      {
        ...limits,
        maxLineBytes: Math.min(limits.maxLineBytes, MAX_HELLO_BYTES),
        maxPendingBytes: 4 * MAX_HELLO_BYTES,
        keepAliveInterval: Infinity,
      },
      limits.budget,
      limits.buffers,
    );
  }

  /** Adds a peer that waits at the gate. */
  start(connection: LineConnection): void {
    if (this.#waiting.size === MAX_WAITING) {
      const [longest] = this.#waiting.keys();
      this.#refuse(longest!, "too-many-clients", "too many others came after it");
    }
    this.#waiting.set(connection, 0);
    addTicking(this);
    connection.start(this, this.#limits);
  }

  /** Rejects all peers that have sent no hello in time. */
  tick(elapsed: number): void {
    for (const [connection, before] of this.#waiting) {
      const waited = before + Math.min(elapsed, MAX_STEP_MS);
      this.#waiting.set(connection, waited);
      if (waited >= this.#helloTimeout) {
        const detail = `no hello came within ${this.#helloTimeout} ms`;
        // Not `unauthorized`, after which clients do not reconnect. The peer may have the token and
        // be late.
        this.#refuse(connection, "idle-timeout", detail);
      }
    }
  }

  onLines(connection: LineConnection, { bytes }: LineBlock): void {
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
    const hello = kind === "control" ? toHello(line, validator.hasEscapedKey) : null;
    if (hello && this.#isRight(hello.token)) {
      this.#forget(connection);
      return this.#keeper.onPass(connection, hello, new LineBlock(bytes.slice(end)));
    }
    const foreign = foreignProtocol(line);
    const lastWord = foreign === "HTTP" ? HTTP_ANSWER : undefined;
    this.#refuse(connection, "unauthorized", describe(foreign, hello), lastWord);
  }

  onClose(connection: LineConnection, { reason, detail }: CloseInfo): void {
    if (this.#waiting.has(connection)) {
      this.#forget(connection);
      const why = detail || "it went before it had said hello";
      this.#keeper.onRefuse(connection, reason, why, connection.bytesIn === 0);
    }
    this.#leaving.delete(connection);
    this.#keeper.onGone(connection);
  }

  /** Compares tokens in constant time. */
  #isRight(token: string | undefined): boolean {
    return token !== undefined && timingSafeEqual(digest(token), this.#token);
  }

  #refuse(
    connection: LineConnection,
    reason: CloseReason,
    detail: string,
    lastWord: Uint8Array | null = encodeClose({ reason, detail }),
  ): void {
    this.#forget(connection);
    this.#keeper.onRefuse(connection, reason, detail, false);
    if (this.#leaving.size >= MAX_LEAVING) {
      connection.abort(reason, detail);
    } else {
      this.#leaving.add(connection);
      connection.closeWith(reason, detail, lastWord);
    }
  }

  #forget(connection: LineConnection): void {
    this.#waiting.delete(connection);
    if (this.#waiting.size === 0) removeTicking(this);
  }
}

/** Returns the reason why a first line is rejected. */
function describe(foreign: "HTTP" | "TLS" | null, hello: Hello | null): string {
  if (foreign === "HTTP") return "an HTTP request";
  if (foreign) return `this looks like ${foreign}`;
  if (!hello) return "the first line must be a hello with a token";
  return hello.token === undefined ? "no token" : "the token is wrong";
}

/** Returns the hello in a control line, or `null` if it is not a hello. */
function toHello(line: Uint8Array, hasEscapedKey: boolean): Hello | null {
  return decodeHello(parseLine(decoder.decode(line), hasEscapedKey) as ControlLine);
}

/** All digests have the same length, as required by the comparison in constant time. */
function digest(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}
