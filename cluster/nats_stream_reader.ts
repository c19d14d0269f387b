/**
 * Reads the messages of a JetStream stream in order, as they are stored. JetStream sends as many as the
 * relay has asked for, so that they do not pile up here.
 *
 * @module
 */

import type { Msg, Subscription } from "@nats-io/nats-core";
import type { MsgImpl } from "@nats-io/nats-core/internal";
import type { StreamMessage, StreamReader } from "../history/stream_port.ts";
import { encoder } from "../protocol/utf8.ts";
import type { NatsConnection } from "./nats_connection.ts";

/**
 * The most messages that are asked for at a time, and their size in bytes, unless one message is
 * longer. nats-server ends a connection on which 64 MiB wait.
 */
const BATCH = 64;
const BATCH_BYTES = 8_388_608;

/** What JetStream says with the status 409 if the next message is too long for the rest of a request. */
const TOO_LONG = "Message Size Exceeds MaxBytes";

/** The same after the last message of a request, if more bytes might have come. */
const COMPLETED = "Batch Completed";

/** How long a request waits for messages, and between signs of life, in milliseconds. */
const EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 1000;

/** After how long without a sign of life the reader ends while it asks for messages, in milliseconds. */
const SILENT_MS = 4000;

const MS = 1e6;

/** The parts of the reply subject of a message, from its end, without and with the domain. */
const PARTS = 9;

/** Reads a stream. */
export class NatsStreamReader implements StreamReader {
  readonly ended: Promise<string>;

  readonly #connection: NatsConnection;
  readonly #next: string;
  readonly #delete: string;
  readonly #inbox: string;
  readonly #onMessage: (message: StreamMessage) => void;
  readonly #subscription: Subscription;
  readonly #end = Promise.withResolvers<string>();
  readonly #timer: ReturnType<typeof setInterval>;
  /** What the present request has left: messages, and their size in bytes. */
  #asked = 0;
  #askedBytes = 0;
  /** Messages that have come and were not dealt with. */
  #untaken = 0;
  /** Whether the next message is too long for any request with a limit. */
  #isLong = false;
  /** The number of the last message, from 1. */
  #last = 0;
  #heardAt: number = performance.now();
  #isClosed = false;

  /** Starts to read with a consumer that was just made. */
  constructor(
    connection: NatsConnection,
    stream: string,
    consumer: string,
    onMessage: (message: StreamMessage) => void,
  ) {
    this.#connection = connection;
    this.#next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#delete = `$JS.API.CONSUMER.DELETE.${stream}.${consumer}`;
    this.#inbox = connection.newInbox();
    this.#onMessage = onMessage;
    this.ended = this.#end.promise;
    this.#subscription = connection.client.subscribe(this.#inbox, {
      callback: (error, message) => {
        if (!error) this.#receive(message);
      },
    });
    this.#timer = setInterval(() => {
      // Without a request, there are no signs of life.
      const isSilent = this.#asked > 0 && performance.now() - this.#heardAt > SILENT_MS;
      if (isSilent) this.#finish("the stream is silent");
    }, HEARTBEAT_MS);
    // The connection itself would keep this reader until its end.
    this.#subscription.closed.then(() => {
      if (!this.#isClosed) connection.ended.then(() => this.#finish("the connection has ended"));
    });
    this.#ask();
  }

  /** Asks for messages once all have come that were asked for, so that it is known how many may come. */
  #ask(): void {
    const count = Math.min(BATCH - this.#untaken, this.#isLong ? 1 : BATCH);
    if (this.#isClosed || this.#asked > 0 || count <= 0) return;
    this.#heardAt = performance.now();
    this.#asked = count;
    this.#askedBytes = BATCH_BYTES;
    const request = {
      batch: count,
      ...(!this.#isLong && { max_bytes: BATCH_BYTES }),
      expires: EXPIRES_MS * MS,
      idle_heartbeat: HEARTBEAT_MS * MS,
    };
    this.#connection.client.publish(this.#next, encoder.encode(JSON.stringify(request)), {
      reply: this.#inbox,
    });
  }

  #receive(message: Msg): void {
    if (this.#isClosed) return;
    this.#heardAt = performance.now();
    const parts = message.reply?.split(".") ?? [];
    if (!message.reply?.startsWith("$JS.ACK.")) return this.#onStatus(message);
    const at = parts.length === PARTS ? 5 : 7;
    const [seq, number] = parts.slice(at).map(Number);
    if (number !== this.#last + 1) return this.#finish("a message was lost on its way");
    this.#last = number;
    this.#askedBytes -= (message as MsgImpl).size();
    // A request ends without a word if it has no byte left.
    this.#asked = this.#askedBytes === 0 ? 0 : this.#asked - 1;
    this.#isLong = false;
    this.#untaken++;
    const stamp = parts[at + 2]!;
    this.#onMessage({
      writer: message.subject,
      seq: seq!,
      at: Number(stamp.slice(0, -6)),
      stamp,
      data: message.data.slice() as Uint8Array<ArrayBuffer>,
    });
    this.#ask();
  }

  #onStatus({ headers }: Msg): void {
    const { code = 0, description = "" } = headers ?? {};
    if (code === 100 || description === COMPLETED) return;
    const isTooLong = description === TOO_LONG;
    const isOver = code === 408 || code === 404 || isTooLong;
    if (!isOver) return this.#finish(`JetStream says: ${code} ${description}`);
    this.#isLong = isTooLong && this.#askedBytes === BATCH_BYTES;
    this.#asked = 0;
    this.#ask();
  }

  taken(messages: number): void {
    this.#untaken = Math.max(0, this.#untaken - messages);
    this.#ask();
  }

  close(): void {
    this.#finish("the relay ends it");
  }

  #finish(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    const { client } = this.#connection;
    if (!client.isClosed()) {
      this.#subscription.unsubscribe();
      client.publish(this.#delete);
    }
    this.#end.resolve(reason);
  }
}
