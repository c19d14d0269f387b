/**
 * Owns the limits of a connection: which there are, their defaults, and their ranges. Must not know
 * what happens when one is reached.
 *
 * @module
 */

import type { Deadlines } from "./keepalive.ts";
import {
  checkDuration,
  checkLimit,
  checkMaxLineBytes,
  MAX_TIMER_MS,
} from "../protocol/option_checks.ts";
import type { ByteBudget } from "./send_queue.ts";
import type { ReadBuffers } from "./read_buffers.ts";
import type { LineSplitterOptions } from "../protocol/line_splitter.ts";

/** Limits of a connection. */
export interface ConnectionOptions extends LineSplitterOptions {
  /**
   * How many bytes may wait for the peer, from 1. A peer that reads so slowly that more would wait
   * is closed with `slow-consumer`: nats-server's rule, with a bound that suits many clients.
   *
   * @default {8_388_608}
   */
  readonly maxPendingBytes?: number;
  /**
   * For how long a connection that is being closed may take no byte of what is still queued, in
   * milliseconds, from 1.
   *
   * @default {5_000}
   */
  readonly drainTimeout?: number;
  /**
   * After how long without sending anything an empty line is sent, in milliseconds, from 1, or
   * `Infinity` for never. It keeps routers on the way from forgetting the connection, and is what
   * the other side is promised. Proxies commonly give up after 60 s or more.
   *
   * @default {25_000}
   */
  readonly keepAliveInterval?: number;
  /**
   * How much later than it promised a peer may be heard of, in milliseconds, from 1, or `Infinity`.
   * Then it is closed with `idle-timeout`. A peer that has promised nothing may be silent for ever.
   *
   * @default {20_000}
   */
  readonly keepAliveTimeout?: number;
  /**
   * For how long a peer may take no byte of what waits for it, in milliseconds, from 1, or
   * `Infinity`. Then it is closed with `idle-timeout`.
   *
   * @default {30_000}
   */
  readonly writeTimeout?: number;
  /**
   * How long a line may take to arrive, in milliseconds, from 1, or `Infinity`. A peer that needs
   * longer is closed with `idle-timeout`, so that none can hold a part of a line for ever.
   *
   * @default {60_000}
   */
  readonly lineTimeout?: number;
}

/** The limits of a connection, all of them, and checked. */
export class ConnectionLimits implements Required<ConnectionOptions>, Deadlines {
  readonly maxLineBytes: number;
  readonly maxPendingBytes: number;
  readonly drainTimeout: number;
  readonly keepAliveInterval: number;
  readonly keepAliveTimeout: number;
  readonly writeTimeout: number;
  readonly lineTimeout: number;
  /** What all connections with these limits count together, if anything. */
  readonly total: ByteBudget | null;
  /** The bound of the buffers of all those connections, if there is one. */
  readonly buffers: ReadBuffers | null;

  /**
   * Fills in the defaults.
   *
   * @throws {RangeError} If a limit is out of its range.
   */
  constructor(
    options: ConnectionOptions,
    total: ByteBudget | null = null,
    buffers: ReadBuffers | null = null,
  ) {
    this.maxLineBytes = checkMaxLineBytes(options.maxLineBytes);
    this.maxPendingBytes = checkLimit("maxPendingBytes", options.maxPendingBytes ?? 8_388_608, 1);
    this.drainTimeout = checkDuration(
      "drainTimeout",
      options.drainTimeout ?? 5000,
      1,
      MAX_TIMER_MS,
    );
    this.keepAliveInterval = checkDuration(
      "keepAliveInterval",
      options.keepAliveInterval ?? 25_000,
      1,
    );
    this.keepAliveTimeout = checkDuration(
      "keepAliveTimeout",
      options.keepAliveTimeout ?? 20_000,
      1,
    );
    this.writeTimeout = checkDuration("writeTimeout", options.writeTimeout ?? 30_000, 1);
    this.lineTimeout = checkDuration("lineTimeout", options.lineTimeout ?? 60_000, 1);
    this.total = total;
    this.buffers = buffers;
  }

  /** The limits in `options`: the same object, if it has been checked. */
  static of(options: ConnectionOptions): ConnectionLimits {
    return options instanceof ConnectionLimits ? options : new ConnectionLimits(options);
  }
}
