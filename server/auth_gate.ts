/**
 * Owns the door of a server that asks for a token: nobody comes in, and nothing goes out, before the
 * first line that is not empty has been a `hello` with the right one. Must not know what comes after.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import type { ConnectionSink, EbsocketConnection } from "../net/connection.ts";
import { ConnectionLimits } from "../net/connection_options.ts";
import { type ControlLine, encodeClose } from "../protocol/control.ts";
import type { CloseInfo, CloseReason } from "../errors.ts";
import { foreignProtocol, HTTP_ANSWER } from "../protocol/sniff.ts";
import { decodeHello, type Hello } from "../protocol/greeting.ts";
import { parseLine } from "../protocol/json_parser.ts";
import { LineBlock } from "../protocol/line_splitter.ts";
import { LineValidator } from "../protocol/validator.ts";
import { addTicking, removeTicking, type Ticking } from "../net/ticker.ts";

/** The longest first line, in bytes: a token has 1,024 at most. */
const MAX_HELLO_BYTES = 4096;

/**
 * How many peers may wait. Whoever knows the token says it at once, so that of too many the one that
 * has waited longest is sent away.
 */
const MAX_WAITING = 1000;

/** How many may be told at the same time; in a flood, the others are hung up on. */
const MAX_LEAVING = 256;

/** The most that one look adds to a peer's waiting, in milliseconds; more was our own standstill. */
const MAX_STEP_MS = 250;

const LF = 0x0a;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Who is told what becomes of those who wait at the door. */
export interface AuthGateSink {
  /** A peer may come in. `rest` is what it has sent after its hello. */
  onPass(connection: EbsocketConnection, hello: Hello, rest: LineBlock): void;
  /** A peer has been sent away, or has gone by itself; if `isSilent`, it never sent a byte. */
  onRefuse(
    connection: EbsocketConnection,
    reason: CloseReason,
    detail: string,
    isSilent: boolean,
  ): void;
  /** The connection of a peer that has not come in has ended. */
  onGone(connection: EbsocketConnection): void;
}

/** The door of one server. */
export class AuthGate implements ConnectionSink, Ticking {
  readonly #token: Uint8Array;
  readonly #helloTimeout: number;
  readonly #limits: ConnectionLimits;
  readonly #keeper: AuthGateSink;
  readonly #validator = new LineValidator();
  /** Those who are being told why they may not come in. */
  readonly #leaving = new Set<EbsocketConnection>();
  /** Those who wait, and for how long each has, in milliseconds. */
  readonly #waiting = new Map<EbsocketConnection, number>();

  constructor(token: string, helloTimeout: number, limits: ConnectionLimits, keeper: AuthGateSink) {
    this.#token = digest(token);
    this.#helloTimeout = helloTimeout;
    this.#keeper = keeper;
    // A quarter of what may wait is read at once, so that what follows a hello is no longer either.
    this.#limits = new ConnectionLimits(
      {
        ...limits,
        maxLineBytes: Math.min(limits.maxLineBytes, MAX_HELLO_BYTES),
        maxPendingBytes: 4 * MAX_HELLO_BYTES,
        keepAliveInterval: Infinity,
      },
      limits.total,
      limits.buffers,
    );
  }

  /** Lets a peer wait at the door. */
  start(connection: EbsocketConnection): void {
    if (this.#waiting.size === MAX_WAITING) {
      const [longest] = this.#waiting.keys();
      this.#refuse(longest!, "too-many-clients", "too many others came after it");
    }
    this.#waiting.set(connection, 0);
    addTicking(this);
    connection.start(this, this.#limits);
  }

  /** Time passes: whoever has not said hello by now is sent away. */
  tick(elapsed: number): void {
    for (const [connection, before] of this.#waiting) {
      const waited = before + Math.min(elapsed, MAX_STEP_MS);
      this.#waiting.set(connection, waited);
      if (waited >= this.#helloTimeout) {
        const detail = `no hello came within ${this.#helloTimeout} ms`;
        // Not as unauthorized, after which no client comes again: it may be late, and have the token.
        this.#refuse(connection, "idle-timeout", detail);
      }
    }
  }

  onLines(connection: EbsocketConnection, { bytes }: LineBlock): void {
    const validator = this.#validator.open(bytes);
    let start = 0;
    let kind = validator.validate(start);
    while (kind === "empty") { // It means nothing, wherever it comes.
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

  onClose(connection: EbsocketConnection, { reason, detail }: CloseInfo): void {
    if (this.#waiting.has(connection)) {
      this.#forget(connection);
      const why = detail || "it went before it had said hello";
      this.#keeper.onRefuse(connection, reason, why, connection.bytesIn === 0);
    }
    this.#leaving.delete(connection);
    this.#keeper.onGone(connection);
  }

  /** Compares in a time that does not depend on where the tokens differ. */
  #isRight(token: string | undefined): boolean {
    return token !== undefined && timingSafeEqual(digest(token), this.#token);
  }

  #refuse(
    connection: EbsocketConnection,
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

  #forget(connection: EbsocketConnection): void {
    this.#waiting.delete(connection);
    if (this.#waiting.size === 0) removeTicking(this);
  }
}

/** Why a first line does not open the door. */
function describe(foreign: "HTTP" | "TLS" | null, hello: Hello | null): string {
  if (foreign === "HTTP") return "an HTTP request";
  if (foreign) return `this looks like ${foreign}`;
  if (!hello) return "the first line must be a hello with a token";
  return hello.token === undefined ? "no token" : "the token is wrong";
}

/** The hello in a control line, if it is one. */
function toHello(line: Uint8Array, hasEscapedKey: boolean): Hello | null {
  return decodeHello(parseLine(decoder.decode(line), hasEscapedKey) as ControlLine);
}

/** All digests have one length, which a comparison in constant time needs. */
function digest(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}
