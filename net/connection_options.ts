/**
 * The limits of a connection, with their defaults and ranges.
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
import type { ReadBuffers } from "./byte_budget.ts";
import type { SendBudget } from "./piece.ts";
import type { LineSplitterOptions } from "../protocol/line_splitter.ts";

/** Limits of a connection. */
export interface ConnectionOptions extends LineSplitterOptions {
  /**
   * Most bytes that may be queued for the peer, from 1. A peer that reads so slowly that more would
   * be queued is closed with `slow-consumer`. This is the rule of nats-server, with a limit that
   * suits many clients.
   *
   * @default {8_388_608}
   */
  readonly maxPendingBytes?: number;
  /**
   * Longest time that a closing connection may accept none of the queued bytes, in milliseconds,
   * from 1.
   *
   * @default {5_000}
   */
  readonly drainTimeout?: number;
  /**
   * Time without sending after which an empty line is sent, in milliseconds, from 1, or `Infinity`
   * for never. The peer is promised this interval. It keeps routers in between from dropping the
   * connection; proxies commonly give up after 60 s or more.
   *
   * @default {25_000}
   */
  readonly keepAliveInterval?: number;
  /**
   * Grace period after the peer's keep-alive interval, in milliseconds, from 1, or `Infinity`.
   * After it, a silent peer is closed with `idle-timeout`. A peer that has promised no interval may
   * be silent forever.
   *
   * @default {20_000}
   */
  readonly keepAliveTimeout?: number;
  /**
   * Longest time that a peer may accept none of the queued bytes, in milliseconds, from 1, or
   * `Infinity`. After it, the peer is closed with `idle-timeout`.
   *
   * @default {30_000}
   */
  readonly writeTimeout?: number;
  /**
   * Longest time that a line may take to arrive, in milliseconds, from 1, or `Infinity`. A slower
   * peer is closed with `idle-timeout`, so that no peer can hold a partial line forever.
   *
   * @default {60_000}
   */
  readonly lineTimeout?: number;
}

/** All limits of a connection, with defaults, checked. */
export class ConnectionLimits implements Required<ConnectionOptions>, Deadlines {
  readonly maxLineBytes: number;
  readonly maxPendingBytes: number;
  readonly drainTimeout: number;
  readonly keepAliveInterval: number;
  readonly keepAliveTimeout: number;
  readonly writeTimeout: number;
  readonly lineTimeout: number;
  /** Limit on the bytes queued for all connections with these limits, or `null`. */
  readonly budget: SendBudget | null;
  /** Limit on the read buffers of all those connections, or `null`. */
  readonly buffers: ReadBuffers | null;

  /**
   * Checks the options and fills in the defaults.
   *
   * @throws {RangeError} If a limit is out of range.
   */
  constructor(
    {
      maxLineBytes,
      maxPendingBytes = 8_388_608,
      drainTimeout = 5000,
      keepAliveInterval = 25_000,
      keepAliveTimeout = 20_000,
      writeTimeout = 30_000,
      lineTimeout = 60_000,
    }: ConnectionOptions,
    budget: SendBudget | null = null,
    buffers: ReadBuffers | null = null,
  ) {
    this.maxLineBytes = checkMaxLineBytes(maxLineBytes);
    this.maxPendingBytes = checkLimit("maxPendingBytes", maxPendingBytes, 1);
    this.drainTimeout = checkDuration("drainTimeout", drainTimeout, 1, MAX_TIMER_MS);
    this.keepAliveInterval = checkDuration("keepAliveInterval", keepAliveInterval, 1);
    this.keepAliveTimeout = checkDuration("keepAliveTimeout", keepAliveTimeout, 1);
    this.writeTimeout = checkDuration("writeTimeout", writeTimeout, 1);
    this.lineTimeout = checkDuration("lineTimeout", lineTimeout, 1);
    this.budget = budget;
    this.buffers = buffers;
  }

  /** Returns the limits in `options`. Returns the same object if it is already checked. */
  static of(options: ConnectionOptions): ConnectionLimits {
    return options instanceof ConnectionLimits ? options : new ConnectionLimits(options);
  }
}
