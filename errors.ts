/**
 * The error classes of the library, and the reasons for which a connection ends.
 *
 * One rule holds throughout. A wrong argument throws a `TypeError` or a `RangeError` at the call. A
 * failure of a peer or of the network is an {@link EbsocketError} with a `code`, or is reported in
 * a {@link CloseInfo}.
 *
 * @module
 */

/**
 * The reason for which a connection ended. The same words appear in a `close` line, in
 * {@link CloseInfo} and in the relay's log.
 *
 * | reason | meaning |
 * | --- | --- |
 * | `local` | this side closed it after sending everything queued |
 * | `eof` | the peer closed it at the end of a line |
 * | `truncated` | the peer closed it in the middle of a line, which was dropped |
 * | `reset` | the network or the peer's system broke it |
 * | `aborted` | this side broke it without sending the send queue |
 * | `shutdown` | the server is shutting down |
 * | `slow-consumer` | the peer read too slowly and its send queue was full |
 * | `idle-timeout` | for too long, the peer sent nothing, took no bytes, or finished no line |
 * | `line-too-long` | a line was longer than the limit |
 * | `too-deep` | a line nested objects or arrays deeper than the limit |
 * | `bad-utf8` | a line was not UTF-8 |
 * | `bad-json` | a line was not JSON |
 * | `bad-event` | a line was JSON but neither an event nor a control line |
 * | `bad-frame` | a WebSocket frame broke RFC 6455 |
 * | `bad-request` | an HTTP request was malformed, not supported or refused |
 * | `unauthorized` | the peer is not allowed to connect |
 * | `too-many-clients` | the server has reached its limit of clients |
 * | `rate-limited` | the peer exceeded its rate limit by far |
 * | `overloaded` | the server had no room for the peer's data; the peer may try again |
 * | `replaced` | the same client has connected again |
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
  | "bad-frame"
  | "bad-request"
  | "unauthorized"
  | "too-many-clients"
  | "rate-limited"
  | "overloaded"
  | "replaced";

/** The consequences of a close reason. */
interface CloseRule {
  /**
   * The sides that may announce it in a `close` line. The others need no announcement, because the
   * peer detects them itself or can no longer be reached.
   */
  readonly sentBy: "both" | "servers" | "neither";
  /** Whether another attempt to connect would end in the same way. */
  readonly isFinal: boolean;
}

/** All close reasons, and what follows from each. PROTOCOL.md has the same table. */
export const CLOSE_REASONS: Readonly<Record<CloseReason, CloseRule>> = {
  "local": { sentBy: "neither", isFinal: true },
  "eof": { sentBy: "neither", isFinal: false },
  "truncated": { sentBy: "both", isFinal: false },
  "reset": { sentBy: "neither", isFinal: false },
  "aborted": { sentBy: "neither", isFinal: true },
  "shutdown": { sentBy: "servers", isFinal: false },
  "slow-consumer": { sentBy: "both", isFinal: false },
  "idle-timeout": { sentBy: "both", isFinal: false },
  "line-too-long": { sentBy: "both", isFinal: true },
  "too-deep": { sentBy: "both", isFinal: true },
  "bad-utf8": { sentBy: "both", isFinal: true },
  "bad-json": { sentBy: "both", isFinal: true },
  "bad-event": { sentBy: "both", isFinal: true },
  "bad-frame": { sentBy: "servers", isFinal: true },
  "bad-request": { sentBy: "neither", isFinal: true },
  "unauthorized": { sentBy: "servers", isFinal: true },
  "too-many-clients": { sentBy: "servers", isFinal: false },
  "rate-limited": { sentBy: "servers", isFinal: false },
  "overloaded": { sentBy: "servers", isFinal: false },
  "replaced": { sentBy: "servers", isFinal: true },
};

/**
 * Returns whether a connection with this close reason failed, rather than being closed on purpose.
 */
export function isFailure(reason: CloseReason): boolean {
  return reason !== "local" && reason !== "eof" && reason !== "shutdown";
}

/** The announcement with which one side closes a connection. */
export interface Farewell {
  /** Why the connection ends. */
  readonly reason: CloseReason;
  /** A sentence for people. Empty where the reason needs no explanation. */
  readonly detail: string;
  /**
   * The requested wait before the recipient of the announcement connects again, in milliseconds.
   * Unset if no wait is requested.
   */
  readonly retryAfterMs?: number;
}

