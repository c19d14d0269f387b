/**
 * The server side of the handshake and of other control lines. Answers `hello`, notes `close`, and
 * acknowledges events.
 *
 * @module
 */

import type { LineConnection } from "../net/line_connection.ts";
import type { ConnectionLimits } from "../net/connection_options.ts";
import type { ControlLine, Feature, Hello, Welcome } from "../protocol/control.ts";
import {
  decodeClose,
  decodeHello,
  decodeRead,
  encodeAck,
  encodeClose,
  encodeWelcome,
} from "../protocol/control.ts";
import type { EventFormatError, Farewell } from "../errors.ts";
import { foreignProtocol, HTTP_ANSWER } from "../protocol/sniff.ts";
import type { RateOptions } from "./rate_limiter.ts";
import { MAX_QUOTE } from "../protocol/printable.ts";

/** Fewest bytes that a `read` line must report so that it does not count. */
const MIN_FREE_READ = 4096;

/** What a `welcome` says besides the terms of the server. */
export type Greeting = Pick<Welcome, "history" | "producer">;

/** Called before a `welcome`. Returns what else it says, or a promise if it has to wait. */
export type Greet = (
  client: LineConnection,
  hello: Hello,
) => Greeting | Promise<Greeting | undefined> | undefined;

/** An acknowledgement that waits until the history is kept up to an offset. */
interface UnkeptAck {
  readonly events: number;
  readonly offset: number;
}

/** Exchanges control lines with the clients of one server. */
export class Handshake {
  readonly #terms: Omit<Welcome, "id" | "ack">;
  readonly #greeted = new WeakSet<LineConnection>();
  /** The windows of the clients that have one, in bytes. */
  readonly #windows = new WeakMap<LineConnection, number>();
  readonly #prefix: string;
  readonly #greet: Greet;
  /** The clients whose `welcome` waits. Each promise resolves when it has been sent. */
  readonly #waiting = new Map<LineConnection, Promise<void>>();
  /** The clients that requested acknowledgements. */
  readonly #wantsAcks = new WeakSet<LineConnection>();
  /** The clients whose acknowledgements are held back, or `null` while none are. */
  #unacknowledged: Set<LineConnection> | null = null;
  /**
   * The acknowledgements that wait until events are kept: at most two of a client, of which the second
   * is the latest.
   */
  readonly #unkept = new Map<LineConnection, UnkeptAck[]>();

  /**
   * Creates the handshake of a server.
   *
   * @param limits The limits that each welcome reports to the client.
   * @param decoder The decoder, for its maximum depth.
   * @param rates The rate limits, also reported.
   * @param features The optional features that the server supports.
   * @param prefix What the IDs of its clients begin with.
   * @param greet Called before a `welcome`.
   */
  constructor(
    { maxLineBytes, maxPendingBytes, keepAliveInterval }: ConnectionLimits,
    { maxDepth }: { readonly maxDepth: number },
    { maxEventsPerSecond, maxBytesPerSecond }: Required<RateOptions>,
    features: readonly Feature[] = [],
    prefix = "",
    greet: Greet = () => undefined,
  ) {
    this.#prefix = prefix;
    this.#greet = greet;
    const limits = {
      maxLineBytes,
      maxDepth,
      maxPendingBytes,
      maxEventsPerSecond,
      maxBytesPerSecond,
    };
    this.#terms = { keepAliveMs: keepAliveInterval, features, limits };
  }

  /**
   * Handles a control line of a client. Unknown lines are ignored.
   *
   * @returns The hello if the line is the client's first one, otherwise `null`.
   */
  onControl(client: LineConnection, line: ControlLine): Hello | null {
    const farewell = decodeClose(line, "client");
    if (farewell) client.notePeerClose(inItsWords(farewell));
    const hello = decodeHello(line);
    return hello && this.onHello(client, hello);
  }

