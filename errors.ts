/**
 * Owns the error classes and the names of the reasons for which a connection ends. Knows nothing of
 * what raises them.
 *
 * The rule for all of the library: a wrong argument is a `TypeError` or a `RangeError` at the call;
 * what a peer or the network did is an {@link EbsocketError} with a `code`, or shows up in a
 * {@link CloseInfo}.
 *
 * @module
 */

/**
 * Why a connection ended. The same words go over the wire in a `close` line, into
 * {@link CloseInfo} and into the relay's log.
 *
 * | reason | meaning |
 * | --- | --- |
 * | `local` | this side closed it, after everything queued was sent |
 * | `eof` | the peer closed it, at the end of a line |
 * | `truncated` | the peer closed it in the middle of a line, which was dropped |
 * | `reset` | the network or the peer's system broke it |
 * | `aborted` | this side broke it, without sending what was queued |
 * | `shutdown` | the server is going away |
 * | `slow-consumer` | the peer read too slowly and its queue was full |
 * | `idle-timeout` | the peer gave no sign of life, took no bytes, or finished no line, for too long |
 * | `line-too-long` | a line was longer than the limit |
 * | `too-deep` | a line nested objects or arrays deeper than the limit |
 * | `bad-utf8` | a line was not UTF-8 |
 * | `bad-json` | a line was not JSON |
 * | `bad-event` | a line was JSON but neither an event nor a control line |
 * | `unauthorized` | the peer may not connect |
 * | `too-many-clients` | the server has as many clients as it takes |
 * | `rate-limited` | the peer sent far too much |
 * | `overloaded` | the server had no room for what the peer sent; it may try again |
 */
export type CloseReason =
  | "local"
  | "eof"
  | "truncated"
  | "reset"
  | "aborted"
  | "shutdown"
  | "slow-consumer"
  | "idle-timeout"
  | "line-too-long"
  | "too-deep"
  | "bad-utf8"
  | "bad-json"
  | "bad-event"
  | "unauthorized"
  | "too-many-clients"
  | "rate-limited"
  | "overloaded";

/** Why a connection ends, as one side tells the other. */
export interface Farewell {
  /** Why it ends. */
  readonly reason: CloseReason;
  /** One sentence for a person, empty where the reason says it all. */
  readonly detail: string;
  /** How long the peer asks to stay away before connecting again, in milliseconds, if it does. */
  readonly retryAfterMs?: number;
}

/** How a connection ended, and what it could not deliver. */
export interface CloseInfo extends Farewell {
  /**
   * Lines that were meant for the peer and, as far as is known, never handed to the operating system
   * whole. Lines that it has taken may still have been lost on their way.
   */
  readonly unsentLines: number;
  /** Bytes that were meant for the peer and, as far as is known, not handed over either. */
  readonly unsentBytes: number;
}

/**
 * The base of every error that is the fault of a peer or of the network.
 *
 * @example Tell failures apart by code
 * ```ts
 * import { EbsocketError, EbsocketEvent } from "@ebsockets/relay";
 *
 * try {
 *   EbsocketEvent.fromBytes(new TextEncoder().encode("GET / HTTP/1.1"));
 * } catch (error) {
 *   if (error instanceof EbsocketError) console.log(error.code); // bad-json
 * }
 * ```
 */
export class EbsocketError extends Error {
  /** Which failure this is, as a short constant string. */
  readonly code: string;

  /** Makes an error with a `code` and, in `options.cause`, what led to it. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A byte stream that is no sequence of lines: a line was too long, or the last one had no end. */
export class FramingError extends EbsocketError {
  /** Which failure this is; also the reason with which a connection is closed for it. */
  declare readonly code: "line-too-long" | "truncated";

  /** Makes a framing error; its code is the close reason. */
  constructor(code: "line-too-long" | "truncated", message: string) {
    super(code, message);
  }
}

/** A line that is no event: not UTF-8, not JSON, nested too deeply, or of the wrong shape. */
export class EventFormatError extends EbsocketError {
  /** Which failure this is; also the reason with which a connection is closed for it. */
  declare readonly code: "bad-utf8" | "bad-json" | "too-deep" | "bad-event";

