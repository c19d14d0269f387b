/**
 * The gate for HTTP requests on the port of a server. A connection has one request. It is answered,
 * or the connection becomes a WebSocket or a stream of server-sent events.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import type { CloseInfo, CloseReason, FramingError } from "../errors.ts";
import type { ConnectionSink } from "../net/connection.ts";
import { ConnectionLimits } from "../net/connection_options.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { afterRunning } from "../net/ticker.ts";
import { WebSocketCodec } from "../net/websocket.ts";
import {
  HEAD_TOO_LONG,
  type HttpFault,
  httpFault,
  type HttpRequest,
  MAX_HEAD_BYTES,
  RequestHead,
} from "../protocol/http.ts";
import {
  formatFault,
  formatHead,
  formatResponse,
  formatUpgrade,
} from "../protocol/http_response.ts";
import { KEEP_ALIVE } from "../protocol/event_stream.ts";
import { LineBlock } from "../protocol/line_splitter.ts";
import { inspect } from "../protocol/printable.ts";
import { asksForUpgrade, checkUpgrade, EARLY_DATA, UPGRADE_REQUIRED } from "../protocol/upgrade.ts";
import { NOTHING } from "../protocol/utf8.ts";
import { acceptKey } from "../protocol/websocket.ts";
import type { EventStream, WebAnswer } from "./answer.ts";
import { bearerToken } from "./bearer.ts";
import type { WebRules } from "./options.ts";
import { WebPolicy, type WebRoute, type WebVerdict } from "./policy.ts";

/**
 * Most connections whose request may be incomplete. Beyond this limit the one that has waited
 * longest is given up.
 */
const MAX_PENDING = 1000;

/**
 * Most answered connections that are kept until their peers close them, which can take a second
 * each. Beyond this limit the first one whose answer is written is closed, to spare file
 * descriptors.
 */
const MAX_LINGERING = 256;

/**
 * Most answered connections if none of the answers is written. Beyond this limit the one that was
 * answered first is closed.
 */
const MAX_ANSWERED = 4096;

/** Longest time until an answer is ready, in milliseconds. It may have to be loaded first. */
const ANSWER_MS = 30_000;

/** Receiver of the gate's decisions, and source of its answers. */
export interface WebGateSink {
  /**
   * Answers a request that is not for a WebSocket, with its token if it has one. Resolves to `null`
   * if there is nothing at its path.
   */
  answer(request: HttpRequest, token: string | undefined): Promise<WebAnswer | null>;
  /**
   * Called when a connection has become a WebSocket or a stream of events. `input` holds the lines
   * of its client so far, which is authorized if there are any.
   */
  onUpgrade(connection: LineConnection, input: LineBlock): void;
  /** Called to close the connection of a peer that is refused. */
  reject(
    connection: LineConnection,
    reason: CloseReason,
    detail: string,
    lastWord?: Uint8Array | null,
  ): void;
  /** Called when the connection of a peer that did not become a client has ended. */
  gone(connection: LineConnection): void;
}

/** A request whose head is not complete. */
interface Pending {
  readonly head: RequestHead;
  /** Cancels the deadline. */
  readonly endDeadline: () => void;
}

/** The reasons for statuses. That for others is `bad-request`. */
const REASONS: Readonly<Record<number, CloseReason>> = {
  401: "unauthorized",
  403: "unauthorized",
  408: "idle-timeout",
  503: "overloaded",
};

const NOT_FOUND = httpFault(
  404,
  "Nothing is at this path. A relay has /, /client.js, /events, /metrics and /healthz, and a " +
    "WebSocket at any path that ends in /ws",
);

const EXTRA_BYTES = httpFault(400, "Bytes follow the request: a stream of events takes none");

const CLOSING = httpFault(503, "The server is shutting down");

const NO_ANSWER = httpFault(503, `The answer was not ready within ${ANSWER_MS} ms`);

/** The reason is for the operator alone. */
const FAILED = httpFault(500, "The server failed to answer. Its log says why");

