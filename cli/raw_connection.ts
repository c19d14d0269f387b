/**
 * A connection that passes on the lines of events byte for byte, which a client's decoded events no
 * longer contain.
 *
 * @module
 */

import { type Address, formatAddress } from "../protocol/address.ts";
import type { ClientOptions } from "../client.ts";
import { checkClientOptions } from "../client/options.ts";
import { type ControlLine, decodeWelcome, type Feature } from "../protocol/control.ts";
import { BlockDecoder } from "../protocol/decoder.ts";
import { readString } from "../protocol/envelope.ts";
import type { CloseInfo } from "../errors.ts";
import { parseLine } from "../protocol/json_parser.ts";
import { printable } from "../protocol/printable.ts";
import { openSession } from "../client/handshake.ts";
import type {
  Session,
  SessionEvent,
  SessionSink,
  SessionSubscriptions,
} from "../client/session.ts";
import type { Place } from "../net/transport.ts";
import {
  type EnvelopeKey,
  FROM,
  ID,
  type LineKind,
  LineValidator,
  REPLY_TO,
} from "../protocol/validator.ts";
import { decoder } from "../protocol/utf8.ts";
import { QUOTE } from "../protocol/ascii.ts";
import { LONGEST_LINE_BYTES } from "./file_checker.ts";

/** The maximum nesting depth. A tool accepts every line that the relay passes on. */
const MAX_DEPTH = 1000;

/** The time limit for connecting, including the welcome, in milliseconds. */
const OPEN_MS = 10_000;

/** How long to wait for a server whose welcome is expected, in milliseconds. */
const PATIENT_MS = 3000;

/** A received event. Its properties are valid only until the next event. */
export interface ReceivedLine {
  /** The line, with its `\n`. Its bytes never change. */
  readonly bytes: Uint8Array;
  /** The name of the event. */
  readonly name: string;
  /** The ID that an answer must repeat, or `null` if the event is not a request. */
  readonly id: string | null;
  /** The client that sent it, as stated by the relay, or `null`. */
  readonly from: string | null;
  /** The ID of the request that it answers, or `null`. */
  readonly replyTo: string | null;
}

/** Receives the lines and the end of a connection. */
export interface WireSink {
  /** An event has arrived. */
  onEvent(event: ReceivedLine): void;
  /** A control line has arrived. */
  onControl(line: ControlLine): void;
  /** The connection has ended; this is the last call. */
  onEnd(info: CloseInfo): void;
}

/** The options of {@link Wire.open}. */
export interface WireOptions {
  /** The token and the TLS options. */
  readonly secrets?: Pick<ClientOptions, "token" | "tls">;
  /** Whether to request acknowledgements of events. */
  readonly acks?: boolean;
  /**
   * How important the server's welcome is: `required` if the tool cannot work without it, `wanted`
   * if it is worth waiting for. Without a welcome, the features of a server are unknown.
   */
  readonly welcome?: "required" | "wanted";
  /** Cancels the attempt when aborted. */
  readonly signal: AbortSignal;
}

/** A connection to a server after the handshake. */
export class Wire {
  readonly #session: Session;
  /** The features of the server beyond passing events on. */
  readonly features: readonly Feature[];

  private constructor(session: Session, features: readonly Feature[]) {
    this.#session = session;
    this.features = features;
  }