  /** Makes a format error; its code is the close reason. */
  constructor(code: "bad-utf8" | "bad-json" | "too-deep" | "bad-event", message: string) {
    super(code, message);
  }
}

/** Options of a {@link ConnectError}. */
export interface ConnectErrorOptions extends ErrorOptions {
  /** Why the server closed the connection, if it did. */
  readonly reason?: CloseReason;
}

/**
 * A connection could not be made; `cause` holds what the operating system said.
 *
 * @example Tell a wrong token from a server that is not there
 * ```ts
 * import { ConnectError, EbsocketClient } from "@ebsockets/relay";
 *
 * const client = new EbsocketClient({ token: "not the right one" });
 * try {
 *   await client.connectTo(["127.0.0.1", 1]);
 * } catch (error) {
 *   if (!(error instanceof ConnectError)) throw error;
 *   console.log(error.reason === "unauthorized" ? "Wrong token" : error.message);
 * }
 * ```
 */
export class ConnectError extends EbsocketError {
  /** Why the server closed the connection, such as `unauthorized`; unset if it did not answer. */
  readonly reason?: CloseReason;

  /** Makes a connect error with the code `connect-failed`. */
  constructor(message: string, options: ConnectErrorOptions = {}) {
    super("connect-failed", message, options);
    if (options.reason !== undefined) this.reason = options.reason;
  }
}

/** Something was asked of a connection, server or system that has ended. */
export class ConnectionClosedError extends EbsocketError {
  /** Makes a closed error with the code `connection-closed`. */
  constructor(message: string) {
    super("connection-closed", message);
  }
}

/**
 * A request that nobody was there to hear: the relay has said so, or it would have been a time-out.
 *
 * @example Do without the answer
 * ```ts
 * import { EbsocketClient, EbsocketEvent, NoRespondersError } from "@ebsockets/relay";
 * import { EbsocketServer } from "@ebsockets/relay/server";
 * import { Relay } from "@ebsockets/relay/relay";
 *
 * await using relay = new Relay(new EbsocketServer(["127.0.0.1", 0]));
 * await using client = new EbsocketClient();
 * await client.connectTo(relay.server.address);
 * try {
 *   await client.request(new EbsocketEvent("time.now"));
 * } catch (error) {
 *   if (!(error instanceof NoRespondersError)) throw error;
 *   console.log("Nobody knows the time");
 * }
 * ```
 */
export class NoRespondersError extends EbsocketError {
  /** Makes an error with the code `no-responders`. */
  constructor(message: string) {
    super("no-responders", message);
  }
}

/** No answer has come in time, of a client or of the relay. */
export class RequestTimeoutError extends EbsocketError {
  /** Makes an error with the code `timeout`. */
  constructor(message: string) {
    super("timeout", message);
  }
}

/**
 * The relay has refused what it was asked. The code is the reason that it gave: `bad-pattern`,
 * `bad-request`, `too-many-subscriptions`, `too-long`, `bad-attributes`, `not-allowed`, or one that is
 * not known yet.
 */
export class EventRefusedError extends EbsocketError {}

/**
 * The attributes of an event do not fit what has been defined for events of its name.
 *
 * @example Say what is wrong
 * ```ts
 * import { defineEvents, EbsocketClient, EbsocketEvent, EventSchemaError } from "@ebsockets/relay";
 * import { z } from "zod";
 *
 * const client = new EbsocketClient({
 *   events: defineEvents({ message: z.object({ content: z.string().max(5) }) }),
 * });
 * try {
 *   client.sendEvent(new EbsocketEvent("message", { content: "too long" }));
 * } catch (error) {
 *   if (!(error instanceof EventSchemaError)) throw error;
 *   console.log(error.event, error.issues);
 * }
 * ```
 */
export class EventSchemaError extends EbsocketError {
  /** Which failure this is. */
  declare readonly code: "bad-attributes";
  /** The name of the event. */
  readonly event: string;
  /** What does not fit, one text for each: `user.tags[2]: Expected a string`. */
  readonly issues: readonly string[];

  /** Makes a schema error with the code `bad-attributes`. */
  constructor(message: string, event: string, issues: readonly string[]) {
    super("bad-attributes", message);
    this.event = event;
    this.issues = issues;
  }
}