const NO_LINES = new LineBlock(NOTHING);

/** The gate of one server. */
export class WebGate implements ConnectionSink {
  readonly #policy: WebPolicy;
  readonly #helloTimeout: number;
  readonly #limits: ConnectionLimits;
  readonly #sink: WebGateSink;
  /** Longest waiting first. */
  readonly #pending = new Map<LineConnection, Pending>();
  /** Those whose request waits for its answer, and what cancels its deadline. */
  readonly #waiting = new Map<LineConnection, () => void>();
  /** Answered, but not closed by the peer. First answered first. */
  readonly #answered = new Set<LineConnection>();

  /** Creates a gate with these rules. A request must end in `helloTimeout` ms. */
  constructor(
    rules: WebRules,
    helloTimeout: number,
    limits: ConnectionLimits,
    sink: WebGateSink,
  ) {
    this.#policy = new WebPolicy(rules);
    this.#helloTimeout = helloTimeout;
    this.#sink = sink;
    this.#limits = new ConnectionLimits(
      { ...limits, maxLineBytes: MAX_HEAD_BYTES, keepAliveInterval: Infinity },
      limits.budget,
      limits.buffers,
    );
  }

  /** Takes over a connection with the first lines of a request. */
  receive(connection: LineConnection, lines: LineBlock): void {
    if (this.#pending.size === MAX_PENDING) {
      const [longest] = this.#pending.keys();
      this.#refuse(longest!, httpFault(503, "Too many other requests came after this one"));
    }
    const endDeadline = afterRunning(this.#helloTimeout, () => {
      const message = `The request did not end within ${this.#helloTimeout} ms`;
      this.#refuse(connection, httpFault(408, message));
    });
    this.#pending.set(connection, { head: new RequestHead(), endDeadline });
    connection.switchSink(this, this.#limits);
    this.onLines(connection, lines);
  }

  onLines(connection: LineConnection, { bytes }: LineBlock): void {
    const pending = this.#pending.get(connection);
    if (!pending) return;
    const result = pending.head.add(bytes);
    if (!result) return;
    if (result.kind === "fault") return this.#refuse(connection, result);
    this.#forget(connection);
    this.#onRequest(connection, result);
  }

  onFault(connection: LineConnection, _: FramingError): void {
    if (this.#pending.has(connection)) this.#refuse(connection, HEAD_TOO_LONG);
  }

  onClose(connection: LineConnection, _: CloseInfo): void {
    this.#forget(connection);
    this.#answered.delete(connection);
    this.#sink.gone(connection);
  }

  #onRequest(connection: LineConnection, request: HttpRequest): void {
    const route = routeOf(request);
    const verdict = this.#policy.check(request, route);
    if (route === "socket") this.#upgrade(connection, request, verdict);
    else this.#respond(connection, request, verdict);
  }

  async #respond(
    connection: LineConnection,
    request: HttpRequest,
    verdict: WebVerdict,
  ): Promise<void> {
    const isHead = request.method === "HEAD";
    if (verdict.kind === "refused") return this.#refuse(connection, verdict.fault, isHead);
    this.#wait(connection);
    let answer: WebAnswer | null;
    try {
      answer = await this.#sink.answer(request, bearerToken(request));
    } catch (error) {
      return this.#fail(connection, error, isHead);
    }
    if (!this.#isWaiting(connection)) return;
    if (!answer) return this.#answer(connection, formatFault(NOT_FOUND, isHead));
    if (answer.kind === "fault") return this.#refuse(connection, answer, isHead);
    const headers = { ...verdict.headers, ...answer.headers };
    if (answer.kind === "events" && !isHead) {
      if (hasMore(connection, request)) return this.#refuse(connection, EXTRA_BYTES);
      return this.#stream(connection, { ...answer, headers });
    }
    const { status, body } = answer.kind === "events" ? { status: 200, body: "" } : answer;
    this.#answer(connection, formatResponse(status, headers, body, isHead));
  }

  #answer(connection: LineConnection, answer: Uint8Array): void {
    this.#forget(connection);
    if (this.#answered.size >= MAX_LINGERING) {
      const [first] = this.#answered;
      const written = this.#answered.values().find(({ pendingBytes }) => pendingBytes === 0);
      if (written) written.abort();
      else if (this.#answered.size >= MAX_ANSWERED) first!.abort();
    }
    this.#answered.add(connection);
    connection.closeWith("local", "", answer);
  }

  /** Makes a WebSocket of a connection. A page that is refused can read the reason only there. */
  #upgrade(connection: LineConnection, request: HttpRequest, verdict: WebVerdict): void {
    if (verdict.kind === "refused" && verdict.cause !== "origin") {
      return this.#refuse(connection, verdict.fault);
    }
    const upgrade = asksForUpgrade(request) ? checkUpgrade(request) : UPGRADE_REQUIRED;
    if (upgrade.kind === "fault") return this.#refuse(connection, upgrade);
    if (hasMore(connection, request)) return this.#refuse(connection, EARLY_DATA);
    connection.wrap(new WebSocketCodec(), formatUpgrade(acceptKey(upgrade.key)));
    if (verdict.kind === "refused") {
      return this.#sink.reject(connection, "unauthorized", verdict.fault.message);
    }
    this.#sink.onUpgrade(connection, NO_LINES);
  }

  #stream(connection: LineConnection, { headers, codec, lines }: EventStream): void {
    this.#forget(connection);
    // Firefox reports a stream as open only once it has received a part of it.
    const head = concat([formatHead(200, headers), KEEP_ALIVE]);
    connection.wrap(codec, head);
    connection.resume();
    this.#sink.onUpgrade(connection, new LineBlock(lines));
  }

  #refuse(connection: LineConnection, fault: HttpFault, isHead = false): void {
    this.#forget(connection);
    const reason = REASONS[fault.status] ?? "bad-request";
    this.#sink.reject(connection, reason, fault.message, formatFault(fault, isHead));
  }

  /** Answers a request for which the program has failed. */
  #fail(connection: LineConnection, error: unknown, isHead: boolean): void {
    if (!this.#isWaiting(connection)) return;
    this.#forget(connection);
    const why = error instanceof Error ? error.message : inspect(error);
    this.#sink.reject(connection, "aborted", why, formatFault(FAILED, isHead));
  }

  /** Answers the requests that have no answer yet, because the server is closing. */
  close(): void {
    for (const connection of [...this.#pending.keys(), ...this.#waiting.keys()]) {
      this.#answer(connection, formatFault(CLOSING));
    }
  }

  /** Reads nothing more of a connection until its request is answered. */
  #wait(connection: LineConnection): void {
    const refuse = () => this.#refuse(connection, NO_ANSWER);
    this.#waiting.set(connection, afterRunning(ANSWER_MS, refuse));
    connection.pause();
  }

  /** Whether a connection still waits for an answer. It may have ended meanwhile. */
  #isWaiting(connection: LineConnection): boolean {
    return this.#waiting.has(connection) && connection.open;
  }

  #forget(connection: LineConnection): void {
    this.#pending.get(connection)?.endDeadline();
    this.#pending.delete(connection);
    this.#waiting.get(connection)?.();
    this.#waiting.delete(connection);
  }
}

/** Returns whether bytes follow the request. */
function hasMore(connection: LineConnection, { rest }: HttpRequest): boolean {
  return rest.length > 0 || connection.unfinishedBytes > 0 || connection.isOverlong;
}

/** Returns the route of a request. A path with nothing at it has the rules of the page. */
function routeOf(request: HttpRequest): WebRoute {
  const { path } = request;
  switch (path) {
    case "/":
      return asksForUpgrade(request) ? "socket" : "page";
    case "/client.js":
      return "client";
    case "/events":
      return "events";
    case "/metrics":
      return "metrics";
    case "/healthz":
      return "health";
  }
  return path.endsWith("/ws") ? "socket" : "page";
}
