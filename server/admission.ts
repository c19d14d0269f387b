/**
 * Admission of peers to a server: which peers become clients, and which are rejected.
 *
 * @module
 */

import type { Address } from "../protocol/address.ts";
import type { ConnectionSink } from "../net/connection.ts";
import type { LineConnection } from "../net/line_connection.ts";
import { ConnectionLimits } from "../net/connection_options.ts";
import { encodeClose, type Hello } from "../protocol/control.ts";
import type { CloseInfo, CloseReason, Farewell } from "../errors.ts";
import type { AuthGate, AuthGateSink } from "./auth_gate.ts";
import { checkDuration, checkGiven, checkLimit, MAX_TIMER_MS } from "../protocol/option_checks.ts";
import type { LineBlock } from "../protocol/line_splitter.ts";
import { MemoryLimits } from "./memory_limits.ts";
import type { AdmissionSink, ServeOptions } from "./options.ts";
import { checkTokenText } from "../protocol/token.ts";
import type { WebAnswer } from "../web/answer.ts";
import type { WebGate, WebGateSink } from "../web/gate.ts";
import type { WebRules } from "../web/options.ts";
import type { HttpRequest } from "../protocol/http.ts";
import { type ForeignProtocol, HTTP_ANSWER } from "../protocol/sniff.ts";
import type { Newcomers, NewcomersSink } from "./newcomers.ts";
import { addTicking, removeTicking, type Ticking } from "../net/ticker.ts";

/** Default of `maxTotalPendingBytes`. */
export const DEFAULT_MAX_TOTAL_PENDING_BYTES = 536_870_912;

/** Default of `helloTimeout`, in milliseconds. */
export const DEFAULT_HELLO_TIMEOUT = 5000;

/**
 * Most peers at the same time that receive the reason of their rejection, and most that may turn out
 * to speak HTTP although there is no room for another client. Either can take a second for each. In
 * a flood, the others are disconnected without a reason, or they would use up the file descriptors
 * that the limit protects.
 */
const MAX_REJECTED = 256;

/** The end of a client that turned out to speak HTTP, as a browser's spare connection does. */
const CHANGED_MIND: Farewell = { reason: "eof", detail: "an HTTP request came after all" };

