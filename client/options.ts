/**
 * The options of a client and their checks.
 *
 * @module
 */

import { inspect } from "../protocol/printable.ts";
import { ConnectionLimits, type ConnectionOptions } from "../net/connection_options.ts";
import { EventChecker } from "../schema/checker.ts";
import { BlockDecoder } from "../protocol/decoder.ts";
import { RawDecoder } from "../protocol/raw_event.ts";
import type { EventOptions } from "../schema/definitions.ts";
import type { InboxOptions } from "../net/inbox.ts";
import type { ProducerClaim } from "../protocol/producer.ts";
import {
  checkDuration,
  checkGiven,
  DEFAULT_CLIENT_LINE_BYTES,
  DEFAULT_MAX_LINE_BYTES,
  MAX_TIMER_MS,
} from "../protocol/option_checks.ts";
import { checkReconnectOptions, type ReconnectOptions, type ReconnectSettings } from "./retry.ts";
import type { ClientPort } from "./port.ts";
import type { TlsClientOptions } from "../net/tls_options.ts";
import { checkToken, type Token } from "../protocol/token.ts";
import { MAX_MAX_DEPTH } from "../protocol/validator.ts";

/** Options of {@link EbsocketClient}. */
export interface ClientOptions extends ConnectionOptions, InboxOptions {
  /**
   * The longest line, in bytes without the line end, from 1 to 1 GiB.
   *
   * A server announces its own limit in its welcome, and may deliver lines up to that length. If
   * that limit is larger, the client disconnects, because one line of another client could end the
   * connection at any time. Sent lines may be as long as the server's limit. Without an announced
   * limit, they may have up to `maxLineBytes` if it is set, otherwise 1 MiB.
   *
   * @default {8_388_608}
   */
  readonly maxLineBytes?: number;
  /**
   * The maximum nesting depth of a received line, including the outermost object, from 2 to 1,000.
   * The client disconnects from a server that announces a larger limit in its welcome.
   *
   * @default {1_000}
   */
  readonly maxDepth?: number;
  /**
   * The credential that the server requires: 1 to 1,024 bytes, or a function that returns it and is
   * called at every attempt. If the function throws or rejects, the attempt fails.
   */
  readonly token?: Token;
  /**
   * Connects with TLS: `true` uses the certificate authorities that Deno trusts, or pass options.
   *
   * @default {undefined}
   */
  readonly tls?: true | TlsClientOptions;
  /**
   * Requests sequence numbers for the events that the server queues for this client. A `gap` in the
   * status then reports lost events. The server must support it. A relay does.
   *
   * @default {false}
   */
  readonly sequence?: boolean;
  /**
   * Keeps track of the client's position in the relay's history, so that {@link
   * EbsocketClient.position} has it, and the client receives the events that it has missed when it
   * connects again. A client that has subscribed to nothing then subscribes to `>`. The server must support
   * it. A relay that keeps events does.
   *
   * @default {false}
   */
  readonly history?: boolean;
  /**
   * The time limit for the welcome of a server, if the client does not require one, in
   * milliseconds. After that, the server is used without it.
   *
   * @default {500}
   */
  readonly welcomeTimeout?: number;
  /**
   * Receives {@link RawEvent}s, which keep their lines as they were written, to be passed on or
   * stored unchanged. It cannot be combined with `events`.
   *
   * @default {false}
   */
  readonly raw?: boolean;
  /**
   * Whether and how the client reconnects automatically after its connection has ended.
   *
   * @default {false}
   */
  readonly reconnect?: boolean | ReconnectOptions;
}

/** Options of {@link EbsocketClient.sendEvent}. */
export interface SendOptions {
  /** The only recipient of the event, such as `c7`, whatever it has subscribed to. */
  readonly to?: string;
  /** See {@link ConfirmOptions}. */
  readonly confirm?: false;
}