  /**
   * Connects. Resolves after the handshake.
   *
   * @throws {ConnectError} If it cannot connect.
   * @throws {Deno.errors.NotCapable} Without the permission to connect.
   */
  static async open(
    where: Place,
    sink: WireSink,
    { secrets = {}, acks = false, welcome, signal }: WireOptions,
  ): Promise<Wire> {
    let features: readonly Feature[] = [];
    const wireDecoder = new WireDecoder(sink, (line) => {
      features = decodeWelcome(line)?.features ?? features;
      sink.onControl(line);
    });
    const settings = checkClientOptions({ ...secrets, maxLineBytes: LONGEST_LINE_BYTES });
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new Error(`no answer within ${OPEN_MS} ms`));
    }, OPEN_MS);
    try {
      const session = await openSession(
        where,
        {
          ...settings,
          decoder: wireDecoder,
          wantsAcks: acks,
          needsWelcome: welcome === "required",
          ...(welcome && { greetingTimeout: PATIENT_MS }),
        },
        EVERYTHING,
        new End(sink),
        AbortSignal.any([signal, late.signal]),
      );
      return new Wire(session, features);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The address of the server. */
  get address(): Address {
    return this.#session.connection.address;
  }

  /** The address of the server, for a person. */
  get place(): string {
    return printable(formatAddress(this.address));
  }

  /** The ID of this client, or `null` if the server has not sent one. */
  get id(): string | null {
    return this.#session.id;
  }

  /** Whether the server acknowledges events. */
  get hasAcks(): boolean {
    return this.#session.hasAcks;
  }

  /** The longest line that the server accepts, in bytes without its line end, as far as known. */
  get maxLineBytes(): number {
    return this.#session.maxLineBytes;
  }

  /**
   * Queues lines. Returns `false` if the connection has ended.
   *
   * @param count The number of events among them; control lines do not count.
   */
  send(lines: Uint8Array, count = 0): boolean {
    return this.#session.connection.send(lines, count);
  }

  /**
   * Returns a promise that resolves when there is room for more, or `null` if there is room now.
   */
  room(): Promise<void> | null {
    return this.#session.connection.room();
  }

  /** Waits until the operating system has taken all bytes. */
  async flush(): Promise<void> {
    await this.#session.connection.flush();
  }

  /** Stops reading for now. */
  pause(): void {
    this.#session.connection.pause();
  }

  /** Resumes reading. */
  resume(): void {
    this.#session.connection.resume();
  }

  /** Sends the queued lines, then closes the connection. */
  async close(): Promise<void> {
    this.#session.connection.resume();
    this.#session.connection.close();
    await this.#session.connection.closed;
  }
}

/** Receives every event. The tool sends its own lines about subscriptions. */
const EVERYTHING: SessionSubscriptions = {
  begin: () => ({ lines: [], confirmed: null }),
  onWelcome: () => {},
  admits: () => true,
};

/** Handles only the end of a session. The decoder handles its lines. */
class End implements SessionSink {
  readonly #sink: WireSink;

  constructor(sink: WireSink) {
    this.#sink = sink;
  }

  onSessionEvent(_: Session, event: SessionEvent): void {
    if (event.type === "end") this.#sink.onEnd(event.info);
  }
}

/** Passes events on unchanged, and returns only control lines to the session. */
class WireDecoder extends BlockDecoder {
  readonly #lines = new LineValidator(MAX_DEPTH);
  readonly #sink: WireSink;
  readonly #onControl: (line: ControlLine) => void;

  constructor(sink: WireSink, onControl: (line: ControlLine) => void) {
    super(MAX_DEPTH);
    this.#sink = sink;
    this.#onControl = onControl;
  }

  override decode(block: Uint8Array): ControlLine[] {
    const controls: ControlLine[] = [];
    const lines = this.#lines.open(block);
    const event = new LineView(block, lines);
    for (let start = 0, kind: LineKind; start < block.length; start = lines.end + 1) {
      kind = lines.validate(start);
      this.lines++;
      this.fault = kind === "invalid" ? lines.fault : null;
      if (this.fault) break;
      if (kind === "event") {
        event.start = start;
        this.#sink.onEvent(event);
      } else if (kind === "control") {
        const text = decoder.decode(block.subarray(start, lines.end));
        const line = parseLine(text, lines.hasEscapedKey) as ControlLine;
        this.#onControl(line);
        controls.push(line);
      }
    }
    return controls;
  }
}

/** A view of the line that the validator examined last. */
class LineView implements ReceivedLine {
  readonly #block: Uint8Array;
  readonly #lines: LineValidator;
  /** The start of the line in the block. */
  start = 0;

  constructor(block: Uint8Array, lines: LineValidator) {
    this.#block = block;
    this.#lines = lines;
  }

  get bytes(): Uint8Array {
    return this.#block.subarray(this.start, this.#lines.end + 1);
  }

  get name(): string {
    return readString(this.#block, this.#lines.nameStart - 1);
  }

  get id(): string | null {
    return this.#textOf(ID);
  }

  get from(): string | null {
    return this.#textOf(FROM);
  }

  get replyTo(): string | null {
    return this.#textOf(REPLY_TO);
  }

  #textOf(key: EnvelopeKey): string | null {
    if (!this.#lines.has(key)) return null;
    const value = this.#lines.valueAt(key);
    return this.#block[value] === QUOTE ? readString(this.#block, value) : null;
  }
}
