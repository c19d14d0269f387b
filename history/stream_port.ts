/**
 * The port through which the relays of a cluster keep their events in a stream: messages in one
 * order, which all relays read. Each message has a sequence number, from 1.
 *
 * @module
 */

/** A message of a stream. */
export interface StreamMessage {
  /** The end of its subject: the ID of the relay that wrote it, or a word. */
  readonly writer: string;
  /** Its sequence number. */
  readonly seq: number;
  /** When it was stored, in milliseconds since 1970. */
  readonly at: number;
  /** When it was stored, to the nanosecond. With {@link seq}, it tells messages apart. */
  readonly stamp: string;
  /** Its bytes, which stay as they are. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** The settings of a stream. */
export interface StreamSettings {
  /** How long messages are kept, in milliseconds; `Infinity` for ever. */
  readonly maxAge: number;
  /** How many bytes are kept; `Infinity` for all. */
  readonly maxBytes: number;
  /** How many messages are kept; `Infinity` for all. */
  readonly maxMessages: number;
}

/** What a stream is. */
export interface StreamInfo extends StreamSettings {
  /** When it was made. A stream that was deleted and made anew has another value. */
  readonly created: string;
  /** The least sequence number that is left, or the one after {@link last}. */
  readonly first: number;
  /** The sequence number of the last message, or 0. */
  readonly last: number;
  /** Number of messages that are left. */
  readonly messages: number;
  /** Their size, in bytes. */
  readonly bytes: number;
  /** Number of servers that have a copy. */
  readonly replicas: number;
  /** Whether there are several servers. */
  readonly isClustered: boolean;
  /** Whether messages are in memory alone. */
  readonly isInMemory: boolean;
  /** What makes the stream unusable, in words, or `null`. */
  readonly fault: string | null;
}

/**
 * What became of a request:
 *
 * - `"refused"`: nothing was stored, and the message says why.
 * - `"absent"`: nothing was stored, because no server with the stream answers. Perhaps one will soon.
 * - `"conflict"`: nothing was stored, because the stream has other messages than expected.
 * - `"lost"`: no answer came, so it is not known.
 */
export type StreamFailure = "refused" | "absent" | "conflict" | "lost";

/** A request that has failed. */
export class StreamError extends Error {
  readonly failure: StreamFailure;

  /** Creates an error. */
  constructor(failure: StreamFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StreamError";
    this.failure = failure;
  }
}

/** What the last message must be, so that another one is stored. 0 stands for none. */
export interface Expectation {
  /** The sequence number of the last message of this writer. */
  readonly lastOfWriter?: number;
  /** The sequence number of the last message. */
  readonly last?: number;
}

/** A reader that receives all messages from one on, in their order and as they are stored. */
export interface StreamReader {
  /** Resolves at its end, with the reason. */
  readonly ended: Promise<string>;
  /** Notes that so many messages have been dealt with, so that as many may follow. */
  taken(messages: number): void;
  /** Ends it. */
  close(): void;
}

/** A stream. */
export interface StreamPort {
  /** Whether it can be reached. */
  readonly isConnected: boolean;
  /** Another value for each server, and for each start of it. */
  readonly serverId: string;
  /** The longest message, in bytes. */
  readonly maxMessageBytes: number;
  /** Resolves when it can be reached. */
  whenConnected(): Promise<void>;
  /** Returns what it is, or `null` if there is none. */
  info(): Promise<StreamInfo | null>;
  /** Makes it, unless it is there. */
  create(settings: StreamSettings): Promise<void>;
  /** Returns the message with a sequence number, or `null`. */
  get(seq: number): Promise<StreamMessage | null>;
  /** Returns the first message from a sequence number on, or `null`. */
  next(seq: number): Promise<StreamMessage | null>;
  /** Returns the last message of a writer, or `null`. */
  lastOf(writer: string): Promise<StreamMessage | null>;
  /** Adds a message. Resolves to its sequence number. */
  publish(writer: string, data: Uint8Array, expected: Expectation): Promise<number>;
  /**
   * Reads all messages from a sequence number on.
   *
   * @param from The sequence number of the first one, which need not exist yet.
   * @param onMessage Called with each of them.
   */
  read(from: number, onMessage: (message: StreamMessage) => void): Promise<StreamReader>;
}
