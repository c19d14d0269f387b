/**
 * Reads the messages of a JetStream stream in order, as they are stored. JetStream sends as many as the
 * relay has asked for, so that they do not pile up here.
 *
 * @module
 */

import type { Msg, Subscription } from "@nats-io/nats-core";
import type { StreamMessage, StreamReader } from "../history/stream_port.ts";
import { encoder } from "../protocol/utf8.ts";
import type { NatsConnection } from "./nats_connection.ts";

/** Number of messages that are asked for at a time, and from how few on more are. */
const BATCH = 64;
const LOW = 32;

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
  /** Messages that were asked for and have not come, and that have come and were not dealt with. */
  #asked = 0;
  #untaken = 0;
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
    connection.ended.then(() => this.#finish("the connection has ended"));
    this.#ask();
  }

  #ask(): void {
    const count = BATCH - this.#asked - this.#untaken;
    if (this.#isClosed || this.#asked > LOW || count <= 0) return;
    if (this.#asked === 0) this.#heardAt = performance.now();
    this.#asked += count;
    const request = {
      batch: count,
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
    this.#asked--;
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
    const code = headers?.code ?? 0;
    if (code === 100) return;
    const isOver = code === 408 || code === 404;
    if (!isOver) return this.#finish(`JetStream says: ${code} ${headers?.description ?? ""}`);
    const left = Number(headers?.get("Nats-Pending-Messages") ?? this.#asked);
    this.#asked = Math.max(0, this.#asked - (left || this.#asked));
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