/** Options of {@link EbsocketClient.sendEvent} with a receipt. */
export interface ConfirmOptions {
  /** The only recipient of the event, such as `c7`, whatever it has subscribed to. */
  readonly to?: string;
  /** Requests a receipt: the number of clients that the relay has queued the event for. */
  readonly confirm: true;
  /**
   * The time limit for the receipt, in milliseconds, or `Infinity`. With 0 or less, such as the
   * rest of an expired deadline, the event is not sent.
   *
   * @default {10_000}
   */
  readonly timeout?: number;
  /** Stops waiting when aborted. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link EbsocketClient.request}. */
export interface RequestOptions {
  /** The only recipient of the request, such as `c7`. */
  readonly to?: string;
  /**
   * The time limit for the reply, in milliseconds, or `Infinity`. With 0 or less, such as the rest
   * of an expired deadline, the request is not sent and times out.
   *
   * @default {5_000}
   */
  readonly timeout?: number;
  /** Stops waiting when aborted. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Requests a receipt, and is called with the number of clients that the relay has queued the
   * request for. It is not called for 0 clients, because the request then fails.
   */
  readonly onReceipt?: (clients: number) => void;
}

/** Options of {@link EbsocketClient.requestMany}. */
export interface RequestManyOptions extends RequestOptions {
  /**
   * The maximum number of replies, from 1, or `Infinity`.
   *
   * @default {Infinity}
   */
  readonly count?: number;
}

/** Options of {@link EbsocketClient.inspect}. */
export interface InspectOptions {
  /**
   * The time limit for the report, in milliseconds, or `Infinity`. With 0 or less, no report is
   * requested.
   *
   * @default {5_000}
   */
  readonly timeout?: number;
  /** Stops waiting when aborted. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The options of a client, checked and with their defaults. */
export interface ClientSettings {
  /** The ways to connect. */
  readonly port: ClientPort;
  /** The limits of the connections. */
  readonly limits: ConnectionLimits;
  /** The limit for sent lines if the server has announced none, in bytes without the line end. */
  readonly unnamedLineBytes: number;
  /** The decoder of received lines. */
  readonly decoder: BlockDecoder;
  /** The token, if there is one. */
  readonly token: Token | undefined;
  /** The TLS options. Without them the connection is not encrypted. */
  readonly tls: true | TlsClientOptions | undefined;
  /** Whether to request acknowledgements. */
  readonly wantsAcks: boolean;
  /** Whether to request sequence numbers. */
  readonly wantsSequence: boolean;
  /** Whether to keep track of the position in the relay's history. */
  readonly wantsHistory: boolean;
  /** Whether to require a welcome in any case. */
  readonly needsWelcome?: boolean;
  /** What the client says of the events that it has sent over earlier connections. */
  readonly producer?: ProducerClaim;
  /**
   * The time limit for an optional welcome, in milliseconds. Without a welcome, the server's
   * features are unknown.
   */
  readonly welcomeTimeout: number;
  /** The limits of the events kept until the greeting is over. */
  readonly unread: InboxOptions;
  /** The reconnect options, or `false` if the client does not reconnect. */
  readonly reconnect: ReconnectSettings | false;
  /** The checker of sent and received events. */
  readonly checker: EventChecker;
  /** The decoder of sent lines, for reports of lost events. */
  readonly sentDecoder: BlockDecoder;
}

/**
 * Checks the options and adds the defaults.
 *
 * @param options The options.
 * @param port The ways to connect.
 * @returns The settings.
 * @throws {TypeError} If an option is of the wrong type.
 * @throws {RangeError} If an option is out of its range.
 */
export function checkClientOptions(
  options: ClientOptions & EventOptions<object>,
  port: ClientPort,
): ClientSettings {
  checkGiven(options, ["token", "tls"]);
  const { token, tls, reconnect = false, raw = false } = options;
  const { welcomeTimeout = 500 } = options;
  const { maxLineBytes = DEFAULT_CLIENT_LINE_BYTES, maxDepth = MAX_MAX_DEPTH } = options;
  if (tls !== undefined) port.checkTls(tls);
  if (typeof reconnect !== "boolean" && (typeof reconnect !== "object" || reconnect === null)) {
    throw new TypeError(
      `Invalid reconnect: expected true, false or options, got ${inspect(reconnect)}`,
    );
  }
  if (raw && options.events !== undefined) {
    throw new TypeError("Invalid raw: raw events are not checked, so it excludes events");
  }
  const Decoder = raw ? RawDecoder : BlockDecoder;
  return {
    port,
    limits: new ConnectionLimits({ ...options, maxLineBytes }),
    unnamedLineBytes: options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES,
    decoder: new Decoder(maxDepth),
    sentDecoder: new Decoder(MAX_MAX_DEPTH),
    token: token === undefined ? undefined : checkToken(token),
    tls,
    wantsAcks: reconnect !== false,
    wantsSequence: options.sequence === true,
    wantsHistory: options.history === true,
    welcomeTimeout: checkDuration("welcomeTimeout", welcomeTimeout, 0, MAX_TIMER_MS),
    unread: options,
    reconnect: reconnect && checkReconnectOptions(reconnect === true ? {} : reconnect),
    checker: new EventChecker(options.events),
  };
}
