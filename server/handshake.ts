/**
 * Owns a server's part of the conversation with each of its neighbours: it answers `hello`, takes
 * note of `close`, and says how many events have been taken. Must not know who may connect, or what
 * becomes of the events.
 *
 * @module
 */

import type { EbsocketConnection } from "../net/connection.ts";
import type { ConnectionLimits } from "../net/connection_options.ts";
import { type ControlLine, decodeClose, encodeClose } from "../protocol/control.ts";
import type { EventFormatError, Farewell } from "../errors.ts";
import { foreignProtocol, HTTP_ANSWER } from "../protocol/sniff.ts";
import {
  decodeHello,
  encodeAck,
  encodeWelcome,
  type Hello,
  type Welcome,
} from "../protocol/greeting.ts";
import type { RateOptions } from "./rate_limiter.ts";
import { MAX_QUOTE } from "../protocol/printable.ts";
import type { Feature } from "../protocol/routing.ts";

/** Talks to the clients of one server. */
export class Handshake {
  readonly #terms: Omit<Welcome, "id" | "ack">;
  readonly #greeted = new WeakSet<EbsocketConnection>();
  /** The clients that want to know what has been taken. */
  readonly #wantsAcks = new WeakSet<EbsocketConnection>();

  /**
   * Makes one that tells its clients of the limits to which they are held, and of what the server can
   * do beyond passing events on.
   */
  constructor(
    { maxLineBytes, maxPendingBytes, keepAliveInterval }: ConnectionLimits,
    { maxDepth }: { readonly maxDepth: number },
    { maxEventsPerSecond, maxBytesPerSecond }: Required<RateOptions>,
    features: readonly Feature[] = [],
  ) {
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
   * Takes note of what a client says to us alone. What is not known is ignored. Returns a `hello` that
   * counts, or `null`.
   */
  onControl(client: EbsocketConnection, line: ControlLine): Hello | null {
    const farewell = decodeClose(line, "client");
    if (farewell) client.notePeerClose(inItsWords(farewell));
    const hello = decodeHello(line);
    return hello && this.onHello(client, hello);
  }

  /** Answers a client's first `hello`, and returns it; any other is ignored, and gives `null`. */
  onHello(client: EbsocketConnection, hello: Hello): Hello | null {
    if (this.#greeted.has(client)) return null;
    this.#greeted.add(client);
    if (hello.keepAliveMs !== undefined) client.expect(hello.keepAliveMs);
    if (hello.ack) this.#wantsAcks.add(client);
    client.send(encodeWelcome({ ...this.#terms, id: `c${client.id}`, ack: hello.ack }), 0);
    return hello;
  }

  /**
   * Ends the connection of a client that has sent a bad line. If that was the `first` that came from
   * it, the client may have taken us for something else.
   */
  onBadLine(
    client: EbsocketConnection,
    { code, message }: EventFormatError,
    first: Uint8Array | null,
  ): void {
    const foreign = first && foreignProtocol(first);
    const detail = foreign ? `this looks like ${foreign}: ${message}` : message;
    const lastWord = foreign === "HTTP" ? HTTP_ANSWER : encodeClose({ reason: code, detail });
    client.closeWith(code, detail, lastWord);
  }

  /** Counts that `count` more events of a client have been taken, and says so if it wants to know. */
  taken(client: EbsocketConnection, count: number): void {
    if (count === 0) return;
    client.eventsIn += count;
    if (this.#wantsAcks.has(client)) client.send(encodeAck(client.eventsIn), 0);
  }
}

/** What a client says of its end, so that nobody takes it for what we say. */
function inItsWords(farewell: Farewell): Farewell {
  const { reason, detail } = farewell;
  if (reason === "eof") return farewell; // which no peer can give: the words are ours
  const words = detail.slice(0, MAX_QUOTE);
  return { reason, detail: words ? `the client says: ${words}` : "the client says so" };
}
