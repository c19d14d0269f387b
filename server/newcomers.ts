/**
 * The peers of which it is not known yet whether they speak lines or HTTP. Their first line decides,
 * or that they say nothing for a moment. Until then, lines for them are held.
 *
 * @module
 */

import type { ConnectionSink } from "../net/connection.ts";
import type { ConnectionLimits } from "../net/connection_options.ts";
import type { LineConnection } from "../net/line_connection.ts";
import type { CloseInfo } from "../errors.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import { isRequest } from "../protocol/sniff.ts";

/**
 * How long a peer may say nothing before it counts as one that speaks lines and only listens, in
 * milliseconds. A browser sends its request at once.
 */
const SILENCE_MS = 250;

/** Receiver of the decisions. Each method switches the connection to the sink that it returns. */
export interface NewcomersSink {
  /** Called when a peer speaks lines, with its first ones, or `null` if it has sent none. */
  onLinePeer(connection: LineConnection, lines: LineBlock | null): ConnectionSink;
  /** Called when a peer has begun an HTTP request, with the first lines of it. */
  onWebPeer(connection: LineConnection, lines: LineBlock): ConnectionSink;
}

/** The undecided peers of one server. */
export class Newcomers implements ConnectionSink {
  readonly #sink: NewcomersSink;
  readonly #limits: ConnectionLimits;
  readonly #waiting = new Map<LineConnection, ReturnType<typeof setTimeout>>();

  constructor(sink: NewcomersSink, limits: ConnectionLimits) {
    this.#sink = sink;
    this.#limits = limits;
  }

  /** Number of undecided peers. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Starts a connection and waits for its first line. */
  start(connection: LineConnection): void {
    const timer = setTimeout(() => {
      if (connection.bytesIn === 0) this.#decide(connection, null);
    }, SILENCE_MS);
    this.#waiting.set(connection, timer);
    connection.hold();
    connection.start(this, this.#limits);
  }

  onLines(connection: LineConnection, lines: LineBlock): void {
    this.#decide(connection, lines);
  }

  onEnd(connection: LineConnection): void {
    this.#decide(connection, null).onEnd?.(connection);
  }

  onClose(connection: LineConnection, info: CloseInfo): void {
    this.#decide(connection, null).onClose(connection, info);
  }

  #decide(connection: LineConnection, lines: LineBlock | null): ConnectionSink {
    clearTimeout(this.#waiting.get(connection));
    this.#waiting.delete(connection);
    return lines && isRequest(lines.bytes)
      ? this.#sink.onWebPeer(connection, lines)
      : this.#sink.onLinePeer(connection, lines);
  }
}
