/**
 * Owns the options of a client, and their check. Must not know what they are for.
 *
 * @module
 */

import { inspect } from "../protocol/printable.ts";
import { ConnectionLimits, type ConnectionOptions } from "../net/connection_options.ts";
import { EventChecker } from "../schema/checker.ts";
import { BlockDecoder } from "../protocol/decoder.ts";
import type { EventOptions } from "../schema/definitions.ts";
import type { InboxOptions } from "../net/inbox.ts";
import {
  checkGiven,
  DEFAULT_CLIENT_LINE_BYTES,
  DEFAULT_MAX_LINE_BYTES,
} from "../protocol/option_checks.ts";
import { checkReconnectOptions, type Persistence, type ReconnectOptions } from "./retry.ts";
import { checkClientOptions as checkTlsOptions, type TlsClientOptions } from "../net/tls.ts";
import { checkToken, type Token } from "../protocol/token.ts";
import { MAX_MAX_DEPTH } from "../protocol/validator.ts";

/** Options of {@link EbsocketClient}. */
export interface ClientOptions extends ConnectionOptions, InboxOptions {
  /**
   * The longest line, in bytes without its end, from 1 to 1 GiB. A server says in its welcome how long a
   * line it takes, and so may pass on: if that is longer, the client does not stay connected, since one
   * line of another client could end it at any time. It sends what the server takes; 1 MiB at most, if
   * the server has not said and this is not set.
   *
   * @default {8_388_608}
   */
  readonly maxLineBytes?: number;
  /**
   * How deep a line that comes may nest, the outermost object included, from 2 to 1,000. The client does
   * not stay connected to a server that says in its welcome that it takes deeper ones.
   *
   * @default {1_000}
   */
  readonly maxDepth?: number;
  /**
   * What proves to the server that the client may connect: 1 to 1,024 bytes, or a function that
   * gives them and is called at every attempt. If it throws or rejects, the attempt fails.
   */
  readonly token?: Token;
  /**
   * Speaks TLS with the server: with what Deno trusts, or with options.
   *
   * @default {undefined}
   */
  readonly tls?: true | TlsClientOptions;
  /**
   * Whether the server is to number the events that it queues for this client, so that a `gap` in
   * the status tells of those that did not arrive. It must be a server that can; a relay is.
   *
   * @default {false}
   */
  readonly sequence?: boolean;
  /**
   * Whether, and how, the client connects again by itself when its connection has ended.
   *
   * @default {false}
   */
  readonly reconnect?: boolean | ReconnectOptions;
}

/** What all sessions of a client have in common. */
export interface SessionSettings {
  /** The limits of the connections. */
  readonly limits: ConnectionLimits;
  /** How long a line may be for a server that has not said what it takes, in bytes without its end. */
  readonly unnamedLineBytes: number;
  /** Decodes what comes. */
  readonly decoder: BlockDecoder;
  /** What proves that the client may connect, if anything. */
  readonly token: Token | undefined;
  /** Speaks TLS, if it is set. */
  readonly tls: true | TlsClientOptions | undefined;
  /** Whether the server is asked to acknowledge events. */
  readonly wantsAcks: boolean;
  /** Whether the server is to number the events that it queues. */
  readonly wantsSequence: boolean;
  /**
   * How long a server that need not greet may take to do so, in milliseconds: 500, unless it is set.
   * Its silence says nothing of what it can do.
   */
  readonly greetingTimeout?: number;
  /** How much is kept of what comes before the greeting is over. */
  readonly unread: InboxOptions;
}

/** The options of a client, checked, with their defaults. */
export interface ClientSettings extends SessionSettings {
  /** How persistently it connects again; `null` if it does not. */
  readonly persistence: Persistence | null;
  /** Checks what it sends and receives. */
  readonly checker: EventChecker;
}

/**
 * The options with their defaults.
 *
 * @throws {TypeError} If an option is of the wrong type.
 * @throws {RangeError} If an option is out of its range.
 */
export function checkClientOptions(
  options: ClientOptions & EventOptions<object>,
): ClientSettings {
  checkGiven(options, ["token", "tls"]);
  const { token, tls, reconnect = false, sequence = false } = options;
  const { maxLineBytes = DEFAULT_CLIENT_LINE_BYTES, maxDepth = MAX_MAX_DEPTH } = options;
  if (tls !== undefined) checkTlsOptions(tls);
  if (typeof reconnect !== "boolean" && (typeof reconnect !== "object" || reconnect === null)) {
    throw new TypeError(
      `Invalid reconnect: expected true, false or options, got ${inspect(reconnect)}`,
    );
  }
  const persistence = reconnect === false
    ? null
    : checkReconnectOptions(reconnect === true ? {} : reconnect);
  return {
    limits: new ConnectionLimits({ ...options, maxLineBytes }),
    unnamedLineBytes: options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES,
    decoder: new BlockDecoder(maxDepth),
    token: token === undefined ? undefined : checkToken(token),
    tls,
    wantsAcks: persistence !== null,
    wantsSequence: sequence === true,
    unread: options,
    persistence,
    checker: new EventChecker(options.events),
  };
}