/** The peers of one server. Its methods `on…()` receive the lines and the ends of its clients. */
export class Admission
  implements ConnectionSink, AuthGateSink, NewcomersSink, Ticking, WebGateSink {
  /** Longest time that closing may take, in milliseconds. */
  readonly shutdownTimeout: number;

  readonly #sink: AdmissionSink;
  readonly #onFailure: (error: unknown) => void;
  readonly #limits: ConnectionLimits;
  readonly #maxClients: number;
  readonly #maxPerAddress: number;
  readonly #token: string | undefined;
  readonly #helloTimeout: number;
  readonly #retryAfter: number;

  /** All connections that have not ended, including rejected ones. */
  readonly #connections = new Set<LineConnection>();
  /** Undecided peers for which there was no room. They are rejected if there is none later either. */
  readonly #surplus = new Set<LineConnection>();
  /** Rejected peers that are still receiving the reason. */
  readonly #rejected = new Set<LineConnection>();
  readonly #memory: MemoryLimits;
  readonly #byAddress = new Map<string, number>();
  #clients = 0;
  #authGate: AuthGate | null = null;
  readonly #webRules: WebRules | null;
  #webGate: WebGate | null = null;
  #newcomers: Newcomers | null = null;
  #lastId = 0;

  /**
   * Admits peers to `sink`.
   *
   * @param sink Receives the clients and their lines.
   * @param options The limits, and the token if one is needed.
   * @param webRules The rules for browsers, or `null` to refuse HTTP.
   * @param onFailure Called with errors thrown by `sink` that have no other handler.
   * @throws {TypeError} If the token is not a string.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    sink: AdmissionSink,
    options: ServeOptions,
    webRules: WebRules | null,
    onFailure: (error: unknown) => void,
  ) {
    this.#sink = sink;
    this.#webRules = webRules;
    this.#onFailure = onFailure;
    this.#maxClients = checkLimit("maxClients", options.maxClients ?? Infinity, 1);
    const perAddress = options.maxClientsPerAddress ?? Infinity;
    this.#maxPerAddress = checkLimit("maxClientsPerAddress", perAddress, 1);
    const total = options.maxTotalPendingBytes ?? DEFAULT_MAX_TOTAL_PENDING_BYTES;
    const maxTotal = checkLimit("maxTotalPendingBytes", total, 1);
    checkGiven(options, ["token"]);
    const { token } = options;
    this.#token = token === undefined ? undefined : checkTokenText(token);
    const helloTimeout = options.helloTimeout ?? DEFAULT_HELLO_TIMEOUT;
    this.#helloTimeout = checkDuration("helloTimeout", helloTimeout, 1, MAX_TIMER_MS);
    this.shutdownTimeout = checkDuration("shutdownTimeout", options.shutdownTimeout ?? 5000, 0);
    this.#retryAfter = checkDuration("retryAfter", options.retryAfter ?? 0, 0, MAX_TIMER_MS);
    this.#memory = new MemoryLimits(maxTotal, this.#connections);
    const { queued, buffers } = this.#memory;
    this.#limits = new ConnectionLimits(options, queued, buffers);
  }

  /** Bytes queued for all clients together. */
  get pendingBytes(): number {
    return this.#memory.queued.bytes;
  }

  /**
   * Prepares for the first peer and must be awaited before it. Loads the code for tokens only if
   * there is one.
   */
  async prepare(): Promise<void> {
    await this.#sink.prepare?.();
    if (this.#token !== undefined) {
      const { AuthGate } = await import("./auth_gate.ts");
      const hasWeb = this.#webRules !== null;
      this.#authGate = new AuthGate(this.#token, this.#helloTimeout, this.#limits, this, hasWeb);
    }
    if (!this.#webRules) return;
    const [{ WebGate }, { Newcomers }] = await Promise.all([
      import("../web/gate.ts"),
      import("./newcomers.ts"),
    ]);
    this.#webGate = new WebGate(this.#webRules, this.#helloTimeout, this.#limits, this);
    this.#newcomers = new Newcomers(this, this.#limits);
  }

  /** Admits a peer that has passed a gate, with its input after the hello. */
  pass(connection: LineConnection, hello: Hello | null, input: LineBlock): void {
    try {
      const excess = this.#excess();
      if (excess) return this.reject(connection, "too-many-clients", excess);
      connection.switchSink(this, this.#limits);
      this.#connect(connection);
      this.#sink.onOpen(connection);
      if (hello) this.#sink.onHello?.(connection, hello);
      if (input.bytes.length > 0) this.#sink.onLines(connection, input);
    } catch (error) {
      this.#onFailure(error); // No other handler would receive it.
    }
  }

  /** Admits a peer that has become a WebSocket or a stream of events. */
  onUpgrade(connection: LineConnection, input: LineBlock): void {
    if (this.#authGate && input.bytes.length === 0) this.#authGate.receive(connection);
    else this.pass(connection, null, input);
  }

  /** Passes an HTTP request on to the sink, which may have an answer. */
  async answer(request: HttpRequest, token: string | undefined): Promise<WebAnswer | null> {
    const isAuthorized = this.#authGate?.isRight(token) ?? true;
    return await this.#sink.onRequest?.(request, isAuthorized) ?? null;
  }

  onClient(connection: LineConnection): boolean {
    connection.release();
    if (this.#surplus.delete(connection)) {
      const excess = this.#excess();
      if (excess) {
        this.#turnAway(connection, "too-many-clients", excess);
        return false;
      }
      this.#connect(connection);
    }
    this.#open(connection);
    return true;
  }

  #open(connection: LineConnection): void {
    try {
      this.#sink.onOpen(connection);
    } catch (error) {
      this.#onFailure(error); // No other handler would receive it.
    }
  }

  onFirstLines(connection: LineConnection, lines: LineBlock): void {
    connection.switchSink(this, this.#limits);
    this.#sink.onLines(connection, lines);
  }

  onStranger(connection: LineConnection, protocol: ForeignProtocol): void {
    this.#withdraw(connection, false);
    const lastWord = protocol === "HTTP" ? HTTP_ANSWER : undefined;
    this.#turnAway(connection, "bad-json", `this looks like ${protocol}`, lastWord);
  }

  /** Rejects a peer that has been waited for, and ignores its further input. */
  #turnAway(
    connection: LineConnection,
    reason: CloseReason,
    detail: string,
    lastWord?: Uint8Array,
  ): void {
    connection.switchSink({ onLines() {}, onClose: () => this.gone(connection) }, this.#limits);
    this.reject(connection, reason, detail, lastWord);
  }

  onWebPeer(connection: LineConnection, lines: LineBlock, wasClient = false): void {
    this.#withdraw(connection, wasClient);
    this.#webGate!.receive(connection, lines);
  }

  /** Removes a peer that is no client from the clients, and drops what is queued for it. */
  #withdraw(connection: LineConnection, wasClient: boolean): void {
    connection.hold(Infinity); // until the lines that were gathered for it have been dropped, too
    // A peer that waits for its token to be checked has no number.
    const isClient = !this.#surplus.delete(connection) && connection.id > 0;
    if (isClient) this.#clients--;
    if (wasClient) this.#sink.onEnd?.(connection);
    else if (isClient) this.#sink.onWithdraw?.(connection);
    const { lines: unsentLines, bytes: unsentBytes } = connection.discard();
    if (wasClient) {
      this.#sink.onClose(connection, { ...CHANGED_MIND, unsentLines, unsentBytes });
      connection.id = 0;
      connection.bytesIn = 0;
    }
    connection.eventsOut = 0;
  }

  /** Admits a peer, hands it to a gate, or rejects it. */
  admit(connection: LineConnection): void {
    this.#connections.add(connection);
    addTicking(this);
    // A peer at a gate takes no place yet, so that strangers cannot keep out clients that have the
    // token, and a full server still answers HTTP.
    const excess = this.#excess();
    const excessOfAddress = this.#excessOf(connection);
    const mayWait = this.#authGate || this.#newcomers && this.#mayLinger;
    if (excessOfAddress ?? (mayWait ? null : excess)) {
      connection.start({ onLines() {}, onClose: () => this.#forget(connection) }, this.#limits);
      return this.reject(connection, "too-many-clients", excessOfAddress ?? excess!);
    }
    this.#count(connection, 1);
    if (this.#authGate) return this.#authGate.start(connection);
    if (this.#newcomers) this.#newcomers.start(connection);
    else connection.start(this, this.#limits);
    if (excess) this.#surplus.add(connection);
    else this.#connect(connection);
    if (!this.#newcomers) this.#sink.onOpen(connection);
  }

  #connect(connection: LineConnection): void {
    this.#clients++;
    connection.id ||= ++this.#lastId;
    this.#sink.onConnect?.(connection);
  }

  /** Returns the reason to reject one more client, or `null` if there is room. */
  #excess(): string | null {
    return this.#clients >= this.#maxClients
      ? `the server takes no more than ${this.#maxClients}`
      : null;
  }

  /**
   * Returns the same for the address of `connection`. Peers of one address count from when they
   * connect.
   */
  #excessOf({ address: [hostname] }: LineConnection): string | null {
    return (this.#byAddress.get(hostname) ?? 0) >= this.#maxPerAddress
      ? `the server takes no more than ${this.#maxPerAddress} from one address`
      : null;
  }

  /** Whether there is room for one more peer that is no client. */
  get #mayLinger(): boolean {
    return this.#rejected.size + this.#surplus.size < MAX_REJECTED;
  }

  /** Closes the connection of a peer that does not become a client. */
  reject(
    connection: LineConnection,
    reason: CloseReason,
    detail: string,
    lastWord: Uint8Array | null = encodeClose({ reason, detail }),
  ): void {
    if (this.#mayLinger) {
      this.#rejected.add(connection);
      connection.closeWith(reason, detail, lastWord);
    } else {
      connection.abort(reason, detail);
    }
    this.refused(connection.address, reason, detail);
  }

  /** Reports a peer that was rejected or disconnected before it became a client. */
  refused(address: Address, reason: CloseReason, detail: string, isSilent = false): void {
    this.#sink.onRefuse?.(address, reason, detail, isSilent);
  }

  onLines(connection: LineConnection, lines: LineBlock): void {
    this.#sink.onLines(connection, lines);
  }

  onEnd(connection: LineConnection): void {
    this.#sink.onEnd?.(connection);
  }

  onClose(connection: LineConnection, info: CloseInfo): void {
    this.#clients--;
    this.gone(connection);
    this.#sink.onClose(connection, info);
  }

  /** Notes the end of a connection that was counted for its address. */
  gone(connection: LineConnection): void {
    this.#forget(connection);
    this.#count(connection, -1);
  }

  #forget(connection: LineConnection): void {
    this.#connections.delete(connection);
    this.#rejected.delete(connection);
    this.#surplus.delete(connection);
    if (this.#connections.size === 0) removeTicking(this);
  }

  /** Counts one peer more, or one fewer, for its address. */
  #count(connection: LineConnection, change: 1 | -1): void {
    const [hostname, port] = connection.address;
    if (this.#maxPerAddress === Infinity || port === 0) return;
    const count = (this.#byAddress.get(hostname) ?? 0) + change;
    if (count > 0) this.#byAddress.set(hostname, count);
    else this.#byAddress.delete(hostname);
  }

  /** Advances the deadlines of all connections. */
  tick(elapsed: number): void {
    this.#memory.tick();
    this.#connections.forEach((connection) => connection.tick(elapsed));
  }

  /**
   * Sends the queued lines and `shutdown` to every peer. Resolves when the last connection has
   * ended.
   */
  async close(): Promise<void> {
    const detail = "";
    const retry = this.#retryAfter > 0 ? { retryAfterMs: this.#retryAfter } : {};
    const lastWord = encodeClose({ reason: "shutdown", detail, ...retry });
    this.#webGate?.close();
    await Promise.all(
      [...this.#connections].map((each) => each.closeWith("shutdown", detail, lastWord)),
    );
  }

  /** Closes all connections immediately. */
  abort(): void {
    for (const connection of this.#connections) connection.abort();
  }
}
