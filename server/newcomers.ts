/**
 * The peers that have not sent a line yet, so that it is not known whether they speak lines or
 * HTTP. For a moment, lines for them are held. One that stays silent for longer becomes a client.
 *
 * | state | recognised by | first line |
 * | --- | --- | --- |
 * | undecided | it is in `#undecided` or `#begun` | makes it a client, an HTTP peer, or a stranger |
 * | silent | it is in neither | an HTTP request still counts if nothing was written to the peer |
 *
 * @module
 */

import type { ConnectionSink } from "../net/connection.ts";
import type { ConnectionLimits } from "../net/connection_options.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { nextTurn } from "../net/turn.ts";
import type { CloseInfo } from "../errors.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import { type ForeignProtocol, foreignProtocol, isRequest } from "../protocol/sniff.ts";

/**
 * How long a peer may say nothing before it counts as a client that only listens, in milliseconds.
 * A browser sends its request at once, except on connections that it opens in advance: while it
 * loads a page, it uses them within this time.
 */
const SILENCE_MS = 1000;

/**
 * Most bytes that are held for a peer meanwhile, and the share of its send queue that they may
 * take. Beyond it, they are written.
 */
const MAX_HELD_BYTES = 1_048_576;
const MAX_HELD_SHARE = 1 / 8;

/** Receiver of the decisions. */
export interface NewcomersSink extends ConnectionSink {
  /** Called when a peer is a client. Returns `false` if it is rejected because there is no room. */
  onClient(connection: LineConnection): boolean;
  /** Called with the first lines of a client. Later ones go there directly. */
  onFirstLines(connection: LineConnection, lines: LineBlock): void;
  /**
   * Called when a peer has begun an HTTP request, with the first lines of it. `wasClient` is set if
   * it counted as a client before.
   */
  onWebPeer(connection: LineConnection, lines: LineBlock, wasClient: boolean): void;
  /** Called when the first line of a peer belongs to a protocol that this port does not speak. */
  onStranger(connection: LineConnection, protocol: ForeignProtocol): void;
  /** Called when the connection of a peer that is no client has ended. */
  gone(connection: LineConnection): void;
}

/** The peers of one server that have not sent a line. */
export class Newcomers implements ConnectionSink {
  readonly #sink: NewcomersSink;
  readonly #limits: ConnectionLimits;
  readonly #maxHeldBytes: number;
  /** Silent peers, and when each has been silent for long enough, oldest first. */
  readonly #undecided = new Map<LineConnection, number>();
  /** Peers that have begun a line in that time. */
  readonly #begun = new Set<LineConnection>();
  /** Runs until the oldest has been silent for long enough. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(sink: NewcomersSink, limits: ConnectionLimits) {
    this.#sink = sink;
    this.#limits = limits;
    this.#maxHeldBytes = Math.min(MAX_HELD_BYTES, MAX_HELD_SHARE * limits.maxPendingBytes);
  }

  /** Starts a connection and waits for its first line. */
  start(connection: LineConnection): void {
    this.#undecided.set(connection, performance.now() + SILENCE_MS);
    connection.hold(this.#maxHeldBytes);
    connection.start(this, this.#limits);
    this.#timer ??= setTimeout(this.#onTimer, SILENCE_MS);
  }

  readonly #onTimer = async (): Promise<void> => {
    // After a standstill of this process, what peers have sent meanwhile has not been read yet.
    await nextTurn();
    const now = performance.now();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [connection, due] of this.#undecided) {
      if (due > now) {
        this.#timer = setTimeout(this.#onTimer, due - now);
        return;
      }
      if (connection.bytesIn === 0) this.#decide(connection);
      else {
        this.#undecided.delete(connection);
        this.#begun.add(connection);
      }
    }
  };

  onLines(connection: LineConnection, lines: LineBlock): void {
    const isUndecided = this.#isUndecided(connection);
    const isUntouched = connection.bytesHandedOff === 0 &&
      (isUndecided || connection.pendingBytes === 0);
    if (isUntouched && isRequest(lines.bytes)) {
      this.#forget(connection);
      return this.#sink.onWebPeer(connection, lines, !isUndecided);
    }
    // Any page can send such a request. Its peer is refused, because the log has a limit for those.
    const mayBeStranger = isUndecided && isUntouched;
    const protocol = mayBeStranger ? foreignProtocol(lines.bytes) : null;
    if (protocol !== null) {
      this.#forget(connection);
      return this.#sink.onStranger(connection, protocol);
    }
    if (!isUndecided || this.#decide(connection)) this.#sink.onFirstLines(connection, lines);
  }

  onEnd(connection: LineConnection): void {
    if (!this.#isUndecided(connection) || this.#decide(connection)) this.#sink.onEnd?.(connection);
  }

  onClose(connection: LineConnection, info: CloseInfo): void {
    if (!this.#isUndecided(connection) || this.#decide(connection)) {
      this.#sink.onClose(connection, info);
    } else {
      this.#sink.gone(connection);
    }
  }

  #isUndecided(connection: LineConnection): boolean {
    return this.#undecided.has(connection) || this.#begun.has(connection);
  }

  /** Makes a client of a peer, if there is room. */
  #decide(connection: LineConnection): boolean {
    this.#forget(connection);
    return this.#sink.onClient(connection);
  }

  #forget(connection: LineConnection): void {
    this.#begun.delete(connection);
    this.#undecided.delete(connection);
    if (this.#undecided.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
