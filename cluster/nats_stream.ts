/**
 * The stream of a cluster in JetStream, for the cluster's history. Speaks the JSON API of JetStream
 * over the relay's connection. It needs seven requests of it. `@nats-io/jetstream` has them as well, but
 * its readers follow reconnects of nats.js, which this package does by itself.
 *
 * Messages of the writer W of the cluster NAME have the subject `eb.NAME.kept.W`, in the stream
 * `eb-NAME`.
 *
 * @module
 */

import { headers } from "@nats-io/nats-core";
import {
  type Expectation,
  StreamError,
  type StreamInfo,
  type StreamMessage,
  type StreamPort,
  type StreamReader,
  type StreamSettings,
} from "../history/stream_port.ts";
import { printable } from "../protocol/printable.ts";
import { decoder, encoder } from "../protocol/utf8.ts";
import type { NatsConnection } from "./nats_connection.ts";
import { NatsStreamReader } from "./nats_stream_reader.ts";

/** Error codes of JetStream. */
const NOT_FOUND = 404;
const NO_STREAM = 10059;
const WRONG_LAST = [10071, 10164];
const NAME_IN_USE = 10058;
const SUBJECTS_OVERLAP = 10065;
const NO_PEERS = 10005;
const NOT_NOW = 10008;
const NO_STORAGE = [10047, 10028, 10023];
const NOT_ENABLED = [10039, 10076];

/** Number of servers with a copy, where there are several. */
const REPLICAS = 3;

/** Most bytes of the headers of a message. */
const HEADER_BYTES = 256;

/**
 * After how long without a request the server deletes what a relay reads with, in milliseconds. A relay
 * asks for nothing while its clients are too slow.
 */
const INACTIVE_MS = 300_000;

const MS = 1e6;

/** What carries the requests: the present connection to NATS, if there is one. */
export interface NatsStreamCarrier {
  readonly connection: NatsConnection | null;
  /** Resolves when there is one. */
  whenConnected(): Promise<void>;
}

/** An answer of JetStream. */
interface Answer {
  readonly error?: {
    readonly code?: number;
    readonly err_code?: number;
    readonly description?: string;
  };
  readonly [member: string]: unknown;
}

/** The part of an answer about a stream that matters. */
interface StreamAnswer {
  readonly created: string;
  readonly config: {
    readonly subjects?: readonly string[];
    readonly retention?: string;
    readonly storage?: string;
    readonly discard?: string;
    readonly max_age?: number;
    readonly max_bytes?: number;
    readonly max_msgs?: number;
    readonly max_msgs_per_subject?: number;
    readonly max_msg_size?: number;
    readonly num_replicas?: number;
    readonly no_ack?: boolean;
    readonly sealed?: boolean;
    readonly mirror?: unknown;
    readonly sources?: readonly unknown[];
  };
  readonly state: {
    readonly messages: number;
    readonly bytes: number;
    readonly first_seq: number;
    readonly last_seq: number;
  };
}

/** The stream of one cluster. */
export class NatsStream implements StreamPort {
  /** The name of the stream. */
  readonly name: string;
  readonly #carrier: NatsStreamCarrier;
  readonly #prefix: string;
  /** The least size that messages must be permitted to have, in bytes. */
  readonly #minMessageBytes: number;

  /** `minMessageBytes` is the size that a message may have in any case. */
  constructor(carrier: NatsStreamCarrier, cluster: string, minMessageBytes: number) {
    this.#carrier = carrier;
    this.name = `eb-${cluster}`;
    this.#prefix = `eb.${cluster}.kept.`;
    this.#minMessageBytes = minMessageBytes;
  }

  get isConnected(): boolean {
    return this.#carrier.connection !== null;
  }

  get serverId(): string {
    return this.#carrier.connection?.client.info?.server_id ?? "";
  }

  get maxMessageBytes(): number {
    return this.#carrier.connection?.client.info?.max_payload ?? 0;
  }

  whenConnected(): Promise<void> {
    return this.#carrier.whenConnected();
  }

