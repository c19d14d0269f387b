/**
 * The limits of a connection, with their defaults and ranges.
 *
 * @module
 */

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
export class ConnectionLimits implements Required<ConnectionOptions> {
  readonly maxLineBytes: number;
  readonly maxPendingBytes: number;
  readonly drainTimeout: number;
  readonly keepAliveInterval: number;
  readonly keepAliveTimeout: number;
  readonly writeTimeout: number;
  readonly lineTimeout: number;

  /**
   * Checks the options and fills in the defaults.
   *
   * @param options The options.
   * @param budget Limit on the bytes queued for all connections with these limits, or `null`.
   * @param buffers Limit on the read buffers of all those connections, or `null`.
   * @throws {RangeError} If a limit is out of range.
   */
  constructor(
    options: ConnectionOptions,
    readonly budget: SendBudget | null = null,
    readonly buffers: ReadBuffers | null = null,
  ) {
    const { maxLineBytes, maxPendingBytes = 8_388_608 } = options;
    const duration = (name: keyof ConnectionOptions, preset: number, max = Infinity) => {
      const { [name]: value = preset } = options;
      return checkDuration(name, value, 1, max);
    };
    this.maxLineBytes = checkMaxLineBytes(maxLineBytes);
    this.maxPendingBytes = checkLimit("maxPendingBytes", maxPendingBytes, 1);
    this.drainTimeout = duration("drainTimeout", 5000, MAX_TIMER_MS);
    this.keepAliveInterval = duration("keepAliveInterval", 25_000);
    this.keepAliveTimeout = duration("keepAliveTimeout", 20_000);
    this.writeTimeout = duration("writeTimeout", 30_000);
    this.lineTimeout = duration("lineTimeout", 60_000);
  }

  /** Returns the limits in `options`. Returns the same object if it is already checked. */
  static of(options: ConnectionOptions): ConnectionLimits {
    return options instanceof ConnectionLimits ? options : new ConnectionLimits(options);
  }
}