/** How a connection ended, and how much of the send queue was not delivered. */
export interface CloseInfo extends Farewell {
  /**
   * The number of lines for the peer that, as far as is known, were not handed to the operating
   * system in full. Lines that it accepted may still have been lost in transit.
   */
  readonly unsentLines: number;
  /** The number of bytes for the peer that, as far as is known, were not handed over either. */
  readonly unsentBytes: number;
}

/**
 * The base class of all errors caused by a peer or by the network.
 *
 * @example Distinguish failures by their code
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
  /** The failure, as a short constant string. */
  readonly code: string;

  /**
   * Makes an error with a code.
   *
   * @param code The failure, as a short constant string.
   * @param message The text of the error.
   * @param options May hold the underlying error in `cause`.
   */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * Reports a byte stream that is not a sequence of lines: a line was too long, or the last line had
 * no end.
 */
export class FramingError extends EbsocketError {
  /** The failure. It is also the close reason of the connection. */
  declare readonly code: "line-too-long" | "truncated";

  /** Makes a framing error whose code is the close reason. */
  constructor(code: "line-too-long" | "truncated", message: string) {
    super(code, message);
  }
}

/**
 * Reports a line that is not an event: not UTF-8, not JSON, nested too deeply, or of the wrong
 * shape.
 */
export class EventFormatError extends EbsocketError {
  /** The failure. It is also the close reason of the connection. */
  declare readonly code: "bad-utf8" | "bad-json" | "too-deep" | "bad-event";

  /** Makes a format error whose code is the close reason. */
  constructor(code: "bad-utf8" | "bad-json" | "too-deep" | "bad-event", message: string) {
    super(code, message);
  }
}

/** Options of a {@link ConnectError}. */
export interface ConnectErrorOptions extends ErrorOptions {
  /** The reason with which the server closed the connection. Unset if it did not. */
  readonly reason?: CloseReason;
}

/**
 * Reports a connection that could not be established. `cause` holds the error of the operating
 * system.
 *
 * @example Distinguish a wrong token from an unreachable server
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
  /**
   * The reason with which the server closed the connection, such as `unauthorized`. Unset if the
   * server did not answer.
   */
  readonly reason?: CloseReason;

  /** Makes an error with the code `connect-failed`. */
  constructor(message: string, options: ConnectErrorOptions = {}) {
    super("connect-failed", message, options);
    if (options.reason !== undefined) this.reason = options.reason;
  }
}

/** Reports an operation on a connection, server or system that has ended. */
export class ConnectionClosedError extends EbsocketError {
  /** Makes an error with the code `connection-closed`. */
  constructor(message: string) {
    super("connection-closed", message);
  }
}

/**
 * Reports a request that reached no client. Without the relay's report it would have timed out.
 *
 * @example Continue without an answer
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

/** Reports that a client or the relay did not answer in time. */
export class RequestTimeoutError extends EbsocketError {
  /** Makes an error with the code `timeout`. */
  constructor(message: string) {
    super("timeout", message);
  }
}

/**
 * Reports an operation that the relay refused. The code is the reason that the relay gave:
 * `bad-pattern`, `bad-request`, `too-many-subscriptions`, `too-long`, `bad-attributes`,
 * `not-allowed`, or one added by a later version.
 */
export class EventRefusedError extends EbsocketError {
  /** The reason in words. Empty if the relay has sent no more. */
  readonly detail: string;

  /** Makes an error whose code is the relay's reason. */
  constructor(code: string, message: string, detail = "") {
    super(code, message);
    this.detail = detail;
  }
}

/**
 * Reports attributes of an event that do not match the definition for its name.
 *
 * @example Show the issues
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
  /** The failure. */
  declare readonly code: "bad-attributes";
  /** The name of the event. */
  readonly event: string;
  /** The mismatches, one text for each, such as `user.tags[2]: Expected a string`. */
  readonly issues: readonly string[];

  /**
   * Makes an error with the code `bad-attributes`.
   *
   * @param message The text of the error.
   * @param event The name of the event.
   * @param issues The mismatches, one text for each.
   */
  constructor(message: string, event: string, issues: readonly string[]) {
    super("bad-attributes", message);
    this.event = event;
    this.issues = issues;
  }
}