  async info(): Promise<StreamInfo | null> {
    const answer = await this.#ask(`STREAM.INFO.${this.name}`, {}, [NO_STREAM]);
    return answer && this.#toInfo(answer as unknown as StreamAnswer);
  }

  #toInfo(answer: StreamAnswer): StreamInfo {
    const { created, config, state } = answer;
    const limit = (value = 0, unit = 1) => value > 0 ? value / unit : Infinity;
    return {
      created,
      first: Math.max(1, state.first_seq),
      last: state.last_seq,
      messages: state.messages,
      bytes: state.bytes,
      maxAge: limit(config.max_age, MS),
      maxBytes: limit(config.max_bytes),
      maxMessages: limit(config.max_msgs),
      replicas: config.num_replicas ?? 1,
      isClustered: this.#isClustered,
      isInMemory: config.storage === "memory",
      fault: this.#faultOf(config),
    };
  }

  get #isClustered(): boolean {
    const info = this.#carrier.connection?.client.info as { cluster?: unknown } | undefined;
    return info?.cluster !== undefined;
  }

  /** Returns what makes a stream unusable, or `null`. */
  #faultOf(config: StreamAnswer["config"]): string | null {
    const subject = `${this.#prefix}*`;
    const max = config.max_msg_size ?? -1;
    const fault = config.subjects?.length !== 1 || config.subjects[0] !== subject
      ? `it is not of this cluster, whose subject is ${subject}`
      : config.mirror !== undefined || (config.sources ?? []).length > 0
      ? "it gets its messages from another stream"
      : config.retention !== "limits"
      ? `its retention is "${config.retention}", expected "limits"`
      : config.discard !== "old"
      ? `it discards "${config.discard}" messages when it is full, expected "old"`
      : (config.max_msgs_per_subject ?? -1) > 0
      ? "it limits the messages of each subject, and so drops some in between"
      : max > 0 && max < this.#minMessageBytes
      ? `it takes messages of ${max} bytes, this relay needs ${this.#minMessageBytes}`
      : config.no_ack || config.sealed
      ? "it takes no messages, or does not acknowledge them"
      : null;
    return fault && `the stream ${this.name} cannot be used: ${fault}; ` +
        "delete it, so that the relay makes it anew, or choose another name for the cluster";
  }

  async create(settings: StreamSettings): Promise<void> {
    try {
      await this.#create(settings, this.#isClustered ? REPLICAS : 1);
    } catch (error) {
      if ((error as StreamError).cause !== NO_PEERS) throw error;
      await this.#create(settings, 1);
    }
  }

  async #create(settings: StreamSettings, replicas: number): Promise<void> {
    const { maxAge, maxBytes, maxMessages } = settings;
    const limit = (value: number, none: number) => value === Infinity ? none : value;
    const config = {
      name: this.name,
      subjects: [`${this.#prefix}*`],
      retention: "limits",
      storage: "file",
      discard: "old",
      max_age: Math.ceil(limit(maxAge, 0) * MS),
      max_bytes: limit(maxBytes, -1),
      max_msgs: limit(maxMessages, -1),
      max_msgs_per_subject: -1,
      max_msg_size: -1,
      max_consumers: -1,
      num_replicas: replicas,
      description: "The history of a cluster of @ebsockets/relay",
    };
    // Another relay may just have made it, with other limits.
    await this.#ask(`STREAM.CREATE.${this.name}`, config, [NAME_IN_USE]);
  }

  async get(seq: number): Promise<StreamMessage | null> {
    return await this.#message({ seq });
  }

  async next(seq: number): Promise<StreamMessage | null> {
    return await this.#message({ seq, next_by_subj: `${this.#prefix}*` });
  }

  async lastOf(writer: string): Promise<StreamMessage | null> {
    return await this.#message({ last_by_subj: this.#prefix + writer });
  }

  async #message(which: object): Promise<StreamMessage | null> {
    const answer = await this.#ask(`STREAM.MSG.GET.${this.name}`, which, [NOT_FOUND]);
    if (!answer) return null;
    const { subject, seq, time, data = "" } = answer.message as {
      readonly subject: string;
      readonly seq: number;
      readonly time: string;
      readonly data?: string;
    };
    return {
      writer: this.#writerOf(subject),
      seq,
      at: Date.parse(time),
      stamp: nanosecondsOf(time),
      data: Uint8Array.fromBase64(data),
    };
  }

  #writerOf(subject: string): string {
    return subject.slice(this.#prefix.length);
  }

  async publish(writer: string, data: Uint8Array, expected: Expectation): Promise<number> {
    const { lastOfWriter, last } = expected;
    const { maxMessageBytes } = this;
    if (data.length + HEADER_BYTES > maxMessageBytes) {
      const text = `NATS takes messages of ${maxMessageBytes} bytes only; raise max_payload there`;
      throw new StreamError("refused", text);
    }
    const head = headers();
    if (lastOfWriter !== undefined) {
      head.set("Nats-Expected-Last-Subject-Sequence", `${lastOfWriter}`);
    }
    if (last !== undefined) head.set("Nats-Expected-Last-Sequence", `${last}`);
    const bytes = await this.#connection.ask(this.#prefix + writer, data, head);
    const answer = parse(bytes);
    if (answer.error) throw this.#toError(answer);
    return answer.seq as number;
  }

  get #connection(): NatsConnection {
    const { connection } = this.#carrier;
    if (connection) return connection;
    throw new StreamError("lost", "NATS cannot be reached");
  }

  async read(from: number, onMessage: (message: StreamMessage) => void): Promise<StreamReader> {
    const connection = this.#connection;
    const config = {
      deliver_policy: "by_start_sequence",
      opt_start_seq: from,
      ack_policy: "none",
      replay_policy: "instant",
      inactive_threshold: INACTIVE_MS * MS,
      num_replicas: 1,
      mem_storage: true,
    };
    const made = await this.#ask(`CONSUMER.CREATE.${this.name}`, {
      stream_name: this.name,
      config,
    });
    return new NatsStreamReader(connection, this.name, made!.name as string, (message) => {
      onMessage({ ...message, writer: this.#writerOf(message.writer) });
    });
  }

  /** Asks JetStream. Returns `null` if the answer is one of these errors. */
  async #ask(what: string, request: object, accepted: number[] = []): Promise<Answer | null> {
    const bytes = await this.#connection.ask(
      `$JS.API.${what}`,
      encoder.encode(JSON.stringify(request)),
    );
    const answer = parse(bytes);
    const { code = 0, err_code = 0 } = answer.error ?? {};
    if (!answer.error) return answer;
    if (accepted.includes(code) || accepted.includes(err_code)) return null;
    throw this.#toError(answer);
  }

  #toError({ error = {} }: Answer): StreamError {
    const { err_code = 0, description = "" } = error;
    const text = printable(description);
    const options = { cause: err_code };
    if (err_code === NOT_NOW) return new StreamError("absent", text, options);
    if (WRONG_LAST.includes(err_code)) return new StreamError("conflict", text, options);
    const advice = NOT_ENABLED.includes(err_code)
      ? "JetStream is not enabled for this account; enable it there, or use an account that has it"
      : err_code === SUBJECTS_OVERLAP
      ? `another stream has subjects that begin with ${this.#prefix}; delete it`
      : NO_STORAGE.includes(err_code)
      ? "JetStream has too little room; give it more, or ask for less with --keep-bytes"
      : "JetStream refuses";
    return new StreamError("refused", `${advice} (${text}, error ${err_code})`, options);
  }
}

function parse(bytes: Uint8Array): Answer {
  try {
    return Object(JSON.parse(decoder.decode(bytes)));
  } catch {
    throw new StreamError("lost", "the answer of JetStream is not JSON");
  }
}

/** Returns a time such as `2026-12-01T08:00:00.123456789Z` in nanoseconds since 1970, as text. */
function nanosecondsOf(time: string): string {
  const [, seconds = "", fraction = ""] = /^([^.Z+]+)(?:\.(\d+))?/.exec(time) ?? [];
  return `${Date.parse(`${seconds}Z`) / 1000}${fraction.padEnd(9, "0")}`;
}