  /**
   * Answers the first `hello` of a client. Later ones are ignored.
   *
   * @returns The hello, or `null` if it was ignored.
   */
  onHello(client: LineConnection, hello: Hello): Hello | null {
    if (this.#greeted.has(client)) return null;
    this.#greeted.add(client);
    if (hello.keepAliveMs !== undefined) client.setPeerKeepAlive(hello.keepAliveMs);
    if (hello.ack) this.#wantsAcks.add(client);
    if (hello.window !== undefined) this.#limit(client, hello.window);
    const id = `${this.#prefix}c${client.id}`;
    const welcome = (greeting?: Greeting) => {
      if (!client.open) return;
      client.send(encodeWelcome({ ...this.#terms, id, ack: hello.ack, ...greeting }), 0);
    };
    const greeting = this.#greet(client, hello);
    if (greeting instanceof Promise) this.#welcomeLater(client, greeting.then(welcome));
    else welcome(greeting);
    return hello;
  }

  async #welcomeLater(client: LineConnection, welcomed: Promise<void>): Promise<void> {
    this.#waiting.set(client, welcomed);
    await welcomed;
    this.#waiting.delete(client);
  }

  /**
   * Returns a promise that resolves when a client has received its `welcome`, or `null` if that does not
   * wait. Until then, nothing else must be answered.
   */
  whenWelcomed(client: LineConnection): Promise<void> | null {
    return this.#waiting.get(client) ?? null;
  }

  #limit(client: LineConnection, window: number): void {
    this.#windows.set(client, window);
    client.limit(window);
  }

  /**
   * Handles a `read` line of a client.
   *
   * @returns Whether it does not count as a line, because it reports enough.
   */
  onRead(client: LineConnection, line: ControlLine): boolean {
    const granted = client.grant(decodeRead(line) ?? 0);
    return granted >= Math.max(MIN_FREE_READ, (this.#windows.get(client) ?? Infinity) / 4);
  }

  /**
   * Closes the connection of a client that has sent an invalid line.
   *
   * @param client The client.
   * @param fault The fault of the line.
   * @param first The line if it is the client's first one, which may belong to another protocol;
   * otherwise `null`.
   */
  onBadLine(
    client: LineConnection,
    { code, message }: EventFormatError,
    first: Uint8Array | null,
  ): void {
    const foreign = first && foreignProtocol(first);
    const detail = foreign ? `this looks like ${foreign}: ${message}` : message;
    const lastWord = foreign === "HTTP" ? HTTP_ANSWER : encodeClose({ reason: code, detail });
    client.closeWith(code, detail, lastWord);
  }

  /**
   * Counts `count` accepted events of a client and acknowledges them if it requested that: at once,
   * or when the history is kept up to an offset.
   */
  taken(client: LineConnection, count: number, offset: number | null = null): void {
    if (count === 0) return;
    client.eventsIn += count;
    if (!this.#wantsAcks.has(client)) return;
    if (offset !== null) return this.#holdAck(client, offset);
    this.#unkept.delete(client); // All before it is kept, too.
    if (this.#unacknowledged) this.#unacknowledged.add(client);
    else client.send(encodeAck(client.eventsIn), 0);
  }

  /** Forgets a client that has left. */
  forget(client: LineConnection): void {
    this.#unacknowledged?.delete(client);
    this.#unkept.delete(client);
  }

  #holdAck(client: LineConnection, offset: number): void {
    const acks = this.#unkept.get(client) ?? [];
    acks[Math.min(acks.length, 1)] = { events: client.eventsIn, offset };
    this.#unkept.set(client, acks);
  }

  /** Sets the offset for the acknowledgements of a client that wait for one that was not known. */
  holdUpTo(client: LineConnection, offset: number): void {
    const acks = this.#unkept.get(client);
    const known = acks?.map((ack) => ack.offset === Infinity ? { ...ack, offset } : ack);
    if (known) this.#unkept.set(client, known);
  }

  /** Acknowledges the events that waited until the history is kept up to an offset. */
  kept(offset: number): void {
    for (const [client, acks] of this.#unkept) {
      const due = acks.findLast((ack) => ack.offset <= offset);
      if (!due) continue;
      const left = acks.filter((ack) => ack.offset > offset);
      if (left.length > 0) this.#unkept.set(client, left);
      else this.#unkept.delete(client);
      if (this.#unacknowledged) this.#unacknowledged.add(client);
      else client.send(encodeAck(due.events), 0);
    }
  }

  /** Closes the clients with events that could not be kept. To them, these are unconfirmed. */
  notKept(detail: string): void {
    const clients = [...this.#unkept.keys()];
    this.#unkept.clear();
    for (const client of clients) client.close("overloaded", detail);
  }

  /** Acknowledges nothing from now on. */
  holdAcks(): void {
    this.#unacknowledged ??= new Set();
  }

  /**
   * Closes the clients whose acknowledgements were held back, because they cannot be given. To them,
   * these events are unconfirmed.
   */
  denyAcks(detail: string): void {
    const clients = this.#unacknowledged ?? [];
    this.#unacknowledged = null;
    for (const client of clients) client.close("overloaded", detail);
  }

  /** Acknowledges what was held back, and everything from now on. */
  releaseAcks(): void {
    const clients = this.#unacknowledged ?? [];
    this.#unacknowledged = null;
    for (const client of clients) {
      // Otherwise, it gets one when the rest of its events is kept.
      if (!this.#unkept.has(client)) client.send(encodeAck(client.eventsIn), 0);
    }
  }
}

/** Marks a close reason as given by the client, to distinguish it from our own. */
function inItsWords(farewell: Farewell): Farewell {
  const { reason, detail } = farewell;
  if (reason === "eof") return farewell; // no peer can send it, so the words are ours
  const words = detail.slice(0, MAX_QUOTE);
  return { reason, detail: words ? `the client says: ${words}` : "the client says so" };
}
